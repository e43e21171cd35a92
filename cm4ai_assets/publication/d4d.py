"""The datasheet (D4D 2.0.0) of the derived release: what was published, carried over, and what the tables answer.

Belongs here: the datasheet as a whole, and what of the published ones it carries over. Does not belong here: answers
counted over tables (`d4d_answers`), the files (`d4d_files`), and reading datasheets (`crates.datasheet`).

Two kinds of statements stand in it, and each says in `source_caveats` which it is: what the release stated when it was
published, carried over and not verified here; and what was counted over the published tables. Where both answer one
question both stand there. Nothing else does: a slot that neither fills is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.crates.d4d import description
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.publication import d4d_answers, d4d_files
from cm4ai_assets.publication.citation import SOFTWARE, plain_yaml, sentence
from cm4ai_assets.publication.stated import Party, Stated, stated_by
from cm4ai_assets.references import Kind
from cm4ai_assets.tables.crates import RELEASE_DATASHEET
from cm4ai_assets.updates.credit import NOT_STATED

D4D_NAME: Final = "datasheet.yaml"
SCHEMA: Final = "https://w3id.org/bridge2ai/data-sheets-schema"

_CARRIED = "Carried over as published ({}); not verified here."
# Key of the release's crate to the slot that asks for it.
_OF_CRATE: Final = {
    "rai:dataUseCases": "intended_uses",
    "rai:dataLimitations": "known_limitations",
    "completeness": "known_limitations",
    "rai:dataBiases": "known_biases",
    "rai:dataCollection": "collection_mechanisms",
    "rai:dataCollectionTimeframe": "collection_timeframes",
    "rai:dataCollectionMissingData": "missing_data_documentation",
    "rai:dataReleaseMaintenancePlan": "updates",
    "ethicalReview": "ethical_reviews",
    "confidentialityLevel": "confidential_elements",
    "humanSubjectResearch": "human_subject_research",
    "humanSubjectExemption": "human_subject_research",
    "dataGovernanceCommittee": "data_governance",
    "d4d:informedConsent": "informed_consent",
    "d4d:atRiskPopulations": "at_risk_populations",
    "associatedPublication": "external_resources",
    "copyrightNotice": "ip_restrictions",
}
_OWN: Final = "creators"  # those of the landing page, with their ORCIDs
_ITEM = re.compile(r"(?P<slot>[a-z_]+)(?:\[(?P<index>\d+)\])?(?:\.(?P<key>.+))?")

Slots = dict[str, list[dict[str, Any]]]


def datasheet_yaml(
    release: Release, delivery: Sequence[Delivered], findings: Iterable[tuple[str, str | None, Finding]] = ()
) -> bytes:
    """The datasheet of a release as it is delivered here: the same bytes for the same inputs.

    Args:
        release: The release.
        delivery: What it delivers (`lineage.delivered`); documents are left out, one of them being this.
        findings: What checks found, with table and condition; those that failed become known anomalies.
    """
    kept = [one for one in delivery if one.kind is not Kind.DOCUMENT]
    answers = d4d_answers.answers(release, {one.name for one in kept if one.kind is Kind.TABLE}, findings)
    files = d4d_files.collections(release, kept)
    return plain_yaml(datasheet(stated_by(release, kept), answers, files, _statements(release), _made_on(kept)))


def datasheet(
    stated: Stated, answers: Slots, files: Sequence[Mapping[str, Any]], statements: pl.DataFrame, made_on: str | None
) -> dict[str, Any]:
    """The datasheet as an instance of `Dataset`.

    Args:
        stated: What the release says of itself.
        answers: Slot to what was counted.
        files: Its `file_collections`.
        statements: Rows of `release_datasheet`, of which those of D4D files are carried over.
        made_on: When the last of it was made; None where no run is recorded.
    """
    origin = stated.origin
    slots: Slots = {slot: list(found) for slot, found in answers.items()}
    for slot, items in (*_of_crate(stated), *_of_terms(stated), *_of_datasheets(statements)):
        slots.setdefault(slot, []).extend(one for one in items if one not in slots.get(slot, []))
    head = {
        "id": f"{SOFTWARE}/{origin.release}",
        "name": f"{origin.title or origin.release}, as delivered by {SOFTWARE}",
        "title": f"{origin.title or origin.release}, as delivered by {SOFTWARE}",
        "description": _description(stated),
        "language": "en",
        "page": stated.page,
        "was_derived_from": stated.page,
        "issued": f"{stated.released.isoformat()}T00:00:00Z" if stated.released else None,
        "last_updated_on": made_on,
        "version": None if origin.version == NOT_STATED else origin.version,
        "license": origin.license,
        "keywords": list(dict.fromkeys(stated.keywords)),
        "created_by": SOFTWARE,
        "citation": sentence(stated),
        "conforms_to_schema": SCHEMA,
        "conforms_to_class": "Dataset",
        "source_caveats": "Statements marked as carried over are those of the published release. All others were "
        f"counted by {SOFTWARE} over the tables that it publishes. `issued` is the day on which the published version "
        "came out; the derived form has no DOI of its own.",
        "creators": [_creator(one) for one in stated.creators],
        "related_datasets": [{"target_dataset": stated.page, "relationship_type": "derives_from"}],
    }
    counted = {
        "total_file_count": sum(one["file_count"] for one in files),
        "total_size_bytes": sum(one["total_bytes"] for one in files),
        "file_collections": [dict(one) for one in files],
    }
    filled = {slot: _formed(slot, slots[slot]) for slot in sorted(slots) if slots[slot]}
    every = {**head, **filled, **counted}
    return {slot: value for slot, value in every.items() if value or value == 0}


def _description(stated: Stated) -> str:
    derived = f"Derived by {SOFTWARE} from {stated.page}, version {stated.origin.version}: tables and arrays of it."
    return f"{derived} As published: {stated.description}" if stated.description else derived


def _creator(party: Party) -> dict[str, Any]:
    places = [{"id": party.ror}] if party.ror else [{"name": party.affiliation}] if party.affiliation else []
    return {
        **({"id": f"https://orcid.org/{party.orcid}"} if party.orcid else {}),
        "name": party.name,
        **({"affiliations": places} if places else {}),
        "source_caveats": _CARRIED.format("creator"),
    }


def _formed(slot: str, items: list[dict[str, Any]]) -> list[dict[str, Any]] | dict[str, Any]:
    """The items of a slot as D4D asks for them: a list, or one object that holds what all of them say."""
    if _kind(slot).startswith("["):
        return items
    texts = [str(one["description"]) for one in items]
    caveats = dict.fromkeys(str(one["source_caveats"]) for one in items)
    return {"description": " ".join(texts), "source_caveats": " ".join(caveats)}


def _kind(slot: str) -> str:
    return description().classes["Dataset"].get(slot, "")


def _takes_objects(slot: str) -> bool:
    """A slot of objects of which no key has to be there, so that a description is one."""
    slots = description().classes.get(_kind(slot).strip("[]!"))
    return slots is not None and not any(kind.endswith("!") for kind in slots.values()) and "description" in slots


def _carried(text: str, source: str) -> dict[str, Any]:
    return {"description": text, "source_caveats": _CARRIED.format(source)}


def _of_crate(stated: Stated) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    for key, slot in _OF_CRATE.items():
        yield slot, [_carried(text, key) for text in stated.of_crate(key)]
    yield "funders", [_carried(text, "funder") for text in dict.fromkeys((*stated.funders, *stated.of_crate("funder")))]


def _of_terms(stated: Stated) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    carried = stated.origin.carried
    terms = [_carried(f"Licence: {stated.origin.license}.", "licence of each file")]
    yield "license_and_use_terms", [*terms, *(_carried(text, "terms") for text in carried.get("terms", ()))]
    yield "prohibited_uses", [_carried(text, "prohibited use") for text in carried.get("prohibited_use", ())]
    yield "maintainers", [_carried(text, "contact") for text in carried.get("contact", ())]


def _of_datasheets(statements: pl.DataFrame) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """What published D4D datasheets say, item by item, each with its words under one description."""
    rows = statements.filter(pl.col("source_kind") == "d4d", pl.col("value").str.strip_chars() != "")
    items: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for source, field, value in rows.select("source", "field", "value").iter_rows():
        found = _ITEM.fullmatch(field)
        if found is not None and found["slot"] != _OWN and _takes_objects(found["slot"]):
            where = (source, found["slot"], found["index"] or "")
            items.setdefault(where, []).append((re.sub(r"\[\d+\]", "", found["key"] or ""), value))
    for (source, slot, _), said in items.items():
        keys = {key for key, _ in said}
        texts = [value if len(keys) == 1 else f"{key}: {value}" for key, value in said]
        yield slot, [_carried(" ".join(texts), source)]


def _statements(release: Release) -> pl.DataFrame:
    try:
        return release.table(RELEASE_DATASHEET.name).collect()
    except NotMaterializedError:
        return RELEASE_DATASHEET.empty()


def _made_on(delivery: Iterable[Delivered]) -> str | None:
    ends = [one.making.ended for one in delivery if one.making is not None]
    return max(ends).strftime("%Y-%m-%dT%H:%M:%SZ") if ends else None
