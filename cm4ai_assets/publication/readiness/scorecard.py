"""The scorecard for machines: `scorecard.json`, in a form that stays.

    format         cm4ai-ai-readiness/1
    release, doi, version
    rubric         name, version, source, points
    forms          published and delivered, each:
      points, points_settled, overall_percent, overall_percent_settled, gates_open, closed_gates, limits
      domains      number, name, points, of, percent
      criteria     id, name, domain, score, settled, uncapped, capped_by, needs_human, question, asks (1 and 2),
                   facts (level, holds, text, source), missing

`points` counts what evidence shows; `points_settled` counts a criterion that a domain expert has to judge with no more
than 1. The schema stands beside it (`scorecard.schema.json`); a field is added, never changed.

Belongs here: that form. Does not belong here: the page for people (`page`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cm4ai_assets.publication.readiness import rubric
from cm4ai_assets.publication.readiness.grading import POINTS, Card, Fact, Grade

FORMAT = "cm4ai-ai-readiness/1"
_PLACES = 1


@dataclass(frozen=True)
class Scorecard:
    """A release in both forms: as published, and as delivered here."""

    release: str
    doi: str
    version: str
    published: Card
    delivered: Card

    def as_json(self) -> dict[str, Any]:
        """See the head of this module."""
        return {
            "format": FORMAT,
            "release": self.release,
            "doi": self.doi,
            "version": self.version,
            "rubric": {
                "name": rubric.SOURCE,
                "version": rubric.VERSION,
                "preprint": rubric.PREPRINT,
                "points": POINTS,
            },
            "forms": {"published": _form(self.published), "delivered": _form(self.delivered)},
        }

    def as_bytes(self) -> bytes:
        """The file: the same bytes for the same evidence."""
        return (json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n").encode()


def _form(card: Card) -> dict[str, Any]:
    settled = card.if_none_is_adequate()
    return {
        "points": card.points,
        "points_settled": settled.points,
        "overall_percent": round(card.overall, _PLACES),
        "overall_percent_settled": round(settled.overall, _PLACES),
        "gates_open": not card.closed,
        "closed_gates": [gate.criterion.id for gate in card.closed],
        "limits": list(card.limits),
        "domains": [_domain(card, number, name) for number, name in rubric.DOMAINS.items()],
        "criteria": [_criterion(grade, settled.grades[key].score) for key, grade in card.grades.items()],
    }


def _domain(card: Card, number: str, name: str) -> dict[str, Any]:
    own = [grade.score for key, grade in card.grades.items() if key.startswith(number)]
    return {
        "number": int(number),
        "name": name,
        "points": sum(own),
        "of": rubric.MOST * len(own),
        "percent": round(card.domains[name], _PLACES),
    }


def _criterion(grade: Grade, settled: int) -> dict[str, Any]:
    one = grade.criterion
    return {
        "id": one.id,
        "name": one.name,
        "domain": one.domain,
        "score": grade.score,
        "settled": settled,
        "uncapped": grade.uncapped,
        "capped_by": one.cap or None,
        "needs_human": bool(one.judge),
        "question": one.judge or None,
        "asks": {"1": one.one, "2": one.two},
        "facts": [
            *(_fact(fact, 1) for fact in grade.one),
            *(_fact(fact, 2) for fact in grade.two),
            *(_fact(fact, None) for fact in grade.also),
        ],
        "missing": list(grade.missing),
    }


def _fact(fact: Fact, level: int | None) -> dict[str, Any]:
    return {"level": level, "holds": fact.holds, "text": fact.text, "source": fact.source}
