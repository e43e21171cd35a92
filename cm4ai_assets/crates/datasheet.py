"""The datasheets of a release, whatever their kind, as one list of statements: what is said, where, how it deviates.

Belongs here: D4D files, crate roots and the landing page's JSON-LD as rows of `release_datasheet`, and which statements
have to survive into everything published later. Does not belong here: repairs of YAML (`loose_yaml`), the schema
(`d4d`), and whether the archive agrees (`datasheet_claims`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from cm4ai_assets.crates import d4d
from cm4ai_assets.crates.frame import outline
from cm4ai_assets.crates.identifiers import normalize_type
from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.loose_yaml import read_yaml
from cm4ai_assets.crates.mending import read_json
from cm4ai_assets.crates.reader import CrateFile, read_crate
from cm4ai_assets.crates.statements import Note, Statement, from_json
from cm4ai_assets.crates.vocabulary import RELATIONS
from cm4ai_assets.tables.crates import RELEASE_DATASHEET

_YES, _NO = frozenset({"yes", "true", "on"}), frozenset({"no", "false", "off"})
_YES_NO_SLOT = re.compile(r"(?:^|\.)(?:is|was|has)_\w+(?:\[\d+\])?$")
_NOT_YES_NO = re.compile(r"(?:^|\.)(?:is_deidentified|was_derived_from)(?:\[\d+\])?$")  # objects and references
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_JSON_LD = re.compile(rb"<script[^>]*application/ld\+json[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_BESIDE = re.compile(r"^beside\[\d+\]\.")  # what a page describes beside its dataset
_PREFIX = r"^(?:crates\[[^\]]*\]\.)?"

# Topic to the fields that speak of it, by kind of document.
_TOPICS: dict[str, dict[str, re.Pattern[str]]] = {
    "d4d": {
        "title": re.compile(r"^(?:title|name)$"),
        "license": re.compile(r"^(?:license$|license_and_use_terms|ip_restrictions)"),
        "prohibited_use": re.compile(r"^(?:prohibited_uses|discouraged_uses)"),
        "contact": re.compile(r"^(?:maintainers|ethical_reviews|data_governance)"),
        "citation": re.compile(r"^citation"),
        "doi": re.compile(r"^(?:doi|id)$"),
        "version": re.compile(r"^version$"),
        "date": re.compile(r"^(?:issued|created_on|last_updated_on|distribution_dates)"),
        "file": re.compile(r"^(?:subsets|file_collections|resources)"),
    },
    "crate_root": {
        "title": re.compile(_PREFIX + r"name$"),
        "license": re.compile(_PREFIX + r"license"),
        "terms": re.compile(_PREFIX + r"(?:conditionsOfAccess|copyrightNotice|usageInfo)"),
        "prohibited_use": re.compile(
            _PREFIX + r"(?:prohibitedUses|usageInfo|additionalProperty\[\"Prohibited Uses\"\])"
        ),
        "contact": re.compile(
            _PREFIX + r"(?:contactEmail|principalInvestigator|ethicalReview|dataGovernanceCommittee"
            r"|additionalProperty\[\"Data Governance Committee\"\])"
        ),
        "citation": re.compile(_PREFIX + r"citation"),
        "doi": re.compile(_PREFIX + r"identifier"),
        "version": re.compile(_PREFIX + r"version$"),
        "date": re.compile(_PREFIX + r"datePublished$"),
    },
    "landing_page": {
        "title": re.compile(r"^name$"),
        "license": re.compile(r"^license"),
        "terms": re.compile(r"^(?:conditionsOfAccess|usageInfo)"),
        "citation": re.compile(r"^(?:citeAs|citation)(?!.*@type$)"),
        "doi": re.compile(r"^(?:@id|identifier|url)$"),
        "version": re.compile(r"^version$"),
        "date": re.compile(r"^date(?:Published|Modified)$"),
        "file": re.compile(r"^distribution"),
    },
}


@dataclass(frozen=True, slots=True)
class Document:
    """A document that says something about a release: its name, what it is (`DATASHEET_KINDS`), and its bytes."""

    source: str
    kind: str
    data: bytes


def datasheet_table(documents: Iterable[Document], *, release: str) -> pl.DataFrame:
    """`release_datasheet`: every statement of every document, whatever state it is in."""
    rows = [row for document in documents for row in _rows(document)]
    return RELEASE_DATASHEET.from_rows(rows, release=release)


def read_document(document: Document) -> tuple[Statement | None, list[Note]]:
    """The statements of a document, and what could not be read of it."""
    if document.kind == "d4d":
        root, notes = read_yaml(document.data)
        if root is not None:
            d4d.note_deviations(root)
        return root, notes
    if document.kind == "crate_root":
        return _crate_root(document)
    return _landing_page(document)


def _crate_root(document: Document) -> tuple[Statement | None, list[Note]]:
    """What the root of a crate and the stubs of other crates in it say; references are in `crate_edges`."""
    crate = read_crate(CrateFile(document.source, document.data))
    notes = [Note("not_json", str(problem)) for problem in crate.problems]
    said: dict[str, Any] = {}
    stubs: dict[str, Any] = {}
    for (position, raw), entity in zip(crate.elements, crate.objects(), strict=True):
        is_root = position == crate.root_position
        if not is_root and not outline(raw).is_crate:
            continue
        fields = {key: _by_name(key, value) for key, value in entity.items() if key not in RELATIONS}
        if is_root:
            said = fields
        else:
            stubs[normalize_id(str(entity.get("@id")), crate.base)] = fields
    statement = from_json({**said, **({"crates": stubs} if stubs else {})})
    return (statement, notes) if statement.children else (None, notes)


def _by_name(key: str, value: object) -> object:
    """`additionalProperty` of the 2025 crates by the names of the properties, instead of by their order."""
    if key != "additionalProperty" or not isinstance(value, list):
        return value
    named = {
        one["name"]: one.get("value") for one in value if isinstance(one, dict) and isinstance(one.get("name"), str)
    }
    return named if len(named) == len(value) else value


def _landing_page(document: Document) -> tuple[Statement | None, list[Note]]:
    """What the JSON-LD of a page says: the dataset at the top, what is beside it under `beside[n]`."""
    data, notes = document.data, []
    scripts = [data]
    if data.lstrip()[:1] == b"<":
        scripts = _JSON_LD.findall(data)
        notes = [] if scripts else [Note("not_json", "the page has no JSON-LD")]
    values: list[object] = []
    for number, script in enumerate(scripts, 1):
        value, problem = read_json(script)
        if problem is None:
            values += _things(value)
        else:
            of_script = f"script {number}: " if len(scripts) > 1 else ""
            notes.append(Note("not_json", of_script + problem))
    return _dataset_first(values), notes


def _things(value: object) -> list[object]:
    """The things in a piece of JSON-LD: one, the items of a list, or those of a graph."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    graph = value.get("@graph") if isinstance(value, dict) else None
    return graph if isinstance(graph, list) and not _is_dataset(value) else [value]


def _dataset_first(things: list[object]) -> Statement | None:
    if not things:
        return None
    first = next((thing for thing in things if _is_dataset(thing)), things[0])
    beside = [thing for thing in things if thing is not first]
    if not beside:
        return from_json(first)
    top = first if isinstance(first, dict) else {"value": first}
    return from_json({**top, "beside": beside})


def _is_dataset(thing: object) -> bool:
    types = thing.get("@type") if isinstance(thing, dict) else None
    return any(normalize_type(str(one)) == "Dataset" for one in (types if isinstance(types, list) else [types]))


def _rows(document: Document) -> Iterator[dict[str, object]]:
    root, notes = read_document(document)
    said: list[dict[str, object]] = [_note_row(note) for note in notes]
    if root is not None:
        said += [_row(statement, document.kind) for statement in root.walk() if _is_worth_a_row(statement)]
    for index, row in enumerate(said):
        yield {"source": document.source, "row": index, "source_kind": document.kind, **row}


def _is_worth_a_row(statement: Statement) -> bool:
    """Values, and containers that are empty or deviate: the others say nothing beside what stands in them."""
    return statement.kind not in ("object", "list") or bool(statement.deviations) or not statement.children


def _row(statement: Statement, kind: str) -> dict[str, object]:
    truth = _truth(statement)
    return {
        "field": statement.path,
        "value": statement.text,
        "value_type": statement.kind,
        "truth": truth,
        "topics": _topics(statement, kind),
        "line": statement.line,
        "deviations": list(dict.fromkeys(code for code, _ in statement.deviations)),
        "detail": "; ".join(story for _, story in statement.deviations) or None,
    }


def _truth(statement: Statement) -> bool | None:
    """Yes or no, where one belongs: as YAML 1.1 reads the words, whether they are quoted or not. Prose is neither."""
    asked = _YES_NO_SLOT.search(statement.path) is not None and _NOT_YES_NO.search(statement.path) is None
    if statement.text is None or (statement.kind != "boolean" and not asked):
        return None
    word = statement.text.strip().lower()
    if word in _YES | _NO:
        return word in _YES
    statement.deviates("yes_no_text", "prose where a yes or no belongs; it is neither")
    return None


def _topics(statement: Statement, kind: str) -> list[str]:
    path = _BESIDE.sub("", statement.path) if kind == "landing_page" else statement.path
    topics = [topic for topic, fields in _TOPICS[kind].items() if fields.search(path)]
    text = statement.text or ""
    if "contact" not in topics and _EMAIL.search(text):
        topics.append("contact")
    if "embargo" in text.lower():
        topics.append("embargo")
    return topics


def _note_row(note: Note) -> dict[str, object]:
    return {
        "field": "",
        "value": note.text,
        "value_type": "string" if note.text is not None else "absent",
        "truth": None,
        "topics": [],
        "line": note.line,
        "deviations": [note.code],
        "detail": note.story,
    }


def carried_over(datasheet: pl.DataFrame) -> dict[str, list[str]]:
    """What everything published later has to carry: topic to the distinct values stated, the landing page's first.

    Topics are `license`, `terms`, `prohibited_use`, `embargo`, `contact` and `citation`.
    """
    order = pl.col("source_kind").replace_strict({"landing_page": 0, "crate_root": 1, "d4d": 2}, return_dtype=pl.Int8)
    stated = datasheet.filter(pl.col("value").str.strip_chars() != "").sort(order, maintain_order=True)
    return {
        topic: stated.filter(pl.col("topics").list.contains(topic))["value"].unique(maintain_order=True).to_list()
        for topic in ("license", "terms", "prohibited_use", "embargo", "contact", "citation")
    }
