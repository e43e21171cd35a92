"""Whether crates and datasheets are what their formats say, as findings that warn.

Belongs here: what could not be read, entities with defects, statements that deviate. Does not belong here: whether what
they say is true (`claims`, `datasheet_claims`, `provenance`).
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from cm4ai_assets.crates.claims import Row, finding
from cm4ai_assets.crates.reader import Problem
from cm4ai_assets.findings import ROWS_SHOWN, Finding


def crates_readable(problems: Iterable[Problem]) -> Finding:
    """Every crate of the release can be read. Protects from counting a part of the release as all of it."""
    rows: list[Row] = [(one.source, one.place, "crate", "unreadable or mended", one.message) for one in problems]
    return finding("crates_readable", rows, f"{len(rows)} problems in reading crates")


def entities_sound(entities: pl.DataFrame) -> Finding:
    """Entities have an id of their own, a type, and values that can be read. Protects from rows nothing can join."""
    flawed = (
        entities.explode("defects")
        .drop_nulls("defects")
        .group_by("crate_file", "defects", maintain_order=True)
        .agg(pl.len().alias("entities"), pl.col("stated_id").drop_nulls().first().alias("for_example"))
        .sort("crate_file", "defects")
    )
    summary = f"{int(flawed['entities'].sum()):,} defects of {flawed['defects'].n_unique()} kinds in entities of crates"
    return _of_rows("entities_sound", flawed, summary)


def datasheets_conform(datasheet: pl.DataFrame) -> Finding:
    """Statements of datasheets have the form that their format asks for. Protects readers that go by the format."""
    deviating = datasheet.filter(pl.col("deviations").list.len() > 0)
    summary = f"{deviating.height} statements deviate from the format of their datasheet"
    return _of_rows("datasheets_conform", deviating.select("source", "line", "field", "value", "detail"), summary)


def _of_rows(check: str, rows: pl.DataFrame, summary: str) -> Finding:
    shown = rows.head(ROWS_SHOWN)
    return Finding(
        check, rows.is_empty(), "nothing found" if rows.is_empty() else summary, shown, {"rows": rows.height}
    )
