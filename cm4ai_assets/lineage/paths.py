"""What a path of the storage stands for, as a link: a table, a store or a part of one, a document, a blob, a record.

Belongs here: from a path that a person copied to what it is. Does not belong here: paths themselves
(`storage.layout`), and what is behind the link (`products`, `rules`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from cm4ai_assets.errors import SelectionError
from cm4ai_assets.lineage.chain import Chain
from cm4ai_assets.lineage.products import DOCUMENT, STORES, document_step, store_step, table_step, tables_of
from cm4ai_assets.lineage.rules.images import planes
from cm4ai_assets.lineage.steps import Step, StepKind, Stored
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.addresses import blob_of, is_index_entry, product_folder_of, record_of, store_of
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.profiles import CHUNK, STATISTICS
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, IMAGE, NUCLEI
from cm4ai_assets.tables.images import IF_QUALITY
from cm4ai_assets.tables.targets import PERTURB_TARGETS


def step_at(chain: Chain, path: str) -> Step | str:
    """What stands under a path of the storage, as a link; the digest of a blob, which is traced as published files.

    Raises:
        SelectionError: It is a folder of several things, or nothing whose origin is known.
    """
    if (about := record_of(path)) is not None:
        return _of_record(chain, path, about)
    if (blob := blob_of(path)) is not None:
        return blob
    if is_index_entry(path):
        return _meant(chain, path)
    if (step := _stored_at(chain, path)) is not None:
        return step
    raise SelectionError(
        f"{path} is nothing whose origin is recorded by itself.",
        remedy="Name a table's file, a store or a file in it, a document, a blob, or a published file.",
    )


def _stored_at(chain: Chain, path: str) -> Step | None:
    """A store or a part of one, statistics, a release's record, a table or a document; None if it is none of these."""
    if (store := store_of(path)) is not None:
        is_level = path.startswith(f"{layout.LEVELS}/")
        return _level(chain, *store) if is_level else _part(chain, *store)
    if path.startswith(f"{layout.PIXEL_STATISTICS}/"):
        return _statistics(chain, path)
    if path.startswith(f"{layout.RELEASES}/"):
        return _release(chain, path)
    folder = product_folder_of(path)
    return None if folder is None else _product(chain, *folder)


def _of_record(chain: Chain, path: str, about: str) -> Step | str:
    """A record beside something: what it is about."""
    found = step_at(chain, about)
    if isinstance(found, str):
        return found
    note = "This record is written by the run that makes what it is about."
    return Step(StepKind.RECORD, f"record {path}", stored=_bytes_of(chain, path), notes=(note,), origins=(found,))


def _bytes_of(chain: Chain, path: str) -> Stored:
    return Stored(path, None, int(chain.store.fs.size(chain.store.address(path)) or 0))


def _meant(chain: Chain, path: str) -> str:
    """The blob that an entry of the index means."""
    return str(json.loads(chain.store.read(path))["sha256"])


def _release(chain: Chain, path: str) -> Step:
    record = ReleaseRegistry(chain.store).get(path.rsplit("/", 1)[-1].removesuffix(".json"))
    stored, _ = chain.stored(path)
    name = f"dataset {record.doi}, version {record.version}, of {record.archive}"
    dataset = Step(StepKind.OUTSIDE, name, notes=(f"{record.title}. The record says what was seen of it.",))
    return Step(StepKind.RECORD, f"record of release {record.key}", stored=stored, origins=(dataset,))


def _product(chain: Chain, folder: str, part: str | None) -> Step | None:
    """A table's file or folder, or a document's folder or a file of it."""
    table = layout.table_partition(f"{folder}/data.parquet")
    if table is not None and part in {None, "data.parquet"} and chain.store.exists(f"{folder}/data.parquet"):
        return table_step(chain, *table)
    document = layout.document_partition(f"{folder}/{layout.CURRENT}")
    if document is None or document[0] not in DOCUMENT or not chain.store.exists(f"{folder}/{layout.CURRENT}"):
        return None
    step = document_step(chain, *document, part=part)
    current = chain.store.document(DOCUMENT[document[0]], document[1]).folder
    if part not in {None, layout.CURRENT} and not f"{folder}/{part}/".startswith(f"{current}/"):
        raise SelectionError(f"{folder}/{part} is of a version that is no longer published.", remedy=f"Now: {current}.")
    return step


def _part(chain: Chain, path: str, part: str | None) -> Step:
    """A store, or a file in it: which fields, nuclei or targets that holds."""
    whole = store_step(chain, path)
    if part is None:
        return whole
    name = STORES[path.rsplit("/", 1)[0]]
    held = [step for place in tables_of(chain, path) for step in _held_in(chain, name, place, part)]
    stored, notes = chain.stored(path)
    recorded = chain.recorded_files(path, []) or {}
    digest = recorded.get(part)
    notes = (f"SHA-256 of this file: {digest.sha256 if digest else 'not recorded'}.", *notes)
    if not held:
        notes = ("It holds no field, nucleus or target: it describes the store.", *notes)
    of_part = replace(stored, part=part)
    return Step(StepKind.STORE, f"{part} of store {path}", stored=of_part, notes=notes, origins=(*held, whole))


def _held_in(chain: Chain, name: str, place: Partition, part: str) -> Iterator[Step]:
    """The rows, or planes, of a partition that a file of its store holds."""
    if name == PERTURB_TARGETS.name:
        yield from _targets_in(chain, place, part)
        return
    shard = (IMAGE if name == "if_tensors" else NUCLEI).number(part)
    if shard is None:
        return
    fields = pl.col("tensor_index").is_between(FIELDS_PER_SHARD * shard, FIELDS_PER_SHARD * (shard + 1) - 1)
    if name == "if_cells":
        yield from chain.matching(name, place, fields)
        return
    where = chain.place("if_fields", place)
    inside = (
        []
        if where is None
        else chain.table("if_fields", where).filter(fields).collect()["tensor_index"].sort().to_list()
    )
    yield from planes(chain, place, inside) if inside else ()


def _targets_in(chain: Chain, place: Partition, part: str) -> Iterator[Step]:
    found = re.fullmatch(rf"(?:{'|'.join(STATISTICS)})/c/(\d+)/\d+", part)
    if found is not None:
        first = CHUNK[0] * int(found[1])
        yield from chain.matching(
            PERTURB_TARGETS.name, place, pl.col("tensor_index").is_between(first, first + CHUNK[0] - 1)
        )


def _level(chain: Chain, store: str, part: str | None) -> Step:
    """A copy of a tensor at a smaller edge length: it changes the speed of readers and nothing else."""
    tensor = layout.tensor_path(store.rsplit("/", 1)[-1].removesuffix(".zarr").rpartition("-")[0])
    stored = Stored(store, None, None, part=part)
    note = "Averaged from a tensor, by whoever asked for it; no run is recorded."
    return Step(StepKind.STORE, f"level {store}", stored=stored, notes=(note,), origins=_tensor(chain, tensor))


def _statistics(chain: Chain, path: str) -> Step:
    tensor = layout.tensor_path(path.rsplit("/", 1)[-1].removesuffix(".parquet"))
    stored, _ = chain.stored(path)
    note = f"Made in the same pass as the tensor, by its run. {IF_QUALITY.name} is a copy of it."
    return Step(StepKind.STORE, f"statistics {path}", stored=stored, notes=(note,), origins=_tensor(chain, tensor))


def _tensor(chain: Chain, path: str) -> tuple[Step, ...]:
    if chain.store.exists(path):
        return (store_step(chain, path),)
    return (Step(StepKind.OUTSIDE, f"store {path}", notes=("It is not stored here any more.",)),)
