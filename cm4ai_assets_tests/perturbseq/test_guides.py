"""The guide library: the published one against the reference's counts, and every defect planted in a small one."""

from __future__ import annotations

import polars as pl
import pytest

from cm4ai_assets.perturbseq import guide_findings as findings
from cm4ai_assets.perturbseq.delimited import PublishedTableError
from cm4ai_assets.perturbseq.guide_names import normal_form
from cm4ai_assets.perturbseq.guides import Library, read_library, read_whitelist
from cm4ai_assets.sandbox.perturbseq import Experiment, control_whitelist, guide_library
from cm4ai_assets.tables.screen import GUIDE_DEFECTS, GUIDE_LIBRARY
from cm4ai_assets_tests.shared import SHARED, needs_shared

PUBLISHED = SHARED / "data" / "perturbseq"
HEADER = "name,read,pattern,sequence,feature_type,target_gene_id,target_gene_name,id"
PATTERN = "(BC)GTTTTAGAGCTAGAAATAGC"
CHECKS = (
    findings.guides_unique,
    findings.guides_named,
    findings.sequences_sound,
    findings.genes_identified,
    findings.controls_listed,
    findings.three_per_gene,
)


def line(guide: str = "TP53-1", sequence: str = "GACCACGAGCATGGACATGA", **changes: str) -> str:
    gene = guide.rpartition("-")[0]
    fields = {
        "name": guide, "read": "R2", "pattern": PATTERN, "sequence": sequence, "feature_type": "CRISPR Guide Capture",
        "target_gene_id": "Non-Targeting" if gene == "Non-Targeting" else "ENSG00000141510", "target_gene_name": gene,
        "id": guide,
    }  # fmt: skip
    return ",".join((fields | changes).values())


def library(*lines: str, whitelist: str | None = None) -> Library:
    data = "\n".join([HEADER, *lines]).encode()
    return read_library(data, "guides.csv", whitelist=None if whitelist is None else whitelist.encode())


GOOD = (
    line("TP53-1"),
    line("TP53-2", "GACCACGAGCATGGACATGC"),
    line("TP53-3", "GACCACGAGCATGGACATGG"),
    line("Non-Targeting-7", "GGAGGACGATCGTACTCCAG"),
)


def test_a_good_library_has_no_defect_and_passes_every_check() -> None:
    found = library(*GOOD, whitelist="Non-Targeting_7\n")
    placed = GUIDE_LIBRARY.place(found.rows, release="2026-06-v2.0")
    assert GUIDE_LIBRARY.violations(placed) == []
    assert found.rows["guide"].to_list() == ["TP53_1", "TP53_2", "TP53_3", "Non-Targeting_7"]
    assert found.rows["symbol"].to_list() == ["TP53", "TP53", "TP53", None]
    assert found.rows["ensembl_gene"].to_list()[2:] == ["ENSG00000141510", None]
    assert found.rows["source_line"].to_list() == [2, 3, 4, 5]
    assert [check(found).passed for check in (*CHECKS, findings.guides_kept)] == [True] * 7


DEFECTS: dict[str, tuple[tuple[str, ...], str]] = {
    "duplicate_guide": ((line("TP53_1", "TTTCACGAGCATGGACATGC", target_gene_name="TP53"),), "guides_unique"),
    "duplicate_sequence": ((line("TP53-4", "GACCACGAGCATGGACATGA"),), "guides_unique"),
    "bad_sequence": ((line("TP53-4", "GACCACGAGCATGGACATGN"),), "sequences_sound"),
    "other_length": ((line("TP53-4", "GACCACGAGCATGGACATG"),), "sequences_sound"),
    "bad_guide_name": ((line("TP53-4", "TTTCACGAGCATGGACATGC", id="TP53"),), "guides_named"),
    "name_disagrees": ((line("TP53-4", "TTTCACGAGCATGGACATGC", name="TP53-5"),), "guides_named"),
    "target_disagrees": ((line("TP63-4", "TTTCACGAGCATGGACATGC", target_gene_name="TP53"),), "guides_named"),
    "no_target": ((line("TP53-4", "TTTCACGAGCATGGACATGC", target_gene_name=""),), "guides_named"),
    "bad_gene_id": ((line("TP53-4", "TTTCACGAGCATGGACATGC", target_gene_id="ENSG141510"),), "genes_identified"),
    "gene_id_disagrees": (
        (line("TP53-4", "TTTCACGAGCATGGACATGC", target_gene_id="ENSG00000000001"),), "genes_identified",
    ),
    "other_feature_type": (
        (line("TP53-4", "TTTCACGAGCATGGACATGC", feature_type="Antibody Capture"),), "sequences_sound",
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", GUIDE_DEFECTS)
def test_each_defect_is_flagged_and_reaches_its_check(defect: str) -> None:
    lines, check = DEFECTS[defect]
    found = library(*GOOD, *lines)
    last = found.rows.row(-1, named=True)
    assert defect in last["defects"]
    (finding,) = [one(found) for one in CHECKS if one.__name__ == check]
    assert not finding.passed
    assert finding.counts[defect] >= 1
    assert last["guide"] in finding.rows["guide"].to_list()
    assert GUIDE_LIBRARY.violations(GUIDE_LIBRARY.place(found.rows, release="2026-06-v2.0")) == []


def test_hyphen_and_underscore_are_one_guide() -> None:
    assert {normal_form(name) for name in ("A1BG-1", "A1BG_1", " A1BG-1 ")} == {"A1BG_1"}
    assert normal_form("HLA-A-2") == normal_form("HLA-A_2") == "HLA-A_2"
    assert normal_form("Y_RNA-3") == "Y_RNA_3"
    assert normal_form("None") == "None"
    assert read_whitelist(b"Non-Targeting-1\nNon-Targeting_2\n\n") == {"Non-Targeting_1", "Non-Targeting_2"}


def test_controls_are_held_against_the_whitelist() -> None:
    found = library(
        *GOOD, line("Non-Targeting-8", "GGAGGACGATCGTACTCCAT"), whitelist="Non-Targeting_8\nNon-Targeting_9"
    )
    assert found.rows["is_whitelisted"].to_list() == [None, None, None, False, True]
    finding = findings.controls_listed(found)
    assert not finding.passed
    assert finding.rows["whitelisted"].to_list() == ["Non-Targeting_9"]
    assert library(*GOOD).rows["is_whitelisted"].to_list() == [None] * 4
    assert findings.controls_listed(library(*GOOD)).passed
    assert not findings.controls_listed(library(*GOOD[:3])).passed


def test_a_gene_with_another_number_of_guides_is_named() -> None:
    finding = findings.three_per_gene(library(*GOOD, line("EGFR-1", "TTTCACGAGCATGGACATGC")))
    assert not finding.passed
    assert finding.rows["symbol"].to_list() == ["EGFR"]
    assert "1 of 2 genes have 3 guides; 1 have 1" in finding.summary


def test_a_line_that_does_not_fit_blocks_and_is_named() -> None:
    found = library(*GOOD, "TP53-4,R2")
    assert (found.rows.height, found.left_out) == (4, (6,))
    finding = findings.guides_kept(found)
    assert not finding.passed
    assert "line 6" in finding.summary
    assert not findings.guides_kept(library()).passed


def test_columns_that_no_rule_knows_are_kept() -> None:
    data = f"{HEADER},score\n{GOOD[0]},0.7\n".encode()
    found = read_library(data, "guides.csv")
    assert found.unknown_columns == ("score",)
    assert found.rows["others"].to_list() == [[{"name": "score", "value": "0.7"}]]
    assert GUIDE_LIBRARY.violations(GUIDE_LIBRARY.place(found.rows, release="2026-06-v2.0")) == []


def test_tabs_marks_and_line_ends_are_no_difference() -> None:
    text = "\n".join([HEADER, *GOOD])
    for data in ("\ufeff" + text, text.replace("\n", "\r\n"), text.replace(",", "\t")):
        assert read_library(data.encode(), "guides.csv").rows.equals(library(*GOOD).rows)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "no header"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"a,b\n1,2\n", "no column id, sequence, target_gene_name"),
        (b"id,id\n1,2\n", "more than one column 'id'"),
        (b'id,sequence,target_gene_name\n"' + b"x" * 200_000 + b'",a,b\n', "line 2: field larger"),
    ],
)
def test_another_file_is_a_clear_error(data: bytes, text: str) -> None:
    with pytest.raises(PublishedTableError, match=text):
        read_library(data, "guides.csv")


def test_the_sandbox_library_is_sound() -> None:
    experiment = Experiment()
    found = read_library(guide_library(experiment), "guides.csv", whitelist=control_whitelist(experiment))
    assert [check(found).passed for check in (*CHECKS, findings.guides_kept)] == [True] * 7
    assert found.rows["guide"].to_list() == [guide.reindexed for guide in experiment.guides]


@needs_shared
def test_the_published_library_has_the_counts_that_were_measured_of_it() -> None:
    data = (PUBLISHED / "pan_genome_feature_reference.csv").read_bytes()
    whitelist = (PUBLISHED / "NTC_sgRNA_whitelist.txt").read_bytes()
    found = read_library(data, "pan_genome_feature_reference.csv", whitelist=whitelist)
    rows = found.rows
    assert (rows.height, found.left_out, found.unknown_columns) == (35_989, (), ())
    assert rows["guide"].n_unique() == rows["sequence"].n_unique() == 35_989
    assert rows["defects"].list.len().sum() == 0
    # The paper counts 478 controls; the published reference has 947, of which the whitelist names 236.
    assert (rows["is_control"].sum(), rows["is_whitelisted"].sum(), found.not_in_library) == (947, 236, ())
    genes = rows.filter(~pl.col("is_control")).unique("symbol")
    assert dict(genes["guides_of_target"].value_counts().iter_rows()) == {3: 11_670, 2: 11, 1: 10}
    finding = {check.__name__: check(found) for check in CHECKS}
    assert [name for name, one in finding.items() if not one.passed] == ["three_per_gene"]
    assert "11,670 of 11,691 genes have 3 guides; 10 have 1, 11 have 2" in finding["three_per_gene"].summary
    listed = [row.split("\t") for row in (PUBLISHED / "gene_ids.txt").read_text().splitlines()]
    stated = dict(genes.select("symbol", "ensembl_gene").iter_rows())
    assert {symbol: gene for symbol, gene in listed if symbol in stated} == stated
