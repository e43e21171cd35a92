"""Crates as tables: entities and edges, with values normalized and every departure noted.

Belongs here: putting the tables together from crates, and what follows from their columns. Does not belong here: the
columns that an entity fills by itself (`columns`), JSON (`decoding`), finding crates (`reader`), questions to the
tables (`lineage`, `claims`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import polars as pl

from cm4ai_assets.crates.columns import entity_columns
from cm4ai_assets.crates.decoding import Described, references_of
from cm4ai_assets.crates.iris import normalize_id
from cm4ai_assets.crates.reader import Crate, Problem
from cm4ai_assets.crates.values import date_of, size_in_bytes
from cm4ai_assets.crates.vocabulary import RELATIONS
from cm4ai_assets.heavy import np
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES

# Entities turned into columns at once: few enough Python objects that the garbage collector stays cheap.
_CHUNK = 4_000


@dataclass(frozen=True)
class CrateTables:
    """The two tables of a release's crates, and what kept a file or a part of one from being read."""

    entities: pl.DataFrame
    edges: pl.DataFrame
    problems: tuple[Problem, ...]


def crate_tables(crates: Iterable[Crate], *, release: str) -> CrateTables:
    """The tables of some crates, which are let go of one by one. Each element of each `@graph` has exactly one row."""
    entities = [CRATE_ENTITIES.empty()]
    edges = [CRATE_EDGES.empty().drop("release", "target_known")]
    problems: list[Problem] = []
    with _collector_paused():
        for crate in crates:
            problems += crate.problems
            parts = list(_parts(crate))
            if parts:
                entities.append(CRATE_ENTITIES.place(_judged(pl.concat(of for of, _ in parts), crate), release=release))
                edges += [of.select(pl.lit(crate.name).alias("crate_file"), pl.all()) for _, of in parts]
    all_entities = pl.concat(entities)
    known = pl.col("target_id").is_in(all_entities["entity_id"].drop_nulls().unique().implode())
    all_edges = CRATE_EDGES.place(pl.concat(edges).with_columns(target_known=known), release=release)
    return CrateTables(all_entities, all_edges, tuple(problems))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for reference cycles meanwhile: these objects have none, and the search takes as long as the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _judged(frame: pl.DataFrame, crate: Crate) -> pl.DataFrame:
    """The entities of one crate with what follows from their columns: values read, the root known, defects noted."""
    crate_id = None if crate.root_id is None else normalize_id(crate.root_id, crate.base)
    is_root = pl.lit(value=False) if crate.root_position is None else pl.col("position") == crate.root_position
    frame = frame.with_columns(
        _read(frame[f"stated_{name}"], name, read, CRATE_ENTITIES.polars_schema[name])
        for name, read in (
            ("content_size", size_in_bytes),
            ("date_published", date_of),
            ("date_created", date_of),
            ("date_modified", date_of),
        )
    ).with_columns(
        crate_file=pl.lit(crate.name),
        crate_id=pl.lit(crate_id, pl.String()),
        entity_type=pl.col("types").list.last(),
        is_root=is_root,
        is_crate=pl.col("types").list.contains("ROCrate") | is_root,
        is_embargoed=pl.col("embargo_stated_in").list.len() > 0,
    )
    defects = [pl.when(when).then(pl.lit(defect)) for defect, when in _DEFECTS.items()]
    return frame.with_columns(pl.col("defects").list.concat(pl.concat_list(defects)).list.drop_nulls())


def _read(stated: pl.Series, name: str, read: Callable[[str], object], dtype: pl.DataType) -> pl.Series:
    """The meaning of stated values, each of which is read once however often it stands there."""
    values = stated.drop_nulls().unique().to_list()
    meanings = pl.Series([read(value) for value in values], dtype=dtype)
    return stated.replace_strict(
        pl.Series(values, dtype=pl.String()), meanings, default=None, return_dtype=dtype
    ).alias(name)


def _unread(name: str) -> pl.Expr:
    return (pl.col(f"stated_{name}") != "") & pl.col(name).is_null()


_DEFECTS = {
    "no_id": pl.col("stated_id").is_null(),
    "no_type": pl.col("types").list.len() == 0,
    "duplicate_id": pl.col("stated_id").is_not_null() & pl.col("stated_id").is_duplicated(),
    "bad_size": _unread("content_size"),
    "bad_date": _unread("date_published") | _unread("date_created") | _unread("date_modified"),
}


def _parts(crate: Crate) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The rows of a crate's entities and their edges, some at a time."""
    positions = [position for position, _ in crate.elements]
    decoded = crate.entities()
    for begin in range(0, len(positions), _CHUNK):
        chunk = list(islice(decoded, _CHUNK))
        entities = entity_columns(positions[begin : begin + _CHUNK], chunk, crate.base)
        sources = entities.select("position", source_id="entity_id")
        yield entities, _edges([entity for entity, _ in chunk], sources, crate.base)


def _edges(entities: Sequence[Described], sources: pl.DataFrame, base: str | None) -> pl.DataFrame:
    """The edges of some entities. What all targets of a key share is stated once, and repeated outside of Python."""
    found = references_of(entities)
    shared = sources[found.sources].with_columns(
        pl.Series("relation", [RELATIONS[key] for key in found.keys], dtype=pl.String()),
        pl.Series("key", found.keys, dtype=pl.String()),
    )
    repeats = np.array(found.counts, np.int64)
    first = np.cumsum(repeats) - repeats
    edges = shared[np.repeat(np.arange(len(repeats)), repeats)].with_columns(
        pl.Series("target_index", np.arange(len(found.targets)) - np.repeat(first, repeats), dtype=pl.Int32()),
        pl.Series("target_id", [normalize_id(target, base) for target in found.targets], dtype=pl.String()),
        pl.Series("stated_target", found.targets, dtype=pl.String()),
    )
    return edges.sort("position", maintain_order=True)
