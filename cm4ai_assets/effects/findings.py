"""What the quality checks say about batches and effects, as plain data: one function per check.

Does not belong here: how plates and treatments are compared (`plates`, `effects`), and Dagster, which shows findings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding

LEAST_TESTED: Final = 0.9
MOST_CHANGED: Final = 0.25
LEAST_REPRODUCIBLE: Final = 0.2

_SHOWN = ("condition", "channel", "measure", "factor", "level", "wells", "fields", "shift", "q")


def plates_alike(plates: pl.DataFrame) -> Finding:
    """No plate's reference stains lie a standard deviation from the others. Protects from batches taken for biology.

    A model can learn the plate, and a comparison across plates measures it. Leave plates out (the splits `plate-...`),
    or compare within them.
    """
    return _deviating("plates_alike", plates.filter(factor="plate"), "plates")


def positions_alike(plates: pl.DataFrame) -> Finding:
    """No row, column or edge of the plates lies a standard deviation from the rest, each plate's median taken away.

    Protects from gradients of seeding, evaporation and staining. All conditions use one layout, so an antibody has the
    same position in each, and a position looks like a property of its protein.
    """
    return _deviating("positions_alike", plates.filter(pl.col("factor") != "plate"), "positions")


def wells_reproducible(plates: pl.DataFrame) -> Finding:
    """Of each reference stain, a fifth of the variance of single fields lies between wells.

    Where less does, a field says little about its well, and a well of few fields nothing. Protects from comparing
    noise. It is low, too, where all wells are truly alike.
    """
    return _reproducible("wells_reproducible", plates, ["condition", "channel", "measure"])


def effects_reproducible(effects: pl.DataFrame) -> Finding:
    """Of each measure of proteins, a fifth of the variance of single fields lies between wells.

    Protects from a list of effects in a measure that does not even tell proteins apart.
    """
    return _reproducible("effects_reproducible", effects, ["condition", "measure"])


def effects_tested(effects: pl.DataFrame) -> Finding:
    """Nine of ten antibodies have an effect that is tested. Protects from a list that is short for want of pairs."""
    judged = effects.group_by("condition", "antibody_id").agg(pl.col("untested").drop_nulls().first())
    bad = judged.filter(pl.col("untested").is_not_null())
    reasons = ", ".join(f"{count:,} {why}" for why, count in bad["untested"].value_counts(sort=True).iter_rows())
    return Finding(
        "effects_tested",
        passed=judged.height - bad.height >= LEAST_TESTED * judged.height,
        summary=f"{bad.height:,} of {judged.height:,} antibodies under a treatment are not tested"
        + (f": {reasons}." if reasons else "."),
        rows=bad.sort("condition", "antibody_id").head(ROWS_SHOWN),
        counts={"antibodies": judged.height, "untested": bad.height},
    )


def most_unchanged(effects: pl.DataFrame) -> Finding:
    """No more than a quarter of the proteins respond in a measure. Protects the assumption that the test rests on.

    What is common to most proteins is taken away, and their scatter is the yardstick. Where many respond, both hold the
    effect, and q says too little.
    """
    shares = (
        effects.filter(pl.col("p").is_not_null())
        .group_by("condition", "measure", maintain_order=True)
        .agg(antibodies=pl.len(), significant=pl.col("is_significant").sum())
    )
    bad = shares.filter(pl.col("significant") > MOST_CHANGED * pl.col("antibodies"))
    found = int(shares["significant"].sum())
    return Finding(
        "most_unchanged",
        passed=bad.is_empty(),
        summary=f"{found:,} of {int(shares['antibodies'].sum()):,} tests are significant at a false discovery rate of "
        f"5 %; in {bad.height} of {shares.height} measures more than a quarter are.",
        rows=bad,
        counts={"tests": int(shares["antibodies"].sum()), "significant": found},
    )


PLATE_CHECKS: Final[tuple[Callable[[pl.DataFrame], Finding], ...]] = (
    plates_alike,
    positions_alike,
    wells_reproducible,
)
EFFECT_CHECKS: Final[tuple[Callable[[pl.DataFrame], Finding], ...]] = (
    effects_tested,
    most_unchanged,
    effects_reproducible,
)


def _deviating(check: str, rows: pl.DataFrame, what: str) -> Finding:
    bad = rows.filter("stands_out").sort("q", pl.col("shift").abs(), descending=[False, True])
    tested = rows["p"].count()
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height} of {tested:,} comparisons of {what} stand out; {rows.height - tested:,} have too few "
        "wells to tell.",
        rows=bad.select(_SHOWN).head(ROWS_SHOWN),
        counts={"compared": tested, "deviating": bad.height},
    )


def _reproducible(check: str, rows: pl.DataFrame, of: list[str]) -> Finding:
    judged = rows.select(*of, "reproducibility").unique(maintain_order=True).drop_nulls()
    bad = judged.filter(pl.col("reproducibility") < LEAST_REPRODUCIBLE)
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height} of {judged.height} measures are below {LEAST_REPRODUCIBLE:.0%}.",
        rows=bad.sort("reproducibility"),
        counts={"measures": judged.height, "below": bad.height},
    )
