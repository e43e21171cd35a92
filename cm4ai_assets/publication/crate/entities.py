"""What is delivered, as entities: each file with its digest, and what it is part of.

Belongs here: files, stores and documents. Does not belong here: runs (`runs`), what they were made of (`sources`), and
which crate describes what (`building`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cm4ai_assets import tables
from cm4ai_assets.lineage.delivered import Delivered, DeliveredFile
from cm4ai_assets.publication.crate import schemas
from cm4ai_assets.publication.crate.facts import Facts, is_store
from cm4ai_assets.publication.crate.ids import content_id, licence_id, run_id
from cm4ai_assets.publication.crate.parties import licences_of
from cm4ai_assets.publication.crate.sources import authors, entity_id, format_of, title_of
from cm4ai_assets.publication.crate.terms import EVI_DATASET, UNKNOWN, Entity, ref, refs
from cm4ai_assets.references import Kind

ZARR = "Zarr 3"
NO_RUN = " Made before runs were recorded: which run made it is not known."


def licences(facts: Facts, one: Delivered) -> list[str]:
    """The licences of what is delivered; a document is about all of it, and carries all."""
    return licences_of(facts.stated.origin.license if one.kind is Kind.DOCUMENT else one.credit.get("license"))


def schema_entity(facts: Facts, one: Delivered) -> Entity | None:
    """The schema of a table or store; None for a document, or a store without an array."""
    if one.table is not None:
        return schemas.of_table(one.table, facts.schemas[one.path])
    arrays = facts.arrays.get(one.path, ())
    return schemas.of_store(one.name, arrays) if arrays else None


def member_entities(facts: Facts, one: Delivered, sources: list[str], prefix: str) -> Iterator[Entity]:
    """A table's file; or the folder of a store or document, and each of its files.

    Args:
        facts: Of the release.
        one: What is delivered.
        sources: Ids of what it was made of.
        prefix: The storage root, seen from the crate.
    """
    common = _common(facts, one, sources)
    if one.kind is Kind.TABLE:
        yield {**_file(one.files[0], title_of(one), prefix), **common, **_counts(facts, one)}
        return
    yield {
        "@id": entity_id(one),
        "@type": ["Dataset", EVI_DATASET],
        "name": title_of(one),
        "format": ZARR if is_store(one) else "document",
        "contentSize": str(facts.size_of(one)),
        "cm4ai:listingSha256": one.digest,
        "hasPart": refs([content_id(file.path, file.sha256) for file in one.files]),
        **common,
    }
    shared = {**common, "description": f"A file of the {title_of(one)}."}
    shared.pop("evi:Schema", None)
    for file in one.files:
        yield {**_file(file, file.path.removeprefix(f"{one.path}/"), prefix), **shared}


def _file(file: DeliveredFile, name: str, prefix: str) -> Entity:
    return {
        "@id": content_id(file.path, file.sha256),
        "@type": ["File", EVI_DATASET],
        "name": name,
        "encodingFormat": format_of(file.path),
        "format": format_of(file.path),
        "contentSize": str(file.size),
        "sha256": file.sha256,
        "localPath": f"{prefix}{file.path}",
        "contentUrl": f"{prefix}{file.path}",
    }


def _common(facts: Facts, one: Delivered, sources: list[str]) -> Entity:
    schema, condition = schema_entity(facts, one), one.partition.condition
    return {
        "description": tables.product(one.name).description + ("" if one.making else NO_RUN),
        "author": authors(facts),
        "datePublished": one.making.ended.date().isoformat() if one.making else UNKNOWN,
        "keywords": [one.group, one.name, *([condition] if condition else [])],
        "version": one.credit.get("version", facts.stated.origin.version),
        "license": _one_or_all([ref(licence_id(name)) for name in licences(facts, one)]),
        "derivedFrom": refs(sources),
        **({"evi:Schema": ref(schema["@id"])} if schema else {}),
        **({"generatedBy": [ref(run_id(one.making))]} if one.making else {}),
    }


def _counts(facts: Facts, one: Delivered) -> dict[str, Any]:
    rows = {} if one.rows is None else {"rowCount": one.rows}
    return {**rows, "columnCount": len(facts.schemas[one.path])}


def _one_or_all(values: list[Entity]) -> Entity | list[Entity]:
    return values[0] if len(values) == 1 else values
