"""Assets of a release as a whole: its lock, and what changed since the release before.

Belongs here: assets of the group `release`, and the collection they come from. Does not belong here: what the archive
says (`archives.dataverse.client`), how a version becomes a lock (`archives.dataverse.lock`) and how two compare
(`updates.changes`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.pages import described
from cm4ai_assets.defs.products import OWNERS, table_asset
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord, releases_before
from cm4ai_assets.settings import Settings
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.transfer.errors import NotFoundError
from cm4ai_assets.updates import changes
from cm4ai_assets.updates.inputs import lock_of

GROUP = "release"
_FILES_SHOWN = ("directory", "label", "size", "digest", "access", "available_on", "modality", "role")
_SHOWN = ("change", "directory", "label", "previous_directory", "previous_label", "size", "access", "counterpart")

# Its materialization is a successful look of the release sensor. What stands below it depends on which collection that
# is, and not on the look: `watched_version` is its data version, so that no look marks a locked release as out of date.
collection = dg.AssetSpec(
    COLLECTION,
    group_name=GROUP,
    kinds={"dataverse"},
    owners=list(OWNERS),
    tags={"cm4ai/modality": "all"},
    description="The watched collection of the archive, as the release sensor saw it last: datasets, versions, and how "
    "long after their publication they were registered. Goes stale when no look has succeeded for 6 hours, and fails "
    "after 24: then the sensor is switched off, the daemon is not running, or the archive cannot be reached.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=24), warn_window=timedelta(hours=6)),
)


def watched_version(settings: Settings) -> str:
    """The data version of the collection: which one is watched, and where."""
    return f"{settings.collection} of {settings.dataverse_url}"


def registered_by_hand(settings: Settings, seen: int) -> dg.AssetObservation:
    """A look at the collection that was no tick of the sensor, so that what is made next is up to date with it."""
    return dg.AssetObservation(
        COLLECTION,
        description=described(f"{seen} dataset versions seen by `cm4ai releases --register`."),
        tags={"dagster/data_version": watched_version(settings)},
    )


@table_asset(
    RELEASE_FILES,
    group=GROUP,
    kinds={"dataverse", "parquet"},
    tags={"cm4ai/modality": "all"},
    deps=(COLLECTION,),
    pool="dataverse",
)
def release_files(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """The lock of a release."""
    record = platform.registry.get(context.partition_key)
    with platform.archive() as archive:
        version = archive.version(record.doi, record.version)
    frame = lock_frame(version, release=record.key)
    recognised = frame.filter(pl.col("role").is_not_null())
    context.log.info(
        f"{record.doi} version {record.version}: {frame.height} files, {int(frame['size'].sum()) / 1e9:.2f} GB, "
        f"{frame.height - recognised.height} not recognised"
    )
    yield from publish(
        context,
        platform.store,
        Draft(
            RELEASE_FILES,
            frame,
            metadata={
                "doi": record.doi,
                "version": record.version,
                "title": record.title,
                "landing_page": dg.MetadataValue.url(f"https://doi.org/{record.doi.removeprefix('doi:')}"),
                "archive": dg.MetadataValue.url(platform.settings.dataverse_url),
                "total_bytes": int(frame["size"].sum()),
                "total_size": size_in_words(int(frame["size"].sum())),
                "files": md.rows(frame.select(_FILES_SHOWN)),
                "not_recognised": md.rows(
                    frame.filter(pl.col("role").is_null()).select("directory", "label", "unrecognised_reason")
                ),
            },
        ),
    )
    platform.absences.forget_release(record.key)


@table_asset(RELEASE_CHANGES, group=GROUP, kinds={"parquet"}, tags={"cm4ai/modality": "all"}, pool="dataverse")
def release_changes(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """What changed since the release before."""
    record = platform.registry.get(context.partition_key)
    before, lock = _before(record, platform, context.log)
    against = before.key if before else None
    frame = changes.compare(lock, release_files.collect(), release=record.key, against=against)
    summary = changes.summary(frame)
    context.log.info(f"{record.key} against {against or 'nothing'}: {summary}")
    differing = frame.filter((pl.col("change") != "unchanged") | pl.col("access_changed"))
    yield from publish(
        context,
        platform.store,
        Draft(
            RELEASE_CHANGES,
            frame,
            metadata={
                "against": against or "nothing: no release came out before",
                "summary": summary,
                **dict(frame["change"].value_counts().iter_rows()),
                "access_changed": int(frame["access_changed"].sum()),
                "new_bytes": changes.new_bytes(frame),
                "new_size": size_in_words(changes.new_bytes(frame)),
                "changes": md.rows(differing.select(_SHOWN)),
            },
        ),
    )


def _before(
    record: ReleaseRecord, platform: Platform, log: dg.DagsterLogManager
) -> tuple[ReleaseRecord, pl.DataFrame] | tuple[None, None]:
    """The release to compare with and its lock: as published here, else as the archive lists it now.

    Asking saves an order between runs: when several releases arrive at once, their locks are made side by side.
    """
    for before in releases_before(record, platform.registry.all()):
        if (lock := lock_of(platform.store, before.key)) is not None:
            return before, lock
        try:
            with platform.archive() as archive:
                return before, lock_frame(archive.version(before.doi, before.version), release=before.key)
        except NotFoundError as error:
            log.warning(f"{before.key} was never locked, and cannot be any more: {error}")
    return None, None


ASSETS = (release_files, release_changes)
