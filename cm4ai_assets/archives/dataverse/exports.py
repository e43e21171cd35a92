"""A lock in the forms that other tools read, and as a folder of files.

A file whose published name must not become a path stands under another (`storage.names.safe_names`) in all of them.
Belongs here: SHA256SUMS and MD5SUMS, a pooch registry, aria2 input, Metalink, BagIt's fetch.txt, and the tree of a
release linked to its stored bytes. Does not belong here: Croissant and RO-Crate, which describe more than files.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.names import safe_names

METALINK = "urn:ietf:params:xml:ns:metalink"


def download_url(file: LockedFile, archive: str) -> str:
    """Where anybody fetches the locked bytes from: the original, where the archive keeps a tabular derivative."""
    return f"{archive}/api/access/datafile/{file.file_id}{'?format=original' if file.is_ingested else ''}"


def published_sums(files: Sequence[LockedFile], digest_type: str) -> str:
    """What `md5sum -c`, `sha1sum -c` and their like read: the published digests of one kind."""
    return _sums(files, lambda file: file.digest if file.digest_type == digest_type else None, "not published")


def sha256_sums(files: Sequence[LockedFile], blobs: BlobStore) -> str:
    """What `sha256sum -c` reads: our own digests, of the files that are stored."""

    def digest(file: LockedFile) -> str | None:
        blob = stored_blob(file, blobs)
        return blob.sha256 if blob else None

    return _sums(files, digest, "not stored")


def _sums(files: Sequence[LockedFile], digest_of: Callable[[LockedFile], str | None], missing: str) -> str:
    lines, paths = [], _paths(files)
    for file in files:
        digest, path = digest_of(file), paths[file.file_id]
        lines.append(f"{digest}  {path}\n" if digest else f"# {missing}: {path}\n")
    return "".join(lines)


def pooch_registry(files: Sequence[LockedFile], archive: str) -> str:
    """A registry for `pooch.Pooch.load_registry`: path, digest, URL. Files without a digest stand as comments."""
    lines, paths = [], _paths(files)
    for file in _public(files):
        path = shlex.quote(paths[file.file_id])
        if file.digest_type and file.digest:
            kind = file.digest_type.lower().replace("-", "")
            lines.append(f"{path} {kind}:{file.digest} {download_url(file, archive)}\n")
        else:
            lines.append(f"# no digest is published: {path} {download_url(file, archive)}\n")
    return "".join(lines)


def aria2_input(files: Sequence[LockedFile], archive: str) -> str:
    """An input file for `aria2c --input-file`, which resumes and verifies."""
    entries, paths = [], _paths(files)
    for file in _public(files):
        entry = f"{download_url(file, archive)}\n  out={paths[file.file_id]}\n"
        if file.digest_type and file.digest:
            entry += f"  checksum={_hash_name(file.digest_type)}={file.digest}\n"
        entries.append(entry)
    return "".join(entries)


def metalink(files: Sequence[LockedFile], archive: str) -> str:
    """A Metalink document (RFC 5854): names, sizes, digests and URLs."""
    ET.register_namespace("", METALINK)
    root, paths = ET.Element(f"{{{METALINK}}}metalink"), _paths(files)
    for file in _public(files):
        entry = ET.SubElement(root, f"{{{METALINK}}}file", name=paths[file.file_id])
        if file.size is not None:
            ET.SubElement(entry, f"{{{METALINK}}}size").text = str(file.size)
        if file.digest_type and file.digest:
            ET.SubElement(entry, f"{{{METALINK}}}hash", type=_hash_name(file.digest_type)).text = file.digest
        ET.SubElement(entry, f"{{{METALINK}}}url").text = download_url(file, archive)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def bagit_fetch(files: Sequence[LockedFile], archive: str) -> str:
    """The fetch.txt of a BagIt bag (RFC 8493, 2.2.3): URL, size, path below `data` with only % encoded."""
    lines, paths = [], _paths(files)
    for file in _public(files):
        size = "-" if file.size is None else file.size
        lines.append(f"{download_url(file, archive)} {size} data/{paths[file.file_id].replace('%', '%25')}\n")
    return "".join(lines)


def link_tree(files: Sequence[LockedFile], blobs: BlobStore, folder: Path) -> list[LockedFile]:
    """The files of a release under their published names: linked to the stored bytes, or copied where that cannot be.

    Nothing is fetched, and nothing else in the folder is touched.

    Returns:
        The files that are not stored, and so not there.
    """
    paths = _paths(files)
    missing = []
    for file in files:
        blob = stored_blob(file, blobs)
        if blob is None:
            missing.append(file)
            continue
        try:
            blobs.link(blob.sha256, folder / paths[file.file_id])
        except NotMaterializedError:
            missing.append(file)
    return missing


def _paths(files: Sequence[LockedFile]) -> dict[int, str]:
    """The path of each file in an export: of all files of a release, so that a part of it is named as the whole is."""
    return safe_names([(file.file_id, file.directory, file.label) for file in files])


def _public(files: Sequence[LockedFile]) -> list[LockedFile]:
    return [file for file in files if file.access == "public"]


def _hash_name(digest_type: str) -> str:
    """As IANA names hash functions, which both aria2 and Metalink follow: md5, sha-1, sha-256, sha-512."""
    return digest_type.lower()
