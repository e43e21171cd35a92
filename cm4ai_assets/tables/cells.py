"""The table of nuclei: where each lies, its form, its intensities in nucleus and ring, and its defects."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.tables.schema import Column, Rule, Table

REGIONS = {"nucleus": "the nucleus", "ring": "the ring around it"}

# What makes a nucleus implausible, or its intensities useless. Limits: `cells.plausible`.
CELL_DEFECTS = (
    "too_small",  # smaller than a nucleus, and not cut by the border: a fragment, an apoptotic body
    "too_large",  # larger than a nucleus: several that could not be parted
    "not_convex",  # a form that one nucleus seldom has: several, or the lobes that paclitaxel makes
    "blurred",  # out of the plane of focus
    "saturated",  # a part of its blue pixels is at full intensity
)


def _intensities() -> Iterator[Column]:
    """Mean, median and sum of each channel in each region."""
    for region, words in REGIONS.items():
        empty = region == "ring"
        for channel in CHANNELS:
            of = f"{channel} in {words}"
            name = f"{region}_{channel}"
            null = "; null where the ring has no pixel." if empty else "."
            levels = "grey levels, 0 to 255"
            yield Column(f"{name}_mean", pl.Float32(), f"Mean {of}{null}", unit=levels, nullable=empty)
            yield Column(
                f"{name}_median", pl.Float32(), f"Median {of}, nearest rank{null}", unit=levels, nullable=empty
            )
            yield Column(f"{name}_sum", pl.Int64(), f"Sum of {of}, exact.", unit="grey levels")


MEASURED = (
    Column("tensor_index", pl.Int32(), "Row of the field in the tensor and in the store of labels."),
    Column("cell", pl.Int32(), "Number of the nucleus in its field, from 1: its value in the labels."),
    Column("y0", pl.Int32(), "Box: first row.", unit="pixels"),
    Column("x0", pl.Int32(), "Box: first column.", unit="pixels"),
    Column("y1", pl.Int32(), "Box: row after the last.", unit="pixels"),
    Column("x1", pl.Int32(), "Box: column after the last.", unit="pixels"),
    Column("centroid_y", pl.Float32(), "Mean row of its pixels.", unit="pixels"),
    Column("centroid_x", pl.Float32(), "Mean column of its pixels.", unit="pixels"),
    Column("area", pl.Int32(), "Pixels of the nucleus, at the edge length of the tensor.", unit="pixels"),
    Column("ring_area", pl.Int32(), "Pixels of its ring: from 2 to 12 pixels outside the outline at edge length 1024, "
           "without those of other nuclei and those nearer to another one.", unit="pixels"),
    Column("major_axis", pl.Float32(), "Long axis of the ellipse with the same second moments.", unit="pixels"),
    Column("minor_axis", pl.Float32(), "Short axis of that ellipse.", unit="pixels"),
    Column("eccentricity", pl.Float32(), "Eccentricity of that ellipse: 0 for a circle, towards 1 for a line."),
    Column("solidity", pl.Float32(), "Share of its convex hull that it fills; 1 for a convex nucleus."),
    Column("edge_sharpness", pl.Float32(), "How much of the blue contrast to the ring one pixel of the outline takes, "
           "at edge length 1024, in the mean. Null where there is no contrast, or no free outline.", nullable=True),
    Column("glow", pl.Float32(), "Mean blue of the ring as a share of that of the nucleus: around a nucleus out of "
           "focus it glows. Null where the ring has no pixel.", nullable=True),
    Column("saturated_fraction", pl.Float32(), "Share of its pixels whose blue is at full intensity."),
    Column("touches_border", pl.Boolean(), "It is cut by the border of the field, or ends there: its area and form are "
           "not those of the whole. That is no defect."),
    *_intensities(),
    Column("plausible", pl.Boolean(), "It has no defect."),
    Column("defects", pl.List(pl.String()), "What makes it implausible; empty if nothing.", allowed=CELL_DEFECTS),
)  # fmt: skip

IF_CELLS = Table(
    name="if_cells",
    description="One row per nucleus: where it lies, its form, its intensities in nucleus and ring, its plausibility.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("tensor_index", "cell"),
    own_columns=(
        Column("field_id", pl.String(), "Field of view."),
        *MEASURED,
        Column("path", pl.String(), "Zarr v3 store of the labels, relative to CM4AI_STORAGE: array `nuclei`, uint16, "
               "(field, y, x). Shared by releases with the same ZIP."),
        Column("segmentation_version", pl.Int32(), "Version of the segmentation and of what is measured."),
    ),
    rules=(
        Rule("box_ordered", "a box is not empty and holds the centroid",
             lambda: (pl.col("y0") <= pl.col("centroid_y")) & (pl.col("centroid_y") < pl.col("y1"))
             & (pl.col("x0") <= pl.col("centroid_x")) & (pl.col("centroid_x") < pl.col("x1"))),
        Rule("area_in_box", "a nucleus has pixels, and no more than its box",
             lambda: (pl.col("area") > 0)
             & (pl.col("area") <= (pl.col("y1") - pl.col("y0")) * (pl.col("x1") - pl.col("x0")))),
        Rule("plausible_without_defect", "plausible is what has no defect",
             lambda: pl.col("plausible") == (pl.col("defects").list.len() == 0)),
    ),
    source="the tensor of if_tensors and the segmentation code, nothing else",
)  # fmt: skip

TABLES = (IF_CELLS,)
