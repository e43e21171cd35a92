"""A storage on an object store whose server is overloaded, or lets this user not write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from cm4ai_assets_tests.operate.runbook.operating import MAKE, Operator
from cm4ai_assets_tests.storage.s3 import (
    Application,
    Environ,
    StartResponse,
    WatchedServer,
    operation_of,
    refusing,
    watched_s3_server,
)

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
s3 = pytest.importorskip("cm4ai_assets.storage.s3", reason="s3fs is not installed (extra: s3)")
_UPLOADS = "(PUT|BEGIN|PART) .*"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, WatchedServer]]:
    with watched_s3_server() as served:
        yield served


@pytest.fixture
def server(
    operator: Operator, served: tuple[str, WatchedServer], request: pytest.FixtureRequest
) -> Iterator[WatchedServer]:
    """The server of the storage, which has the lock of the release."""
    bucket, server = served
    operator.patch.setenv("CM4AI_STORAGE", f"{bucket}/{request.node.name}")
    operator.patch.setenv("DAGSTER_HOME", str(operator.folder / "of-the-bucket"))
    operator.succeeds(f"{MAKE} --select release_files")
    operator.archive.clear_log()
    yield server
    server.faults.clear()


def downloads(operator: Operator) -> int:
    return sum("/access/datafile/" in record.path for record in operator.archive.log)


@pytest.mark.mends("storage-away")
def test_storage_away(operator: Operator, server: WatchedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("PATIENCE", 0.5), ("FIRST_WAIT", 0.02), ("LONGEST_WAIT", 0.1)):
        monkeypatch.setattr(f"cm4ai_assets.storage.s3.{name}", seconds)
    server.faults.append(refusing(503, "SlowDown", until=lambda: False, where=f"{_UPLOADS}blobs/sha256"))
    operator.section.sees(operator.fails(), "The storage failed … 503 SlowDown")
    server.faults.clear()
    operator.follows()
    assert downloads(operator) == 1, "what was fetched waits in CM4AI_SCRATCH"
    operator.succeeds("cm4ai verify")


@pytest.mark.mends("not-writable")
def test_not_writable(operator: Operator, server: WatchedServer) -> None:
    """The scratch folder, and then the bucket: another user may write there."""
    operator.patch.setenv("CM4AI_SCRATCH", "/proc/none")
    operator.section.sees(operator.fails(), "cannot be used")
    operator.patch.setenv("CM4AI_SCRATCH", str(operator.scratch))
    denied = refusing(403, "AccessDenied", until=lambda: False, where=f"{_UPLOADS}(blobs|tables)", text="Access Denied")

    def closed(application: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes] | None:
        may_write = "Credential=may-write/" in environ.get("HTTP_AUTHORIZATION", "")
        return (
            None if may_write or operation_of(environ)[0] == "OTHER" else denied(application, environ, start_response)
        )

    server.faults.append(closed)
    operator.section.sees(operator.fails(), "Access Denied")
    operator.sets("AWS_ACCESS_KEY_ID", "may-write")
    operator.sets("AWS_SECRET_ACCESS_KEY", "of-this-user")
    s3.PatientS3.clear_instance_cache()  # the next command is a process of its own
    operator.follows()
    operator.succeeds("cm4ai verify")
