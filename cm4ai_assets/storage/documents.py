"""Documents: a folder of files that belong together, published as one.

    documents/{asset}/release=…/CURRENT           which version is published, with the digest of each of its files
    documents/{asset}/release=…/{version}/...     the files; the version is the beginning of their common digest

No filesystem replaces a folder in one step, and an object store has no folders. So each version stands in a folder of
its own, and one small file is replaced, as a table's file is: before that readers see all of the old version, after it
all of the new one. The version before stays until the next switch, for those who are reading it.

Belongs here: a document's versions, whether its files are sound, publishing and opening it. Does not belong here: what
a document says, and the gate that holds it back (`defs.publishing`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cm4ai_assets.errors import DocumentError
from cm4ai_assets.storage.digests import listing_digest
from cm4ai_assets.storage.layout import CURRENT, Partition, document_folder
from cm4ai_assets.storage.placing import is_young
from cm4ai_assets.tables import Document

if TYPE_CHECKING:
    from cm4ai_assets.storage.store import Store

_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)
_VERSION_DIGITS = 16
_REMEDY = "Materialize it again."
_GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class DocumentFile:
    """One file of a document: bytes, and their digest."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> DocumentFile:
        """The file that consists of these bytes."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class StagedDocument:
    """A document's files, written and not yet published. What is audited here are the files that will be published."""

    document: Document
    partition: Partition
    folder: Path

    def contents(self) -> dict[str, bytes]:
        """Name to bytes, as a reader of the files will see them; sorted by name."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in sorted(found)}

    def problems(self) -> list[str]:
        """Every way in which the files are not a sound document; see `problems_of`."""
        return problems_of(self.document, self.contents())

    def digest(self) -> str:
        """SHA-256 over names and digests: equal digests, equal documents."""
        return _digest({name: DocumentFile.of(data) for name, data in self.contents().items()})


@dataclass(frozen=True)
class PublishedDocument:
    """A published version of a document.

    Attributes:
        entry: The file to open, relative to the storage root.
        folder: The folder of this version, relative to the storage root.
        files: Name within the folder to size and digest.
        digest: See `StagedDocument.digest`.
    """

    entry: str
    folder: str
    files: Mapping[str, DocumentFile]
    digest: str


def stage(document: Document, partition: Partition, files: Mapping[str, bytes], folder: Path) -> StagedDocument:
    """Write a document's files into an empty folder.

    Raises:
        DocumentError: A name that is not a plain relative path.
    """
    for name, data in files.items():
        if not _NAME.fullmatch(name) or name == CURRENT:
            raise DocumentError(f"{document.name} cannot have a file {name!r}: letters, digits and . _ - / only.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return StagedDocument(document, partition, folder)


def publish(store: Store, staged: StagedDocument) -> PublishedDocument:
    """Switch a document to its staged version, in one step; the version that is now published.

    Raises:
        DocumentError: Another run published at the same time and took away what this one had uploaded.
    """
    base, digest = document_folder(staged.document, staged.partition), staged.digest()
    version = digest[:_VERSION_DIGITS]
    files = {name: DocumentFile.of(data) for name, data in staged.contents().items()}
    before = _version_of(store, base)
    folder = f"{base}/{version}"
    if not _is_whole(store, folder, files):
        if store.is_local:
            store.remove(folder)  # what damage has left
        store.staging.publish_tree(staged.folder, folder, last=staged.document.entry)
        if not _is_whole(store, folder, files):
            raise DocumentError(f"{folder} is not what was stored: another run published, too.", remedy=_REMEDY)
    record = {
        "version": version,
        "entry": staged.document.entry,
        "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in files.items()},
    }
    store.staging.publish_bytes(_rendered(record), f"{base}/{CURRENT}")
    _clear(store, base, kept={version, before})
    return PublishedDocument(f"{folder}/{staged.document.entry}", folder, files, digest)


def _clear(store: Store, base: str, *, kept: set[str | None]) -> None:
    """Remove the versions that nobody reads any more.

    On an object store another machine may be publishing: what is young there may be its version, and is left.
    """
    versions: dict[str, str] = {}
    for path in store.find(base):
        versions.setdefault(path.removeprefix(f"{base}/").split("/", 1)[0], path)
    for version, first in versions.items():
        if version != CURRENT and version not in kept and not is_young(store.fs, store.address(first), _GRACE):
            store.remove(f"{base}/{version}")


def read_current(store: Store, base: str) -> PublishedDocument:
    """The published version of the document whose folder is `base`.

    Raises:
        FileNotFoundError: None is published.
        DocumentError: Its record is damaged.
    """
    data = store.read(f"{base}/{CURRENT}")
    try:
        return _published(data, base)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DocumentError(f"{base}/{CURRENT} is damaged: {error!r}.", remedy=_REMEDY) from error


def _published(data: bytes, base: str) -> PublishedDocument:
    """The version that a record names.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is not what was written.
    """
    record = json.loads(data)
    files = {str(n): DocumentFile(int(f["size"]), str(f["sha256"])) for n, f in record["files"].items()}
    digest = _digest(files)
    if record["version"] != digest[:_VERSION_DIGITS] or record["entry"] not in files or _rendered(record) != data:
        raise ValueError("it is not what was written")
    folder = f"{base}/{record['version']}"
    return PublishedDocument(f"{folder}/{record['entry']}", folder, files, digest)


def _rendered(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, indent=1).encode()


def damage(store: Store, published: PublishedDocument) -> list[str]:
    """What of a published document is missing or altered, by reading all of it; empty if nothing is."""
    problems = []
    for name, file in published.files.items():
        try:
            data = store.read(f"{published.folder}/{name}")
        except FileNotFoundError:
            problems.append(f"{name} is missing")
            continue
        if DocumentFile.of(data) != file:
            problems.append(f"{name} was altered after it was published")
    return problems


def problems_of(document: Document, files: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a document's files: no entry, an empty file, broken JSON or HTML, a link to nowhere."""
    problems = [] if document.entry in files else [f"there is no {document.entry}"]
    for name, data in files.items():
        problems += [f"{name}: {problem}" for problem in _file_problems(name, data, files)]
    return problems


def _file_problems(name: str, data: bytes, files: Mapping[str, bytes]) -> list[str]:
    if not data:
        return ["is empty"]
    suffix = name.rsplit(".", 1)[-1].lower()
    try:
        if suffix in {"json", "jsonld"}:
            json.loads(data)
        elif suffix in {"html", "htm"}:
            return _html_problems(name, data.decode(), files)
    except ValueError as error:  # of which malformed JSON and malformed UTF-8 are kinds
        return [f"cannot be read ({error})"]
    return []


def _html_problems(name: str, text: str, files: Mapping[str, bytes]) -> list[str]:
    links = _Links()
    links.feed(text)
    problems = [] if text.lstrip().lower().startswith("<!doctype html") else ["has no <!doctype html>"]
    if "</html>" not in text.lower():
        problems.append("is cut: no </html>")
    folder = Path(name).parent
    targets = {link: (folder / unquote(urlsplit(link).path)).as_posix() for link in links.local}
    return problems + [f"links to {link}, which is not there" for link, to in targets.items() if to not in files]


class _Links(HTMLParser):
    """Collects the links of a page to files beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.local: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's
        links = (value for key, value in attrs if key in {"href", "src"} and value)
        for link in links:
            parts = urlsplit(link)
            if parts.path and not parts.scheme and not parts.netloc and not parts.path.startswith(("/", "../")):
                self.local.append(link)


def _digest(files: Mapping[str, DocumentFile]) -> str:
    return listing_digest({name: file.sha256 for name, file in files.items()})


def _version_of(store: Store, base: str) -> str | None:
    """The folder name of the published version; None if there is none, or it is damaged."""
    try:
        return read_current(store, base).folder.rsplit("/", 1)[-1]
    except (FileNotFoundError, DocumentError):
        return None


def _is_whole(store: Store, folder: str, files: Mapping[str, DocumentFile]) -> bool:
    """The folder holds these files with these bytes, and no others."""
    found = {path.removeprefix(f"{folder}/"): size for path, size in store.sizes(folder).items()}
    return found == {n: file.size for n, file in files.items()} and not damage(
        store, PublishedDocument("", folder, files, "")
    )
