"""Sequencing statistics: known and unknown columns, percentages, thousands, and tables that lie on their side."""

from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets.perturbseq import cellranger_findings as findings
from cm4ai_assets.perturbseq.cellranger import Metrics, read_metrics, typed
from cm4ai_assets.perturbseq.delimited import PublishedTableError
from cm4ai_assets.sandbox.sequencing import cellranger_statistics
from cm4ai_assets.tables.screen import CELLRANGER_METRICS

SAMPLE = "KOLF2-ALPHA-Chip-1-Channel-1"
TEXT = f"""Sample,Estimated Number of Cells,Valid Barcodes,Number of Reads,Operator,Score
{SAMPLE},"31,234",95.3%,"1,912,345,678",Y.,0.5
KOLF2-BETA-Chip-2-Channel-16,28000,0.941,1.2e9,,
"""


def read(text: str) -> Metrics:
    metrics = read_metrics(text.encode(), "statistics.csv", file_id=7)
    placed = CELLRANGER_METRICS.place(metrics.rows, release="2026-06-v2.0")
    assert CELLRANGER_METRICS.violations(placed) == []
    return metrics


def values(metrics: Metrics) -> dict[tuple[int, str], tuple[str | None, float | None, str]]:
    rows = metrics.rows.select("sample_number", "metric", "value", "number", "unit").iter_rows()
    return {(number, metric): (value, parsed, unit) for number, metric, value, parsed, unit in rows}


def test_values_are_typed_and_unknown_columns_kept() -> None:
    metrics = read(TEXT)
    assert values(metrics) == {
        (1, "Estimated Number of Cells"): ("31,234", 31234.0, "count"),
        (1, "Valid Barcodes"): ("95.3%", 0.953, "share"),
        (1, "Number of Reads"): ("1,912,345,678", 1912345678.0, "count"),
        (1, "Operator"): ("Y.", None, "text"),
        (1, "Score"): ("0.5", 0.5, "number"),
        (2, "Estimated Number of Cells"): ("28000", 28000.0, "count"),
        (2, "Valid Barcodes"): ("0.941", 0.941, "share"),
        (2, "Number of Reads"): ("1.2e9", 1.2e9, "count"),
        (2, "Operator"): (None, None, "text"),
        (2, "Score"): (None, None, "text"),
    }
    known = metrics.rows.filter("is_known")["metric"].unique(maintain_order=True).to_list()
    assert known == ["Estimated Number of Cells", "Valid Barcodes", "Number of Reads"]
    first = metrics.rows.row(0, named=True)
    assert (first["gem_channel"], first["chip"], first["channel"], first["source_file_id"]) == (SAMPLE[6:], 1, 1, 7)
    assert metrics.rows["defects"].list.len().sum() == 0
    assert findings.values_sound(metrics.rows).passed
    assert findings.metrics_kept(metrics).passed
    finding = findings.metrics_known(metrics.rows)
    assert finding.passed
    assert finding.summary == "3 of 5 columns are metrics of Cell Ranger; others: Operator, Score."


def test_a_table_on_its_side_and_in_tabs_is_the_same() -> None:
    fields = [
        line.split(";") for line in TEXT.replace('"31,234"', "31234").replace('"1,912,345,678"', "5").splitlines()
    ]
    rows = [line[0].split(",") for line in fields]
    upright = read("\n".join("\t".join(row) for row in rows))
    turned = read("\n".join("\t".join(column) for column in zip(*rows, strict=True)))
    assert turned.rows.equals(upright.rows)


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("Valid Barcodes", "95.3", (95.3, "number", ["unit_unclear"])),
        ("Valid Barcodes", "103%", (1.03, "share", ["out_of_range"])),
        ("Valid Barcodes", "many", (None, "text", ["not_a_number"])),
        ("Number of Reads", "-3", (-3.0, "count", ["out_of_range"])),
        ("Number of Reads", "1,23", (None, "text", ["not_a_number"])),
        ("Number of Reads", "1.234.567", (None, "text", ["not_a_number"])),
        ("number of reads", " 1,234 ", (1234.0, "count", [])),
        ("Anything", "12%", (0.12, "share", [])),
        ("Anything", "nan", (None, "text", [])),
        ("Anything", "1e9999", (None, "text", [])),
    ],
)
def test_a_value_is_a_number_only_where_it_is_one(metric: str, value: str, expected: object) -> None:
    assert typed(metric, value) == expected


DEFECTS = {
    "not_a_number": (TEXT.replace("28000", "n/a"), findings.values_sound),
    "unit_unclear": (TEXT.replace("0.941", "94.1"), findings.values_sound),
    "out_of_range": (TEXT.replace("95.3%", "195.3%"), findings.values_sound),
    "duplicate_sample": (TEXT.replace("KOLF2-BETA-Chip-2-Channel-16", SAMPLE), findings.samples_known),
    "no_sample": (TEXT.replace("Sample,", "Blend,"), findings.samples_known),
    "unknown_channel": (TEXT.replace("KOLF2-BETA-Chip-2-Channel-16", "BETA 16"), findings.samples_known),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_flagged_and_reaches_its_check(defect: str) -> None:
    text, check = DEFECTS[defect]
    finding = check(read(text).rows)
    assert not finding.passed
    assert finding.counts[defect] >= 1
    assert finding.rows.height >= 1


def test_channels_without_statistics_are_told() -> None:
    whole = read(cellranger_statistics().decode())
    assert findings.samples_known(whole.rows).passed
    fewer = whole.rows.filter(pl.col("sample") != SAMPLE)
    finding = findings.samples_known(fewer)
    assert not finding.passed
    assert "ALPHA-Chip-1-Channel-1" in finding.summary


def test_a_table_without_a_known_metric_is_told() -> None:
    assert not findings.metrics_known(read("Sample,a,b\nx,1,2\n").rows).passed


def test_lines_that_do_not_fit_block() -> None:
    metrics = read(TEXT + "KOLF2-BETA-Chip-2-Channel-15,1\n")
    assert metrics.left_out == (4,)
    finding = findings.metrics_kept(metrics)
    assert not finding.passed
    assert "line 4" in finding.summary


@pytest.mark.parametrize(("text", "why"), [("", "no header"), ("Sample,Number of Reads\n", "no row that fits")])
def test_a_table_without_rows_is_a_clear_error(text: str, why: str) -> None:
    with pytest.raises(PublishedTableError, match=why):
        read_metrics(text.encode(), "statistics.csv")
