"""The two columns of the scorecard: which function grades which criterion of which form of a release."""

from __future__ import annotations

from cm4ai_assets.publication.readiness import delivered as d
from cm4ai_assets.publication.readiness import delivered_content as dc
from cm4ai_assets.publication.readiness import delivered_use as du
from cm4ai_assets.publication.readiness import published as p
from cm4ai_assets.publication.readiness import published_content as pc
from cm4ai_assets.publication.readiness import published_use as pu
from cm4ai_assets.publication.readiness import wording
from cm4ai_assets.publication.readiness.delivery import Delivery
from cm4ai_assets.publication.readiness.described import Described
from cm4ai_assets.publication.readiness.grading import Card, Grade, card_of
from cm4ai_assets.publication.readiness.published import Published

_FAIR_AND_PROVENANCE = (
    "findable",
    "accessible",
    "interoperable",
    "reusable",
    "transparent",
    "traceable",
    "interpretable",
)


def as_published(found: Published) -> Card:
    """The release as its archives published it."""
    grades = [getattr(p, name)(found) for name in _FAIR_AND_PROVENANCE]
    grades += [one(found) for one in (pc.statistics, pc.standards, pc.quality, pc.documented, pc.verifiable)]
    grades += [wording.fit_for_purpose(found.described), pc.disseminated(found)]
    grades += [one(found) for one in (pu.persistent, pu.appropriate, pu.associated)]
    grades += [one(found) for one in (pu.standardized, pu.computable, pu.portable, pu.contextualized)]
    return card_of([*grades, *_by_words(found.described)], found.limits)


def as_delivered(found: Delivery) -> Card:
    """The release as it is delivered here."""
    grades = [getattr(d, name)(found) for name in _FAIR_AND_PROVENANCE]
    grades += [one(found) for one in (dc.statistics, dc.standards, dc.quality, dc.documented, dc.verifiable)]
    grades += [dc.fit_for_purpose(found), dc.disseminated(found)]
    grades += [one(found) for one in (du.persistent, du.appropriate, du.associated)]
    grades += [one(found) for one in (du.standardized, du.computable, du.portable, du.contextualized)]
    return card_of([*grades, *_by_words(found.described)], found.limits)


def _by_words(said: Described) -> list[Grade]:
    """Criteria that one rule grades in both forms."""
    rules = (
        wording.key_actors,
        wording.semantics,
        wording.bias,
        wording.acquired,
        wording.managed,
        wording.secure,
        wording.governed,
    )
    return [rule(said) for rule in rules]
