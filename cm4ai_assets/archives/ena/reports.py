"""What the sequence archives say of a run, in one form: its files with sizes and digests, and what it is of.

Belongs here: the form, and lists that are joined by semicolons. Does not belong here: asking (`ena`, `ncbi`), and what
the crates of a release say of runs (`perturbseq.runs`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from cm4ai_assets.transfer.origins import is_loopback_http

KINDS = ("submitted", "fastq", "sra")
"""Kinds of files of a run, the better one first. Barcode and index reads of 10x libraries may be absent from files that
an archive converted (protocol reference, 5), so what was submitted comes first."""

_MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class RunFile:
    """A file of a run: where it is, and its size and MD5 as published; None where that is not stated."""

    kind: str
    name: str
    url: str
    size: int | None
    md5: str | None


@dataclass(frozen=True)
class RunReport:
    """What one archive says of one run.

    Attributes:
        run: Accession.
        archive: "ena" or "ncbi".
        experiment: Accession of the experiment; empty where not stated.
        sample: Accession of the sample.
        names: Texts that may name the library or the sample.
        strategy: Library strategy, as stated.
        layout: Library layout, as stated.
        spots: Number of spots; None where not stated.
        bases: Number of bases; None where not stated.
        public_since: The day it became public; None where not stated.
        files: Its files, of every kind that has some.
        defects: What is wrong with the report (`tables.perturbseq.RUN_DEFECTS`).
    """

    run: str
    archive: str
    experiment: str = ""
    sample: str = ""
    names: tuple[str, ...] = ()
    strategy: str = ""
    layout: str = ""
    spots: int | None = None
    bases: int | None = None
    public_since: date | None = None
    files: tuple[RunFile, ...] = ()
    defects: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[RunFile, ...]:
        """The files of the best kind that it has."""
        return next((own for kind in KINDS if (own := tuple(f for f in self.files if f.kind == kind))), ())


def files_of(row: Mapping[str, str], kind: str, *, base: str) -> tuple[tuple[RunFile, ...], str | None]:
    """The files of one kind in a row of a file report, and the defect that kept them out.

    Args:
        row: Field to text; `{kind}_ftp`, `{kind}_bytes` and `{kind}_md5` are lists joined by semicolons.
        kind: One of `KINDS`.
        base: Base URL of the archive; addresses without a scheme get that of their archive.
    """
    urls, sizes, digests = (_list(row.get(f"{kind}_{what}")) for what in ("ftp", "bytes", "md5"))
    if not urls:
        return (), None
    if not len(urls) == len(sizes) == len(digests) or not all(urls):
        return (), "unequal_lists"
    found = []
    for url, size, digest in zip(urls, sizes, digests, strict=True):
        if not size.isdecimal() or not _MD5.fullmatch(digest.lower()):
            return (), "illegible_list"
        found.append(RunFile(kind, url.rsplit("/", 1)[-1], address(url, base=base), int(size), digest.lower()))
    return tuple(found), None


def address(text: str, *, base: str) -> str:
    """The address by HTTPS of what an archive states without a scheme, or with that of FTP.

    >>> address("ftp.sra.ebi.ac.uk/vol1/srr/SRR310/081/SRR31012081", base="https://www.ebi.ac.uk")
    'https://ftp.sra.ebi.ac.uk/vol1/srr/SRR310/081/SRR31012081'
    """
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() not in {"ftp", "http", "https"}:
        return text
    bare = rest if mark else text
    testing = is_loopback_http(base) and is_loopback_http(f"http://{bare}")
    return f"{'http' if testing else 'https'}://{bare}"


def whole_number(text: str | None) -> int | None:
    """A number as the archives write it, as text; None where it is none."""
    stripped = (text or "").strip()
    return int(stripped) if stripped.isdecimal() and len(stripped) < 19 else None  # noqa: PLR2004 - below 2^63


def day_in(text: str | None) -> date | None:
    """The day that a text begins with; None where it begins with none."""
    try:
        return date.fromisoformat((text or "").strip()[:10])
    except ValueError:
        return None


def _list(text: str | None) -> list[str]:
    return [one.strip() for one in text.split(";")] if text and text.strip() else []
