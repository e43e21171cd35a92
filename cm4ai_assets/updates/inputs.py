"""Which published files a job reads, and which tables are made from their bytes alone.

Belongs here: that relation, as data, and what follows from it: two releases with the same files have the same tables,
so what one release has need not be made for the other. Does not belong here: jobs (`defs.jobs`), and when something is
made (`needs`).

A job that reads published bytes is listed here; what is made from tables only follows them by itself
(`defs.automation`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_FIELDS, IF_IMAGES, IF_QUALITY, IF_TENSORS
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, MASSIVE_FILES, SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_FILES
from cm4ai_assets.tables.screen import CELLRANGER_METRICS
from cm4ai_assets.updates.changes import same_bytes
from cm4ai_assets.vocabulary import Modality, Role

Rows = Sequence[Mapping[str, Any]]
Locks = Callable[[str], pl.DataFrame | None]  # the lock of a release; see `lock_of`

CRATE_ROLES = (
    Role.CRATE,
    Role.CRATE_BUNDLE,
    Role.PACKAGE,
    Role.TABLES,
    Role.RAW_INDEX,
    Role.PROVENANCE_GRAPH,
    Role.IMAGES,
)
"""Roles of files that are metadata of the release, or ZIPs that hold some beside the data."""


class Spread(StrEnum):
    """Which partitions of a job read a file: that of the file's condition, those of all, or the release's one."""

    OWN_CONDITION = "own_condition"
    EVERY_CONDITION = "every_condition"
    RELEASE = "release"


@dataclass(frozen=True)
class Feed:
    """What a job reads and makes.

    Attributes:
        job: Name of the job.
        modality: Modality of the files it reads, or several; None for any.
        roles: Their roles.
        spread: Which partition reads which file.
        product: The table that is there when the job is done.
        first: The table without which nothing else of the job is made.
        tables: The tables that are a function of the files' bytes, the release's name and dates aside.
        takes_some: It takes the files that are available and leaves out the rest; others wait for all.
    """

    job: str
    modality: Modality | tuple[Modality, ...] | None
    roles: tuple[Role, ...]
    spread: Spread
    product: str
    first: str
    tables: tuple[str, ...]
    takes_some: bool = False

    def inputs(self, lock: pl.DataFrame) -> dict[str | None, Rows]:
        """The rows of a lock that each partition reads, by condition; by None where it has no condition."""
        mine = lock.filter(pl.col("role").is_in(self.roles))
        wanted = (self.modality,) if isinstance(self.modality, str) else self.modality
        rows = (mine if wanted is None else mine.filter(pl.col("modality").is_in(wanted))).rows(named=True)
        if not rows:
            return {}
        if self.spread is Spread.RELEASE:
            return {None: rows}
        if self.spread is Spread.EVERY_CONDITION:
            return {str(condition): rows for condition in CONDITIONS}
        by_condition = {str(c): [row for row in rows if row["file_condition"] == c] for c in CONDITIONS}
        return {condition: own for condition, own in by_condition.items() if own}


FEEDS: tuple[Feed, ...] = (
    Feed(
        job="images",
        modality=Modality.IF,
        roles=(Role.IMAGES,),
        spread=Spread.OWN_CONDITION,
        product=IF_TENSORS.name,
        first=IF_ARCHIVE.name,
        tables=tuple(table.name for table in (IF_IMAGES, IF_ANTIBODIES, IF_FIELDS, IF_TENSORS, IF_QUALITY, IF_CELLS)),
    ),
    Feed(
        job="secms",
        modality=Modality.SECMS,
        roles=(Role.PACKAGE,),
        spread=Spread.EVERY_CONDITION,
        product=SECMS_PROFILES.name,
        first=SECMS_PROFILES.name,
        tables=(SECMS_PROFILES.name, SECMS_PROTEINS.name),
    ),
    Feed(
        job="apms",
        modality=Modality.APMS,
        roles=(Role.TABLES, Role.PACKAGE),
        spread=Spread.OWN_CONDITION,
        product=APMS_INTERACTIONS.name,
        first=APMS_INTERACTIONS.name,
        tables=(APMS_INTERACTIONS.name,),
    ),
    # The release's own crate names every deposit. What they hold is looked up again when it is another crate, and once
    # a quarter; the annotated runs follow.
    Feed(
        job="massive",
        modality=Modality.RELEASE,
        roles=(Role.CRATE, Role.CRATE_BUNDLE),
        spread=Spread.RELEASE,
        product=MASSIVE_FILES.name,
        first=MASSIVE_FILES.name,
        tables=(MASSIVE_FILES.name,),
    ),
    # Figshare and the sequence archives, as the release's own crates and those of its Perturb-seq parts name them.
    Feed(
        job="perturbseq_archives",
        modality=(Modality.PERTURBSEQ, Modality.RELEASE),
        roles=(Role.CRATE, Role.CRATE_BUNDLE, Role.PACKAGE, Role.RAW_INDEX),
        spread=Spread.RELEASE,
        product=FIGSHARE_FILES.name,
        first=FIGSHARE_FILES.name,
        tables=(FIGSHARE_FILES.name, SRA_RUNS.name),
        takes_some=True,
    ),
    Feed(
        job="cellranger",
        modality=Modality.PERTURBSEQ,
        roles=(Role.STATISTICS,),
        spread=Spread.RELEASE,
        product=CELLRANGER_METRICS.name,
        first=CELLRANGER_METRICS.name,
        tables=(CELLRANGER_METRICS.name,),
    ),
    Feed(
        job="release_metadata",
        modality=None,
        roles=CRATE_ROLES,
        spread=Spread.RELEASE,
        product=CRATE_ENTITIES.name,
        first=CRATE_ENTITIES.name,
        tables=(CRATE_ENTITIES.name, CRATE_EDGES.name, RELEASE_DATASHEET.name),
        takes_some=True,
    ),
)


def feed_of(table: str) -> Feed | None:
    """The feed from which a table is made; None if it is not made from published bytes alone."""
    return next((feed for feed in FEEDS if table in feed.tables), None)


def lock_of(store: Store, release: str) -> pl.DataFrame | None:
    """The lock of a release; None if it is not published."""
    try:
        return store.table(RELEASE_FILES.name, Partition(release)).collect()
    except NotMaterializedError:
        return None


def twins(locks: Locks, feed: Feed, partition: Partition, among: Iterable[str]) -> Iterator[str]:
    """Those of some releases whose lock has the very bytes from which this partition is made, under whatever names."""

    def rows(release: str) -> Rows:
        lock = locks(release)
        return feed.inputs(lock).get(partition.condition, ()) if lock is not None else ()

    return alike(rows, partition.release, among)


def alike(rows: Callable[[str], Rows], release: str, among: Iterable[str]) -> Iterator[str]:
    """Those of some releases of which the rows mean the very bytes that those of this one mean (`twins`)."""
    wanted = rows(release)
    return (other for other in among if wanted and other != release and _same(wanted, rows(other)))


def holder(store: Store, feed: Feed, partition: Partition) -> str | None:
    """The newest release whose published tables hold for this partition too, because its bytes are the same."""
    return _holder(feed, partition, store.partitions(feed.product), partial(lock_of, store))


def published_as(store: Store, name: str, partition: Partition) -> Partition | None:
    """Where a partition of a table stands: its own place, or that of a release with the same bytes; None if nowhere."""
    return published_as_each(store, name, [partition])[0]


def published_as_each(store: Store, name: str, partitions: Sequence[Partition]) -> list[Partition | None]:
    """See `published_as`, of several partitions: what is published is listed once, and each lock read once."""
    own = [store.has_table(name, partition) for partition in partitions]
    feed = feed_of(name)
    if feed is None or all(own):
        return [partition if stands else None for partition, stands in zip(partitions, own, strict=True)]
    published, locks = store.partitions(feed.product), cache(partial(lock_of, store))

    def placed(partition: Partition) -> Partition | None:
        release = _holder(feed, partition, published, locks)
        return Partition(release, partition.condition) if release else None

    return [one if stands else placed(one) for one, stands in zip(partitions, own, strict=True)]


def _holder(feed: Feed, partition: Partition, published: Iterable[Partition], locks: Locks) -> str | None:
    releases = {part.release for part in published if part.condition == partition.condition}
    newest_first = sorted(releases, key=ReleaseKey.parse, reverse=True)
    return next(twins(locks, feed, partition, newest_first), None)


def _same(ones: Rows, others: Rows) -> bool:
    return len(ones) == len(others) and all(any(same_bytes(one, other) for other in others) for one in ones)
