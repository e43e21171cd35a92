"""Names of guides: one normal form, whatever a file writes.

The library says `A1BG-1`, cells and the whitelist of controls say `A1BG_1`, and a cell of several guides says
`A1BG-1|HLA-A-2`: the authors' pipeline rewrites single names only. The normal form is symbol, underscore, number:
`A1BG_1`, `HLA-A_2`, `Non-Targeting_161`. A symbol may have hyphens, so only an underscore tells the number apart.

Belongs here: that form. Does not belong here: whether a guide exists (`guides`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

PATTERN: Final = r"^\s*(.+?)[-_]([0-9]{1,5})\s*$"
CONTROL_PATTERN: Final = r"(?i)^(?:non[-_ ]?targeting|NTC)$"
SEPARATOR: Final = "|"
CONTROL: Final = "NTC"
"""What the published cells call the target of a control."""

NO_CALL: Final = ("", "None", "_None", "nan", "NaN")
"""What stands for "no guide was found": None, and _None where the authors' pipeline rewrote that too."""


def normal_form(name: str) -> str:
    """The normal form of one name; the name itself if it ends in no number.

    >>> normal_form("HLA-A-2"), normal_form("A1BG_1")
    ('HLA-A_2', 'A1BG_1')
    """
    return str(pl.select(normal(pl.lit(name))).item())


def normal(names: pl.Expr) -> pl.Expr:
    """See `normal_form`."""
    return names.str.replace(PATTERN, "${1}_${2}")


def is_well_formed(names: pl.Expr) -> pl.Expr:
    """Whether a name ends in a number after a hyphen or an underscore."""
    return names.str.contains(PATTERN)


def symbol(names: pl.Expr) -> pl.Expr:
    """What a guide is against by its name: a gene's symbol, or `NTC` for controls; the name if it has no number."""
    bare = names.str.replace(PATTERN, "${1}")
    return pl.when(bare.str.contains(CONTROL_PATTERN)).then(pl.lit(CONTROL)).otherwise(bare)


def number(names: pl.Expr) -> pl.Expr:
    """The number in a name; null without one."""
    return names.str.extract(PATTERN, 2).cast(pl.Int32)
