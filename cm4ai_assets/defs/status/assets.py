"""The asset `platform_status`: the state of everything as a page, and as JSON beside it.

Belongs here: publishing what was read, and what the UI shows of it. Does not belong here: reading it (`reading`), what
the page says (`status.page`), and when it is made again (`refreshing`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import dagster as dg

from cm4ai_assets.defs.checks import result_of
from cm4ai_assets.defs.products import check_spec, document_asset
from cm4ai_assets.defs.publishing import AssetResult, DocumentDraft, Metadata, publish
from cm4ai_assets.defs.status.reading import read_status
from cm4ai_assets.findings import described_by
from cm4ai_assets.incidents import counted
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.html import render
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import Status, as_json
from cm4ai_assets.status.findings import everything_read
from cm4ai_assets.status.page import page_of, ui_of
from cm4ai_assets.tables.status import GROUP, PLATFORM_STATUS

JSON_FILE = "status.json"


EVERYTHING_READ = check_spec("everything_read", PLATFORM_STATUS, described_by(everything_read), blocking=False)


@document_asset(
    PLATFORM_STATUS,
    group=GROUP,
    kinds={"html"},
    tags={"cm4ai/modality": "all"},
    checks=[EVERYTHING_READ],
    is_last=True,
)
def platform_status(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """The state of everything, now."""
    status = read_status(
        context.instance,
        platform.store,
        platform.settings,
        datetime.now(UTC),
        repository=_repository(context),
        own_run=context.run.run_id,
    )
    for reason in status.unknown:
        context.log.warning(reason)
    yield from publish(
        context,
        platform.store,
        DocumentDraft(PLATFORM_STATUS, files_of(status, platform.settings), metadata=_shown(status)),
    )
    if EVERYTHING_READ.key in context.selected_asset_check_keys:
        yield result_of(PLATFORM_STATUS.name, everything_read(status))


def files_of(status: Status, settings: Settings) -> Mapping[str, bytes]:
    """The files of the document: the page, and the same for programs."""
    page = render(page_of(status, ui=ui_of(settings)))
    return {PLATFORM_STATUS.entry: page, JSON_FILE: json.dumps(as_json(status), indent=1).encode()}


def _repository(context: dg.AssetExecutionContext) -> dg.RepositoryDefinition | None:
    """The definitions that are loaded; None in a run that was started without (`cm4ai materialize`)."""
    try:
        return context.repository_def
    except Exception:  # noqa: BLE001 - which one it is, is Dagster's own matter
        return None


def _shown(status: Status) -> Metadata:
    recorded, disk = status.recorded, status.usage
    return {
        "needs_a_person": "not known" if status.incidents is None else counted(status.incidents),
        "releases": "not known" if status.releases is None else len(status.releases),
        "checks_that_warn_or_fail": "not known" if recorded is None else len(recorded.checks),
        "stored": "not known" if disk is None else size_in_words(disk.stored),
        "could_go": "not known" if disk is None or disk.unknown else size_in_words(disk.size_that_could_go),
        "not_read": "\n".join(status.unknown) or "nothing",
    }


ASSETS = (platform_status,)
