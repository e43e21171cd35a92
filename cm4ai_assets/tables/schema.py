"""What a table is: columns with types, units and meaning, a key, and how a frame is held against them.

Belongs here: the description of tables in general, and of documents, the other kind of product. The tables stand beside
it, one module per subject. From these descriptions come the Parquet schema, the column schema in the UI, the blocking
check and docs/data-dictionary.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import polars as pl

from cm4ai_assets.errors import SchemaViolationError
from cm4ai_assets.partitioning import Partitioning


@dataclass(frozen=True)
class Column:
    """One column: its name, polars dtype, meaning, unit, and what values it may hold."""

    name: str
    dtype: pl.DataType
    description: str
    unit: str | None = None
    nullable: bool = False
    allowed: tuple[str, ...] | None = None

    @property
    def type_name(self) -> str:
        """The dtype as people write it: `String`, `Int64`, `List(String)`."""
        return str(self.dtype)


_RELEASE = Column("release", pl.String(), "Release key: one DOI, one version, one set of bytes.")
_CONDITION = Column("condition", pl.String(), "Treatment condition: untreated, paclitaxel or vorinostat.")


@dataclass(frozen=True)
class Rule:
    """A statement that holds for every row: `holds` is true where it does, and null counts as true."""

    name: str
    description: str
    holds: Callable[[], pl.Expr]


@dataclass(frozen=True)
class Violation:
    """One way in which a frame is not what its table says, with how many rows and an example of them."""

    rule: str
    message: str
    rows: int
    sample: str
    column: str = ""


@dataclass(frozen=True)
class Table:
    """A published table. `own_columns` leave out the partition columns, which `columns` puts first.

    `is_long` says that it is written and held against its rules a stretch of rows at a time, because as a whole it
    would not fit into memory: its rules are about single rows.
    """

    name: str
    description: str
    partitioning: Partitioning
    own_columns: tuple[Column, ...]
    key: tuple[str, ...]
    rules: tuple[Rule, ...] = ()
    source: str = ""
    is_long: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column in the order it stands in the file: partitions first, so that one file explains itself."""
        dimensions = {
            Partitioning.RELEASE: (_RELEASE,),
            Partitioning.CONDITION_RELEASE: (_RELEASE, _CONDITION),
            Partitioning.NONE: (),
        }
        return (*dimensions[self.partitioning], *self.own_columns)

    @property
    def polars_schema(self) -> pl.Schema:
        """Column name to dtype."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.polars_schema)

    def from_rows(self, rows: list[dict[str, object]], *, release: str, condition: str | None = None) -> pl.DataFrame:
        """A frame from row dictionaries: typed strictly, partition columns filled in, columns in order.

        Raises:
            SchemaViolationError: A row has a field the table does not know, or a value of another type.
        """
        own = {column.name: column.dtype for column in self.own_columns}
        unknown = {name for row in rows for name in row} - own.keys()
        if unknown:
            raise SchemaViolationError(f"Table {self.name} has no column {', '.join(sorted(unknown))}.")
        try:
            frame = pl.DataFrame(rows, schema=own, strict=True, orient="row")
        except (TypeError, pl.exceptions.PolarsError) as error:
            raise SchemaViolationError(f"Table {self.name}: {error}") from error
        return self.place(frame, release=release, condition=condition)

    def place(self, frame: pl.DataFrame, *, release: str, condition: str | None = None) -> pl.DataFrame:
        """The frame with its partition columns set, and the columns in the table's order."""
        if self.partitioning is not Partitioning.NONE:
            frame = frame.with_columns(pl.lit(release, pl.String()).alias("release"))
        if self.partitioning is Partitioning.CONDITION_RELEASE:
            frame = frame.with_columns(pl.lit(condition, pl.String()).alias("condition"))
        return frame.select([column.name for column in self.columns if column.name in frame.columns])

    def violations(self, frame: pl.DataFrame) -> list[Violation]:
        """Every way in which the frame is not what this table says. Empty means it may be published."""
        expected, actual = dict(self.polars_schema), dict(frame.schema)
        if list(expected.items()) != list(actual.items()):
            return [_shape_violation(expected, actual)]
        found: list[Violation] = []
        for column in self.columns:
            if not column.nullable and frame[column.name].null_count():
                bad = frame.filter(pl.col(column.name).is_null())
                found.append(_violation(self, "not_null", f"{column.name} has nulls", bad, column.name))
            if column.allowed is not None:
                bad = frame.filter(~_allowed(column))
                if bad.height:
                    message = f"{column.name} has values outside {column.allowed}"
                    found.append(_violation(self, "allowed", message, bad, column.name))
        if self.key and not _surely_unique(frame, self.key):
            bad = frame.filter(pl.struct(self.key).is_duplicated())
            if bad.height:
                found.append(_violation(self, "key", f"({', '.join(self.key)}) is not unique", bad))
        for rule in self.rules:
            bad = frame.filter(~rule.holds().fill_null(value=True))
            if bad.height:
                found.append(_violation(self, rule.name, rule.description, bad))
        return found

    def violations_in(self, stretches: Iterable[pl.DataFrame]) -> list[Violation]:
        """Those of a long table (`is_long`), whose rows come in stretches; of the key, 8 bytes a row are kept."""
        by_rows = replace(self, key=())
        found: dict[tuple[str, str], Violation] = {}
        keys: list[pl.Series] = []
        for frame in stretches:
            new = by_rows.violations(frame)
            for one in new:
                before = found.get((one.rule, one.column))
                found[one.rule, one.column] = replace(before, rows=before.rows + one.rows) if before else one
            if self.key and not any(one.rule == _SHAPE for one in new):
                keys.append(frame.select(pl.struct(self.key).hash()).to_series())
        hashes = pl.concat(keys) if keys else pl.Series(dtype=pl.UInt64)
        if rows := int(hashes.is_duplicated().sum()):
            found["key", ""] = Violation("key", f"({', '.join(self.key)}) is not unique", rows, "")
        return list(found.values())

    def validated(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame itself, if nothing is wrong with it.

        Raises:
            SchemaViolationError: Something is; the message names each rule with an offending row.
        """
        found = self.violations(frame)
        if found:
            summary = "; ".join(f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in found)
            raise SchemaViolationError(f"Table {self.name} is not as declared: {summary}")
        return frame


_SHAPE = "columns"


@dataclass(frozen=True)
class Document:
    """A published document: one file or several that refer to each other, of which `entry` is the one to open.

    HTML, JSON-LD, figures: what is made to be read as it is, and not as rows.
    """

    name: str
    description: str
    entry: str
    partitioning: Partitioning = Partitioning.RELEASE
    source: str = ""


def _surely_unique(frame: pl.DataFrame, key: tuple[str, ...]) -> bool:
    """No two rows have one hash of the key. Comparing the keys themselves takes more memory than a long table does."""
    return frame.select(pl.struct(key).hash().n_unique() == pl.len()).item() if frame.height else True


def _allowed(column: Column) -> pl.Expr:
    values = list(column.allowed or ())
    expr = pl.col(column.name)
    if isinstance(column.dtype, pl.List):
        return expr.list.eval(pl.element().is_in(values)).list.all().fill_null(value=True)
    return expr.is_in(values).fill_null(value=True)


def _violation(table: Table, rule: str, message: str, bad: pl.DataFrame, column: str = "") -> Violation:
    names = [name for name in table.key if name in bad.columns] or bad.columns[:3]
    return Violation(rule, message, bad.height, str(bad.select(names).row(0, named=True)), column)


def _shape_violation(expected: dict[str, pl.DataType], actual: dict[str, pl.DataType]) -> Violation:
    missing = [name for name in expected if name not in actual]
    extra = [name for name in actual if name not in expected]
    changed = [f"{n}: {actual[n]} instead of {d}" for n, d in expected.items() if n in actual and actual[n] != d]
    parts = []
    if missing:
        parts.append(f"missing columns {', '.join(missing)}")
    if extra:
        parts.append(f"unknown columns {', '.join(extra)}")
    if changed:
        parts.append(f"other types ({', '.join(changed)})")
    return Violation(_SHAPE, "; ".join(parts) or "columns in another order", 0, "")
