"""What a quality check found, as plain data: the one form in which every subject tells it.

Belongs here: the form. Does not belong here: the checks (`images.findings`, `proteomics.findings`, `crates.claims`,
`updates.findings`), and Dagster, which shows them (`defs`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

ROWS_SHOWN = 100


@dataclass(frozen=True)
class Finding:
    """What one check found. `rows` are the offending ones, all or the first hundred; `counts` are of all."""

    check: str
    passed: bool
    summary: str
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    counts: Mapping[str, int] = field(default_factory=dict)
