"""Digests of a stream in one pass: the same whatever its pieces, with bounded memory, and no thread left behind."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from cm4ai_assets.storage import digests as module
from cm4ai_assets.storage.blocks import BLOCK_SIZE, BlockDigests, BlockHash
from cm4ai_assets.storage.digests import Digests, digest_blocks
from cm4ai_assets_tests.transfer.bench import bytes_of, md5, sha256

BLOCK = module._MEMORY


def of_blocks(data: bytes) -> bytes:
    return b"".join(blake3(data[at : at + BLOCK_SIZE]).digest() for at in range(0, len(data), BLOCK_SIZE))


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 2 * BLOCK + 77])
@pytest.mark.parametrize("piece", [999, BLOCK_SIZE, 700_000, 3 * BLOCK])
def test_one_pass_gives_the_digests_of_the_whole_and_of_its_blocks(size: int, piece: int, tmp_path: Path) -> None:
    data = bytes_of(size, seed=size)
    with Digests(["MD5"]) as digests:
        for at in range(0, size, piece):
            digests.update(data[at : at + piece])
        assert digests.blocks() == BlockDigests(sha256(data), size, of_blocks(data))
        assert digests.digests() == {"MD5": md5(data), "SHA-256": sha256(data)}
        digests.restart()
        digests.update(b"other")
        assert digests.blocks() == BlockDigests(sha256(b"other"), 5, of_blocks(b"other"))
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        assert digest_blocks(lambda _: file.read(piece)) == BlockDigests(sha256(data), size, of_blocks(data))


def test_a_stream_that_is_faster_than_its_digests_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, given = threading.Event(), []
    monkeypatch.setattr(BlockHash, "update", lambda *_: go_on.wait(30))
    with Digests([]) as digests:
        chunk = bytes(BLOCK)

        def stream() -> None:
            for number in range(100):
                digests.update(chunk)
                given.append(number)

        sender = threading.Thread(target=stream)
        sender.start()
        sender.join(0.5)
        waiting = len(given)
        go_on.set()
        sender.join()
    assert waiting <= module._AHEAD
    assert len(given) == 100


def test_what_is_handed_over_may_be_written_to_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, update = threading.Event(), BlockHash.update
    monkeypatch.setattr(BlockHash, "update", lambda self, data: (go_on.wait(30), update(self, data)))
    memory = bytearray(b"a" * BLOCK)
    with Digests([]) as digests:
        digests.update(memoryview(memory))
        memory[:] = b"b" * BLOCK
        digests.update(memoryview(memory))
        memory[:] = b"c" * BLOCK
        go_on.set()
        assert digests.blocks().digests == of_blocks(b"a" * BLOCK + b"b" * BLOCK)


def test_memory_is_used_again_only_when_every_digest_has_read_it() -> None:
    data = bytes_of(20 * BLOCK + 77, seed=3)
    with Digests(["MD5"]) as digests:
        digests.update(data)
        assert digests.digests() == {"MD5": md5(data), "SHA-256": sha256(data)}
        assert digests.blocks().digests == of_blocks(data)
        assert digests._made == module._AHEAD


def test_a_whole_file_is_taken_behind_what_came_before(tmp_path: Path) -> None:
    data = bytes_of(2 * BLOCK + 77, seed=4)
    (tmp_path / "file").write_bytes(data)
    with Digests([]) as digests:
        digests.update(b"before")
        assert digests.read(tmp_path / "file") == len(data)
        digests.update(b"after")
        assert digests.digests() == {"SHA-256": sha256(b"before" + data + b"after")}


def test_a_download_that_breaks_off_leaves_no_thread() -> None:
    def broken() -> None:
        with Digests(["MD5"]) as digests:
            digests.update(bytes(3 * BLOCK))
            raise OSError("cut")

    before = threading.active_count()
    with pytest.raises(OSError, match="cut"):
        broken()
    assert threading.active_count() == before


def test_what_was_read_into_the_memory_of_digests_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    data, at = bytes_of(6 * BLOCK + 77, seed=5), 1000
    with Digests(["MD5"]) as digests:
        digests.update(data[:at])
        rooms = []
        with monkeypatch.context() as patched:
            patched.setattr(digests, "room", lambda: rooms.append(Digests.room(digests)) or rooms[-1])
            while at < len(data):
                room = digests.room()[:700_000]
                piece = data[at : at + len(room)]
                room[: len(piece)] = piece
                digests.update(room[: len(piece)])
                at += len(piece)
        assert len(rooms) < 2 * len(data) / 700_000, "asked for by whoever reads, and not once more by `update`"
        room = digests.room()
        assert digests.room() == room, "what was not handed over is given again"
        assert digests.blocks() == BlockDigests(sha256(data), len(data), of_blocks(data))
        assert digests.digests()["MD5"] == md5(data)


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
@pytest.mark.parametrize(("published", "awaited"), [("MD5", "MD5"), ("SHA-512", "SHA-512"), (None, "SHA-256")])
def test_the_other_digests_give_way_to_the_one_that_is_awaited(published: str | None, awaited: str) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with Digests([published]) as digests:
        digests.update(bytes(2 * BLOCK))
        given = {
            kind: thread.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result() - own
            for kind, thread in digests._threads.items()
        }
    assert given.pop(awaited) == 0
    assert set(given.values()) == {min(module._GIVEN, 19 - own)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
