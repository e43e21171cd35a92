"""The document about the platform itself: the state of everything."""

from __future__ import annotations

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.tables.schema import Document

GROUP = "release"  # it is about the releases, and reads no asset

PLATFORM_STATUS = Document(
    name="platform_status",
    description="The state of everything as one page: what needs a person, releases and their conditions, freshness, "
    "embargoes, disk, checks that warn or fail with their pictures, what was asked for and why it waits. Beside it the "
    "same as JSON, as `cm4ai status --json` prints it.",
    entry="index.html",
    partitioning=Partitioning.NONE,
    source="the storage, and the records of the Dagster instance",
)
