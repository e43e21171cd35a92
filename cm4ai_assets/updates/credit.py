"""What a table says of where it comes from: dataset, version and licence of the published files it is made from.

Belongs here: reading that from the registry, the locks (of the release, of its Figshare article), and the inventory of
deposits. A licence is what the archive states for each file, or the release's crate for a deposit, never a constant:
AP-MS and the iPSC SEC-MS of 2026 are CC0, the rest is not. Does not belong here: showing it (`defs`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.tables.screen import GUIDE_LIBRARY, PERTURB_CELLS
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets.updates.inputs import FEEDS, lock_of

NOT_STATED = "not stated"
OF_THE_ARTICLE: Final[Mapping[str, tuple[str, str] | None]] = {
    GUIDE_LIBRARY.name: ("source_file", "source_sha256"),
    PERTURB_TARGETS.name: ("source", "source_identity"),
    PERTURB_CELLS.name: None,
}
"""Tables that are made of the files of the release's Figshare article. Their columns that name a file, and its bytes;
None where none does."""

_FILE = "source_file_id"
_STATING = frozenset({MASSIVE_FILES.name, PERTURB_TARGETS.name})
"""Tables whose rows state the licence of what they come from, which is no file of the release."""


def credit(
    store: Store,
    name: str,
    partition: Partition,
    frame: pl.DataFrame | None = None,
    *,
    sources: Collection[str] = (),
) -> dict[str, str]:
    """DOI, version and licences behind one partition of a table; empty for a table that belongs to no release.

    Args:
        store: The storage.
        name: Name of the table.
        partition: Its partition.
        frame: Its rows, of which those of a lock state the licences themselves.
        sources: Names of the files that a table of the article is made of, where no rows are given.
    """
    if not partition.release:
        return {}
    article = _article(store, name, partition, frame)
    if article is not None and name in OF_THE_ARTICLE:
        # A file of the operator's that the article does not have is not under its licence.
        article = article.filter(pl.col("label").is_in([*sources, *_named(name, frame)]))
    if article is None or name in _STATING:
        stated = _stated(store, name, partition, frame)
    else:
        stated = article["license"].unique().to_list()
    credited = {"license": licences(stated)}
    if article is not None and article.height:
        credited["article"] = ", ".join(article["doi"].unique().sort())
    try:
        record = ReleaseRegistry(store).get(partition.release)
    except ReleaseKeyError:
        return credited
    return {"doi": record.doi, "version": record.version, **credited}


def _named(name: str, rows: pl.DataFrame | None) -> list[str]:
    """The files of the article that rows name."""
    columns = OF_THE_ARTICLE[name]
    return [] if rows is None or columns is None else rows[columns[0]].unique().to_list()


def _article(store: Store, name: str, partition: Partition, frame: pl.DataFrame | None) -> pl.DataFrame | None:
    """The files of the Figshare article, for the tables that are made of them; None for other tables."""
    if name == FIGSHARE_FILES.name:
        return frame
    if name not in OF_THE_ARTICLE:
        return None
    own = Partition(partition.release)
    has = store.has_table(FIGSHARE_FILES.name, own)
    return store.table(FIGSHARE_FILES.name, own).collect() if has else FIGSHARE_FILES.empty()


def _stated(store: Store, name: str, partition: Partition, frame: pl.DataFrame | None) -> list[str | None]:
    """The licences of what a partition is made from, one for each file or deposit."""
    lock = frame if name == RELEASE_FILES.name else lock_of(store, partition.release)
    if name in _STATING:
        return [] if frame is None else _each(frame["license"])
    if frame is not None and _FILE in frame.columns:
        return [*_of_files(lock, frame), *_of_deposits(store, partition.release, frame)]
    if lock is None:
        return []
    feed = next((feed for feed in FEEDS if name in {feed.first, *feed.tables}), None)
    if feed is None:
        return lock["license"].to_list()
    return [row["license"] for row in feed.inputs(lock).get(partition.condition, ())]


def _of_files(lock: pl.DataFrame | None, rows: pl.DataFrame) -> list[str | None]:
    """The licences of the published files that rows come from."""
    if lock is None:
        return []
    return lock.filter(pl.col("file_id").is_in(rows[_FILE].drop_nulls().unique().to_list()))["license"].to_list()


def _of_deposits(store: Store, release: str, rows: pl.DataFrame) -> list[str | None]:
    """The licences of the deposits that the other rows come from: by accession, or by the table that was pulled."""
    rows = rows.filter(pl.col(_FILE).is_null())
    column, listed = ("accession", "accession") if "accession" in rows.columns else ("source_sha256", "sha256")
    wanted = set(rows[column])
    if not wanted:
        return []
    partition = Partition(release)
    if not store.has_table(MASSIVE_FILES.name, partition):
        return [None]
    files = store.table(MASSIVE_FILES.name, partition).filter(pl.col(listed).is_in(list(wanted))).collect()
    # An inventory of before licences were read has no such column.
    stated = _each(files["license"]) if "license" in files.columns else [None]
    return [*stated, *(None for _ in wanted - set(files[listed]))]


def _each(stated: pl.Series) -> list[str | None]:
    """The licences in a column of `massive_files`, of which a cell can name several."""
    return [licence for cell in stated.unique() for licence in (cell.split(", ") if cell else [None])]


_CREATIVE_COMMONS = re.compile(r"https?://creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/.*)?")


def licence_name(stated: str) -> str:
    """A licence as Dataverse names it, where a crate states Creative Commons' address; else as it is.

    >>> licence_name("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.en")
    'CC BY-NC-SA 4.0'
    >>> licence_name("https://creativecommons.org/publicdomain/zero/1.0/"), licence_name("CC0 1.0")
    ('CC0 1.0', 'CC0 1.0')
    """
    found = _CREATIVE_COMMONS.fullmatch(stated)
    if found is None:
        return stated
    code, version = found.groups()
    return f"CC0 {version}" if code == "zero" else f"CC {code.upper()} {version}"


_NAME = re.compile(r"CC(0| BY(?:-[A-Z]{2})*) (\d\.\d)")


def licence_address(stated: str) -> str | None:
    """The address of a Creative Commons licence, by its name or by an address; None of any other licence.

    >>> licence_address("CC BY-NC-SA 4.0"), licence_address("CC0 1.0")
    ('https://creativecommons.org/licenses/by-nc-sa/4.0/', 'https://creativecommons.org/publicdomain/zero/1.0/')
    """
    found = _NAME.fullmatch(licence_name(stated))
    if found is None:
        return None
    code, version = found.groups()
    place = "publicdomain/zero" if code == "0" else f"licenses/{code.strip().lower()}"
    return f"https://creativecommons.org/{place}/{version}/"


def licence_spdx(stated: str) -> str | None:
    """The id of a Creative Commons licence in the list of SPDX; None of any other licence.

    >>> licence_spdx("CC BY-NC-SA 4.0"), licence_spdx("CC0 1.0"), licence_spdx("custom")
    ('CC-BY-NC-SA-4.0', 'CC0-1.0', None)
    """
    return None if licence_address(stated) is None else licence_name(stated).replace(" ", "-")


def licences(stated: list[str | None]) -> str:
    """Licences in one line, each once; a file without one is named as such.

    >>> licences(["CC BY-NC-SA 4.0", "CC0 1.0", "CC BY-NC-SA 4.0", None])
    'CC BY-NC-SA 4.0, CC0 1.0, not stated'
    """
    named = {licence_name(one) if one else NOT_STATED for one in stated}
    return ", ".join(sorted(named, key=lambda one: (one == NOT_STATED, one))) or NOT_STATED
