"""What the crates are made of, read once: everything after this is a pure function of it.

Belongs here: reading the inventory's footers, stores' arrays, lists of distributions and the release's own metadata.
Does not belong here: how it is said in a crate (`building`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.heavy import pa, pq
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import PublishedFile, PublishedFiles
from cm4ai_assets.publication.stated import Stated, stated_by
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.crates import CRATE_ENTITIES
from cm4ai_assets.tables.publication import DERIVED_CRATE

Content = TypeVar("Content", str, bytes)

_METADATA = "zarr.json"
_ORCID = "https://orcid.org/"


@dataclass(frozen=True)
class StoredArray:
    """An array of a store: its name within it, and what its metadata says."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """What is delivered, and all that a crate says of it.

    Attributes:
        release: Release key.
        delivery: What it delivers.
        stated: What the release says of itself.
        published: Path of what is delivered to the published files that it was made of, as far as they are direct.
        schemas: Path of a table's file to the Arrow schema in its footer.
        arrays: Path of a store to its arrays.
        environments: SHA-256 to the list of distributions that a run had installed.
        software: SHA-256 to the source of the software of a run, as a ZIP.
        people: ORCID to the name of a person, where the release's crates say it.
        subjects: Id to the name, code and vocabulary of each subject term that the release's crates state.
    """

    release: str
    delivery: tuple[Delivered, ...]
    stated: Stated
    published: Mapping[str, tuple[PublishedFile, ...]]
    schemas: Mapping[str, pa.Schema]
    arrays: Mapping[str, tuple[StoredArray, ...]]
    environments: Mapping[str, str]
    software: Mapping[str, bytes]
    people: Mapping[str, str]
    subjects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def size_of(self, one: Delivered) -> int:
        """Bytes of all files of what is delivered, of which `one` may have a part only."""
        return next(whole.size for whole in self.delivery if (whole.kind, whole.path) == (one.kind, one.path))

    @property
    def made_on(self) -> date | None:
        """The day on which the last of it was made; where no run is recorded, on which the version came out."""
        days = [one.making.ended.date() for one in self.delivery if one.making is not None]
        return max(days, default=self.stated.released)


def facts_of(release: Release, delivery: Sequence[Delivered]) -> Facts:
    """Everything that the crates of a release say, read from its storage.

    Args:
        release: The release.
        delivery: What it delivers: `lineage.delivered.delivered`, or a part of that. Earlier crates are left out: none
            can state the digest of itself.
    """
    store, delivery = release.store, [one for one in delivery if one.name != DERIVED_CRATE.name]
    published = PublishedFiles(store)
    software = {one.making.software for one in delivery if one.making is not None}
    return Facts(
        release=release.key,
        delivery=tuple(delivery),
        stated=stated_by(release, delivery),
        published={one.path: _published(published, release.key, one) for one in delivery},
        schemas={one.path: _schema(store, one.path) for one in delivery if one.kind is Kind.TABLE},
        arrays={one.path: tuple(_arrays(store, one)) for one in delivery if is_store(one)},
        environments=dict(_stored({one.environment for one in software}, Makings(store).environment)),
        software=dict(_stored({one.source for one in software if one.source}, Makings(store).source)),
        people=_people(release),
        subjects=_subjects(release),
    )


def _stored(wanted: Collection[str], read: Callable[[str], Content]) -> Iterator[tuple[str, Content]]:
    """What is stored by digest; what is no longer stored is named by its digest alone."""
    for sha256 in sorted(wanted):
        with suppress(FileNotFoundError):
            yield sha256, read(sha256)


def is_store(one: Delivered) -> bool:
    """It is a folder of arrays."""
    return one.kind not in {Kind.TABLE, Kind.DOCUMENT}


def _published(published: PublishedFiles, release: str, one: Delivered) -> tuple[PublishedFile, ...]:
    return () if one.kind is Kind.DOCUMENT else published.inputs(release, one.name, one.partition.condition)


def _schema(store: Store, path: str) -> pa.Schema:
    with store.fs.open(store.address(path), "rb") as file:
        return pq.read_schema(file).remove_metadata()


def _arrays(store: Store, one: Delivered) -> Iterator[StoredArray]:
    for file in one.files:
        if file.path.rsplit("/", 1)[-1] != _METADATA:
            continue
        stated = json.loads(store.read(file.path))
        if stated.get("node_type") == "array":
            name = file.path.removeprefix(f"{one.path}/").removesuffix(_METADATA).rstrip("/")
            axes = tuple(axis or str(n) for n, axis in enumerate(stated.get("dimension_names") or stated["shape"]))
            yield StoredArray(name, str(stated["data_type"]), tuple(stated["shape"]), tuple(map(str, axes)))


def _people(release: Release) -> dict[str, str]:
    try:
        entities = release.table(CRATE_ENTITIES.name)
    except NotMaterializedError:
        return {}
    known = entities.filter(pl.col("entity_type") == "Person", pl.col("entity_id").str.starts_with(_ORCID))
    rows = known.select("entity_id", "name").drop_nulls().unique("entity_id", keep="first", maintain_order=True)
    return {entity.removeprefix(_ORCID): name for entity, name in rows.collect().iter_rows()}


def _subjects(release: Release) -> dict[str, dict[str, str]]:
    """The subject terms that the release's crates state, each with what is said of it."""
    try:
        entities = release.table(CRATE_ENTITIES.name)
    except NotMaterializedError:
        return {}
    terms = entities.filter(pl.col("entity_type") == "DefinedTerm", pl.col("entity_id").str.starts_with("https://"))
    rows = terms.select("entity_id", "name", "extra").unique("entity_id", keep="first", maintain_order=True)
    return {entity: _subject(name, extra) for entity, name, extra in rows.collect().iter_rows()}


def _subject(name: str | None, extra: str | None) -> dict[str, str]:
    stated = json.loads(extra) if extra else {}
    vocabulary = stated.get("inDefinedTermSet")
    said = {
        "name": name,
        "termCode": stated.get("termCode"),
        "vocabulary": vocabulary.get("@id") if isinstance(vocabulary, dict) else vocabulary,
        "vocabulary_name": vocabulary.get("name") if isinstance(vocabulary, dict) else None,
    }
    return {key: value for key, value in said.items() if isinstance(value, str) and value}
