"""The inventory of what a release delivers, and the published files behind its tables."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.lineage.delivered import delivered
from cm4ai_assets.lineage.published import published_inputs
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.digests import listing_digest
from cm4ai_assets_tests.exports import releases


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return releases.painted(tmp_path_factory.mktemp("delivered"), [Condition.UNTREATED])


def test_every_table_and_store_is_there_with_the_digests_of_its_files(release: Release) -> None:
    found = delivered(release.store, release.key)
    assert {(one.kind, one.name) for one in found} == {
        *((Kind.TABLE, name) for name in ("release_files", "if_images", "if_antibodies", "if_fields", "if_quality")),
        (Kind.TABLE, "if_tensors"),
        (Kind.TENSOR, "if_tensors"),
    }
    for one in found:
        assert one.group == ("release" if one.name == "release_files" else "images")
        for file in one.files:
            data = (Path(release.store.root) / file.path).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)
    (tensor,) = (one for one in found if one.kind is Kind.TENSOR)
    assert len(tensor.files) > 1
    names = {file.path.removeprefix(f"{tensor.path}/"): file.sha256 for file in tensor.files}
    assert tensor.digest == listing_digest(names)
    (fields,) = (one for one in found if one.name == "if_fields")
    assert fields.rows == release.table("if_fields").select(pl.len()).collect().item()
    assert fields.digest == fields.files[0].sha256
    assert fields.table is tables.table("if_fields")
    assert fields.making is None  # no run made it


def test_a_table_of_images_leads_to_its_zip_with_both_digests(release: Release) -> None:
    (file,) = published_inputs(release.store, release.key, "if_fields", "untreated")
    (row,) = release.table("release_files").collect().to_dicts()
    assert (file.dataset, file.version, file.file_id) == (releases.DOI, "2.0", "1")
    assert (file.digest, file.size, file.license) == (row["digest"], row["size"], releases.LICENSE)
    assert file.sha256 is not None
    assert (
        hashlib.sha256(release.store.read(f"blobs/sha256/{file.sha256[:2]}/{file.sha256}")).hexdigest() == file.sha256
    )
    assert file.url == "http://127.0.0.1:9/api/access/datafile/1"
    assert published_inputs(release.store, release.key, "if_fields", "paclitaxel") == ()
    assert published_inputs(release.store, release.key, "splits") == ()
