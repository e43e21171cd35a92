"""The scorecard for people: one page with both forms of a release side by side, every fact, and what is missing.

Belongs here: what the page says, in which order. Does not belong here: HTML (`publication.html`), the form for machines
(`scorecard`).
"""

from __future__ import annotations

from collections.abc import Iterator

from cm4ai_assets.publication.blocks import (
    Badge,
    Block,
    Bullets,
    Content,
    Facts,
    Inline,
    Link,
    Note,
    Page,
    Section,
    Strong,
    Table,
    Text,
)
from cm4ai_assets.publication.html import render
from cm4ai_assets.publication.readiness import rubric
from cm4ai_assets.publication.readiness.grading import POINTS, Card, Grade
from cm4ai_assets.publication.readiness.rubric import CRITERIA, Criterion
from cm4ai_assets.publication.readiness.scorecard import Scorecard

_LEVELS = {0: "bad", 1: "warning", 2: "good"}


def page_of(card: Scorecard, title: str) -> bytes:
    """The page, as HTML. The same bytes for the same evidence."""
    return render(
        Page(
            title=f"AI-readiness: {title or card.release}",
            summary=f"Release {card.release}, {card.doi or 'no DOI'}, version {card.version or 'not known'}: graded by "
            "evidence, as it was published and as it is delivered here.",
            sections=(
                Section("At a glance", tuple(_glance(card))),
                Section("Domains and gates", (_domains(card), _gates(card))),
                Section("All criteria", (_overview(card),)),
                Section("What a person has to judge", tuple(_judgements(card))),
                Section("What could not be seen", tuple(_limits(card))),
                *(Section(name, tuple(_domain(card, number))) for number, name in rubric.DOMAINS.items()),
                Section("The rubric", tuple(_rubric())),
            ),
            footer=f"Graded from the stored tables and documents of {card.release}; no grade is set by hand.",
        )
    )


def _glance(card: Scorecard) -> Iterator[Block]:
    yield Facts([
        ("points as delivered", _points(card.delivered)),
        ("points as published", _points(card.published)),
        ("overall as delivered", _percent(card.delivered.overall)),
        ("overall as published", _percent(card.published.overall)),
    ])  # fmt: skip
    yield Text([
        ("Each of 28 criteria has 0, 1 or 2 points, which follow from measured facts: take a fact away and the points "
        "fall. The overall score is the mean of the seven domains. A range means that domain experts have to judge "
        "some "
        "of it: the upper number is what the evidence supports, the lower what stands whatever they find."),
    ])  # fmt: skip
    for name, one in (("delivered", card.delivered), ("published", card.published)):
        if one.closed:
            closed = ", ".join(f"{gate.criterion.id} {gate.criterion.name}" for gate in one.closed)
            yield Note([Strong(f"Gates closed as {name}: "), closed, ". The rubric calls that a gating failure."])


def _points(card: Card) -> str:
    span = f"{card.settled} to {card.points}" if card.settled < card.points else f"{card.points}"
    return f"{span} of {POINTS}"


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _domains(card: Scorecard) -> Table:
    rows: list[list[Content]] = []
    for number, name in rubric.DOMAINS.items():
        of = rubric.MOST * sum(one.id.startswith(number) for one in CRITERIA)
        sums = [sum(grade.score for key, grade in one.grades.items() if key.startswith(number)) for one in
                (card.published, card.delivered)]  # fmt: skip
        rows.append([name, *(f"{points} of {of} ({100 * points / of:.0f} %)" for points in sums)])
    return Table("Points by domain", ["Domain", "As published", "As delivered"], rows)


def _gates(card: Scorecard) -> Table:
    rows: list[list[Content]] = [
        [f"{before.criterion.id} {before.criterion.name}", f"at least {before.criterion.gate}",
         _gate(before.score, before.open), _gate(after.score, after.open)]
        for before, after in zip(card.published.gates, card.delivered.gates, strict=True)
    ]  # fmt: skip
    return Table("Gates", ["Criterion", "Demanded", "As published", "As delivered"], rows)


def _gate(score: int, is_open: bool) -> Badge:  # noqa: FBT001 - the state that is shown
    return Badge(f"open ({score})", "good") if is_open else Badge(f"closed ({score})", "bad")


def _overview(card: Scorecard) -> Table:
    rows: list[list[Content]] = [
        [f"{one.id} {one.name}", _level(card.published.grades[one.id]), _level(card.delivered.grades[one.id]),
         "yes" if one.judge else "no"]
        for one in CRITERIA
    ]  # fmt: skip
    return Table("Points by criterion", ["Criterion", "As published", "As delivered", "An expert has to judge"], rows)


def _level(grade: Grade) -> Badge:
    return Badge(f"{grade.score} of 2", _LEVELS[grade.score])  # type: ignore[arg-type]


def _judgements(card: Scorecard) -> Iterator[Block]:
    yield Text(
        "Whether these are adequate is for an expert of the field, who is named with the judgement. Here is counted "
        "what "
        "can be seen to be there, and the points above 1 wait for the judgement."
    )
    yield Bullets([
        [Strong(f"{one.id} {one.name}: "), one.judge, " ",
         (f"Evidence: {card.published.grades[one.id].score} as published, {card.delivered.grades[one.id].score} as "
         "delivered.")]
        for one in CRITERIA if one.judge
    ])  # fmt: skip


def _limits(card: Scorecard) -> Iterator[Block]:
    for name, one in (("published", card.published), ("delivered", card.delivered)):
        if one.limits:
            yield Text([Strong(f"As {name}")])
            yield Bullets(list(one.limits))
    if not (card.published.limits or card.delivered.limits):
        yield Text("Nothing.")


def _domain(card: Scorecard, number: str) -> Iterator[Block]:
    for one in CRITERIA:
        if one.id.startswith(number):
            yield Section(f"{one.id} {one.name}", tuple(_criterion(card, one)))


def _criterion(card: Scorecard, one: Criterion) -> Iterator[Block]:
    yield Bullets([[Strong("1 point: "), f"{one.one}."], [Strong("2 points: "), f"{one.two}."]])
    if one.judge:
        yield Note([Strong("For an expert: "), one.judge])
    for name, form in (("published", card.published), ("delivered", card.delivered)):
        grade = form.grades[one.id]
        cap = f", no more than {one.cap}" if grade.score < grade.uncapped else ""
        yield _facts(grade, f"{one.id} as {name}: {grade.score} of 2{cap}")
        if grade.missing:
            yield Text([Strong("Missing: "), "; ".join(grade.missing), "."])


def _facts(grade: Grade, caption: str) -> Table:
    rows: list[list[Content]] = [
        [fact.text, _asked(level), _held(fact.holds, level), fact.source]
        for level, facts in (("1", grade.one), ("2", grade.two), ("", grade.also))
        for fact in facts
    ]
    return Table(caption, ["Measured", "Asked for by", "Holds", "Seen in"], rows)


def _asked(level: str) -> str:
    return f"level {level}" if level else "no level"


def _held(holds: bool, level: str) -> Inline:  # noqa: FBT001 - the state that is shown
    if not level:
        return Badge("for information", "neutral")
    return Badge("yes", "good") if holds else Badge("no", "bad")


def _rubric() -> Iterator[Block]:
    yield Text([f"{rubric.SOURCE}, version {rubric.VERSION}. The criteria come from the group's preprint: ",
                Link(rubric.PREPRINT, rubric.PREPRINT), ". Levels are shortened here."])  # fmt: skip
    yield Text("Caps: 1.b is never above 1.a, and 6.a never above 2.c. Gates: 0.a needs 2 points; the others of "
    "FAIRness, "
               "all of provenance and ethics, and 2.c need 1.")  # fmt: skip
