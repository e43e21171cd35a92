"""A look at fields where they are published: the right pixels and labels, for the bytes that they have."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets import peeking
from cm4ai_assets.access import Release
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.lock import image_zips, lock_frame
from cm4ai_assets.errors import NotMaterializedError, SelectionError
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.peeking import UNKNOWN, peek_version
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.selecting import COLUMNS
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.zips import TAIL
from cm4ai_assets.transfer.errors import AccessDeniedError

DOI, VERSION, KEY = "doi:10.5072/FK2/H1SBXC", "2.0", "2026-06-v2.0"


@pytest.fixture(scope="module")
def server(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox) as running:
        yield running


@pytest.fixture(scope="module")
def lock(server: SandboxServer) -> pl.DataFrame:
    with DataverseClient(server.url) as client:
        return lock_frame(client.version(DOI, VERSION), release=KEY)


@pytest.fixture
def release(
    server: SandboxServer, lock: pl.DataFrame, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Release:
    monkeypatch.setenv("CM4AI_DATAVERSE_URL", server.url)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    peeking._catalogues.clear()
    with store.stage_table("release_files", Partition(KEY), lock) as staged:
        store.publish_table(staged)
    server.clear_log()
    return Release(KEY, store)


@pytest.fixture(scope="module")
def published(sandbox: Path, lock: pl.DataFrame) -> bytes:
    (file,) = image_zips(lock, "paclitaxel")
    return (sandbox / next(f for f in Catalog.load(sandbox).files if f.id == file.file_id).path).read_bytes()


def by_pillow(archive: zipfile.ZipFile, field_id: str) -> tuple[np.ndarray, int]:
    """The planes of a field as the consortium reads them, and the bytes of its images."""
    stem = field_id.replace("_paclitaxel_", "_Paclitaxel_")
    planes, size = [], 0
    for channel, plane in PLANES.items():
        (info,) = (each for each in archive.infolist() if each.filename.endswith(f"/{stem}_{channel}.jpg"))
        planes.append(np.asarray(Image.open(io.BytesIO(archive.read(info))))[:, :, plane])
        size += info.compress_size
    return np.stack(planes), size


def test_a_gene_is_seen_for_the_bytes_of_its_images(release: Release, server: SandboxServer, published: bytes) -> None:
    seen = release.peek(gene="TP53", condition="PTXL", edge=2048)
    assert seen.fields["gene_symbols"].to_list() == [["TP53"]] * 2
    assert seen.fields.columns == [name for name in COLUMNS if name not in UNKNOWN]
    assert (seen.images.shape, seen.images.dtype, seen.matching) == ((2, 4, 2048, 2048), np.uint8, 2)
    with zipfile.ZipFile(io.BytesIO(published)) as archive:
        planes, sizes = zip(*(by_pillow(archive, name) for name in seen.fields["field_id"]), strict=True)
        manifest = next(info.compress_size for info in archive.infolist() if info.filename.endswith("manifest.csv"))
    assert np.array_equal(seen.images, np.stack(planes))
    # End and directory, the manifest, and four images a field, each with its local header and its name.
    assert seen.requests == 2 + 4 * 2
    assert sum(sizes) <= seen.bytes_fetched <= TAIL + manifest + sum(sizes) + 9 * 512
    asked = [record for record in server.log if "/access/datafile/" in record.path]
    assert (len(asked), sum(record.sent for record in asked)) == (seen.requests, seen.bytes_fetched)
    assert not any(record.counted for record in server.log), "a look is no download"
    assert seen.bytes_fetched < len(published) / 2


def test_the_next_look_moves_its_images_only(release: Release, server: SandboxServer, published: bytes) -> None:
    release.peek(gene="TP53", condition="paclitaxel", n=1, edge=256)
    server.clear_log()
    seen = release.peek(gene="EIF5A", condition="paclitaxel", n=1, edge=256)
    with zipfile.ZipFile(io.BytesIO(published)) as archive:
        _, size = by_pillow(archive, seen.fields["field_id"].item())
    assert seen.requests == len(server.log) == 4
    assert size < seen.bytes_fetched < size + 4 * 512, "bytes per field: those of its four images"


def test_pixels_are_those_of_the_tensors(release: Release) -> None:
    full = release.peek(antibody="NEGATIVE", condition="paclitaxel", n=1, edge=2048)
    small = release.peek(antibody="NEGATIVE", condition="paclitaxel", n=1)
    assert small.images.shape == (1, 4, 1024, 1024)
    means = full.images.reshape(1, 4, 1024, 2, 1024, 2).mean(axis=(3, 5))
    assert np.array_equal(small.images, np.rint(means)), "halves are rounded to even, as numpy does"


def test_fields_are_spread_and_controls_come_when_they_are_named(release: Release) -> None:
    seen = release.peek(condition="paclitaxel", n=2, edge=64)
    assert seen.matching == 6
    assert seen.fields["well"].to_list() == ["H10", "D1"]
    assert set(release.peek(plate="1", well="h12", condition="paclitaxel", edge=64).fields["is_control"]) == {True}
    empty = release.peek(gene="TP53", well="D1", condition="paclitaxel", edge=64)
    assert (empty.images.shape, empty.fields.height) == ((0, 4, 64, 64), 0)


def test_flags_say_what_the_pixels_say(release: Release, published: bytes) -> None:
    fields = release.peek(gene="TP53", condition="paclitaxel", edge=64).fields
    with zipfile.ZipFile(io.BytesIO(published)) as archive:
        planes = [by_pillow(archive, field_id)[0] for field_id in fields["field_id"]]
    shares = [dict(zip(PLANES, (own >= 16).mean(axis=(1, 2)), strict=True)) for own in planes]
    dark = [[f"empty_{name}" for name, share in own.items() if share < 0.001] for own in shares]
    assert fields["flags"].to_list() == dark
    assert any(dark), "one of these fields is nearly empty"


def test_a_notebook_shows_the_channels(release: Release) -> None:
    seen = release.peek(gene="TP53", condition="paclitaxel", edge=256)
    picture = Image.open(io.BytesIO(seen._repr_png_()))
    assert picture.format == "PNG"
    assert picture.width > 5 * 224
    assert repr(seen).startswith("<Peek at 2 of 2 fields, ")
    assert np.asarray(picture).std() > 10
    nothing = release.peek(gene="TP53", well="D1", condition="paclitaxel", edge=64)
    assert Image.open(io.BytesIO(nothing._repr_png_())).width > 100


def test_an_image_that_is_damaged_on_the_way_is_left_out_and_named(release: Release, server: SandboxServer) -> None:
    field = release.peek(gene="EIF5A", condition="paclitaxel", n=1, edge=64).fields["field_id"].item()
    peeking._catalogues.clear()
    damaged = []

    def flip(request: Request) -> Answer | None:
        answer = server.answer(request)
        body = bytearray(b"".join(answer.body))
        if request.headers.get("range") and body.startswith(b"PK\x03\x04") and b"_green.jpg" in body[:200]:
            body[5_000] ^= 1
            damaged.append(request)
        answer.body = (bytes(body),)
        return answer

    server.faults.append(flip)
    try:
        seen = release.peek(gene="EIF5A", condition="paclitaxel", n=1, edge=64)
    finally:
        server.faults.clear()
    assert damaged
    assert (seen.images.shape[0], seen.fields.height) == (0, 0)
    assert seen.left_out[field].defect == "member_unreadable"
    assert seen.left_out[field].member.endswith("_green.jpg")


def test_a_stored_zip_is_read_where_it_is(
    release: Release, server: SandboxServer, published: bytes, tmp_path: Path
) -> None:
    there = release.peek(gene="TP53", condition="paclitaxel", edge=64)
    path = tmp_path / "x.zip"
    path.write_bytes(published)
    sha256, md5 = hashlib.sha256(published).hexdigest(), hashlib.md5(published).hexdigest()
    BlobStore(release.store.fs, release.store.root).add(path, sha256, {"MD5": md5})
    server.clear_log()
    peeking._catalogues.clear()
    here = release.peek(gene="TP53", condition="paclitaxel", edge=64)
    assert np.array_equal(here.images, there.images)
    assert (here.requests, here.bytes_fetched, len(server.log)) == (0, 0, 0)


def test_nothing_needs_to_be_stored_at_all(server: SandboxServer, tmp_path: Path) -> None:
    settings = Settings.served_by(server.url, storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    seen = peek_version(DOI, VERSION, condition="PTXL", gene="TP53", edge=64, settings=settings)
    assert seen.images.shape == (2, 4, 64, 64)
    assert not (tmp_path / "storage").exists()
    with pytest.raises(NotMaterializedError, match="publishes no images of vorinostat"):
        peek_version("doi:10.5072/FK2/DXSBX5", "1.0", condition="vorinostat", settings=settings)


def test_what_cannot_be_seen_says_why(release: Release, lock: pl.DataFrame, server: SandboxServer) -> None:
    with pytest.raises(SelectionError, match=r"No antibody is against the gene 'TP35'\. Did you mean TP53"):
        release.peek(gene="TP35", condition="paclitaxel")
    with pytest.raises(ValueError, match="an edge length that divides 2048"):
        release.peek(condition="paclitaxel", edge=1000)
    republish(release, lock.filter(pl.col("file_condition") != "vorinostat"))
    with pytest.raises(NotMaterializedError, match="publishes no files of that kind"):
        release.peek(condition="vorinostat")
    embargoed = pl.when(pl.col("role") == "images").then(pl.lit("embargoed")).otherwise("access").alias("access")
    republish(release, lock.with_columns(embargoed, available_on=pl.date(2999, 1, 1)))
    server.clear_log()
    with pytest.raises(AccessDeniedError, match="embargoed until 2999-01-01"):
        release.peek(condition="paclitaxel")
    assert not server.log, "it is not even asked for"


def republish(release: Release, lock: pl.DataFrame) -> None:
    with release.store.stage_table("release_files", Partition(KEY), lock) as staged:
        release.store.publish_table(staged)
