"""Published names as paths: which may be used, and in which form.

Belongs here: the rule for a file's directory and label. Does not belong here: member names in ZIPs (`storage.zips`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cm4ai_assets.errors import UnsafePathError

MAX_NAME = 255
"""Bytes in one path segment: the limit of ext4, XFS, APFS and of NTFS (there in UTF-16 units)."""

MAX_PATH = 4096
"""Bytes in a whole path: PATH_MAX of Linux."""

# Names that Windows keeps for devices, with or without an extension.
_RESERVED = re.compile(r"^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class FileName:
    """Where a published file says that it stands.

    `problem` says why that must not become a path, and is None where it may. A name that may is in NFC; one that may
    not is as it was published.
    """

    directory: str
    label: str
    problem: str | None

    @property
    def path(self) -> str:
        """Directory and label."""
        return f"{self.directory}/{self.label}" if self.directory else self.label


def file_names(published: Sequence[tuple[str | None, str]]) -> list[FileName]:
    """The names of all files of a release, each with what is wrong with it, alone or beside the others.

    One odd name is no reason to do without a release: bytes are stored by content, under no name at all.
    """
    checked = [_checked(directory, label) for directory, label in published]
    twins = _twins([name.path for name in checked])
    return [
        replace(name, directory=directory or "", label=label, problem=name.problem or _would_be_one(twins[index]))
        if index in twins
        else name
        for index, (name, (directory, label)) in enumerate(zip(checked, published, strict=True))
    ]


def _checked(directory: str | None, label: str) -> FileName:
    folder, name = unicodedata.normalize("NFC", directory or ""), unicodedata.normalize("NFC", label)
    if reason := _wrong_with_path(folder, name):
        return FileName(directory or "", label, f"{reason[0].upper()}{reason[1:]}.")
    return FileName(folder, name, None)


def _twins(paths: Sequence[str]) -> dict[int, str]:
    """Positions of paths that would be one file with another, or a file where another needs a folder: that other."""
    by_key: dict[str, list[int]] = {}
    folders: dict[str, int] = {}
    for index, path in enumerate(paths):
        key = _folded(path)
        by_key.setdefault(key, []).append(index)
        parts = key.split("/")
        for depth in range(1, len(parts)):
            folders.setdefault("/".join(parts[:depth]), index)
    found = {one: paths[next(i for i in same if i != one)] for same in by_key.values() if len(same) > 1 for one in same}
    found |= {one: paths[folders[key]] for key in by_key.keys() & folders.keys() for one in by_key[key]}
    return found


def _would_be_one(other: str) -> str:
    return f"It would be one path with {other!r} on some filesystems."


def safe_names(files: Sequence[tuple[int, str, str]]) -> dict[int, str]:
    """A safe path for each file of a release, from its id, directory and label; no two are one path on any filesystem.

    It is the published one where that may be a path, else `renamed/{file id}` with the suffix, if that is a plain one.
    """
    names = file_names([(directory, label) for _, directory, label in files])
    paths: dict[int, str] = {}
    for (number, _, _), name in zip(files, names, strict=True):
        suffix = _SUFFIX.search(name.label)
        paths[number] = name.path if name.problem is None else f"renamed/{number}{suffix[0] if suffix else ''}"
    refuse_collisions(paths.values())
    return paths


def safe_path(directory: str | None, label: str) -> str:
    """The relative POSIX path of a published file, in NFC.

    Raises:
        UnsafePathError: It must not become a path; the message says why.

    >>> safe_path("Images", "a.zip")
    'Images/a.zip'
    """
    directory = unicodedata.normalize("NFC", directory or "")
    label = unicodedata.normalize("NFC", label)
    if reason := _wrong_with_path(directory, label):
        raise _unsafe(directory, label, reason)
    return f"{directory}/{label}" if directory else label


def _wrong_with_path(directory: str, label: str) -> str | None:
    if "/" in label:
        return "its name holds a slash"
    path = f"{directory}/{label}" if directory else label
    if path.startswith("/"):
        return "it is absolute"
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH:
        return f"it is longer than {MAX_PATH} bytes"
    return next((reason for segment in path.split("/") if (reason := _wrong_with(segment))), None)


def _wrong_with(segment: str) -> str | None:
    wrong = {
        f"it has the segment {segment!r}": segment in {"", ".", ".."},
        "it holds a backslash": "\\" in segment,
        "it holds what was no character (U+FFFD)": "\ufffd" in segment,
        "it holds a control character": any(unicodedata.category(char) in {"Cc", "Cs"} for char in segment),
        "it begins with a drive letter": _DRIVE.match(segment) is not None,
        "a segment ends with a dot or a blank, which some systems drop": segment.endswith((".", " ")),
        f"{segment!r} is the name of a device on some systems": _RESERVED.match(segment) is not None,
        f"a segment is longer than {MAX_NAME} bytes": len(segment.encode("utf-8", "surrogatepass")) > MAX_NAME,
    }
    return next((reason for reason, holds in wrong.items() if holds), None)


def refuse_collisions(paths: Iterable[str]) -> None:
    """See that no two paths would be one file, and none both a file and a folder, on any filesystem.

    Some fold case, some fold Unicode forms; a tree that is safe on one must be safe on all.

    Raises:
        UnsafePathError: Two would; the message names both.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = _folded(path)
        if key in files:
            raise _collision(files[key], path)
        files[key] = path
        parts = key.split("/")
        for depth in range(1, len(parts)):
            folders.setdefault("/".join(parts[:depth]), path)
    for key in files.keys() & folders.keys():
        raise _collision(files[key], folders[key])


def _folded(path: str) -> str:
    # Folding can undo normalisation and the other way round, so both are applied until nothing changes (Unicode, 5.18).
    folded = unicodedata.normalize("NFD", path)
    while (again := unicodedata.normalize("NFD", folded.casefold())) != folded:
        folded = again
    return folded


def _unsafe(directory: str, label: str, reason: str) -> UnsafePathError:
    return UnsafePathError(
        f"The published file {label!r} in directory {directory!r} is refused: {reason}.",
        remedy="Nothing was fetched. Report the name to the depositor.",
    )


def _collision(one: str, other: str) -> UnsafePathError:
    return UnsafePathError(
        f"The published files {one!r} and {other!r} would be one path on some filesystems.",
        remedy="Nothing was fetched. Report the names to the depositor.",
    )
