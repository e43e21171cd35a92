"""The evidence of a release, read from the storage: its tables, its documents, its files, its records.

Belongs here: reading, once each, in bounded memory. A document is read file by file and held against its record; of the
tables, statistics and footers; of files, a sample again. Does not belong here: what follows from it (`published`,
`delivered`), and Dagster.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.crates.datasheet import Document as Datasheet
from cm4ai_assets.crates.datasheet import datasheet_table
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import CrateFile, read_crates
from cm4ai_assets.errors import DocumentError, NotMaterializedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.integration.leaks import no_leaks
from cm4ai_assets.integration.mapping import bundled_mapping
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import PublishedFiles
from cm4ai_assets.publication.readiness.delivery import D4D, Delivery, is_copy
from cm4ai_assets.publication.readiness.described import Described
from cm4ai_assets.publication.readiness.published import READS, Published
from cm4ai_assets.publication.readiness.summary import TableSummary, summarized
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets.tables.integration import SPLITS
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT, DERIVED_CRATE

_SAMPLE_BYTES = 256 * 1024**2
_CRATE = "ro-crate-metadata.json"
_LIST_OF_FILES = re.compile(rb"^file_collections:\n(?:[ -].*\n)*", re.MULTILINE)
"""The slot of the datasheet that lists thousands of files, of which digests are held against the crates'."""


def published_evidence(store: Store, release: str) -> Published:
    """How a release was published, by its tables; one that is not made has no rows."""
    return Published.of({name: rows for name in READS if (rows := _rows(store, release, name)) is not None})


def delivered_evidence(store: Store, release: str, items: Sequence[Delivered], published: Published) -> Delivery:
    """What is delivered of a release, and what the documents about it say.

    Args:
        store: The storage.
        release: Release key.
        items: What it delivers (`lineage.delivered`); documents among them are looked up anew.
        published: Its evidence as published.
    """
    data = tuple(one for one in items if one.kind is not Kind.DOCUMENT)
    documents, damage = _documents(store, release)
    sampled, altered = _sample(store, data)
    splits, leaks = _splits(store, release)
    behind = PublishedFiles(store)
    return Delivery(
        published=published,
        items=data,
        documents=documents,
        described=described_by(documents, release),
        origins={one.path: behind.inputs(one.partition.release, one.name, one.partition.condition) for one in data},
        differing={one.path: _differs(store, one) for one in data if one.table is not None},
        summaries=tuple(_summaries(store, data)),
        altered=(*damage, *altered),
        sampled=sampled + sum(len(files) for files in documents.values()),
        environments=frozenset(_environments(store, data)),
        splits=splits,
        leaks=leaks,
    )


def described_by(documents: Mapping[str, Mapping[str, bytes]], release: str) -> Described:
    """What the documents say, read as the published ones are read."""
    crates = documents.get(DERIVED_CRATE.name, {})
    files = [CrateFile(name, data) for name, data in crates.items() if name.endswith(_CRATE) and not is_copy(name)]
    made = crate_tables(read_crates(files), release=release)
    sheets = [Datasheet(name, "crate_root", crates[name]) for name in [DERIVED_CRATE.entry] if name in crates]
    if data := documents.get(DATASHEET_REPORT.name, {}).get(D4D):
        sheets.append(Datasheet(D4D, "d4d", _LIST_OF_FILES.sub(b"", data)))
    if data := documents.get(CROISSANT.name, {}).get(CROISSANT.entry):
        sheets.append(Datasheet(CROISSANT.entry, "landing_page", _without_files(data)))
    statements = datasheet_table(sheets, release=release)
    place = f"{DERIVED_CRATE.entry}, {D4D}, {CROISSANT.entry}"
    return Described(statements, made.entities, made.edges, place, "entities of ro-crate-metadata.json")


def _without_files(data: bytes) -> bytes:
    """Croissant's statements on the dataset: thousands of fields and files say nothing of it."""
    stated = json.loads(data)
    return json.dumps({k: v for k, v in stated.items() if k not in {"recordSet", "distribution", "@context"}}).encode()


def _rows(store: Store, release: str, name: str) -> pl.DataFrame | None:
    try:
        return Release(release, store).table(name).collect()
    except NotMaterializedError:
        return None


def _documents(store: Store, release: str) -> tuple[dict[str, dict[str, bytes]], list[str]]:
    """The files of the documents that are published, and which of them are not what was published."""
    found: dict[str, dict[str, bytes]] = {}
    damage: list[str] = []
    for document in (CROISSANT, DATASHEET_REPORT, DERIVED_CRATE):
        try:
            published = store.document(document, Partition(release))
        except NotMaterializedError:
            continue
        except DocumentError as error:
            damage.append(str(error))
            continue
        for name, recorded in published.files.items():
            try:
                data = store.read(f"{published.folder}/{name}")
            except FileNotFoundError:
                damage.append(f"{document.name}/{name} is missing")
                continue
            if hashlib.sha256(data).hexdigest() != recorded.sha256:
                damage.append(f"{document.name}/{name} was altered")
                continue
            found.setdefault(document.name, {})[name] = data
    return found, damage


def _sample(store: Store, items: Sequence[Delivered]) -> tuple[int, list[str]]:
    """The smallest file of every table and store, read again while they are small: how many, and which are altered."""
    left, read, altered = _SAMPLE_BYTES, 0, []
    smallest = [min(one.files, key=lambda file: (file.size, file.path)) for one in items if one.files]
    for file in sorted(smallest, key=lambda file: (file.size, file.path)):
        if file.size > left:
            break
        left, read = left - file.size, read + 1
        try:
            same = hashlib.sha256(store.read(file.path)).hexdigest() == file.sha256
        except FileNotFoundError:
            same = False
        altered += [] if same else [file.path]
    return read, altered


def _differs(store: Store, item: Delivered) -> str:
    """How the columns of a file differ from those that are described; empty if they do not."""
    if item.table is None:
        return ""
    there = dict(store.table(item.name, item.partition).collect_schema())
    wanted = {column.name: column for column in item.table.columns}
    absent = [name for name, column in wanted.items() if name not in there and not column.nullable]
    other = [name for name, kind in there.items() if name not in wanted or wanted[name].dtype != kind]
    return ", ".join(absent + other)


def _summaries(store: Store, items: Sequence[Delivered]) -> Iterator[TableSummary]:
    for one in items:
        if one.table is not None:
            yield summarized(one.table, str(one.partition), store.table(one.name, one.partition))


def _environments(store: Store, items: Sequence[Delivered]) -> Iterator[str]:
    """Environments of which the list of distributions is stored, and is what its name says."""
    for digest in sorted({one.making.software.environment for one in items if one.making}):
        try:
            text = Makings(store).environment(digest)
        except FileNotFoundError:
            continue
        if hashlib.sha256(text.encode()).hexdigest() == digest:
            yield digest


def _splits(store: Store, release: str) -> tuple[pl.DataFrame, Finding | None]:
    """The splits, and what the proof finds in them."""
    splits, antibodies = (_rows(store, release, name) for name in (SPLITS.name, IF_ANTIBODIES.name))
    if splits is None:
        return SPLITS.empty(), None
    proof = None if antibodies is None else no_leaks(splits, antibodies, bundled_mapping())
    return splits, proof
