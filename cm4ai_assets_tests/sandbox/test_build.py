from __future__ import annotations

import hashlib
import zipfile
from datetime import date
from pathlib import Path

import pytest

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox import build
from cm4ai_assets.sandbox.catalog import Catalog, DataFile, Version


def _digests(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_two_builds_are_the_same_bytes(sandbox: Path, tmp_path: Path) -> None:
    build(tmp_path / "again", fields=8, seed=1)
    assert _digests(tmp_path / "again") == _digests(sandbox)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]  # no scratch is left behind


def test_a_built_sandbox_is_used_again(sandbox: Path) -> None:
    before = (sandbox / "archive.json").stat().st_mtime_ns
    told: list[str] = []
    build(sandbox, fields=8, seed=1, progress=told.append)
    assert (sandbox / "archive.json").stat().st_mtime_ns == before
    assert told == [f"{sandbox} holds this sandbox already."]


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigurationError, match="not a sandbox"):
        build(tmp_path, fields=8)
    assert (tmp_path / "thesis.tex").read_text() == "precious"
    with pytest.raises(ConfigurationError, match="is a file"):
        build(tmp_path / "thesis.tex", fields=8)


def test_too_few_fields_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="3 fields"):
        build(tmp_path / "new", fields=3)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_a_catalog_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sandbox build"):
        Catalog.load(tmp_path)


def test_the_catalog_tells_the_truth(sandbox: Path, catalog: Catalog) -> None:
    for file in catalog.files:
        data = (sandbox / file.path).read_bytes()
        assert (len(data), hashlib.md5(data).hexdigest()) == (file.size, file.md5)
        if file.content_type == "application/zip":
            with zipfile.ZipFile(sandbox / file.path) as archive:
                assert archive.testzip() is None
    listed = {entry.file_id for d in catalog.datasets for v in d.versions for entry in v.entries}
    assert listed == {file.id for file in catalog.files}
    paths = [(v.id, e.directory, e.label) for d in catalog.datasets for v in d.versions for e in v.entries]
    assert len(paths) == len(set(paths))


class _History:
    """The catalog by the last part of the DOI and the version."""

    def __init__(self, catalog: Catalog) -> None:
        self.files = {file.id: file for file in catalog.files}
        self.versions: dict[str, Version] = {}
        for dataset in catalog.datasets:
            for version in dataset.versions:
                self.versions[f"{dataset.identifier[4:]} {version.major}.{version.minor}"] = version

    def labels(self, key: str) -> dict[str, DataFile]:
        return {entry.label: self.files[entry.file_id] for entry in self.versions[key].entries}

    def images(self, key: str) -> dict[str, DataFile]:
        """The IF ZIPs of a release by condition."""
        zips = {label: file for label, file in self.labels(key).items() if "mages" in label and label.endswith(".zip")}
        return {c: file for c in CONDITIONS for label, file in zips.items() if str(c) in label}


@pytest.fixture(scope="module")
def history(catalog: Catalog) -> _History:
    return _History(catalog)


def test_the_releases(history: _History, catalog: Catalog) -> None:
    assert list(history.versions) == [
        "DXSBX5 1.0", "B3SBXX 1.0", "B3SBXX 1.1", "F3SBX5 1.0", "F3SBX5 2.0", "F3SBX5 2.1",
        "K7SBXM 1.0", "K7SBXM 1.1", "H1SBXC 1.0", "H1SBXC 2.0",
    ]  # fmt: skip
    assert all(dataset.doi.startswith("doi:10.5072/FK2/") for dataset in catalog.datasets)
    for dataset in catalog.datasets:
        assert [v.released for v in dataset.versions] == sorted(v.released for v in dataset.versions)
    titled = "Cell Maps for Artificial Intelligence - {} Data Release ({})"
    assert [dataset.title for dataset in catalog.datasets] == [
        titled.format("May 2024", "Alpha"),
        *(titled.format(month, "Beta") for month in ("March 2025", "June 2025", "October 2025", "June 2026")),
    ]


def _md5s(files: dict[str, DataFile]) -> dict[str, str]:
    return {name: file.md5 for name, file in files.items()}


def _ids(files: dict[str, DataFile]) -> dict[str, int]:
    return {name: file.id for name, file in files.items()}


def test_three_files_share_one_name_in_march(history: _History) -> None:
    namesakes = [e for e in history.versions["B3SBXX 1.0"].entries if e.label == "ro-crate-metadata.json"]
    assert len({entry.directory for entry in namesakes}) == len({entry.file_id for entry in namesakes}) == 3


def test_june_replaces_then_renames(history: _History) -> None:
    first, second, third = (history.images(f"F3SBX5 {v}") for v in ("1.0", "2.0", "2.1"))
    assert len(first) == len(second) == len(third) == 3
    assert not set(_md5s(first).values()) & set(_md5s(second).values())
    assert not set(_ids(first).values()) & set(_ids(second).values())
    assert _md5s(second) == _md5s(third)
    assert _ids(second) == _ids(third)
    assert "cm4ai-ifimages-mda-mb-468-paclitaxel.zip" in history.labels("F3SBX5 2.0")
    assert "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip" in history.labels("F3SBX5 2.1")
    assert len(history.labels("F3SBX5 2.1")) == 21
    grown = [second[c].size / first[c].size for c in CONDITIONS]
    assert all(1.1 < ratio < 1.8 for ratio in grown)  # by the composites


def test_october_is_june_under_other_ids(history: _History) -> None:
    june, october = history.images("F3SBX5 2.1"), history.images("K7SBXM 1.0")
    assert _md5s(june) == _md5s(october)
    assert not set(_ids(june).values()) & set(_ids(october).values())


def test_june_2026_cuts_again_and_loses_a_file(history: _History) -> None:
    first, second = history.labels("H1SBXC 1.0"), history.labels("H1SBXC 2.0")
    assert set(first) - set(second) == {"ALPHA_BETA_GAMMA_Cellranger_Statistics.csv"}
    assert len(second) == 10
    assert all(not entry.directory for entry in history.versions["H1SBXC 2.0"].entries)
    assert not set(_md5s(history.images("H1SBXC 1.0")).values()) & set(_md5s(history.images("H1SBXC 2.0")).values())
    assert sum("apms" in label for label in second) == 2


def test_one_name_holds_data_and_later_metadata_only(history: _History, sandbox: Path) -> None:
    name = "cm4ai_mass-spec_MDA-MB-468.zip"
    before, after = history.labels("K7SBXM 1.1")[name], history.labels("H1SBXC 2.0")[name]
    with zipfile.ZipFile(sandbox / before.path) as archive:
        tables = [member for member in archive.namelist() if member.endswith("_Report.tsv")]
        header = archive.read(tables[0]).decode().split("\n", 1)[0].split("\t")
    assert len(tables) == 9
    assert header[0] == "PG.ProteinGroups"
    assert sum(column.endswith(".d.PG.Quantity") for column in header) == 72
    with zipfile.ZipFile(sandbox / after.path) as archive:
        assert not any(member.endswith(".tsv") for member in archive.namelist())
    assert before.size > 2 * after.size


def test_access_states(catalog: Catalog) -> None:
    restricted = [file for file in catalog.files if file.restricted]
    embargoed = [file for file in catalog.files if file.embargo and file.embargo.available > date(2027, 1, 1)]
    assert len(restricted) == len(embargoed) == 1
    assert not {file.id for file in restricted + embargoed} & set(range(720801, 720804))


def test_images_are_the_same_in_every_cut(history: _History, sandbox: Path) -> None:
    """A re-cut changes the ZIP, never the images."""
    held = []
    for key in ("F3SBX5 1.0", "F3SBX5 2.1", "H1SBXC 2.0"):
        with zipfile.ZipFile(sandbox / history.images(key)["vorinostat"].path) as archive:
            held.append({i.filename: i.CRC for i in archive.infolist() if "/green/" in i.filename})
    assert held[0] == held[1] == held[2]
