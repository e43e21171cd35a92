"""From facts to grades, and from grades to a scorecard: the one rule of levels, caps, gates and percentages.

A grade is never set: it follows from facts. Level 1 holds if all its facts do, level 2 if those of both do. So a grade
falls when its evidence is taken away, and says what is missing.

Belongs here: that rule. Does not belong here: the facts (`published_*`, `delivered_*`, `wording`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cm4ai_assets.publication.readiness.rubric import BY_ID, CRITERIA, DOMAINS, MOST, Criterion


@dataclass(frozen=True)
class Fact:
    """One thing that was measured.

    Attributes:
        holds: What the rubric asks for is the case.
        text: What was measured, with its numbers.
        source: Where a person sees it again: table and expression, document and field, or asset check.
        lacking: What would have to be there, where it does not hold.
    """

    holds: bool
    text: str
    source: str
    lacking: str = ""


@dataclass(frozen=True)
class Grade:
    """Points of one criterion: `one` and `two` are the facts of the levels, `also` those that decide nothing."""

    criterion: Criterion
    one: tuple[Fact, ...]
    two: tuple[Fact, ...]
    also: tuple[Fact, ...] = ()
    limit: int = MOST

    @property
    def uncapped(self) -> int:
        """Points by the facts alone."""
        if not self.one or not all(fact.holds for fact in self.one):
            return 0
        return MOST if all(fact.holds for fact in self.two) else 1

    @property
    def score(self) -> int:
        """Points: 0, 1 or 2; never more than those of the criterion that caps this one."""
        return min(self.uncapped, self.limit)

    @property
    def settled(self) -> int:
        """Points that stand whatever an expert finds: an expert may hold what is there for inadequate (level 1)."""
        return min(self.score, 1) if self.criterion.judge else self.score

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All of them: those of level 1, of level 2, and what else is to be known."""
        return (*self.one, *self.two, *self.also)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the next level needs; empty at level 2."""
        if self.score < self.uncapped:
            return (f"{self.criterion.cap} caps this criterion",)
        level = self.two if self.uncapped else self.one
        return tuple(fact.lacking or f"not the case: {fact.text}" for fact in level if not fact.holds)


@dataclass(frozen=True)
class Gate:
    """The gate of one criterion: closed where it has fewer points than the rubric demands."""

    criterion: Criterion
    score: int

    @property
    def open(self) -> bool:
        """The criterion has the points that are demanded."""
        return self.score >= self.criterion.gate


@dataclass(frozen=True)
class Card:
    """Grades of all criteria for one form of a release. `limits` say what could not be seen."""

    grades: Mapping[str, Grade]
    limits: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Points by evidence, of 56."""
        return sum(grade.score for grade in self.grades.values())

    @property
    def settled(self) -> int:
        """Points that no expert's judgement can take away."""
        return self.if_none_is_adequate().points

    def if_none_is_adequate(self) -> Card:
        """The card if experts find nothing adequate that they have to judge; caps hold then, too."""
        lowest = {key: one.settled for key, one in self.grades.items()}
        limits = {key: min(lowest[key], lowest.get(one.criterion.cap, MOST)) for key, one in self.grades.items()}
        return replace(self, grades={key: replace(one, limit=limits[key]) for key, one in self.grades.items()})

    @property
    def domains(self) -> dict[str, float]:
        """Domain to the percentage of its points."""
        return {
            name: 100 * sum(own) / (MOST * len(own))
            for number, name in DOMAINS.items()
            if (own := [grade.score for key, grade in self.grades.items() if key.startswith(number)])
        }

    @property
    def overall(self) -> float:
        """The unweighted mean of the domains' percentages."""
        return sum(self.domains.values()) / len(self.domains)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Every gate, in the order of the criteria."""
        return tuple(Gate(one, self.grades[one.id].score) for one in CRITERIA if one.gate)

    @property
    def closed(self) -> tuple[Gate, ...]:
        """The gates that are closed."""
        return tuple(gate for gate in self.gates if not gate.open)


POINTS = MOST * len(CRITERIA)


def graded(criterion: str, one: Sequence[Fact], two: Sequence[Fact], also: Sequence[Fact] = ()) -> Grade:
    """The grade that follows from the facts of level 1 and of level 2."""
    return Grade(BY_ID[criterion], tuple(one), tuple(two), tuple(also))


def card_of(grades: Iterable[Grade], limits: Sequence[str] = ()) -> Card:
    """The scorecard: every criterion once, caps applied.

    Raises:
        ValueError: A criterion is graded twice, or not at all.
    """
    found = list(grades)
    by_id = {grade.criterion.id: grade for grade in found}
    if len(found) != len(CRITERIA) or set(by_id) != set(BY_ID):
        raise ValueError("Every criterion of the rubric is graded once.")
    return Card({one.id: _capped(by_id[one.id], by_id) for one in CRITERIA}, tuple(limits))


def _capped(grade: Grade, by_id: Mapping[str, Grade]) -> Grade:
    cap = grade.criterion.cap
    return replace(grade, limit=by_id[cap].uncapped) if cap else grade
