"""A storage and an archive with so many releases: records, locks, and a file for every table of every partition.

Belongs here: writing them, and an archive in this process that offers them. Does not belong here: what is measured over
them (`scaling`), and what Dagster knows (`scaling_home`).

A release has the ten files of that of June 2026. Of each dataset there are two versions, as of most, with other bytes
in every file. Every second dataset is only locked, as an old release is that nobody asked for; of the
others every table stands there. Tables other than locks have no rows: the number of things is what counts here.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path

from cm4ai_assets import tables
from cm4ai_assets.archives.dataverse.client import DataverseClient, Listing, release_record
from cm4ai_assets.archives.dataverse.lock import lock_frame
from cm4ai_assets.archives.dataverse.model import DataFile, Dataset, File, Version
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition, file_digests_path, partitions_of, table_path
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.updates.changes import compare

ARCHIVE = "https://archive.invalid"
COLLECTION = "CM4AI"
VERSIONS = 2
_FIRST_YEAR = 2024
_NAMES = (
    *(f"cm4ai_ifimages_MDA-MB-468_{condition}.zip" for condition in CONDITIONS),
    "cm4ai_apms_MDA-MB-468_paclitaxel.zip", "cm4ai_apms_MDA-MB-468_vorinostat.zip", "cm4ai_mass-spec_KOLF2.zip",
    "cm4ai_mass-spec_MDA-MB-468.zip", "cm4ai_perturb-seq_KOLF2_cell_atlas.zip",
    "cm4ai_perturb-seq_KOLF2_raw_sra.zip", "cm4ai_release_metadata.zip",
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """An archive that answers at once: what is measured is what is done with its answers."""

    releases: int

    @cached_property
    def versions_of(self) -> dict[str, list[Version]]:
        """By DOI, the newest version first, as the archive lists them."""
        found: dict[str, list[Version]] = {}
        for number in range(self.releases):
            version = _version(number // VERSIONS, number % VERSIONS)
            found.setdefault(str(version.doi), []).insert(0, version)
        return found

    @property
    def base_url(self) -> str:
        return ARCHIVE

    def listing(self, _: str) -> Listing:
        datasets = (
            Dataset(protocol="doi", authority="10.5072", separator="/", identifier=doi.removeprefix("doi:10.5072/"))
            for doi in self.versions_of
        )
        return Listing(tuple(datasets), ())

    def versions(self, doi: str) -> list[Version]:
        return self.versions_of[doi]

    def version(self, doi: str, number: str) -> Version:
        return next(version for version in self.versions_of[doi] if version.number == number)

    def records(self) -> list[ReleaseRecord]:
        found = (
            release_record(doi, None, version, versions, ARCHIVE)
            for doi, versions in self.versions_of.items()
            for version in versions
        )
        return [record for record in found if record is not None]


class OfThisProcess(Platform):
    """The platform with that archive."""

    def __init__(self, settings: Settings, archive: Archive) -> None:
        super().__init__(settings)
        self.served = archive

    def watcher(self) -> DataverseClient:
        return _opened(self.served)  # type: ignore[return-value] # it answers what a look asks


@contextmanager
def _opened(archive: Archive) -> Iterator[Archive]:
    yield archive


def fill(store: Store, archive: Archive) -> list[str]:
    """Register every release and publish its tables; their keys, oldest first."""
    registry = ReleaseRegistry(store)
    registry.register(archive.records())
    keys = [record.key for record in registry.all()]
    for record in registry.all():
        _publish_lock(store, record, archive)
    whole = {doi for number, doi in enumerate(reversed(archive.versions_of)) if number % 2 == 0}
    made = [record.key for record in registry.all() if record.doi in whole]
    for name in [table.name for table in tables.ALL if table not in {RELEASE_FILES, RELEASE_CHANGES}]:
        _publish_empty(store, name, made)
    return keys


def _publish_lock(store: Store, record: ReleaseRecord, archive: Archive) -> None:
    lock = lock_frame(archive.version(record.doi, record.version), release=record.key, today=date(2026, 11, 1))
    changes = compare(None, lock, release=record.key, against=None)
    for name, frame in ((RELEASE_FILES.name, lock), (RELEASE_CHANGES.name, changes)):
        with store.stage_table(name, Partition(record.key), frame) as staged:
            store.publish_table(staged)


def _publish_empty(store: Store, name: str, keys: Sequence[str]) -> None:
    """The first one is published, the others are its copies: a table without rows names no release."""
    table = tables.table(name)
    wanted = list(dict.fromkeys(one for key in keys for one in partitions_of(table, Partition(key))))
    with store.stage_table(name, wanted[0], table.empty()) as staged:
        store.publish_table(staged)
    first, root = table_path(table, wanted[0]), Path(store.root)
    for partition in wanted[1:]:
        path = table_path(table, partition)
        for source, target in ((first, path), (file_digests_path(first), file_digests_path(path))):
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / source, root / target)


def _version(dataset: int, minor: int) -> Version:
    """A version of a dataset of its month, with bytes of its own."""
    year, month = _FIRST_YEAR + dataset // 12, dataset % 12 + 1
    doi = f"doi:10.5072/FK2/{dataset:06d}"
    files = [_file(name, f"{doi}/{minor}", dataset * 1000 + minor * 100 + number) for number, name in enumerate(_NAMES)]
    return Version(
        dataset_persistent_id=doi, version_number=1, version_minor_number=minor, version_state="RELEASED",
        release_time=datetime(year, month, 1 + minor, tzinfo=UTC), publication_date=date(year, month, 1), files=files,
    )  # fmt: skip


def _file(name: str, version: str, number: int) -> File:
    md5 = hashlib.md5(f"{version}/{name}".encode(), usedforsecurity=False).hexdigest()
    data = DataFile(id=number + 1, filename=name, content_type="application/zip", filesize=1_000_000 + number, md5=md5)
    return File(label=name, restricted=False, data_file=data)
