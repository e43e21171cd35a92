"""What the steps that describe a release read: everything that it delivers, and a spec that waits for all of it.

Belongs here: upstream assets of the documents, and the inventory of a release inside a step. Does not belong here: the
documents (`publication`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from cm4ai_assets import tables
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_documents, follows_what_there_is
from cm4ai_assets.defs.products import document_asset
from cm4ai_assets.defs.publishing import AssetResult
from cm4ai_assets.lineage.delivered import Delivered, delivered
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.platform import Platform
from cm4ai_assets.references import Kind
from cm4ai_assets.tables import Document
from cm4ai_assets.tables.publication import GROUP

TAGS = {"cm4ai/modality": "all"}
POOL = "publication"
TABLES = tuple(one.name for one in tables.ALL if one.partitioning is not Partitioning.NONE)
"""Every table of a release: a document describes those that there are."""


def describes(
    document: Document,
    *,
    kinds: set[str],
    documents: Sequence[Document] = (),
    checks: Sequence[dg.AssetCheckSpec] = (),
    code_version: str = "1",
) -> Callable[[Callable[..., Iterator[AssetResult]]], dg.AssetsDefinition]:
    """Decorator: an asset that publishes a document about all tables of a release, and about other documents.

    `documents` change whenever a table does: `croissant` states the digest of each. So what reads documents follows
    these alone (`automation.follows_documents`).
    """
    names = [one.name for one in documents]
    return document_asset(
        document,
        group=GROUP,
        kinds=kinds,
        tags=TAGS,
        optional=(*TABLES, *names),
        pool=POOL,
        checks=checks,
        code_version=code_version,
        automation_condition=follows_documents(*names) if names else follows_what_there_is(),
    )


def delivery(
    context: dg.AssetExecutionContext, platform: Platform, documents: Sequence[Document] = ()
) -> tuple[Delivered, ...]:
    """What the release of this step delivers: tables, stores, and of the documents those that are named.

    Nothing, if the release has no table; then the run says so.
    """
    named = {one.name for one in documents}
    every = delivered(platform.store, context.partition_key)
    found = tuple(one for one in every if one.kind is not Kind.DOCUMENT or one.name in named)
    if not any(one.kind is Kind.TABLE for one in found):
        not_there(context, platform, "There is nothing to describe: no table of the release is published.")
        return ()
    return found
