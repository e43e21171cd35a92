"""The tables of AP-MS that are published, distinguished by their columns, and what a reading of several of them holds.

Does not belong here: reading them (`apms`, `runs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics.packages import Package, SourceFile
from cm4ai_assets.proteomics.problems import Defect, Defects, Tally

SAINT, ANNOTATION = "saint", "sample_annotation"


@dataclass(frozen=True)
class Reading:
    """Rows of several tables together, and all that was noticed on the way; see `secms.Reading`."""

    rows: pl.DataFrame
    packages: tuple[Package, ...]
    defects: Defects
    tallies: tuple[Tally, ...]
    unusable: tuple[Defect, ...]
    unplaced: tuple[str, ...] = ()

    def of(self, condition: Condition) -> pl.DataFrame:
        """Of annotated runs, those of one condition. A DMSO run of a drug's deposit is untreated."""
        return self.rows.filter(pl.col("run_condition") == condition.value).drop("run_condition")


def form_of(header: tuple[str, ...]) -> str | None:
    """Which of the published tables a header is of, in either form of a SAINT table; None if of none."""
    if {"Bait", "Prey"} <= set(header) and bool({"SaintScore", "SaintScore.x"} & set(header)):
        return SAINT
    return ANNOTATION if {"Raw_file", "Tagged_Line", "Treatment"} <= set(header) else None


def with_source_file(rows: pl.DataFrame, source_file: SourceFile) -> pl.DataFrame:
    """The rows with the published file that they come from."""
    return rows.with_columns(
        pl.lit(source_file.file_id, pl.Int64).alias("source_file_id"),
        pl.lit(source_file.sha256, pl.String).alias("source_sha256"),
    )
