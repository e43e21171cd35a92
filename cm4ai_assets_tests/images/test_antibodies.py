from __future__ import annotations

import csv

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.images.antibodies import antibody_rows, is_control, targets_of
from cm4ai_assets.images.manifest import parse_manifest
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets_tests.images.archives import HEADER, REAL_MANIFEST, manifest_row, manifest_text
from cm4ai_assets_tests.shared import PUBLISHED_IMAGES, needs_shared

IDS = ("ensembl_gene_id", "gene_symbol", "uniprot_id", "chromosome")


def table(text: str) -> pl.DataFrame:
    rows = antibody_rows(parse_manifest(text.encode()))
    return IF_ANTIBODIES.validated(IF_ANTIBODIES.from_rows(rows, release="2025-06-v2.1", condition="paclitaxel"))


def line(antibody: str, ids: str, *, field: str = "B2AI_1_Paclitaxel_A1_R1_z01", well: str = "A1") -> str:
    return f"0,1,{well},Paclitaxel,{antibody},{ids},https://example.org/{field}"


def test_a_single_target_keeps_its_ids_together() -> None:
    (row,) = table(REAL_MANIFEST).filter(pl.col("antibody_id") == "CAB005042").to_dicts()
    assert [row[name] for name in IDS] == ["ENSG00000132507", "EIF5A", "P63241", "17"]
    assert (row["pairing"], row["target_index"], row["is_control"]) == ("single", 0, False)
    assert (row["wells"], row["fields"], row["defects"]) == (["B2AI_3_C2"], 1, [])


def test_several_targets_are_not_paired_by_position() -> None:
    """The published row whose genes are sorted by id, while its proteins and symbols are in another order."""
    rows = table(REAL_MANIFEST).filter(pl.col("antibody_id") == "HPA000895")
    assert rows["pairing"].unique().to_list() == ["unpaired"]
    assert rows["target_index"].to_list() == list(range(12))
    assert {name: rows[name].drop_nulls().to_list() for name in IDS} == {
        "ensembl_gene_id": ["ENSG00000102024", "ENSG00000120756", "ENSG00000136167"],
        "gene_symbol": ["PLS3", "LCP1", "PLS1"],  # Q14651 among the names is an accession
        "uniprot_id": ["P13797", "P13796", "Q14651"],
        "chromosome": ["X", "13", "3"],
    }
    assert all(sum(row[name] is not None for name in IDS) == 1 for row in rows.to_dicts())
    assert rows["defects"].explode().drop_nulls().is_empty()


@pytest.mark.parametrize("label", ["NEGATIVE", "NEGATIVE-CTRL", "negative control"])
def test_controls_are_flagged_and_have_no_target(label: str) -> None:
    (row,) = table(manifest_text(line(label, "nan,,,"))).to_dicts()
    assert (row["is_control"], row["pairing"], row["defects"]) == (True, "none", [])
    assert [row[name] for name in IDS] == [None] * 4


def test_wells_and_rows_are_counted() -> None:
    (row,) = table(
        manifest_text(
            manifest_row("B2AI_1_Paclitaxel_A2_R1_z01", well="A2"),
            manifest_row("B2AI_1_Paclitaxel_A1_R1_z01"),
            manifest_row("B2AI_1_Paclitaxel_A1_R2_z01"),
            manifest_row("B2AI_1_Paclitaxel_B1_R2_z01", well="C7"),  # contradicts itself: its well is not known
        )
    ).to_dicts()
    assert (row["wells"], row["fields"]) == (["B2AI_1_A1", "B2AI_1_A2"], 4)


@pytest.mark.parametrize(
    ("antibody", "ids", "flags"),
    [
        ("HPA00001", "ENSG00000132507,P63241,EIF5A,17", ["bad_antibody_id"]),
        ("HPA000001", "ENSG0000013250,P63241,EIF5A,17", ["bad_ensembl_id"]),
        ("HPA000001", "ENSG00000132507,6P3241,EIF5A,17", ["bad_uniprot_id"]),
        ("HPA000001", ",P63241,,17", ["no_gene"]),
        ("CAB000001", ",,,", ["no_gene"]),
        ("CAB000001", "ENSG00000132507,A0A024R161,EIF5A,17", []),
        ("CAB000001", "ENSG00000132507.12,P04637-2,EIF5A,17", []),
        ("CAB000001", "ENSG00000132507,P63241,2-Sep,17", ["spreadsheet_damage"]),
        ("CAB000001", "ENSG00000132507,CON__P63241,EIF5A,17", ["bad_uniprot_id", "contaminant"]),
    ],
)
def test_malformed_ids_are_flagged_and_kept(antibody: str, ids: str, flags: list[str]) -> None:
    (row,) = table(manifest_text(line(antibody, ids))).to_dicts()
    assert row["defects"] == flags
    assert [row[name] or "" for name in ("ensembl_gene_id", "uniprot_id", "gene_symbol", "chromosome")] == ids.split(
        ","
    )


def test_rows_that_disagree_are_flagged_and_united() -> None:
    rows = table(
        manifest_text(
            line("HPA000001", "ENSG00000132507,P63241,EIF5A,17"),
            line("HPA000001", "ENSG00000132508,P63241,EIF5A,17", field="B2AI_1_Paclitaxel_A1_R2_z01"),
        )
    )
    assert rows["ensembl_gene_id"].drop_nulls().to_list() == ["ENSG00000132507", "ENSG00000132508"]
    assert rows["pairing"].unique().to_list() == ["unpaired"]
    assert all("rows_disagree" in row for row in rows["defects"].to_list())


def test_the_order_of_a_list_is_no_disagreement() -> None:
    rows = table(
        manifest_text(
            line("HPA000001", "ENSG00000132507;ENSG00000132508,,,"),
            line("HPA000001", "ENSG00000132508;ENSG00000132507,,,", field="B2AI_1_Paclitaxel_A1_R2_z01"),
        )
    )
    assert rows["defects"].to_list() == [[], []]


def test_a_row_without_an_antibody_has_no_part_in_it() -> None:
    assert table(manifest_text(manifest_row("B2AI_1_Paclitaxel_A1_R1_z01", antibody=""))).is_empty()


@needs_shared
def test_every_published_antibody_id_is_well_formed() -> None:
    ids = (PUBLISHED_IMAGES / "antibody_ids.txt").read_text().split()
    with (PUBLISHED_IMAGES / "derived_antibody_gene_map.tsv").open() as known:
        genes = {row["antibody"]: row["ensembl_ids"] for row in csv.DictReader(known, delimiter="\t")}
    rows = [line(antibody, f"{genes.get(antibody, '').replace(',', ';').split('|')[0]},,,") for antibody in ids]
    found = table(manifest_text(*rows))
    assert found["antibody_id"].n_unique() == len(ids)
    flags = found["defects"].explode().drop_nulls()
    assert not flags.is_in(["bad_antibody_id", "bad_ensembl_id"]).any()
    assert [name for name in ids if is_control(name)] == [name for name in ids if "NEGATIVE" in name]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20), min_size=4, max_size=4))
def test_no_id_is_too_strange(cells: list[str]) -> None:
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    manifest = parse_manifest(f"{HEADER}\n{line('HPA000001', quoted)}\n".encode())
    assert [targets_of(row).pairing for row in manifest.rows]
    IF_ANTIBODIES.validated(
        IF_ANTIBODIES.from_rows(antibody_rows(manifest), release="2025-06-v2.1", condition="untreated")
    )
