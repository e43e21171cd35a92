"""What the variables of the delivered tables look like: descriptive statistics of every column, and example rows.

Every number comes from the published file, in one pass a table, whatever its length.

Belongs here: counts of valid, missing and unclean values, spread, frequencies, examples. Does not belong here: what a
column means (`tables`), and what is made of the numbers (`delivered_content`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from math import isfinite
from typing import Any

import polars as pl

from cm4ai_assets.tables import Column, Table

EXAMPLES = 3
_CATEGORIES = 12
_SENTINELS = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "-999", "-9999")
"""What other programs write where a value is missing; here that is a null. `None` is not among them: for a treatment it
is an answer."""


@dataclass(frozen=True)
class ColumnSummary:
    """One column: `values` are those that are there, `unclean` those of them that mean a missing one.

    `least`, `greatest`, `mean`, `deviation` are of numbers (dates have the first two); `frequencies` of categories.
    """

    name: str
    dtype: str
    values: int
    missing: int
    unclean: int
    distinct: int | None = None
    least: Any = None
    greatest: Any = None
    mean: float | None = None
    deviation: float | None = None
    frequencies: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSummary:
    """One partition of a table."""

    table: str
    partition: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    examples: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """As Croissant names the record set of it: `proteins`, `if_fields/untreated`."""
        condition, bar, _ = self.partition.rpartition("|")
        return f"{self.table}/{condition}" if bar else self.table

    @property
    def unclean(self) -> Mapping[str, int]:
        """Columns with values that mean a missing one, and how many."""
        return {one.name: one.unclean for one in self.columns if one.unclean}

    def as_json(self) -> dict[str, Any]:
        """As it stands in `summary.json`."""
        columns = [
            {key: value for key, value in asdict(one).items() if value not in (None, {})} for one in self.columns
        ]
        return {"table": self.table, "partition": self.partition, "rows": self.rows, "columns": columns,
                "examples": [dict(one) for one in self.examples]}  # fmt: skip


def summarized(table: Table, partition: str, rows: pl.LazyFrame) -> TableSummary:
    """Statistics of every column that the file has, and its first rows."""
    schema = rows.collect_schema()
    numbers = rows.select(pl.len().alias("#"), *_asked(schema)).collect().row(0, named=True)
    described = {column.name: column for column in table.columns}
    columns = tuple(_column(name, dtype, numbers, described.get(name), rows) for name, dtype in schema.items())
    examples = tuple({name: plain(value) for name, value in row.items()} for row in
                     rows.head(EXAMPLES).collect().iter_rows(named=True))  # fmt: skip
    return TableSummary(table.name, partition, int(numbers["#"]), columns, examples)


def _asked(schema: Mapping[str, pl.DataType]) -> Iterable[pl.Expr]:
    for name, dtype in schema.items():
        column = pl.col(name)
        yield column.null_count().alias(f"{name}#missing")
        if dtype.is_float():
            clean = column.filter(column.is_finite())
            yield (~column.is_finite()).sum().alias(f"{name}#unclean")
        elif dtype == pl.String:
            yield column.is_in(_SENTINELS).sum().alias(f"{name}#unclean")
            yield column.n_unique().alias(f"{name}#distinct")
            continue
        elif dtype.is_integer() or dtype.is_temporal():
            clean = column
        else:
            continue
        yield clean.min().alias(f"{name}#least")
        yield clean.max().alias(f"{name}#greatest")
        if dtype.is_numeric():
            yield clean.mean().alias(f"{name}#mean")
            yield clean.std().alias(f"{name}#deviation")


def _column(
    name: str, dtype: pl.DataType, numbers: Mapping[str, Any], described: Column | None, rows: pl.LazyFrame
) -> ColumnSummary:
    missing = int(numbers[f"{name}#missing"])
    categories = dtype == pl.Boolean or (dtype == pl.String and described is not None and described.allowed)
    return ColumnSummary(
        name=name,
        dtype=str(dtype),
        values=int(numbers["#"]) - missing,
        missing=missing,
        unclean=int(numbers.get(f"{name}#unclean") or 0),
        distinct=numbers.get(f"{name}#distinct"),
        least=plain(numbers.get(f"{name}#least")),
        greatest=plain(numbers.get(f"{name}#greatest")),
        mean=plain(numbers.get(f"{name}#mean")),
        deviation=plain(numbers.get(f"{name}#deviation")),
        frequencies=_frequencies(rows, name) if categories else {},
    )


def _frequencies(rows: pl.LazyFrame, name: str) -> dict[str, int]:
    counted = rows.select(pl.col(name).drop_nulls().cast(pl.String)).group_by(name).len("rows").collect()
    return dict(counted.sort(["rows", name], descending=[True, False]).head(_CATEGORIES).iter_rows())


def plain(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """A value as JSON has it: numbers to 6 digits, times in ISO 8601, bytes by their number."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | pl.Series):
        return [plain(one) for one in value]
    if value is None or isinstance(value, int | str):
        return value
    return f"{len(value)} bytes" if isinstance(value, bytes) else _in_words(value)


def _in_words(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
