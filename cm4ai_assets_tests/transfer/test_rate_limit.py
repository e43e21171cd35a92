"""How long is waited, by one request and by all processes together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.coordination import Files
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer import errors
from cm4ai_assets.transfer.rate_limit import RateLimit
from cm4ai_assets.transfer.retries import MIB, Patience, RetryPolicy, StallFloor
from cm4ai_assets_tests.transfer.bench import DATA, FAST, FILE, locked, sha256
from cm4ai_assets_tests.transfer.server import Exchange, Server, body, fixture, redirect, refused, whole

RETRIES = RetryPolicy()


def waits(*problems: errors.ArchiveError, random: float = 0.0) -> list[float]:
    patience = Patience(RETRIES, random=lambda: random)
    return [patience.wait_after(problem) for problem in problems]


def test_network_errors_back_off_and_end() -> None:
    assert waits(*[errors.NetworkError("x")] * 5) == [1, 2, 4, 8, 16]
    with pytest.raises(errors.NetworkError):
        waits(*[errors.NetworkError("x")] * 6)


def test_24_a_rate_limit_without_a_time_starts_at_thirty_seconds_and_grows() -> None:
    assert waits(*[errors.RateLimitedError("x")] * 5) == [30, 60, 120, 240, 480]


@pytest.mark.parametrize(("stated", "waited"), [(0, 0), (7, 7), (900, 900), (864_000, 900)])
def test_25_a_stated_time_is_obeyed_up_to_a_cap(stated: float, waited: float) -> None:
    for kind in (errors.RateLimitedError, errors.ServerUnavailableError):
        [wait] = waits(kind("x", retry_after=stated))
        assert waited <= wait <= waited + 1


def test_17_firewalls_are_asked_three_times_slowly() -> None:
    assert waits(*[errors.BlockedByWafError("x")] * 2) == [60, 60]
    with pytest.raises(errors.BlockedByWafError):
        waits(*[errors.BlockedByWafError("x")] * 3)


def test_garbled_answers_are_forgiven_once() -> None:
    assert waits(errors.ProtocolError("x")) == [1]
    with pytest.raises(errors.ProtocolError):
        waits(*[errors.ProtocolError("x")] * 2)


def test_expired_links_are_renewed_at_once() -> None:
    assert waits(errors.LinkExpiredError("x"), errors.LinkExpiredError("x")) == [0, 2]


@pytest.mark.parametrize(
    "kind", [errors.AccessDeniedError, errors.BadTokenError, errors.NotFoundError, errors.TlsError]
)
def test_what_waiting_does_not_help_is_raised_at_once(kind: type[errors.ArchiveError]) -> None:
    with pytest.raises(kind):
        waits(kind("x"))


def test_progress_renews_patience() -> None:
    patience = Patience(RETRIES, random=lambda: 0.0)
    for _ in range(30):
        for _ in range(4):
            patience.wait_after(errors.NetworkError("x"))
        patience.gained(5 * MIB)
        patience.gained(3 * MIB)
    patience.gained(7 * MIB)
    for _ in range(5):
        patience.wait_after(errors.NetworkError("x"))
    with pytest.raises(errors.NetworkError):
        patience.wait_after(errors.NetworkError("x"))


@given(st.floats(0, 1), st.integers(1, 5))
def test_jitter_only_adds(random: float, tries: int) -> None:
    plain = waits(*[errors.NetworkError("x")] * tries)
    jittered = waits(*[errors.NetworkError("x")] * tries, random=random)
    assert all(p <= j <= 1.25 * p for p, j in zip(plain, jittered, strict=True))


def test_06_the_floor_is_measured_over_whole_windows() -> None:
    now = [0.0]
    floor = StallFloor(RETRIES, lambda: now[0])
    for _ in range(120):
        now[0] += 1
        floor.arrived(4096)
    for _ in range(59):
        now[0] += 1
        floor.arrived(1)
    now[0] += 1
    with pytest.raises(errors.StalledError, match="below the floor of 4096"):
        floor.arrived(1)


# --- all processes together ---


def test_24_one_rate_limit_holds_everybody_and_grows(tmp_path: Path) -> None:
    now, slept = [1000.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    def rate_limit() -> RateLimit:
        return RateLimit(Files(tmp_path, now=lambda: now[0]), retries=RETRIES, sleep=sleep)

    rate_limit().wait("h")
    rate_limit().limited("h", None)
    rate_limit().wait("other")
    rate_limit().wait("h")
    rate_limit().limited("h", None)
    rate_limit().limited("h", 5)
    rate_limit().wait("h")
    rate_limit().served("h")
    rate_limit().limited("h", None)
    rate_limit().wait("h")
    assert slept == [30, 60, 30]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"not_before": "x"}', '{"not_before": 1e300, "strikes": 1}'])
def test_a_damaged_record_holds_nobody_for_long(tmp_path: Path, damage: str) -> None:
    slept: list[float] = []
    rate_limit = RateLimit(Files(tmp_path), retries=FAST, sleep=slept.append)
    (tmp_path / "h.json").write_text(damage)
    rate_limit.wait("h")
    assert sum(slept) <= FAST.limited_longest
    rate_limit.limited("h", None)


def test_24_a_limited_client_holds_the_next_one(
    archive: Server, make_client: Callable[..., DataverseClient], tmp_path: Path
) -> None:
    slept: list[float] = []
    rate_limit = RateLimit(Files(tmp_path, now=lambda: 1000.0), retries=FAST, sleep=slept.append)
    limited, fine = refused("error_429_rate_limited.json", 429), body(200, fixture("info_version_6.9.json"))
    archive.on("/api/info/version", limited, limited, fine)
    once = make_client(rate_limit=rate_limit, retries=RetryPolicy(tries=1))
    with pytest.raises(errors.RateLimitedError):
        once.server_version()
    assert slept == []
    with pytest.raises(errors.RateLimitedError):
        make_client(rate_limit=rate_limit, retries=RetryPolicy(tries=1)).server_version()
    assert slept == [pytest.approx(FAST.limited_first)]
    assert make_client(rate_limit=rate_limit).server_version() == "6.9"
    assert slept[1:] == [pytest.approx(2 * FAST.limited_first)]


def test_no_more_transfers_at_once_than_there_are_slots(
    archive: Server, make_client: Callable[..., DataverseClient], tmp_path: Path
) -> None:
    def held(exchange: Exchange) -> None:
        time.sleep(0.05)
        whole(DATA)(exchange)

    archive.on(FILE, held)

    def read(_: int) -> bytes:
        with make_client(rate_limit=RateLimit(Files(tmp_path), slots=2)).open_file(103725) as stream:
            return b"".join(stream.chunks())

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(read, range(5))) == [DATA] * 5
    assert archive.most_at_once == 2


def test_32_the_object_store_is_left_alone_for_a_while_not_the_archive(
    archive: Server, store_host: Server, make_client: Callable[..., DataverseClient], tmp_path: Path
) -> None:
    rate_limit = RateLimit(Files(tmp_path), retries=FAST)
    archive.on(FILE, redirect(lambda: f"{store_host.url}/bucket"))
    store_host.on("/bucket", refused("s3_503_slowdown.xml", 503))
    with pytest.raises(errors.RateLimitedError), make_client(rate_limit=rate_limit).open_file(103725):
        pass
    assert [path.stem.split("_")[0] for path in tmp_path.glob("*.json")] == ["localhost"]


def test_acquiring_shares_by_the_scratch_folder(
    archive: Server, make_client: Callable[..., DataverseClient], blobs: BlobStore, scratch: Path
) -> None:
    def held(exchange: Exchange) -> None:
        time.sleep(0.05)
        whole(DATA)(exchange)

    archive.on(FILE, held)
    distinct = [locked(digest_type=None, digest=None, doi=f"doi:{number}") for number in range(5)]
    with ThreadPoolExecutor(5) as threads:
        done = list(threads.map(lambda file: acquire(file, make_client(), blobs, scratch), distinct))
    assert {one.sha256 for one in done} == {sha256(DATA)}
    assert len(archive.log) == 5
    assert archive.most_at_once == 2


def test_a_slot_is_free_again_when_its_process_dies(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from cm4ai_assets.transfer.rate_limit import RateLimit\n"
        "from cm4ai_assets.coordination import Files\n"
        "with RateLimit(Files(Path(sys.argv[1])), slots=1).slot('h'): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    got = threading.Event()

    def wait() -> None:
        with RateLimit(Files(tmp_path), slots=1).slot("h"):
            got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not got.wait(0.5)
    holder.kill()
    holder.wait()
    assert got.wait(5)
    waiter.join()
