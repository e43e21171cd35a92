"""What a Croissant of a release does not say, and why: computed for the release, not recited.

Belongs here: that list, which the asset's page shows. Does not belong here: what mlcroissant does to values on the way
(`croissant.reading` and docs/publication.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from cm4ai_assets.publication.croissant import Described
from cm4ai_assets.references import Kind

_ASKED: Final = ("creator", "datePublished", "license", "version")
"""What Croissant asks of every dataset, and a release may not state."""
_EXACT: Final = "exact up to 2^53: mlcroissant reads integers with nulls as 64-bit floats"
_REFERENCED: Final = "its values are keys of if_fields of every condition, and a field refers to one record set"


def limits(of: Described, document: dict[str, Any]) -> pl.DataFrame:
    """What is not in the description, or not as it is meant, with the reason.

    Args:
        of: What it is made of.
        document: The description itself.
    """
    rows = [*_unstated(document), *_stores(of), *_columns(of), *_referring(of)]
    return pl.DataFrame(rows, schema={"what": pl.String(), "why": pl.String()}, orient="row")


def _unstated(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _ASKED:
        if name not in document:
            yield name, "the release does not state it"


def _stores(of: Described) -> Iterator[tuple[str, str]]:
    for one in of.delivery:
        if one.kind is not Kind.TABLE:
            what = f"{one.path}: {len(one.files):,} files"
            yield what, "listed with their digests, without record sets: no loader of Croissant opens Zarr"


def _columns(of: Described) -> Iterator[tuple[str, str]]:
    for one in of.delivery:
        present = {column.name for column in of.columns.get(one.path, ())}
        declared = one.table.columns if one.table is not None else ()
        absent = [column.name for column in declared if column.name not in present]
        if absent:
            yield f"{one.path}: {', '.join(absent)}", "the file was made before the table had the column"
    wide = [
        f"{one.name}.{column.name}"
        for one in of.delivery
        for column in of.columns.get(one.path, ())
        if column.nullable and column.dtype in (pl.Int64(), pl.UInt64())
    ]
    if wide:
        yield ", ".join(dict.fromkeys(wide)), _EXACT


def _referring(of: Described) -> Iterator[tuple[str, str]]:
    names = {one.name for one in of.delivery if one.kind is Kind.TABLE}
    if {"splits", "if_fields"} <= names:
        yield "splits.field_id", _REFERENCED
