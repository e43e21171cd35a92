"""Ids of every table of proteomics, and rows that name another treatment."""

from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import apms, apms_findings, findings
from cm4ai_assets.proteomics.rows import protein_rows
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets_tests.proteomics.helpers import report, zipped
from cm4ai_assets_tests.proteomics.test_apms import HEADER, ROW, saint

# --- ids


@pytest.mark.parametrize(
    ("group", "members", "alternatives", "flags"),
    [
        ("sp|P12345|NAME_HUMAN", ["P12345"], 1, []),
        ("sp|P12345-2|NAME_HUMAN;tr|A0A024R161|X_HUMAN", ["P12345-2", "A0A024R161"], 1, []),
        ("sp|P12345|NAME_HUMAN|Q12345", ["P12345", "Q12345"], 2, []),
        ("P12345;Q12345|O12345", ["P12345", "Q12345", "O12345"], 2, []),
        ("CON__P00761", ["CON__P00761"], 1, ["contaminant"]),
        ("P12345;Cont_P00761", ["P12345", "Cont_P00761"], 1, ["contaminant"]),
        ("REV__P12345", ["REV__P12345"], 1, ["decoy"]),
        ("rev_sp|P12345|NAME_HUMAN", ["rev_P12345"], 1, ["decoy"]),
        ("Biognosys|iRT-Kit_WR_fusion", ["Biognosys_iRT-Kit_WR_fusion"], 1, ["irt_standard"]),
        ("NOT1", ["NOT1"], 1, ["malformed_id"]),
    ],
)
def test_protein_groups(group: str, members: list[str], alternatives: int, flags: list[str]) -> None:
    row = protein_rows(read_report(report(rows=[f"{group}\tA\t1\t2"]).encode(), "r.tsv")).row(0, named=True)
    assert (row["protein_group"], row["members"], row["alternatives"], row["defects"]) == (
        group, members, alternatives, flags,
    )  # fmt: skip


@pytest.mark.parametrize(
    "symbol", ["2-Sep", "Mar-01", "1.Mrz", "43709", "2023-09-02", "#NAME?", "2.31E+13", "09/02/2023"]
)
def test_symbols_that_a_spreadsheet_damaged_are_flagged_in_every_modality(symbol: str) -> None:
    proteins = protein_rows(read_report(report(rows=[f"P12345\t{symbol}\t1\t2"]).encode(), "r.tsv"))
    assert proteins["defects"].to_list() == [["spreadsheet_damage"]]
    assert findings.ids_sound(proteins).counts["spreadsheet_damage"] == 1
    assert not findings.ids_sound(proteins).passed
    pairs = apms.read_interactions(saint({"PreyGene": symbol}, {"Bait": symbol}), "apms.tsv").rows
    assert [("spreadsheet_damage" in flags) for flags in pairs["defects"]] == [True, True]


@pytest.mark.parametrize("symbol", ["SEPTIN2", "MARCHF1", "H2AC11", "DEC1", "OCT4", "HLA-A", "C1orf112"])
def test_real_symbols_are_no_damage(symbol: str) -> None:
    proteins = protein_rows(read_report(report(rows=[f"P12345\t{symbol}\t1\t2"]).encode(), "r.tsv"))
    assert proteins["defects"].to_list() == [[]]


def test_preys_have_their_symbol_where_the_table_states_one() -> None:
    rows = apms.read_interactions(
        saint({"PreyGene": "SAP18"}, {"PreyGene": "SAP18_HUMAN", "Prey": "O00422"}, {"Prey": "sp|O00423|X_HUMAN"}),
        "a.tsv",
    ).rows
    assert rows["prey_gene_symbol"].to_list() == ["SAP18", None, None]
    assert rows["prey_entry_name"].to_list() == [None, "SAP18_HUMAN", ROW["PreyGene"]]
    assert rows["prey_uniprot_id"].to_list() == [ROW["Prey"], "O00422", "O00423"]
    (nameless,) = apms.read_interactions(saint({"PreyGene": "NA"}), "apms.tsv").rows.to_dicts()
    assert (nameless["prey_gene_symbol"], nameless["prey_entry_name"], nameless["defects"]) == (None, None, [])


# --- AP-MS: numbers and treatments


@pytest.mark.parametrize(("value", "stored"), [("31.6", None), ("31.0", 31), ("31", 31), ("3000000000", None)])
def test_a_sum_of_counts_is_whole_or_missing(value: str, stored: int | None) -> None:
    row = apms.read_interactions(saint({"Spec": "31", "SpecSum": value}), "apms.tsv").rows.row(0, named=True)
    assert row["spectral_count_sum"] == stored
    assert ("bad_number" in row["defects"]) is (stored is None)


def pairs_of(
    data: bytes, archive: str = "cm4ai_apms_MDA-MB-468_paclitaxel.zip", name: str = "apms.tsv"
) -> pl.DataFrame:
    return apms.interactions_of([zipped(archive, {name: data})], Condition.PACLITAXEL).rows


def test_a_row_of_another_treatment_is_flagged() -> None:
    data = saint({}, {"Bait": "HDAC2_VRST"}, {"Bait": "PTX3"}, {"Bait": "HDAC2_PTXL"})
    flagged = ["other_treatment" in flags for flags in pairs_of(data)["defects"]]
    assert flagged == [False, True, False, False]
    header = [*HEADER, "Treatment"]
    rows = pairs_of(saint({"Treatment": "Paclitaxel"}, {"Treatment": "DMSO"}, {"Treatment": ""}, header=header))
    assert ["other_treatment" in flags for flags in rows["defects"]] == [False, True, False]
    nameless = pairs_of(saint({"Bait": "HDAC2_VRST"}), archive="apms.zip")
    assert "other_treatment" in nameless["defects"][0]


def test_a_table_whose_name_denies_its_archive_is_left_out_and_told() -> None:
    files = {"apms.tsv": saint({}), "apms_vorinostat.tsv": saint({})}
    archive = zipped("cm4ai_apms_MDA-MB-468_paclitaxel.zip", files)
    reading = apms.interactions_of([archive], Condition.PACLITAXEL)
    assert reading.rows.height == 1
    found = apms_findings.pairs_placed(reading.unplaced)
    assert (found.passed, found.counts) == (False, {"unplaced": 1})
    assert "apms_vorinostat.tsv" in found.summary


def test_bad_rows_of_pairs_and_runs_reach_a_check() -> None:
    data = saint({}, {"Bait": ""}, {"Prey": ""}, *[{"Prey": f"P1{n:03d}5"} for n in range(300)])
    reading = apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": data})], Condition.UNTREATED)
    assert findings.rows_kept(reading).passed
    found = findings.text_sound(reading)
    assert (found.passed, found.counts) == (False, {"no_bait_or_prey": 2})
    assert found.rows["line"].to_list() == [3, 4]
