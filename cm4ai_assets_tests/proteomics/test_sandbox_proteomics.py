"""The sandbox's proteomics: deterministic, and in the published shapes."""

from __future__ import annotations

import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics.names import quantity_column
from cm4ai_assets.sandbox import massive
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets_tests.proteomics.helpers import HEADERS, REPORTS, published_header
from cm4ai_assets_tests.shared import needs_shared


def shape(header: str) -> list[tuple[object, ...]]:
    """What a header says, without the serial numbers of runs."""
    found: list[tuple[object, ...]] = []
    for name in header.split("\t"):
        column = quantity_column(name)
        if column is None:
            found.append((name,))
        else:
            words = column.run.removesuffix(".d").split("_")
            found.append((column.run_index, column.fraction, "_".join(words[:-1])))
    return found


@needs_shared
def test_reports_have_the_columns_of_the_published_ones() -> None:
    for report in REPORTS:
        made = sandbox.mda_reports(groups=1)[f"Biosep_MDAMB468_{report}_Report.tsv"]
        assert shape(made.decode().split("\n", 1)[0]) == shape(published_header(report)), report


@needs_shared
@pytest.mark.parametrize(
    ("name", "made", "separator"),
    [("sec.csv", sandbox.sec_csv(groups=1), ","), ("peak_file_kolf2.tsv", sandbox.msstats_features(groups=1), "\t")],
)
def test_long_tables_have_the_columns_of_the_published_ones(name: str, made: bytes, separator: str) -> None:
    published = [line.split("\t")[0] for line in (HEADERS / f"{name}.header.tsv").read_text().splitlines()]
    assert made.decode().split("\n", 1)[0].split(separator) == published


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    one = sandbox.MDA_REPLICATES[0]
    assert sandbox.report(one, seed=3) == sandbox.report(one, seed=3) != sandbox.report(one, seed=4)
    assert sandbox.sec_csv(groups=5) == sandbox.sec_csv(groups=5)
    assert sandbox.saint_table() == sandbox.saint_table()
    assert sandbox.run_annotation(Condition.PACLITAXEL) == sandbox.run_annotation(Condition.PACLITAXEL)


def test_reports_hold_missing_values_zeros_and_groups_of_two() -> None:
    text = sandbox.report(sandbox.MDA_REPLICATES[2], groups=60).decode()
    cells = [cell for line in text.splitlines()[1:] for cell in line.split("\t")[4:]]
    assert 0.3 < cells.count("NaN") / len(cells) < 0.9
    assert cells.count("0.0000") > 0
    assert ";" in text.splitlines()[8].split("\t")[0]


def test_many_groups_have_distinct_names() -> None:
    names = [group.name for group in sandbox.protein_groups(5000)]
    assert len(set(names)) == len(names) == 5000


def test_deposits_carry_what_the_releases_name() -> None:
    assert sum(path.endswith(".tdf") for path in massive.sizes("MSV000100676")) == 816
    assert massive.content("MSV000100676", "quant/sec.csv") == sandbox.sec_csv()
    assert massive.content("MSV000100676", "ccms_parameters/params.xml") is None
    assert massive.cache_csv("MSV999999999").count(b"\n") == 1
