"""Sequencing statistics as Cell Ranger writes them: every value of the published table, typed.

Belongs here: which metrics are known, and how their values are written. Does not belong here: what the checks say
(`cellranger_findings`).

The columns of the published table are not documented anywhere, so nothing depends on them: the table is kept in long
form, a column that no list knows is a metric like any other, and a value that is no number stays as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from cm4ai_assets.perturbseq import channels
from cm4ai_assets.perturbseq.delimited import Delimited, PublishedTableError, read_delimited
from cm4ai_assets.tables.screen import CELLRANGER_METRICS

# metrics_summary.csv of `cellranger count` and `multi`, version 7: gene expression, and CRISPR guide capture.
SHARES: Final = frozenset(
    {
        "Valid Barcodes", "Valid UMIs", "Sequencing Saturation", "Q30 Bases in Barcode", "Q30 Bases in RNA Read",
        "Q30 Bases in RNA Read 2", "Q30 Bases in UMI", "Q30 Bases in Sample Index", "Reads Mapped to Genome",
        "Reads Mapped Confidently to Genome", "Reads Mapped Confidently to Intergenic Regions",
        "Reads Mapped Confidently to Intronic Regions", "Reads Mapped Confidently to Exonic Regions",
        "Reads Mapped Confidently to Transcriptome", "Reads Mapped Antisense to Gene", "Fraction Reads in Cells",
        "CRISPR: Valid Barcodes", "CRISPR: Valid UMIs", "CRISPR: Sequencing Saturation", "CRISPR: Q30 Bases in Barcode",
        "CRISPR: Q30 Bases in RNA Read", "CRISPR: Q30 Bases in UMI", "CRISPR: Fraction Guide Reads",
        "CRISPR: Fraction Reads with Putative Protospacer Sequence", "CRISPR: Fraction Guide Reads Usable",
        "CRISPR: Fraction Protospacer Not Recognized", "CRISPR: Guide Reads in Cells",
        "CRISPR: Fraction Reads in Cells", "CRISPR: Cells with One or More Protospacers Detected",
        "CRISPR: Cells with Two or More Protospacers Detected",
    }
)  # fmt: skip
COUNTS: Final = frozenset(
    {
        "Estimated Number of Cells", "Mean Reads per Cell", "Median Genes per Cell", "Number of Reads",
        "Total Genes Detected", "Median UMI Counts per Cell", "CRISPR: Number of Reads", "CRISPR: Mean Reads per Cell",
        "CRISPR: Guide Reads Usable per Cell", "CRISPR: Median UMIs per Cell (summed over all recognized protospacers)",
        "Number of Short Reads Skipped", "CRISPR: Number of Short Reads Skipped",
    }
)  # fmt: skip
_UNITS: Final = {**dict.fromkeys(map(str.lower, SHARES), "share"), **dict.fromkeys(map(str.lower, COUNTS), "count")}
SAMPLE_NAMES: Final = frozenset({"", "sample", "sample id", "sample_id", "sample name", "channel", "id", "name"})

_PERCENT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?\s*%")
_THOUSANDS: Final = re.compile(r"[+-]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MOST_TRANSPOSED: Final = 3


@dataclass(frozen=True)
class Metrics:
    """What was read: rows of `cellranger_metrics` without the release, and lines that were left out."""

    rows: pl.DataFrame
    lines: int
    left_out: tuple[int, ...]


def read_metrics(data: bytes, name: str, *, file_id: int | None = None, sha256: str | None = None) -> Metrics:
    """The statistics of a published table: a sample in each row, or a metric in each row.

    Raises:
        PublishedTableError: It is no table of text, or has no row.
    """
    table = read_delimited(data, name)
    lines = len(table.rows) + len(table.left_out)
    turned = _turned(table)
    if not turned.rows:
        raise PublishedTableError(f"{name} has a header and no row that fits it.")
    place = next((n for n, one in enumerate(turned.header) if one.lower() in SAMPLE_NAMES), None)
    samples = [None if place is None else row[place].strip() or None for row in turned.rows]
    metrics = [(n, one) for n, one in enumerate(turned.header) if n != place]
    rows: list[dict[str, object]] = []
    for number, (row, sample) in enumerate(zip(turned.rows, samples, strict=True), 1):
        channel = channels.channel_of(sample) if sample else None
        of_sample = [*_of_sample(sample, samples), *([] if channel or not sample else ["unknown_channel"])]
        for at, (column, metric) in enumerate(metrics, 1):
            value, unit, defects = typed(metric, row[column])
            rows.append(
                {
                    "sample_number": number,
                    "sample": sample,
                    "gem_channel": str(channel) if channel else None,
                    "chip": channel.chip if channel else None,
                    "channel": channel.channel if channel else None,
                    "column_number": at,
                    "metric": metric,
                    "is_known": metric.lower() in _UNITS,
                    "value": row[column].strip() or None,
                    "number": value,
                    "unit": unit,
                    "defects": [*of_sample, *defects],
                    "source_file": name,
                    "source_file_id": file_id,
                    "source_sha256": sha256,
                }
            )
    schema = {column.name: column.dtype for column in CELLRANGER_METRICS.own_columns}
    return Metrics(pl.DataFrame(rows, schema=schema), lines, tuple(table.left_out))


def _of_sample(sample: str | None, samples: list[str | None]) -> list[str]:
    if sample is None:
        return ["no_sample"]
    return ["duplicate_sample"] if samples.count(sample) > 1 else []


def _turned(table: Delimited) -> Delimited:
    """A table with a metric in each row, turned so that each row is a sample."""
    in_header = sum(name.lower() in _UNITS for name in table.header)
    in_rows = sum(row[0].strip().lower() in _UNITS for row in table.rows)
    if in_header or in_rows < _MOST_TRANSPOSED:
        return table
    header = ("Sample", *(row[0].strip() for row in table.rows))
    rows = [[sample, *(row[n] for row in table.rows)] for n, sample in enumerate(table.header[1:], 1)]
    return Delimited(table.name, header, rows, [1] * len(rows), table.left_out)


def typed(metric: str, value: str) -> tuple[float | None, str, list[str]]:
    """A value as a number, its unit, and what is wrong with it.

    >>> typed("Valid Barcodes", "95.3%"), typed("Number of Reads", "1,234"), typed("Chemistry", "SC3Pv3")
    ((0.953, 'share', []), (1234.0, 'count', []), (None, 'text', []))
    """
    text, unit = value.strip(), _UNITS.get(metric.lower())
    if not text:
        return None, unit or "text", []
    if _PERCENT.fullmatch(text):
        number = float(f"{text.rstrip('%').strip()}e-2")
        return number, "share", _ranged(number, "share")
    if _THOUSANDS.fullmatch(text) or _NUMBER.fullmatch(text):
        number = float(text.replace(",", ""))
        if unit == "share" and not 0 <= number <= 1:
            return number, "number", ["unit_unclear"]
        return number, unit or "number", _ranged(number, unit or "number")
    return None, "text", ["not_a_number"] if unit else []


def _ranged(number: float, unit: str) -> list[str]:
    if unit == "share" and not 0 <= number <= 1:
        return ["out_of_range"]
    return ["out_of_range"] if unit == "count" and number < 0 else []
