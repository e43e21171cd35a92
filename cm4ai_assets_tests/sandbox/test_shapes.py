"""Answers and tables held against the archive's, key by key; `fixtures` proves its stand-ins on recorded ones."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cm4ai_assets.sandbox import plates
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets_tests.fixtures.protocol import answer
from cm4ai_assets_tests.fixtures.refusals import DATASET_ID, UNKNOWN_DOI

_DOI = "doi:10.5072/FK2/F3SBX5"
_DATASET = f"/api/datasets/:persistentId/?persistentId={_DOI}"
_VERSIONS = f"/api/datasets/:persistentId/versions?persistentId={_DOI}"


def _shape(value: Any, optional: frozenset[str] = frozenset()) -> Any:
    """Keys and types; of a list, the shape of its first element."""
    if isinstance(value, dict):
        return {key: _shape(inner, optional) for key, inner in value.items() if key not in optional}
    if isinstance(value, list):
        return [_shape(value[0], optional)] if value else []
    return type(value).__name__


# Present only where the depositor gave a value, so their presence differs from file to file and person to person.
_OPTIONAL = frozenset({"description", "directoryLabel", "categories", "value"})


@pytest.mark.parametrize(
    ("path", "fixture"),
    [
        ("/api/info/version", "info_version_6.9.json"),
        ("/api/dataverses/CM4AI", "collection_CM4AI.json"),
        ("/api/dataverses/CM4AI/contents", "collection_CM4AI_contents.json"),
        (_VERSIONS.replace("?", "/:latest-published?"), "version_latest_published_TWIN25_6.9.json"),
        ("/api/search?q=*&type=dataset&subtree=CM4AI&sort=date&order=desc&per_page=100&start=0",
         "search_CM4AI_datasets.json"),
    ],
)  # fmt: skip
def test_an_answer_has_the_shape_of_the_archives(client: httpx2.Client, path: str, fixture: str) -> None:
    recorded = json.loads(answer(fixture))
    assert _shape(client.get(path).json(), _OPTIONAL) == _shape(recorded, _OPTIONAL)


@pytest.mark.parametrize(
    ("path", "fixture"),
    [
        (_DATASET, "dataset_TWIN25_6.6.json"),
        (_VERSIONS, "versions_TWIN25_6.6.json"),
        (f"{_VERSIONS}&excludeFiles=true&excludeMetadataBlocks=true", "versions_TWIN25_excludeFiles_6.6.json"),
        (f"{_VERSIONS.replace('?', '/2.1/files?')}&limit=10&offset=0", "version_files_page1_6.6.json"),
    ],
)
def test_an_answer_has_the_shape_of_6_6(client: httpx2.Client, path: str, fixture: str) -> None:
    """The older server lacks what 6.7 and 6.9 added."""
    newer = _OPTIONAL | {"internalVersionNumber", "datasetType", "lastUpdateTime"}
    dated = newer - {"lastUpdateTime"} if "excludeFiles" in path else newer
    recorded = json.loads(answer(fixture))
    assert _shape(client.get(path).json(), dated) == _shape(recorded, dated)


def test_citation_fields_are_those_of_the_archive(client: httpx2.Client) -> None:
    recorded = json.loads(answer("version_latest_published_TWIN25_6.9.json"))
    ours = client.get(_VERSIONS.replace("?", "/:latest?")).json()

    def fields(answer: dict[str, Any]) -> list[tuple[str, bool, str]]:
        block = answer["data"]["metadataBlocks"]["citation"]["fields"]
        return [(field["typeName"], field["multiple"], field["typeClass"]) for field in block]

    assert fields(ours) == fields(recorded)


@pytest.mark.parametrize(
    ("request_", "fixture"),
    [
        (("GET", "/api/access/datafile/720749", {}), "error_403_file_access.json"),
        (("GET", "/api/access/datafile/720748", {}), "error_403_file_access.json"),
        (("GET", "/api/access/datafile/999999999", {}), "error_404_datafile_unknown.json"),
        (("GET", "/api/nowhere", {}), "error_404_datafile_unknown.json"),
        (("GET", "/api/access/datafile/702111", {"Range": "bytes=999999999-"}), "error_416_range.json"),
        (("GET", f"/api/datasets/:persistentId/?persistentId={UNKNOWN_DOI}", {}), "error_404_dataset.json"),
        (("GET", "/api/datasets/702069/versions/7.3", {}), "error_404_version.json"),
        (("GET", "/api/datasets/702069/versions/:draft", {}), "error_401_not_permitted.json"),
        (("GET", "/api/info/version", {"X-Dataverse-key": "nobody"}), "error_401_bad_api_key.json"),
        (("GET", f"{_VERSIONS.replace('?', '/2.1/files?')}&orderCriteria=foo", {}), "error_400_invalid_order.json"),
        (("PATCH", "/api/datasets/1", {}), "error_405_method.json"),
    ],
)
def test_a_refusal_is_worded_as_the_archive_does(
    client: httpx2.Client, request_: tuple[str, str, dict[str, str]], fixture: str
) -> None:
    method, path, headers = request_
    recorded = json.loads(answer(fixture))
    response = client.request(method, path, headers=headers)
    ours = response.json()
    assert response.status_code == int(re.search(r"error_(\d+)_", fixture)[1])  # type: ignore[index]
    assert response.headers["content-type"].startswith("application/json")
    url = ours.pop("requestUrl", None)
    recorded_url = recorded.pop("requestUrl", None)
    assert (url is None) == (recorded_url is None)
    if url is not None:
        assert url.startswith(f"{str(client.base_url).rstrip('/')}/api/v1/")
    ours["message"] = ours["message"].replace("702069", str(DATASET_ID))
    assert ours == recorded


def test_download_headers_are_the_recorded_ones(client: httpx2.Client, shared: Path) -> None:
    exchanges = json.loads((shared / "fixtures/protocol/access_exchanges.json").read_text())
    passing = {"date", "server"}
    for name, headers in (("local_200", {}), ("local_206", {"Range": "bytes=10-"})):
        response = client.get("/api/access/datafile/720801", headers=headers)
        recorded = {key.lower(): value for key, value in exchanges[name]["headers"].items()}
        assert response.status_code == exchanges[name]["status"]
        assert set(response.headers) - passing == set(recorded)
        for key in ("content-disposition", "content-type"):
            assert response.headers[key] == recorded[key]


def test_names_keep_to_the_published_inventory(shared: Path) -> None:
    """Plates, wells, treatments, planes and colours are those of real names, and every well of ours exists."""
    for condition in plates.LABELS:
        inventory = shared / "data" / "if_images" / f"inventory_{condition}.tsv.gz"
        with gzip.open(inventory, "rt") as file:
            real = list(csv.DictReader(file, delimiter="\t"))
        ours = plates.fields_of(condition, 200, 1)
        assert {plates.LABELS[condition]} == {row["treatment"] for row in real}
        assert {f"B2AI_{f.plate}" for f in ours} <= {row["plate"] for row in real}
        assert {f.well for f in ours} <= {row["well"] for row in real}
        assert {f"R{f.region}" for f in ours} <= {row["region"] for row in real}
        assert {f"z{f.z:02d}" for f in ours} == {row["z"] for row in real}


def test_report_headers_are_like_the_published_ones(shared: Path, sandbox: Path, catalog: Catalog) -> None:
    october = next(d for d in catalog.datasets if d.doi.endswith("K7SBXM")).versions[-1]
    files = {file.id: file for file in catalog.files}
    path = next(files[e.file_id].path for e in october.entries if e.label == "cm4ai_mass-spec_MDA-MB-468.zip")
    with zipfile.ZipFile(sandbox / path) as archive:
        reports = {Path(name).stem: archive.read(name).decode() for name in archive.namelist() if name.endswith(".tsv")}
    real = sorted((shared / "data" / "secms" / "headers").glob("*_Report.header.tsv"))
    assert sorted(reports) == [path.name.removesuffix(".header.tsv") for path in real]
    for path in real:
        published = path.read_text().rstrip("\n").split("\t")
        rows = list(csv.reader(io.StringIO(reports[path.name.removesuffix(".header.tsv")]), delimiter="\t"))
        assert [_fraction(column) for column in rows[0]] == [_fraction(column) for column in published]
        assert {len(row) for row in rows} == {len(published)}


def _fraction(column: str) -> str:
    """A run's prefix and fraction, which is what a reader goes by; other columns as they are."""
    match = re.match(r"^\[\d+\] (.+?_F\d\d)_.*\.d\.PG\.Quantity$", column)
    return match[1] if match else column
