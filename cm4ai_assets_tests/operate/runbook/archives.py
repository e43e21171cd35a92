"""Archives that have changed since a release was locked: in place, by a version more, or by a dataset elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cm4ai_assets.sandbox.catalog import Catalog, DataFile, Embargo, Entry
from cm4ai_assets.sandbox.history import dataset_title
from cm4ai_assets_tests.updates.archives import with_version

NEXT, AFTER_NEXT = "2026-06-v2.1", "2026-06-v2.2"
ZIP = "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"


def file_in(archive: Path, label: str = ZIP, dataset: int = -1, version: int = -1) -> DataFile:
    """The file that a version lists under a name: of the newest dataset, if no other is asked for."""
    catalog = Catalog.load(archive)
    entries = catalog.datasets[dataset].versions[version].entries
    return next(file for file in catalog.files for entry in entries if (file.id, label) == (entry.file_id, entry.label))


def is_zip(entry: Entry) -> bool:
    """Whether a file is a ZIP of images: no others are closed or unknown."""
    return "ifimages" in entry.label


def with_next(
    archive: Path,
    folder: Path,
    data: bytes,
    *,
    label: str = ZIP,
    keep: Callable[[Entry], bool] = lambda _: True,
    embargo: Embargo | None = None,
) -> Path:
    """The archive with a version more of the newest dataset, in which a name stands for other bytes.

    Args:
        archive: A sandbox, or what this has made of one.
        folder: Where the other is made.
        data: The bytes.
        label: The name that stands for them, whether there was such a file before or not.
        keep: Which files of the version before are in this one.
        embargo: Of the bytes.
    """
    last = Catalog.load(archive).datasets[-1].versions[-1]
    number = 999000 + last.minor
    file = file_in(archive).model_copy(
        update={"id": number, "path": f"{number}.zip", "size": len(data), "md5": hashlib.md5(data).hexdigest(),
                "embargo": embargo},
    )  # fmt: skip

    def entries(before: tuple[Entry, ...]) -> list[Entry]:
        return [*(one for one in before if keep(one) and one.label != label), Entry(file_id=number, label=label)]

    made = with_version(archive, folder, f"H1SBXC {last.major}.{last.minor + 1}", entries, [file])
    for other in archive.glob("999*.zip"):
        (made / other.name).symlink_to(other)
    (made / file.path).write_bytes(data)
    return made


def replaced(archive: Path, folder: Path, number: int, data: bytes) -> Path:
    """The archive with other bytes under the number that a file has."""
    catalog = Catalog.load(archive)
    folder.mkdir()
    (folder / "files").symlink_to(archive / "files")
    (folder / "other").write_bytes(data)
    changes = {"path": "other", "size": len(data), "md5": hashlib.md5(data).hexdigest()}
    files = tuple(one.model_copy(update=changes) if one.id == number else one for one in catalog.files)
    catalog.model_copy(update={"files": files}).save(folder)
    return folder


def moved(archive: Path, folder: Path, alias: str) -> Path:
    """The archive with one more dataset, in a collection of another name."""
    catalog = Catalog.load(archive)
    now = datetime.now(UTC) - timedelta(hours=1)
    last = catalog.datasets[-1]
    first = last.versions[-1].model_copy(update={"id": 1, "major": 1, "minor": 0, "created": now, "released": now})
    more = last.model_copy(
        update={"id": 2, "identifier": "FK2/N1SBXN", "title": dataset_title(f"{now:%B %Y}"), "published": now.date(),
                "versions": (first,)},
    )  # fmt: skip
    folder.mkdir()
    (folder / "files").symlink_to(archive / "files")
    catalog.model_copy(update={"alias": alias, "datasets": (*catalog.datasets, more)}).save(folder)
    return folder
