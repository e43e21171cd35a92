"""The real history of the collection as a directory that the sandbox server serves.

Names, ids, directories, content types, dates and which files are the same bytes are the published ones; the bytes are
small stand-ins. Not published anywhere, and made up here: the file lists of May 2024 and of the first version of June
2026, and the ids of the image archives of the latter (data reference, 5 and 7).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.sandbox.catalog import FORMAT, Catalog, DataFile, Dataset, Entry, Version
from cm4ai_assets.sandbox.ifzip import Cut, PaintedCondition, paint_condition

B35XWX_DIRECTORIES = {
    100615: "CRISPR Perturbation Cell Atlas",
    100616: "CRISPR Perturbation RNA Sequences - Raw Sequences",
    100639: "Protein-protein Interaction SEC-MS",
    100636: "Protein Localization Subcellular Images",
    100637: "Protein Localization Subcellular Images",
    100638: "Protein Localization Subcellular Images",
}
B35XWX_DIGESTS = {
    100615: "cbdb263b1c099396d75e16f00a79a818", 100616: "1cafefa32a897998e3e2ba0a29a3ef5c",
    100639: "cb67e7749b15ce87b9042a9feba9d032", 100636: "9422486c80bc9e1d35b2fbbc72a5f043",
    100637: "0b4d129f5fbc3bb7f7ea564cd032cef7", 100638: "ac577109a41a9806978461157b777d52",
}  # fmt: skip
# Named so by the CFDE tables; the archive's own names of that version were not captured.
F3TD5R_FIRST = {
    102108: ("Images-paclitaxel.zip", "e8584a44b689919e23f18ec6e570930c"),
    102109: ("Images-untreated.zip", "60d3251ddc2d04e34739cd0ee92761b8"),
    102110: ("Images-vorinostat.zip", "69834172241caf8fcec33c8e32683ceb"),
}


@dataclass(frozen=True)
class Listed:
    """A file as a version lists it; `digest` is the published one, or a name for bytes that nobody has captured."""

    id: int
    label: str
    directory: str
    content_type: str
    digest: str


def _listed(shared: Path, fixture: str) -> list[Listed]:
    files = json.loads((shared / "fixtures/protocol" / fixture).read_text())["data"]["files"]
    return [
        Listed(
            file["dataFile"]["id"], file["label"], file.get("directoryLabel", ""), file["dataFile"]["contentType"],
            file["dataFile"]["md5"],
        )
        for file in files
    ]  # fmt: skip


def _march_2025(shared: Path) -> list[Listed]:
    page: dict[str, Any] = json.loads((shared / "data/dataverse/jsonld/B35XWX_v1.4.jsonld.json").read_text())
    found = []
    for file in page["distribution"]:
        number = int(file["contentUrl"].rsplit("/", 1)[1])
        found.append(
            Listed(number, file["name"], B35XWX_DIRECTORIES[number], file["encodingFormat"], B35XWX_DIGESTS[number])
        )
    return found


def _june_2026_first(second: list[Listed]) -> list[Listed]:
    return [
        Listed(120710 + place, file.label, file.directory, file.content_type, f"first cut of {file.label}")
        if file.label.startswith("cm4ai_ifimages")
        else file
        for place, file in enumerate(second)
    ]


Versions = list[tuple[str, str, list[Listed]]]


def _datasets(shared: Path) -> list[tuple[str, str, str, Versions]]:
    june_2025 = _listed(shared, "version_1.0_F3TD5R_6.6.json")
    first = [
        *june_2025,
        *(Listed(n, name, "Images", "application/zip", md5) for n, (name, md5) in F3TD5R_FIRST.items()),
    ]
    june_2026 = _listed(shared, "version_latest_published_HIGT4C_6.9.json")
    apms = "cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha.zip"
    return [
        ("V3/DXWOS5", "May 2024", "2024-05-01", [
            ("1.0", "2024-05-01T12:00:00", [Listed(90101, apms, "", "application/zip", "apms 2024")]),
        ]),
        ("V3/B35XWX", "March 2025", "2025-03-03", [("1.4", "2025-03-20T17:20:03", _march_2025(shared))]),
        ("V3/F3TD5R", "June 2025", "2025-07-01", [
            ("1.0", "2025-07-01T15:02:11", first),
            ("2.0", "2025-10-22T18:40:05", _listed(shared, "version_2.0_F3TD5R_6.6.json")),
            ("2.1", "2025-10-31T14:12:37", _listed(shared, "version_2.1_F3TD5R_6.6.json")),
        ]),
        ("V3/K7TGEM", "October 2025", "2025-10-31", [
            ("2.1", "2026-01-02T16:44:09", _listed(shared, "version_latest_published_K7TGEM_6.9.json")),
        ]),
        ("V3/HIGT4C", "June 2026", "2026-06-17", [
            ("1.0", "2026-06-17T19:30:51", _june_2026_first(june_2026)),
            ("2.0", "2026-07-15T20:28:19", june_2026),
        ]),
    ]  # fmt: skip


def write_real_history(shared: Path, directory: Path, *, fields: int) -> None:
    """Make `directory` an archive with the real history and stand-in bytes."""
    (directory / "files").mkdir(parents=True)
    with ExitStack() as stack:
        painted = {
            condition: stack.enter_context(paint_condition(condition, fields=fields, seed=1, scratch=directory))
            for condition in CONDITIONS
        }
        bytes_of = _StandIns(directory, painted)
        datasets, files = [], dict[int, DataFile]()
        for place, (identifier, month, published, versions) in enumerate(_datasets(shared)):
            made = []
            for number, (version, released, listed) in enumerate(versions):
                day = datetime.fromisoformat(released).replace(tzinfo=UTC)
                for file in listed:
                    files.setdefault(file.id, bytes_of.file(file, day.date()))
                major, minor = map(int, version.split("."))
                entries = tuple(Entry(file_id=f.id, label=f.label, directory=f.directory) for f in listed)
                made.append(
                    Version(id=5000 + 10 * place + number, major=major, minor=minor, created=day - timedelta(hours=1),
                            released=day, description=month, entries=entries)
                )  # fmt: skip
            title = f"Cell Maps for Artificial Intelligence - {month} Data Release"
            datasets.append(
                Dataset(id=9000 + place, authority="10.18130", identifier=identifier, title=title,
                        published=date.fromisoformat(published), versions=tuple(made))
            )  # fmt: skip
    Catalog(
        format=FORMAT, fields=fields, seed=1, alias="CM4AI", collection="Cell Maps for Artificial Intelligence",
        datasets=tuple(datasets), files=tuple(files.values()),
    ).save(directory)  # fmt: skip


class _StandIns:
    """Small bytes in place of published ones: the same for the same published digest, others for another."""

    def __init__(self, directory: Path, painted: dict[Condition, PaintedCondition]) -> None:
        self._directory, self._painted = directory, painted
        self._made: dict[str, tuple[str, int, str]] = {}

    def file(self, listed: Listed, day: date) -> DataFile:
        if listed.digest not in self._made:
            self._made[listed.digest] = self._make(listed, day)
        path, size, md5 = self._made[listed.digest]
        return DataFile(
            id=listed.id, path=path, size=size, md5=md5, content_type=listed.content_type, created=day, published=day
        )

    def _make(self, listed: Listed, day: date) -> tuple[str, int, str]:
        scratch = self._directory / "files" / "new"
        known = recognise(listed.directory, listed.label)
        if known.role == "images" and known.condition:
            self._painted[Condition(known.condition)].write(scratch, Cut(day=day))
        else:
            scratch.write_bytes(f"stand-in for {listed.digest}".encode())
        data = scratch.read_bytes()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        scratch.rename(self._directory / "files" / md5)
        return f"files/{md5}", len(data), md5


def moments(directory: Path) -> Iterator[tuple[datetime, str]]:
    """When something was published in a served history, and what: `F3TD5R 2.1`."""
    catalog = Catalog.load(directory)
    found = [
        (version.released, f"{dataset.identifier.rsplit('/', 1)[1]} {version.major}.{version.minor}")
        for dataset in catalog.datasets
        for version in dataset.versions
    ]
    yield from sorted(found)
