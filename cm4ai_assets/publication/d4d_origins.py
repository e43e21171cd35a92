"""What a datasheet asks about processing and raw data, and the tables answer: how each was made, and what lies behind.

Belongs here: those two slots of D4D. Does not belong here: the other answers (`d4d_answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.tables.perturbseq import SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES

Item = dict[str, Any]
Rows = Callable[[str], pl.LazyFrame]


def processing(rows: Rows, published: Collection[str]) -> list[Item]:
    """What was made of what, for each table: as its description says, with the rows that it has."""
    return [
        {
            "name": name,
            "preprocessing_details": f"{tables.table(name).description} Made from: {tables.table(name).source}. "
            f"{_height(rows(name)):,} rows.",
            "source_caveats": f"Counted over {name}.",
        }
        for name in sorted(published)
    ]


def raw_data(rows: Rows, published: Collection[str]) -> list[Item]:
    """Deposits of raw data in the archives of their fields, by accession."""
    found: list[Item] = []
    if MASSIVE_FILES.name in published:
        runs = pl.col("kind") == "raw_run"
        counted = rows(MASSIVE_FILES.name).group_by("accession").agg(rows=pl.len(), raw=runs.sum()).collect()
        found += [_raw(f"MassIVE {accession}", f"{raw:,} raw runs among {every:,} files and folders of the MassIVE "
                       f"deposit {accession}", MASSIVE_FILES.name)
                  for accession, every, raw in counted.sort("accession").iter_rows()]  # fmt: skip
    if SRA_RUNS.name in published:
        known = rows(SRA_RUNS.name).filter(pl.col("bioproject").is_not_null())
        counted = known.group_by("bioproject").agg(rows=pl.len(), public=(pl.col("access") == "public").sum()).collect()
        found += [_raw(f"BioProject {project}", f"{every:,} runs of sequences of BioProject {project}, {public:,} of "
                       "them public", SRA_RUNS.name)
                  for project, every, public in counted.sort("bioproject").iter_rows()]  # fmt: skip
    return found


def _raw(name: str, text: str, table: str) -> Item:
    return {"name": name, "source_description": f"{text}.", "source_caveats": f"Counted over {table}."}


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())
