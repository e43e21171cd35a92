"""Assets of a release as a whole: its lock.

Belongs here: assets of the group `release`. Does not belong here: what the archive says (`archives.dataverse`) and how
a version becomes a lock (`archives.lock`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg
import polars as pl

from cm4ai_assets.archives.lock import lock_frame
from cm4ai_assets.defs import metadata as md
from cm4ai_assets.defs.publishing import Draft, Published, publish, table_asset
from cm4ai_assets.defs.resources import Platform
from cm4ai_assets.tables.release import RELEASE_FILES

GROUP = "release"


@table_asset(
    RELEASE_FILES, group=GROUP, kinds={"dataverse", "parquet"}, tags={"cm4ai/modality": "all"}, pool="dataverse"
)
def release_files(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Published]:
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
                "files": md.rows(frame.select("directory", "label", "size", "digest", "access", "modality", "role")),
                "not_recognised": md.rows(
                    frame.filter(pl.col("role").is_null()).select("directory", "label", "unrecognised_reason")
                ),
            },
        ),
    )


ASSETS = (release_files,)
