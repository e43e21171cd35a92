"""What a MassIVE deposit holds, as rows: kinds, acquisitions, replaced accessions.

Belongs here: all that follows from paths and sizes alone. Does not belong here: asking anybody (`massive`,
`massive_ftps`), and transferring bytes (`download`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.storage.names import safe_path
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.transfer.errors import ProtocolError

ListedBy = Literal["dataset_cache", "ftps", "crate"]

_ADDRESS = re.compile(rf"^(?P<root>ftp://[^/]+/(?:[^/]+/)*?(?P<accession>{MASSIVE.pattern}))/?(?P<path>.*)$")

# Acquisitions that are folders: Bruker .d; .raw of Waters. Thermo's .raw is a file.
_ACQUISITION = re.compile(r"\.(?:d|raw)$", re.IGNORECASE)
# In this order: the first rule that holds. `collection` is the first part of the path, as MassIVE sorts submissions.
_KINDS: tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (kind, re.compile(f"^(?:{collection})$"), re.compile(f"(?:{name})$", re.IGNORECASE))
    for kind, collection, name in (
        ("raw_run", ".*", r"\.d|\.raw"),
        ("spectra", ".*", r"\.mzml|\.mzxml|\.mgf|\.ms2|\.mzml\.gz"),
        ("sequence_database", ".*", r"\.fasta|\.fa"),
        ("parameters", "ccms_parameters", ".*"),
        ("parameters", ".*", r"params\.xml|parameters\.txt|mqpar\.xml"),
        ("metadata", "metadata|ccms_metadata", ".*"),
        ("quantification", "quant|quantification|ccms_quant", ".*"),
        ("document", "methods", ".*"),
        ("document", ".*", r"\.pdf|\.docx?|readme(?:\.txt|\.md)?"),
        ("search_result", "search|result|ccms_result", ".*"),
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a listing; a folder if its path ends with a slash (only where its members were not listed)."""

    path: str
    size: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class Inventory:
    """The files of one deposit.

    `root` is the folder that MassIVE states for it, "" where nothing states one; `notes` say what did not answer.
    """

    accession: str
    root: str
    entries: tuple[Entry, ...]
    source: ListedBy
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Replacement:
    """A deposit that was published again under a new accession, and how this is known."""

    old: str
    new: str
    evidence: str


REPLACEMENTS = (
    Replacement(
        "MSV000097606",
        "MSV000100676",
        "SEC-MS of KOLF2.1J: named by the June 2025 crate, and by the June 2026 crate (data reference, section 2.2).",
    ),
)


def rows(inventory: Inventory) -> pl.DataFrame:
    """The deposit as rows of `massive_files`, without the partition columns: sorted by path, acquisitions rolled up.

    Raises:
        UnsafePathError: A path must not become one here.
        ProtocolError: A path is listed twice.
    """
    units: dict[str, list[Entry]] = {}
    seen: set[str] = set()
    for entry in inventory.entries:
        path = _checked(entry.path)
        if path in seen:
            raise ProtocolError(f"The listing of {inventory.accession} names {path} twice.", remedy="List it again.")
        seen.add(path)
        units.setdefault(unit_of(path), []).append(entry)
    accession = inventory.accession
    return pl.DataFrame(
        [
            {
                "accession": accession,
                "path": path,
                "name": path.rsplit("/", 1)[-1],
                "collection": path.split("/", 1)[0] if "/" in path else "",
                "kind": kind_of(path),
                "is_folder": (is_folder := members[0].path.rstrip("/") != path or members[0].path.endswith("/")),
                "members": None if is_folder and members[0].path.endswith("/") else len(members),
                "size": None if any(entry.size is None for entry in members) else sum(e.size or 0 for e in members),
                "modified": max((entry.modified for entry in members if entry.modified), default=None),
                "url": f"{inventory.root.rstrip('/')}/{path}" if inventory.root else None,
                "source": inventory.source,
                "replaced_by": replaced_by(accession),
                "replaces": [one.old for one in REPLACEMENTS if one.new == accession],
                "sha256": None,
                "license": None,
            }
            for path, members in sorted(units.items())
        ],
        schema={column.name: column.dtype for column in MASSIVE_FILES.own_columns},
        orient="row",
    )


def kind_of(path: str) -> str:
    """What a file is, by its collection and name.

    >>> kind_of("raw/KOLF2_final/Cardio_Rep1_F07.d")
    'raw_run'
    """
    collection, _, _ = path.partition("/")
    name = path.rsplit("/", 1)[-1]
    for kind, collections, names in _KINDS:
        if collections.search(collection) and names.search(name):
            return kind
    return "other"


def replaced_by(accession: str) -> str | None:
    """The accession that replaces this one; None if it is current, as far as is known."""
    return next((one.new for one in REPLACEMENTS if one.old == accession), None)


def from_addresses(addresses: Iterable[str]) -> list[Inventory]:
    """Inventories from the FTP addresses that a crate states, without sizes; others are passed over.

    The root is the one in the address: it carries a volume (v09, v12) that does not follow from the accession.
    """
    found: dict[tuple[str, str], dict[str, Entry]] = {}
    for address in addresses:
        match = _ADDRESS.match(address.strip())
        if match and match["path"]:
            found.setdefault((match["accession"], match["root"]), {})[match["path"]] = Entry(match["path"])
    return [
        Inventory(accession, root, tuple(entries.values()), "crate") for (accession, root), entries in found.items()
    ]


def differences(one: Inventory, other: Inventory) -> pl.DataFrame:
    """In what two listings of a deposit differ: paths that only one has, and sizes that disagree."""
    left, right = (rows(listing).select("path", "size") for listing in (one, other))
    joined = left.with_columns(pl.lit(value=True).alias("in_one")).join(
        right.with_columns(pl.lit(value=True).alias("in_other")),
        on="path", how="full", coalesce=True, suffix="_other",
    )  # fmt: skip
    difference = (
        pl.when(pl.col("in_other").is_null()).then(pl.lit(f"only in {one.source}"))
        .when(pl.col("in_one").is_null()).then(pl.lit(f"only in {other.source}"))
        .when(pl.col("size") != pl.col("size_other")).then(pl.lit("other size"))
    )  # fmt: skip
    differing = joined.select("path", "size", "size_other", difference.alias("difference"))
    return differing.drop_nulls("difference").sort("path")


def _checked(path: str) -> str:
    directory, slash, name = path.rstrip("/").rpartition("/")
    return safe_path(directory or slash, name)


def unit_of(path: str) -> str:
    """The path of the acquisition folder that a file lies in; its own path if it lies in none."""
    parts = path.split("/")
    for depth, part in enumerate(parts[:-1], start=1):
        if _ACQUISITION.search(part):
            return "/".join(parts[:depth])
    return path


def accessions_of(names: Sequence[str]) -> list[str]:
    """The given accessions and those that replace them, each once: an old deposit is listed beside its successor."""
    return list(dict.fromkeys(one for name in names for one in (name, replaced_by(name)) if one))
