"""A copy of a storage and of the files of its Dagster instance that is whole, made while the UI and readers go on.

Belongs here: what is copied, and in which order. Does not belong here: keeping runs away (`defs.collecting`).

Blobs and stores are the bulk, and nobody changes them: they are copied while runs work (`copy_content`). The rest is
copied while no run does (`copy_rest`): first the records of digests, so that no record is without what it is about,
and at the end the blobs and stores that came since. SQLite's files are copied by SQLite itself.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.addresses import BLOBS
from cm4ai_assets.storage.disk import is_temporary, require_space, typed_disk_errors
from cm4ai_assets.storage.identity import storage_id
from cm4ai_assets.storage.store import Listed, Store

CONTENT: Final = ("tensors", BLOBS)
"""Rooms of which nobody changes a file."""
_REST: Final = (layout.FILE_DIGESTS, layout.DOCUMENTS, layout.TABLES, "registry")
_LEFT_OUT: Final = ("processes",)  # marks of processes, below DAGSTER_HOME


def require_target(store: Store, target: Path) -> None:
    """See that a folder may take the copy of a storage: it is new, empty, or an earlier copy of the same one.

    Raises:
        ConfigurationError: It may not.
    """
    if store.is_local and target.resolve().is_relative_to(Path(store.location("")).resolve()):
        raise ConfigurationError(f"{target} is inside the storage.", remedy="Name a folder elsewhere.")
    if target.is_dir() and any(target.iterdir()):
        earlier = storage_id(Store(str(target), scratch=target))
        if earlier is None or earlier != storage_id(store):
            raise ConfigurationError(
                f"{target} holds something else than an earlier backup of {store.location('')}.",
                remedy="Name a new or empty folder.",
            )


def copy_content(store: Store, target: Path) -> int:
    """Copy the blobs and stores that the copy lacks; how many bytes."""
    return _copy(store, target, CONTENT)


def copy_rest(store: Store, target: Path) -> int:
    """Copy everything else that the copy lacks or has otherwise, then new blobs and stores; how many bytes.

    What is gone from the storage is then removed from the copy. No run may be under way.
    """
    copied = _copy(store, target, _REST) + _copy(store, target, CONTENT)
    for path in sorted(_present(target).keys() - store.listing().keys()):
        (target / path).unlink(missing_ok=True)
    return copied


def _copy(store: Store, target: Path, rooms: Sequence[str]) -> int:
    present, copied = _present(target), 0
    for path, listed in _wanted(store, rooms):
        if present.get(path) != (listed.size, _seconds(listed.written)):
            _copy_file(store, path, listed, target / path)
            copied += listed.size
    return copied


def _wanted(store: Store, rooms: Sequence[str]) -> Iterator[tuple[str, Listed]]:
    for room in rooms:
        yield from ((path, one) for path, one in store.listing(room).items() if not is_temporary(path))


def _present(target: Path) -> dict[str, tuple[int, float | None]]:
    """The files of a copy: bytes, and when the original was written."""
    files = {path.relative_to(target).as_posix(): path.stat() for path in target.rglob("*") if path.is_file()}
    return {name: (state.st_size, _seconds_of(state.st_mtime)) for name, state in files.items()}


def _seconds(written: datetime | None) -> float | None:
    return None if written is None else _seconds_of(written.timestamp())


def _seconds_of(at: float) -> float:
    return round(at, 3)


def _copy_file(store: Store, path: str, listed: Listed, target: Path) -> None:
    """Copy one file so that its name only ever means all of it, with the time at which the original was written."""
    partial = target.with_name(f".{target.name}.new")
    with typed_disk_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        require_space({target.parent: listed.size})
        store.fs.get_file(store.address(path), str(partial))
        if listed.written is not None:
            os.utime(partial, (listed.written.timestamp(), listed.written.timestamp()))
        partial.replace(target)


def copy_home(home: Path, target: Path) -> None:
    """Copy the files of a Dagster instance; its databases as they are at one moment each, whoever writes them.

    An earlier copy is replaced once the new one is whole; interrupted at any moment, one of them stands.
    """
    partial, earlier = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    with typed_disk_errors(target.parent):
        if earlier.exists() and not target.exists():
            earlier.replace(target)
        for left in (partial, earlier):
            shutil.rmtree(left, ignore_errors=True)
        for path in sorted(home.rglob("*")):
            name = path.relative_to(home)
            if path.is_file() and name.parts[0] not in _LEFT_OUT and not _is_passing(path):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                _copy_of_home(path, partial / name)
        if target.exists():
            target.replace(earlier)
        partial.replace(target)
        shutil.rmtree(earlier, ignore_errors=True)


def _is_passing(path: Path) -> bool:
    """A lock, or what SQLite keeps beside a database while it works."""
    return path.suffix == ".lock" or path.name.endswith(("-journal", "-wal", "-shm")) or is_temporary(path.name)


def _copy_of_home(path: Path, target: Path) -> None:
    if path.suffix != ".db":
        shutil.copy2(path, target)
        return
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
