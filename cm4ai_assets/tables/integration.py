"""Tables over all modalities: which gene or protein is covered by what, and which fields train, validate and test."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table

SIDES = ("train", "validation", "test")

SPLIT_REASONS = (
    "control",  # it shows no protein: a reference for every side, on none
    "antibody_unknown",  # the manifest does not say which antibody it shows
    "gene_unknown",  # the antibody names no gene or protein
    "several_sides",  # the antibody has genes on different sides
    "linked_to_other_side",  # the antibody shares an id or a well with one of another side
    "also_on_test_plate",  # the antibody, or one with a gene in common, also stands on the plate that is held out
)

SPLITS = Table(
    name="splits",
    description="Which fields of view train, validate and test, under named schemes: by protein, in folds, with a "
    "condition or a plate held out. No gene, protein or antibody is on two sides.",
    partitioning=Partitioning.RELEASE,
    key=("scheme", "condition", "field_id"),
    own_columns=(
        Column("scheme", pl.String(), "protein; protein-5fold-0 to -4 (the fold that tests); condition-paclitaxel and "
               "the like (the condition that tests); plate-B2AI_1 and the like (the plate that tests)."),
        Column("condition", pl.String(), "Treatment condition.", allowed=CONDITIONS),
        Column("field_id", pl.String(), "Field of view, as in if_fields."),
        Column("antibody_id", pl.String(), "Its antibody; null if not known.", nullable=True),
        Column("plate", pl.String(), "Its plate."),
        Column("well", pl.String(), "Its well."),
        Column("group", pl.String(), "What stays together: the connected part of the graph of antibodies, genes, "
               "proteins and wells, by its smallest gene; `condition:` or `plate:` where that is held out. Null where "
               "there is no side.", nullable=True),
        Column("split", pl.String(), "Its side; null where it is on none.", nullable=True, allowed=SIDES),
        Column("reason", pl.String(), "Why it is on no side; null where it is on one.", nullable=True,
               allowed=SPLIT_REASONS),
        Column("scheme_version", pl.Int16(), "Version of the schemes: under one version a gene never changes sides."),
    ),
    rules=(
        Rule("side_or_reason", "a field is on a side, or says why not",
             lambda: pl.col("split").is_null() == pl.col("reason").is_not_null()),
        Rule("group_of_side", "a field on a side has a group, and no other",
             lambda: pl.col("split").is_null() == pl.col("group").is_null()),
        Rule("group_whole", "a group is on one side",
             lambda: pl.col("group").is_null() | (pl.col("split").n_unique().over("scheme", "group") == 1)),
    ),
    source="if_fields and if_antibodies of every condition, and the bundled mapping of identifiers",
)  # fmt: skip

TABLES: tuple[Table, ...] = (SPLITS,)
