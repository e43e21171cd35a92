"""The runbook: every failure has a section, every section is linked, and a test carries it out.

Such a test bears the mark `mends("disk-full")`: it fails where it leaves out something that the page says, or does not
see what the page says that one sees (`operate.sections.Followed`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cm4ai_assets import causes, errors, runbook
from cm4ai_assets.definitions import defs
from cm4ai_assets.guard import Guard
from cm4ai_assets.handbook import Runbook, text
from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.operate.documented import blocks
from cm4ai_assets_tests.operate.sections import PAGE, SECTIONS, Followed, acts

TESTS = PROJECT / "cm4ai_assets_tests"
PARTS = ("**You see:**", "**It means:**", "**Published data:**", "**Do:**", "**Mended when:**")

# Of what no check, error or incident links, where the reader comes from.
BY_HAND = {"run-killed": "an error of Dagster's own; the section of failed runs", "new-release": "news, no failure"}


def _types(of: type[errors.Cm4aiError]) -> Iterator[type[errors.Cm4aiError]]:
    yield of
    for below in of.__subclasses__():
        yield from _types(below)


TYPES = [one for one in _types(errors.Cm4aiError) if one.__module__.startswith("cm4ai_assets.")]
# Their message says all: a name that nothing has, a budget that does not do.
WRONG_USE = {
    "Cm4aiError", "UnknownTreatmentError", "ReleaseKeyError", "UnknownReleaseError", "SelectionError",
    "BudgetExceededError",
}  # fmt: skip


def test_the_page_has_the_sections_of_the_registry_in_its_order() -> None:
    assert list(SECTIONS) == [one.title for one in runbook.SECTIONS]
    assert [runbook.slug(one.title) for one in runbook.SECTIONS] == [one.anchor for one in runbook.SECTIONS]


@pytest.mark.parametrize("title", SECTIONS)
def test_a_section_says_what_it_is_and_how_it_is_mended(title: str) -> None:
    found = [part for line in SECTIONS[title].splitlines() for part in PARTS if line.startswith(part)]
    assert tuple(found) == PARTS
    for anchor in re.findall(r"\]\(#([^)]+)\)", SECTIONS[title]):
        assert runbook.section(anchor)


def test_the_package_has_this_very_page() -> None:
    link = PROJECT / "cm4ai_assets" / "runbook" / "page.md"
    assert link.resolve() == PAGE.resolve()
    assert text() == PAGE.read_text()


@pytest.mark.parametrize("error", TYPES, ids=lambda one: one.__name__)
def test_an_error_has_a_section(error: type[errors.Cm4aiError]) -> None:
    if error.__name__ in WRONG_USE:
        assert not error.runbook
    else:
        assert runbook.section(error.runbook)


def test_the_description_of_each_check_links_its_section() -> None:
    graph = defs.resolve_asset_graph()
    assert len(graph.asset_check_keys) > 100
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        assert runbook.address(runbook.of_check(key.name, blocking=spec.blocking)) in (spec.description or ""), key


def _named_in(source: Path) -> set[str]:
    """The sections that a module names as words."""
    known = {one.anchor for one in runbook.SECTIONS}
    return {node.value for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Constant)} & known


def test_each_section_is_linked_from_somewhere() -> None:
    graph = defs.resolve_asset_graph()
    of_checks = {
        runbook.of_check(key.name, blocking=graph.get_check_spec(key).blocking) for key in graph.asset_check_keys
    }
    of_errors = {error.runbook for error in TYPES} | {anchor for *_, anchor in causes._KNOWN}
    incidents = [*(PROJECT / "cm4ai_assets/defs/incidents").glob("*.py"), PROJECT / "cm4ai_assets/updates/news.py"]
    linked = of_checks | of_errors | set().union(*map(_named_in, incidents))
    assert {one.anchor for one in runbook.SECTIONS} - linked <= set(BY_HAND)


def test_every_section_an_incident_names_is_there() -> None:
    for path in (PROJECT / "cm4ai_assets/defs/incidents").glob("*.py"):
        for anchor in re.findall(r'runbook="([^"]+)"|^ +"([a-z]+(?:-[a-z]+)+)",$', path.read_text(), re.MULTILINE):
            assert runbook.section(anchor[0] or anchor[1]), path


def _marked() -> list[str]:
    """The sections that tests carry out, once for each test."""
    found = []
    for path in (TESTS / "operate").rglob("test_*.py"):
        tests = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        marks = [mark for test in tests for mark in test.decorator_list if isinstance(mark, ast.Call)]
        found += [
            str(ast.literal_eval(mark.args[0])) for mark in marks if ast.unparse(mark.func) == "pytest.mark.mends"
        ]
    return found


def test_each_section_is_carried_out_by_one_test() -> None:
    assert sorted(_marked()) == sorted(one.anchor for one in runbook.SECTIONS)


@pytest.fixture
def followed() -> Followed:
    """A section with a command, and a setting."""
    one = Followed("messages-do-not-arrive")
    assert acts(one.anchor) == ["cm4ai alerts test", "CM4AI_ALERTS"]
    return one


def test_who_leaves_something_out_has_not_carried_a_section_out(followed: Followed) -> None:
    followed.sees("Messages do not arrive: json", "Messages do not arrive")
    followed.does("cm4ai alerts test")
    with pytest.raises(AssertionError, match="CM4AI_ALERTS"):
        followed.require_whole()
    followed.does("CM4AI_ALERTS")
    followed.require_whole()


def test_nor_has_who_does_something_else_or_does_not_look(followed: Followed) -> None:
    with pytest.raises(AssertionError, match="does not say 'cm4ai gc'"):
        followed.does("cm4ai gc")
    with pytest.raises(AssertionError, match="is not seen"):
        followed.sees("All is well.", "Messages do not arrive")
    with pytest.raises(AssertionError, match="does not say that one sees"):
        followed.sees("The disk is full.", "The disk is full")
    for act in acts(followed.anchor):
        followed.does(act)
    with pytest.raises(AssertionError, match="nothing was held"):
        followed.require_whole()


def test_the_commands_of_a_page_are_found_in_its_words() -> None:
    assert acts("archive-refuses") == [
        "unset DATAVERSE_API_TOKEN", "cm4ai materialize --release latest", "SSL_CERT_FILE", "HTTPS_PROXY",
    ]  # fmt: skip
    assert {"cm4ai gc", "CM4AI_SCRATCH"} < set(acts("disk-full"))
    assert "Re-execute → From failure" in acts("a-run-failed")


def test_the_ui_shows_it_and_nothing_in_it_runs_or_is_loaded() -> None:
    client = TestClient(Guard(Runbook(Starlette())), base_url="http://127.0.0.1:3000")
    shown = client.get("/runbook")
    assert shown.status_code == 200
    assert all(f'<h3 id="{one.anchor}">{one.title}</h3>' in shown.text for one in runbook.SECTIONS)
    assert shown.headers["Content-Security-Policy"].startswith(
        "sandbox allow-popups allow-downloads; default-src 'none'"
    )
    assert "<script" not in shown.text
    targets = set(re.findall(r'(?:href|src)="([^"]*)"', shown.text))
    assert all(target.startswith("#") for target in targets)
    assert {target[1:] for target in targets} <= set(re.findall(r'id="([^"]+)"', shown.text))
    assert client.post("/runbook").status_code == 405
    assert client.get("/runbook/../x").status_code == 404


def test_every_command_of_the_page_is_in_a_section() -> None:
    assert len(blocks(PAGE, "sh")) == sum(section.count("```sh") for section in SECTIONS.values())
