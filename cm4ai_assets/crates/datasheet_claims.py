"""What the datasheets of a release state about its files, held against the archive's lock.

Belongs here: checks of `release_datasheet` that warn. Does not belong here: how a datasheet deviates from its own
format, which stands in its rows, and what crates claim (`claims`).

The datasheet of June 2025 describes the release as it was for nine days: it lists the ten files of the first page of
the file table, under names that were changed on 31 October 2025. So files are matched by digest first, then by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from cm4ai_assets.crates.claims import Published, Row, finding
from cm4ai_assets.crates.identifiers import normalize_digest
from cm4ai_assets.findings import Finding
from cm4ai_assets.identifiers import is_size, same_doi

_FILE_FIELD = re.compile(
    r"^(?P<item>(?:subsets|distribution|resources|file_collections\[\d+\]\.resources)\[\d+\])"
    r"\.(?P<field>name|path|md5|sha256|hash|bytes|contentSize|format|media_type|encodingFormat)$"
)
_FILE_NAME = re.compile(r"[^\s/]+\.[A-Za-z0-9]{1,6}")
_DIGESTS = {"md5": "MD5", "sha256": "SHA-256"}  # field to the archive's word for it
_CREATIVE_COMMONS = re.compile(
    r"\b(?:cc[ -]|creativecommons\.org/(?:licenses|publicdomain)/)([a-z-]+)[ /-]v?(\d\.\d)", re.IGNORECASE
)
# A format that the end of a name shows, and what else it is called.
_FORMATS = {
    ".html": ("html",),
    ".json": ("json",),
    ".zip": ("zip",),
    ".csv": ("csv", "comma-separated", "tab-separated"),
}


@dataclass(frozen=True)
class Statements:
    """What the checks look at: the datasheets of a release, its lock, and the locks before it, the last one first.

    `sha256` are digests of stored bytes by file id: most archives publish no SHA-256 of their own.
    """

    datasheet: pl.DataFrame
    release: Published
    earlier: Sequence[Published] = ()
    sha256: Mapping[int, str] = field(default_factory=dict)


@dataclass
class ListedFile:
    """A file as a datasheet lists it; `line` is where."""

    source: str
    line: int | None
    said: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str | None:
        """Its path in the release, if one is stated."""
        path = self.said.get("path")
        return None if path is None else re.sub(r"^(?:file://)?(?:\.?/)*", "", path)

    @property
    def name(self) -> str:
        """The last part of its path, or its name."""
        return (self.path or self.said.get("name", "")).rsplit("/", 1)[-1]

    @property
    def names(self) -> list[str]:
        """Every name that is stated of it; one beside a path counts if it is the name of a file and no title."""
        stated = self.said.get("name", "")
        also = stated if _FILE_NAME.fullmatch(stated) else self.name
        return list(dict.fromkeys((self.name, also)))

    def digest(self, kind: str) -> str | None:
        """Its digest of a kind (`md5`, `sha256`), if a well-formed one is stated."""
        texts = (self.said.get(kind, ""), self.said.get("hash", ""))
        return next((digest for text in texts if (digest := normalize_digest(text, kind))), None)

    @property
    def place(self) -> str:
        """Source and line."""
        return self.source if self.line is None else f"{self.source}, line {self.line}"


def listed_files(datasheet: pl.DataFrame) -> dict[str, list[ListedFile]]:
    """The files each source lists, in its order."""
    found: dict[str, dict[str, ListedFile]] = {}
    for row in datasheet.filter(pl.col("topics").list.contains("file")).iter_rows(named=True):
        match = _FILE_FIELD.match(row["field"])
        if match is not None and row["value"] is not None:
            files = found.setdefault(row["source"], {})
            files.setdefault(match["item"], ListedFile(row["source"], row["line"])).said[match["field"]] = row["value"]
    return {source: list(files.values()) for source, files in found.items()}


def datasheet_files(statements: Statements) -> Finding:
    """Datasheets list the files of the release as they are: path, digests, size, format. Protects those that go by one.

    A SHA-256 is compared where the archive publishes it, or the bytes are stored; how many were not is part of the
    summary.
    """
    locked = [_Locked(file, statements.sha256) for file in statements.release.files.iter_rows(named=True)]
    rows: list[Row] = []
    coverage: list[str] = []
    uncompared = 0
    for source, listed in listed_files(statements.datasheet).items():
        matched: set[int] = set()
        for one in listed:
            file = _same(one, locked)
            if file is None:
                rows.append((one.place, one.name, "listed", one.name, "no such file in this release"))
                rows += _malformed_digests(one, one.name)
                continue
            if file.id in matched:
                rows.append((one.place, file.label, "listed", "listed again", f"file {file.id} of the release"))
            matched.add(file.id)
            rows += _file_rows(one, file, statements)
            uncompared += one.digest("sha256") is not None and "sha256" not in file.digests
        missing = [file for file in locked if file.id not in matched]
        rows += [(source, file.label, "listed", "not listed", f"file {file.id} of the release") for file in missing]
        if missing:
            coverage.append(f"{source} lists {len(matched)} of {len(locked)} files")
    summary = "; ".join([*coverage, f"{len(rows)} statements about files do not hold"])
    found = finding("datasheet_files", rows, summary)
    if not uncompared:
        return found
    return replace(found, summary=f"{found.summary}; {uncompared} SHA-256 not compared, since the files are not stored")


class _Locked:
    """A file of the lock as datasheets describe files; `digests` are those that are known, by field."""

    def __init__(self, row: dict[str, Any], sha256: Mapping[int, str]) -> None:
        self.id: int = row["file_id"]
        self.label: str = row["label"]
        self.directory: str = row["directory"] or ""
        self.size: int | None = row["size"]
        self.content_type: str | None = row["content_type"]
        stored = {"sha256": sha256[self.id]} if self.id in sha256 else {}
        self.digests = stored | {kind: row["digest"] for kind, name in _DIGESTS.items() if row["digest_type"] == name}

    @property
    def path(self) -> str:
        """Directory and label."""
        return f"{self.directory}/{self.label}" if self.directory else self.label


def _same(one: ListedFile, locked: Sequence[_Locked]) -> _Locked | None:
    """The file of the release that is listed: of the same bytes, else of the same path, else of the same name."""

    def likeness(file: _Locked) -> tuple[bool, bool, bool]:
        same_bytes = any(one.digest(kind) == digest for kind, digest in file.digests.items())
        return same_bytes, one.path == file.path, file.label in one.names

    best = max(locked, key=likeness, default=None)
    return best if best is not None and any(likeness(best)) else None


def _file_rows(one: ListedFile, file: _Locked, statements: Statements) -> Iterator[Row]:
    """What does not hold of a listed file that the release has."""
    for name in one.names:
        if name != file.label:
            yield one.place, file.label, "name", name, _history(name, file, statements)
    directory = None if one.path is None else one.path.rpartition("/")[0]
    if directory is not None and directory != file.directory:
        yield one.place, file.label, "directory", directory or "none", file.directory or "none"
    for kind, actual in file.digests.items():
        if (stated := one.digest(kind)) is not None and stated != actual:
            yield one.place, file.label, kind, stated, actual
    yield from _malformed_digests(one, file.label)
    size = one.said.get("contentSize", one.said.get("bytes"))
    if size is not None and file.size is not None and not is_size(size, file.size):
        yield one.place, file.label, "size", size, f"{file.size:,}"
    yield from _format_rows(one, file)


def _malformed_digests(one: ListedFile, about: str) -> Iterator[Row]:
    """Digests that are none: shortened ones, placeholders."""
    for kind, name in _DIGESTS.items():
        stated = one.said.get(kind)
        if stated and normalize_digest(stated, kind) is None:
            yield one.place, about, kind, stated, f"no {name}: {len(stated.strip())} characters"


def _format_rows(one: ListedFile, file: _Locked) -> Iterator[Row]:
    formats = next((names for end, names in _FORMATS.items() if file.label.lower().endswith(end)), None)
    for claim in ("format", "media_type", "encodingFormat"):
        stated = one.said.get(claim)
        if stated is not None and formats is not None and not any(name in stated.lower() for name in formats):
            yield one.place, file.label, claim, stated, f"{file.content_type}"


def _history(name: str, file: _Locked, statements: Statements) -> str:
    """Which release had the file under that name, and for how long."""
    later, until = statements.release, _released(statements.release)
    for earlier in statements.earlier:
        same = earlier.files.filter((pl.col("file_id") == file.id) & (pl.col("label") == name))
        since = _released(earlier)
        if not same.is_empty():
            days = f", for {(until - since).days} days" if since is not None and until is not None else ""
            return f"{file.label}; so named in {earlier.name}{days}, until {later.name}"
        later, until = earlier, since
    return f"{file.label}; so named in no known release"


def _released(published: Published) -> datetime | None:
    return None if published.record is None else published.record.released


def datasheet_version(statements: Statements) -> Finding:
    """Datasheets describe this version. Protects from reading about another version of the same dataset."""
    expected = statements.release.version

    def is_current(stated: str, kind: str) -> bool:
        # The landing page's JSON-LD up to Dataverse 6.8 states the major number alone.
        return stated == expected or (kind == "landing_page" and stated == expected.split(".")[0])

    rows = [
        (_place(row), row["field"], "version", row["value"], expected)
        for row in _on(statements, "version").iter_rows(named=True)
        if not is_current(row["value"], row["source_kind"])
    ]
    return finding("datasheet_version", rows, f"{len(rows)} datasheets state another version")


def datasheet_doi(statements: Statements) -> Finding:
    """Datasheets name the DOI of the release. Protects from citing another one."""
    rows = [
        (_place(row), row["field"], "doi", row["value"], statements.release.doi)
        for row in _on(statements, "doi").iter_rows(named=True)
        if "10." in row["value"] and not same_doi(row["value"], statements.release.doi)
    ]
    return finding("datasheet_doi", rows, f"{len(rows)} datasheets name another DOI")


def datasheet_license(statements: Statements) -> Finding:
    """Datasheets state the licence of the release. Protects from passing data on under another one."""
    expected = license_name(str(statements.release.files["license"].drop_nulls().first() or ""))
    rows: list[Row] = []
    for row in statements.datasheet.filter(pl.col("topics").list.contains("license")).iter_rows(named=True):
        stated = license_name(row["value"] or "")
        if stated is not None and expected is not None and stated != expected:
            rows.append((_place(row), row["field"], "license", stated, expected))
    return finding("datasheet_license", rows, f"{len(rows)} datasheets or crates state another licence")


def license_name(text: str) -> str | None:
    """A Creative Commons licence in its short form, from a name or a URL; None for anything else.

    >>> license_name("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.en")
    'CC BY-NC-SA 4.0'
    """
    match = _CREATIVE_COMMONS.search(text)
    if match is None:
        return "CC0 1.0" if re.search(r"\bCC0\b", text) else None
    name = "CC0" if match[1].lower() in ("zero", "0") else f"CC {match[1].upper()}"
    return f"{name} {match[2]}"


def _on(statements: Statements, topic: str) -> pl.DataFrame:
    """What is stated on a topic, but by crates, which `claims` holds against the lock."""
    about = pl.col("topics").list.contains(topic) & pl.col("value").is_not_null()
    return statements.datasheet.filter(about & (pl.col("source_kind") != "crate_root"))


def _place(row: dict[str, object]) -> str:
    return str(row["source"]) if row["line"] is None else f"{row['source']}, line {row['line']}"


CHECKS: tuple[Callable[[Statements], Finding], ...] = (
    datasheet_files, datasheet_version, datasheet_doi, datasheet_license,
)  # fmt: skip


def contradictions(statements: Statements) -> list[Finding]:
    """What every check says."""
    return [check(statements) for check in CHECKS]
