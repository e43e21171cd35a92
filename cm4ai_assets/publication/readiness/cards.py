"""The two columns of the scorecard: which function grades which criterion of which form of a release."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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

_BY_WORDS: Mapping[str, Callable[[Described], Grade]] = {
    "1.d": wording.key_actors,
    "2.a": wording.semantics,
    "2.d": wording.bias,
    "4.a": wording.acquired,
    "4.b": wording.managed,
    "4.d": wording.secure,
    "5.c": wording.governed,
}
"""Criteria that one rule grades in both forms."""

_PUBLISHED: Mapping[str, Callable[[Published], Grade]] = {
    "0.a": p.findable,
    "0.b": p.accessible,
    "0.c": p.interoperable,
    "0.d": p.reusable,
    "1.a": p.transparent,
    "1.b": p.traceable,
    "1.c": p.interpretable,
    "2.b": pc.statistics,
    "2.c": pc.standards,
    "2.e": pc.quality,
    "3.a": pc.documented,
    "3.b": pc.fit_for_purpose,
    "3.c": pc.verifiable,
    "4.c": pc.disseminated,
    "5.a": pu.persistent,
    "5.b": pu.appropriate,
    "5.d": pu.associated,
    "6.a": pu.standardized,
    "6.b": pu.computable,
    "6.c": pu.portable,
    "6.d": pu.contextualized,
}
_DELIVERED: Mapping[str, Callable[[Delivery], Grade]] = {
    "0.a": d.findable,
    "0.b": d.accessible,
    "0.c": d.interoperable,
    "0.d": d.reusable,
    "1.a": d.transparent,
    "1.b": d.traceable,
    "1.c": d.interpretable,
    "2.b": dc.statistics,
    "2.c": dc.standards,
    "2.e": dc.quality,
    "3.a": dc.documented,
    "3.b": dc.fit_for_purpose,
    "3.c": dc.verifiable,
    "4.c": dc.disseminated,
    "5.a": du.persistent,
    "5.b": du.appropriate,
    "5.d": du.associated,
    "6.a": du.standardized,
    "6.b": du.computable,
    "6.c": du.portable,
    "6.d": du.contextualized,
}


def grade_published(criterion: str, found: Published) -> Grade:
    """One criterion of a release as its archives published it, before caps."""
    by_words = _BY_WORDS.get(criterion)
    return by_words(found.described) if by_words else _PUBLISHED[criterion](found)


def grade_delivered(criterion: str, found: Delivery) -> Grade:
    """One criterion of a release as it is delivered here, before caps."""
    by_words = _BY_WORDS.get(criterion)
    return by_words(found.described) if by_words else _DELIVERED[criterion](found)


def as_published(found: Published) -> Card:
    """The release as its archives published it."""
    return card_of((grade_published(one, found) for one in (*_BY_WORDS, *_PUBLISHED)), found.limits)


def as_delivered(found: Delivery) -> Card:
    """The release as it is delivered here."""
    return card_of((grade_delivered(one, found) for one in (*_BY_WORDS, *_DELIVERED)), found.limits)
