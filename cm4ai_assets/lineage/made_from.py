"""What was made of a published file: tables, stores and documents, of every release and with their runs.

Belongs here: the way from an archive's file to everything that stands here because of it. By the records of runs where
there are some, else by what the rule of a table reads. Does not belong here: the way back (`products`, `rules`).
Exports and published folders stand outside the storage: nothing here knows them, but the record in each leads back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.lineage.chain import Chain
from cm4ai_assets.lineage.listing import same_file
from cm4ai_assets.lineage.products import DOCUMENT, STORES
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET

_DOCUMENT_IN = {CRATE_ENTITIES.name: "crate_file", CRATE_EDGES.name: "crate_file", RELEASE_DATASHEET.name: "source"}
"""Tables whose rows name a document of the release, as `file` or `file!member`, and the column."""


@dataclass(frozen=True)
class _Product:
    """Something published that is made of other things."""

    kind: StepKind
    name: str
    place: Partition
    path: str

    @property
    def title(self) -> str:
        return f"store {self.path}" if self.kind is StepKind.STORE else f"{self.kind} {self.name} ({self.place})"


def made_from(chain: Chain, files: Sequence[PublishedFile]) -> tuple[Step, ...]:
    """Everything that was made of one of some files, directly or through other things, as data walks."""
    products = [*_tables(chain), *_documents(chain)]
    made = {one: note for one in products if (note := _directly(chain, one, files)) is not None}
    grown = -1
    while grown != len(made):
        grown = len(made)
        paths = {one.path: one for one in made}
        for one in products:
            if one not in made and (through := sorted(set(_upstream(chain, one)) & paths.keys())):
                made[one] = f"Through {_named([paths[path] for path in through])}."
    ordered = [one for one in products if one in made]
    steps = [_step(chain, one, made[one]) for one in ordered]
    return tuple(
        steps + [_step(chain, store, f"Rows of {store.name} lead to it.") for store in _stores(chain, ordered)]
    )


def _tables(chain: Chain) -> Iterator[_Product]:
    for table in tables.ALL:
        for place in chain.store.partitions(table.name):
            yield _Product(StepKind.TABLE, table.name, place, layout.table_path(table, place))


def _documents(chain: Chain) -> Iterator[_Product]:
    for name, place in chain.store.published_documents():
        if name in DOCUMENT:
            yield _Product(StepKind.DOCUMENT, name, place, layout.document_folder(DOCUMENT[name], place))


def _directly(chain: Chain, one: _Product, files: Sequence[PublishedFile]) -> str | None:
    """How a table comes from one of the files itself, in a sentence; None if it does not."""
    if one.kind is not StepKind.TABLE or not one.place.release:
        return None
    read = chain.published.inputs(one.place.release, one.name, one.place.condition)
    own = [file for file in read if any(same_file(file, wanted) for wanted in files)]
    return _rows_of(chain, one, own) if own else None


def _rows_of(chain: Chain, one: _Product, own: Sequence[PublishedFile]) -> str:
    """That a table comes from files, and how many of its rows name one of them, where rows do."""
    names = ", ".join(f"{file.path} ({file.dataset})" for file in own)
    naming = _naming(one.name, own)
    if naming is None:
        return f"Directly from {names}."
    counted = chain.table(one.name, one.place).select(naming.fill_null(value=False).sum(), pl.len().alias("all"))
    count, every = counted.collect().row(0)
    return f"Directly from {names}: {count:,} of its {every:,} rows name it."


def _naming(name: str, own: Sequence[PublishedFile]) -> pl.Expr | None:
    """Which rows of a table name one of some files; None if rows of this table name none."""
    if "source_sha256" in tables.table(name).polars_schema:
        return pl.col("source_sha256").is_in([file.sha256 for file in own if file.sha256])
    column = _DOCUMENT_IN.get(name)
    return None if column is None else pl.col(column).str.split("!").list.first().is_in([file.path for file in own])


def _upstream(chain: Chain, one: _Product) -> list[str]:
    """The paths of what a product was made of."""
    stored, _ = chain.stored(one.path)
    if stored.making is not None:
        return [used.path for used in stored.inputs]
    rule = chain.rules.get(one.name)
    read = [tables.table(name) for name in rule.reads] if rule else tables.ALL
    wanted = ((table, part) for table in read for part in layout.partitions_of(table, one.place))
    places = ((table, chain.place(table.name, part)) for table, part in wanted)
    return [layout.table_path(table, place) for table, place in places if place is not None]


def _named(products: Sequence[_Product]) -> str:
    return ", ".join(dict.fromkeys(one.name for one in products))


def _stores(chain: Chain, made: Sequence[_Product]) -> Iterator[_Product]:
    seen = set()
    for one in made:
        if one.kind is StepKind.TABLE and one.name in STORES.values():
            paths = chain.table(one.name, one.place).select(pl.col("path").unique().sort()).collect()["path"]
            for path in paths:
                if path not in seen:
                    seen.add(path)
                    yield _Product(StepKind.STORE, one.name, one.place, path)


def _step(chain: Chain, one: _Product, note: str) -> Step:
    stored, notes = chain.stored(one.path)
    return Step(one.kind, one.title, stored=stored, notes=(note, *notes))
