"""Which bytes a digest or a file without one means: the small records beside the blobs.

    {root}/blobs/index/md5/0d/0d97....json          {"sha256", "size"}: which bytes a published digest means
    {root}/blobs/index/first_use/1f/1f0e....json    the same for a file without one: which bytes it was first seen with

An entry is a claim about the store, not the store: whether the bytes are there is asked of `blobs`. Belongs here:
reading, writing and doubting entries. Does not belong here: the bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import fsspec

from cm4ai_assets.errors import DigestMismatchError
from cm4ai_assets.storage.digests import ALGORITHMS
from cm4ai_assets.storage.placing import create_bytes, files_at, place_bytes

_log = logging.getLogger(__name__)

_DIGEST = re.compile("[0-9a-f]{64}")
_FOLDER, _FIRST_USE = "blobs/index", "first_use"
_REMEDY = "Materialize what reads the file: it is fetched again, and the entry is written anew."


@dataclass(frozen=True)
class Blob:
    """Stored bytes: our digest, and their size."""

    sha256: str
    size: int


class BlobIndex:
    """The index of one blob store; see `blobs.BlobStore` for the arguments."""

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs, self._root = fs, root

    def meant_by(self, digest_type: str, digest: str) -> Blob | None:
        """The bytes that a digest means; None if no entry says."""
        return self._read(_path(ALGORITHMS[digest_type], digest.lower()))

    def note(self, digest_type: str, digest: str, blob: Blob) -> None:
        """Record what a digest means."""
        self._write(_path(ALGORITHMS[digest_type], digest.lower()), blob)

    def first_use(self, identity: str) -> Blob | None:
        """What a file without a published digest consisted of when it was first stored, stored still or not."""
        return self._read(_path(_FIRST_USE, _named(identity)))

    def first_uses(self, identities: Iterable[str]) -> dict[str, Blob]:
        """Those of many files without a published digest that were ever stored, by one listing."""
        there = {path.rsplit("/", 1)[-1] for path in self._find(f"{_FOLDER}/{_FIRST_USE}")}
        hits = [one for one in identities if f"{_named(one)}.json" in there]
        return {one: blob for one in hits if (blob := self.first_use(one))}

    def note_first_use(self, identity: str, blob: Blob, *, locks: Path) -> None:
        """Remember what a file without a published digest consists of, to hold later bytes against.

        Args:
            identity: What stands for the file.
            blob: Its bytes.
            locks: Local folder; see `placing.create_bytes`.

        Raises:
            DigestMismatchError: Another process remembered other bytes a moment before: the first ones count.
        """
        path = _path(_FIRST_USE, _named(identity))
        try:
            create_bytes(self._fs, _rendered(blob), f"{self._root}/{path}", locks=locks)
        except FileExistsError:
            first = self._read(path)
            if first is None:  # it cannot be read
                self._write(path, blob)
            elif first != blob:
                raise DigestMismatchError(
                    f"{identity} was stored at the same time with other bytes ({first.sha256}).",
                    remedy="Fetch it again: it is held against those that came first.",
                ) from None

    def ever_first_used(self) -> set[str]:
        """SHA-256 of everything that was ever stored without a published digest."""
        noted = (self._read(path) for path in self._find(f"{_FOLDER}/{_FIRST_USE}"))
        return {blob.sha256 for blob in noted if blob is not None}

    def problems(self, stored: Iterable[str], size_of: Callable[[str], int | None]) -> list[str]:
        """Entries that are not what was written, each in a sentence.

        An entry may name bytes that were withdrawn: it still says what they have to be. But every blob that was ever
        stored has an entry under its own digest, which all others agree with.

        Args:
            stored: The digests of the stored blobs.
            size_of: The size of a stored blob; None if it is not stored.
        """
        present = self._find(_FOLDER)
        found = [problem for path in present if (problem := self._problem(path, size_of)) is not None]
        lost = sorted({_path("sha256", sha256) for sha256 in stored} - set(present))
        return found + [f"{path} is missing. {_REMEDY}" for path in lost]

    def _problem(self, path: str, size_of: Callable[[str], int | None]) -> str | None:
        blob = self._read(path)
        if blob is None or not _DIGEST.fullmatch(blob.sha256):
            return f"{path} cannot be read. {_REMEDY}"
        name = path.rsplit("/", 1)[-1].removesuffix(".json")
        own = self._read(_path("sha256", blob.sha256))
        misnamed = path == _path("sha256", name) and name != blob.sha256
        if misnamed or own != blob or size_of(blob.sha256) not in {None, blob.size}:
            return f"{path} names {blob.size:,} bytes of {blob.sha256}, as nothing else does. {_REMEDY}"
        return None

    def _find(self, folder: str) -> list[str]:
        return [path[len(self._root) + 1 :] for path in files_at(self._fs, f"{self._root}/{folder}")]

    def _read(self, path: str) -> Blob | None:
        try:
            record = json.loads(self._fs.cat_file(f"{self._root}/{path}"))
            return Blob(str(record["sha256"]), int(record["size"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            _log.warning("%s cannot be read and is ignored: %s", path, error)
            return None

    def _write(self, path: str, blob: Blob) -> None:
        place_bytes(self._fs, _rendered(blob), f"{self._root}/{path}")


def _rendered(blob: Blob) -> bytes:
    return json.dumps({"sha256": blob.sha256, "size": blob.size}).encode()


def _path(kind: str, digest: str) -> str:
    return f"{_FOLDER}/{kind}/{digest[:2]}/{digest}.json"


def _named(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()
