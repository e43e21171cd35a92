"""Registered releases: which DOI and version each release key means, written once and never changed.

Belongs here: reading and writing those records. Does not belong here: how a key is derived (`releases`), and Dagster's
dynamic partitions, which are made from these records (`defs.partitions`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from cm4ai_assets.errors import Cm4aiError, ReleaseKeyError, ReleaseRecordError, WrongStorageError
from cm4ai_assets.releases import ReleaseKey, ReleaseRecord, assign_key
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.disk import is_temporary
from cm4ai_assets.storage.store import Store

DAMAGED_REMEDY = (
    "Restore the file, or move it away and run `cm4ai releases --register`: "
    "the archive is asked, and the key is given anew."
)
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, Cm4aiError)

TEST_PREFIX = "doi:10.5072/"  # DataCite's prefix for tests; the embedded archive publishes under it


@dataclass(frozen=True)
class DamagedRecord:
    """A file among the release records that is none: damaged, stray, or the record of another key."""

    location: str
    problem: str

    @property
    def key(self) -> str:
        """The key that the file is named after, which none may be."""
        return self.location.rsplit("/", 1)[-1].removesuffix(".json")

    def __str__(self) -> str:
        return f"{self.location} is no release record: {self.problem}."


class ReleaseRegistry:
    """The release records of one store. One that cannot be read is left out and reported, and harms no other.

    What was read is kept while the listing says that it is the same: the release sensor asks every half minute, and a
    storage may have a thousand records.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, tuple[str, ReleaseRecord | DamagedRecord]] = {}

    def all(self) -> list[ReleaseRecord]:
        """Every registered release whose record can be read, oldest first."""
        return sorted(self._read()[0], key=lambda record: ReleaseKey.parse(record.key))

    def damaged(self) -> list[DamagedRecord]:
        """Every file among the records that is no record."""
        return self._read()[1]

    def get(self, key: str) -> ReleaseRecord:
        """The record of one key.

        Raises:
            ReleaseKeyError: It is not registered. `ReleaseRecordError`: its record is damaged.
        """
        path = layout.release_path(key)
        try:
            return _record(self._store.read(path), key)
        except FileNotFoundError:
            raise ReleaseKeyError(
                f"Release {key} is not registered.",
                remedy="`cm4ai releases --register` asks the archive for them.",
            ) from None
        except _UNREADABLE as error:
            raise ReleaseRecordError(
                f"{DamagedRecord(self._store.location(path), str(error))}", remedy=DAMAGED_REMEDY
            ) from error

    def register(
        self, versions: Iterable[ReleaseRecord], *, known: list[ReleaseRecord] | None = None
    ) -> list[ReleaseRecord]:
        """Give each dataset version its key and write its record; the ones that were new.

        `key` of the given records is ignored. Versions that are already registered are left as they are. Datasets are
        taken in the order of their publication, so that the older one keeps the plain key. Of several processes that
        register at once, each key is given once: a record is created, never replaced. A version whose key a damaged
        file holds is left out: `damaged` says which, and what it meant is not guessed.

        Args:
            versions: Dataset versions.
            known: What `all` said just now, where one registers dataset by dataset; new records are added to it.

        Raises:
            ReleaseKeyError: A key would mean two datasets.
            WrongStorageError: Synthetic releases would stand among real ones, or the reverse.
        """
        versions = sorted(versions, key=lambda record: (record.published, record.doi, record.major, record.minor))
        known = self.all() if known is None else known
        _refuse_mixture(self._store.location(""), [*known, *versions])
        new = []
        for seen in versions:
            record = self._register(seen, known)
            if record is not None:
                new.append(record)
                known.append(record)
        return new

    def _register(self, seen: ReleaseRecord, known: list[ReleaseRecord]) -> ReleaseRecord | None:
        """The new record of a version; None if it has one, or may have one. Reads `known` again where that is stale."""
        while (seen.doi, seen.version) not in {(record.doi, record.version) for record in known}:
            taken = {record.key: record.doi for record in known}
            key = assign_key(seen.doi, seen.title, seen.published, major=seen.major, minor=seen.minor, taken=taken)
            record = replace(seen, key=key)
            try:
                self._store.create(json.dumps(_as_json(record), indent=1).encode(), layout.release_path(key))
            except FileExistsError:
                known[:] = self.all()
                if key not in {other.key for other in known}:
                    return None  # a damaged record holds the key
            else:
                return record
        return None

    def _read(self) -> tuple[list[ReleaseRecord], list[DamagedRecord]]:
        found: dict[str, tuple[str, ReleaseRecord | DamagedRecord]] = {}
        for path, stamp in self._store.stamps(layout.RELEASES).items():
            name = path.removeprefix(f"{layout.RELEASES}/")
            if is_temporary(name):
                continue  # what a killed process had not yet renamed
            kept = self._kept.get(path)
            found[path] = kept if stamp and kept and kept[0] == stamp else (stamp, self._parsed(path, name))
        self._kept = found
        records = [one for _, one in found.values() if isinstance(one, ReleaseRecord)]
        return records, [one for _, one in found.values() if isinstance(one, DamagedRecord)]

    def _parsed(self, path: str, name: str) -> ReleaseRecord | DamagedRecord:
        try:
            return _record(self._store.read(path), name.removesuffix(".json"))
        except _UNREADABLE as error:
            return DamagedRecord(self._store.location(path), str(error))


def _refuse_mixture(where: str, records: list[ReleaseRecord]) -> None:
    """Keep synthetic data away from real data: their keys look alike, and a table does not tell."""
    if len({record.doi.startswith(TEST_PREFIX) for record in records}) > 1:
        raise WrongStorageError(
            f"{where} would hold synthetic releases ({TEST_PREFIX}) beside real ones.",
            remedy="Set CM4AI_STORAGE (and DAGSTER_HOME) to a folder of its own for one of them.",
        )


def _as_json(record: ReleaseRecord) -> dict[str, object]:
    released = record.released.isoformat() if record.released else None
    return {**record.__dict__, "published": record.published.isoformat(), "released": released}


def _record(data: bytes, key: str) -> ReleaseRecord:
    """The record in a file that is named after `key`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, Cm4aiError: It is none, or that of another key.
    """
    fields = json.loads(data)
    fields["published"] = date.fromisoformat(fields["published"])
    fields["released"] = datetime.fromisoformat(fields["released"]) if fields["released"] else None
    record = ReleaseRecord(**fields)
    for name, kind in {"key": str, "doi": str, "title": str, "archive": str, "major": int, "minor": int}.items():
        if type(getattr(record, name)) is not kind:
            raise TypeError(f"{name} is {getattr(record, name)!r}")
    if record.key != key:
        raise ValueError(f"it bears the key {record.key}")
    parsed = ReleaseKey.parse(key)
    if (parsed.major, parsed.minor) != (record.major, record.minor):
        raise ValueError(f"it is of version {record.version}")
    return record
