"""The table of perturbed genes, and where their profiles are."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table

TARGET_FLAGS = (
    "no_cells",  # the file knows the target, and no cell has it
    "few_cells",  # too few cells for the test: responders are null
    "no_controls",  # the file has no control cells: nothing can be compared
    "batch_without_controls",  # its cells of a batch without controls count for no knock-down
    "not_measured",  # the matrix does not have the target's own gene
    "not_expressed",  # the controls of its batches have no count of its gene: no knock-down can be stated
    "one_guide",  # cells of one guide alone: nothing says whether guides agree
    "several_guides_only",  # every cell carries several guides
)

_SHARE = "share of cells"

PERTURB_TARGETS = Table(
    name="perturb_targets",
    description=(
        "One row a perturbed gene of the Perturb-seq atlas: its cells and guides, how far its expression is lowered, "
        "how many genes respond, whether its guides agree, and where its profile stands in the tensor."
    ),
    partitioning=Partitioning.RELEASE,
    key=("target",),
    source="The counts of a published h5ad, in one pass (docs/perturb-seq.md)",
    own_columns=(
        Column("target", pl.String(), "Target as the file names it (`gene_target`); NTC for the controls."),
        Column("gene", pl.String(), "Symbol of the target's own gene in the matrix.", nullable=True),
        Column("gene_id", pl.String(), "Its Ensembl id, where the file states one.", nullable=True),
        Column("is_control", pl.Boolean(), "The non-targeting controls, with which all others are compared."),
        Column("n_cells", pl.Int64(), "Cells."),
        Column("n_counts", pl.Int64(), "Counts of all genes in its cells.", nullable=True),
        Column("n_genes_detected", pl.Int64(), "Genes with a count in any of its cells.", nullable=True),
        Column("n_guides", pl.Int64(), "Guides that are alone in a cell; cells with several guides belong to none."),
        Column("guides", pl.List(pl.String()), "Their names.", nullable=True),
        Column("guide_cells", pl.List(pl.Int64()), "Cells of each, in the order of `guides`.", nullable=True),
        Column(
            "guide_knockdown",
            pl.List(pl.Float64()),
            "Knock-down by each guide, as `knockdown`; null where it cannot be stated.",
            nullable=True,
        ),
        Column(
            "guide_agreement",
            pl.Float64(),
            "Mean Pearson correlation of the responses of each two guides with 10 cells or more, over genes that a "
            "tenth of the controls express, the target's own gene left out.",
            nullable=True,
        ),
        Column("detected", pl.Float64(), "Its cells with a count of the own gene.", _SHARE, nullable=True),
        Column("detected_in_controls", pl.Float64(), "Controls with a count of it.", _SHARE, nullable=True),
        Column(
            "knockdown",
            pl.Float64(),
            "1 less what is left of the own gene's share of counts, against the controls of the same batches. Negative "
            "where it rose.",
            "share of expression",
            nullable=True,
        ),
        Column("knockdown_low", pl.Float64(), "Lower end of its 95 % interval.", "share of expression", nullable=True),
        Column("knockdown_high", pl.Float64(), "Upper end of its 95 % interval.", "share of expression", nullable=True),
        Column("batches", pl.List(pl.String()), "Batches of its cells.", nullable=True),
        Column("batch_cells", pl.List(pl.Int64()), "Cells in each, in the order of `batches`.", nullable=True),
        Column(
            "batch_knockdown",
            pl.List(pl.Float64()),
            "Knock-down within each batch; null where its controls do not allow it.",
            nullable=True,
        ),
        Column("batch_low", pl.List(pl.Float64()), "Lower ends of the 95 % intervals.", nullable=True),
        Column("batch_high", pl.List(pl.Float64()), "Upper ends of the 95 % intervals.", nullable=True),
        Column(
            "n_responding",
            pl.Int64(),
            "Genes other than its own whose log-normalised counts differ from the controls': Welch's t-test over "
            "cells, Benjamini-Hochberg at 5 %. Null below 10 cells, and for the controls.",
            nullable=True,
        ),
        Column("n_up", pl.Int64(), "Those that rise.", nullable=True),
        Column("n_down", pl.Int64(), "Those that fall.", nullable=True),
        Column("strongest", pl.List(pl.String()), "Up to ten of them, by |t|.", nullable=True),
        Column("tensor_index", pl.Int32(), "Row of its profile in the tensor; null without cells.", nullable=True),
        Column("gene_index", pl.Int32(), "Column of its own gene in the tensor.", nullable=True),
        Column("flags", pl.List(pl.String()), "What is to be known of the row.", allowed=TARGET_FLAGS),
        Column("path", pl.String(), "The tensor: a Zarr store, relative to CM4AI_STORAGE."),
        Column("shape", pl.List(pl.Int64()), "Its targets and genes."),
        Column("digest", pl.String(), "SHA-256 of its profiles."),
        Column("size", pl.Int64(), "Size of the store.", "bytes"),
        Column("counts_in", pl.String(), "Matrix of the file that holds counts, by evidence, such as `X`."),
        Column("source", pl.String(), "The file, as the archive names it."),
        Column("source_identity", pl.String(), "Its published or computed digest, or what stands for it."),
        Column("license", pl.String(), "Licence of the file as the archive states it.", nullable=True),
    ),
    rules=(
        Rule("index_if_cells", "A target has a profile exactly if it has cells.",
             lambda: (pl.col("n_cells") > 0) == pl.col("tensor_index").is_not_null()),
        Rule("responders_add_up", "Rising and falling genes are all that respond.",
             lambda: pl.col("n_up") + pl.col("n_down") == pl.col("n_responding")),
        Rule("knockdown_in_interval", "A knock-down lies within its interval, and is 1 at most.",
             lambda: (pl.col("knockdown") <= 1) & (pl.col("knockdown") >= pl.col("knockdown_low") - 1e-9)
             & (pl.col("knockdown") <= pl.col("knockdown_high") + 1e-9)),
    ),
)  # fmt: skip

TABLES: tuple[Table, ...] = (PERTURB_TARGETS,)
