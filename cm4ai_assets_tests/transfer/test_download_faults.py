"""What a download does when the way, the server or the disk fails. Numbers are those of the fault list."""

from __future__ import annotations

import errno
import gzip
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from filelock import FileLock

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.errors import DigestMismatchError, NoSpaceError, ScratchError, SizeMismatchError
from cm4ai_assets.storage import disk as files
from cm4ai_assets.transfer import parts
from cm4ai_assets.transfer.errors import BlockedByWafError, NetworkError, RangeError, StalledError
from cm4ai_assets.transfer.http import Timeouts
from cm4ai_assets.transfer.wanted import Wanted
from cm4ai_assets_tests.transfer.bench import (
    DATA,
    FAST,
    FILE,
    KEY,
    SIZE,
    Bench,
    bytes_of,
    files_below,
    locked,
    md5,
)
from cm4ai_assets_tests.transfer.server import (
    Answer,
    Exchange,
    Server,
    body,
    claiming,
    cut,
    endless,
    ignoring_range,
    redirect,
    refused,
    reset,
    slow,
    whole,
)

pytestmark = pytest.mark.usefixtures("bodies")

# --- 1 to 6: breaking off ---


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("at", [1, 65_537, 200_000, SIZE - 1])
def test_01_02_a_cut_is_resumed_where_it_was(bench: Bench, at: int, *, announced: bool) -> None:
    acquired = bench.fetch(cut(DATA, at, announced=announced), whole(DATA))
    bench.assert_stored(acquired)
    assert bench.starts == [None, at]
    assert [seen.query for seen in bench.archive.log] == [{}, {"gbrecs": "true"}]
    assert acquired.fetched_bytes == SIZE


def test_03_a_cut_on_every_request_is_no_reason_to_stop_while_there_is_progress(bench: Bench) -> None:
    acquired = bench.fetch(cut(DATA, 40_000))
    bench.assert_stored(acquired)
    assert bench.starts == [None, *range(40_000, SIZE, 40_000)]
    assert acquired.requests == 8


def test_03_without_progress_patience_ends_and_what_arrived_is_kept(bench: Bench) -> None:
    with pytest.raises(NetworkError, match="connection failed") as caught:
        bench.fetch(cut(DATA, 1000), cut(DATA, 0))
    assert caught.value.retryable
    assert bench.starts == [None, 1000, 1000, 1000]
    assert bench.kept == 1000
    bench.assert_nothing_stored()
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts[-1] == 1000


@pytest.mark.parametrize("first", [reset, cut(DATA, 100_000, reset=True)], ids=["at once", "in the middle"])
def test_04_a_reset_is_retried(bench: Bench, first: Answer) -> None:
    bench.assert_stored(bench.fetch(first, whole(DATA)))
    assert len(bench.starts) == 2


def test_04_a_refused_connection_is_retried_and_then_told(
    bench: Bench, make_client: Callable[..., DataverseClient]
) -> None:
    bench.archive.stop()
    with pytest.raises(
        NetworkError, match=r"connection failed \(http://127.0.0.1:\d+/api/access/datafile/103725\?gbrecs"
    ):
        bench.fetch(whole(DATA))


def test_05_a_stall_times_out_and_is_resumed(bench: Bench, make_client: Callable[..., DataverseClient]) -> None:
    bench.client = make_client(timeouts=Timeouts(read=1))
    bench.assert_stored(bench.fetch(slow(DATA, first=120_000, then=5.0, step=1), whole(DATA)))
    assert bench.starts == [None, 120_000]


def test_06_a_drip_is_a_stall_and_not_endless(bench: Bench, make_client: Callable[..., DataverseClient]) -> None:
    bench.client = make_client(retries=replace(FAST, stall_window=0.2, stall_floor=50_000.0))
    with pytest.raises(StalledError, match=r"below the floor of 50000") as caught:
        bench.fetch(slow(DATA, first=0, then=0.02, step=10))
    assert "can be resumed" in caught.value.remedy
    assert len(bench.starts) == 4
    assert 0 < bench.kept < 1000


# --- 7 to 11: ranges ---


def test_07_a_server_that_ignores_ranges_makes_it_begin_again(bench: Bench) -> None:
    acquired = bench.fetch(cut(DATA, 100_000), ignoring_range(DATA))
    bench.assert_stored(acquired)
    assert bench.starts == [None, 100_000]
    assert acquired.fetched_bytes == SIZE + 100_000


def test_07_a_server_that_can_only_begin_again_and_always_breaks_off_is_given_up(bench: Bench) -> None:
    def broken(exchange: Exchange) -> None:
        exchange.head(200, Content_Type="application/zip", Content_Length=str(SIZE))
        exchange.write(DATA[:150_000])
        exchange.close()

    with pytest.raises(NetworkError):
        bench.fetch(broken)
    assert len(bench.starts) <= 6
    bench.assert_nothing_stored()


@pytest.mark.parametrize(
    "stated",
    [
        f"bytes 0-{SIZE - 1}/{SIZE}",
        f"bytes 99999-{SIZE - 1}/{SIZE}",
        f"bytes 100000-{SIZE - 1}/{SIZE + 1}",
        f"bytes 100000-{SIZE}/{SIZE}",
        "bytes 100000-99999/300000",
        "bytes */300000",
        "nonsense",
        "",
    ],
)
def test_08_a_wrong_piece_is_rejected_and_the_whole_asked_for(bench: Bench, stated: str) -> None:
    bench.assert_stored(bench.fetch(cut(DATA, 100_000), claiming(DATA, stated), whole(DATA)))
    assert bench.starts == [None, 100_000, None]


def test_08_a_piece_with_status_200_is_a_piece(bench: Bench) -> None:
    piece = claiming(DATA, f"bytes 100000-{SIZE - 1}/{SIZE}", status=200)
    bench.assert_stored(bench.fetch(cut(DATA, 100_000), piece))
    assert bench.starts == [None, 100_000]


def test_08_a_wrong_piece_again_is_an_error(bench: Bench) -> None:
    wrong = claiming(DATA, "bytes 5-9/10")
    with pytest.raises(RangeError, match="was asked for the bytes from 100000 on and sent 'bytes 5-9/10'"):
        bench.fetch(cut(DATA, 100_000), wrong, cut(DATA, 100_000), wrong)
    bench.assert_nothing_stored()


def test_09_more_than_published_stops_and_is_kept_aside(bench: Bench) -> None:
    with pytest.raises(SizeMismatchError, match="sends more than the 300,000 bytes published") as caught:
        bench.fetch(endless(DATA, b"z" * 100_000))
    evidence = next((bench.scratch / "quarantine").glob("*.json"))
    assert str(evidence.parent) in caught.value.remedy
    assert json.loads(evidence.read_text())["arrived"]["size"] == SIZE + 1
    assert len(bench.starts) == 2
    bench.assert_nothing_stored()


def test_09_a_longer_file_by_its_own_account_is_refused_before_it_is_taken(bench: Bench) -> None:
    with pytest.raises(SizeMismatchError, match="is 300,004 bytes long, not 300,000 as published"):
        bench.fetch(whole(DATA + b"more"))
    assert bench.kept == 0
    bench.assert_nothing_stored()


def test_09_more_once_is_forgiven(bench: Bench) -> None:
    bench.assert_stored(bench.fetch(endless(DATA, b"z"), whole(DATA)))


def test_10_a_part_that_is_already_whole_is_verified_without_asking(bench: Bench) -> None:
    bench.keep(DATA)
    acquired = bench.fetch(whole(DATA))
    bench.assert_stored(acquired)
    assert bench.archive.log == []
    assert acquired.fetched_bytes == 0


def test_11_a_file_that_shrank_is_listed_again_and_reported(bench: Bench) -> None:
    bench.keep(DATA[:200_000])
    with pytest.raises(SizeMismatchError, match="is 100,000 bytes long, not 300,000 as published"):
        bench.fetch(whole(DATA[:100_000]))
    assert bench.starts == [200_000, None, None]
    assert bench.archive.log[-1].path.endswith("/versions/2.1")
    bench.assert_nothing_stored()


# --- 12 to 14: wrong bytes ---


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("at", [0, 150_000, SIZE - 1])
def test_12_a_flipped_bit_is_kept_aside_and_fetched_anew(bench: Bench, at: int) -> None:
    acquired = bench.fetch(whole(flipped(DATA, at)), whole(DATA))
    bench.assert_stored(acquired)
    assert acquired.fetched_bytes == 2 * SIZE
    assert len(list((bench.scratch / "quarantine").glob("*.json"))) == 1


def test_13_a_bit_that_flipped_in_the_kept_part_is_noticed(bench: Bench) -> None:
    bench.keep(flipped(DATA[:200_000], 100))
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts == [200_000, None]


def test_14_content_that_changes_between_pieces_is_noticed(bench: Bench) -> None:
    bench.assert_stored(bench.fetch(cut(bytes_of(SIZE, 9), 150_000), whole(DATA)))
    assert bench.starts == [None, 150_000, None]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"null", b'{"version": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_part_with_a_damaged_journal_is_not_trusted(bench: Bench, junk: bytes) -> None:
    bench.keep(DATA[:1000], journal=junk)
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts == [None]
    # Nobody knows whether it was counted: once too few is better than once too many.
    assert bench.archive.log[0].query == {"gbrecs": "true"}


def test_a_part_of_another_file_is_not_gone_on_with(bench: Bench) -> None:
    bench.keep(DATA[:1000], wanted=Wanted(KEY, SIZE + 1, "MD5", md5(DATA)))
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts == [None]


def test_a_part_longer_than_the_file_is_begun_again(bench: Bench) -> None:
    bench.keep(DATA + b"more")
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts == [None]


# --- 15 to 18: not the file ---


@pytest.mark.parametrize("label", ["gzip", "aws-chunked", "binary", "UTF-8", "aws-chunked,gzip"])
def test_15_an_encoding_that_is_only_a_label_is_no_fault(bench: Bench, label: str) -> None:
    """An object store sends back as a header what was stored as metadata: size and digest say what the bytes are."""
    bench.assert_stored(bench.fetch(cut(DATA, 100_000), whole(DATA, Content_Encoding=label)))


@pytest.mark.parametrize("announced", [True, False])
def test_15_bytes_that_were_really_encoded_on_the_way_are_refused(bench: Bench, *, announced: bool) -> None:
    def encoded(exchange: Exchange) -> None:
        data = gzip.compress(DATA) + b"\0" * 1000
        length = {"Content_Length": str(len(data))} if announced else {"Connection": "close"}
        exchange.head(200, Content_Type="application/zip", Content_Encoding="gzip", **length)
        exchange.write(data)
        exchange.close()

    with pytest.raises(SizeMismatchError) as caught:
        bench.fetch(encoded)
    assert "came with Content-Encoding gzip, not asked for: a proxy on the way" in caught.value.remedy
    bench.assert_nothing_stored()


def test_16_a_sign_in_page_is_not_taken_for_the_file(bench: Bench) -> None:
    bench.keep(DATA[:150_000])
    with pytest.raises(BlockedByWafError, match="A web page was sent instead of Images/cm4ai_ifimages"):
        bench.fetch(refused("error_200_html_masquerade.html", 200))
    assert bench.kept == 150_000
    bench.assert_nothing_stored()
    bench.assert_stored(bench.fetch(refused("error_200_html_masquerade.html", 200), whole(DATA)))


def test_16_a_page_in_disguise_is_refused_by_its_size(bench: Bench) -> None:
    bench.keep(DATA[:150_000])
    with pytest.raises(SizeMismatchError, match="is 15 bytes long"):
        bench.fetch(body(200, b"<html>no</html>", Content_Type="application/zip"))
    assert bench.kept == 150_000


def test_16_a_page_that_is_the_file_is_taken(bench: Bench) -> None:
    bench.assert_stored(bench.fetch(whole(DATA, "text/html"), content_type="text/html"))


def test_17_a_firewall_is_asked_a_few_times_only(bench: Bench) -> None:
    challenge = body(202, b"", x_amzn_waf_action="challenge")
    with pytest.raises(BlockedByWafError, match="HTTP 202") as caught:
        bench.fetch(challenge)
    assert "User-Agent cm4ai-assets" in caught.value.remedy
    assert "DATAVERSE_API_TOKEN" in caught.value.remedy
    assert len(bench.starts) == 3
    bench.assert_stored(bench.fetch(challenge, whole(DATA)))


def test_18_a_blocked_agent_is_not_taken_for_a_restriction(bench: Bench) -> None:
    with pytest.raises(BlockedByWafError, match="turned the request away, HTTP 403"):
        bench.fetch(refused("error_403_apache_ua_block.html", 403))
    assert len(bench.starts) == 3


# --- 24 to 28, 30, 32: come back later ---


@pytest.mark.parametrize(
    "busy",
    [
        refused("error_429_rate_limited.json", 429),
        refused("error_429_rate_limited.json", 429, Retry_After="0"),
        refused("error_503_maintenance.html", 503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"),
        refused("error_503_maintenance.html", 503, Retry_After="soon"),
        refused("error_503_maintenance.html", 503, Retry_After="864000"),
        refused("error_500_incident.json", 500),
        refused("error_502_proxy.html", 502),
        refused("error_503_service.json", 503),
        refused("s3_503_slowdown.xml", 503),
    ],
    ids=["429", "429 at once", "date", "garbage", "ten days", "500", "502", "503 json", "slow down"],
)
def test_24_to_27_32_a_busy_server_is_waited_for(bench: Bench, busy: Answer) -> None:
    acquired = bench.fetch(cut(DATA, 1000), busy, busy, whole(DATA))
    bench.assert_stored(acquired)
    assert bench.starts == [None, 1000, 1000, 1000]


def test_30_an_expired_link_is_asked_for_anew_at_the_same_position(bench: Bench, store_host: Server) -> None:
    store_host.on("/bucket/19a0", cut(DATA, 70_000), refused("s3_403_expired.xml", 403), whole(DATA))
    acquired = bench.fetch(redirect(lambda: f"{store_host.url}/bucket/19a0?X-Amz-Signature=0"))
    bench.assert_stored(acquired)
    assert [seen.range_start for seen in store_host.log] == [None, 70_000, 70_000]
    assert bench.starts == [None, 70_000, 70_000]


def test_31_nothing_is_asked_for_by_head(bench: Bench, store_host: Server) -> None:
    store_host.on("/bucket/19a0", whole(DATA))
    bench.assert_stored(bench.fetch(redirect(lambda: f"{store_host.url}/bucket/19a0")))
    assert {seen.method for seen in (*bench.archive.log, *store_host.log)} == {"GET"}


# --- 47, 50, 51, 60: disk and processes ---


def test_47_the_name_in_the_answer_is_ignored(bench: Bench) -> None:
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert not any("evil" in name for name in files_below(bench.root))


def test_50_a_disk_that_will_be_full_is_told_before_the_first_byte(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(NoSpaceError, match=r"300,000 bytes are to be written to .*and 1,000 are free") as caught:
        bench.fetch(whole(DATA))
    assert "CM4AI_SCRATCH" in caught.value.remedy
    assert bench.archive.log == []


def test_50_what_others_are_about_to_write_counts_as_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.scratch.mkdir()
    other = Wanted("md5-other", 10**9, "MD5", "0" * 32)
    record = {"version": 1, "wanted": vars(other), "counted": True}
    (bench.scratch / "md5-other.json").write_text(json.dumps(record))
    (bench.scratch / "md5-other.part").write_bytes(b"x" * 1000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=files.RESERVE + 10**9))
    (bench.scratch / "locks").mkdir()
    with (
        FileLock(bench.scratch / "locks/md5-other.lock"),
        pytest.raises(NoSpaceError, match=r"300,000 bytes are to be written"),
    ):
        bench.fetch(whole(DATA))
    # Nobody is writing it any more: it takes no more than it has.
    bench.assert_stored(bench.fetch(whole(DATA)), others=["md5-other"])


def test_50_a_disk_that_fills_up_keeps_what_arrived(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        if offset >= 130_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: max(1, 130_000 - offset)], offset)

    with monkeypatch.context() as patch:
        patch.setattr(parts.os, "pwrite", full)
        with pytest.raises(NoSpaceError, match="is full: No space left on device") as caught:
            bench.fetch(whole(DATA))
    assert not caught.value.retryable
    assert bench.kept == 130_000
    bench.assert_stored(bench.fetch(whole(DATA)))
    assert bench.starts == [None, 130_000]


def test_50_a_scratch_folder_that_cannot_be_written_is_told(bench: Bench) -> None:
    bench.scratch.write_text("a file where a folder should be")
    with pytest.raises(ScratchError, match="cannot be used") as caught:
        bench.fetch(whole(DATA))
    assert "CM4AI_SCRATCH" in caught.value.remedy


def test_50_another_filesystem_is_copied_to_and_renamed_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    acquired = bench.fetch(whole(DATA))
    bench.assert_stored(acquired)
    stored = bench.root / "storage" / acquired.path
    assert stored.stat().st_mode & 0o222 == 0
    assert [path.name for path in stored.parent.iterdir()] == [acquired.sha256]


def test_51_two_that_want_one_file_make_one_download(bench: Bench, make_client: Callable[..., DataverseClient]) -> None:
    arrived = threading.Event()

    def held(exchange: Exchange) -> None:
        arrived.wait(2)
        whole(DATA)(exchange)

    bench.archive.on(FILE, held)
    clients = [make_client() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        jobs = [threads.submit(acquire, locked(), client, bench.blobs, bench.scratch) for client in clients]
        arrived.set()
        done = [job.result() for job in jobs]
    assert sorted(one.reused for one in done) == [False, True, True]
    assert len(bench.archive.log) == 1
    bench.assert_stored(done[0])


def test_60_a_download_is_counted_once_whatever_happens(bench: Bench) -> None:
    bench.fetch(
        cut(DATA, 10),
        refused("error_500_incident.json", 500),
        ignoring_range(flipped(DATA, 5)),
        cut(DATA, 5),
        whole(DATA),
    )
    assert [seen.query for seen in bench.archive.log] == [{}, *[{"gbrecs": "true"}] * 4]


def test_60_a_resume_in_another_run_is_not_counted_again(bench: Bench) -> None:
    bench.keep(DATA[:1000], counted=True)
    bench.fetch(whole(DATA))
    assert [seen.query for seen in bench.archive.log] == [{"gbrecs": "true"}]


def test_a_quarantined_file_never_becomes_a_blob(bench: Bench) -> None:
    with pytest.raises(DigestMismatchError):
        bench.fetch(whole(flipped(DATA, 7)))
    bench.assert_nothing_stored()
    assert bench.kept == 0
