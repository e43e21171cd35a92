"""Pulling a file of a deposit: stored once, with room for what others fetch and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from cm4ai_assets.archives.massive.acquire import pull
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.errors import NoSpaceError
from cm4ai_assets.storage import disk
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.errors import UnverifiableError
from cm4ai_assets_tests.transfer.bench import DATA, FAST, files_below, sha256
from cm4ai_assets_tests.transfer.server import Server, body, serving
from cm4ai_assets_tests.transfer.test_acquire import promise

FILE = "/ProteoSAFe/DownloadResultFile"
WANTED = DepositFile("MSV000098237", "search/a.tsv", len(DATA))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.on(FILE, body(200, DATA, Content_Type="text/plain"))
        yield running


@pytest.fixture
def massive(server: Server) -> Iterator[MassiveClient]:
    with MassiveClient(server.url, retries=FAST) as made:
        yield made


def test_a_file_is_pulled_once_and_its_digest_kept(
    server: Server, massive: MassiveClient, blobs: BlobStore, scratch: Path
) -> None:
    first, again = (pull(WANTED, massive, blobs, scratch) for _ in range(2))
    assert (first.sha256, first.verified, again.reused) == (sha256(DATA), "size", True)
    assert [seen.query["file"] for seen in server.log] == ["f.MSV000098237/search/a.tsv"]
    assert blobs.index.first_use(WANTED.identity) is not None


def test_room_is_left_for_what_others_are_fetching(
    server: Server, massive: MassiveClient, blobs: BlobStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = promise(scratch, 10**9)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk.RESERVE + 10**9))
    with lock, pytest.raises(NoSpaceError, match="300,000 bytes are to be written"):
        pull(WANTED, massive, blobs, scratch)
    assert server.log == []
    assert pull(WANTED, massive, blobs, scratch).size == len(DATA)


def test_what_a_killed_pull_left_is_cleared(massive: MassiveClient, blobs: BlobStore, scratch: Path) -> None:
    pull(WANTED, massive, blobs, scratch)
    (lock,) = (scratch / "locks").iterdir()
    (scratch / f"{lock.stem}.part").write_bytes(DATA)
    (scratch / f"{lock.stem}.json").write_text("{}")
    with FileLock(lock):
        pull(WANTED, massive, blobs, scratch)
        assert len(files_below(scratch)) == 2
    pull(WANTED, massive, blobs, scratch)
    assert files_below(scratch) == []


def test_a_file_of_unknown_size_is_not_pulled(
    server: Server, massive: MassiveClient, blobs: BlobStore, scratch: Path
) -> None:
    with pytest.raises(UnverifiableError, match=r"size of MSV000098237/search/a\.tsv"):
        pull(DepositFile("MSV000098237", "search/a.tsv", None), massive, blobs, scratch)
    assert server.log == []
