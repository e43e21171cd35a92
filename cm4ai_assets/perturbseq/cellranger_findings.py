"""What the quality checks say about the sequencing statistics, as plain data: one function per check.

Does not belong here: reading the table (`cellranger`), and Dagster.
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.perturbseq.cellranger import Metrics
from cm4ai_assets.perturbseq.channels import WITHOUT_COUNTS, absent, there_are
from cm4ai_assets.perturbseq.guide_findings import in_words, with_defects

_SHOWN = ("sample", "metric", "value", "number", "unit", "defects")


def metrics_kept(metrics: Metrics) -> Finding:
    """Every line of the statistics is there, and there are some.

    Protects from channels that are missing without a word. Blocking: a table that lost lines is never published.
    """
    lost = len(metrics.left_out)
    return Finding(
        "metrics_kept",
        passed=lost == 0 and metrics.rows.height > 0,
        summary=f"{metrics.lines - lost} of {metrics.lines} lines were read; {lost} have another number of fields."
        + (f" The first is line {metrics.left_out[0]}." if lost else ""),
        counts={"lines": metrics.lines, "left_out": lost},
    )


def values_sound(rows: pl.DataFrame) -> Finding:
    """Values of Cell Ranger's metrics are numbers within their range. Protects from a percentage read as a share."""
    bad, counts = with_defects(rows, "not_a_number", "unit_unclear", "out_of_range")
    return Finding(
        "values_sound",
        passed=bad.is_empty(),
        summary=f"{bad.height:,} of {rows.height:,} values are doubtful: {in_words(counts)}.",
        rows=bad.select(_SHOWN).head(ROWS_SHOWN),
        counts={"values": rows.height, **counts},
    )


def samples_known(rows: pl.DataFrame) -> Finding:
    """Each sample is one channel, once, and each channel has statistics, or is one of the six known to be absent.

    Protects from statistics under the name of another channel.
    """
    samples = rows.unique("sample_number", keep="first", maintain_order=True)
    bad, counts = with_defects(samples, "duplicate_sample", "no_sample", "unknown_channel")
    there = there_are(samples["gem_channel"])
    without = absent(there)
    new = [str(channel) for channel in without if channel not in WITHOUT_COUNTS]
    return Finding(
        "samples_known",
        passed=bad.is_empty() and not new,
        summary=f"{samples.height} samples, {len(there)} channels; {bad.height} samples are doubtful: "
        f"{in_words(counts)}. Channels without statistics: {', '.join(map(str, without[:8])) or 'none'}"
        f"{' and more' if len(without) > 8 else ''}.",  # noqa: PLR2004
        rows=bad.select("sample_number", "sample", "defects").head(ROWS_SHOWN),
        counts={"samples": samples.height, "channels": len(there), "absent": len(without), **counts},
    )


def metrics_known(rows: pl.DataFrame) -> Finding:
    """The columns are metrics of Cell Ranger's summary.

    Protects from a table of another program under this name; what is not known is kept all the same.
    """
    metrics = rows.unique("column_number", keep="first", maintain_order=True)
    unknown = metrics.filter(~pl.col("is_known"))
    return Finding(
        "metrics_known",
        passed=unknown.height < metrics.height,
        summary=f"{metrics.height - unknown.height} of {metrics.height} columns are metrics of Cell Ranger; others: "
        f"{', '.join(unknown['metric'].head(12)) or 'none'}.",
        rows=unknown.select("column_number", "metric", "value", "number", "unit").head(ROWS_SHOWN),
        counts={"metrics": metrics.height, "unknown": unknown.height},
    )
