"""What the quality checks say about bait-prey pairs and annotated runs, as plain data: one function per check.

Does not belong here: what holds for the tables of every modality (`findings`), and Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding


def interactions_sound(interactions: pl.DataFrame) -> Finding:
    """Pairs, ids, counts and scores have their form and fit together. Protects networks from false nodes and edges."""
    bad = interactions.filter(pl.col("defects").list.len() > 0)
    counts = dict(bad.select(pl.col("defects").explode().value_counts()).unnest("defects").iter_rows())
    which = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return Finding(
        "interactions_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {interactions.height} bait-prey pairs have a defect{f': {which}' if which else ''}.",
        rows=bad.select("bait_symbol", "prey", "source_file", "source_line", "defects").head(ROWS_SHOWN),
        counts={"pairs": interactions.height, **counts},
    )


def pairs_placed(unplaced: Sequence[str]) -> Finding:
    """Each table of pairs is of one condition. Protects from pairs under a treatment that their table's name denies."""
    return Finding(
        "pairs_placed",
        passed=not unplaced,
        summary=f"{len(unplaced)} tables were left out, the first: {unplaced[0]}."
        if unplaced
        else "Every table of pairs is of one condition.",
        counts={"unplaced": len(unplaced)},
    )


def treatments_known(runs: pl.DataFrame) -> Finding:
    """Each run has a known treatment. Protects from runs that are in no partition without a word; of all conditions."""
    bad = runs.filter(pl.col("run_condition").is_null())
    return Finding(
        "treatments_known",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {runs.height} runs have a treatment that no rule knows, and are in no partition.",
        rows=bad.select("raw_file", "tagged_line", "treatment_label", "source_file", "source_line").head(ROWS_SHOWN),
        counts={"runs": runs.height, "unknown": bad.height},
    )


def runs_sound(runs: pl.DataFrame) -> Finding:
    """Runs are annotated, once, and passed their quality control. Protects from scoring failed or unknown runs."""
    bad = runs.filter((pl.col("defects").list.len() > 0) | ~pl.col("qc_passed").fill_null(value=False))
    failed = runs.filter(~pl.col("qc_passed")).height
    return Finding(
        "runs_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height} of {runs.height} runs have a defect or failed their quality control ({failed}).",
        rows=bad.select("raw_file", "tagged_line", "treatment_label", "qc_passed", "defects").head(ROWS_SHOWN),
        counts={"runs": runs.height, "failed_qc": failed},
    )


def runs_deposited(runs: pl.DataFrame, files: pl.DataFrame) -> Finding:
    """Annotated runs and deposited raw files are the same. Protects from annotations of files that nobody can get."""
    named = runs.select("accession", pl.col("raw_file").alias("name")).drop_nulls("name")
    raw = files.filter(pl.col("kind") == "raw_run", pl.col("accession").is_in(named["accession"].implode()))
    absent = named.join(raw, on="name", how="anti").with_columns(pl.lit("no raw file").alias("problem"))
    extra = raw.select("accession", "name").join(named, on="name", how="anti")
    rows = pl.concat([absent, extra.with_columns(pl.lit("no annotation").alias("problem"))])
    return Finding(
        "runs_deposited",
        passed=rows.is_empty(),
        summary=f"{absent.height} of {named.height} annotated runs have no raw file in the deposit; {extra.height} raw "
        "files have no annotation.",
        rows=rows.head(ROWS_SHOWN),
        counts={"runs": named.height, "without_file": absent.height, "without_annotation": extra.height},
    )
