"""Stored, or fetched once: the engine alone, with remote files that speak no protocol."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from cm4ai_assets.errors import ArchiveError, DigestMismatchError, NoSpaceError
from cm4ai_assets.storage import blobs as blobs_module
from cm4ai_assets.storage import disk
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer import acquire as acquire_module
from cm4ai_assets.transfer.acquire import Item, RemoteFiles, fetch_to, stored, stored_or_fetched
from cm4ai_assets.transfer.download import Fetched, fetch
from cm4ai_assets.transfer.errors import AccessDeniedError, NotFoundError, ProtocolError, UnverifiableError
from cm4ai_assets.transfer.wanted import Wanted
from cm4ai_assets_tests.transfer.bench import DATA, FAST, files_below, md5, sha256

BARE = Item("a file without a digest", "ena ERR1 300000", len(DATA))
NAMED = Item("a file with a digest", "figshare 1", len(DATA), "MD5", md5(DATA))


@dataclass(frozen=True)
class _Stream:
    start: int
    total: int | None
    data: bytes
    url: str = "https://example.org/file"
    headers: Mapping[str, str] = field(default_factory=dict)

    def chunks(self, _room: object = None) -> Iterator[bytes]:
        for at in range(self.start, len(self.data), 100_000):
            yield self.data[at : at + 100_000]


@dataclass
class Remote:
    """Bytes somewhere, or why they are not; how often they were asked for."""

    data: bytes = DATA
    refusal: ArchiveError | None = None
    cut: int | None = None
    starts: list[int] = field(default_factory=list)
    hold: threading.Event | None = None
    name: str = "somewhere"

    @contextmanager
    def open(self, offset: int, *, counted: bool) -> Iterator[_Stream]:
        del counted
        self.starts.append(offset)
        if self.refusal:
            raise self.refusal
        if self.hold:
            self.hold.wait(5)
        yield _Stream(offset, len(self.data), self.data[: self.cut])


def never() -> list[Remote]:
    raise AssertionError("asked although the bytes are stored")


def test_bytes_are_fetched_once_and_found_again_by_digest(blobs: BlobStore, scratch: Path) -> None:
    remote = Remote()
    first = stored_or_fetched(NAMED, lambda: [remote], blobs, scratch)
    again = stored_or_fetched(Item("other", "other", len(DATA), "MD5", md5(DATA)), never, blobs, scratch)
    assert (first.verified, first.reused, first.requests, first.fetched_bytes) == ("digest", False, 1, len(DATA))
    assert (again.sha256, again.reused, again.requests, again.fetched_bytes) == (sha256(DATA), True, 0, 0)
    assert files_below(scratch) == []


def test_what_was_verified_while_it_arrived_is_not_read_again_to_be_stored(
    blobs: BlobStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr(blobs_module, "_whole", lambda path, _: read.append(path))
    with pytest.raises(ArchiveError, match=r"ended after 200,000"):
        stored_or_fetched(NAMED, lambda: [Remote(cut=200_000)], blobs, scratch, retries=FAST)
    made = stored_or_fetched(NAMED, lambda: [Remote()], blobs, scratch)
    assert read == []
    with blobs.open(made.sha256) as source:
        assert source.read_at(0, len(DATA)) == DATA
    recorded = blobs.recorded_blocks(made.sha256)
    assert recorded is not None
    assert recorded.fault(0, DATA) is None


def test_bytes_that_are_touched_before_they_are_stored_are_read_again(
    blobs: BlobStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def touched(*args: Any, **more: Any) -> Fetched:
        fetched = fetch(*args, **more)
        fetched.path.write_bytes(b"x" + DATA[1:])
        return fetched

    monkeypatch.setattr(acquire_module, "fetch", touched)
    with pytest.raises(DigestMismatchError, match="changed before it was stored"):
        stored_or_fetched(NAMED, lambda: [Remote()], blobs, scratch)
    assert stored(NAMED, blobs) is None


def test_without_a_digest_the_first_use_is_noted_and_held_against(blobs: BlobStore, scratch: Path) -> None:
    first = stored_or_fetched(BARE, lambda: [Remote()], blobs, scratch)
    assert first.verified == "size"
    assert stored_or_fetched(BARE, never, blobs, scratch).reused
    blobs.withdraw(first.sha256)
    other = Remote(DATA[:-1] + b"\0")
    with pytest.raises(DigestMismatchError, match=f"not {sha256(DATA)} as when it was first stored"):
        stored_or_fetched(BARE, lambda: [other], blobs, scratch, retries=FAST)
    assert stored(BARE, blobs) is None


def test_leftovers_of_a_process_that_died_after_storing_are_cleared(blobs: BlobStore, scratch: Path) -> None:
    for item in (NAMED, BARE):
        stored_or_fetched(item, lambda: [Remote()], blobs, scratch)
        (scratch / f"{item.key}.part").write_bytes(DATA)
        (scratch / f"{item.key}.json").write_text("{}")
        with FileLock(scratch / "locks" / f"{item.key}.lock"):  # somebody is just storing them
            assert stored_or_fetched(item, never, blobs, scratch).reused
            assert len(files_below(scratch)) == 2
        assert stored_or_fetched(item, never, blobs, scratch).reused
        assert files_below(scratch) == []


def promise(scratch: Path, size: int) -> FileLock:
    """Another process that is fetching so many bytes into the same folder; its lock."""
    (scratch / "locks").mkdir(parents=True)
    record = {"version": 1, "wanted": vars(Wanted("md5-other", size, "MD5", "0" * 32)), "counted": True}
    (scratch / "md5-other.json").write_text(json.dumps(record))
    (scratch / "md5-other.part").write_bytes(b"")
    return FileLock(scratch / "locks/md5-other.lock")


def test_room_is_left_for_what_others_are_fetching(
    blobs: BlobStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = promise(scratch, 10**9)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=disk.RESERVE + 10**9))
    remote = Remote()
    with lock, pytest.raises(NoSpaceError, match="300,000 bytes are to be written"):
        stored_or_fetched(BARE, lambda: [remote], blobs, scratch)
    with lock, pytest.raises(NoSpaceError, match="300,000 bytes are to be written"):
        fetch_to(scratch / "mine", BARE, lambda: [remote], scratch)
    assert remote.starts == []
    assert stored_or_fetched(BARE, lambda: [remote], blobs, scratch).size == len(DATA)


def test_two_that_want_the_same_bytes_make_one_download(blobs: BlobStore, scratch: Path) -> None:
    remote = Remote(hold=threading.Event())
    with ThreadPoolExecutor(3) as threads:
        jobs = [threads.submit(stored_or_fetched, BARE, lambda: [remote], blobs, scratch) for _ in range(3)]
        assert remote.hold is not None
        remote.hold.set()
        assert sorted(job.result().reused for job in jobs) == [False, True, True]
    assert remote.starts == [0]


def test_two_machines_that_want_the_same_bytes_make_one_download(
    blobs: BlobStore, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the storage and the database, and each has a scratch folder of its own."""
    remote = Remote(hold=threading.Event())
    scratch = [tmp_path / name for name in ("one", "two")]
    monkeypatch.setenv("CM4AI_DATABASE", database)
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(stored_or_fetched, BARE, lambda: [remote], blobs, folder) for folder in scratch]
        assert remote.hold is not None
        time.sleep(0.5)  # for both to be there
        remote.hold.set()
        assert sorted(job.result().reused for job in jobs) == [False, True]
    assert remote.starts == [0]
    assert [files_below(folder) for folder in scratch] == [[], []]


@pytest.mark.parametrize("refusal", [NotFoundError("not here"), ProtocolError("garbled")])
def test_the_next_way_goes_on_where_the_first_has_nothing(
    blobs: BlobStore, scratch: Path, refusal: ArchiveError
) -> None:
    first, second = Remote(refusal=refusal), Remote()
    assert stored_or_fetched(BARE, lambda: [first, second], blobs, scratch, retries=FAST).size == len(DATA)
    assert first.starts
    assert second.starts == [0]


def test_a_refusal_that_is_an_answer_ends_it_and_is_explained(blobs: BlobStore, scratch: Path) -> None:
    second, meaning = Remote(), AccessDeniedError("It is embargoed.", state="embargoed")
    ways: RemoteFiles = lambda: [Remote(refusal=AccessDeniedError("403")), second]  # noqa: E731
    with pytest.raises(AccessDeniedError, match="It is embargoed") as caught:
        stored_or_fetched(BARE, ways, blobs, scratch, explain=lambda _: meaning)
    assert caught.value is meaning
    assert isinstance(caught.value.__cause__, AccessDeniedError)
    assert second.starts == []
    with pytest.raises(AccessDeniedError, match="403"):
        stored_or_fetched(BARE, ways, blobs, scratch)


def test_nothing_is_fetched_that_could_not_be_verified(blobs: BlobStore, scratch: Path) -> None:
    remote = Remote()
    with pytest.raises(UnverifiableError, match="does not state the size of some file"):
        stored_or_fetched(Item("some file", "x", None), lambda: [remote], blobs, scratch)
    assert remote.starts == []


def test_a_file_of_the_readers_own_appears_verified(scratch: Path, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError):
        fetch_to(tmp_path / "mine", NAMED, lambda: [Remote(DATA[::-1])], scratch, retries=FAST)
    assert not (tmp_path / "mine").exists()
    fetch_to(tmp_path / "mine", NAMED, lambda: [Remote()], scratch)
    assert (tmp_path / "mine").read_bytes() == DATA
