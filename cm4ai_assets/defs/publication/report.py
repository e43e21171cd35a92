"""The asset `datasheet_report`: the page of a release, and the files beside it.

Belongs here: evaluating the checks over the published tables, publishing, and what the UI shows. Does not belong here:
what the page says (`publication.report`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from cm4ai_assets.access import Release
from cm4ai_assets.defs.checks import STEPS, CheckStep
from cm4ai_assets.defs.products import check_spec
from cm4ai_assets.defs.publication.inputs import delivery, describes
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Gate, Metadata, publish
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.blocks import Page
from cm4ai_assets.publication.report import Checked, Subject, files_of
from cm4ai_assets.storage.layout import Partition, partitions_of
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.publication import CROISSANT, DATASHEET_REPORT
from cm4ai_assets.updates.inputs import published_as

LARGEST = 15_000_000
"""Bytes that the page may have: as an attachment of a message it still arrives."""

_SIZE_CHECK = check_spec(
    "page_small",
    DATASHEET_REPORT,
    "The page has less than 15 MB. Protects from a page that no mail server lets through. Blocking: one that fails is "
    "never published.",
    blocking=True,
)


@describes(DATASHEET_REPORT, kinds={"html"}, documents=(CROISSANT,), checks=[_SIZE_CHECK])
def datasheet_report(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """The release as one page."""
    found = delivery(context, platform)
    if not found:
        return
    checked = list(evaluated(platform, context.partition_key))
    context.log.info(f"{len(checked)} checks evaluated, {sum(one.warns for one in checked)} warn")
    page, files = files_of(Subject(Release(context.partition_key, platform.store), found, checked))
    shown = _shown(page, files, checked)
    yield from publish(context, platform.store, DocumentDraft(DATASHEET_REPORT, files, [_small(files)], shown))


def evaluated(platform: Platform, release: str) -> Iterator[Checked]:
    """What every warning check finds in the published tables of a release, in the order of the catalog."""
    for step in STEPS:
        if isinstance(step.about, Table) and not step.asks_archive:
            for partition in _partitions(platform, step.about, release):
                yield from _evaluated(platform, step, step.about, partition)


def _partitions(platform: Platform, about: Table, release: str) -> Iterator[Partition]:
    """Where the table stands for the release; what belongs to no release is not about it."""
    if about.partitioning is not Partitioning.NONE:
        for wanted in partitions_of(about, Partition(release)):
            if (where := published_as(platform.store, about.name, wanted)) is not None:
                yield where


def _evaluated(platform: Platform, step: CheckStep, about: Table, partition: Partition) -> Iterator[Checked]:
    """The findings of one step; what could not be evaluated says why, and is no reason to have no page."""
    open_checks = dict(step.described)
    try:
        for finding in step.findings_of(platform, partition):
            description = open_checks.pop(finding.check, "")
            yield Checked(about.name, partition.condition, finding.check, description, finding)
    except (Cm4aiError, dg.Failure) as error:
        reason = str(error) or error.__class__.__name__
        for check, description in open_checks.items():
            yield Checked(about.name, partition.condition, check, description, None, f"Not evaluated: {reason}")


def _small(files: Mapping[str, bytes]) -> Gate:
    size = len(files[DATASHEET_REPORT.entry])
    words = f"{size_in_words(size)}, of {size_in_words(LARGEST)} at most"
    return Gate(_SIZE_CHECK.name, passed=size < LARGEST, description=words, metadata={"bytes": size})


def _shown(page: Page, files: Mapping[str, bytes], checked: Sequence[Checked]) -> Metadata:
    return {
        "page_size": size_in_words(len(files[DATASHEET_REPORT.entry])),
        "sections": len(page.sections),
        "contents": ", ".join(section.title for section in page.sections),
        "files": ", ".join(files),
        "checks_evaluated": len(checked),
        "checks_that_warn": sum(one.warns for one in checked),
    }


ASSETS = (datasheet_report,)
CHECKS: tuple[dg.AssetChecksDefinition, ...] = ()
