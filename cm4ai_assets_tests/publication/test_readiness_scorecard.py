"""Levels, caps, gates and percentages; the scorecard for machines and for people; what its checks find."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cm4ai_assets.publication import readiness
from cm4ai_assets.publication.readiness.cards import as_delivered, as_published
from cm4ai_assets.publication.readiness.findings import grades_hold_now, no_gate_closed, nothing_lost
from cm4ai_assets.publication.readiness.grading import Card, Fact, Grade, card_of, graded
from cm4ai_assets.publication.readiness.page import page_of
from cm4ai_assets.publication.readiness.rubric import BY_ID, CRITERIA
from cm4ai_assets.publication.readiness.scorecard import Scorecard
from cm4ai_assets_tests.publication.readiness_twins import DOI, KEY, Documents, Release
from cm4ai_assets_tests.validators import node

GOOD, BAD = Fact(True, "there", "a table"), Fact(False, "not there", "a table", "bring it")
LEVELS: dict[int, tuple[list[Fact], list[Fact]]] = {0: ([BAD], [GOOD]), 1: ([GOOD], [BAD]), 2: ([GOOD], [GOOD])}


def card(default: int = 2, **points: int) -> Card:
    """A card with these points; `_3c=1` for 3.c."""
    wanted = {f"{key[1]}.{key[2]}": value for key, value in points.items()}
    return card_of(graded(one.id, *LEVELS[wanted.get(one.id, default)]) for one in CRITERIA)


@pytest.fixture(scope="module")
def both() -> Scorecard:
    about = Documents(without={"croissant"})
    return Scorecard(KEY, DOI, "2.0", as_published(Release().evidence()), as_delivered(about.evidence()))


def test_a_level_needs_all_its_facts_and_those_below() -> None:
    assert [graded("3.c", *LEVELS[level]).score for level in (0, 1, 2)] == [0, 1, 2]
    assert graded("3.c", [GOOD, BAD], [GOOD]).score == 0
    assert graded("3.c", [GOOD], [GOOD, BAD]).score == 1
    assert graded("3.c", [], [GOOD]).score == 0, "nothing measured is no evidence"
    assert graded("3.c", [BAD], [BAD]).missing == ("bring it",)
    assert graded("3.c", [GOOD], [GOOD]).missing == ()
    assert graded("3.c", [GOOD], [GOOD], [BAD]).score == 2


def test_caps() -> None:
    found = card(_1a=1, _2c=0)
    assert (found.grades["1.b"].score, found.grades["1.b"].uncapped) == (1, 2)
    assert (found.grades["6.a"].score, found.grades["6.a"].uncapped) == (0, 2)
    assert found.grades["6.a"].missing == ("2.c caps this criterion",)
    assert card(_1b=1).grades["1.a"].score == 2


@pytest.mark.parametrize(
    ("points", "closed"),
    [
        ({"_0a": 1}, ["0.a"]),
        ({"_0b": 1, "_1c": 1, "_2c": 1, "_4d": 1}, []),
        ({"_0c": 0, "_1d": 0, "_2c": 0, "_4b": 0}, ["0.c", "1.d", "2.c", "4.b"]),
        ({"_1a": 0}, ["1.a", "1.b"]),
        ({"_2a": 0, "_3c": 0, "_5a": 0, "_6b": 0}, []),
    ],
)
def test_gates(points: dict[str, int], closed: list[str]) -> None:
    assert [gate.criterion.id for gate in card(**points).closed] == closed
    assert len(card().gates) == 13


def test_overall_is_the_mean_of_the_domains() -> None:
    found = card(_3a=0, _3b=0, _3c=0)
    assert found.points == 50
    assert found.domains["Pre-model explainability"] == 0
    assert found.overall == pytest.approx(600 / 7)
    assert found.settled == 50 - 6 - 1


def test_what_an_expert_has_to_judge_is_settled_at_one_point() -> None:
    judged = [one.id for one in CRITERIA if one.judge]
    assert judged == ["2.c", "2.d", "2.e", "3.a", "4.a", "4.c", "5.c"], "as the rubric lists them"
    assert card().settled == 56 - len(judged) - 1, "6.a is never above 2.c"
    assert card(**{f"_{key[0]}{key[2]}": 0 for key in judged}).settled == card(
        **{f"_{key[0]}{key[2]}": 0 for key in judged}).points  # fmt: skip


def test_every_criterion_is_graded_once() -> None:
    grades = list(card().grades.values())
    with pytest.raises(ValueError, match="once"):
        card_of(grades[:-1])
    with pytest.raises(ValueError, match="once"):
        card_of([*grades, grades[0]])


def test_the_scorecard_has_the_form_that_is_described(both: Scorecard) -> None:
    schema = json.loads((files(readiness) / "scorecard.schema.json").read_text())
    stated = json.loads(both.as_bytes())
    jsonschema.Draft202012Validator(schema).validate(stated)
    form = stated["forms"]["delivered"]
    assert form["points"] == sum(one["score"] for one in form["criteria"]) == both.delivered.points
    assert form["points"] == sum(one["points"] for one in form["domains"])
    assert stated["forms"]["published"]["overall_percent"] == 100.0
    assert stated["forms"]["published"]["points_settled"] == 48
    assert stated["forms"]["published"]["overall_percent_settled"] == 86.2
    assert both.as_bytes() == both.as_bytes()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.headings: list[str] = []
        self.external: list[str] = []
        self._heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._heading = tag in {"h2", "h3"}
        self.external += [str(value) for key, value in attrs if key == "src"]

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._heading:
            self.headings.append(data)
            self._heading = False


def test_the_page_says_all_of_it(both: Scorecard) -> None:
    page = _Page()
    page.feed(page_of(both, "Cells in <b>pictures</b>").decode())
    text = " ".join(" ".join(page.text).split())
    assert page.external == []
    assert {f"{one.id} {one.name}" for one in CRITERIA} <= set(page.headings)
    for form in (both.published, both.delivered):
        for grade in form.grades.values():
            assert all(" ".join(fact.text.split()) in text for fact in grade.facts)
            assert all(" ".join(one.split()) in text for one in grade.missing)
        assert all(limit in text for limit in form.limits)
    assert all(one.judge in text for one in CRITERIA)
    assert "Cells in <b>pictures</b>" in text, "escaped"
    assert "48 to 56 of 56" in text
    assert "Gates closed as delivered: 0.a Findable" in text


def test_the_page_is_sound(both: Scorecard, tmp_path: Path) -> None:
    """It consists of the blocks that `test_html` shows to be accessible."""
    (tmp_path / "index.html").write_bytes(page_of(both, "Cells in pictures"))
    assert node.html_errors(tmp_path / "index.html") == []


def test_a_closed_gate_is_found_with_what_is_missing(both: Scorecard) -> None:
    found = no_gate_closed(both)
    assert not found.passed
    assert found.rows["criterion"].to_list() == ["0.a"]
    assert "both documents" in found.rows["missing"][0]
    good = replace(both, delivered=both.published)
    assert no_gate_closed(good).passed
    assert no_gate_closed(good).counts == {"closed gates": 0, "points": 56, "of": 56}


def test_a_scorecard_that_outlives_its_evidence_is_found(both: Scorecard) -> None:
    assert grades_hold_now(both, both.as_bytes()).passed
    better = replace(both, delivered=both.published)
    found = grades_hold_now(both, better.as_bytes())
    assert not found.passed
    assert found.counts["changed"] == found.counts["lower now"] > 0
    assert found.rows.filter(criterion="0.a").rows() == [("delivered", "0.a", "Findable", 2, 1)]


def test_what_is_lost_on_the_way_is_found(both: Scorecard) -> None:
    found = nothing_lost(both)
    assert not found.passed
    assert "6.b" in found.rows["criterion"].to_list()
    assert nothing_lost(replace(both, delivered=both.published)).passed


def test_the_rubric_is_whole() -> None:
    assert len(CRITERIA) == len(BY_ID) == 28
    count = {key: sum(one.id.startswith(key) for one in CRITERIA) for key in "0123456"}
    assert count == {"0": 4, "1": 4, "2": 5, "3": 3, "4": 4, "5": 4, "6": 4}
    assert {one.id: one.cap for one in CRITERIA if one.cap} == {"1.b": "1.a", "6.a": "2.c"}
    gates: dict[str, Any] = {one.id: one.gate for one in CRITERIA if one.gate}
    assert gates.pop("0.a") == 2
    assert set(gates.values()) == {1}


def test_a_grade_is_no_number_that_somebody_sets() -> None:
    assert not {"score", "uncapped", "settled"} & set(Grade.__dataclass_fields__)
