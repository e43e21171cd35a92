"""The folder that an export is written to: whose it is, what of it is there, and how a part gets its name.

Belongs here: refusing a folder that holds something else, temporary names, the record that says what is being written.
Does not belong here: what is written (`parts`), and in which order (`making`).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import filelock

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.exports.parts import Part
from cm4ai_assets.lineage.outside import EXPORT_RECORD as RECORD
from cm4ai_assets.storage.disk import fsync_file, typed_disk_errors, write_whole
from cm4ai_assets.storage.names import safe_path

_LOCK = ".cm4ai-export.lock"
_PARTIAL = ".cm4ai-partial-"
_OWN = (_PARTIAL, _LOCK, f".{RECORD}.")
# A larger file is on the disk before it has its name. To sync each of 50,000 images takes longer than to write them;
# what a power cut leaves of those is an empty file, which counts as absent.
_SYNCED = 4 * 1024 * 1024


class ExportFolder:
    """A folder that holds one export and nothing else. Use it in a `with` statement.

    Args:
        path: The folder; made if it is missing.
        identity: What the export is; see `Plan.identity`.
        named_by: The word of the command that names the folder.

    Raises:
        ConfigurationError: The folder holds something else or another export, or a process writes to it.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, named_by: str = "--output") -> None:
        self.path = path
        self._named_by = named_by
        self._remedy = f"{named_by} must name a folder that can be written."
        self._identity = json.loads(json.dumps(identity))  # as it will be read again
        self._lock = filelock.FileLock(path / _LOCK, timeout=0)
        self._there: dict[str, int] = {}

    def __enter__(self) -> Self:
        with typed_disk_errors(self.path, remedy=self._remedy):
            if self.path.exists() and not self.path.is_dir():
                raise ConfigurationError(
                    f"{self.path} is a file.", remedy=f"Name another folder with {self._named_by}."
                )
            self._refuse_strangers()
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except filelock.Timeout:
                raise ConfigurationError(
                    f"Another process writes an export to {self.path}.", remedy="Wait for it, or stop it."
                ) from None
            for entry in self.path.glob(f"{_PARTIAL}*"):  # what an export that was killed left half written
                _remove(entry)
            self._there = _listed(self.path)
            if RECORD not in self._there:
                self.record({}, complete=False)
        return self

    def __exit__(self, *_: object) -> None:
        # Before the release: after it, the name may be that of the next one's lock.
        (self.path / _LOCK).unlink(missing_ok=True)
        self._lock.release()

    def has(self, part: Part) -> bool:
        """The part stands under its name, at its size where that is known, with all of its files."""
        size = self._there.get(part.name)
        files = (self._there.get(f"{part.name}/{name}") for name in part.files)
        return bool(size) and part.size in {None, size} and all(files)

    @contextmanager
    def writing(self, part: Part) -> Iterator[Path]:
        """A temporary path to write a part to. It gets the part's name at the end, and is gone if that is not reached.

        Raises:
            UnsafePathError: The name would leave the folder.
        """
        target = self.path / _checked(part.name)
        partial = self.path / f"{_PARTIAL}{secrets.token_hex(8)}"
        with typed_disk_errors(self.path, remedy=self._remedy):
            try:
                yield partial
                for path in (partial, *partial.rglob("*")):
                    if path.is_file() and path.stat().st_size >= _SYNCED:
                        fsync_file(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir():  # a folder of which something was taken away
                    shutil.rmtree(target)
                partial.replace(target)
            finally:
                _remove(partial)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file of the export, whole, whatever stood there."""
        with typed_disk_errors(self.path, remedy=self._remedy):
            write_whole(self.path / _checked(name), data)

    def record(self, content: Mapping[str, Any], *, complete: bool) -> None:
        """Write what the folder holds."""
        stated = {"complete": complete, **content, "identity": self._identity}
        self.put(RECORD, (json.dumps(stated, indent=1, ensure_ascii=False) + "\n").encode())

    def _refuse_strangers(self) -> None:
        held = [entry.name for entry in self.path.iterdir()] if self.path.exists() else []
        held = sorted(name for name in held if not name.startswith(_OWN))
        if not held:
            return
        recorded = self._recorded()
        if recorded is None:
            raise ConfigurationError(
                f"{self.path} holds something that is no export ({held[0]}).",
                remedy=f"Nothing was written. Name a new or an empty folder with {self._named_by}.",
            )
        if differing := _differing(recorded, self._identity):
            raise ConfigurationError(
                f"{self.path} holds another export: {differing}.",
                remedy=f"Nothing was written. Name another folder with {self._named_by}, or remove that one.",
            )

    def _recorded(self) -> dict[str, Any] | None:
        try:
            recorded = json.loads((self.path / RECORD).read_bytes())["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return recorded if isinstance(recorded, dict) else None


def _listed(root: Path) -> dict[str, int]:
    """Every file and folder, as paths with `/`, with its size.

    A folder's is that of the smallest file in it, however deep: 0 if one is empty, or a folder is.
    """
    sizes: dict[str, int] = {}
    for folder, folders, names in os.walk(root, topdown=False):
        place = Path(folder).relative_to(root)
        sizes |= {(place / name).as_posix(): (root / place / name).stat().st_size for name in names}
        inside = ((place / name).as_posix() for name in (*folders, *names))
        sizes[place.as_posix()] = min((sizes.get(path, 0) for path in inside), default=0)
    return sizes


def _checked(name: str) -> str:
    directory, _, label = name.rpartition("/")
    return safe_path(directory, label)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _differing(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """What differs, in words; empty if nothing does."""
    keys = [key for key in {**recorded, **asked} if recorded.get(key) != asked.get(key)]
    return "; ".join(f"{key} is {_brief(recorded.get(key))}, not {_brief(asked.get(key))}" for key in keys[:3])


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004
