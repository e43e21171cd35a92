"""Tables of what plates, positions and treatments do to the images."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table

MEASURES = ("extent", "unevenness", "fineness")
REFERENCE_CHANNELS = ("red", "blue", "yellow")
FACTORS = ("plate", "row", "column", "edge")
TREATED = tuple(one for one in CONDITIONS if one is not Condition.UNTREATED)

UNTESTED = (
    "no_pair",  # no well of the antibody has usable fields under both conditions
    "few_wells",  # fewer wells have a pair than a spread can be estimated from
    "no_spread",  # most pairs are exactly alike, which measurements are not
)

_MEASURE = (
    "extent: log odds of the share of pixels above the image's own threshold (Otsu). unevenness: log of the "
    "standard deviation of the lit pixels over their mean height above the unlit ones. fineness: log of the focus. "
    "None changes when an image is stretched; clipping and gamma do change them."
)

IF_PLATES = Table(
    name="if_plates",
    description="Batch effects: how the reference stains of a plate, row, column or of the edge differ from the rest. "
    "One row per condition, channel, measure and level. Wells are the unit; grey levels themselves are not compared, "
    "because each image was contrast-stretched by itself.",
    partitioning=Partitioning.RELEASE,
    key=("condition", "channel", "measure", "factor", "level"),
    own_columns=(
        Column("condition", pl.String(), "Treatment condition.", allowed=CONDITIONS),
        Column("channel", pl.String(), "Reference stain. Green is left out: its wells have different antibodies.",
               allowed=REFERENCE_CHANNELS),
        Column("measure", pl.String(), _MEASURE, allowed=MEASURES),
        Column("factor", pl.String(), "plate; row, column or edge of the plate (edge: rows A and H, columns 1 and 12) "
               "over all plates, each plate's median taken away.", allowed=FACTORS),
        Column("level", pl.String(), "The plate, row letter, column number; edge or inside."),
        Column("wells", pl.Int32(), "Wells of this level."),
        Column("fields", pl.Int32(), "Their usable fields: in the tensor, not saturated, reference stains neither "
               "empty nor out of focus, one focal plane of a region."),
        Column("other_wells", pl.Int32(), "Wells of all other levels."),
        Column("value", pl.Float64(), "Median of the wells; of a position, without the median of each plate."),
        Column("shift", pl.Float64(), "Median minus that of all other wells, in robust standard deviations between "
               "wells of a plate; null where no plate has 4 wells that differ, or there are no others.", nullable=True),
        Column("p", pl.Float64(), "Mann-Whitney, wells of this level against all others, two-sided. Null below 4 wells "
               "on either side.", nullable=True),
        Column("q", pl.Float64(), "p by Benjamini and Hochberg, over all rows of the condition.", nullable=True),
        Column("explained", pl.Float64(), "Share of the variance of the wells' ranks that all levels of this factor "
               "explain together, corrected for their number (epsilon squared of Kruskal-Wallis).", nullable=True),
        Column("reproducibility", pl.Float64(), "Share of the variance of single fields that lies between wells "
               "(intraclass correlation), of this condition, channel and measure.", nullable=True),
        Column("stands_out", pl.Boolean(), "q is at most 0.05 and the shift at least one standard deviation."),
    ),
    source="if_fields and if_quality of every condition",
)  # fmt: skip

IF_EFFECTS = Table(
    name="if_effects",
    description="What a treatment does to each protein's image, against the untreated well of the same plate and "
    "position: one row per treatment, antibody and measure, with interval, multiple testing and n. A plate of treated "
    "wells is another plate than the untreated one of its name, so what all wells of a plate share, the drug's common "
    "effect and the plate's own, cannot be separated: it is taken away, and what is left is specific to the protein.",
    partitioning=Partitioning.RELEASE,
    key=("condition", "antibody_id", "measure"),
    own_columns=(
        Column("condition", pl.String(), "The treatment.", allowed=TREATED),
        Column("antibody_id", pl.String(), "Antibody of the protein. Wells without primary antibody are left out."),
        Column("measure", pl.String(), f"Of the green plane minus of the yellow one in the same field. {_MEASURE}",
               allowed=MEASURES),
        Column("ensembl_gene_ids", pl.List(pl.String()), "Ensembl genes of the antibody."),
        Column("gene_symbols", pl.List(pl.String()), "Gene symbols of the antibody. Not in the order of the ids."),
        Column("wells", pl.List(pl.String()), "Plate and well of each pair: the same under treatment and untreated."),
        Column("n_wells", pl.Int32(), "Pairs of wells. They are the replicates; fields of a well are not."),
        Column("n_fields", pl.Int32(), "Usable fields of these wells under treatment."),
        Column("n_fields_untreated", pl.Int32(), "Usable fields of these wells untreated."),
        Column("treated", pl.Float64(), "Mean of the wells under treatment.", nullable=True),
        Column("untreated", pl.Float64(), "Mean of the wells untreated.", nullable=True),
        Column("difference", pl.Float64(), "Treated minus untreated, mean of the pairs.", nullable=True),
        Column("common", pl.Float64(), "Median difference of the pairs on the same plates, whatever their protein: the "
               "drug's common effect and the difference of the plates.", nullable=True),
        Column("common_pairs", pl.Int32(), "Pairs that this median is of: those of the plate, or, where these are "
               "fewer than 8, of all plates."),
        Column("effect", pl.Float64(), "Difference without what is common: specific to the protein. A difference of "
               "logarithms: 0.1 is some 10 %.", nullable=True),
        Column("standard_error", pl.Float64(), "Of the effect: from the spread between fields and between pairs of "
               "wells, estimated from all proteins.", nullable=True),
        Column("low", pl.Float64(), "Lower end of the 95 % interval of the effect.", nullable=True),
        Column("high", pl.Float64(), "Upper end of the 95 % interval of the effect.", nullable=True),
        Column("p", pl.Float64(), "Two-sided, that the effect is none; null where it is not tested.", nullable=True),
        Column("q", pl.Float64(), "p by Benjamini and Hochberg, over all proteins and measures of the treatment.",
               nullable=True),
        Column("is_significant", pl.Boolean(), "q is at most 0.05."),
        Column("untested", pl.String(), "Why there is no test; null where there is.", nullable=True, allowed=UNTESTED),
        Column("field_sd", pl.Float64(), "Standard deviation between fields of a well under treatment; null without "
               "two fields in a well.", nullable=True),
        Column("field_sd_untreated", pl.Float64(), "The same, untreated.", nullable=True),
        Column("well_sd", pl.Float64(), "Standard deviation of the effect between pairs of wells; null for one pair, "
               "which is all that most antibodies have.", nullable=True),
        Column("reproducibility", pl.Float64(), "Share of the variance of single fields that lies between wells "
               "(intraclass correlation), of all wells under this treatment in this measure.", nullable=True),
    ),
    rules=(
        Rule("tested_or_reason", "an effect is tested, or says why not",
             lambda: pl.col("p").is_null() == pl.col("untested").is_not_null()),
        Rule("interval_around_effect", "the interval holds the effect",
             lambda: pl.col("low").is_null() | pl.col("effect").is_between("low", "high")),
        Rule("q_not_below_p", "correction never makes a p smaller", lambda: pl.col("q").is_null()
             | (pl.col("q") >= pl.col("p") - 1e-12)),
    ),
    source="if_fields and if_quality of every condition",
)  # fmt: skip

TABLES: tuple[Table, ...] = (IF_PLATES, IF_EFFECTS)
