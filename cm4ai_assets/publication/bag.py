"""BagIt (RFC 8493) around a payload: the tag files, and holding a bag against its manifest.

Belongs here: the form. Does not belong here: what the payload is (`folder`). A library would read every file once more
to write the manifest; here the digests are known, and each file was held against its own as it was copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from cm4ai_assets.lineage.outside import BAG, PAYLOAD
from cm4ai_assets.storage.disk import typed_disk_errors
from cm4ai_assets.storage.file_digests import FileDigest

MANIFEST = "manifest-sha256.txt"
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_WIDTH = 79


def manifest(files: Mapping[str, FileDigest]) -> bytes:
    """`manifest-sha256.txt`: payload path (with `data/`) to digest."""
    return "".join(f"{files[name].sha256}  {_escaped(name)}\n" for name in sorted(files)).encode()


def tag_files(files: Mapping[str, FileDigest], stated: Mapping[str, str]) -> dict[str, bytes]:
    """The tag files of a bag: name to bytes, the manifest of the tag files last.

    Args:
        files: Payload path (with `data/`) to digest and size.
        stated: What `bag-info.txt` says, beside the count of bytes and files.
    """
    oxum = f"{sum(file.size for file in files.values())}.{len(files)}"
    info = "".join(_folded(key, text) for key, text in {**stated, "Payload-Oxum": oxum}.items())
    tags = {BAG: _DECLARATION, "bag-info.txt": info.encode(), MANIFEST: manifest(files)}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(tags.items()))
    return {**tags, "tagmanifest-sha256.txt": sums.encode()}


def damage(bag: Path, files: Mapping[str, FileDigest], tick: Callable[[int], None] = lambda _: None) -> list[str]:
    """What of a payload is missing, altered or foreign, by reading all of it; empty if nothing is.

    Args:
        bag: The folder of the bag.
        files: See `tag_files`.
        tick: Called with the bytes of each file that was read.
    """
    with typed_disk_errors(bag):
        there = {path.relative_to(bag).as_posix() for path in (bag / PAYLOAD).rglob("*") if path.is_file()}
        problems = [f"{name} is missing" for name in sorted(files.keys() - there)]
        problems += [f"{name} does not belong to it" for name in sorted(there - files.keys())]
        for name in sorted(files.keys() & there):
            with (bag / name).open("rb", buffering=0) as file:
                found = FileDigest.of(file.read)
            if found != files[name]:
                problems.append(f"{name} was altered")
            tick(found.size)
    return problems


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _folded(key: str, text: str) -> str:
    """A line of `bag-info.txt`; a long text goes on in lines that begin with blanks."""
    lines, line = list[str](), f"{key}:"
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH and line.strip() not in {"", f"{key}:"}:
            lines.append(line)
            line = " "
        line = f"{line} {word}"
    return "".join(f"{one}\n" for one in (*lines, line))
