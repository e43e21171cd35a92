"""Tables of the Perturb-seq screen: its guides, its cells, and the statistics of its sequencing."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Column, Rule, Table

GUIDE_DEFECTS = (
    "duplicate_guide",  # the same guide in more than one row
    "duplicate_sequence",  # the same sequence in more than one row: reads cannot tell these guides apart
    "bad_sequence",  # letters other than A, C, G, T, or none
    "other_length",  # not 20 bases
    "bad_guide_name",  # the id does not end in a number
    "name_disagrees",  # name and id are different guides
    "target_disagrees",  # the id says another target than the gene's column
    "no_target",  # neither a gene nor a control
    "bad_gene_id",  # no Ensembl gene id, for a guide against a gene
    "gene_id_disagrees",  # a symbol with several Ensembl ids, or an id with several symbols
    "other_feature_type",  # not CRISPR Guide Capture
)

CELL_DEFECTS = (
    "duplicate_cell",  # the same cell in more than one row
    "bad_barcode",  # no 16 bases with the number of a channel behind
    "no_guide",  # no guide was called
    "bad_guide",  # a guide's name that ends in no number
    "unknown_guide",  # a guide that the library of the release does not have
    "guide_count_disagrees",  # n_gRNA is not the number of guides
    "umis_disagree",  # n_gRNA_UMIs is no list of as many counts as there are guides
    "no_target",  # no target is stated
    "target_disagrees",  # the stated target is not what the guides are against
    "perturbed_disagrees",  # perturbed is not what the guides say, or neither True nor False
    "unknown_channel",  # the channel's name has no known form
    "batch_disagrees",  # the batch is not the channel's
    "bad_count",  # a count that is negative, not finite, or no number
    "more_genes_than_counts",  # more genes detected than molecules counted
)

METRIC_DEFECTS = (
    "not_a_number",  # a value that is no number, of a metric of Cell Ranger
    "unit_unclear",  # a share by its name, and a number that is neither a percentage nor within 0 to 1
    "out_of_range",  # a share outside 0 to 1, or a negative count
    "duplicate_sample",  # the same sample in more than one row
    "no_sample",  # no column names the sample
    "unknown_channel",  # the sample's name has no known form
)

METRIC_UNITS = ("count", "share", "number", "text")

_OTHERS = pl.List(pl.Struct({"name": pl.String(), "value": pl.String()}))


def _others(what: str) -> Column:
    return Column(
        "others", _OTHERS, f"What {what} has beside the columns that this table knows: name and value as text."
    )


GUIDE_LIBRARY = Table(
    name="guide_library",
    description="The guide library of the Perturb-seq screen: one row per guide of the published feature reference.",
    partitioning=Partitioning.RELEASE,
    key=("guide", "occurrence"),
    own_columns=(
        Column("guide", pl.String(), "Guide in the one form that this platform uses: symbol, underscore, number "
               "(A1BG_1, HLA-A_2, Non-Targeting_161). The library writes A1BG-1, cells A1BG_1."),
        Column("occurrence", pl.Int32(), "0 for the first row of this guide, 1 for a repetition."),
        Column("published_id", pl.String(), "Id as published."),
        Column("published_name", pl.String(), "Name as published; null if empty.", nullable=True),
        Column("number", pl.Int32(), "Number of the guide among those of its target; null if the id has none.",
               nullable=True),
        Column("is_control", pl.Boolean(), "It targets nothing: a non-targeting control."),
        Column("is_whitelisted", pl.Boolean(), "For controls: whether the published whitelist has it; null where none "
               "is published, and for guides against genes.", nullable=True),
        Column("symbol", pl.String(), "Symbol of the gene that it is against; null for controls.", nullable=True),
        Column("ensembl_gene", pl.String(), "Ensembl id of that gene as published; null for controls.", nullable=True),
        Column("guides_of_target", pl.Int32(), "Rows of this library with the same symbol, or that are controls."),
        Column("sequence", pl.String(), "Protospacer, 5' to 3', in capitals."),
        Column("read", pl.String(), "Read that holds it (R2).", nullable=True),
        Column("pattern", pl.String(), "Where in the read: Cell Ranger's pattern.", nullable=True),
        Column("feature_type", pl.String(), "Feature type as published.", nullable=True),
        _others("the row"),
        Column("defects", pl.List(pl.String()), "What is wrong with the guide; empty if nothing.",
               allowed=GUIDE_DEFECTS),
        Column("source_file", pl.String(), "Name of the published file."),
        Column("source_sha256", pl.String(), "SHA-256 of its bytes.", nullable=True),
        Column("source_line", pl.Int32(), "Line of the file."),
    ),
    rules=(
        Rule("symbol_or_control", "a guide with a symbol is no control",
             lambda: ~(pl.col("is_control") & pl.col("symbol").is_not_null())),
    ),
    source="The feature reference that the Perturb-seq article publishes",
)  # fmt: skip

PERTURB_CELLS = Table(
    name="perturb_cells",
    description="The cells of the Perturb-seq screen: one row per cell of the published h5ad, from its table of cells; "
    "its matrix is not read.",
    partitioning=Partitioning.RELEASE,
    key=("row",),
    is_long=True,
    own_columns=(
        Column("row", pl.Int64(), "Row of the cell in the published matrix, from 0."),
        Column("cell", pl.String(), "Name of the cell as published: its barcode, and the number of its channel."),
        Column("barcode", pl.String(), "The 16 bases of the barcode; null if the name has another form.",
               nullable=True),
        Column("gem_group", pl.Int32(), "The number behind the barcode, which tells channels apart.", nullable=True),
        Column("guides", pl.List(pl.String()), "Guides that were called, in the form of guide_library; null if none "
               "was.", nullable=True),
        Column("published_guides", pl.String(), "Guides as published (gRNA), joined by |.", nullable=True),
        Column("guide_count", pl.Int32(), "Number of guides as published (n_gRNA).", nullable=True),
        Column("guide_umis", pl.List(pl.Int64()), "Molecules of each guide (n_gRNA_UMIs); null if none or unreadable.",
               unit="count", nullable=True),
        Column("target", pl.String(), "Target as published (gene_target): a symbol, NTC for controls, the joined "
               "guides where there are several; null if none is stated.", nullable=True),
        Column("targets", pl.List(pl.String()), "What the guides are against by their names, each once: symbols, and "
               "NTC for controls; null without guides.", nullable=True),
        Column("target_ensembl", pl.List(pl.String()), "Ensembl gene ids of the target as published; null if none is "
               "stated.", nullable=True),
        Column("is_control", pl.Boolean(), "All guides of the cell are non-targeting controls; null without guides.",
               nullable=True),
        Column("is_perturbed", pl.Boolean(), "As published (perturbed).", nullable=True),
        Column("batch", pl.String(), "Batch as published.", nullable=True),
        Column("published_channel", pl.String(), "Channel as published.", nullable=True),
        Column("gem_channel", pl.String(), "The channel in the form of sra_runs: ALPHA-Chip-1-Channel-1; null if the "
               "published name has no known form.", nullable=True),
        Column("chip", pl.Int64(), "Chip, from the channel's name.", nullable=True),
        Column("channel", pl.Int64(), "Channel of the chip, from the channel's name.", nullable=True),
        Column("cell_type", pl.String(), "Cell type as published (celltype).", nullable=True),
        Column("perturbation_type", pl.String(), "Kind of perturbation as published.", nullable=True),
        Column("treatment", pl.String(), "Treatment as published.", nullable=True),
        Column("umi_count", pl.Float64(), "Molecules of the cell as published (n_UMI_counts).", unit="count",
               nullable=True),
        Column("genes_detected", pl.Float64(), "Genes with any molecule as published (n_genes).", unit="count",
               nullable=True),
        Column("total_counts", pl.Float64(), "Molecules after the authors' selection of genes (total_counts).",
               unit="count", nullable=True),
        Column("mitochondrial_percent", pl.Float64(), "Share of mitochondrial molecules as published (pct_counts_mt).",
               unit="percent", nullable=True),
        Column("target_knockdown", pl.Float64(), "Knock-down of the target in this cell as published.", nullable=True),
        _others("the cell"),
        Column("defects", pl.List(pl.String()), "What is wrong with the row; empty if nothing.", allowed=CELL_DEFECTS),
    ),
    source="The table of cells (obs) of the h5ad that the Perturb-seq article publishes",
)  # fmt: skip

CELLRANGER_METRICS = Table(
    name="cellranger_metrics",
    description="Sequencing statistics of the Perturb-seq channels, long form: one row per sample and column of the "
    "published table.",
    partitioning=Partitioning.RELEASE,
    key=("sample_number", "column_number"),
    own_columns=(
        Column("sample_number", pl.Int32(), "Number of the sample in the file, from 1."),
        Column("sample", pl.String(), "Name of the sample as published; null if no column names it.", nullable=True),
        Column("gem_channel", pl.String(), "The channel of the sample in the form of sra_runs; null if its name has no "
               "known form.", nullable=True),
        Column("chip", pl.Int64(), "Chip, from the sample's name.", nullable=True),
        Column("channel", pl.Int64(), "Channel of the chip, from the sample's name.", nullable=True),
        Column("column_number", pl.Int32(), "Number of the metric in the file, from 1."),
        Column("metric", pl.String(), "Name of the metric as published."),
        Column("is_known", pl.Boolean(), "It is a metric of Cell Ranger's metrics_summary.csv."),
        Column("value", pl.String(), "Value as published; null if empty.", nullable=True),
        Column("number", pl.Float64(), "The value as a number: 95.3% is 0.953, 1,234 is 1234; null if it is none.",
               nullable=True),
        Column("unit", pl.String(), "What the number is.", allowed=METRIC_UNITS),
        Column("defects", pl.List(pl.String()), "What is wrong with the value; empty if nothing.",
               allowed=METRIC_DEFECTS),
        Column("source_file", pl.String(), "Name of the published file."),
        Column("source_file_id", pl.Int64(), "Data file id, as in release_files.", nullable=True),
        Column("source_sha256", pl.String(), "SHA-256 of its bytes.", nullable=True),
    ),
    source="ALPHA_BETA_GAMMA_Cellranger_Statistics.csv of the release",
)  # fmt: skip

TABLES = (GUIDE_LIBRARY, PERTURB_CELLS, CELLRANGER_METRICS)
