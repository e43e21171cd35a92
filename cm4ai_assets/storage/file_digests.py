"""The digest of every published file, recorded in storage: damage is found without Dagster, and by any reader.

    registry/sha256/{path of the file or folder}.json

A record stands beside the tables, not among them, so that nobody who scans a folder of tables meets it. It closes with
a digest of its own. Two files cannot be published in one step, so the record is written first and names both contents,
the new one and the one before; once the file is published it names the new one alone. A crash between leaves a record
that holds whichever of the two stands.

Belongs here: writing and reading records, and holding files against them. Does not belong here: publishing (`store`),
blobs, whose names are digests (`blobs`), and documents, which list their own (`documents`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.storage.closed import closed, content_of
from cm4ai_assets.storage.digests import BLOCK
from cm4ai_assets.storage.layout import file_digests_path
from cm4ai_assets.storage.placing import file_version, files_at, is_s3, place_bytes, replace_bytes

_SHOWN = 5
_SMALL = 8 * BLOCK
_MOST_LOOKS = 20


@dataclass(frozen=True)
class FileDigest:
    """One file: its SHA-256 and its bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, read: Callable[[int], bytes]) -> FileDigest:
        """That of an open file, by its `read`."""
        digest, size = hashlib.sha256(), 0
        while block := read(BLOCK):
            digest.update(block)
            size += len(block)
        return cls(digest.hexdigest(), size)


Files = Mapping[str, FileDigest]
"""Name within a folder to digest; a single file has the name "". Empty: nothing stands there."""


@dataclass(frozen=True)
class Recorded:
    """What was published under a path; `before` is what else may stand there if the publication was interrupted."""

    files: Files
    before: Files | None = None


@dataclass
class Publication:
    """How a publication went: `placed` is False where another process's files were there first and are kept."""

    placed: bool = True


class RecordDamagedError(StoredBytesDamagedError):
    """A record of digests that is not what was written. What it is about may be whole."""


class FileDigests:
    """The records of one storage.

    Args:
        fs: Filesystem of the storage.
        root: Storage root on that filesystem.
    """

    def __init__(self, fs: fsspec.AbstractFileSystem, root: str) -> None:
        self._fs, self._root = fs, root

    @contextmanager
    def publishing(self, target: str, staged: Path | Files) -> Iterator[Publication]:
        """Record what is staged around its publication, which is the block's business.

        Args:
            target: Where it will stand, relative to the storage root.
            staged: The file or folder, or what is in it, where others have written it.
        """
        files = staged_files(staged) if isinstance(staged, Path) else staged
        known, publication = self._known(target), Publication()
        if known == Recorded(files):
            yield publication  # the same again; what stands there may be damaged
            return
        if known is None or known.before is not None:
            before = self.present(target, is_file=set(files) == {""})
        else:
            before = known.files
        begun = Recorded(files, before)
        version = self._write(target, begun)
        yield publication
        if publication.placed and self._replaced(target, begun, Recorded(files), version):
            return
        self._settle(target, begun)

    def _replaced(self, target: str, begun: Recorded, final: Recorded, version: str | None) -> bool:
        """Replace the record that was begun, if it still stands: another process may have begun its own meanwhile."""
        if version is None and self._known(target) != begun:
            return False
        return replace_bytes(self._fs, _rendered(final), self._full(file_digests_path(target)), version=version)

    def _settle(self, target: str, begun: Recorded) -> None:
        """Record what stands, after another process published the same path at the same time: only a look tells it.

        What the other has begun and not yet placed stays in the record, which it is about to replace.
        """
        path = self._full(file_digests_path(target))
        for _ in range(_MOST_LOOKS):
            version, known, stands = file_version(self._fs, path), self._known(target), self.present(target)
            is_pending = known is not None and known.before is not None and known != begun and known.files != stands
            settled = Recorded(known.files, stands) if known is not None and is_pending else Recorded(stands)
            if settled == known or replace_bytes(self._fs, _rendered(settled), path, version=version):
                return

    def note(self, target: str, data: bytes) -> None:
        """Record a file that was created with these bytes, and that nothing ever replaces."""
        self._write(target, Recorded({"": FileDigest(hashlib.sha256(data).hexdigest(), len(data))}))

    def read(self, target: str) -> Recorded | None:
        """What was recorded of a path; None if it was published before digests were recorded, or never.

        Raises:
            RecordDamagedError: The record is not what was written.
        """
        path = file_digests_path(target)
        try:
            data = self._fs.cat_file(self._full(path))
        except FileNotFoundError:
            return None
        try:
            return _parsed(data)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecordDamagedError(
                f"{path}, the record of digests, was altered after it was written.",
                remedy=f"Run `cm4ai withdraw {target}`, then materialize it again.",
            ) from None

    def damage(self, target: str, *, only: Iterable[str] | None = None) -> list[str]:
        """What of a published file or folder is missing, altered or foreign, by reading it; empty if nothing is.

        Args:
            target: Its path, relative to the storage root.
            only: Names of the files to read, where not all of them matter. Foreign files are then not looked for.

        Raises:
            RecordDamagedError: There is no telling.
        """
        recorded = self.read(target)
        if recorded is None:
            return []
        actual = self.present(target, only, is_file=set(recorded.files) == {""})
        ways = [
            _differences(wanted, actual, only) for wanted in (recorded.files, recorded.before) if wanted is not None
        ]
        return min(ways, key=len)

    def hold(self, target: str, data: bytes | None = None) -> None:
        """See that a published file is what was published; without `data`, its bytes, it is read.

        Raises:
            StoredBytesDamagedError: It is not.
        """
        recorded = self.read(target)
        if recorded is None:
            return
        if data is None:
            problems = self.damage(target)
        else:
            held = {"": FileDigest(hashlib.sha256(data).hexdigest(), len(data))}
            problems = [] if held in (recorded.files, recorded.before) else ["was altered"]
        if problems:
            raise StoredBytesDamagedError(
                f"{target} is not what was published: it {summary(problems)}.",
                remedy=f"Nothing is made of it. Run `cm4ai withdraw {target}`, then materialize it again.",
            )

    def present(self, target: str, only: Iterable[str] | None = None, *, is_file: bool = False) -> Files:
        """The digests of what stands under a path now, by reading it; empty if nothing does.

        Args:
            target: Its path, relative to the storage root.
            only: Names of the files to read, where not all of them matter.
            is_file: It is known to be one file, if anything: no listing is needed.
        """
        full = self._full(target)
        with suppress(FileNotFoundError):
            if is_file:
                return {"": self._digest(full)}
            names = [path[len(full) :].lstrip("/") for path in files_at(self._fs, full)]
            wanted = set(names if only is None else only) & set(names)
            return {name: self._digest(f"{full}/{name}".rstrip("/")) for name in sorted(wanted)}
        return {}

    def forget(self, target: str) -> None:
        """Remove the record of something that was removed."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._full(file_digests_path(target)))

    def _digest(self, full: str) -> FileDigest:
        if is_s3(self._fs):  # what one request can bring needs no other that asks how much it is
            data = self._fs.cat_file(full, start=0, end=_SMALL)
            if len(data) < _SMALL:
                return FileDigest.of(io.BytesIO(data).read)
        with self._fs.open(full, "rb", block_size=8 * BLOCK) as file:
            return FileDigest.of(file.read)

    def _known(self, target: str) -> Recorded | None:
        try:
            return self.read(target)
        except RecordDamagedError:
            return None

    def _write(self, target: str, recorded: Recorded) -> str | None:
        return place_bytes(self._fs, _rendered(recorded), self._full(file_digests_path(target)))

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"


def summary(problems: list[str]) -> str:
    """The first problems in a phrase, and how many more there are."""
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more


def staged_files(path: Path, *, without: Container[str] = ()) -> Files:
    """The digests of a local file, or of the files of a local folder but some, by reading them."""
    found = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    digests = {}
    for one in found:
        name = "" if one == path else one.relative_to(path).as_posix()
        if name not in without:
            with one.open("rb", buffering=0) as file:
                digests[name] = FileDigest.of(file.read)
    return digests


def _differences(wanted: Files, actual: Files, only: Iterable[str] | None) -> list[str]:
    names = sorted({*wanted, *actual} if only is None else set(only))
    return [
        f"{name} {fault}".strip() for name in names if (fault := _fault(wanted.get(name), actual.get(name))) is not None
    ]


def _fault(wanted: FileDigest | None, actual: FileDigest | None) -> str | None:
    if wanted == actual:
        return None
    if wanted is None:
        return "was not published"
    if actual is None:
        return "is missing"
    if wanted.size != actual.size:
        return f"was altered: {actual.size:,} bytes instead of {wanted.size:,}"
    return "was altered: its bytes do not have their digest"


def _rendered(recorded: Recorded) -> bytes:
    content = json.dumps(
        {"files": _listed(recorded.files), "before": None if recorded.before is None else _listed(recorded.before)},
        indent=0,
        sort_keys=True,
    )
    return closed(content)


def _listed(files: Files) -> dict[str, list[object]]:
    return {name: [file.sha256, file.size] for name, file in files.items()}


def _parsed(data: bytes) -> Recorded:
    stated = json.loads(content_of(data))
    before = stated["before"]
    return Recorded(_files(stated["files"]), None if before is None else _files(before))


def _files(listed: Mapping[str, Any]) -> Files:
    return {name: FileDigest(str(sha256), int(size)) for name, (sha256, size) in listed.items()}
