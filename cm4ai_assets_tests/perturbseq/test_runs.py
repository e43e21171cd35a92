"""Sequencing runs: samples and runs of crates and of their pages, beside what archives report, and their checks."""

from __future__ import annotations

import zipfile
from datetime import date
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.archives.ena.reports import RunFile, RunReport
from cm4ai_assets.crates.reader import CrateFile, read_crate
from cm4ai_assets.findings import Finding
from cm4ai_assets.perturbseq import archive_findings as findings
from cm4ai_assets.perturbseq.archive_pictures import channel_map
from cm4ai_assets.perturbseq.deposits import named_in
from cm4ai_assets.perturbseq.runs import Listed, listed_in, runs_table
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets_tests.shared import SHARED, needs_shared

DAY = date(2026, 11, 26)
GEX, CRISPR = "KOLF2-ALPHA-GEX-Chip-1-Channel-1", "KOLF2-ALPHA-CRISPR-Chip-1-Channel-1"
NOBODY: dict[str, list[RunReport] | None] = {"ena": None, "ncbi": None}
NOTHING: dict[str, list[RunReport] | None] = {"ena": [], "ncbi": []}


def data_set(name: str, *urls: str, day: str = "2027-09-01", **others: Any) -> dict[str, Any]:
    return {
        "@type": "https://w3id.org/EVI#Dataset", "name": f"SRA Data-{name}", "datePublished": day,
        "contentUrl": [f"https://dataview.ncbi.nlm.nih.gov/object/{url}" for url in urls], **others,
    }  # fmt: skip


def table(listed: Listed, reports: dict[str, list[RunReport] | None] | None = None, **others: Any) -> pl.DataFrame:
    made = runs_table(
        listed,
        NOBODY if reports is None else reports,
        release="2026-06-v2.0",
        project="PRJNA1173491",
        day=DAY,
        **others,
    )
    assert SRA_RUNS.violations(made) == []
    return made


def report(
    run: str, archive: str = "ena", *, md5: str | None = "a" * 32, kind: str = "fastq", **others: Any
) -> RunReport:
    files = (RunFile(kind, f"{run}.gz", f"https://h/{run}.gz", 10, md5),)
    return RunReport(run, archive, **{"files": files, "names": (GEX,), **others})


# --- what crates list


def test_a_sample_says_its_batch_library_chip_and_channel_and_its_runs() -> None:
    made = table(listed_in([data_set(GEX, "SRR31012625", "SRR31012081")]))
    assert made["run"].to_list() == ["SRR31012081", "SRR31012625"]
    assert made.select("batch", "library", "chip", "channel", "gem_channel").unique().rows() == [
        ("ALPHA", "GEX", 1, 1, "ALPHA-Chip-1-Channel-1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "entity",
    [
        {"@type": "https://w3id.org/EVI#Sample", "name": f"SRA Sample {GEX}"},
        {"@type": "https://w3id.org/EVI#Experiment", "name": f"SRA Experiment {GEX}"},
        {"@type": "https://w3id.org/EVI#Dataset", "name": "Feature reference"},
        {"@type": 4, "name": None},
        {},
    ],
)
def test_what_is_no_data_set_of_reads_is_passed_over(entity: dict[str, Any]) -> None:
    assert listed_in([entity]).samples == {}


def test_a_sample_whose_runs_are_not_named_is_one_row_and_flagged() -> None:
    (row,) = table(listed_in([data_set(CRISPR, "53424698")])).rows(named=True)
    assert (row["sample"], row["run"], row["defects"]) == (CRISPR, None, ["run_not_named"])


def test_channels_without_a_molecule_file_are_known_only_where_a_crate_lists_some() -> None:
    one = data_set(GEX, "SRR31012081")
    assert table(listed_in([one]))["is_counted"].to_list() == [None]
    other = {**one, "name": "Molecule Data-ALPHA-Chip-1-Channel-2"}
    assert table(listed_in([one, other]))["is_counted"].to_list() == [False]
    assert table(listed_in([one, {**other, "name": "Molecule Data-ALPHA-Chip-1-Channel-1"}]))["is_counted"][0] is True


PAGE = f"""<table><thead><tr><th>Name</th></tr></thead><tbody>
<tr><td>SRA Data-{GEX}</td><td
title="x">Perturb Seq</td><td>Embargoed</td><td>2027-10-01</td></tr>
<tr><td>Molecule Data-ALPHA-Chip-1-Channel-1</td><td>m</td><td>Embargoed</td><td>2027-10-01</td></tr>
<tr><td>two</td><td>cells</td></tr></tbody></table>"""


def test_the_page_of_a_crate_stands_in_for_it_and_never_beside_it() -> None:
    (row,) = table(listed_in([], [PAGE])).rows(named=True)
    assert (row["sample"], row["listed_by"], row["is_counted"]) == (GEX, ["preview"], True)
    assert (row["access"], row["embargo_until"]) == ("embargoed", date(2027, 10, 1))
    crated = table(listed_in([data_set(GEX, "SRR31012081", day="2028-01-01")], [PAGE]))
    assert crated.select("listed_by", "embargo_until").rows() == [(["crate"], date(2028, 1, 1))]


# --- beside what archives hold


@pytest.mark.parametrize(
    ("day", "url", "reports", "access", "until"),
    [
        ("2027-09-01", "SRR31012081", NOTHING, "embargoed", date(2027, 9, 1)),
        ("2027-09-01", "SRR31012081", NOBODY, "embargoed", date(2027, 9, 1)),
        ("2025-05-25", "SRR31012081", NOTHING, "not_listed", None),
        ("2025-05-25", "SRR31012081", NOBODY, "unknown", None),
        ("2025-05-25", "Embargoed", NOTHING, "embargoed", date(2025, 5, 25)),
        ("", "Embargoed", NOTHING, "embargoed", None),
        ("2027-09-01", "SRR31012081", {"ena": [report("SRR31012081")], "ncbi": None}, "public", None),
        ("2027-09-01", "SRR31012081", {"ena": [report("SRR31012081", files=())], "ncbi": []}, "no_files", None),
    ],
)
def test_access_is_what_archives_show_and_an_embargo_a_state_with_its_day(
    day: str, url: str, reports: dict[str, list[RunReport] | None], access: str, until: date | None
) -> None:
    (row,) = table(listed_in([data_set(GEX, url, day=day)]), reports).rows(named=True)
    assert (row["access"], row["embargo_until"]) == (access, until)


def test_runs_that_only_an_archive_lists_are_put_to_their_sample_by_its_name() -> None:
    listed = listed_in([data_set(CRISPR, "53424698"), data_set(GEX, "SRR31012081")])
    reports = {"ena": [report("SRR31012082", names=("x", CRISPR)), report("SRR31012083", names=())], "ncbi": []}
    made = table(listed, {**NOTHING, **reports})
    assert made.select("sample", "run").rows() == [
        (CRISPR, "SRR31012082"), (GEX, "SRR31012081"), (None, "SRR31012083"),
    ]  # fmt: skip
    assert made["defects"].to_list() == [["run_not_named"], [], ["sample_not_named"]]
    assert made["listed_by"].to_list() == [["ena"], ["crate"], ["ena"]]


def test_archives_that_disagree_are_flagged() -> None:
    listed = listed_in([data_set(GEX, "SRR31012081")])
    ena = report("SRR31012081", kind="sra", md5="a" * 32, names=(CRISPR,))
    ncbi = report("SRR31012081", "ncbi", kind="sra", md5="b" * 32, names=())
    (row,) = table(listed, {"ena": [ena], "ncbi": [ncbi]}).rows(named=True)
    assert row["defects"] == ["samples_differ", "digests_differ"]
    assert row["listed_by"] == ["crate", "ena", "ncbi"]
    assert row["bioproject"] == "PRJNA1173491"


def test_stored_files_are_known_by_their_digest() -> None:
    listed = listed_in([data_set(GEX, "SRR31012081")])
    made = table(listed, {"ena": [report("SRR31012081")], "ncbi": []}, stored=lambda file: file.md5 and "f" * 64)
    assert made["file_sha256s"].to_list() == [["f" * 64]]


# --- the article


@pytest.mark.parametrize(
    ("text", "dois", "private"),
    [
        (b'"https://doi.org/10.25452/figshare.plus.27261219.v1"', ("10.25452/figshare.plus.27261219.v1",), ()),
        (b"doi:10.6084/m9.figshare.1434614,", ("10.6084/m9.figshare.1434614",), ()),
        (b'"https://figshare.com/s/ee85bb1880921326249b"', (), ("ee85bb1880921326249b",)),
        (b"https://figshare.com/ndownloader/files/1?private_link=ee85bb1880921326249b'", (), ("ee85bb1880921326249b",)),
        (b"10.18130/V3/F3TD5R figshare 10.6084/m91434614", (), ()),
    ],
)
def test_an_article_is_named_by_doi_or_by_a_private_link(
    text: bytes, dois: tuple[str, ...], private: tuple[str, ...]
) -> None:
    found = named_in([text, text])
    assert (found.dois, found.private) == (dois, private)


# --- findings


def files(**others: Any) -> pl.DataFrame:
    row = {
        "doi": "10.25452/figshare.plus.27261219", "article_id": 27261219, "article_version": 1, "file_id": 1,
        "label": "a.h5ad", "size": 10, "md5": "a" * 32, "supplied_md5": "a" * 32, "access": "public", "role": "cells",
        "named_by": "crate", "notes": "", **others,
    }  # fmt: skip
    guides = {**row, "file_id": 2, "label": "feature_reference.csv", "role": "guides", "access": "public"}
    return FIGSHARE_FILES.from_rows([row, guides], release="2026-06-v2.0")


def verdicts(*found: Finding) -> dict[str, bool]:
    return {one.check: one.passed for one in found}


def of_files(frame: pl.DataFrame) -> dict[str, bool]:
    return verdicts(
        findings.digests_published(frame), findings.files_accessible(frame, DAY), findings.article_named(frame),
        findings.roles_recognised(frame),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "failing"),
    [
        ({}, set()),
        ({"md5": None}, {"digests_published"}),
        ({"size": None}, {"digests_published"}),
        ({"supplied_md5": "b" * 32}, {"digests_published"}),
        ({"supplied_md5": None}, set()),
        ({"access": "embargoed", "embargo_until": date(2027, 1, 1)}, set()),
        ({"access": "embargoed", "embargo_until": None}, {"files_accessible"}),
        ({"access": "embargoed", "embargo_until": DAY}, {"files_accessible"}),
        ({"access": "linked"}, {"files_accessible"}),
        ({"named_by": "programme"}, {"article_named"}),
        ({"role": "other"}, {"roles_recognised"}),
    ],
)
def test_each_check_of_the_article_fails_for_its_own_fault(others: dict[str, Any], failing: set[str]) -> None:
    assert {name for name, passed in of_files(files(**others)).items() if not passed} == failing


def of_runs(frame: pl.DataFrame) -> dict[str, bool]:
    return verdicts(
        findings.runs_have_digests(frame), findings.embargoes_current(frame, DAY), findings.libraries_known(frame),
        findings.channels_complete(frame), findings.lists_agree(frame),
    )  # fmt: skip


MOLECULES = data_set("", day="2027-09-01") | {"name": "Molecule Data-ALPHA-Chip-1-Channel-1"}
BOTH = (data_set(GEX, "SRR31012081"), data_set(CRISPR, "SRR31012082"), MOLECULES)
HELD = [report("SRR31012081"), report("SRR31012082", names=(CRISPR,))]


@pytest.mark.parametrize(
    ("entities", "reports", "failing"),
    [
        (BOTH, HELD, set()),
        (BOTH, [], set()),
        (BOTH, [report("SRR31012081", md5=None), HELD[1]], {"runs_have_digests"}),
        (BOTH, [report("SRR31012081", defects=("unequal_lists",)), HELD[1]], {"runs_have_digests"}),
        ((data_set(GEX, "Embargoed", day="2025-05-25"), *BOTH[1:]), [], {"embargoes_current"}),
        (BOTH, [report("SRR31012081", names=(CRISPR,)), HELD[1]], {"libraries_known"}),
        (BOTH[1:], HELD[1:], {"channels_complete"}),
        ((*BOTH[:2], MOLECULES | {"name": "Molecule Data-ALPHA-Chip-1-Channel-2"}), HELD, {"channels_complete"}),
        (BOTH, [*HELD, report("SRR31012083")], {"lists_agree"}),
        ((data_set(GEX, "SRR31012081", "SRR31012099"), *BOTH[1:]), HELD, {"lists_agree"}),
        (BOTH, [*HELD, report("SRR31012083", names=())], {"lists_agree", "libraries_known"}),
    ],
)
def test_each_check_of_the_runs_fails_for_its_own_fault(
    entities: tuple[dict[str, Any], ...], reports: list[RunReport], failing: set[str]
) -> None:
    made = table(listed_in(entities), {"ena": reports, "ncbi": []})
    assert {name for name, passed in of_runs(made).items() if not passed} == failing


def test_the_picture_of_the_channels_is_small_and_says_where_there_is_none() -> None:
    assert channel_map(table(listed_in(BOTH))).startswith(b"\x89PNG")
    assert channel_map(SRA_RUNS.empty()).startswith(b"\x89PNG")


# --- the published crates


@needs_shared
def test_the_runs_of_the_published_crates_are_those_that_the_reference_counts() -> None:
    path = SHARED / "data" / "rocrate" / "march2025_sra.json"
    crate = read_crate(CrateFile(path.name, path.read_bytes()))
    made = table(listed_in(crate.objects()))
    assert (made["sample"].n_unique(), made["run"].drop_nulls().n_unique()) == (192, 1795)
    assert made.filter(pl.col("run").is_null())["sample"].to_list() == [CRISPR]
    per_library = made.group_by("library").agg(pl.col("sample").n_unique(), pl.col("run").count()).sort("library")
    assert per_library.rows() == [("CRISPR", 96, 155), ("GEX", 96, 1640)]
    absent = made.filter(~pl.col("is_counted"))["gem_channel"].unique().sort().to_list()
    assert absent == [
        "ALPHA-Chip-2-Channel-14", "ALPHA-Chip-2-Channel-3", "BETA-Chip-1-Channel-1", "GAMMA-Chip-2-Channel-14",
        "GAMMA-Chip-2-Channel-7", "GAMMA-Chip-2-Channel-8",
    ]  # fmt: skip
    days = dict(made.group_by("batch").agg(pl.col("embargo_until").first()).iter_rows())
    assert days == {"ALPHA": date(2027, 9, 1), "BETA": date(2027, 10, 1), "GAMMA": date(2028, 1, 1)}
    found = findings.channels_complete(made)
    assert found.counts == {"channels": 96, "one_library": 0, "not_counted": 6}
    assert len(channel_map(made)) < 30_000


@needs_shared
def test_the_page_of_the_published_bundle_names_the_same_samples() -> None:
    bundle = zipfile.ZipFile(SHARED / "data" / "dataverse" / "june2026_HIGT4C" / "cm4ai_release_metadata.zip")
    page = bundle.read("cm4ai_release_metadata/Perturb-Seq/sra/ro-crate-preview.html").decode()
    made = table(listed_in([], [page]))
    assert (made.height, set(made["access"]), made["is_counted"].sum()) == (192, {"embargoed"}, 180)
    over = findings.embargoes_current(made, DAY)
    assert (over.passed, over.counts["over"]) == (False, 64)
    assert sorted(set(made["embargo_until"])) == [date(2025, 5, 25), date(2027, 10, 1), date(2028, 1, 1)]


@needs_shared
def test_the_published_release_crate_names_a_private_link_only() -> None:
    found = named_in([(SHARED / "data" / "rocrate" / "june2026_release_trimmed.json").read_bytes()])
    assert (found.private, found.dois) == (("ee85bb1880921326249b",), ())
