"""`ai_readiness` as an asset: the scorecard of a release, its page in the UI, and checks that grade it again.

Belongs here: the asset and its checks. Does not belong here: grades and files (`publication.readiness`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.pages import rows
from cm4ai_assets.defs.publication.inputs import delivery, describes
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Metadata, publish
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.readiness import findings
from cm4ai_assets.publication.readiness.grading import POINTS
from cm4ai_assets.publication.readiness.making import SCORECARD, graded_release
from cm4ai_assets.publication.readiness.rubric import CRITERIA
from cm4ai_assets.publication.readiness.scorecard import Scorecard
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.publication import AI_READINESS, CROISSANT, DATASHEET_REPORT, DERIVED_CRATE

_CHECKS = (*findings.CHECKS, findings.grades_hold_now)
_GRADES = (CROISSANT, DATASHEET_REPORT, DERIVED_CRATE)


@describes(AI_READINESS, kinds={"html", "json"}, documents=_GRADES)
def ai_readiness(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """Every criterion of the rubric, graded by what is stored."""
    items = delivery(context, platform, _GRADES)
    if not items:
        return
    found = graded_release(platform.store, context.partition_key, items)
    yield from publish(context, platform.store, DocumentDraft(AI_READINESS, found.files(), metadata=shown(found.card)))


def shown(card: Scorecard) -> Metadata:
    """What the page of the asset shows: points, gates, domains, and what costs points."""
    forms = {"published": card.published, "delivered": card.delivered}
    domains = pl.DataFrame(
        {"domain": list(card.delivered.domains), **{name: [f"{value:.0f} %" for value in one.domains.values()]
                                                    for name, one in forms.items()}}
    )  # fmt: skip
    lacking = [
        (one.id, one.name, card.published.grades[one.id].score, grade.score, "; ".join(grade.missing))
        for one in CRITERIA
        if (grade := card.delivered.grades[one.id]).score < POINTS / len(CRITERIA)
    ]
    names = ["criterion", "name", "published", "delivered", "missing in what is delivered"]
    judged = [(one.id, one.name, one.judge) for one in CRITERIA if one.judge]
    return {
        "points_delivered": card.delivered.points,
        "points_published": card.published.points,
        "overall": f"{card.delivered.overall:.1f} % delivered, {card.published.overall:.1f} % published",
        "settled": f"{card.delivered.settled} of {POINTS} points delivered, {card.published.settled} published, "
        "whatever experts find",
        "gates": "; ".join(
            f"{name}: {', '.join(gate.criterion.id for gate in one.closed) or 'none'} closed"
            for name, one in forms.items()
        ),
        "domains": rows(domains),
        "below_2": rows(pl.DataFrame(lacking, schema=names, orient="row")),
        "for_experts": rows(pl.DataFrame(judged, schema=["criterion", "name", "question"], orient="row")),
    }


@warning_checks(AI_READINESS, _CHECKS)
def readiness_checks(platform: Platform, partition: Partition) -> Findings:
    """The stored evidence, graded again."""
    yield from graded_again(platform, partition)


def graded_again(platform: Platform, partition: Partition) -> Findings:
    """What each check finds now; evidence that is damaged fails every one, with what is damaged."""
    published = platform.store.document(AI_READINESS, partition)
    stated = platform.store.read(f"{published.folder}/{SCORECARD}")
    try:
        card = graded_release(platform.store, partition.release).card
    except StoredBytesDamagedError as error:
        yield from (Finding(check.__name__, passed=False, summary=str(error)) for check in _CHECKS)
        return
    for check in findings.CHECKS:
        yield check(card)
    yield findings.grades_hold_now(card, stated)


ASSETS = (ai_readiness,)
CHECKS = (readiness_checks,)
