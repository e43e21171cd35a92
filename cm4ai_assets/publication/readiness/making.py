"""The document `ai_readiness`: a release is graded, and the grades become its files.

Belongs here: from a storage to the scorecard, and from the scorecard to files. Does not belong here: the steps between
(`gathering`, `cards`, `scorecard`, `page`), and Dagster.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.lineage.delivered import Delivered, delivered
from cm4ai_assets.publication.readiness.cards import as_delivered, as_published
from cm4ai_assets.publication.readiness.delivery import Delivery
from cm4ai_assets.publication.readiness.gathering import delivered_evidence, published_evidence
from cm4ai_assets.publication.readiness.page import page_of
from cm4ai_assets.publication.readiness.scorecard import Scorecard
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

SCORECARD = "scorecard.json"
SUMMARY = "summary.json"
SUMMARY_FORMAT = "cm4ai-table-summary/1"


@dataclass(frozen=True)
class Graded:
    """A release with its grades and their evidence."""

    card: Scorecard
    evidence: Delivery
    title: str

    def files(self) -> dict[str, bytes]:
        """Name to bytes: the page, the scorecard, and the statistics of the tables that it refers to."""
        tables = [one.as_json() for one in self.evidence.summaries]
        summary = {"format": SUMMARY_FORMAT, "release": self.card.release, "tables": tables}
        return {
            "index.html": page_of(self.card, self.title),
            SCORECARD: self.card.as_bytes(),
            SUMMARY: (json.dumps(summary, indent=1, ensure_ascii=False) + "\n").encode(),
        }


def graded_release(store: Store, release: str, items: Sequence[Delivered] | None = None) -> Graded:
    """Grade a release by what is stored of it now.

    Args:
        store: The storage.
        release: Release key.
        items: What it delivers, where that is known already.
    """
    published = published_evidence(store, release)
    evidence = delivered_evidence(store, release, delivered(store, release) if items is None else items, published)
    doi, version = evidence.identity
    card = Scorecard(release, doi, version, as_published(published), as_delivered(evidence))
    return Graded(card, evidence, _title(store, release))


def _title(store: Store, release: str) -> str:
    try:
        return ReleaseRegistry(store).get(release).title
    except ReleaseKeyError:
        return ""
