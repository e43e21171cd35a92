"""What a treatment does to each protein, with an interval, a test over all proteins, and n.

Belongs here: the rows of `if_effects`. Does not belong here: the measures (`measures`) and batch effects (`plates`).

**The unit is the well.** All conditions use one layout of plates, so a well under treatment is paired with the
untreated well of its plate and position, which has the same antibody. Most antibodies stand in one well, so a protein
has one pair, and its own wells say nothing about how far pairs scatter. That is estimated from the pairs of all
proteins, of which most do not respond in a way of their own, as screens do (docs/decisions/0025):

- `d` is the difference of a pair, treated minus untreated. The median `d` of the pairs on the same plate is what the
  drug does to all, and how the two plates differ; the two cannot be separated. It is taken away.
- The variance of what is left is `t + s (1/n + 1/m)` for n and m fields: `s` is the variance between fields of a well,
  pooled; `t`, between pairs, is what makes the scaled median absolute deviation of all pairs 1, and not below 0.
- z is the effect over its standard error. Its p is of Student's t with the fewer of two degrees of freedom: those of
  the estimate of the spread (0.37 of the pairs less one, 0.37 being the efficiency of the median absolute deviation),
  and those with which the tails of all z are as heavy as they are (the ratio of their 90th percentile to the median).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.effects.measures import pooled_variance, protein_measures, reproducibility, well_values
from cm4ai_assets.effects.plates import FALSE_DISCOVERIES, MAD_TO_SIGMA, adjusted
from cm4ai_assets.heavy import np, npt, stats
from cm4ai_assets.tables.effects import MEASURES, TREATED

FEWEST_PAIRS: Final = 6
"""Pairs of wells below which nothing is tested."""
PAIRS_OF_PLATE: Final = 8
"""Pairs of a plate from which its own median is taken away."""

_EFFICIENCY: Final = 0.37
_INTERVAL: Final = 0.975
_HALVINGS: Final = 60
_NO_SPREAD: Final = 1e-9
_PAIRS_WITH_TAILS: Final = 40
_HEAVIEST, _NORMAL = 2.0, 1e4
"""Degrees of freedom: of the heaviest tails that are distinguished, and of those of a normal distribution."""

Floats: TypeAlias = "npt.NDArray[np.float64]"


def effect_rows(measures: pl.DataFrame, fields: pl.DataFrame) -> pl.DataFrame:
    """The rows of `if_effects` without their release: every antibody with usable fields, treatment and measure.

    Args:
        measures: As `measures.field_measures` gives them.
        fields: Rows of `if_fields`, for the genes of the antibodies.
    """
    proteins = protein_measures(measures).filter(pl.col("antibody_id").is_not_null(), ~pl.col("is_control"))
    wells = well_values(proteins, "antibody_id")
    parts = [
        part
        for condition in TREATED
        if not wells.filter(condition=str(condition)).is_empty()
        for measure in MEASURES
        for part in _of_measure(wells.filter(measure=measure), str(condition), measure)
    ]
    rows = adjusted(pl.concat(parts), "condition") if parts else pl.DataFrame(schema={**_ROW, "q": pl.Float64()})
    antibodies = fields.filter(pl.col("antibody_id").is_not_null()).unique("antibody_id", keep="first")
    named = rows.join(
        antibodies.select("antibody_id", "ensembl_gene_ids", "gene_symbols"), on="antibody_id", how="left"
    )
    is_significant = (pl.col("q") <= FALSE_DISCOVERIES).fill_null(value=False)
    return named.with_columns(is_significant=is_significant).sort("condition", "antibody_id", "measure")


_ROW: Final = pl.Schema({
    "condition": pl.String(), "antibody_id": pl.String(), "measure": pl.String(), "wells": pl.List(pl.String()),
    "n_wells": pl.Int32(), "n_fields": pl.Int32(), "n_fields_untreated": pl.Int32(), "treated": pl.Float64(),
    "untreated": pl.Float64(), "difference": pl.Float64(), "common": pl.Float64(), "common_pairs": pl.Int32(),
    "effect": pl.Float64(), "standard_error": pl.Float64(), "low": pl.Float64(), "high": pl.Float64(),
    "p": pl.Float64(), "untested": pl.String(), "field_sd": pl.Float64(), "field_sd_untreated": pl.Float64(),
    "well_sd": pl.Float64(), "reproducibility": pl.Float64(),
})  # fmt: skip


def _of_measure(wells: pl.DataFrame, condition: str, measure: str) -> Iterator[pl.DataFrame]:
    """Antibodies with pairs, then those without."""
    treated, untreated = wells.filter(condition=condition), wells.filter(condition=str(Condition.UNTREATED))
    pairs = _centred(_pairs(treated, untreated))
    scored = _scored(pairs, pooled_variance(treated), pooled_variance(untreated))
    common = {"condition": pl.lit(condition), "measure": pl.lit(measure), "reproducibility": reproducibility(treated)}
    found = _of_antibodies(scored, pairs.height)
    yield _row(found.with_columns(**common))
    own = pl.concat([treated, untreated])["antibody_id"].unique().sort()
    rest = pl.DataFrame({"antibody_id": own.filter(~own.is_in(found["antibody_id"].to_list()))})
    yield _row(rest.with_columns(**common, untested=pl.lit("no_pair")))


def _row(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame in the columns of a row; what it lacks is null, and counts and lists are empty."""
    empty = {"wells": pl.lit([], pl.List(pl.String()))} | {
        name: pl.lit(0) for name in ("n_wells", "n_fields", "n_fields_untreated", "common_pairs")
    }
    lacking = [empty.get(name, pl.lit(None)).alias(name) for name in _ROW if name not in frame.columns]
    return frame.with_columns(lacking).select(pl.col(name).cast(dtype) for name, dtype in _ROW.items())


def _pairs(treated: pl.DataFrame, untreated: pl.DataFrame) -> pl.DataFrame:
    """Wells of one plate, position and antibody under both conditions."""
    key = ["plate", "well", "antibody_id"]
    own = [*key, "value", "fields", "field_variance"]
    return treated.select(own).join(untreated.select(own), on=key, suffix="_untreated").sort(key)


def _centred(pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with their difference, what is common, and what is left."""
    difference = pl.col("value") - pl.col("value_untreated")
    own = pl.len().over("plate") >= PAIRS_OF_PLATE
    of_plate, of_all = difference.median().over("plate"), difference.median()
    return pairs.with_columns(
        difference=difference,
        common=pl.when(own).then(of_plate).otherwise(of_all),
        common_pairs=pl.when(own).then(pl.len().over("plate")).otherwise(pl.len()),
    ).with_columns(effect=pl.col("difference") - pl.col("common"))


def _scored(pairs: pl.DataFrame, between_fields: float, between_fields_untreated: float) -> pl.DataFrame:
    """The pairs with the variance of their effect."""
    of_fields = (
        between_fields / pairs["fields"].to_numpy() + between_fields_untreated / pairs["fields_untreated"].to_numpy()
    )
    between = _between_pairs(pairs["effect"].to_numpy(), of_fields)
    variance = np.maximum(between + of_fields, _NO_SPREAD**2)
    return pairs.with_columns(variance=pl.Series(variance, dtype=pl.Float64()))


def _between_pairs(effects: Floats, of_fields: Floats) -> float:
    """The variance between pairs with which the scaled median absolute deviation of all of them is 1; at least 0."""
    low, high = 0.0, float((effects**2).max(initial=0.0)) * MAD_TO_SIGMA**2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = (
                MAD_TO_SIGMA * float(np.median(np.abs(effects) / np.sqrt(middle + of_fields))) if len(effects) else 0
            )
        low, high = (middle, high) if scale > 1 else (low, middle)
    return low


def _of_antibodies(pairs: pl.DataFrame, total: int) -> pl.DataFrame:
    """One row an antibody: its pairs weighted by how precise they are."""
    weight = 1 / pl.col("variance")
    means = [
        ((pl.col(name) * weight).sum() / weight.sum()).alias(name)
        for name in ("value", "value_untreated", "difference", "common", "effect")
    ]
    rows = pairs.group_by("antibody_id", maintain_order=True).agg(
        *means,
        standard_error=(1 / weight.sum()).sqrt(),
        wells=pl.concat_str("plate", "well", separator="_"),
        n_wells=pl.len(),
        n_fields=pl.col("fields").sum(),
        n_fields_untreated=pl.col("fields_untreated").sum(),
        common_pairs=pl.col("common_pairs").min(),
        field_sd=pl.col("field_variance").mean().sqrt(),
        field_sd_untreated=pl.col("field_variance_untreated").mean().sqrt(),
        well_sd=pl.col("effect").std().alias("well_sd"),
    )
    return _with_p(rows.rename({"value": "treated", "value_untreated": "untreated"}), total)


def _with_p(rows: pl.DataFrame, total: int) -> pl.DataFrame:
    has_spread = bool((rows["standard_error"] > 2 * _NO_SPREAD).all())
    if total < FEWEST_PAIRS or not has_spread:
        unknown = {name: pl.lit(None, pl.Float64()) for name in ("standard_error", "low", "high", "p")}
        return rows.with_columns(**unknown, untested=pl.lit("few_wells" if has_spread else "no_spread"))
    z = np.abs((rows["effect"] / rows["standard_error"]).to_numpy())
    tail = _tail_degrees(z)
    degrees = min(tail, _EFFICIENCY * (total - 1))
    # The spread is that of a normal distribution with this median; of heavier tails the middle is wider than that.
    scale = float(stats.t.ppf(0.75, tail)) * MAD_TO_SIGMA
    half = float(stats.t.ppf(_INTERVAL, degrees)) / scale * pl.col("standard_error")
    return rows.with_columns(
        p=pl.Series(2 * stats.t.sf(scale * z, degrees), dtype=pl.Float64()),
        low=pl.col("effect") - half,
        high=pl.col("effect") + half,
    )


def _tail_degrees(z: Floats) -> float:
    """The degrees of freedom of Student's t whose 90th percentile stands to its median as that of |z| does.

    Where a tenth of all proteins responds, the tails look heavier than chance made them, and the test asks for more.
    """
    if len(z) < _PAIRS_WITH_TAILS:
        return _NORMAL
    median, high = np.quantile(z, [0.5, 0.9])
    low, top = np.log(_HEAVIEST), np.log(_NORMAL)
    for _ in range(_HALVINGS):
        middle = (low + top) / 2
        is_lighter = stats.t.ppf(0.95, np.exp(middle)) * median > stats.t.ppf(0.75, np.exp(middle)) * high
        low, top = (middle, top) if is_lighter else (low, middle)
    return float(np.exp(low))
