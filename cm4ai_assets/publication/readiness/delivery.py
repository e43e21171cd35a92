"""The release as it is delivered here, as evidence: tables, stores, and the documents that describe them.

Belongs here: what there is, in the form that the grades need. Does not belong here: reading the storage (`gathering`),
and grades (`delivered`, `delivered_content`, `delivered_use`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.publication.readiness.described import Described
from cm4ai_assets.publication.readiness.published import Published
from cm4ai_assets.publication.readiness.summary import TableSummary
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT, DERIVED_CRATE
from cm4ai_assets.updates.credit import NOT_STATED, licence_name

D4D = "datasheet.yaml"
_PICTURE = re.compile(rb"data:[\w/+.-]+;base64,[\w+/=]+")
_FOLDER_DIGEST = r'"cm4ai:listingSha256":\s*"([0-9a-f]{64})"'
_OF_THE_SOURCE = (
    "Files made here carry the identifier of the release that they are made from. They have one of their own once "
    "somebody deposits them."
)


def is_copy(name: str) -> bool:
    """A crate that says what another says, in the form that FAIRSCAPE's models take: it is not counted twice."""
    return name.startswith("fairscape/")


@dataclass(frozen=True)
class Delivery:
    """What there is of a release as it is delivered.

    Attributes:
        published: What it is made from.
        items: Its tables and stores.
        documents: Name of a document to its files, as they are published.
        described: What those documents say.
        origins: Path of a table or store to the published files behind it.
        differing: Path of a table to how its file differs from its schema; empty where it does not.
        summaries: Statistics of the tables.
        altered: What was found when a sample of the files was read again.
        sampled: How many files were read again.
        environments: SHA-256 of the environments of which the list of distributions is stored.
        splits: The table of splits; no rows where it is not made.
        leaks: What the proof found in it; None where it is not made.
    """

    published: Published
    items: tuple[Delivered, ...]
    documents: Mapping[str, Mapping[str, bytes]]
    described: Described
    origins: Mapping[str, Sequence[PublishedFile]]
    differing: Mapping[str, str]
    summaries: tuple[TableSummary, ...]
    altered: tuple[str, ...] = ()
    sampled: int = 0
    environments: frozenset[str] = frozenset()
    splits: pl.DataFrame = field(default_factory=pl.DataFrame)
    leaks: Finding | None = None

    @cached_property
    def croissant(self) -> dict[str, Any]:
        """The Croissant document; empty where there is none."""
        return self.json(CROISSANT.name, CROISSANT.entry)

    @cached_property
    def crate(self) -> dict[str, Any]:
        """The release's derived crate; empty where there is none."""
        return self.json(DERIVED_CRATE.name, DERIVED_CRATE.entry)

    def json(self, document: str, name: str) -> dict[str, Any]:
        """A JSON object among the files of a document; empty where it is not there."""
        data = self.documents.get(document, {}).get(name)
        value = json.loads(data) if data else {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def page(self) -> str:
        """The report without its pictures, which say nothing in words; empty where there is none."""
        data = self.documents.get(DATASHEET_REPORT.name, {}).get(DATASHEET_REPORT.entry, b"")
        return _PICTURE.sub(b"", data).decode(errors="replace")

    @cached_property
    def datasheet(self) -> str:
        """The datasheet (D4D) as text."""
        return self.documents.get(DATASHEET_REPORT.name, {}).get(D4D, b"").decode(errors="replace")

    @cached_property
    def crate_text(self) -> str:
        """All crates as one text, for ids and digests."""
        files = self.documents.get(DERIVED_CRATE.name, {})
        return "\n".join(
            data.decode(errors="replace") for name, data in files.items() if name.endswith("metadata.json")
        )

    @cached_property
    def software(self) -> frozenset[str]:
        """SHA-256 of the sources of software that are files of the derived crate."""
        files = self.documents.get(DERIVED_CRATE.name, {})
        return frozenset(hashlib.sha256(data).hexdigest() for name, data in files.items() if name.endswith(".zip"))

    @cached_property
    def croissant_text(self) -> str:
        """The Croissant document as text."""
        return self.documents.get(CROISSANT.name, {}).get(CROISSANT.entry, b"").decode(errors="replace")

    @cached_property
    def licences(self) -> frozenset[str]:
        """The licences of all that is delivered, by the credits in the files."""
        return frozenset(
            licence_name(part) for one in self.items for part in one.credit.get("license", NOT_STATED).split(", ")
        )

    @property
    def identity(self) -> tuple[str, str]:
        """DOI and version of the lock; empty where there is not exactly one."""
        named = self.published.files.select("doi", "version").unique().rows()
        return named[0] if len(named) == 1 else ("", "")

    @property
    def limits(self) -> tuple[str, ...]:
        """What is to be known of the column."""
        absent = [one.name for one in (CROISSANT, DERIVED_CRATE, DATASHEET_REPORT) if one.name not in self.documents]
        return (_OF_THE_SOURCE, *(f"{one} is not materialized; what it would say is not counted." for one in absent))

    @cached_property
    def crate_digests(self) -> frozenset[str]:
        """Every SHA-256 that the crates state of a file, or of a folder."""
        stated = self.described.entities
        folders = stated["extra"].drop_nulls().str.extract(_FOLDER_DIGEST).drop_nulls()
        return frozenset(stated["sha256"].drop_nulls()) | frozenset(folders)

    @cached_property
    def croissant_digests(self) -> frozenset[str]:
        """Every SHA-256 that Croissant states of a file."""
        return frozenset(str(one.get("sha256")) for one in listed(self.croissant, "distribution"))

    def recorded(self, item: Delivered, digests: frozenset[str]) -> bool:
        """A document states the digest of an item: of its folder, or of all its files."""
        return item.digest in digests or (bool(item.files) and all(file.sha256 in digests for file in item.files))


def listed(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects under a key of a JSON object."""
    found = value.get(key, [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
