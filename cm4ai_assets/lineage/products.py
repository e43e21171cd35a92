"""Whole tables, stores and documents as links: what the run that made one was given, and the published files behind it.

Belongs here: from a path of the storage to what it was made of. Where no run is recorded, it is what the table's rule
reads, as it stands now. Does not belong here: single rows (`rules`), and the other direction (`made_from`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.lineage.chain import NOT_STORED, Chain, with_notes
from cm4ai_assets.lineage.listing import by_sha256
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.steps import State, Step, StepKind, Stored
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.addresses import blob_of
from cm4ai_assets.storage.layout import Partition

_AS_NOW = "What it was made of is as its rule says, and as it stands now."
STORES = {layout.TENSORS: "if_tensors", layout.PROFILES: "perturb_targets", layout.NUCLEI: "if_cells"}
"""Rooms of stores, and the table whose rows lead to each."""
DOCUMENT = {document.name: document for document in tables.DOCUMENTS}


def table_step(chain: Chain, name: str, place: Partition) -> Step:
    """A partition of a table."""
    step: Step = chain.once(("table step", name, place), lambda: _table(chain, name, place))
    return step


def _table(chain: Chain, name: str, place: Partition) -> Step:
    stored, notes = chain.stored(layout.table_path(tables.table(name), place))
    return _made(chain, Step(StepKind.TABLE, f"table {name} ({place})", stored=stored, notes=notes), name, place)


def store_step(chain: Chain, path: str, *, part: str | None = None) -> Step:
    """A store of tensors, nuclei or profiles, by its folder."""
    step: Step = chain.once(("store step", path, part), lambda: _store(chain, path, part))
    return step


def _store(chain: Chain, path: str, part: str | None) -> Step:
    stored, notes = chain.stored(path)
    stored = replace(stored, part=part)
    users = tables_of(chain, path)
    name = STORES[path.rsplit("/", 1)[0]]
    if users:
        notes = (*notes, f"Rows of {name} lead to it: {', '.join(str(place) for place in users)}.")
    else:
        notes = (*notes, f"No row of {name} leads to it.")
    place = next(iter(users), Partition())
    return _made(chain, Step(StepKind.STORE, f"store {path}", stored=stored, notes=notes), name, place)


def tables_of(chain: Chain, path: str) -> list[Partition]:
    """The partitions of a store's table whose rows lead to it."""
    name = STORES[path.rsplit("/", 1)[0]]
    return [
        place
        for place in chain.store.partitions(name)
        if path in chain.table(name, place).select(pl.col("path").unique()).collect()["path"]
    ]


def document_step(chain: Chain, name: str, place: Partition, *, part: str | None = None) -> Step:
    """A document: a page or a description that is made of what a release delivers."""
    step: Step = chain.once(("document", name, place, part), lambda: _document(chain, name, place, part))
    return step


def _document(chain: Chain, name: str, place: Partition, part: str | None) -> Step:
    stored, notes = chain.stored(layout.document_folder(DOCUMENT[name], place))
    stored = replace(stored, part=part)
    return _made(chain, Step(StepKind.DOCUMENT, f"document {name} ({place})", stored=stored, notes=notes), name, place)


def _made(chain: Chain, product: Step, name: str, place: Partition) -> Step:
    """A product with all that it was made of: by the record of its run, else by its rule."""
    files = () if name in DOCUMENT else chain.files(name, place)
    stored, notes = product.stored, list(product.notes)
    if stored is not None and stored.making is not None:
        origins = list(_given(chain, stored, files))
    else:
        origins = list(_read(chain, name, place))
        notes.append(_AS_NOW)
    origins += [chain.file(file) for file in files]
    if not origins and name in chain.rules:
        notes.append(f"No published file is known behind it. Its source: {tables.table(name).source}.")
    return replace(product, notes=tuple(notes), origins=tuple(_once(origins)))


def _once(steps: list[Step]) -> Iterator[Step]:
    seen = set[int]()
    for step in steps:
        if id(step) not in seen:
            seen.add(id(step))
            yield step


def _given(chain: Chain, stored: Stored, files: tuple[PublishedFile, ...]) -> Iterator[Step]:
    """What a run was given, by the record of it; what has other bytes now says so.

    `files` are those behind the product: they are links of their own.
    """
    own = {file.sha256 for file in files} - {None}
    for used in stored.inputs:
        if blob_of(used.path) in own:
            continue
        note = () if used.state is State.SAME else (f"It was made of {used.digest}: {used.state}.",)
        for step in steps_at(chain, used.path):
            yield with_notes(step, *note)


def _read(chain: Chain, name: str, place: Partition) -> Iterator[Step]:
    """The tables that a table is made of by its rule, as they stand now."""
    for read in chain.rules[name].reads if name in chain.rules else ():
        for wanted in layout.partitions_of(tables.table(read), place):
            if (where := chain.place(read, wanted)) is not None:
                yield table_step(chain, read, where)


def steps_at(chain: Chain, path: str) -> list[Step]:
    """What stands, or stood, under a path of the storage that a run was given."""
    if (sha256 := blob_of(path)) is not None:
        return blob_steps(chain, sha256)
    if (table := layout.table_partition(path)) is not None:
        return [table_step(chain, *table)]
    if path.rsplit("/", 1)[0] in STORES:
        return [store_step(chain, path)]
    if (document := layout.document_partition(f"{path}/{layout.CURRENT}")) is not None and document[0] in DOCUMENT:
        return [document_step(chain, *document)]
    return [Step(StepKind.OUTSIDE, path, notes=("What this is, is not known here.",))]


def blob_steps(chain: Chain, sha256: str) -> list[Step]:
    """The published files that have stored bytes; the blob itself, if none is known."""
    files = dict.fromkeys(one.file for one in by_sha256(chain.store, sha256))
    return [chain.file(file) for file in files] or [blob_step(chain, sha256)]


def blob_step(chain: Chain, sha256: str) -> Step:
    """Stored bytes of which no release lists a file."""
    blob = chain.blobs.find("SHA-256", sha256)
    notes = ("No release here lists a file with these bytes.",) if blob else (NOT_STORED,)
    stored = Stored(chain.blobs.path(sha256), sha256, blob.size) if blob else None
    return Step(StepKind.BLOB, f"blob {sha256}", stored=stored, notes=notes)
