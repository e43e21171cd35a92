"""What a quality check found, as plain data: the one form in which every subject tells it.

Belongs here: the form. Does not belong here: the checks (`images.findings`, `proteomics.findings`, `crates.claims`,
`updates.findings`), and Dagster, which shows them (`defs`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

ROWS_SHOWN = 100

_SECTION = re.compile(r"^\s*(?:Args|Returns|Raises|Attributes):\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """What one check found. `rows` are the offending ones, all or the first hundred; `counts` are of all."""

    check: str
    passed: bool
    summary: str
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    counts: Mapping[str, int] = field(default_factory=dict)


def described_by(check: Callable[..., object]) -> str:
    """What a check asks and protects from: the docstring of its function, without what concerns its callers."""
    return " ".join(_SECTION.split(check.__doc__ or "", maxsplit=1)[0].split())
