"""What an operator should know of a scorecard: closed gates, evidence that is gone, what was lost on the way.

Belongs here: the warning checks of `ai_readiness`. Does not belong here: grades (`cards`).
"""

from __future__ import annotations

import json

import polars as pl

from cm4ai_assets.findings import Finding
from cm4ai_assets.publication.readiness.grading import POINTS
from cm4ai_assets.publication.readiness.scorecard import Scorecard


def no_gate_closed(card: Scorecard) -> Finding:
    """Every gate of the rubric is open for the release as it is delivered.

    Read now: the stored tables and documents, graded again. Protects from handing on data that the rubric holds unfit
    for AI, such as data without a licence or a source. The rows say what is missing.
    """
    closed = card.delivered.closed
    rows = pl.DataFrame(
        [(gate.criterion.id, gate.criterion.name, gate.score, gate.criterion.gate,
          "; ".join(card.delivered.grades[gate.criterion.id].missing)) for gate in closed],
        schema=["criterion", "name", "score", "demanded", "missing"], orient="row",
    )  # fmt: skip
    summary = (
        f"{len(closed)} gates are closed: {', '.join(gate.criterion.id for gate in closed)}." if closed else
        f"All {len(card.delivered.gates)} gates are open."
    )  # fmt: skip
    counts = {"closed gates": len(closed), "points": card.delivered.points, "of": POINTS}
    return Finding("no_gate_closed", passed=not closed, summary=summary, rows=rows, counts=counts)


def grades_hold_now(card: Scorecard, published: bytes) -> Finding:
    """The published scorecard says what the stored evidence shows now.

    Read now: all of the evidence, graded again, against `scorecard.json`. Protects from a scorecard that outlives its
    evidence: a file that was damaged, a document that was made anew, a table that is gone. Materialize it again.
    """
    stated, now = json.loads(published)["forms"], card.as_json()["forms"]
    rows = [
        (form, before["id"], before["name"], before["score"], after["score"])
        for form in ("published", "delivered")
        for before, after in zip(stated[form]["criteria"], now[form]["criteria"], strict=True)
        if before["score"] != after["score"]
    ]
    names = ["form", "criterion", "name", "stated", "now"]
    lower = sum(after < before for *_, before, after in rows)
    summary = (
        f"{len(rows)} grades are not what the evidence shows now, {lower} of them too high." if rows else
        "All grades are what the evidence shows now."
    )  # fmt: skip
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return Finding("grades_hold_now", passed=not rows, summary=summary, rows=frame,
                   counts={"changed": len(rows), "lower now": lower})  # fmt: skip


def nothing_lost(card: Scorecard) -> Finding:
    """No criterion has fewer points as delivered than as published.

    Read now: the evidence of both forms. Protects what the publishers have stated, such as terms, ethics or people,
    from being lost in what is made of it.
    """
    rows = [
        (one.criterion.id, one.criterion.name, one.score, after.score, "; ".join(after.missing))
        for key, one in card.published.grades.items()
        if (after := card.delivered.grades[key]).score < one.score
    ]
    names = ["criterion", "name", "as published", "as delivered", "missing"]
    summary = (
        f"{len(rows)} criteria have fewer points as delivered: {', '.join(row[0] for row in rows)}." if rows else
        "No criterion has fewer points as delivered than as published."
    )  # fmt: skip
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return Finding("nothing_lost", passed=not rows, summary=summary, rows=frame, counts={"lost": len(rows)})


CHECKS = (no_gate_closed, nothing_lost)
