"""The process that hands messages to Apprise: `python send.py`, with addresses and messages as input.

For each channel by its number it prints `1 taken` for each message that was, and `1 refused: reason` for the first that
was not. A process of its own, forked after the slow import, serves each channel, with little memory and time: a hostile
receiver may answer slowly or without end, and harms no other channel. Belongs here: how Apprise is asked. It imports
nothing else of this package.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apprise
from apprise.exception import AppriseException

MEMORY = 1 << 30  # bytes of address space
_REST = 1.0  # seconds between two messages: Slack takes one a second
_LONGEST = 1000  # characters of a line, which fit one write to a pipe
_CAUSE = "Socket Exception: "


class _Causes(logging.Handler):
    """What Apprise logs of a failure: the error's own words, else its warning. Its answer says only that it failed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.causes: list[str] = []
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(_CAUSE):
            # urllib3 wraps the cause: `Max retries exceeded with url: … (Caused by E("HTTPConnection(…): the cause"))`.
            cause = text.removeprefix(_CAUSE).rpartition("Caused by ")[2]
            self.causes.append(cause.rpartition("): ")[2].strip("\"') "))
        elif record.levelno >= logging.WARNING:
            self.warnings.append(text)

    def reason(self) -> str:
        """The last that was said, in one line."""
        said = [*self.warnings[-1:], *self.causes[-1:]]
        return " ".join(" ".join(said).split()) or "It gave no reason."


def send(url: str, messages: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Send one after the other until one is refused; a line for each.

    Redirects are not followed: what follows one is not the receiver that was set. Nothing is kept on disk.
    """
    heard = _Causes()
    logger = logging.getLogger("apprise")
    logger.addHandler(heard)
    logger.setLevel(logging.DEBUG)
    asset = apprise.AppriseAsset(
        app_id="cm4ai_assets",
        async_mode=False,
        http_redirects=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if plugin is None:
        yield "refused: Apprise does not understand this address."
        return
    plugin.redirects = False
    plugin.request_rate_per_sec = _REST
    for message in messages:
        try:
            taken = plugin.notify(body=message["body"], title=message["title"], body_format=apprise.NotifyFormat.TEXT)
        except (AppriseException, TypeError, ValueError) as error:
            taken = False
            heard.causes.append(type(error).__name__)
        if not taken:
            yield f"refused: {heard.reason()}"
            return
        yield "taken"


def main() -> None:
    """Read what is asked for from standard input, serve all channels at once, and say how it went line by line."""
    asked = json.load(sys.stdin)
    limit = int(asked["seconds"])
    apprise.Apprise.instantiate(
        "json://localhost"
    )  # the first loads every kind of channel, once for all that are forked
    serving = {_serve(number, one, limit): number for number, one in enumerate(asked["channels"])}
    while serving:
        process, status = os.wait()
        number = serving.pop(process)
        if os.WIFSIGNALED(status):
            late = os.WTERMSIG(status) == signal.SIGALRM
            _say(number, f"refused: {f'It did not answer within {limit} s.' if late else 'Sending was ended.'}")
        elif status:
            _say(number, "refused: The answer is too large, or Apprise failed.")


def _serve(number: int, channel: Mapping[str, Any], seconds: int) -> int:
    """Fork the process that serves one channel; its id."""
    process = os.fork()
    if process:
        return process
    failed = 1
    try:
        signal.alarm(seconds)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for line in send(channel["url"], channel["messages"]):
            _say(number, line)
        failed = 0
    finally:
        os._exit(failed)


def _say(number: int, line: str) -> None:
    """One line by one write: all processes have one pipe."""
    os.write(1, f"{number} {line[:_LONGEST]}\n".encode())


if __name__ == "__main__":
    main()
