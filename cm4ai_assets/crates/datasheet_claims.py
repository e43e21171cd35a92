"""What the datasheets of a release state about its files, held against the archive's lock.

Belongs here: checks of `release_datasheet` that warn. Does not belong here: how a datasheet deviates from its own
format, which stands in its rows, and what crates claim (`claims`).

The datasheet of June 2025 describes the release as it was for nine days: it lists the ten files of the first page of
the file table, under names that were changed on 31 October 2025. So files are matched by digest first, then by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from cm4ai_assets.crates.claims import Published, Row, finding
from cm4ai_assets.crates.identifiers import normalize_digest
from cm4ai_assets.findings import Finding
from cm4ai_assets.identifiers import same_doi

_FILE_FIELD = re.compile(
    r"^(?P<item>(?:subsets|distribution|resources|file_collections\[\d+\]\.resources)\[\d+\])"
    r"\.(?P<field>name|path|md5|sha256|bytes|contentSize|format|media_type|encodingFormat)$"
)
_CREATIVE_COMMONS = re.compile(
    r"\b(?:cc[ -]|creativecommons\.org/(?:licenses|publicdomain)/)([a-z-]+)[ /-]v?(\d\.\d)", re.IGNORECASE
)
# A format that can be told from the end of a name, and what else it is called.
_FORMATS = {
    ".html": ("html",),
    ".json": ("json",),
    ".zip": ("zip",),
    ".csv": ("csv", "comma-separated", "tab-separated"),
}


@dataclass(frozen=True)
class Statements:
    """What the checks look at: the datasheets of a release, its lock, and the locks before it, the last one first."""

    datasheet: pl.DataFrame
    release: Published
    earlier: Sequence[Published] = ()


@dataclass
class ListedFile:
    """A file as a datasheet lists it; `line` is where."""

    source: str
    line: int | None
    said: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last part of its path, or its name."""
        return self.said.get("path", self.said.get("name", "")).rsplit("/", 1)[-1]

    @property
    def md5(self) -> str | None:
        """Its MD5, if a well-formed one is stated."""
        return normalize_digest(self.said.get("md5", ""), "md5")

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
    """Datasheets list the files of the release. Protects those that go by a datasheet from missing half of the data."""
    locked = list(statements.release.files.iter_rows(named=True))
    rows: list[Row] = []
    told = []
    for source, listed in listed_files(statements.datasheet).items():
        matched: set[int] = set()
        for one in listed:
            file = next((f for f in locked if one.md5 and f["digest"] == one.md5), None)
            file = file or next((f for f in locked if f["label"] == one.name), None)
            if file is None:
                rows.append((one.place, one.name, "listed", one.name, "no such file in this release"))
            else:
                matched.add(file["file_id"])
                rows += _file_rows(one, file, statements)
        missing = [file for file in locked if file["file_id"] not in matched]
        rows += [(source, f["label"], "listed", "not listed", f"file {f['file_id']} of the release") for f in missing]
        if missing:
            told.append(f"{source} lists {len(matched)} of {len(locked)} files")
    return finding("datasheet_files", rows, "; ".join([*told, f"{len(rows)} statements about files do not hold"]))


def _file_rows(one: ListedFile, file: dict[str, object], statements: Statements) -> Iterator[Row]:
    """What does not hold of a listed file that the release has."""
    label, size = str(file["label"]), file["size"]
    if one.name != label:
        yield one.place, label, "name", one.name, _history(one.name, file, statements)
    if one.md5 is not None and file["digest_type"] == "MD5" and one.md5 != file["digest"]:
        yield one.place, label, "md5", one.md5, str(file["digest"])
    stated_size = one.said.get("contentSize", one.said.get("bytes"))
    if stated_size is not None and stated_size.isdecimal() and int(stated_size) != size:
        yield one.place, label, "size", stated_size, f"{size:,}"
    formats = next((names for end, names in _FORMATS.items() if label.lower().endswith(end)), None)
    for claim in ("format", "media_type", "encodingFormat"):
        stated = one.said.get(claim)
        if stated is not None and formats is not None and not any(name in stated.lower() for name in formats):
            yield one.place, label, claim, stated, f"{file['content_type']}"


def _history(name: str, file: dict[str, object], statements: Statements) -> str:
    """Which release had the file under that name, and for how long."""
    later, until = statements.release, _released(statements.release)
    for earlier in statements.earlier:
        same = earlier.files.filter((pl.col("file_id") == file["file_id"]) & (pl.col("label") == name))
        since = _released(earlier)
        if not same.is_empty():
            days = f", for {(until - since).days} days" if since is not None and until is not None else ""
            return f"{file['label']}; so named in {earlier.name}{days}, until {later.name}"
        later, until = earlier, since
    return f"{file['label']}; so named in no known release"


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
