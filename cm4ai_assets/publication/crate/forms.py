"""The two forms of a crate: RO-Crate 1.2, and the one that FAIRSCAPE's models take. They say the same.

No form is both: RO-Crate wants its context in a list and no object within an entity, FAIRSCAPE a context that is an
object, columns within a schema, and texts for the root's licence and citation.

Belongs here: those differences, and bytes. Does not belong here: what is said (`building`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from cm4ai_assets.publication.crate.terms import (
    CARRIED,
    CONTEXT,
    EVI_CRATE,
    EVI_SCHEMA,
    FAIRSCAPE_CONTEXT,
    UNKNOWN,
    Entity,
)

Form = Callable[[list[Entity]], bytes]

# What FAIRSCAPE's model of a root takes one text for, where a release may have stated several.
_ONE_TEXT = frozenset({
    "completeness", "conditionsOfAccess", "confidentialityLevel", "contactEmail", "copyrightNotice",
    "dataGovernanceCommittee", "humanSubjectExemption", "humanSubjectResearch", "irb", "irbProtocolId",
    "principalInvestigator", "usageInfo",
}) & CARRIED.keys()  # fmt: skip
_NO_BOOLEAN = frozenset({"deidentified", "fdaRegulated"})


def ro_crate(graph: list[Entity]) -> bytes:
    """RO-Crate 1.2, which recommends a value in place of a list of one. What is not known is not there."""
    return _rendered(CONTEXT, [_single(entity) for entity in graph])


def fairscape(graph: list[Entity]) -> bytes:
    """What `fairscape_models.rocrate.ROCrateV1_2` takes."""
    names = {entity["@id"]: str(entity.get("creditText") or entity.get("name", "")) for entity in graph}
    return _rendered(FAIRSCAPE_CONTEXT, [_changed(entity, names) for entity in graph])


def values_of(entity: Entity, key: str) -> list[Any]:
    """The values of a key, however many stand there."""
    value = entity.get(key, [])
    return value if isinstance(value, list) else [value]


def graph_of(data: bytes) -> list[Entity]:
    """The entities of a crate's file.

    Raises:
        ValueError: It is no JSON.
    """
    return list(json.loads(data)["@graph"])


def _changed(entity: Entity, names: dict[str, str]) -> Entity:
    if entity["@type"] == EVI_SCHEMA:
        return {**entity, "properties": entity["properties"]["@value"], "separator": None, "header": None}
    if entity["@type"][-1] != EVI_CRATE:
        return entity
    texts: Entity = {key: _text(values_of(entity, key), names) for key in ("license", "citation") if key in entity}
    carried: Entity = {key: "; ".join(entity[key]) for key in _ONE_TEXT if isinstance(entity.get(key), list)}
    unclear = {key for key in _NO_BOOLEAN if key in entity and str(entity[key]).lower() not in {"yes", "no"}}
    return {key: value for key, value in {**entity, **texts, **carried}.items() if key not in unclear}


def _single(entity: Entity) -> Entity:
    if entity["@type"] == EVI_SCHEMA:
        return entity
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 and key != "@type" else value
        for key, value in entity.items()
        if value != UNKNOWN
    }


def _text(references: list[Entity], names: dict[str, str]) -> str:
    ids = [str(one["@id"]) for one in references]
    return ", ".join(names.get(one, one) for one in ids)


def _rendered(context: object, graph: list[Entity]) -> bytes:
    return (json.dumps({"@context": context, "@graph": graph}, indent=1, ensure_ascii=False) + "\n").encode()
