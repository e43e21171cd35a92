"""One incident is one message: the decision what a channel is sent now, from look to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cm4ai_assets.alerts.memory import PER_HOUR, Knowledge, read, steps, troubled, write
from cm4ai_assets.alerts.messages import LISTED, Message, harmless
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.transfer.redaction import hide

UI = "https://cm4ai.example.org"
NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def failed(number: int = 0, text: str = "The disk is full.") -> Incident:
    return Incident(
        f"run:{number}",
        Kind.RUN_FAILED,
        Severity.FAILURE,
        f"Run failed: if_fields {number}",
        text,
        f"/runs/{number}",
        "a-run-failed",
        NOW - MINUTE,
    )


def warns(number: int = 0) -> Incident:
    return replace(failed(number), key=f"check:{number}", kind=Kind.CHECK_WARNS, severity=Severity.WARNING)


def news() -> Incident:
    return replace(failed(), key="release:x", kind=Kind.RELEASE_NEW, severity=Severity.NEWS, title="New release x")


class Reader:
    """A channel that takes everything, and its memory between looks, as a sensor keeps it."""

    def __init__(self) -> None:
        self.memory: str | None = None

    def look(self, found: Sequence[Incident], now: datetime) -> list[Message]:
        channel = read(self.memory).get("one", Knowledge())
        sent = []
        for step in steps(found, channel, UI, now):
            channel = channel.took(step, now) if step.message else channel.forgot(step)
            sent += [step.message] if step.message else []
        self.memory = write({"one": channel})
        return sent


def test_several_looks_at_one_incident_are_one_message_and_one_more_when_it_is_over() -> None:
    reader = Reader()
    (first,) = reader.look([failed()], NOW)
    assert first.title == "[CM4AI] Failure: Run failed: if_fields 0"
    assert first.body.splitlines() == [
        "The disk is full.",
        "",
        "Since: 2026-11-27 02:59 UTC",
        f"See: {UI}/runs/0",
        f"What to do: {UI}/runbook#a-run-failed",
    ]
    for minute in range(1, 5):
        assert reader.look([failed(text="The disk is still full.")], NOW + minute * MINUTE) == []
    (over,) = reader.look([], NOW + 11 * MINUTE)
    assert over.title == "[CM4AI] Over: Run failed: if_fields 0"
    assert reader.look([], NOW + 30 * MINUTE) == []


def test_what_comes_back_is_a_message_again() -> None:
    reader = Reader()
    reader.look([failed()], NOW)
    reader.look([], NOW + 11 * MINUTE)
    assert len(reader.look([failed()], NOW + 12 * MINUTE)) == 1


def test_a_hundred_failures_at_once_are_one_bounded_message_that_counts_the_rest() -> None:
    reader = Reader()
    (digest,) = reader.look([failed(number, "x" * 10_000) for number in range(100)], NOW)
    assert digest.title == "[CM4AI] 100 failures"
    assert digest.body.count("- Failure: ") == LISTED
    assert f"and {100 - LISTED} more" in digest.body
    assert len(digest.body) < 5000
    (over,) = reader.look([], NOW + 11 * MINUTE)
    assert over.title == "[CM4AI] 100 over"
    assert "and 90 more" in over.body
    assert len(over.body) < 5000


def test_a_lost_memory_costs_one_digest_and_no_flood() -> None:
    reader = Reader()
    reader.look([failed(number) for number in range(40)], NOW)
    for lost in (None, "", "nonsense", '{"form": 0, "channels": {}}', '{"form": 1, "channels": {"one": {"known": 3}}}'):
        reader.memory = lost
        assert len(reader.look([failed(number) for number in range(40)], NOW + MINUTE)) == 1
        assert reader.look([failed(number) for number in range(40)], NOW + 2 * MINUTE) == []


def test_warnings_come_together_after_a_pause_and_a_failure_does_not_wait() -> None:
    reader = Reader()
    assert len(reader.look([warns(0)], NOW)) == 1
    assert reader.look([warns(0), warns(1)], NOW + MINUTE) == []
    assert len(reader.look([warns(0), warns(1), failed()], NOW + 2 * MINUTE)) == 2
    assert reader.look([warns(n) for n in range(9)] + [failed()], NOW + 3 * MINUTE) == []
    (rest,) = reader.look([warns(n) for n in range(9)] + [failed()], NOW + 12 * MINUTE)
    assert rest.title == "[CM4AI] 7 warnings"


def test_an_hour_has_a_bounded_number_of_messages_and_what_waits_is_not_lost() -> None:
    reader, sent = Reader(), 0
    for minute in range(50):
        sent += len(reader.look([failed(minute)], NOW + minute * MINUTE))
    assert sent <= PER_HOUR + 3
    (later,) = reader.look([failed(number) for number in range(200, 220)], NOW + 120 * MINUTE)
    assert later.title.startswith("[CM4AI] 20 failures")


def test_news_grow_old_without_a_message() -> None:
    reader = Reader()
    (message,) = reader.look([news()], NOW)
    assert message.title == "[CM4AI] News: New release x"
    assert reader.look([], NOW + 20 * MINUTE) == []
    assert read(reader.memory)["one"].known == {}


def test_a_channel_that_fails_is_tried_again_after_a_minute_and_then_less_and_less_often() -> None:
    channel = Knowledge()
    waits = []
    for _ in range(9):
        channel = channel.failed("Connection refused", NOW)
        assert steps([failed()], channel, UI, NOW) == []
        waits.append(round(channel.not_before - NOW.timestamp()) // 60)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert "9 tries in a row failed: Connection refused" in troubled(channel, NOW)
    assert len(steps([failed()], channel, UI, NOW + 61 * MINUTE)) == 1
    assert troubled(channel.took(steps([failed()], channel, UI, NOW + 61 * MINUTE)[0], NOW), NOW) == ""


@pytest.mark.parametrize(
    ("text", "not_in"),
    [
        ("<!channel> look <https://evil.example|here>", "<"),
        ("<img src=x onerror=alert(1)>", "<"),
        ("@everyone and @here", "@"),
        ("a\r\nBcc: someone@example.org", "\n"),
        ("\x1b[31mred\u202e", "\x1b"),
        ("the token planted-s3cret-1 stands here", "planted"),
    ],
)
def test_texts_of_others_act_on_nothing_and_hold_no_secret(text: str, not_in: str) -> None:
    hide("planted-s3cret-1")
    incident = replace(failed(), title=text, text=text)
    (message,) = Reader().look([incident], NOW)
    assert not_in not in message.title
    assert not_in not in message.body.splitlines()[0]
    assert not_in not in harmless(text)
