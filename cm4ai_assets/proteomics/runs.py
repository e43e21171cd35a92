"""AP-MS: the annotated raw runs of 2026, of which no scores are published.

Does not belong here: scored interactions (`apms`), and the raw files (`archives.massive.client`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import polars as pl

from cm4ai_assets.conditions import condition_or_none
from cm4ai_assets.identifiers import GENE_SYMBOL, MASSIVE
from cm4ai_assets.proteomics.apms_forms import ANNOTATION, Reading, form_of, with_source_file
from cm4ai_assets.proteomics.columns import flag_list, read_columns
from cm4ai_assets.proteomics.packages import Archive, LooseTable, require_usable, survey, tables_of
from cm4ai_assets.proteomics.problems import Defects, TableDamagedError, merged, tallies
from cm4ai_assets.proteomics.text import read_text
from cm4ai_assets.tables.proteomics import APMS_RUNS

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
class Runs:
    """Annotated runs of all conditions, with the column `run_condition` before those of `apms_runs`."""

    rows: pl.DataFrame
    defects: Defects


def runs_of(archives: Sequence[Archive], loose: Iterable[LooseTable] = ()) -> Reading:
    """The annotated runs of all conditions: sample annotations in archives, and those that stand by themselves.

    The context of a loose table is the accession of its deposit.

    Raises:
        TableDamagedError: There are some, and none can be used.
        ArchiveDamagedError: An archive is no ZIP, or not safe.
    """
    packages = tuple(survey(archive, form_of) for archive in archives)
    unusable = [defect for package in packages for defect in package.unreadable]
    found: list[tuple[str, Runs]] = []
    for table in chain(tables_of(archives, packages, lambda table: table.form == ANNOTATION), loose):
        accession = table.context if MASSIVE.fits(table.context) else None
        try:
            with table.open() as stream:
                runs = read_runs(stream.read(), table.name, accession=accession)
        except TableDamagedError as error:
            unusable.append(error.defect)
            continue
        found.append((table.name, replace(runs, rows=with_source_file(runs.rows, table.source_file))))
    require_usable("AP-MS annotation", unusable, used=len(found))
    empty = pl.DataFrame(schema={"run_condition": pl.String(), **{c.name: c.dtype for c in APMS_RUNS.own_columns}})
    return Reading(
        pl.concat([empty, *(runs.rows for _, runs in found)]),
        packages,
        merged(runs.defects for _, runs in found),
        tallies((name, runs.defects) for name, runs in found),
        tuple(unusable),
    )


def read_runs(data: bytes, file: str, *, accession: str | None = None) -> Runs:
    """A sample annotation: one row per raw run.

    Raises:
        TableDamagedError: It is no such table, or cannot be used.
    """
    text = read_text(data, file)
    if form_of(text.header) != ANNOTATION:
        raise TableDamagedError(
            file,
            "it has not the columns of a sample annotation: Raw_file, Tagged_Line, Treatment",
            line=text.header_line,
        )
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
        pl.lit(None, pl.Int64).alias("source_file_id"),
        pl.lit(None, pl.String).alias("source_sha256"),
    )  # fmt: skip
    flags = {
        "unknown_treatment": pl.col("run_condition").is_null(),
        "unknown_qc_status": pl.col("qc_passed").is_null(),
        "duplicate_run": pl.col("raw_file").is_not_null() & (pl.int_range(pl.len()).over("raw_file") > 0),
        "no_raw_file": pl.col("raw_file").is_null(),
    }
    rows = rows.with_columns(flag_list(flags))
    own = [pl.col(column.name).cast(column.dtype) for column in APMS_RUNS.own_columns]
    return Runs(rows.select("run_condition", *own), merged([text.defects, found]))
