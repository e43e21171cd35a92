"""The client where the archive refuses: token, redirects, secrets, guestbooks, TLS. Faults 19 to 34, 53, 54."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import trustme

from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.transfer.errors import (
    BadTokenError,
    EndpointBlockedError,
    NetworkError,
    NotFoundError,
    ProtocolError,
    ProxyRefusedError,
    RedirectRefusedError,
    ServerUnavailableError,
    TlsError,
)
from cm4ai_assets.transfer.http import HttpClient
from cm4ai_assets_tests.fixtures.refusals import INCIDENT
from cm4ai_assets_tests.transfer.bench import DATA, FAST, FILE, TOKEN
from cm4ai_assets_tests.transfer.server import Server, as_json, body, fixture, redirect, refused, whole

INFO = "/api/info/version"

MakeClient = Callable[..., DataverseClient]


# --- 19 to 28: refusals of calls ---


def test_21_a_bad_token_fails_at_once_and_is_not_told(archive: Server, make_client: MakeClient) -> None:
    archive.on(INFO, refused("error_401_bad_api_key.json", 401))
    with pytest.raises(BadTokenError) as caught:
        make_client(token=TOKEN).server_version()
    assert len(archive.log) == 1
    assert archive.log[0].headers["x-dataverse-key"] == TOKEN
    assert TOKEN not in f"{caught.value} {caught.value!r} {caught.getrepr(showlocals=True)}"


def test_26_an_incident_is_kept_in_the_log(
    archive: Server, client: DataverseClient, caplog: pytest.LogCaptureFixture
) -> None:
    incident = refused("error_500_incident.json", 500)
    archive.on(INFO, incident, incident, body(200, fixture("info_version_6.9.json")))
    with caplog.at_level(logging.INFO):
        assert client.server_version() == "6.9"
    assert caplog.text.count(f"incident {INCIDENT}") == 2


def test_27_long_maintenance_is_told_as_something_that_passes(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, refused("error_503_maintenance.html", 503))
    with pytest.raises(ServerUnavailableError, match="cannot answer now, HTTP 503") as caught:
        client.server_version()
    assert caught.value.retryable
    assert len(archive.log) == FAST.tries


def test_28_a_blocked_endpoint_is_not_asked_again(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, refused("error_503_blocked_endpoint.json", 503))
    with pytest.raises(EndpointBlockedError, match=r"Endpoint blocked\. Access denied\."):
        client.server_version()
    assert len(archive.log) == 1


# --- 29, 33, 34: redirects and the token ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_29_34_the_token_stays_at_home(
    archive: Server, store_host: Server, make_client: MakeClient, status: int
) -> None:
    archive.on(FILE, redirect(lambda: f"{store_host.url}/bucket/19a0?X-Amz-Signature=abc", status))
    store_host.on("/bucket/19a0", whole(DATA, Set_Cookie="tracker=1"))
    client = make_client(token=TOKEN)
    with client.open_file(103725, offset=1000) as stream:
        assert b"".join(stream.chunks()) == DATA[1000:]
        assert stream.start == 1000
        assert stream.url == f"{store_host.url}/bucket/19a0?…"
    assert archive.log[0].headers["x-dataverse-key"] == TOKEN
    seen = store_host.log[0]
    assert set(seen.headers) == {"host", "user-agent", "accept-encoding", "range"}
    assert seen.headers["range"] == "bytes=1000-"
    with client.open_file(103725):
        pass
    assert "cookie" not in {name for request in (*archive.log, *store_host.log) for name in request.headers}


def test_29_a_way_back_home_is_walked_without_the_token(
    archive: Server, store_host: Server, make_client: MakeClient
) -> None:
    archive.on(FILE, redirect(lambda: f"{store_host.url}/hop"))
    store_host.on("/hop", redirect(lambda: f"{archive.url}/api/access/datafile/1?gbrecs=true"))
    archive.on("/api/access/datafile/1", whole(DATA))
    with make_client(token=TOKEN).open_file(103725) as stream:
        assert b"".join(stream.chunks()) == DATA
    assert "x-dataverse-key" not in archive.asked("/api/access/datafile/1")[0].headers


def test_33_a_loop_ends(archive: Server, client: DataverseClient) -> None:
    archive.on(FILE, redirect(lambda: f"{archive.url}{FILE}"))
    with pytest.raises(RedirectRefusedError, match="there were more than 5"), client.open_file(103725):
        pass
    assert len(archive.log) == 6


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("file:///etc/passwd", "it leads to file scheme, not https"),
        ("ftp://example.org/x", "it leads to ftp scheme"),
        ("http://example.org/x", "it leads to http scheme|it leads to .* not a public|cannot be resolved"),
        ("http://169.254.169.254/latest/meta-data", "it leads to 169.254.169.254, which is not a public address"),
        ("http://[::ffff:169.254.169.254]/", "it leads to 169.254.169.254"),
        ("https://10.0.0.8/x", "it leads to 10.0.0.8"),
        ("https://[fd00::1]/x", "it leads to fd00::1"),
        ("https://user:pw@127.0.0.1/x", "it carries credentials"),
        ("https://0.0.0.0/", "it leads to 0.0.0.0"),
        ("https://example.org:99999/x", "it leads to an address that is no URL"),
        ("https://example.org:port/x", "it leads to an address that is no URL"),
        ("https://[::1/x", "it leads to an address that is no URL"),
    ],
)
def test_33_where_redirects_may_not_lead(archive: Server, client: DataverseClient, target: str, told: str) -> None:
    archive.on(FILE, redirect(lambda: target))
    with pytest.raises((RedirectRefusedError, NetworkError), match=told), client.open_file(103725):
        pass
    assert len(archive.log) == 1


def test_33_only_a_test_server_may_lead_to_loopback_or_plain_http() -> None:
    from cm4ai_assets.transfer.origins import allow_redirect, origin  # noqa: PLC0415

    home = origin("https://dataverse.lib.virginia.edu")
    for target in ("http://8.8.8.8/x", "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/"):
        with pytest.raises(RedirectRefusedError):
            allow_redirect(target, home=home, what="a file")
    allow_redirect("https://8.8.8.8/x", home=home, what="a file")
    allow_redirect("https://dataverse.lib.virginia.edu:443/other", home=home, what="a file")


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ConfigurationError, match=r"not sent over plain http to example\.org"):
        HttpClient("http://example.org", token=TOKEN)


def test_a_redirect_to_nowhere(archive: Server, client: DataverseClient) -> None:
    archive.on(FILE, body(303, b""))
    with pytest.raises(ProtocolError, match="a redirect that leads nowhere"), client.open_file(103725):
        pass


# --- secrets in logs and messages ---


def test_secrets_do_not_reach_logs_reprs_or_errors(
    archive: Server, store_host: Server, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    archive.on(FILE, redirect(lambda: f"{store_host.url}/bucket/19a0?X-Amz-Signature=SIGNED&key=KEYED"))
    store_host.on("/bucket/19a0", refused("error_404_datafile_unknown.json", 404))
    client = make_client(token=TOKEN)
    with caplog.at_level(logging.DEBUG), pytest.raises(NotFoundError) as caught, client.open_file(103725):
        pass
    told = f"{caplog.text} {client!r} {client.__dict__} {caught.value!r} {caught.value} {vars(caught.value)}"
    assert "bucket/19a0" in told
    for secret in (TOKEN, "SIGNED", "KEYED"):
        assert secret not in told


# --- 22: guestbooks ---


def test_22_a_guestbook_is_answered_only_with_configured_answers(archive: Server, make_client: MakeClient) -> None:
    asked = refused("error_400_guestbook_required_6.10.json", 400)
    link = as_json({"status": "OK", "data": {"signedUrl": f"{archive.url}/api/v1/access/datafile/103725?token=abc"}})
    archive.on(FILE, asked, link)
    archive.on("/api/v1/access/datafile/103725", whole(DATA))
    answers = {"name": "Ada Example", "email": "ada@example.org", "answers": [{"id": 1, "value": "yes"}]}
    with make_client(guestbook=answers).open_file(103725, offset=5) as stream:
        assert b"".join(stream.chunks()) == DATA[5:]
    post = archive.log[1]
    assert (post.method, json.loads(post.body)) == ("POST", {"guestbookResponse": answers})
    assert archive.log[2].query == {"token": "abc"}


def test_22_a_signed_link_to_elsewhere_is_not_followed(
    archive: Server, store_host: Server, make_client: MakeClient
) -> None:
    asked = refused("error_400_guestbook_required_6.10.json", 400)
    archive.on(FILE, asked, as_json({"status": "OK", "data": {"signedUrl": f"{store_host.url}/x?token=abc"}}))
    client = make_client(guestbook={"name": "Ada"})
    with pytest.raises(ProtocolError, match="gave no link for it"), client.open_file(103725):
        pass
    assert store_host.log == []


# --- 53, 54: below HTTP ---


YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "until", "told"),
    [
        ("archive.example", None, "IP address mismatch"),
        ("127.0.0.1", YESTERDAY, "certificate has expired"),
    ],
    ids=["wrong name", "expired"],
)
def test_53_certificates_that_are_not_trusted(name: str, until: datetime | None, told: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_after=until).configure_cert(context)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        url = f"https://127.0.0.1:{server.server_port}"
        with (
            HttpClient(url, retries=FAST) as client,
            pytest.raises(TlsError, match=r"certificate .* is not trusted") as caught,
        ):
            client.json(INFO)
        assert "SSL_CERT_FILE" in caught.value.remedy
        assert not caught.value.retryable
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        with (
            HttpClient(url, retries=FAST, verify=trusting) as client,
            pytest.raises(TlsError, match=told),
        ):
            client.json(INFO)
    finally:
        server.shutdown()
        server.server_close()


def test_54_a_name_that_does_not_resolve_may_later() -> None:
    with DataverseClient("https://archive.invalid", retries=FAST) as client:
        with pytest.raises(NetworkError, match="name of the host cannot be resolved") as caught:
            client.server_version()
        assert caught.value.retryable


def test_54_a_proxy_that_refuses_is_told(archive: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", archive.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        DataverseClient("https://archive.example", retries=FAST) as client,
        pytest.raises(ProxyRefusedError, match="proxy"),
    ):
        client.server_version()
