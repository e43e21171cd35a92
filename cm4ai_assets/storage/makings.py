"""Which run made what is published: in the storage, so that an origin is known without Dagster's instance.

    registry/makings/{path of the file or folder}.json    the run, its software, and what it was made of
    registry/environments/{sha256}.txt                    the distributions that were installed
    registry/software/{sha256}.zip                        the source of this package as it ran

A record names the digest of what it is about. It is written after that is published: where the two differ, the run was
ended between, and who made what stands there is not known.

Belongs here: writing and reading the records. Does not belong here: what a run knows of itself (`defs.makings`), and
what the software is (`software`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.software import Software
from cm4ai_assets.storage.closed import closed, content_of
from cm4ai_assets.storage.layout import Partition, environment_path, making_path, software_path
from cm4ai_assets.storage.placing import place_bytes

if TYPE_CHECKING:
    from cm4ai_assets.storage.store import Store


@dataclass(frozen=True, order=True)
class Input:
    """Something stored that a product was made of.

    Attributes:
        path: A table's file, a document's or store's folder, or a blob, relative to the storage root.
        digest: SHA-256 of the file, or of the folder (`digests.listing_digest`), when the product was published.
    """

    path: str
    digest: str


@dataclass(frozen=True)
class Making:
    """How a published thing was made.

    Attributes:
        path: What was made: a table's file, or the folder of a document or store, relative to the storage root.
        digest: Its SHA-256; see `Input.digest`.
        asset: The asset that makes it.
        release: Release key of its partition; empty for what belongs to no release.
        condition: Condition of its partition; None without one.
        run_id: Dagster's id of the run.
        code_version: The asset's; None if it states none.
        started: When its step started (UTC); None where that is not known.
        ended: When it was published (UTC).
        software: The software and the machine.
        inputs: What stood there of the tables and published files that it is made of, when it was published.
    """

    path: str
    digest: str
    asset: str
    release: str
    condition: str | None
    run_id: str
    code_version: str | None
    started: datetime | None
    ended: datetime
    software: Software
    inputs: tuple[Input, ...]

    @property
    def partition(self) -> Partition:
        """The partition of the asset."""
        return Partition(self.release, self.condition)


class Makings:
    """The records of one storage."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, making: Making, environment: str, source: bytes | None = None) -> None:
        """Record how something was made.

        Args:
            making: The record.
            environment: The text behind `Software.environment`.
            source: The ZIP behind `Software.source`; None if it is not kept.
        """
        self._keep(environment_path(making.software.environment), environment.encode())
        if source is not None and making.software.source is not None:
            self._keep(software_path(making.software.source), source)
        place_bytes(self._store.fs, _rendered(making), self._store.address(making_path(making.path)))

    def of(self, path: str, digest: str | None = None) -> Making | None:
        """How what stands under a path was made; None if no record says so, or it is about bytes of another digest.

        Raises:
            StoredBytesDamagedError: The record is not what was written.
        """
        place = making_path(path)
        try:
            data = self._store.read(place)
        except FileNotFoundError:
            return None
        try:
            making = _parsed(json.loads(content_of(data)))
        except (ValueError, KeyError, TypeError) as error:
            raise StoredBytesDamagedError(
                f"{place}, the record of the run that made it, was altered after it was written.",
                remedy=f"Remove {place}, and materialize it again.",
            ) from error
        return making if digest in {None, making.digest} else None

    def _keep(self, place: str, data: bytes) -> None:
        if not self._store.has_file(place):
            place_bytes(self._store.fs, data, self._store.address(place))

    def source(self, sha256: str) -> bytes:
        """The source of this package as it ran, as a ZIP.

        Raises:
            FileNotFoundError: It is not stored.
        """
        return self._store.read(software_path(sha256))

    def environment(self, sha256: str) -> str:
        """The distributions that were installed, one a line as `name==version`.

        Raises:
            FileNotFoundError: No such list is stored.
        """
        return self._store.read(environment_path(sha256)).decode()


def _rendered(making: Making) -> bytes:
    stated = asdict(making) | {
        "started": making.started.isoformat() if making.started else None,
        "ended": making.ended.isoformat(),
        "inputs": [[one.path, one.digest] for one in making.inputs],
    }
    return closed(json.dumps(stated, indent=0))


def _parsed(stated: Mapping[str, Any]) -> Making:
    return Making(
        **{
            **stated,
            "started": datetime.fromisoformat(stated["started"]) if stated["started"] else None,
            "ended": datetime.fromisoformat(stated["ended"]),
            "software": Software(**stated["software"]),
            "inputs": tuple(Input(path, digest) for path, digest in stated["inputs"]),
        }
    )
