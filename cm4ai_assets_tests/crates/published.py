"""The real releases as far as they lie in ../shared: crates, pages, datasheets, and locks made from the inventories."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets.crates.claims import Published
from cm4ai_assets.crates.reader import CrateFile, crates_in_zip
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets_tests.crates.twins import lock

# Directories of March 2025, which the landing page's JSON-LD does not tell, by size of the file.
_MARCH_FOLDERS = {
    31_852: "CRISPR Perturbation Cell Atlas",
    1_024_071: "CRISPR Perturbation RNA Sequences - Raw Sequences",
    2_989: "Protein-protein Interaction SEC-MS",
}
_RELEASED = {"2025-06-v2.0": (2025, 10, 22), "2025-06-v2.1": (2025, 10, 31)}


def json_ld(shared: Path, name: str) -> dict[str, Any]:
    text = (shared / "data" / "dataverse" / "jsonld" / f"{name}.jsonld.json").read_text()
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def crate_files(shared: Path) -> list[CrateFile]:
    data = shared / "data"
    paths = sorted((data / "rocrate").rglob("*.json"))
    paths += [data / "c2m2" / "ro-crate-metadata.json"]
    paths += [data / "dataverse" / "june2025_F3TD5R" / "release-ro-crate-metadata.json"]
    return [CrateFile(str(path.relative_to(data)), path.read_bytes()) for path in paths] + release_2026(shared)


def release_2026(shared: Path) -> list[CrateFile]:
    with LocalBytes(bundle_2026(shared)) as source:
        files, problems = crates_in_zip(source)
    assert not problems
    return files


def bundle_2026(shared: Path) -> Path:
    return shared / "data" / "dataverse" / "june2026_HIGT4C" / "cm4ai_release_metadata.zip"


def release_2025(shared: Path) -> list[CrateFile]:
    """The crates of June 2025 under the names they are published with; sequences and SEC-MS of cells that are missing
    there are those of March."""
    data = shared / "data"
    return [
        CrateFile(name, (data / path).read_bytes())
        for name, path in (
            ("release-ro-crate-metadata.json", "dataverse/june2025_F3TD5R/release-ro-crate-metadata.json"),
            ("mass-spec-cancer-cells-ro-crate-metadata.json", "rocrate/june2025_mass-spec_cancer-cells.json"),
            ("Perturb-Seq-cell-atlas-ro-crate-metadata.json", "rocrate/june2025_perturbseq_cell-atlas.json"),
            ("Perturb-Seq-sra-ro-crate-metadata.json", "rocrate/march2025_sra.json"),
        )
    ]


@cache
def published(shared: Path, key: str) -> Published:
    makers: dict[str, Callable[[Path], pl.DataFrame]] = {
        "2025-03-v1.4": _march,
        "2025-06-v2.0": lambda at: _june(at, "2.0"),
        "2025-06-v2.1": lambda at: _june(at, "2.1"),
        "2025-10-v2.1": lambda at: _croissant(at, "K7TGEM_v2.1", "2025-10-v2.1"),
        "2026-06-v2.0": lambda at: _croissant(at, "HIGT4C_v2.0", "2026-06-v2.0"),
    }
    files = makers[key](shared)
    if key not in _RELEASED:
        return Published(files)
    released = datetime(*_RELEASED[key], tzinfo=UTC)
    doi = str(files["doi"].first())
    return Published(files, ReleaseRecord(key, doi, 2, int(key[-1]), "", date(2025, 7, 1), released, ""))


def _march(shared: Path) -> pl.DataFrame:
    text = (shared / "reference" / "cm4ai-data.md").read_text()
    stated = re.findall(r"([\d,]+) B ([0-9a-f]{32})", text)
    stated += re.findall(r"\| ([\d,]{9,})[^|]* \| ([0-9a-f]{32}) \|", text)
    md5 = {int(size.replace(",", "")): digest for size, digest in stated}
    sizes = [(one["name"], int(one["contentSize"])) for one in json_ld(shared, "B35XWX_v1.4")["distribution"]]
    files = [
        (_MARCH_FOLDERS.get(size, "Protein Localization Subcellular Images"), name, size, md5.get(size))
        for name, size in sizes
    ]
    return lock(*files, release="2025-03-v1.4", doi="doi:10.18130/V3/B35XWX", version="1.4")


def _june(shared: Path, version: str) -> pl.DataFrame:
    names = {file_id(one): one["name"] for one in json_ld(shared, f"F3TD5R_v{version}")["distribution"]}
    inventory = shared / "data" / "dataverse" / "june2025_F3TD5R" / "june2025_v2.1_filelist.tsv"
    rows = list(csv.DictReader(inventory.open(), delimiter="\t"))
    files = [
        (
            row["seed_path"].rpartition("/")[0],
            names[int(row["datafile_id"])],
            int(row["contentSize"]),
            row["seed_md5"] or None,
        )
        for row in rows
    ]
    frame = lock(*files, release=f"2025-06-v{version}", version=version)
    ids = pl.Series("file_id", [int(row["datafile_id"]) for row in rows], dtype=pl.Int64)
    types = pl.Series("content_type", [row["encodingFormat"] for row in rows])
    return frame.with_columns(ids, types)


def _croissant(shared: Path, name: str, key: str) -> pl.DataFrame:
    files = [("", one["name"], int(one["contentSize"]), one["md5"]) for one in json_ld(shared, name)["distribution"]]
    suffix, version = name.split("_v")
    return lock(*files, release=key, doi=f"doi:10.18130/V3/{suffix}", version=version)


def file_id(distribution: dict[str, Any]) -> int:
    return int(distribution["contentUrl"].rsplit("/", 1)[-1])
