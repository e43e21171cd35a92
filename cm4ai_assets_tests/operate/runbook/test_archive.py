"""The archive: it takes back, closes, publishes, moves, is away or refuses; what is done here, and when it is over."""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trustme
from dagster._core.test_utils import freeze_time

from cm4ai_assets.defs import acquisition
from cm4ai_assets.defs.release.assets import COLLECTION
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.catalog import Embargo
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets.updates import findings
from cm4ai_assets_tests.operate.runbook.archives import NEXT, file_in, is_zip, moved, replaced, with_next
from cm4ai_assets_tests.operate.runbook.daemon import Daemon
from cm4ai_assets_tests.operate.runbook.operating import ARCHIVES, MAKE, RELEASE, TOKEN, Operator
from cm4ai_assets_tests.operate.runbook.proxy import proxy_with_login
from cm4ai_assets_tests.updates.archives import altering


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One try, and no waiting."""
    monkeypatch.setattr(RetryPolicy.__init__, "__defaults__", (1, 0.01, *RetryPolicy.__init__.__defaults__[2:]))
    monkeypatch.setattr(acquisition, "RETRIES", 0)


@pytest.mark.mends("withdrawn-upstream")
def test_withdrawn_upstream(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """A file is replaced in a version that should not change; its present state becomes the lock."""
    operator.makes = ARCHIVES
    other = (sandbox / file_in(sandbox, version=0).path).read_bytes()
    operator.offers(replaced(sandbox, tmp_path / "replaced", file_in(sandbox).id, other))
    assert not operator.evaluates("release_files", "still_published").passed
    operator.section.sees(operator.warns("release_files", "still_published", RELEASE), "release_files.still_published")
    one = operator.incident("still_published")
    before = sorted(operator.storage.rglob("blobs/sha256/*/*"))
    operator.follows()
    assert operator.evaluation("release_files", "still_published", RELEASE).passed
    assert operator.is_over(one)
    assert set(before) < set(operator.storage.rglob("blobs/sha256/*/*")), "what was stored is kept"


@pytest.mark.mends("embargo")
def test_embargo(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    """With access of one's own, and without it on the day."""
    operator.makes, operator.release = ARCHIVES, NEXT
    data, today = (sandbox / file_in(sandbox).path).read_bytes(), datetime.now(UTC).date()
    embargo = Embargo(available=today, reason="paper")
    operator.offers(with_next(sandbox, tmp_path / "embargoed", data, keep=is_zip, embargo=embargo))

    def not_yet(_: Request, answer: Any) -> Any:
        for one in answer["data"].get("files", ()) if isinstance(answer["data"], dict) else ():
            if "embargo" in one["dataFile"]:
                one["dataFile"]["embargo"]["dateAvailable"] = "2099-01-01"
        return answer

    operator.archive.faults.append(altering(operator.archive, not_yet))
    shutil.rmtree(operator.storage / "blobs")
    assert "embargoed until 2099-01-01" in operator.succeeds(MAKE)
    operator.section.sees(operator.warns("release_files", "files_accessible", NEXT), "files_accessible")
    operator.sets("DATAVERSE_API_TOKEN", TOKEN)
    assert "if_archive: 1 rows published" in operator.succeeds(MAKE)
    shutil.rmtree(operator.storage / "blobs")
    operator.patch.delenv("DATAVERSE_API_TOKEN")
    assert "embargoed until 2099-01-01" in operator.succeeds(MAKE)
    operator.archive.faults.clear()  # the day has come
    assert "if_archive: 1 rows published" in operator.follows()
    assert operator.evaluation("release_files", "files_accessible", NEXT).passed


@pytest.mark.mends("new-release")
def test_new_release(operator: Operator, sandbox: Path, tmp_path: Path) -> None:
    operator.release = NEXT
    for record in (operator.storage / "registry" / "releases").glob("*.json"):
        os.utime(record, (0, 0))  # of long ago
    operator.offers(with_next(sandbox, tmp_path / "next", (sandbox / file_in(sandbox).path).read_bytes(), keep=is_zip))
    assert operator.ticks("release_sensor").run_requests
    one = operator.incident("New release")
    operator.section.sees(one.title, "New release …")
    assert operator.states(NEXT) == ["registered"] * 3
    operator.follows()
    assert operator.states(NEXT) == ["locked", "stored", "locked"]


@pytest.mark.mends("release-overdue")
def test_release_overdue(operator: Operator, sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest dataset is older than it should be, since the next came in another collection."""
    since = datetime.now(UTC) - datetime(2026, 6, 17, tzinfo=UTC)
    monkeypatch.setattr(findings, "OVERDUE_AFTER", since - timedelta(days=1))
    operator.ticks("release_sensor")
    operator.section.sees(operator.warns(COLLECTION, "release_due", None), "dataverse_collection.release_due")
    one = operator.incident("A release is overdue")
    operator.section.sees(one.title, "A release is overdue")
    operator.offers(moved(sandbox, tmp_path / "moved", "CM4AI-NEXT"))
    operator.sets("CM4AI_COLLECTION", "CM4AI-NEXT")
    assert "1 new of 11 offered" in operator.follows()
    operator.ticks("release_sensor", cursor=None)
    assert operator.evaluation(COLLECTION, "release_due", None).passed
    assert operator.is_over(one)


@pytest.mark.mends("archive-not-seen")
def test_archive_not_seen(operator: Operator, daemon: Daemon) -> None:
    """The daemon lives, and the archive does not answer it."""
    daemon.switches("release_sensor", on=True)
    looked = operator.ticks("release_sensor")
    later = datetime.now(UTC) + timedelta(hours=7)
    daemon.lives(later)
    one = operator.incident("The archive was not looked at", later)
    operator.section.sees(one.title, "The archive was not looked at")
    operator.archive.faults.append(lambda _: Answer(HTTPStatus.SERVICE_UNAVAILABLE))
    skipped = operator.ticks("release_sensor", cursor=looked.cursor, now=later)
    assert "503" in str(skipped.skip_reason)
    assert "503" in operator.printed_by("cm4ai releases --register")
    operator.archive.faults.clear()
    operator.follows()
    with freeze_time(later + timedelta(minutes=1)):
        operator.ticks("release_sensor", cursor=skipped.cursor, now=later + timedelta(minutes=1))
    assert operator.is_over(one, later + timedelta(minutes=2))


@pytest.mark.mends("archive-away")
@pytest.mark.usefixtures("impatient")
def test_archive_away(operator: Operator) -> None:
    shutil.rmtree(operator.storage / "blobs")

    def away(request: Request) -> Answer | None:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE) if "/access/" in request.path else None

    operator.archive.faults.append(away)
    operator.section.sees(operator.fails(), "503")
    one = operator.incident("Run failed")
    operator.archive.faults.clear()
    operator.follows()
    assert operator.is_over(one)


@pytest.fixture
def guarded(sandbox: Path) -> Iterator[tuple[SandboxServer, trustme.CA]]:
    """The archive over TLS, with a certificate by an authority that nobody knows."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = SandboxServer(sandbox, token=TOKEN)
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    with server:
        server.url = server.url.replace("http:", "https:")
        yield server, authority


@pytest.mark.mends("archive-refuses")
@pytest.mark.usefixtures("impatient")
def test_archive_refuses(operator: Operator, guarded: tuple[SandboxServer, trustme.CA], tmp_path: Path) -> None:
    """The token has expired; the certificate is unknown; the proxy wants a login."""
    server, authority = guarded
    operator.patch.setenv("DATAVERSE_API_TOKEN", "expired")
    operator.section.sees(operator.fails(), "token")
    operator.follows()
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        operator.patch.delenv(name, raising=False)
    operator.patch.setenv("CM4AI_DATAVERSE_URL", server.url)
    operator.section.sees(operator.fails(), "certificate")
    authority.cert_pem.write_to_path(str(tmp_path / "bundle.pem"))
    operator.sets("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    operator.succeeds(MAKE)
    with proxy_with_login("me:secret") as proxy:
        operator.patch.setenv("HTTPS_PROXY", f"http://{proxy}")
        operator.section.sees(operator.fails(), "proxy")
        operator.sets("HTTPS_PROXY", f"http://me:secret@{proxy}")
        operator.succeeds(MAKE)
