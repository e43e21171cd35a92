"""The runbook: every failure has a section, every section is linked, and a test carries out its remedy.

`MENDED_BY` names the test that provokes the fault and does what the section says.
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
from cm4ai_assets_tests.operate.sections import PAGE, SECTIONS

TESTS = PROJECT / "cm4ai_assets_tests"
PARTS = ("**You see:**", "**It means:**", "**Published data:**", "**Do:**", "**Mended when:**")

MENDED_BY = {
    "a-run-failed": "defs/test_incidents.py::test_a_failed_run_is_open_until_a_later_run_makes_the_same",
    "run-killed": "operate/test_commands.py::test_killed_while_it_downloads_and_run_again_it_goes_on",
    "run-waits": "operate/test_runs.py::test_a_living_run_is_left_alone_and_waited_for_with_a_message_and_a_limit",
    "not-made": "updates/test_availability.py::test_what_nobody_made_is_made_by_a_command",
    "blocking-check": "defs/test_gate.py::"
    "test_a_wrong_plane_is_caught_before_anything_is_published_and_the_old_content_stays",
    "wrong-bytes": "operate/test_runbook.py::test_wrong_bytes",
    "zip-refused": "updates/test_sensor.py::test_a_version_that_replaces_one_archive_needs_that_condition_only",
    "unreadable-file": "updates/test_sensor.py::test_a_version_that_replaces_one_archive_needs_that_condition_only",
    "warning-check": "browser/test_ui.py::test_a_warning_check_lists_rows_and_shows_them",
    "unknown-kind": "site/test_guides.py::test_what_the_guide_to_a_condition_says_follows",
    "claims-contradict": "archives/test_datasheets.py::test_a_folder_an_object_store_and_a_server_are_read_alike",
    "document-outdated": "defs/test_readiness.py::test_documents_raise_the_points_and_damage_takes_them_away",
    "withdrawn-upstream": "updates/test_withdrawn.py::test_a_withdrawn_version_is_told_once_and_everything_is_kept",
    "embargo": "updates/test_sensor.py::test_an_embargoed_archive_is_fetched_when_its_embargo_ends",
    "new-release": "updates/test_daemon.py::test_a_release_arrives_by_itself",
    "release-overdue": "updates/test_findings.py::test_a_year_of_silence_is",
    "daemon-not-running": "operate/test_ui.py::test_the_terminal_stays_readable_while_runs_go_through",
    "sensor-stopped": "defs/test_incidents.py::"
    "test_a_sensor_that_was_switched_off_that_fails_or_that_is_silent_is_open",
    "ticks-fail": "defs/test_incidents.py::test_a_sensor_that_was_switched_off_that_fails_or_that_is_silent_is_open",
    "messages-do-not-arrive": "alerts/test_delivery.py::test_a_test_message_says_of_each_channel_whether_it_was_taken",
    "archive-not-seen": "updates/test_refusals.py::test_an_archive_that_is_down_starts_no_runs_and_forgets_nothing",
    "archive-away": "updates/test_refusals.py::test_an_archive_that_is_down_starts_no_runs_and_forgets_nothing",
    "archive-refuses": "archives/dataverse/test_client_refusals.py::test_21_a_bad_token_fails_at_once_and_is_not_told",
    "disk-full": "operate/test_runbook.py::test_disk_full",
    "not-writable": "operate/test_runbook.py::test_not_writable",
    "storage-away": "defs/test_object_store.py::"
    "test_a_run_without_its_storage_fails_readably_and_fetches_nothing_twice",
    "stored-bytes-damaged": "operate/test_runbook.py::test_stored_bytes_damaged",
    "release-record": "operate/test_runbook.py::test_release_record",
    "wrong-storage": "operate/test_runbook.py::test_wrong_storage",
    "settings": "test_settings.py::test_a_value_that_cannot_be_used_is_named",
    "database-locked": "operate/test_instance.py::"
    "test_a_database_that_another_process_holds_is_waited_for_with_a_message",
    "instance-lost": "operate/test_runbook.py::test_instance_lost",
    "database-away": "operate/test_several_machines.py::"
    "test_all_conditions_of_two_releases_at_once_over_a_database_that_restarts",
    "machines-away": "operate/test_workers.py::test_when_redis_restarts_launching_waits_for_it_and_workers_come_back",
}
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


def test_each_remedy_is_carried_out_by_a_test() -> None:
    assert list(MENDED_BY) == [one.anchor for one in runbook.SECTIONS]
    for where in MENDED_BY.values():
        path, _, name = where.partition("::")
        found = {node.name for node in ast.parse((TESTS / path).read_text()).body if isinstance(node, ast.FunctionDef)}
        assert name in found, where


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
