"""`/healthz` and `/readyz` on the UI's address: whether it runs, and whether it can do its work.

Monitors and container runtimes ask them without a login and by any name of the machine, so they stand in front of
`guard`. They give nothing away: an answer has names of parts, `ok` or `unavailable`, and no cause, version or address.

Belongs here: these two answers, and how often the parts are asked. Does not belong here: what the parts are (`ui`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

ALIVE: Final = "/healthz"
READY: Final = "/readyz"
KEPT: Final = 5.0
"""Seconds for which an answer is given again: who asks without a login makes no work."""
PATIENCE: Final = 5.0
"""Seconds that the parts have to answer."""

Probe = Callable[[], bool]
"""Whether a part works. Whatever it raises means that it does not."""


class Health:
    """Answers `/healthz` and `/readyz`, and hands every other request on.

    Args:
        app: The application behind it.
        parts: What has to work, by name.
        kept: Seconds for which the state of the parts is kept.
        patience: Seconds to wait for it.
    """

    def __init__(
        self, app: ASGIApp, parts: Mapping[str, Probe], *, kept: float = KEPT, patience: float = PATIENCE
    ) -> None:
        self._app, self._parts = app, parts
        self._kept, self._patience = kept, patience
        self._asked: asyncio.Task[dict[str, bool]] | None = None
        self._at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http" or scope["path"] not in {ALIVE, READY}:
            await self._app(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await _plain("This address is only read.", 405)(scope, receive, send)
        else:
            answer = _plain("ok", 200) if scope["path"] == ALIVE else await self._ready()
            await answer(scope, receive, send)

    async def _ready(self) -> Response:
        """One look at all parts is under way at a time: a part that hangs holds one thread, and each answer says so."""
        if self._asked is None or (self._asked.done() and time.monotonic() - self._at > self._kept):
            self._at = time.monotonic()
            self._asked = asyncio.create_task(asyncio.to_thread(self._states))
        try:
            states = await asyncio.wait_for(asyncio.shield(self._asked), self._patience)
        except TimeoutError:
            return _plain(f"no answer within {self._patience:g} s", 503)
        lines = [f"{name} {'ok' if works else 'unavailable'}" for name, works in states.items()]
        return _plain("\n".join(lines), 200 if all(states.values()) else 503)

    def _states(self) -> dict[str, bool]:
        return {name: _works(probe) for name, probe in self._parts.items()}


def _works(probe: Probe) -> bool:
    try:
        return probe()
    except Exception:  # noqa: BLE001 - of whatever kind: it does not work, and the cause is not for everybody
        return False


def _plain(text: str, status: int) -> Response:
    return PlainTextResponse(f"{text}\n", status, {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
