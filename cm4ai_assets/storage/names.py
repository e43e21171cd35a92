"""Published names as paths: which may be used, and in which form.

Belongs here: the rule for a file's directory and label. Does not belong here: member names in ZIPs (`storage.zips`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from cm4ai_assets.errors import UnsafePathError

MAX_NAME = 255
"""Bytes in one path segment: the limit of ext4, XFS, APFS and of NTFS (there in UTF-16 units)."""

MAX_PATH = 4096
"""Bytes in a whole path: PATH_MAX of Linux."""

# Names that Windows keeps for devices, with or without an extension.
_RESERVED = re.compile(r"^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?$", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")


def safe_path(directory: str | None, label: str) -> str:
    """The relative POSIX path of a published file, in NFC.

    Raises:
        UnsafePathError: It must not become a path; the message says why.

    >>> safe_path("Images", "a.zip")
    'Images/a.zip'
    """
    directory = unicodedata.normalize("NFC", directory or "")
    label = unicodedata.normalize("NFC", label)
    if "/" in label:
        raise _unsafe(directory, label, "its name holds a slash")
    path = f"{directory}/{label}" if directory else label
    if path.startswith("/"):
        raise _unsafe(directory, label, "it is absolute")
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH:
        raise _unsafe(directory, label, f"it is longer than {MAX_PATH} bytes")
    for segment in path.split("/"):
        if reason := _wrong_with(segment):
            raise _unsafe(directory, label, reason)
    return path


def _wrong_with(segment: str) -> str | None:
    wrong = {
        f"it has the segment {segment!r}": segment in {"", ".", ".."},
        "it holds a backslash": "\\" in segment,
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
