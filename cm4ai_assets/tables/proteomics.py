"""Tables of the proteomics path: elution profiles and protein groups, bait-prey pairs, annotated runs, raw inventories.

SEC-MS separates native complexes by size into fractions; the profile of a protein group is its quantity in each
fraction of one replicate. AP-MS pulls prey proteins down with a tagged bait and scores the pairs.
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.suspects import Suspect
from cm4ai_assets.tables.schema import Column, Rule, Table
from cm4ai_assets.vocabulary import CellLine, CellType, QuantityKind

# Defects of one protein group in one replicate. None of them removes the row.
PROTEIN_DEFECTS = (
    "duplicate_group",  # the same protein group more than once in the report
    "non_numeric_quantity",  # a quantity that is no number, read as missing
    "negative_quantity",  # a quantity below zero, kept as published
    "id_count_mismatch",  # a list of ids is neither as long as the members nor collapsed to one
    "never_quantified",  # no quantity in any fraction
    "unreadable_mark",  # whether a value was measured or filled in cannot be read
    "malformed_id",  # a member is no UniProt accession, and is not marked as anything else
    *Suspect,
)

INTERACTION_DEFECTS = (
    "bad_prey_id",  # the prey is not a UniProt accession
    "bad_bait_symbol",  # the bait does not look like a gene symbol
    "duplicate_pair",  # the same bait and prey more than once
    "columns_disagree",  # the two forms of a column (with and without .x) hold different values
    "bad_list",  # a member of the |-joined list is no count
    "sum_mismatch",  # SpecSum is not the sum of Spec
    "replicates_mismatch",  # NumReplicates is not the number of counts in Spec
    "score_out_of_range",  # a probability or BFDR outside 0..1
    "bad_number",  # a number that does not parse, or is not whole where it must be, read as missing
    "other_treatment",  # the row names another treatment than its table
    *Suspect,
)

RUN_DEFECTS = (
    "unknown_treatment",  # no rule maps the treatment label
    "unknown_qc_status",  # QC_Status is neither true nor false
    "duplicate_run",  # the same raw file more than once
    "no_raw_file",  # the row names no raw file
)

MASSIVE_KINDS = (
    "raw_run",  # one acquisition: a Bruker .d folder or a Thermo .raw file
    "spectra",  # converted spectra
    "quantification",
    "search_result",
    "parameters",
    "sequence_database",
    "metadata",
    "document",
    "other",
)
MASSIVE_SOURCES = (
    "dataset_cache",  # the GNPS dataset cache, a third party's mirror of the listing
    "ftps",  # MassIVE's own listing
    "crate",  # addresses stated in a published RO-Crate, without sizes
)

_REPLICATE = Column(
    "replicate_id",
    pl.String(),
    "Cell line, cell type, condition and replicate: KOLF2.1J_npc_untreated_2; the file's name where one is unknown.",
)
_ORIGIN = (
    Column("source_file_id", pl.Int64(), "Data file id of the ZIP that the table stands in, as in release_files; null "
           "for a table of a MassIVE deposit.", nullable=True),
    Column("source_sha256", pl.String(), "SHA-256 of that ZIP, or of the table pulled from the deposit.",
           nullable=True),
)  # fmt: skip
_SAMPLE = (
    Column("cell_line", pl.String(), "Cell line; null if nothing names it.", nullable=True, allowed=tuple(CellLine)),
    Column(
        "cell_type",
        pl.String(),
        "State of the cells: cancer for MDA-MB-468; ipsc (parental), npc, neuron or cardiomyocyte for KOLF2.1J.",
        nullable=True,
        allowed=tuple(CellType),
    ),
    Column("replicate", pl.Int16(), "Number of the replicate as published: controls are 1, 2 and 4.", nullable=True),
)
_GROUP = Column(
    "protein_group", pl.String(), "Protein group, verbatim: alternatives separated by |, members within one by ;."
)
_OCCURRENCE = Column(
    "occurrence", pl.Int16(), "0 for the first row of this protein group in the replicate, 1 for a repetition."
)

SECMS_PROFILES = Table(
    name="secms_profiles",
    description="Elution profiles, long form: the quantity of each protein group in each fraction of each replicate. "
    "A fraction in which a group was not quantified is null; a published zero is zero.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("replicate_id", "quantity_kind", "protein_group", "occurrence", "fraction"),
    own_columns=(
        _REPLICATE,
        *_SAMPLE,
        _GROUP,
        _OCCURRENCE,
        Column("fraction", pl.Int16(), "Number of the SEC fraction, from the run's name; never from a position."),
        Column("run", pl.String(), "Name of the MS run of this fraction; null where not stated.", nullable=True),
        Column("quantity", pl.Float64(), "Quantity as published; null where missing.", unit="arbitrary", nullable=True),
        Column("quantity_kind", pl.String(), "What the number is.", allowed=tuple(QuantityKind)),
        Column(
            "interpolated",
            pl.Boolean(),
            "The producer filled this value in rather than measured it; null where the table does not say.",
            nullable=True,
        ),
        Column(
            "fraction_mass",
            pl.Float64(),
            "Column fractionMass of sec.csv as published: the molecular weight at "
            "which the fraction elutes; null elsewhere.",
            nullable=True,
        ),
        Column(
            "norm_intensity",
            pl.Float64(),
            "Column norm.intensity of sec.csv as published; null elsewhere.",
            unit="arbitrary",
            nullable=True,
        ),
        Column(
            "standard_fraction",
            pl.Float64(),
            "Column standardFraction of sec.csv as published; null elsewhere.",
            nullable=True,
        ),
        *_ORIGIN,
    ),
    rules=(
        Rule("fraction_positive", "fractions are numbered from 1", lambda: pl.col("fraction") >= 1),
        Rule("quantity_finite", "a quantity is a finite number or null", lambda: pl.col("quantity").is_finite()),
    ),
    source="Spectronaut reports, sec.csv and MSstats tables of the release",
)

SECMS_PROTEINS = Table(
    name="secms_proteins",
    description="One row per protein group and replicate: its identifiers and what its elution profile looks like.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("replicate_id", "quantity_kind", "protein_group", "occurrence"),
    own_columns=(
        _REPLICATE,
        *_SAMPLE,
        _GROUP,
        _OCCURRENCE,
        Column("members", pl.List(pl.String()), "Protein ids of the group, in the published order."),
        Column("alternatives", pl.Int16(), "Number of protein groups joined by | in this row; 1 for most."),
        Column("is_ambiguous", pl.Boolean(), "The group has more than one member."),
        *(
            Column(name, pl.List(pl.String()), f"{text}, in the order of the members; one value where all are equal. "
                   "Null where the table has no such column.", nullable=True)
            for name, text in (
                ("accessions", "Protein accessions"), ("uniprot_ids", "UniProt accessions"),
                ("gene_symbols", "Gene symbols"), ("protein_names", "UniProt entry names"),
            )
        ),
        Column("group_label", pl.String(), "PG.GroupLabel; null where the table has none.", nullable=True),
        Column("first_fraction", pl.Int16(), "First fraction that was measured in this replicate."),
        Column("last_fraction", pl.Int16(), "Last fraction that was measured in this replicate."),
        Column("measured_fractions", pl.Int16(), "Number of fractions that were measured in this replicate; in long "
               "tables, that have a row for any protein."),
        Column("quantified_fractions", pl.Int16(), "Fractions with a quantity, zero included, interpolated ones not."),
        Column("zero_fractions", pl.Int16(), "Fractions with a published quantity of exactly zero."),
        Column("coverage", pl.Float32(), "Share of the measured fractions with a quantity."),
        Column("total", pl.Float64(), "Sum over the fractions; null if never quantified.", unit="arbitrary",
               nullable=True),
        Column("apex_fraction", pl.Int16(), "Fraction with the largest quantity, the first if several; null if none "
               "is above zero.", nullable=True),
        Column("apex_quantity", pl.Float64(), "Quantity at the apex.", unit="arbitrary", nullable=True),
        Column("peak_count", pl.Int16(), "Elution peaks: maxima of the profile (3-fraction mean, missing as zero) of "
               "at least a tenth of its height, between which it falls to at most half of the lower one."),
        Column("peak_fractions", pl.List(pl.Int16()), "Fractions at which the peaks stand."),
        Column("quantity_kind", pl.String(), "What the numbers are.", allowed=tuple(QuantityKind)),
        Column("source_file", pl.String(), "File the row comes from."),
        Column("source_line", pl.Int64(), "Line of the file (header is 1); null where a group spans many lines.",
               nullable=True),
        *_ORIGIN,
        Column("defects", pl.List(pl.String()), "What is wrong with this row; empty if nothing.",
               allowed=PROTEIN_DEFECTS),
    ),
    rules=(
        Rule("has_members", "a protein group has a member", lambda: pl.col("members").list.len() >= 1),
        Rule("coverage_is_share", "coverage lies between 0 and 1", lambda: pl.col("coverage").is_between(0, 1)),
        Rule("apex_in_window", "the apex lies in the window",
             lambda: pl.col("apex_fraction").is_between(pl.col("first_fraction"), pl.col("last_fraction"))),
        Rule("peaks_counted", "peak_count is the number of peak_fractions",
             lambda: pl.col("peak_count") == pl.col("peak_fractions").list.len()),
    ),
    source="Spectronaut reports, sec.csv and MSstats tables of the release",
)  # fmt: skip

APMS_INTERACTIONS = Table(
    name="apms_interactions",
    description="Scored bait-prey pairs of AP-MS, as SAINTexpress published them. Baits are gene symbols, preys "
    "UniProt accessions: join them only through a mapping.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("bait_symbol", "prey", "occurrence"),
    own_columns=(
        Column("bait_symbol", pl.String(), "Gene symbol of the tagged bait."),
        Column("prey", pl.String(), "Prey as published."),
        Column("occurrence", pl.Int16(), "0 for the first row of this pair, 1 for a repetition."),
        Column("prey_uniprot_id", pl.String(), "Prey as a UniProt accession; null if it is none.", nullable=True),
        Column("prey_entry_name", pl.String(), "UniProt entry name of the prey, e.g. SAP18_HUMAN; what else stands in "
               "its place, where it is no gene symbol.", nullable=True),
        Column("prey_gene_symbol", pl.String(), "Gene symbol of the prey, where the table states one instead of the "
               "entry name.", nullable=True),
        Column("spectral_counts", pl.List(pl.Int32()), "Spectral counts of the prey, one per bait replicate."),
        Column("spectral_count_sum", pl.Int32(), "Sum of the spectral counts, as published.", nullable=True),
        Column("spectral_count_mean", pl.Float64(), "Mean spectral count, as published.", nullable=True),
        Column("replicates", pl.Int16(), "Number of bait replicates, as published.", nullable=True),
        Column("control_counts", pl.List(pl.Int32()), "Spectral counts of the prey in the control purifications."),
        *(
            Column(name, pl.Float64(), text, nullable=True)
            for name, text in (
                ("avg_p", "Mean probability of a true interaction over the replicates."),
                ("max_p", "Largest probability over the replicates."),
                ("topo_avg_p", "avg_p with the topology prior."), ("topo_max_p", "max_p with the topology prior."),
                ("saint_score", "SAINT score."), ("log_odds_score", "Log odds of a true against a false interaction."),
                ("fold_change", "Mean count over that of the controls."),
                ("bfdr", "Bayesian false discovery rate at this score."),
            )
        ),
        Column("boosted_by", pl.String(), "Preys whose interactions raised the score.", nullable=True),
        Column("source_file", pl.String(), "File the row comes from."),
        Column("source_line", pl.Int64(), "Line of the file (header is 1)."),
        *_ORIGIN,
        Column("defects", pl.List(pl.String()), "What is wrong with this row; empty if nothing.",
               allowed=INTERACTION_DEFECTS),
    ),
    source="apms.tsv of the 2024 alpha release (SAINTexpress 3.6.3)",
)  # fmt: skip

APMS_RUNS = Table(
    name="apms_runs",
    description="Annotated raw runs of AP-MS, where only raw data was published. A DMSO run is untreated, whatever the "
    "deposit it stands in.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("source_file", "source_line"),
    own_columns=(
        Column("raw_file", pl.String(), "Name of the raw file; its bytes are in massive_files.", nullable=True),
        Column("accession", pl.String(), "MassIVE accession of the deposit; null where not known.", nullable=True),
        Column("sample_label", pl.String(), "Label of the sample.", nullable=True),
        Column("qc_passed", pl.Boolean(), "QC_Status; null where it is neither true nor false.", nullable=True),
        Column("tagged_line", pl.String(), "Tagged cell line as published.", nullable=True),
        Column("role", pl.String(), "bait: a tagged line; positive_control; untagged: the negative control.",
               nullable=True, allowed=("bait", "positive_control", "untagged")),
        Column("bait_symbol", pl.String(), "Gene symbol of the bait; null for controls.", nullable=True),
        Column("treatment_label", pl.String(), "Treatment as spelled in the file.", nullable=True),
        Column("batch", pl.String(), "Batch as published.", nullable=True),
        Column("replicate", pl.String(), "Replicate as published.", nullable=True),
        Column("experiment", pl.String(), "Experiment as published.", nullable=True),
        Column("analysis", pl.String(), "Analysis as published.", nullable=True),
        Column("enzyme", pl.String(), "Enzyme of the digestion.", nullable=True),
        Column("cell_line", pl.String(), "Cell line as published.", nullable=True),
        Column("species", pl.String(), "Species as published.", nullable=True),
        Column("source_file", pl.String(), "File the row comes from."),
        Column("source_line", pl.Int64(), "Line of the file (header is 1)."),
        *_ORIGIN,
        Column("defects", pl.List(pl.String()), "What is wrong with this row; empty if nothing.", allowed=RUN_DEFECTS),
    ),
    source="sample annotation tables of the MassIVE deposits",
)  # fmt: skip

MASSIVE_FILES = Table(
    name="massive_files",
    description="What the release's MassIVE deposits hold. A Bruker .d folder is one acquisition and one row. Nothing "
    "of it is pulled unless asked for.",
    partitioning=Partitioning.RELEASE,
    key=("accession", "path"),
    own_columns=(
        Column("accession", pl.String(), "MassIVE accession."),
        Column("path", pl.String(), "Path within the deposit."),
        Column("name", pl.String(), "Last part of the path; for a raw run, the run's name as the tables use it."),
        Column("collection", pl.String(), "First part of the path: raw, search, quant, ...; empty at the root."),
        Column("kind", pl.String(), "What it is, by its place and name.", allowed=MASSIVE_KINDS),
        Column("is_folder", pl.Boolean(), "A .d folder, rolled up to one row."),
        Column("members", pl.Int32(), "Files that make it up: 1, or those in the .d folder; null where not listed.",
               nullable=True),
        Column("size", pl.Int64(), "Size, of all members together; null where not stated.", unit="bytes",
               nullable=True),
        Column("modified", pl.Datetime("us", "UTC"), "Last change, as listed; null where not stated.", nullable=True),
        Column("url", pl.String(), "Address by FTPS, below the root that MassIVE states; null without a root.",
               nullable=True),
        Column("source", pl.String(), "Which listing the row comes from.", allowed=MASSIVE_SOURCES),
        Column("replaced_by", pl.String(), "Accession that replaces this one.", nullable=True),
        Column("replaces", pl.List(pl.String()), "Accessions that this one replaces."),
        Column("sha256", pl.String(), "SHA-256 recorded when the bytes were first pulled; MassIVE publishes none.",
               nullable=True),
        Column("license", pl.String(), "Licence of the deposit as the release's crates state it; of several, all. Null "
               "if none does.", nullable=True),
    ),
    rules=(
        Rule("size_not_negative", "a size is not negative", lambda: pl.col("size") >= 0),
        Rule("sha256_form", "sha256 is 64 hexadecimal digits",
             lambda: pl.col("sha256").str.contains(r"^[0-9a-f]{64}$")),
    ),
    source="PROXI, the GNPS dataset cache, FTPS listings, addresses in the release's crates",
)  # fmt: skip

TABLES = (SECMS_PROFILES, SECMS_PROTEINS, APMS_INTERACTIONS, APMS_RUNS, MASSIVE_FILES)
