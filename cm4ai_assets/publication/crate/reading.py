"""The files that crates list, read again: what is missing, what was altered.

Belongs here: from crates to paths and digests, and holding bytes against them. Does not belong here: checks of what
crates say (`findings`).
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cm4ai_assets.publication.crate.building import graphs
from cm4ai_assets.publication.crate.terms import METADATA
from cm4ai_assets.storage.digests import BLOCK

Opened = Callable[[str], AbstractContextManager[IO[bytes]]]


@dataclass(frozen=True)
class Listed:
    """A file that a crate lists: which crate, the path below the root, and what is said of it."""

    crate: str
    path: str
    sha256: str
    size: int


def listed(files: Mapping[str, bytes], folder: str = "") -> list[Listed]:
    """Every file that the crates among a document's files list, in order.

    Args:
        files: Name to bytes of the document.
        folder: Where the document stands, relative to the root that paths are relative to.

    Raises:
        ValueError: A crate is no JSON.
    """
    found = []
    for crate, graph in graphs(files).items():
        for entity in graph:
            if "File" in entity["@type"] and "sha256" in entity:
                place = posixpath.join(folder, posixpath.dirname(crate), entity["localPath"])
                size = int(entity["contentSize"])
                found.append(Listed(crate, posixpath.normpath(place), str(entity["sha256"]), size))
    return found


def damaged(folder: Path, root: Path | None = None) -> list[str]:
    """What is missing or altered of the files that the crates in a folder list; empty if nothing is. Reads all of them.

    Args:
        folder: The folder with `ro-crate-metadata.json`.
        root: The folder that all listed files are below; that of the crates, if None.

    Raises:
        FileNotFoundError: There is no crate in the folder.
        ValueError: A crate is no JSON.
    """
    below = (folder if root is None else root).resolve()
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob(METADATA))}
    if METADATA not in files:
        raise FileNotFoundError(f"There is no {METADATA} in {folder}.")
    wanted = listed(files, posixpath.relpath(folder.resolve(), below))
    return list(damage(wanted, lambda path: (below / path).open("rb")))


def damage(wanted: Iterable[Listed], opened: Opened) -> Iterator[str]:
    """One sentence for each file that is missing, altered, or beyond the root."""
    for one in wanted:
        if one.path.startswith(("..", "/")):
            yield f"{one.path} is not below the folder that the crates are about ({one.crate})"
            continue
        try:
            with opened(one.path) as file:
                found = _digest(file)
        except FileNotFoundError:
            yield f"{one.path} is missing ({one.crate})"
            continue
        if found != (one.sha256, one.size):
            yield f"{one.path} was altered: SHA-256 {found[0]}, not {one.sha256} ({one.crate})"


def _digest(file: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := file.read(BLOCK):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size
