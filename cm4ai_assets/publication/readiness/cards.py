"""The two columns of the scorecard: which function grades which criterion of which form of a release."""

from __future__ import annotations

from cm4ai_assets.publication.readiness import published as p
from cm4ai_assets.publication.readiness import published_content as pc
from cm4ai_assets.publication.readiness import published_use as pu
from cm4ai_assets.publication.readiness import wording
from cm4ai_assets.publication.readiness.grading import Card, card_of
from cm4ai_assets.publication.readiness.published import Published


def as_published(found: Published) -> Card:
    """The release as its archives published it."""
    said = found.described
    grades = [
        *(one(found) for one in (p.findable, p.accessible, p.interoperable, p.reusable)),
        *(one(found) for one in (p.transparent, p.traceable, p.interpretable)),
        wording.key_actors(said),
        wording.semantics(said),
        *(one(found) for one in (pc.statistics, pc.standards)),
        wording.bias(said),
        *(one(found) for one in (pc.quality, pc.documented)),
        wording.fit_for_purpose(said),
        pc.verifiable(found),
        wording.acquired(said),
        wording.managed(said),
        pc.disseminated(found),
        wording.secure(said),
        *(one(found) for one in (pu.persistent, pu.appropriate)),
        wording.governed(said),
        *(one(found) for one in (pu.associated, pu.standardized, pu.computable, pu.portable, pu.contextualized)),
    ]
    return card_of(grades, found.limits)
