"""What the tests of this room share: servers, a client with short waits, a locked file, a store.

Short are the waits between tries. How long bytes may take is shortened only where a test lets a server be too slow: on
a machine that does other work, every server is slow at times.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.digests import Digests
from cm4ai_assets.transfer import connections, parts
from cm4ai_assets.transfer.acquire import Acquired
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets.transfer.wanted import Wanted
from cm4ai_assets_tests.fixtures.protocol import DOI
from cm4ai_assets_tests.transfer.server import Answer, Server, serving

TOKEN = "s3cret-t0ken-0000"
FILE = "/api/access/datafile/103725"
FAST = RetryPolicy(
    tries=4, first=0.002, longest=0.01, limited_first=0.02, limited_longest=0.1, waf_tries=3, waf_wait=0.004,
    progress=64 * 1024,
)  # fmt: skip


@pytest.fixture(params=["parsed", "long"])
def bodies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which a body is read: by the library's parser, and as a long one by ourselves."""
    if request.param == "long":
        monkeypatch.setattr(connections, "LONG", 1)
    return str(request.param)


@pytest.fixture
def archive() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def store_host() -> Iterator[Server]:
    """The object store: another origin, and another host name."""
    with serving("localhost") as server:
        yield server


@pytest.fixture
def make_client(archive: Server) -> Iterator[Callable[..., DataverseClient]]:
    made: list[DataverseClient] = []

    def make(**more: object) -> DataverseClient:
        arguments = {"retries": FAST, **more}
        made.append(DataverseClient(archive.url, **arguments))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., DataverseClient]) -> DataverseClient:
    return make_client()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(LocalFileSystem(), str(tmp_path / "storage"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def bytes_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


DATA = bytes_of(300_000)
SIZE = len(DATA)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def locked(data: bytes = DATA, **more: object) -> LockedFile:
    row: dict[str, object] = {
        "doi": DOI, "version": "2.1", "directory": "Images", "label": "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip",
        "file_id": 103725, "size": len(data), "digest_type": "MD5", "digest": md5(data),
        "content_type": "application/zip", "is_ingested": False, "access": "public", "available_on": None,
        "unavailable_from": None, "license": "CC BY-NC-SA 4.0", **more,
    }  # fmt: skip
    return LockedFile.from_row(row)


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, without lock files, which stay."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(folder)) for path in found)


KEY = f"md5-{md5(DATA)}"


class Bench:
    """One download of DATA, and what is on the disk and in the log afterwards."""

    def __init__(self, archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, root: Path) -> None:
        self.archive, self.client, self.blobs, self.scratch, self.root = archive, client, blobs, scratch, root

    def fetch(self, *answers: Answer, **more: object) -> Acquired:
        self.archive.on(FILE, *answers)
        return acquire(locked(**more), self.client, self.blobs, self.scratch)

    def keep(
        self, part: bytes, *, counted: bool = True, wanted: Wanted | None = None, journal: bytes | None = None
    ) -> None:
        """Leave what an earlier run would have left."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        (self.scratch / f"{KEY}.part").write_bytes(part)
        record = {
            "version": parts.JOURNAL_VERSION,
            "wanted": vars(wanted or Wanted(KEY, SIZE, "MD5", md5(DATA))),
            "counted": counted,
        }
        (self.scratch / f"{KEY}.json").write_bytes(json.dumps(record).encode() if journal is None else journal)

    @property
    def starts(self) -> list[int | None]:
        return [seen.range_start for seen in self.archive.asked(FILE)]

    @property
    def kept(self) -> int:
        return (self.scratch / f"{KEY}.part").stat().st_size

    def assert_stored(self, acquired: Acquired, *, others: Collection[str] = ()) -> None:
        """The right bytes are stored, nothing is left, and the archive counted one download."""
        assert (self.root / "storage" / acquired.path).read_bytes() == DATA
        assert acquired.sha256 == sha256(DATA)
        assert {path.stem for path in (*self.scratch.glob("*.part"), *self.scratch.glob("*.json"))} == set(others)
        assert len([seen for seen in self.archive.asked(FILE) if "gbrecs" not in seen.query]) <= 1

    def assert_nothing_stored(self) -> None:
        assert files_below(self.root / "storage") == []


@pytest.fixture
def bench(archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, tmp_path: Path) -> Bench:
    return Bench(archive, client, blobs, scratch, tmp_path)


def digests_of(path: Path, *digest_types: str) -> dict[str, str]:
    """The digests of a file."""
    with Digests(digest_types) as digests:
        digests.read(path)
        return digests.digests()
