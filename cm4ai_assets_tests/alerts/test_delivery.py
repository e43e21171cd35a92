"""Messages over real connections: a mail server and webhooks on loopback, and receivers that misbehave."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from cm4ai_assets.alerts import delivery
from cm4ai_assets.alerts.delivery import channels, deliver
from cm4ai_assets.alerts.messages import Message
from cm4ai_assets.cli import DONE, FAILED, WRONG_USE, main
from cm4ai_assets.defs.alerting import tick
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.settings import Settings
from cm4ai_assets_tests.servers.receivers import Mailbox, Webhook, mail_server, webhook

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
PLANTED = "pl4nted-s3cret-X"
MESSAGE = Message("[CM4AI] Title", "Body")
CLOSED = "127.0.0.1:1"
"""Nobody listens there."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as server:
        yield server


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


@contextmanager
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loopback is asked directly, whatever the machine's proxy is."""
    with monkeypatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def directly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with no_proxy(monkeypatch):
        yield


def failed(text: str) -> Incident:
    return Incident(
        "run:1", Kind.RUN_FAILED, Severity.FAILURE, "Run failed: if_fields", text, "/runs/1", "a-run-failed", NOW
    )


def test_several_looks_send_one_message_and_its_end_and_a_dead_channel_holds_up_none(
    mailbox: Mailbox, hook: Webhook, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(
        dataverse_token=f"{PLANTED}-token",
        database=f"postgresql://me:{PLANTED}-database@db/cm4ai",
        alerts=(
            mailbox.url,
            f"json://me:{PLANTED}-password@{CLOSED}/{PLANTED}-path?+X-Token={PLANTED}-header",
            f"json://{hook.address}/hook",
        ),
        ui_url="https://cm4ai.example.org",
    )
    incident = failed(f"The server answered: token {PLANTED}-token, {PLANTED}-database.")
    cursor, said = tick([incident], settings, None, NOW)
    assert [mail["Subject"] for mail in mailbox.mails] == ["[CM4AI] Failure: Run failed: if_fields"]
    assert (mailbox.mails[0]["To"], mailbox.mails[0].get_content_type()) == ("team@example.org", "text/plain")
    assert "See: https://cm4ai.example.org/runs/1" in mailbox.mails[0].get_content()
    assert [post["title"] for post in hook.posts] == ["[CM4AI] Failure: Run failed: if_fields"]
    assert "channel 2 (json): 1 tries in a row failed" in said
    assert "Connection refused" in said
    cursor, again = tick([incident], settings, cursor, NOW + timedelta(seconds=50))
    cursor, over = tick([], settings, cursor, NOW + timedelta(minutes=11))
    assert [mail["Subject"] for mail in mailbox.mails[1:]] == ["[CM4AI] Over: Run failed: if_fields"]
    assert len(hook.posts) == 2
    written = [said, again, over, cursor, repr(settings), repr(channels(settings)), caplog.text, *capfd.readouterr()]
    written += [mail.as_string() for mail in mailbox.mails] + [str(post) for post in hook.posts]
    assert [text for text in written if PLANTED in text] == []


def test_a_hostile_receiver_leads_nowhere_and_holds_up_no_other(hook: Webhook) -> None:
    with (
        webhook("redirects", leads_to=f"http://{hook.address}/stolen") as redirects,
        webhook("drips") as drips,
        webhook("refuses") as refuses,
        webhook(tls=certified()) as unknown,
    ):
        urls = [
            f"json://{one.address}/{PLANTED}?+X-Token={PLANTED}&redirect=yes" for one in (redirects, drips, refuses)
        ]
        settings = Settings(alerts=(*urls, f"jsons://{unknown.address}/hook", f"json://{hook.address}/good"))
        every = channels(settings)
        taken = deliver({one: [MESSAGE] for one in every}, seconds=4)
    outcomes = [taken[one] for one in every]
    assert [one.taken for one in outcomes] == [0, 0, 0, 0, 1]
    assert "error=307" in outcomes[0].reason
    assert "did not answer within 4 s" in outcomes[1].reason
    assert "error=500" in outcomes[2].reason
    assert "certificate" in outcomes[3].reason.lower()
    assert [post["title"] for post in hook.posts] == [MESSAGE.title]
    assert not any("stolen" in asked for asked in hook.asked)
    assert [one.reason for one in outcomes if PLANTED in one.reason] == []


def test_an_error_that_quotes_the_address_holds_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "refused: Max retries exceeded with url: /hooks/wordsecret?key=othersecret at host.example.org as p@ss-word"
    monkeypatch.setattr(delivery, "_lines", lambda _: [("0", " ", said)])
    settings = Settings(alerts=("jsons://me:p%40ss-word@host.example.org/hooks/wordsecret?key=othersecret",))
    (one,) = channels(settings)
    reason = deliver({one: [MESSAGE]})[one].reason
    assert "host.example.org" in reason
    assert [word for word in ("wordsecret", "othersecret", "p@ss-word") if word in reason] == []


def certified() -> ssl.SSLContext:
    """A certificate by an authority that nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_test_message_says_of_each_channel_whether_it_was_taken(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CM4AI_ALERTS", mailbox.url)
    assert main(["alerts", "test"]) == DONE
    assert [mail["Subject"] for mail in mailbox.mails] == ["[CM4AI] Test message"]
    monkeypatch.setenv("CM4AI_ALERTS", f"json://{CLOSED}/{PLANTED} bogus://{PLANTED}")
    assert main(["alerts", "test"]) == FAILED
    printed = capsys.readouterr()
    assert "channel 1 (mailto): taken" in printed.out
    assert "channel 1 (json): refused." in printed.out
    assert "channel 2 (bogus): refused. Apprise does not understand this address." in printed.out
    assert "The test message was not taken by channel 1 (json), channel 2 (bogus). Mend the address" in printed.err
    assert PLANTED not in printed.out + printed.err


def test_a_test_message_without_channels_is_wrong_use_and_shows_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CM4AI_ALERTS", raising=False)
    assert main(["alerts", "test"]) == WRONG_USE
    assert "CM4AI_ALERTS='mailtos://user:password@mail.example.org?to=team@example.org'" in capsys.readouterr().err
