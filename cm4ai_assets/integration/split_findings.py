"""What the quality checks say about splits, as plain data: one function per check.

Does not belong here: the proof that nothing leaks, which blocks (`leaks`), and Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Final

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.integration.splits import FOLDS, TEST, VALIDATION

MOST_UNPLACED: Final = 0.1
"""Share of the fields of antibodies above which too many are on no side."""
_SHARES: Final = {"protein": (TEST, VALIDATION), "fold": (1 / FOLDS, 1 / FOLDS)}
_DEVIATIONS: Final = 3


def sides_balanced(splits: pl.DataFrame) -> Finding:
    """Under the schemes by protein each side has about its share of the fields, as far as chance allows.

    A hash gives shares in expectation; with few groups they scatter. Protects from a test that is empty, or so small
    that it says nothing.
    """
    placed = splits.filter(pl.col("split").is_not_null(), pl.col("scheme").str.starts_with("protein"))
    rows = [row for (scheme,), fields in placed.group_by("scheme") for row in _shares(str(scheme), fields)]
    frame = pl.DataFrame(rows, schema=_COLUMNS, orient="row").sort("scheme", "split")
    bad = frame.filter(~pl.col("allowed"))
    return Finding(
        "sides_balanced",
        passed=bad.is_empty() and not frame.is_empty(),
        summary=f"{bad.height} of {frame.height} test and validation sides are empty or far from their share."
        if not frame.is_empty()
        else "No field is on a side under a scheme by protein.",
        rows=bad.drop("allowed").head(ROWS_SHOWN),
        counts={"sides": frame.height, "out of balance": bad.height},
    )


_COLUMNS = pl.Schema({
    "scheme": pl.String(), "split": pl.String(), "fields": pl.Int64(), "groups": pl.Int64(), "share": pl.Float64(),
    "wanted": pl.Float64(), "allowed": pl.Boolean(),
})  # fmt: skip


def _shares(scheme: str, fields: pl.DataFrame) -> list[tuple[object, ...]]:
    """Test and validation of one scheme. Allowed are three standard errors of a share, were groups drawn singly."""
    groups = fields["group"].n_unique()
    rows: list[tuple[object, ...]] = []
    for side, wanted in zip(("test", "validation"), _SHARES["fold" if "fold" in scheme else "protein"], strict=True):
        own = fields.filter(split=side)
        share = own.height / fields.height
        near = abs(share - wanted) <= _DEVIATIONS * sqrt(wanted * (1 - wanted) / groups)
        rows.append((scheme, side, own.height, own["group"].n_unique(), share, wanted, near and own.height > 0))
    return rows


def fields_placed(splits: pl.DataFrame) -> Finding:
    """Nearly every field of an antibody is on a side of the scheme `protein`. Protects from losing data unseen.

    Left out are fields whose antibody is not known or names no gene, and antibodies of which one gene would train and
    another test. Controls are no loss: they are on no side by rule.
    """
    fields = splits.filter((pl.col("reason") != "control").fill_null(value=True), scheme="protein")
    bad = fields.filter(pl.col("split").is_null())
    share = bad.height / max(fields.height, 1)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in bad["reason"].value_counts(sort=True).iter_rows())
    return Finding(
        "fields_placed",
        passed=share <= MOST_UNPLACED and not fields.is_empty(),
        summary=f"{bad.height:,} of {fields.height:,} fields ({share:.1%}) are on no side"
        + (f": {reasons}." if reasons else "."),
        rows=bad.group_by("antibody_id", "reason")
        .agg(fields=pl.len())
        .sort("fields", descending=True)
        .head(ROWS_SHOWN),
        counts={"fields": fields.height, "on no side": bad.height},
    )


def wells_agree(splits: pl.DataFrame) -> Finding:
    """A well has the same antibody under every condition. Protects labels: where it differs, one manifest is wrong."""
    wells = splits.filter(pl.col("antibody_id").is_not_null(), scheme="protein").group_by("plate", "well")
    antibodies = wells.agg(pl.col("antibody_id").unique().sort().alias("antibodies"), pl.len().alias("fields"))
    bad = antibodies.filter(pl.col("antibodies").list.len() > 1).sort("plate", "well")
    return Finding(
        "wells_agree",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {antibodies.height} wells have several antibodies.",
        rows=bad.head(ROWS_SHOWN),
        counts={"wells": antibodies.height, "of several antibodies": bad.height},
    )


CHECKS: Final[tuple[Callable[[pl.DataFrame], Finding], ...]] = (sides_balanced, fields_placed, wells_agree)
