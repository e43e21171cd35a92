"""The asset `derived_crate`: crates of all that a release delivers, and checks that read it again.

Belongs here: publishing, what the UI shows, and running the checks. Does not belong here: what a crate says, and what
is checked (`publication.crate`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.pages import rows
from cm4ai_assets.defs.products import blocking_check
from cm4ai_assets.defs.publication.inputs import POOL, delivery, describes
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Metadata, gate_of, publish
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.crate import Facts, build, facts_of, findings, graphs, listed
from cm4ai_assets.publication.crate.entities import licences
from cm4ai_assets.publication.crate.terms import METADATA
from cm4ai_assets.storage.layout import Partition, root_from_document
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT, DERIVED_CRATE

DESCRIBED = (CROISSANT, DATASHEET_REPORT)
"""The documents that it describes beside tables and stores."""


@describes(
    DERIVED_CRATE,
    kinds={"json"},
    documents=DESCRIBED,
    checks=[
        blocking_check(DERIVED_CRATE, findings.each_file_once),
        blocking_check(DERIVED_CRATE, findings.no_dangling),
    ],
)
def derived_crate(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """One crate for the release, one a group, one for each large store."""
    found = delivery(context, platform, DESCRIBED)
    if not found:
        return
    facts = facts_of(Release(context.partition_key, platform.store), found)
    files = build(facts, base=root_from_document(DERIVED_CRATE, Partition(context.partition_key)))
    gates = [gate_of(findings.each_file_once(files, found)), gate_of(findings.no_dangling(files))]
    yield from publish(context, platform.store, DocumentDraft(DERIVED_CRATE, files, gates, _shown(facts, files)))


def _shown(facts: Facts, files: Mapping[str, bytes]) -> Metadata:
    """What is in which crate, under which licence, and which runs made it."""
    members = {crate: [one for one in listed(files) if one.crate == crate] for crate in graphs(files)}
    crates = [
        {
            "crate": crate,
            "entities": len(graph),
            "files": len(members[crate]),
            "size": sum(one.size for one in members[crate]),
        }
        for crate, graph in graphs(files).items()
    ]
    licensed = [(name, len(one.files)) for one in facts.delivery for name in licences(facts, one)]
    counted = pl.DataFrame(licensed, schema=["license", "files"], orient="row").group_by("license").agg(pl.sum("files"))
    runs = {one.making.run_id for one in facts.delivery if one.making}
    return {
        "crates": rows(pl.DataFrame(crates)),
        "licenses": rows(counted.sort("license")),
        "runs": ", ".join(sorted(runs)) or "none is recorded",
        "without_run": sum(one.making is None for one in facts.delivery),
        "published_files": len({file for found in facts.published.values() for file in found}),
        "people": len(facts.stated.creators),
    }


_OF_CRATES = (findings.runs_known, findings.reaches_published)


@warning_checks(DERIVED_CRATE, (*_OF_CRATES, findings.crate_digests), pool=POOL)
def crate_checks(platform: Platform, partition: Partition) -> Findings:
    """The published crates, and the files that they list as they stand in the storage now."""
    store = platform.store
    published = store.document(DERIVED_CRATE, partition)
    names = [name for name in published.files if name.rsplit("/", 1)[-1] == METADATA]
    files = {name: store.read(f"{published.folder}/{name}") for name in names}
    for check in _OF_CRATES:
        yield check(files)
    day = datetime.now(UTC).toordinal()
    yield findings.crate_digests(
        files, published.folder, lambda path: store.fs.open(store.address(path), "rb"), day=day
    )


ASSETS = (derived_crate,)
CHECKS = (crate_checks,)
