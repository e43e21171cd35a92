"""Measures of a field that survive the stretching of its images, and what counts as a well's value.

Belongs here: numbers of one image from its histogram, which fields count, and means of wells. Does not belong here:
comparing plates (`plates`) or treatments (`effects`).

The published JPEGs were contrast-stretched one by one (data reference, section 1.4), so a level of grey means something
else in every image, and neither means nor fixed thresholds can be compared. These measures do not change when an image
is multiplied by a factor or a constant is added, as long as nothing is clipped (docs/decisions/0025):

- `extent`: log odds of the share of pixels above the image's own threshold (Otsu 1979). How much of the field is lit.
- `unevenness`: log of the standard deviation of the lit pixels over their mean height above the unlit ones. Low for
  what is spread evenly, high for what is gathered in spots.
- `fineness`: log of the focus of `if_quality`: how much of the contrast is fine.

Of a **protein** each measure is that of the green plane minus that of the yellow one (ER) in the same field. So the
number of cells and the focus of a field, which both planes share, largely cancel.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import polars as pl

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.selecting import quality_flags
from cm4ai_assets.tables.effects import MEASURES, REFERENCE_CHANNELS

PROTEIN, BESIDE = "green", "yellow"
PLACE: Final = ("condition", "plate", "well", "well_row", "well_column")

_KEPT_OUT: Final = (
    *(f"empty_{channel}" for channel in REFERENCE_CHANNELS),
    *(f"blurred_{channel}" for channel in REFERENCE_CHANNELS),
    *(f"saturated_{channel}" for channel in (*REFERENCE_CHANNELS, PROTEIN)),
)
_AT_ONCE: Final = 4096

Floats: TypeAlias = "npt.NDArray[np.float64]"


def field_measures(fields: pl.DataFrame, quality: pl.DataFrame) -> pl.DataFrame:
    """The measures of each usable field: `PLACE`, field_id, antibody_id, is_control, channel, measure, value.

    Usable is a field that is in the tensor, of which no image is saturated and no reference stain empty or out of
    focus. A region in several focal planes counts once, in the first. A measure that an image does not have, because it
    is flat, has no row.

    Args:
        fields: Rows of `if_fields`, of any conditions.
        quality: Their rows of `if_quality`.
    """
    columns = (*PLACE, "region", "z", "field_id", "antibody_id", "is_control")
    usable = (
        fields.filter(pl.col("tensor_index").is_not_null())
        .join(_spoilt(quality), on=["condition", "field_id"], how="anti")
        .select(columns)
        .sort("z", nulls_last=False)
        .unique(["condition", "plate", "well", "region"], keep="first", maintain_order=True)
        .drop("region", "z")
    )
    measured = quality.select("condition", "field_id", "channel", *_measured(quality))
    long = measured.unpivot(MEASURES, index=["condition", "field_id", "channel"], variable_name="measure")
    return usable.join(
        long.filter(pl.col("value").is_finite()), on=["condition", "field_id"], how="inner"
    ).sort(*PLACE, "field_id", "channel", "measure")  # fmt: skip


def protein_measures(measures: pl.DataFrame) -> pl.DataFrame:
    """The measures of the protein of each field: green minus yellow; without the column `channel`."""
    key = ["condition", "field_id", "measure"]
    beside = measures.filter(channel=BESIDE).select(*key, beside="value")
    own = measures.filter(channel=PROTEIN).join(beside, on=key, maintain_order="left")
    return own.with_columns(value=pl.col("value") - pl.col("beside")).drop("channel", "beside")


def well_values(measures: pl.DataFrame, *more: str) -> pl.DataFrame:
    """Means of wells over their fields: value, fields, and the spread between the fields (`field_variance`).

    The well is what was seeded, stained and treated by itself. Its fields are looks at the same thing, not replicates.

    Args:
        measures: As `field_measures` or `protein_measures` give them.
        more: Columns to group by, beside those of `PLACE` and the measure.
    """
    return (
        measures.group_by(*PLACE, *more, "measure", maintain_order=True)
        .agg(pl.col("value").mean(), fields=pl.len(), field_variance=pl.col("value").var())
    )  # fmt: skip


def reproducibility(wells: pl.DataFrame) -> float | None:
    """The share of the variance of single fields that lies between wells: the intraclass correlation, ICC(1).

    1 if all fields of a well are alike and wells differ; 0 if a field says nothing about the others of its well. Null
    without two wells of two fields.

    Args:
        wells: As `well_values` gives them, of one condition and measure.
    """
    several = wells.filter(pl.col("fields") > 1)
    if several.height < 2:  # noqa: PLR2004
        return None
    counts, values = several["fields"].to_numpy().astype(np.float64), several["value"].to_numpy()
    total, groups = counts.sum(), len(counts)
    between = (counts * (values - (counts @ values) / total) ** 2).sum() / (groups - 1)
    within = pooled_variance(several)
    size = (total - (counts**2).sum() / total) / (groups - 1)
    spread = between + (size - 1) * within
    return float(max(0.0, (between - within) / spread)) if spread > 0 else None


def pooled_variance(wells: pl.DataFrame) -> float:
    """The variance between fields of a well, over all wells of more than one field; 0 if there is none."""
    several = wells.filter(pl.col("fields") > 1)
    degrees = several["fields"].to_numpy() - 1
    return float(degrees @ several["field_variance"].to_numpy() / degrees.sum()) if several.height else 0.0


def of_histograms(counts: npt.NDArray[np.uint32]) -> tuple[Floats, Floats]:
    """`extent` and `unevenness` of images; NaN for a flat one.

    Args:
        counts: Pixels at each of the 256 grey levels, (image, level).
    """
    levels = np.arange(LEVELS, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    below, moment = shares.cumsum(axis=1), (shares * levels).cumsum(axis=1)
    mean = moment[:, -1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = (mean * below - moment) ** 2 / (below * (1 - below))
        threshold = np.nanargmax(np.where(np.isfinite(apart), apart, -1.0), axis=1)[:, None]
        unlit, dark = (np.take_along_axis(one, threshold, 1)[:, 0] for one in (below, moment))
        lit = 1 - unlit
        height = (mean[:, 0] - dark) / lit
        squares = np.where(levels > threshold, shares * levels**2, 0).sum(axis=1) / lit
        spread = np.sqrt(np.maximum(squares - height**2, 0))
        is_flat = (counts > 0).sum(axis=1) < 2  # noqa: PLR2004
        extent, unevenness = np.log(lit / unlit), np.log(spread / (height - dark / unlit))
    return np.where(is_flat, np.nan, extent), np.where(is_flat, np.nan, unevenness)


def _measured(quality: pl.DataFrame) -> list[pl.Series]:
    pairs = [
        of_histograms(part["histogram"].explode().to_numpy().reshape(-1, LEVELS))
        for part in quality.iter_slices(_AT_ONCE)
    ]
    columns = [np.concatenate(one) for one in zip(*pairs, strict=True)] if pairs else [np.empty(0)] * 2
    focus = quality["focus"].cast(pl.Float64()).log()
    return [
        *(pl.Series(name, values) for name, values in zip(MEASURES, columns, strict=False)),
        focus.alias(MEASURES[2]),
    ]


def _spoilt(quality: pl.DataFrame) -> pl.DataFrame:
    """Fields that do not count."""
    flagged = quality_flags(quality.drop("histogram"))
    return flagged.filter(pl.col("flags").list.set_intersection(list(_KEPT_OUT)).list.len() > 0)
