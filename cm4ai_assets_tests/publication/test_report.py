"""The report of a release: what is there is shown, what is not says why, and the same release gives the same page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.publication.blocks import Block, Figure, Page, Section, Table, Text
from cm4ai_assets.publication.html import render
from cm4ai_assets.publication.report import Checked, Subject, molecules, page_of
from cm4ai_assets.publication.report.loading import snippet
from cm4ai_assets_tests.exports import releases
from cm4ai_assets_tests.images.published import publish
from cm4ai_assets_tests.publication.test_html import HOSTILE
from cm4ai_assets_tests.validators import node

SECTIONS = [
    "At a glance", "What is in it", "Contact sheets", "Image quality", "Nuclei", "Plates and positions",
    "Effects of treatments", "Splits", "Coverage across modalities", "SEC-MS", "AP-MS", "Perturb-seq",
    "Changes since the last release", "Anomalies and contradictions", "Embargoes and access", "Licences",
    "Prohibited uses and terms", "How to cite", "Provenance", "How to load it", "Glossary",
]  # fmt: skip
BROKEN = pl.DataFrame({"file": [f"{HOSTILE} {n}" for n in range(100)], "size": [5] * 100})
CHECKED = (
    Checked("if_fields", "untreated", "fields_complete", "Complete.", Finding("fields_complete", True, "All are.")),
    Checked(
        "if_images", "untreated", "members_unique", f"Each once. {HOSTILE}",
        Finding("members_unique", False, f"Some are not. {HOSTILE}", BROKEN, {"images_twice": 1_234}),
    ),
    Checked("release_files", None, "digests_published", "Digests.", None, "Not evaluated: the lock went away."),
)  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Images of two conditions with splits, and hostile texts where the archive may put them."""
    images = releases.painted(tmp_path_factory.mktemp("images"), (Condition.UNTREATED, Condition.PACLITAXEL))
    made = releases.with_splits(images, tmp_path_factory.mktemp("report"))
    said = {"landing_page": ("name", "license", "conditionsOfAccess", "usageInfo"), "d4d": ("prohibited_uses[0]",)}
    rows = [
        {"source": kind, "row": n, "source_kind": kind, "field": name, "value": f"{name} {HOSTILE}",
         "value_type": "string", "deviations": [],
         "topics": ["prohibited_use" if kind == "d4d" else "citation" if name == "usageInfo" else "terms"]}
        for kind, names in said.items() for n, name in enumerate(names)
    ]  # fmt: skip
    publish(made.store, "release_datasheet", rows, None)
    return made


@pytest.fixture(scope="module")
def subject(release: Release) -> Subject:
    credit = {"license": releases.LICENSE}
    delivery = [replace(one, credit=credit) for one in delivered(release.store, release.key)]
    return Subject(release, delivery, CHECKED)


@pytest.fixture(scope="module")
def page(subject: Subject) -> Page:
    return page_of(subject, {"citation.bib": b"@dataset{x}\n", "CITATION.cff": b"cff-version: 1.2.0\n"})


def flat(blocks: tuple[Block, ...] | list[Block]) -> list[Block]:
    return [one for block in blocks for one in (flat(list(block.blocks)) if isinstance(block, Section) else [block])]


def part(page: Page, title: str) -> list[Block]:
    (found,) = (section for section in page.sections if section.title == title)
    return flat(list(found.blocks))


def texts(blocks: list[Block]) -> str:
    return " ".join(str(block.content) for block in blocks if isinstance(block, Text))


def test_every_section_says_something(page: Page) -> None:
    assert [section.title for section in page.sections] == SECTIONS
    assert all(flat(list(section.blocks)) for section in page.sections)


def test_each_condition_has_its_contact_sheets_with_the_fields_named(page: Page) -> None:
    figures = [block for block in part(page, "Contact sheets") if isinstance(block, Figure)]
    assert len(figures) == 4
    assert all(f"B2AI_1_{name}_A1_R1_z01" in str(figure.caption) for figure, name in
               zip(figures, ["untreated", "untreated", "paclitaxel", "paclitaxel"], strict=True))  # fmt: skip
    assert "if_tensors of vorinostat of 2026-06-v2.0" in texts(part(page, "Contact sheets"))


@pytest.mark.parametrize(("title", "table"), [
    ("Nuclei", "if_cells"), ("Plates and positions", "if_plates"), ("Effects of treatments", "if_effects"),
    ("Coverage across modalities", "proteins"), ("SEC-MS", "secms_proteins"), ("AP-MS", "apms_interactions"),
    ("Perturb-seq", "perturb_targets"), ("Changes since the last release", "release_changes"),
])  # fmt: skip
def test_what_the_release_does_not_have_says_why(page: Page, title: str, table: str) -> None:
    assert re.search(rf"{table} of .*2026-06-v2.0 (is|was) not", texts(part(page, title)))


def test_every_warning_is_shown_with_all_counts_and_some_rows(page: Page) -> None:
    blocks = part(page, "Anomalies and contradictions")
    counts, *tables = (block for block in blocks if isinstance(block, Table))
    assert [[str(cell) for cell in row[1:]] for row in counts.rows] == [
        ["1", "0", "1"],
        ["1", "0", "1"],
        ["1", "1", "0"],
    ]
    (doubtful,) = (table for table in tables if table.caption == "What is doubtful in if_images")
    assert "images twice 1,234" in str(doubtful.rows)
    (rows,) = (table for table in tables if "members_unique" in table.caption)
    assert "of the first hundred that it names (5 of 100 rows)" in rows.caption
    assert len(rows.rows) == 5
    assert rows.rows[0][1] == "5 bytes"
    assert any("the lock went away" in str(table.rows) for table in tables)
    assert not any("fields_complete" in str(table.rows) for table in tables)


def test_a_modality_that_is_not_published_is_not_called_absent() -> None:
    names = ("has_if", "has_secms", "has_apms", "has_perturbseq")
    proteins = pl.DataFrame([(True, None, False, True)], schema=dict.fromkeys(names, pl.Boolean()), orient="row")
    (row,) = molecules._by_combination(proteins).rows(named=True)
    assert row == {"IF": True, "SEC-MS": "not published", "AP-MS": False, "Perturb-seq": True, "genes": 1}
    (note,) = molecules._unknown(proteins)
    assert "Of SEC-MS no table is published here" in str(note)


def test_licences_terms_and_citation_are_carried_over(page: Page) -> None:
    (covered, *_) = (block for block in part(page, "Licences") if isinstance(block, Table))
    ((licence, what),) = covered.rows
    assert licence == releases.LICENSE
    assert "if_tensors" in str(what)
    assert "prohibited_uses[0]" in str(part(page, "Prohibited uses and terms"))
    assert "@dataset{x}" in str(part(page, "How to cite"))
    assert "cff-version: 1.2.0" in str(part(page, "How to cite"))


def test_provenance_names_the_published_files_and_what_is_made_of_them(page: Page) -> None:
    files = next(block for block in part(page, "Provenance") if isinstance(block, Table))
    assert len(files.rows) == 2
    assert releases.DOI in str(files.rows)
    assert "if_fields" in str(files.rows[0][-1])


def test_the_code_works_for_this_release(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", subject.release.store.url)
    names: dict[str, object] = {}
    exec(compile(snippet(subject), "snippet", "exec"), names)
    assert {"files", "test", "fields", "images", "first"} <= names.keys()
    assert "nuclei" not in names


def test_the_code_for_other_modalities_works_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = releases.with_secms_and_perturbseq(tmp_path)
    lock = {
        "doi": releases.DOI, "version": "2.0", "directory": "", "label": "x.zip", "file_id": 1, "access": "embargoed",
        "is_ingested": False, "unrecognised_reason": "of a test",
    }  # fmt: skip
    publish(made.store, "release_files", [lock], None)
    publish(made.store, "apms_interactions", [], "untreated")
    publish(made.store, "proteins", [], None)
    monkeypatch.setenv("CM4AI_STORAGE", made.store.url)
    names: dict[str, object] = {}
    other = Subject(made, delivered(made.store, made.key))
    exec(compile(snippet(other), "snippet", "exec"), names)
    assert {"groups", "profiles", "pairs", "proteins"} <= names.keys()
    html = render(page_of(other)).decode()
    assert "SEC-MS of untreated: replicates" in html
    assert "Knock-down of every target" in html
    assert "No check was evaluated for this page." in html
    assert "Files that are not public, of 1" in html


def test_the_same_release_gives_the_same_page(subject: Subject, page: Page) -> None:
    again = Subject(subject.release, subject.delivery, CHECKED)
    beside = {"citation.bib": b"@dataset{x}\n", "CITATION.cff": b"cff-version: 1.2.0\n"}
    assert render(page_of(again, beside)) == render(page)


def test_the_page_is_sound_and_usable(page: Page, tmp_path: Path) -> None:
    data = render(page)
    assert b"<script" not in data
    assert "\u202e" not in data.decode()
    file = tmp_path / "index.html"
    file.write_bytes(data)
    assert node.html_errors(file) == []


@pytest.mark.browser
def test_readers_of_any_kind_can_use_it(page: Page, tmp_path: Path) -> None:
    node.require_accessible(tmp_path / "index.html", render(page))
