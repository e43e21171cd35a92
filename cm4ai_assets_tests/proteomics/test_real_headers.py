"""The nine headers, published or with the same columns, and generated rows: is each quantity at its fraction?"""

from __future__ import annotations

import re

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.proteomics.rows import profile_rows, protein_rows
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets.tables.proteomics import SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets_tests.proteomics.helpers import REPORTS, header_of

WINDOWS = {
    "CTRL_1": (11, 82), "CTRL_2": (12, 83), "CTRL_4": (7, 78), "PTXL_1": (12, 83), "PTXL_2": (11, 82),
    "PTXL_3": (7, 78), "VRST_1": (12, 83), "VRST_2": (7, 78), "VRST_3": (7, 78),
}  # fmt: skip


def fractions_in_column_order(report: str) -> list[int]:
    """An independent reading of the header: the word after the date (six digits) names the fraction."""
    found = []
    for column in header_of(report).split("\t"):
        words = column.split("] ", 1)[-1].split("_")
        dates = [at for at, word in enumerate(words) if re.fullmatch(r"\d{6}", word)]
        if dates:
            found.append(int(words[dates[0] + 1].removeprefix("F")))
    return found


def generated(report: str, groups: int = 40) -> bytes:
    """Rows whose quantities tell their group and fraction; every seventh is missing, every eleventh zero."""
    header = header_of(report)
    identifiers = sum(not column.endswith("PG.Quantity") for column in header.split("\t"))
    lines = [header]
    for group in range(groups):
        quantities = [
            "NaN"
            if (group + fraction) % 7 == 0
            else "0"
            if (group + fraction) % 11 == 0
            else f"{group * 1000 + fraction}"
            for fraction in fractions_in_column_order(report)
        ]
        lines.append("\t".join([*[f"P{group:05d}"] * identifiers, *quantities]))
    return "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("report", REPORTS)
def test_every_quantity_is_at_its_fraction(report: str) -> None:
    replicate = read_report(generated(report), f"Biosep_MDAMB468_{report}_Report.tsv")
    rows = profile_rows(replicate.elution)
    first, last = WINDOWS[report]
    assert replicate.elution.fractions.tolist() == list(range(first, last + 1))
    group = pl.col("protein_group").str.slice(1).cast(pl.Int64)
    key = group + pl.col("fraction")
    expected = (
        pl.when(key % 7 == 0).then(None).when(key % 11 == 0).then(0.0).otherwise(group * 1000 + pl.col("fraction"))
    )
    assert rows.height == 40 * 72
    assert rows.filter(pl.col("quantity").ne_missing(expected)).is_empty()
    named = pl.format("_F{}_", pl.col("fraction").cast(pl.String).str.zfill(2))
    assert rows.filter(~pl.col("run").str.contains(named)).is_empty()


def test_samples_are_those_the_names_state() -> None:
    samples = {r: read_report(generated(r, 2), f"Biosep_MDAMB468_{r}_Report.tsv").elution for r in REPORTS}
    assert {r: one.replicate_id for r, one in samples.items()} == {
        "CTRL_1": "MDA-MB-468_untreated_1", "CTRL_2": "MDA-MB-468_untreated_2", "CTRL_4": "MDA-MB-468_untreated_4",
        "PTXL_1": "MDA-MB-468_paclitaxel_1", "PTXL_2": "MDA-MB-468_paclitaxel_2", "PTXL_3": "MDA-MB-468_paclitaxel_3",
        "VRST_1": "MDA-MB-468_vorinostat_1", "VRST_2": "MDA-MB-468_vorinostat_2", "VRST_3": "MDA-MB-468_vorinostat_3",
    }  # fmt: skip
    assert all(one.sample.flags == () and one.sample.cell_type == "cancer" for one in samples.values())


def test_only_the_report_out_of_order_is_told_to_be() -> None:
    told = {r: [d.kind for d in read_report(generated(r, 2), f"{r}_Report.tsv").defects] for r in REPORTS}
    assert told.pop("VRST_2") == ["columns_out_of_order"]
    assert set(map(tuple, told.values())) == {()}


@pytest.mark.parametrize("report", REPORTS)
def test_optional_columns_are_null_where_the_report_has_none(report: str) -> None:
    row = protein_rows(read_report(generated(report, 3), f"Biosep_MDAMB468_{report}_Report.tsv")).row(0, named=True)
    assert (row["accessions"] is None) == (report in {"CTRL_4", "PTXL_3", "VRST_2", "VRST_3"})
    assert (row["group_label"] is None) == (report != "PTXL_1")
    assert row["uniprot_ids"] == row["gene_symbols"] == row["protein_names"] == ["P00000"]


def test_both_tables_hold_their_schemas() -> None:
    replicates = [read_report(generated(r, 5), f"Biosep_MDAMB468_{r}_Report.tsv") for r in REPORTS[:3]]
    for table, make in ((SECMS_PROFILES, lambda r: profile_rows(r.elution)), (SECMS_PROTEINS, protein_rows)):
        frame = table.place(pl.concat(map(make, replicates)), release="2025-10-v2.1", condition="untreated")
        assert table.violations(frame) == []


def test_what_renaming_by_position_would_have_shifted() -> None:
    """The published tutorial names the n-th quantity column biosep_n and averages replicates over equal n."""
    base = fractions_in_column_order("CTRL_4")
    shifts = {}
    for report in REPORTS:
        order = fractions_in_column_order(report)
        shifts[report] = sorted({fraction - other for fraction, other in zip(order, base, strict=True)})
    assert shifts == {
        "CTRL_1": [4], "CTRL_2": [5], "CTRL_4": [0], "PTXL_1": [5], "PTXL_2": [4], "PTXL_3": [0],
        "VRST_1": [5], "VRST_2": [-1, 71], "VRST_3": [0],
    }  # fmt: skip
    # The same protein, eluting at F40 in every replicate: by position its apex is smeared over six columns.
    by_position, by_name = set(), set()
    for report in REPORTS:
        order = fractions_in_column_order(report)
        quantities = [f"{1000 * np.exp(-(((fraction - 40) / 2) ** 2)):.4f}" for fraction in order]
        identifiers = sum(not column.endswith("PG.Quantity") for column in header_of(report).split("\t"))
        data = f"{header_of(report)}\n" + "\t".join([*["P1"] * identifiers, *quantities]) + "\n"
        by_position.add(int(np.argmax([float(q) for q in quantities])) + 1)
        by_name.add(protein_rows(read_report(data.encode(), f"{report}_Report.tsv"))["apex_fraction"][0])
    assert by_position == {29, 30, 34, 35}
    assert by_name == {40}
