"""An S3 server that is overloaded, breaks off, loses answers, or gets other bytes than were sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cm4ai_assets.errors import ConfigurationError, DigestMismatchError, StorageUnavailableError
from cm4ai_assets.storage import placing
from cm4ai_assets.storage.filesystems import open_filesystem
from cm4ai_assets_tests.storage.s3 import (
    BUCKET,
    WatchedServer,
    altering,
    before,
    breaking_off,
    refusing,
    resetting,
    watched_s3_server,
)

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")

if TYPE_CHECKING:
    from cm4ai_assets.storage.s3 import PatientS3

SCALE = 30
"""How much faster the clock of retries goes here: a minute is two seconds."""
PART = 64 * 1024


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, WatchedServer]]:
    with watched_s3_server() as (url, server):
        yield url, server


@pytest.fixture
def server(served: tuple[str, WatchedServer]) -> Iterator[WatchedServer]:
    served[1].requests.clear()
    yield served[1]
    served[1].faults.clear()


@pytest.fixture
def fs(served: tuple[str, WatchedServer], monkeypatch: pytest.MonkeyPatch) -> PatientS3:
    from cm4ai_assets.storage import s3  # noqa: PLC0415 - an extra

    for name in ("PATIENCE", "FIRST_WAIT", "LONGEST_WAIT"):
        monkeypatch.setattr(s3, name, getattr(s3, name) / SCALE)
    monkeypatch.setattr(s3, "PART", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART)  # 5 MiB, as at S3
    monkeypatch.setattr(s3.PatientS3, "retries", 1)  # what s3fs tries by itself is quick, and is not scaled
    monkeypatch.setattr(s3, "_RETRIES", {"mode": "standard", "total_max_attempts": 1})
    s3.PatientS3.clear_instance_cache()
    found: PatientS3 = open_filesystem(served[0])[0]
    assert found.exists(BUCKET)
    return found


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file of five parts and a half."""
    path = tmp_path / "large"
    path.write_bytes(b"".join(bytes([n]) * (PART // 2) for n in range(11)))
    return path


def for_a(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds of the scaled clock have passed."""
    end = time.monotonic() + seconds / SCALE
    return lambda: time.monotonic() > end


@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError")])
def test_a_minute_of_refusals_is_waited_out_by_many_at_once(
    fs: PatientS3, server: WatchedServer, large: Path, status: int, code: str
) -> None:
    root = f"{BUCKET}/minute-{status}"
    fs.pipe_file(f"{root}/there", b"bytes")
    server.faults.append(refusing(status, code, until=for_a(60)))
    asked: list[Callable[[], Any]] = [
        lambda: fs.cat_file(f"{root}/there"),
        lambda: fs.cat_file(f"{root}/there", start=1, end=3),
        lambda: fs.find(root),
        lambda: fs.file_size(f"{root}/there"),
        lambda: fs.pipe_file(f"{root}/new", b"new", mode="create"),
        lambda: fs.put_file(str(large), f"{root}/large"),
        *[lambda: fs.cat_file(f"{root}/there")] * 10,
    ]
    with ThreadPoolExecutor(len(asked)) as threads:
        answers = [one.result() for one in [threads.submit(ask) for ask in asked]]
    assert answers[:2] == [b"bytes", b"yt"]
    assert answers[3] == 5
    assert fs.cat_file(f"{root}/new") == b"new"
    assert fs.cat_file(f"{root}/large") == large.read_bytes()


def test_a_server_that_never_recovers_is_an_error_with_a_remedy_and_nothing_stands(
    fs: PatientS3, server: WatchedServer, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm4ai_assets.storage.s3.PATIENCE", 0.5)
    server.faults.append(refusing(503, "SlowDown", until=lambda: False, where="PART|PUT"))
    for store in (
        lambda: fs.put_file(str(large), f"{BUCKET}/never/large"),
        lambda: fs.pipe_file(f"{BUCKET}/never/small", b"small"),
    ):
        with pytest.raises(StorageUnavailableError, match=r"503 SlowDown. See that the server of CM4AI_STORAGE"):
            store()
    assert isinstance(StorageUnavailableError("x"), OSError)
    server.faults.clear()
    assert fs.find(f"{BUCKET}/never") == []
    assert fs.list_multipart_uploads(BUCKET) == []


def test_a_server_that_was_never_reached_is_an_error_at_once(
    served: tuple[str, WatchedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cm4ai_assets.storage.s3 import PatientS3  # noqa: PLC0415 - an extra

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    PatientS3.clear_instance_cache()
    begun = time.monotonic()
    fs, root = open_filesystem(served[0])
    with pytest.raises(StorageUnavailableError, match="Could not connect"):
        fs.cat_file(f"{root}/x")
    assert time.monotonic() - begun < 20
    PatientS3.clear_instance_cache()


def test_a_bucket_that_is_not_there_and_credentials_that_are_missing_are_named(
    fs: PatientS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ask in (
        lambda: fs.cat_file("no-such-bucket/x"),
        lambda: fs.find("no-such-bucket/x"),
        lambda: fs.pipe_file("no-such-bucket/x", b"x"),
    ):
        with pytest.raises(ConfigurationError, match=r"bucket no-such-bucket does not exist\. Create it"):
            ask()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    type(fs).clear_instance_cache()
    with pytest.raises(ConfigurationError, match="Set AWS_ACCESS_KEY_ID"):
        open_filesystem(f"s3://{BUCKET}")[0].cat_file(f"{BUCKET}/x")
    type(fs).clear_instance_cache()


def test_connections_that_are_reset_in_mid_upload_are_tried_again(
    fs: PatientS3, server: WatchedServer, large: Path
) -> None:
    server.faults += [resetting(3, where="PART reset"), resetting(1, where="BEGIN reset")]
    fs.put_file(str(large), f"{BUCKET}/reset")
    assert fs.cat_file(f"{BUCKET}/reset") == large.read_bytes()


def test_an_upload_whose_last_answer_is_lost_is_known_to_stand(
    fs: PatientS3, server: WatchedServer, large: Path
) -> None:
    gone = refusing(404, "NoSuchUpload", until=lambda: False, where="COMPLETE lost")
    server.faults += [resetting(1, where="COMPLETE lost", answered=True), gone]
    fs.put_file(str(large), f"{BUCKET}/lost")
    assert fs.cat_file(f"{BUCKET}/lost") == large.read_bytes()


def test_an_upload_that_another_gave_up_is_an_error(fs: PatientS3, server: WatchedServer, large: Path) -> None:
    fs.pipe_file(f"{BUCKET}/given-up", b"what stood there")
    server.faults.append(refusing(404, "NoSuchUpload", until=lambda: False, where="COMPLETE given-up"))
    with pytest.raises(FileNotFoundError):
        fs.put_file(str(large), f"{BUCKET}/given-up")
    assert fs.cat_file(f"{BUCKET}/given-up") == b"what stood there"


def test_a_name_that_was_created_and_its_answer_lost_is_ours(fs: PatientS3, server: WatchedServer) -> None:
    server.faults.append(resetting(1, where="PUT ours", answered=True))
    fs.pipe_file(f"{BUCKET}/ours", b"first", mode="create")
    assert len(server.requests.of("PUT ours")) == 1  # the one that was lost is not counted, and its twin refused
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{BUCKET}/ours", b"first", mode="create")


def test_answers_that_break_off_are_asked_for_again(
    fs: PatientS3, server: WatchedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fs), "retries", 3)
    fs.pipe_file(f"{BUCKET}/half", b"0123456789")
    server.faults.append(breaking_off(2, where="GET half"))
    assert fs.cat_file(f"{BUCKET}/half", start=2, end=8) == b"234567"
    server.faults[:] = [breaking_off(100, where="GET half")]
    with pytest.raises(StorageUnavailableError):
        fs.cat_file(f"{BUCKET}/half")


def test_a_server_that_is_slow_to_answer_is_asked_again(
    served: tuple[str, WatchedServer], fs: PatientS3, server: WatchedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(fs), "read_timeout", 0.2)
    type(fs).clear_instance_cache()
    hurried = open_filesystem(served[0])[0]
    fs.pipe_file(f"{BUCKET}/slow", b"slow")
    hurried.cat_file(f"{BUCKET}/slow")
    server.faults.append(before(lambda: time.sleep(0.8), where="GET slow"))
    assert hurried.cat_file(f"{BUCKET}/slow") == b"slow"


@pytest.mark.parametrize("name", ["small", "large"])
def test_bytes_that_change_on_the_way_are_refused_and_sent_again(
    fs: PatientS3, server: WatchedServer, large: Path, name: str
) -> None:
    if name == "small":
        large.write_bytes(b"small")
    server.faults.append(altering(1, where="P(UT|ART) altered"))
    fs.put_file(str(large), f"{BUCKET}/altered-{name}")
    assert fs.cat_file(f"{BUCKET}/altered-{name}") == large.read_bytes()
    server.faults[:] = [altering(1, where="PUT altered")]
    fs.pipe_file(f"{BUCKET}/altered-bytes", b"bytes")
    assert fs.cat_file(f"{BUCKET}/altered-bytes") == b"bytes"


def test_a_file_that_has_another_digest_as_it_is_sent_is_not_stored(fs: PatientS3, large: Path, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"small")
    for path in (large, tmp_path / "small"):
        with pytest.raises(DigestMismatchError, match="changed while it was stored"):
            fs.put_file(str(path), f"{BUCKET}/changed", sha256="0" * 64)
        fs.put_file(str(path), f"{BUCKET}/unchanged", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert fs.file_size(f"{BUCKET}/changed") is None
    assert fs.list_multipart_uploads(BUCKET) == []


def test_what_is_read_costs_one_request(fs: PatientS3, server: WatchedServer) -> None:
    fs.pipe_file(f"{BUCKET}/one", b"0123456789")
    fs.pipe_file(f"{BUCKET}/none", b"")
    server.requests.clear()
    assert fs.cat_file(f"{BUCKET}/one") == b"0123456789"
    assert fs.cat_file(f"{BUCKET}/one", start=8, end=12) == b"89"
    assert fs.cat_file(f"{BUCKET}/one", start=20, end=30) == b""
    assert fs.cat_file(f"{BUCKET}/none", start=0, end=10) == b""
    assert fs.file_size(f"{BUCKET}/one") == 10
    assert fs.file_size(f"{BUCKET}/absent") is None
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{BUCKET}/absent")
    assert server.requests.by_operation() == {"GET": 5, "HEAD": 2}


def test_what_a_killed_process_left_of_an_upload_is_given_up(fs: PatientS3, server: WatchedServer, large: Path) -> None:
    root = f"{BUCKET}/killed"
    for name in ("blobs/x", "tables/y"):
        fs.call_s3("create_multipart_upload", Bucket=BUCKET, Key=f"killed/{name}")
    fs.call_s3("create_multipart_upload", Bucket=BUCKET, Key="killed-beside/z")
    long = timedelta(days=365 * 40)  # the server says of all that they were begun in 2010
    assert placing.give_up_uploads(fs, root, age=long) == []
    assert placing.give_up_uploads(fs, root, age=timedelta(days=1)) == [f"{root}/blobs/x", f"{root}/tables/y"]
    assert [one["Key"] for one in fs.list_multipart_uploads(BUCKET)] == ["killed-beside/z"]
    fs.clear_multipart_uploads(BUCKET)
