"""The storage on an object store: what is published is read back, names are created once, tensors can be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage import placing
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import is_complete, open_array, shard_key
from cm4ai_assets.tables import Document
from cm4ai_assets_tests.storage.s3 import s3_server
from cm4ai_assets_tests.transfer.bench import digests_of

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")

RECORD = ReleaseRecord("", "doi:10.18130/V3/F3TD5R", 2, 1, "June 2025 Data Release", date(2025, 7, 1),
                       datetime(2025, 10, 31, tzinfo=UTC), "https://dataverse.lib.virginia.edu")  # fmt: skip


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def store(bucket: str, tmp_path: Path) -> Store:
    return Store(f"{bucket}/{tmp_path.name}", scratch=tmp_path / "scratch")


def test_a_name_is_created_once(store: Store, tmp_path: Path) -> None:
    target = store.address("registry/x")
    placing.create_bytes(store.fs, b"first", target, locks=tmp_path)
    with pytest.raises(FileExistsError):
        placing.create_bytes(store.fs, b"second", target, locks=tmp_path)
    assert store.read("registry/x") == b"first"


def test_two_writers_register_two_datasets_of_one_month(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other writer comes between the look at what is registered and the writing of the record."""
    twin, other = replace(RECORD, doi="doi:10.18130/V3/ZZZZZZ"), ReleaseRegistry(store)
    create, late = store.staging.create, [twin]

    def interrupted(data: bytes, target: str) -> None:
        if late:
            assert other.register([late.pop()])
        create(data, target)

    monkeypatch.setattr(store.staging, "create", interrupted)
    assert [record.key for record in ReleaseRegistry(store).register([RECORD])] == ["2025-06-F3TD5R-v2.1"]
    assert {record.doi: record.key for record in other.all()} == {
        RECORD.doi: "2025-06-F3TD5R-v2.1",
        twin.doi: "2025-06-v2.1",
    }


def test_blobs_are_stored_found_and_verified(store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"published bytes")
    digests = digests_of(tmp_path / "source", "MD5")
    blobs = BlobStore(store.fs, store.root)
    blob = blobs.add(tmp_path / "source", digests["SHA-256"], digests)
    assert blobs.find("MD5", digests["MD5"]) == blob
    assert blobs.verify(blob.sha256) == blob
    with blobs.open(blob.sha256) as source:
        assert source.read_at(4, 3) == b"ish"


def test_documents_are_switched(store: Store) -> None:
    page = Document("page", "A page.", entry="a.txt")
    for text in (b"one", b"two"):
        with store.stage_document(page, Partition("2025-06-v2.1"), {"a.txt": text}) as staged:
            store.publish_document(staged)
        assert store.read(store.document(page, Partition("2025-06-v2.1")).entry) == text


def test_tensors_are_read_and_what_is_lost_is_refused(store: Store, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (18, 4, 16, 16), dtype=np.uint8)
    writer = StoreWriter(tmp_path / "x.zarr", 16)
    for field in pixels:
        writer.append([chunk for plane in field for chunk in compress(plane)])
    writer.finish(source_sha256="ab" * 32, digest="cd" * 32, failures={})
    store.staging.publish_tree(tmp_path / "x.zarr", "tensors/x.zarr", last=METADATA)
    path = store.address("tensors/x.zarr")
    assert is_complete(store.fs, path)
    array = open_array(store.fs, path)
    assert np.array_equal(array[:], pixels)
    assert np.array_equal(array[17, 2, 3:5], pixels[17, 2, 3:5])
    store.remove(f"tensors/x.zarr/{shard_key(1)}")
    with pytest.raises(TensorStoreError, match="is missing"):
        array[17]
    assert not is_complete(store.fs, path)
