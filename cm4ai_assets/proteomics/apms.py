"""AP-MS: the scored interactions of 2024 (SAINTexpress) and the annotated raw runs of 2026.

Baits are gene symbols and preys UniProt accessions; they stand in columns of their own and are never mixed. Does not
belong here: mapping one to the other, and the raw files (`archives.massive.client`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.conditions import Condition, condition_or_none
from cm4ai_assets.identifiers import GENE_SYMBOL, UNIPROT
from cm4ai_assets.proteomics.names import conditions_in
from cm4ai_assets.proteomics.problems import NO_PAIR, NON_NUMERIC, Defect, TableDamagedError
from cm4ai_assets.proteomics.text import Text, flag_list, header_of, read_columns, read_text, whole_number
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import read_directory, read_member, require_safe
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS

# Columns that the merge of the four source tables left with ".x" behind their name; the source of HDAC2 lacked it.
_NUMBERS = {
    "AvgP": "avg_p",
    "MaxP": "max_p",
    "TopoAvgP": "topo_avg_p",
    "TopoMaxP": "topo_max_p",
    "SaintScore": "saint_score",
    "FoldChange": "fold_change",
    "BFDR": "bfdr",
    "NumReplicates": "replicates",
    "SpecSum": "spectral_count_sum",
    "AvgSpec": "spectral_count_mean",
    "logOddsScore": "log_odds_score",
}
_STRINGS = {"PreyGene": "prey_entry_name", "boosted_by": "boosted_by"}
_KEYS = ("Bait", "Prey", "Spec", "ctrlCounts")
_SHARES = ("avg_p", "max_p", "topo_avg_p", "topo_max_p", "saint_score", "bfdr")

_RUN_COLUMNS = {
    "Raw_file": "raw_file",
    "Sample_label": "sample_label",
    "Tagged_Line": "tagged_line",
    "Treatment": "treatment_label",
    "Batch": "batch",
    "Replicate": "replicate",
    "Experiment": "experiment",
    "Analysis": "analysis",
    "Enzyme": "enzyme",
    "Cell_line": "cell_line",
    "Species": "species",
}
_QC = "QC_Status"
_PASSED, _FAILED = ("true", "t", "1", "pass", "passed", "yes"), ("false", "f", "0", "fail", "failed", "no")


@dataclass(frozen=True)
class Interactions:
    """A table of scored pairs: the rows of `apms_interactions`, the condition that names state, its text's defects."""

    condition: Condition | None
    rows: pl.DataFrame
    defects: tuple[Defect, ...]


@dataclass(frozen=True)
class Runs:
    """Annotated runs of all conditions, with the column `run_condition` before those of `apms_runs`."""

    rows: pl.DataFrame
    defects: tuple[Defect, ...]

    def of(self, condition: Condition) -> pl.DataFrame:
        """The rows of one condition. A DMSO run of a drug's deposit is untreated."""
        return self.rows.filter(pl.col("run_condition") == condition.value).drop("run_condition")


def is_saint(header: tuple[str, ...]) -> bool:
    """The columns are those of a SAINT table, in either form."""
    return {"Bait", "Prey"} <= set(header) and bool({"SaintScore", "SaintScore.x"} & set(header))


def is_annotation(header: tuple[str, ...]) -> bool:
    """The columns are those of a sample annotation."""
    return {"Raw_file", "Tagged_Line", "Treatment"} <= set(header)


def interactions_in(source: ByteSource) -> list[Interactions]:
    """The SAINT tables in a ZIP, recognised by their columns.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
        TableDamagedError: A SAINT table cannot be used.
    """
    return [
        read_interactions(data, name, context=source.name) for name, data, header in _tables(source) if is_saint(header)
    ]


def runs_in(source: ByteSource) -> list[Runs]:
    """The sample annotations in a ZIP, recognised by their columns.

    Raises:
        ArchiveDamagedError: It is no ZIP, or not safe.
        TableDamagedError: A sample annotation cannot be used.
    """
    return [read_runs(data, name) for name, data, header in _tables(source) if is_annotation(header)]


def read_interactions(data: bytes, file: str, *, context: str = "") -> Interactions:
    """A SAINT table, in either header form or with both.

    Where both forms of a column are there, the one without `.x` counts, as in the program that published it; rows in
    which they disagree are flagged.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    text = read_text(data, file)
    absent = [name for name in _KEYS if name not in text.header]
    absent += [name for name in _NUMBERS if name not in text.header and f"{name}.x" not in text.header]
    if absent:
        raise TableDamagedError(file, "there is no such column", column=absent[0])
    strings = [*_KEYS, *_forms(text, *_STRINGS)]
    numbers = _forms(text, *_NUMBERS)
    frame, found = read_columns(text, strings, numbers)
    unreadable = [defect.line for defect in found if defect.kind == NON_NUMERIC]
    frame = frame.with_columns(pl.Series("source_line", text.line_numbers, pl.Int64))
    for column in ("Bait", "Prey"):
        found += [
            Defect(NO_PAIR, file, line, column, "empty; the line is left out")
            for line in frame.filter(pl.col(column).is_null())["source_line"]
        ]
    frame = frame.drop_nulls(["Bait", "Prey"])
    rows = frame.select(
        pl.col("Bait").str.strip_chars().alias("bait_symbol"),
        pl.col("Prey").str.strip_chars().alias("prey"),
        _counts("Spec").alias("spectral_counts"),
        _counts("ctrlCounts").alias("control_counts"),
        *(_either(text, name).alias(target) for name, target in (_STRINGS | _NUMBERS).items()),
        pl.any_horizontal(_contradictions(text)).alias("_disagree"),
        pl.lit(file).alias("source_file"),
        "source_line",
    ).with_columns(
        pl.int_range(pl.len()).over("bait_symbol", "prey").alias("occurrence"),
        pl.when(UNIPROT.fits_column("prey")).then("prey").alias("prey_uniprot_id"),
    )
    flags = {
        "bad_prey_id": pl.col("prey_uniprot_id").is_null(),
        "bad_bait_symbol": ~GENE_SYMBOL.fits_column("bait_symbol"),
        "duplicate_pair": pl.col("occurrence") > 0,
        "columns_disagree": pl.col("_disagree"),
        "bad_list": pl.any_horizontal(pl.col("spectral_counts", "control_counts").list.drop_nulls().list.len()
                                      != pl.col("spectral_counts", "control_counts").list.len()),
        "sum_mismatch": pl.col("spectral_count_sum") != pl.col("spectral_counts").list.sum(),
        "replicates_mismatch": pl.col("replicates") != pl.col("spectral_counts").list.len(),
        "score_out_of_range": pl.any_horizontal(~pl.col(_SHARES).is_between(0, 1)),
        "bad_number": pl.col("source_line").is_in(unreadable),
    }  # fmt: skip
    rows = rows.with_columns(flag_list(flags))
    stated = conditions_in(file) | conditions_in(context)
    return Interactions(
        next(iter(stated)) if len(stated) == 1 else None,
        rows.select(pl.col(column.name).cast(column.dtype) for column in APMS_INTERACTIONS.own_columns),
        (*text.defects, *found),
    )


def together(tables: Sequence[Interactions]) -> pl.DataFrame:
    """The rows of several tables as one: a pair that stands in more than one of them is a repetition."""
    rows = pl.concat([table.rows for table in tables]).with_columns(
        pl.int_range(pl.len()).over("bait_symbol", "prey").cast(pl.Int16).alias("occurrence")
    )
    repeated = (pl.col("occurrence") > 0) & ~pl.col("defects").list.contains("duplicate_pair")
    return rows.with_columns(
        pl.when(repeated)
        .then(pl.col("defects").list.concat(pl.lit(["duplicate_pair"])))
        .otherwise("defects")
        .alias("defects")
    )


def read_runs(data: bytes, file: str, *, accession: str | None = None) -> Runs:
    """A sample annotation: one row per raw run.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    text = read_text(data, file)
    if not is_annotation(text.header):
        raise TableDamagedError(file, "it has not the columns of a sample annotation: Raw_file, Tagged_Line, Treatment")
    present = {name: target for name, target in _RUN_COLUMNS.items() if name in text.header}
    qc = [_QC] if _QC in text.header else []
    frame, found = read_columns(text, [*present, *qc], [])
    label = pl.col("Treatment")
    conditions = {name: condition_or_none(name) for name in frame["Treatment"].drop_nulls().unique()}
    status = pl.col(_QC).str.strip_chars().str.to_lowercase() if qc else pl.lit(None, pl.String)
    line = pl.col("Tagged_Line").str.strip_chars().str.to_lowercase()
    role = (
        pl.when(line == "untagged").then(pl.lit("untagged"))
        .when(line == "positive").then(pl.lit("positive_control"))
        .when(line.is_not_null()).then(pl.lit("bait"))
    )  # fmt: skip
    rows = frame.select(
        label.replace_strict(conditions, return_dtype=pl.String).alias("run_condition"),
        *(pl.col(name).str.strip_chars().alias(target) for name, target in present.items()),
        *(pl.lit(None, pl.String).alias(target) for name, target in _RUN_COLUMNS.items() if name not in present),
        pl.lit(accession, pl.String).alias("accession"),
        pl.when(status.is_in(_PASSED)).then(pl.lit(value=True)).when(status.is_in(_FAILED)).then(pl.lit(value=False))
        .alias("qc_passed"),
        role.alias("role"),
        pl.when((role == "bait") & GENE_SYMBOL.fits_column("Tagged_Line")).then("Tagged_Line")
        .alias("bait_symbol"),
        pl.lit(file).alias("source_file"),
        pl.Series("source_line", text.line_numbers, pl.Int64),
    )  # fmt: skip
    flags = {
        "unknown_treatment": pl.col("run_condition").is_null(),
        "unknown_qc_status": pl.col("qc_passed").is_null(),
        "duplicate_run": pl.col("raw_file").is_not_null() & (pl.int_range(pl.len()).over("raw_file") > 0),
        "no_raw_file": pl.col("raw_file").is_null(),
    }
    rows = rows.with_columns(flag_list(flags))
    own = [pl.col(column.name).cast(column.dtype) for column in APMS_RUNS.own_columns]
    return Runs(rows.select("run_condition", *own), (*text.defects, *found))


def _tables(source: ByteSource) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    for member in require_safe(read_directory(source)).members:
        if member.name.lower().endswith((".tsv", ".csv", ".txt")):
            data = read_member(source, member)
            yield member.name, data, header_of(data)


def _forms(text: Text, *names: str) -> list[str]:
    """The forms in which columns are there: with ".x", without, or both."""
    return [form for name in names for form in (name, f"{name}.x") if form in text.header]


def _either(text: Text, name: str) -> pl.Expr:
    forms = _forms(text, name)
    return pl.coalesce(forms) if forms else pl.lit(None, pl.String)


def _contradictions(text: Text) -> list[pl.Expr]:
    both = [name for name in (*_STRINGS, *_NUMBERS) if {name, f"{name}.x"} <= set(text.header)]
    differing = [(pl.col(name) != pl.col(f"{name}.x")).fill_null(value=False) for name in both]
    return differing or [pl.lit(value=False)]


def _counts(column: str) -> pl.Expr:
    """Spectral counts joined by `|`; a part that is no count is null."""
    parts = pl.col(column).fill_null("").str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    return parts.list.eval(whole_number(pl.element(), pl.Int32()))
