"""Values of a table: its clean text parsed into columns, with every value that is not one noted.

Belongs here: missing values, numbers, lists and flags. Does not belong here: lines and fields (`text`), ids
(`identifiers`), and what a column means (the readers).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.proteomics.problems import (
    DECIMAL_COMMA,
    NEGATIVE,
    NON_NUMERIC,
    Defect,
    Defects,
    TableDamagedError,
)
from cm4ai_assets.proteomics.text import Text
from cm4ai_assets.vocabulary import MISSING

# Above this share of unreadable numbers the column is of another format, not a slip.
_UNREADABLE_LIMIT = 0.01
_COMMA_NUMBER = r"^[+-]?\d+,\d+(?:[eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?\d{1,3},\d{3}$"


def read_columns(text: Text, strings: list[str], numbers: list[str]) -> tuple[pl.DataFrame, Defects]:
    """The named columns of a table: `strings` verbatim (missing as null), `numbers` as Float64 with missing as null.

    A number that does not parse, or is not finite, becomes missing and is noted; so is one below zero, which stays.

    Raises:
        TableDamagedError: More numbers than a slip explains do not parse, or the text is not parsable at all.
    """
    defects = Defects()
    try:
        frame = _parse(text, dict.fromkeys(numbers, pl.Float64())).select([*strings, *numbers])
    except pl.exceptions.ComputeError:
        frame = _parse_slowly(text, strings, numbers, defects)
    frame = frame.with_columns(pl.col(numbers).fill_nan(None))
    infinite = frame.select(pl.col(numbers).is_infinite().any()) if numbers else pl.DataFrame()
    for column in [name for name in infinite.columns if infinite[name][0]]:
        _note(
            text, defects, frame[column], frame[column].is_infinite(), kind=NON_NUMERIC, what="is not finite; missing"
        )
        frame = frame.with_columns(pl.when(pl.col(column).is_finite()).then(pl.col(column)))
    lowest = frame.select(pl.col(numbers).min()) if numbers else pl.DataFrame()
    for column in [name for name in lowest.columns if (lowest[name][0] or 0.0) < 0]:
        _note(text, defects, frame[column], frame[column] < 0, kind=NEGATIVE, what="is negative; kept")
    return frame, defects


def flag_list(flags: dict[str, pl.Expr]) -> pl.Expr:
    """The names of those flags that hold, as the list column `defects`."""
    named = [pl.when(holds).then(pl.lit(name)) for name, holds in flags.items()]
    return pl.concat_list(named).list.drop_nulls().alias("defects")


def whole_number(column: str | pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Text as a whole number; null where it is none. `7.0` is one, `7.5` is not."""
    text = (pl.col(column) if isinstance(column, str) else column).str.strip_chars()
    return text.str.replace(r"\.0+$", "").cast(dtype, strict=False)


def only_whole(column: str, dtype: pl.DataType) -> pl.Expr:
    """A number as a whole one; null where it is none, or does not fit. 31.6 is not 31."""
    return pl.when(pl.col(column) == pl.col(column).round()).then(pl.col(column)).cast(dtype, strict=False)


def note_lines(
    defects: Defects, frame: pl.DataFrame, bad: pl.Expr, *, kind: str, file: str, column: str, detail: str
) -> None:
    """Note a defect for each row of a frame with a column `line` for which something holds."""
    lines = frame.filter(bad.fill_null(value=False))["line"].to_numpy()
    defects.add_lines(kind, file, lines, column, lambda _: detail)


def _parse(text: Text, types: dict[str, pl.DataType]) -> pl.DataFrame:
    frame = pl.read_csv(
        text.data,
        separator=text.separator,
        quote_char='"' if text.is_quoted else None,
        infer_schema=False,
        schema_overrides=types,
        null_values=list(MISSING),
    )
    if frame.height != text.rows:
        raise TableDamagedError(text.name, f"{frame.height} rows were read where {text.rows} lines stand")
    return frame


def _parse_slowly(text: Text, strings: list[str], numbers: list[str], defects: Defects) -> pl.DataFrame:
    """For a table that holds something that is no number: as strings, each failure noted."""
    try:
        raw = _parse(text, {}).select([*strings, *numbers])
    except pl.exceptions.ComputeError as error:
        raise TableDamagedError(text.name, f"it cannot be parsed ({str(error).splitlines()[0]})") from error
    raw = raw.with_columns(pl.col(numbers).str.strip_chars())
    if _has_decimal_commas(raw.select(numbers), text.separator):
        defects.add(Defect(DECIMAL_COMMA, text.name, text.header_line, "", "numbers have a decimal comma"))
        raw = raw.with_columns(pl.col(numbers).str.replace(",", ".", literal=True))
    cast = raw.with_columns(pl.col(numbers).cast(pl.Float64, strict=False))
    failed = raw.select(pl.col(column).is_not_null() & cast[column].is_null() for column in numbers)
    found = Defects()
    for column in [name for name in numbers if failed[name].any()]:
        _note(text, found, raw[column], failed[column], kind=NON_NUMERIC, what="is not a number; missing")
    present = sum(raw.height - raw[column].null_count() for column in numbers)
    if found.counts[NON_NUMERIC] > max(1, _UNREADABLE_LIMIT * present):
        first = min(found, key=lambda defect: defect.line)
        reason = f"{found.counts[NON_NUMERIC]} of {present} quantities are not numbers, the first: {first.detail}"
        raise TableDamagedError(text.name, reason, line=first.line, column=first.column)
    defects.update(found)
    return cast


def _has_decimal_commas(numbers: pl.DataFrame, separator: str) -> bool:
    """Commas are decimal: no number has a point, and it is no comma of thousands.

    `1,234` alone could be either; where fields are separated by semicolons the comma is decimal, as spreadsheets that
    write these have it.
    """
    if separator == "," or not numbers.width:
        return False
    values = pl.concat([numbers[name].drop_nulls().rename("value") for name in numbers.columns])
    commas = values.filter(values.str.contains(",", literal=True))
    if (
        commas.is_empty()
        or values.str.contains(".", literal=True).any()
        or not commas.str.contains(_COMMA_NUMBER).all()
    ):
        return False
    return separator == ";" or not commas.str.contains(_THOUSANDS).all()


def _note(text: Text, defects: Defects, values: pl.Series, bad: pl.Series, *, kind: str, what: str) -> None:
    """Note a defect for each row in which a value of a column is bad."""
    rows = bad.fill_null(value=False).arg_true().to_numpy()
    defects.add_lines(
        kind, text.name, text.line_numbers[rows], values.name, lambda n: f"{values[int(rows[n])]!r} {what}"
    )
