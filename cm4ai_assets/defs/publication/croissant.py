"""The Croissant of a release as an asset, and whether it reads back. Thin: `publication.croissant` says how.

Belongs here: the step, its checks, and its page. Does not belong here: what stands in the document.
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.croissant.words import NAME
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.pages import rows
from cm4ai_assets.defs.products import blocking_check
from cm4ai_assets.defs.publication.inputs import POOL, delivery, describes
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Metadata, gate_of, publish
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.croissant import Described, croissant_files, described
from cm4ai_assets.publication.croissant_check import loads, records_agree
from cm4ai_assets.publication.croissant_limits import limits
from cm4ai_assets.storage.layout import Partition, root_from_document
from cm4ai_assets.tables.publication import CROISSANT


@describes(CROISSANT, kinds={"croissant", "json"}, checks=[blocking_check(CROISSANT, loads)])
def croissant(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """Describe what the release delivers, and hold the description against mlcroissant before it is published."""
    found = delivery(context, platform)
    if not found:
        return
    made_of = described(Release(context.partition_key, platform.store), found)
    files = croissant_files(made_of, base=root_from_document(CROISSANT, Partition(context.partition_key)))
    document = json.loads(files[NAME])
    context.log.info(f"{len(document['recordSet'])} record sets over {len(document['distribution']):,} files.")
    gate = gate_of(loads(document))
    yield from publish(context, platform.store, DocumentDraft(CROISSANT, files, [gate], _page(made_of, document)))


@warning_checks(CROISSANT, (records_agree,), pool=POOL)
def croissant_checks(platform: Platform, partition: Partition) -> Findings:
    """The published document, read as its users do, against the tables as they stand now."""
    yield read_back(platform, partition)


def read_back(platform: Platform, partition: Partition) -> Finding:
    """What reading the published document back found; progress goes to the log of the run."""
    store = platform.store
    published = store.document(CROISSANT, partition)
    files = {name: store.read(f"{published.folder}/{name}") for name in published.files}
    try:
        found = delivered(store, partition.release)
        return records_agree(Release(partition.release, store), found, files, dg.get_dagster_logger().info)
    except StoredBytesDamagedError as error:  # nothing is compared with what is damaged
        return Finding(records_agree.__name__, passed=False, summary=str(error))


def _page(of: Described, document: dict[str, Any]) -> Metadata:
    """Record sets with their rows, what could not be expressed, and counts."""
    heights = {one.path: one.rows for one in of.delivery} | {one.file: one.rows.height for one in of.splits}
    sets = [one for one in document["recordSet"] if "data" not in one]
    listed = pl.DataFrame({
        "record set": [one["@id"] for one in sets],
        "records": [heights.get(_file_of(one)) for one in sets],
        "fields": [len(one["field"]) for one in sets],
        "refers to": [", ".join(_references(one)) for one in sets],
    })  # fmt: skip
    return {
        "record_sets": rows(listed),
        "not_expressed": rows(limits(of, document)),
        "record_set_count": len(document["recordSet"]),
        "file_count": len(document["distribution"]),
        "license": of.stated.origin.license,
        "doi": of.stated.origin.doi,
    }


def _file_of(record_set: dict[str, Any]) -> str:
    source = next(one["source"] for one in record_set["field"] if "source" in one)
    return str(source["fileObject"]["@id"])


def _references(record_set: dict[str, Any]) -> list[str]:
    return [one["references"]["field"]["@id"] for one in record_set["field"] if "references" in one]


ASSETS = (croissant,)
CHECKS = (croissant_checks,)
