"""The Croissant of a release: its tables as record sets, every file with its digest, splits, origin and use.

Belongs here: the document. Does not belong here: the words of Croissant (`croissant.words`), provenance
(`croissant_provenance`), splits (`croissant_splits`), and whether it reads back (`croissant_check`).

A record set is a table; a table of several conditions has one for each, because mlcroissant reads one file a record set
if it is to hold its digest against the bytes (decision 0032). Stores are listed file by file: no loader of Croissant
opens Zarr, and whoever has the files can hold them against their digests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cm4ai_assets.access import Release
from cm4ai_assets.croissant.words import (
    CONFORMS_TO,
    CONTEXT,
    NAME,
    PARQUET,
    RAI,
    field,
    file_object,
    record_set,
    rendered,
)
from cm4ai_assets.lineage.delivered import Delivered, DeliveredFile
from cm4ai_assets.publication.citation import SOFTWARE, bibtex
from cm4ai_assets.publication.croissant_provenance import Provenance, provenance_of
from cm4ai_assets.publication.croissant_splits import SIDES, Split, split_record_set, splits_of
from cm4ai_assets.publication.stated import Party, Stated, stated_by
from cm4ai_assets.references import Kind
from cm4ai_assets.tables import Column, Table
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.tables.terms import term_of
from cm4ai_assets.updates.credit import NOT_STATED, licence_address

_ENCODINGS: Final = {".parquet": PARQUET, ".json": "application/json"}
_BYTES: Final = "application/octet-stream"
_SEPARATOR: Final = ", "

# Columns whose values are keys of another table: of the same condition, where both have one.
_KEYS: Final = {
    ("if_images", "field_id"): "if_fields",
    ("if_quality", "field_id"): "if_fields",
    ("if_cells", "field_id"): "if_fields",
    ("if_archive", "file_id"): RELEASE_FILES.name,
    ("release_changes", "file_id"): RELEASE_FILES.name,
    ("secms_profiles", "source_file_id"): RELEASE_FILES.name,
    ("secms_proteins", "source_file_id"): RELEASE_FILES.name,
    ("apms_interactions", "source_file_id"): RELEASE_FILES.name,
    ("apms_runs", "source_file_id"): RELEASE_FILES.name,
    ("cellranger_metrics", "source_file_id"): RELEASE_FILES.name,
}


@dataclass(frozen=True)
class Described:
    """What a description is made of; everything is read before it is written.

    Attributes:
        stated: What the release says of itself.
        delivery: Its tables and stores.
        columns: Path of a table's file to the columns that stand in it: one made before a column was added lacks it.
        provenance: Where each file comes from.
        splits: The sides of each scheme, with the files that hold them.
    """

    stated: Stated
    delivery: Sequence[Delivered]
    columns: Mapping[str, Sequence[Column]]
    provenance: Provenance
    splits: Sequence[Split] = ()


def described(release: Release, delivery: Sequence[Delivered]) -> Described:
    """What the Croissant of a release is made of.

    Args:
        release: The release.
        delivery: What it delivers; documents are left out.
    """
    kept = tuple(one for one in delivery if one.kind is not Kind.DOCUMENT)
    tables = [one for one in kept if one.kind is Kind.TABLE]
    return Described(
        stated=stated_by(release, kept),
        delivery=kept,
        columns={one.path: _columns(release, one) for one in tables},
        provenance=provenance_of(release, kept),
        splits=splits_of(release, {one.name for one in tables}),
    )


def croissant_files(of: Described, *, base: str = "") -> dict[str, bytes]:
    """The document: `croissant.json`, and beside it a small table for each side of each split.

    Args:
        of: What it is made of.
        base: What leads from the document to the storage root, or to the folder that has its layout.
    """
    return {NAME: rendered(build(of, base=base)), **{one.file: one.data for one in of.splits}}


def build(of: Described, *, base: str = "") -> dict[str, Any]:
    """`croissant.json`: the same content for the same release."""
    tables = [one for one in of.delivery if one.kind is Kind.TABLE]
    known = {record_set_of(one) for one in tables}
    files = [_file(file, one, of, base) for one in of.delivery for file in one.files]
    sets = [_record_set(one, of.columns[one.path], known) for one in tables]
    if of.splits:
        files += [one.file_object() for one in of.splits]
        sets += [SIDES, *(split_record_set(one) for one in of.splits)]
    return {**_head(of), "distribution": files, "recordSet": sets}


def record_set_of(table: Delivered) -> str:
    """The name of a table's record set: `proteins`, `if_fields/untreated`."""
    condition = table.partition.condition
    return f"{table.name}/{condition}" if condition else table.name


def _columns(release: Release, table: Delivered) -> tuple[Column, ...]:
    present = release.store.table(table.name, table.partition).collect_schema().names()
    described_as: Table | None = table.table
    return tuple(one for one in (described_as.columns if described_as else ()) if one.name in present)


def _head(of: Described) -> dict[str, Any]:
    stated, origin = of.stated, of.stated.origin
    said = {key: _one_or_many(values) for key, values in stated.crate.items() if key.startswith("rai:")}
    carried = origin.carried
    head: dict[str, Any] = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "@id": f"cm4ai/{origin.release}",
        "name": f"{origin.title or origin.release}, as delivered by {SOFTWARE}",
        "description": _description(stated),
        "conformsTo": [CONFORMS_TO, RAI] if said else CONFORMS_TO,
        "citeAs": bibtex(stated).decode(),
        "license": _one_or_many(_licences(origin.license)),
        "url": stated.page,
        "version": None if origin.version == NOT_STATED else origin.version,
        "datePublished": stated.released.isoformat() if stated.released else None,
        "dateModified": of.provenance.last_made,
        "creator": [_party(one) for one in stated.creators],
        "funder": [{"@type": "sc:Organization", "name": name} for name in stated.funders],
        "keywords": list(dict.fromkeys(stated.keywords)),
        "usageInfo": list(carried.get("prohibited_use", ())),
        "conditionsOfAccess": list(carried.get("terms", ())),
        "isBasedOn": {"@id": stated.page},
        **said,
        "prov:wasDerivedFrom": of.provenance.published,
        "prov:wasGeneratedBy": of.provenance.activities,
    }
    return {key: value for key, value in head.items() if value}


def _description(stated: Stated) -> str:
    derived = (
        f"Tables and arrays that {SOFTWARE} derived from {stated.page}, version {stated.origin.version}. Images: the "
        "arrays of if_tensors are Zarr v3 stores, listed here file by file with their digests, which loaders of "
        "Croissant do not open; `cm4ai export --format huggingface` writes the same images as PNG in Parquet, with a "
        "Croissant of its own in which they are images."
    )
    return f"{derived} As published: {stated.description}" if stated.description else derived


def _licences(stated: str) -> list[str]:
    """Addresses, where a licence has one of Creative Commons; else the words of the archive."""
    return [licence_address(one) or one for one in stated.split(_SEPARATOR)]


def _party(party: Party) -> dict[str, Any]:
    orcid = f"https://orcid.org/{party.orcid}" if party.orcid else None
    place = {"@id": party.ror, "name": party.affiliation} if party.ror or party.affiliation else {}
    affiliation = (
        {"@type": "sc:Organization", **{key: value for key, value in place.items() if value}} if place else None
    )
    stated = {"@id": orcid, "name": party.name, "url": orcid, "affiliation": affiliation}
    kind = "sc:Organization" if party.is_organization else "sc:Person"
    return {"@type": kind, **{key: value for key, value in stated.items() if value}}


def _file(file: DeliveredFile, of_what: Delivered, of: Described, base: str) -> dict[str, Any]:
    suffix = f".{file.path.rpartition('.')[2]}"
    return file_object(
        file.path,
        url=f"{base}{file.path}",
        size=file.size,
        sha256=file.sha256,
        encoding=_ENCODINGS.get(suffix, _BYTES),
        license=_one_or_many(_licences(of_what.credit["license"])) if "license" in of_what.credit else None,
        **of.provenance.of(of_what),
    )


def _record_set(table: Delivered, columns: Sequence[Column], known: set[str]) -> dict[str, Any]:
    name, described_as = record_set_of(table), table.table
    fields = [_field(table, one, known) for one in columns]
    present = {one.name for one in columns}
    key = described_as.key if described_as else ()
    return record_set(
        name,
        fields,
        description=described_as.description if described_as else None,
        key=_one_or_many([{"@id": f"{name}/{one}"} for one in key]) if set(key) <= present else None,
    )


def _field(table: Delivered, column: Column, known: set[str]) -> dict[str, Any]:
    target = _referred(table, column.name, known)
    return field(
        f"{record_set_of(table)}/{column.name}",
        column.dtype,
        {"fileObject": {"@id": table.path}},
        description=_meaning(column),
        unitText=column.unit,
        equivalentProperty=term_of(column.name),
        references={"field": {"@id": target}} if target else None,
    )


def _referred(table: Delivered, column: str, known: set[str]) -> str | None:
    """The field whose values a column has, where that table is delivered."""
    if (table.name, column) == ("splits", "split"):
        return "split_sides/name"
    target = _KEYS.get((table.name, column))
    condition = table.partition.condition
    names = [f"{target}/{condition}", target] if condition else [target]
    found = next((one for one in names if one in known), None)
    key = column if target != RELEASE_FILES.name else "file_id"
    return f"{found}/{key}" if found else None


def _meaning(column: Column) -> str:
    parts = [column.description]
    if column.unit:
        parts.append(f"Unit: {column.unit}.")
    if column.allowed:
        parts.append(f"One of: {', '.join(map(str, column.allowed))}.")
    return " ".join(parts)


def _one_or_many(values: Sequence[Any]) -> Any:  # noqa: ANN401 - JSON
    return values[0] if len(values) == 1 else list(values)
