"""Which row is meant: by its number, its key, or what a frame gives of it.

Belongs here: reading that from a person, and errors that say what there is. Does not belong here: what is behind the
row (`rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from operator import index
from typing import Any, Final, SupportsIndex

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.conditions import condition_of
from cm4ai_assets.errors import NotMaterializedError, SelectionError, nearest
from cm4ai_assets.lineage.chain import NUMBER, Chain, Rows
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage.layout import Partition, partitions_of
from cm4ai_assets.tables import Column, Table
from cm4ai_assets.updates.availability import missing

RowLike = SupportsIndex | str | Mapping[str, Any]
"""A row: its number in the file of its partition, the value of a key of one column, or values by column."""

_Published = tuple[Partition, pl.LazyFrame]
_PARTITION: Final = ("release", "condition")
_NULL: Final = "null"
_COMPARED: Final = 100_000
_SHOWN: Final = 5


def table_named(name: str) -> Table:
    """The table of a name.

    Raises:
        SelectionError: There is none; the nearest ones are offered.
    """
    known = {table.name: table for table in tables.ALL}
    if name not in known:
        raise SelectionError(f"There is no table {name!r}.", remedy=nearest(name, known, heading="Tables", listed=40))
    return known[name]


def find_row(chain: Chain, table: Table, row: RowLike, condition: str | None) -> Rows:
    """The one row that is meant, where it is published for the release of the chain.

    Raises:
        SelectionError: No row is meant by that, or several are.
        UnknownTreatmentError: No such condition.
        NotMaterializedError: The table is not published for the release.
    """
    number = number_of(row)
    if number is not None:
        if condition is not None and table.partitioning is not Partitioning.CONDITION_RELEASE:
            raise SelectionError(
                f"Rows of {table.name} are counted over all conditions.", remedy="Leave the condition out."
            )
        return _by_number(table, _tables(chain, table, condition), number)
    wanted = _by_column(table, row)
    if condition is not None:
        wanted["condition"] = str(condition_of(condition))
    _require_release(chain, wanted)
    return _by_values(table, _tables(chain, table, wanted.get("condition")), wanted)


def number_of(row: RowLike) -> int | None:
    """The number of a row that is named by it; None for a row that is named by its values.

    >>> number_of(3), number_of("3"), number_of("B2AI_1_untreated_A1_R1_z01")
    (3, 3, None)
    """
    if isinstance(row, SupportsIndex):  # numpy's numbers, too
        return index(row)
    return int(row) if isinstance(row, str) and row.isdecimal() else None


def differing(rows: Rows, row: RowLike) -> list[str]:
    """The columns in which a row that a frame gave has other values now; none of what is no whole row."""
    if not isinstance(row, Mapping):
        return []
    now = rows.frame.row(0, named=True)
    return [name for name, value in row.items() if name in now and name != "release" and not _equal(value, now[name])]


def _equal(one: object, other: object) -> bool:
    return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN


def _require_release(chain: Chain, wanted: Mapping[str, Any]) -> None:
    stated = wanted.get("release")
    if stated is not None and stated != chain.release:
        raise SelectionError(f"The row is of release {stated}, not of {chain.release}.", remedy="Open that release.")


def published_places(chain: Chain, table: Table, condition: str | None) -> list[Partition]:
    """Where the partitions of a table stand for the release of the chain: of one condition, or of all.

    Raises:
        SelectionError: The table knows no conditions, and one is named.
        UnknownTreatmentError: No such condition.
        NotMaterializedError: None is published.
    """
    release = chain.release or ""
    by_condition = table.partitioning is Partitioning.CONDITION_RELEASE
    if condition is not None and "condition" not in table.polars_schema:
        raise SelectionError(f"{table.name} knows no conditions.", remedy="Leave the condition out.")
    one = condition_of(condition) if condition is not None and by_condition else None
    wanted = partitions_of(table, Partition(release, one))
    found = [place for each in wanted if (place := chain.place(table.name, each)) is not None]
    if found:
        return found
    if table.partitioning is Partitioning.NONE:
        remedy = f"Run `cm4ai materialize --release latest --select {table.name}`."
        raise NotMaterializedError(f"{table.name} is not published here.", remedy=remedy)
    raise missing(chain.store, table.name, release, one)


def _tables(chain: Chain, table: Table, condition: str | None) -> list[_Published]:
    return [(place, chain.table(table.name, place)) for place in published_places(chain, table, condition)]


def _by_column(table: Table, row: RowLike) -> dict[str, Any]:
    """Values by column: those that are given, or the one value of a key of one column."""
    if isinstance(row, Mapping):
        return dict(row)
    if len(table.key) != 1:
        raise SelectionError(
            f"{row!r} is no row of {table.name}, whose key has {len(table.key)} columns.",
            remedy=f"Name a row number, or {' '.join(f'{column}=…' for column in table.key)}.",
        )
    return {table.key[0]: row}


def _by_number(table: Table, published: Sequence[_Published], number: int) -> Rows:
    if len(published) > 1:
        named = ", ".join(str(place.condition) for place, _ in published)
        raise SelectionError(
            f"Rows of {table.name} are counted in each condition: {named}.", remedy="Name one with --condition."
        )
    ((place, rows),) = published
    height = rows.select(pl.len()).collect().item()
    if not 0 <= number < height:
        there = f"has {height:,} rows, 0 to {height - 1:,}" if height else "has no row"
        raise SelectionError(
            f"There is no row {number} in {table.name} of {place}: it {there}.",
            remedy=f"A row is named by its number, or by its key: {' '.join(f'{c}=…' for c in table.key)}.",
        )
    return Rows(table, place, rows.slice(number, 1).collect())


def _by_values(table: Table, published: Sequence[_Published], wanted: Mapping[str, Any]) -> Rows:
    columns = {column.name: column for column in table.columns}
    for name in wanted:
        if name not in columns:
            raise SelectionError(f"{table.name} has no column {name!r}.", remedy=nearest(name, columns))
    chosen = _chosen(table, wanted)
    values = {name: _typed(columns[name], value) for name, value in chosen.items()}
    where = [pl.col(name).eq_missing(pl.lit(value, columns[name].dtype)) for name, value in values.items()]
    found = [(place, rows.filter(*where).collect()) for place, rows in published]
    found = [(place, rows) for place, rows in found if rows.height]
    if not found:
        raise _none(table, published, values)
    if len(found) > 1 or found[0][1].height > 1:
        raise _several(table, found, values)
    return Rows(table, *found[0])


def _chosen(table: Table, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a row is found by: its key, if all of that is given; the partition is known already."""
    if set(table.key) <= wanted.keys():
        return {name: wanted[name] for name in table.key}
    return {name: value for name, value in wanted.items() if name not in _PARTITION or name in table.key}


def _typed(column: Column, value: Any) -> Any:  # noqa: ANN401 - any value of a table
    """A value as the column has it; a text is read as its type.

    Raises:
        SelectionError: It cannot be one.
    """
    if not isinstance(value, str) or isinstance(column.dtype, pl.String):
        return None if value == _NULL and column.nullable else value
    if value == _NULL and column.nullable:
        return None
    try:
        return _reader(column.dtype)(value)
    except (ValueError, KeyError):
        raise SelectionError(
            f"{column.name} is {column.type_name}: {value!r} is none.", remedy="Name a row by its number instead."
        ) from None


def _reader(dtype: pl.DataType) -> Callable[[str], Any]:
    """Reads a text as a value of a type; KeyError for lists and structs."""
    if dtype.is_integer():
        return int
    if dtype.is_float():
        return float
    readers: dict[type[pl.DataType], Callable[[str], Any]] = {
        pl.Boolean: {"true": True, "false": False}.__getitem__,
        pl.Date: date.fromisoformat,
        pl.Datetime: datetime.fromisoformat,
    }
    return readers[type(dtype)]


def _none(table: Table, published: Sequence[_Published], values: Mapping[str, Any]) -> SelectionError:
    """That there is no such row, with the names that are like it in the first column that does not have the value."""
    asked = ", ".join(f"{name}={value}" for name, value in values.items())
    where = ", ".join(str(place) for place, _ in published)
    for name, value in values.items():
        known = pl.concat([rows.select(name) for _, rows in published]).unique().head(_COMPARED)
        names = known.collect()[name].drop_nulls()
        if isinstance(value, str) and value not in set(names.to_list()):
            return SelectionError(f"{table.name} of {where} has no {name} {value!r}.", remedy=nearest(value, names))
    return SelectionError(f"{table.name} of {where} has no row with {asked}.", remedy="Name a row by its number.")


def _several(
    table: Table, found: Sequence[tuple[Partition, pl.DataFrame]], values: Mapping[str, Any]
) -> SelectionError:
    asked = ", ".join(f"{name}={value}" for name, value in values.items())
    shown = [f"row {number} ({place})" for place, rows in found for number in rows[NUMBER][:_SHOWN]][:_SHOWN]
    count = sum(rows.height for _, rows in found)
    several = ("condition",) if len(found) > 1 else ()
    more = [name for name in (*several, *table.key) if name not in values]
    others = " and others" if count > len(shown) else ""
    return SelectionError(
        f"{count:,} rows of {table.name} have {asked}: {', '.join(shown)}{others}.",
        remedy=f"Name one by its number and condition, or also by {', '.join(more) or 'another column'}.",
    )
