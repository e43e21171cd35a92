"""Evidence: one copy of the same bytes, no secrets, and never more than the limits."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.errors import DigestMismatchError, SizeMismatchError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer import quarantine
from cm4ai_assets.transfer.quarantine import Evidence, Quarantine
from cm4ai_assets.transfer.wanted import Wanted
from cm4ai_assets_tests.transfer.bench import DATA, FILE, TOKEN, Bench, files_below, locked, md5, sha256
from cm4ai_assets_tests.transfer.server import Exchange, Server, endless, whole


def wrong(number: int = 1) -> bytes:
    return DATA[:-1] + bytes([DATA[-1] ^ number])


def kept(folder: Path) -> list[str]:
    return files_below(folder / "quarantine")


def test_six_refused_runs_leave_one_copy(bench: Bench) -> None:
    for _ in range(6):
        with pytest.raises(DigestMismatchError):
            bench.fetch(whole(wrong()))
    assert kept(bench.scratch) == sorted([f"{sha256(wrong())}.bytes", f"md5-{md5(DATA)}-{sha256(wrong())[:20]}.json"])


def test_too_many_bytes_and_wrong_sizes_are_kept_once_too(bench: Bench) -> None:
    for answer in (endless(DATA, b"z" * 1000), whole(DATA[:100_000])):
        for _ in range(3):
            with pytest.raises(SizeMismatchError):
                bench.fetch(answer)
    assert len(kept(bench.scratch)) == 3  # evidence of both, bytes of the first


def test_one_page_sent_for_many_files_is_kept_once(bench: Bench) -> None:
    for number in range(3):
        bench.archive.on(FILE, whole(wrong()))
        with pytest.raises(DigestMismatchError):
            acquire(locked(digest=f"{number}" * 32), bench.client, bench.blobs, bench.scratch)
    names = kept(bench.scratch)
    assert [name for name in names if name.endswith(".bytes")] == [f"{sha256(wrong())}.bytes"]
    assert len(names) == 4


def test_a_token_that_the_server_sends_back_is_not_kept(
    archive: Server, make_client: Callable[..., DataverseClient], blobs: BlobStore, scratch: Path
) -> None:
    def echo(exchange: Exchange) -> None:
        said = f"you sent X-Dataverse-key: {exchange.seen.headers['x-dataverse-key']} ".encode()
        data = said + DATA[len(said) :]
        exchange.head(
            200, Content_Type="application/zip", Content_Length=str(len(data)), X_Echo=TOKEN,
            X_Link="https://store.example/x?X-Amz-Signature=0abc",
        )  # fmt: skip
        exchange.write(data)

    archive.on(FILE, echo)
    with pytest.raises(DigestMismatchError):
        acquire(locked(), make_client(token=TOKEN), blobs, scratch)
    assert len(kept(scratch)) == 2
    for name in kept(scratch):
        held = (scratch / "quarantine" / name).read_bytes()
        assert TOKEN.encode() not in held
        assert TOKEN.encode().hex().encode() not in held
        assert b"0abc" not in held
    report = json.loads(next((scratch / "quarantine").glob("*.json")).read_bytes())
    assert report["first_bytes"]["text"].startswith("you sent X-Dataverse-key: [hidden] ")
    assert report["headers"]["X-Echo".lower()] == "[hidden]"


def put(folder: Path, number: int, *, size: int = 1000) -> Path:
    content = folder / "content"
    content.write_bytes(bytes([number]) * size)
    return Quarantine(folder / "quarantine").keep(
        Wanted(f"md5-{number}", size, "MD5", "0" * 32), Evidence("here", "https://a.example/x", {}, "wrong"),
        beginning=b"x", size=size, digests={"SHA-256": sha256(content.read_bytes())}, content=content,
    )  # fmt: skip


def test_what_is_old_goes(tmp_path: Path) -> None:
    old = put(tmp_path, 1)
    long_ago = time.time() - quarantine.AGE_LIMIT - 60
    for path in old.parent.iterdir():
        os.utime(path, (long_ago, long_ago))
    new = put(tmp_path, 2)
    assert not old.exists()
    assert len(list(new.parent.iterdir())) == 2


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "SIZE_LIMIT", 5000)
    for number in range(1, 9):
        last = put(tmp_path, number)
        for path in last.parent.iterdir():
            if time.time() - path.stat().st_mtime < 50:
                os.utime(path, (time.time() - 1000 + 100 * number,) * 2)
    left = {path.name for path in last.parent.iterdir()}
    assert sum(path.stat().st_size for path in last.parent.iterdir()) <= 5000
    assert last.name in left
    assert f"{sha256(bytes([8]) * 1000)}.bytes" in left
    assert not any(name.startswith("md5-1-") for name in left)
