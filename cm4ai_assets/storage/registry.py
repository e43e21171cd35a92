"""Registered releases: which DOI and version each release key means, written once and never changed.

Belongs here: reading and writing those records. Does not belong here: how a key is derived (`releases`), and Dagster's
dynamic partitions, which are made from these records (`defs.partitions`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime

from cm4ai_assets.errors import ConfigurationError, ReleaseKeyError
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord, assign_key
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.store import Store

TEST_PREFIX = "doi:10.5072/"  # DataCite's prefix for tests; the embedded archive publishes under it


class ReleaseRegistry:
    """The release records of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all(self) -> list[ReleaseRecord]:
        """Every registered release, oldest first."""
        base = f"{self._store.root}/{layout.RELEASES}"
        if not self._store.fs.exists(base):
            return []
        paths = [path for path in self._store.fs.find(base) if path.endswith(".json")]
        records = [_record(self._store.fs.cat_file(path)) for path in paths]
        return sorted(records, key=lambda record: ReleaseKey.parse(record.key))

    def get(self, key: str) -> ReleaseRecord:
        """The record of one key.

        Raises:
            ReleaseKeyError: It is not registered.
        """
        path = f"{self._store.root}/{layout.release_path(key)}"
        if not self._store.fs.exists(path):
            raise ReleaseKeyError(
                f"Release {key} is not registered.",
                remedy="`cm4ai releases --register` asks the archive for them.",
            )
        return _record(self._store.fs.cat_file(path))

    def register(self, versions: Iterable[ReleaseRecord]) -> list[ReleaseRecord]:
        """Give each dataset version its key and write its record; the ones that were new.

        `key` of the given records is ignored. Versions that are already registered are left as they are. Datasets are
        taken in the order of their publication, so that the older one keeps the plain key.

        Raises:
            ReleaseKeyError: A key would mean two datasets.
            ConfigurationError: Synthetic releases would stand among real ones, or the reverse.
        """
        versions = list(versions)
        known = self.all()
        _refuse_mixture(self._store.location(""), [*known, *versions])
        taken = {record.key: record.doi for record in known}
        done = {(record.doi, record.major, record.minor) for record in known}
        new = []
        for seen in sorted(versions, key=lambda record: (record.published, record.doi, record.major, record.minor)):
            if (seen.doi, seen.major, seen.minor) in done:
                continue
            key = assign_key(seen.doi, seen.title, seen.published, major=seen.major, minor=seen.minor, taken=taken)
            record = ReleaseRecord(**{**seen.__dict__, "key": key})
            self._write(record)
            taken[key] = record.doi
            new.append(record)
        return new

    def _write(self, record: ReleaseRecord) -> None:
        with self._store.staging.folder() as folder:
            staged = folder / "release.json"
            staged.write_text(json.dumps(_as_json(record), indent=1), encoding="utf-8")
            self._store.staging.publish_file(staged, layout.release_path(record.key))


def _refuse_mixture(where: str, records: list[ReleaseRecord]) -> None:
    """Keep synthetic data away from real data: their keys look alike, and a table does not tell."""
    if len({record.doi.startswith(TEST_PREFIX) for record in records}) > 1:
        raise ConfigurationError(
            f"{where} would hold synthetic releases ({TEST_PREFIX}) beside real ones.",
            remedy="Set CM4AI_STORAGE (and DAGSTER_HOME) to a folder of its own for one of them.",
        )


def _as_json(record: ReleaseRecord) -> dict[str, object]:
    released = record.released.isoformat() if record.released else None
    return {**record.__dict__, "published": record.published.isoformat(), "released": released}


def _record(data: bytes) -> ReleaseRecord:
    fields = json.loads(data)
    fields["published"] = date.fromisoformat(fields["published"])
    fields["released"] = datetime.fromisoformat(fields["released"]) if fields["released"] else None
    return ReleaseRecord(**fields)
