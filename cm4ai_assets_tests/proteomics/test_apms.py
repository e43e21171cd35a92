"""AP-MS: SAINT tables in both header forms, sample annotations, and what is wrong with bad ones."""

from __future__ import annotations

import io
import re

import polars as pl
import pytest

from cm4ai_assets.archives.massive import inventory as massive_inventory
from cm4ai_assets.archives.massive.inventory import Entry, Inventory
from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.identifiers import GENE_SYMBOL
from cm4ai_assets.proteomics import apms, apms_findings, findings, runs
from cm4ai_assets.proteomics.apms_forms import ANNOTATION, form_of
from cm4ai_assets.proteomics.packages import LooseTable
from cm4ai_assets.proteomics.problems import NoTablesError, TableDamagedError
from cm4ai_assets.sandbox import massive
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS
from cm4ai_assets_tests.proteomics.helpers import zipped
from cm4ai_assets_tests.shared import SHARED, needs_shared

HEADER = [
    "Bait",
    "Prey",
    "PreyGene.x",
    "Spec",
    "SpecSum",
    "AvgSpec",
    "NumReplicates.x",
    "ctrlCounts",
    "AvgP.x",
    "MaxP.x",
    "TopoAvgP.x",
    "TopoMaxP.x",
    "SaintScore.x",
    "logOddsScore",
    "FoldChange.x",
    "BFDR.x",
    "boosted_by.x",
]
ROW = {"Bait": "HDAC2", "Prey": "Q13547", "PreyGene": "HDAC1_HUMAN", "Spec": "4|5", "SpecSum": "9", "AvgSpec": "4.5",
       "NumReplicates": "2", "ctrlCounts": "0|1", "AvgP": "1", "MaxP": "1", "TopoAvgP": "1", "TopoMaxP": "1",
       "SaintScore": "1", "logOddsScore": "5.5", "FoldChange": "9", "BFDR": "0", "boosted_by": "NA"}  # fmt: skip


def saint(*rows: dict[str, str], header: list[str] | None = None) -> bytes:
    header = header or HEADER
    cells = [[(ROW | row).get(name, (ROW | row).get(name.removesuffix(".x"), "")) for name in header] for row in rows]
    return "\n".join("\t".join(line) for line in [header, *cells]).encode() + b"\n"


def defects_of(row: dict[str, str], header: list[str] | None = None) -> list[str]:
    return list(apms.read_interactions(saint(row, header=header), "apms.tsv").rows["defects"][0])


@needs_shared
def test_the_real_row_becomes_typed_columns() -> None:
    """One row of the published table is quoted in the data reference, with its header."""
    text = (SHARED / "reference" / "cm4ai-data.md").read_text()
    header = re.search(r"`(Bait, Prey, PreyGene\.x, [^`]*)`", text)
    row = re.search(r"`(DNMT3A O00422 [^`]*)`", text)
    assert header is not None
    assert row is not None
    data = "\t".join(header[1].split(", ")) + "\n" + "\t".join(row[1].split()) + "\n"
    table = apms.read_interactions(data.encode(), "apms.tsv", context="cm4ai_chromatin_mda-mb-468_untreated_apms.zip")
    assert table.condition is Condition.UNTREATED
    assert table.rows.row(0, named=True) == {
        "bait_symbol": "DNMT3A", "prey": "O00422", "occurrence": 0, "prey_uniprot_id": "O00422",
        "prey_entry_name": "SAP18_HUMAN", "prey_gene_symbol": None,
        "spectral_counts": [6, 7, 8, 10], "spectral_count_sum": 31,
        "spectral_count_mean": 7.75, "replicates": 4, "control_counts": [0] * 8, "avg_p": 1.0, "max_p": 1.0,
        "topo_avg_p": 1.0, "topo_max_p": 1.0, "saint_score": 1.0, "log_odds_score": 13.51, "fold_change": 77.5,
        "bfdr": 0.0, "boosted_by": None, "source_file": "apms.tsv", "source_line": 2, "source_file_id": None,
        "source_sha256": None, "defects": [],
    }  # fmt: skip


@needs_shared
def test_every_real_bait_and_prey_symbol_has_the_form_of_a_symbol() -> None:
    nodes = pl.read_csv(SHARED / "data" / "apms" / "ppi_gene_node_attributes.tsv", separator="\t")
    assert nodes.height > 500
    assert nodes.filter(~GENE_SYMBOL.fits_column("name")).is_empty()


@pytest.mark.parametrize("suffixed", [True, False])
def test_both_header_forms_say_the_same(*, suffixed: bool) -> None:
    table = apms.read_interactions(sandbox.saint_table(suffixed=suffixed), "untreated/apms.tsv")
    other = apms.read_interactions(sandbox.saint_table(suffixed=not suffixed), "untreated/apms.tsv")
    assert table.rows.equals(other.rows)
    placed = APMS_INTERACTIONS.place(table.rows, release="2024-05-v1.0", condition="untreated")
    assert APMS_INTERACTIONS.violations(placed) == []
    assert apms_findings.interactions_sound(table.rows).passed


def test_where_both_forms_are_there_the_one_without_suffix_counts() -> None:
    header = [*HEADER, "SaintScore", "AvgP"]
    data = saint({"SaintScore.x": "0.2", "SaintScore": "0.7", "AvgP": "", "AvgP.x": "0.5"}, header=header)
    row = apms.read_interactions(data, "apms.tsv").rows.row(0, named=True)
    assert (row["saint_score"], row["avg_p"], row["defects"]) == (0.7, 0.5, ["columns_disagree"])


@pytest.mark.parametrize(
    ("row", "defect"),
    [
        ({"Prey": "HDAC1"}, "bad_prey_id"),
        ({"Bait": "HDAC 2"}, "bad_bait_symbol"),
        ({"Spec": "4|x"}, "bad_list"),
        ({"Spec": "4|5.5"}, "bad_list"),
        ({"SpecSum": "10"}, "sum_mismatch"),
        ({"NumReplicates": "3"}, "replicates_mismatch"),
        ({"BFDR": "1.5"}, "score_out_of_range"),
        ({"FoldChange": "big"}, "bad_number"),
    ],
)
def test_what_is_wrong_with_a_row_is_flagged(row: dict[str, str], defect: str) -> None:
    assert defect in defects_of(row)


def test_prey_ids() -> None:
    ids = {
        "O00422": True,
        "A0A024R1R8": True,
        "Q9Y6K1-2": True,
        "SAP18_HUMAN": False,
        "P1234": False,
        "O00422;P1": False,
    }
    assert {prey: "bad_prey_id" not in defects_of({"Prey": prey}) for prey in ids} == ids


def test_a_repeated_pair_is_kept_and_flagged() -> None:
    table = apms.read_interactions(saint({}, {}), "apms.tsv").rows
    assert table["occurrence"].to_list() == [0, 1]
    assert table["defects"].to_list() == [[], ["duplicate_pair"]]
    assert not apms_findings.interactions_sound(table).passed


def test_a_row_without_bait_is_left_out_and_told() -> None:
    table = apms.read_interactions(saint({}, {"Bait": ""}), "apms.tsv")
    assert [(d.line, d.column) for d in table.defects] == [(3, "Bait")]
    assert table.rows.height == 1


def test_rows_without_bait_or_prey_count_as_lost() -> None:
    data = saint({}, {}, {"Bait": ""}, {"Prey": ""})
    archive = zipped("cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha.zip", {"apms.tsv": data})
    found = findings.rows_kept(apms.interactions_of([archive], Condition.UNTREATED))
    assert (found.passed, found.counts) == (False, {"lines": 4, "left_out": 2})


def test_the_first_word_of_a_bait_is_its_gene() -> None:
    data = saint({"Bait": "PTX3_VRST"}, {"Bait": "PTX3_PTXL"})
    rows = apms.read_interactions(data, "apms.tsv", expected=Condition.VORINOSTAT).rows
    assert ["other_treatment" in flags for flags in rows["defects"]] == [False, True]


def test_a_table_without_its_columns_is_refused() -> None:
    with pytest.raises(TableDamagedError, match=r"apms\.tsv, line 1, column 'ctrlCounts'"):
        apms.read_interactions(saint({}, header=[name for name in HEADER if name != "ctrlCounts"]), "apms.tsv")


def test_tables_in_an_archive_are_found_by_their_columns() -> None:
    archive = zipped(
        "cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha.zip",
        {"apms.tsv": sandbox.saint_table(), "readme.txt": b"x", "a.tsv": sandbox.run_annotation(Condition.PACLITAXEL)},
    )
    assert apms.interactions_of([archive], Condition.UNTREATED).rows.height == 48
    assert runs.runs_of([archive]).rows.height == 40
    with pytest.raises(NoTablesError, match="None of the 2 AP-MS tables"):
        apms.interactions_of([archive], Condition.PACLITAXEL)


@needs_shared
def test_the_real_annotation_header_is_read() -> None:
    lines = (SHARED / "data/apms/headers/APMS_Paclitaxel_Sample_Annotation.tsv.header.tsv").read_text().splitlines()
    header = [line.split("\t")[0] for line in lines]
    assert form_of(tuple(header)) == ANNOTATION
    assert header == sandbox.run_annotation(Condition.PACLITAXEL).decode().splitlines()[0].split("\t")


def test_a_dmso_run_is_untreated_whatever_its_deposit() -> None:
    data = sandbox.run_annotation(Condition.VORINOSTAT)
    reading = runs.runs_of([], [LooseTable("a.tsv", lambda: io.BytesIO(data), "MSV000101917")])
    assert {condition: reading.of(condition).height for condition in CONDITIONS} == {
        Condition.UNTREATED: 20, Condition.PACLITAXEL: 0, Condition.VORINOSTAT: 20,
    }  # fmt: skip
    placed = APMS_RUNS.place(reading.of(Condition.UNTREATED), release="2026-06-v2.0", condition="untreated")
    assert APMS_RUNS.violations(placed) == []
    assert set(placed["treatment_label"]) == {"DMSO"}
    assert dict(placed.group_by("role").len().sort("role").iter_rows()) == {
        "bait": 12, "positive_control": 4, "untagged": 4,
    }  # fmt: skip
    assert set(placed.filter(pl.col("role") != "bait")["bait_symbol"]) == {None}


def test_bad_annotations_are_flagged() -> None:
    data = (
        b"Raw_file\tTagged_Line\tTreatment\tQC_Status\n"
        b"a.raw\tHDAC2\tDMSO\tmaybe\na.raw\tHDAC2\tXYZ\tTRUE\n\tPositive\tdmso\tFALSE\n"
    )
    rows = runs.read_runs(data, "a.tsv").rows
    assert rows["defects"].to_list() == [["unknown_qc_status"], ["unknown_treatment", "duplicate_run"], ["no_raw_file"]]
    assert rows["run_condition"].to_list() == ["untreated", None, "untreated"]
    assert rows["qc_passed"].to_list() == [None, True, False]
    assert not apms_findings.runs_sound(rows).passed
    unknown = apms_findings.treatments_known(rows)
    assert (unknown.passed, unknown.counts) == (False, {"runs": 3, "unknown": 1})
    assert unknown.rows["treatment_label"].to_list() == ["XYZ"]
    with pytest.raises(TableDamagedError, match="sample annotation"):
        runs.read_runs(b"a\tb\n1\t2\n", "a.tsv")


def test_annotated_runs_and_deposited_files_are_held_against_each_other() -> None:
    accession = "MSV000101915"
    annotated = runs.read_runs(sandbox.run_annotation(Condition.PACLITAXEL), "a.tsv", accession=accession).rows
    entries = tuple(Entry(path, size) for path, size in massive.sizes(accession).items())
    files = massive_inventory.rows(Inventory(accession, "", entries, "ftps"))
    assert apms_findings.runs_deposited(annotated, files).passed
    raw = files.filter(pl.col("kind") == "raw_run")["path"]
    fewer = files.filter(pl.col("path") != raw[0])
    finding = apms_findings.runs_deposited(annotated.head(30), fewer)
    assert finding.counts == {"runs": 30, "without_file": 1, "without_annotation": 10}
    assert not finding.passed
