"""What stands in front of Dagster's webserver: requests of other sites and for other names are refused.

Dagster's webserver runs mutations that come by GET and looks at neither Host nor Origin, so that binding to 127.0.0.1
is not enough: any web page that the operator opens could start runs.

Belongs here: which requests are let through, and headers that keep the UI out of other sites' frames. Does not belong
here: who may log in; Dagster has no users, a proxy does that.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost", "::1"})
_POLICY_VIOLATION = 1008


class Guard:
    """Lets through only what a page of this very server sends.

    Refuses a Host that is not this machine's (DNS rebinding), an Origin that is another site's (cross-site requests and
    WebSockets), and GraphQL by GET (which would need no preflight). No other site may show the UI in a frame.

    Args:
        app: The application behind it.
        hosts: Names under which a proxy serves it, beside those of this machine.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(name.lower() for name in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""

        async def unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("Content-Security-Policy", "frame-ancestors 'none'")
                headers["X-Frame-Options"] = "DENY"
            await send(message)

        refusal = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self._app(scope, receive, unframed)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal[1]})
        else:
            await PlainTextResponse(refusal[1], status_code=refusal[0])(scope, receive, unframed)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if _hostname(f"//{host}") not in _NAMES | self._hosts:
            return 421, (
                "This server answers to 127.0.0.1 and localhost only. Behind a proxy, add its name to CM4AI_UI_HOSTS."
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin, host):
            return 403, "Requests from other sites are refused. Behind a proxy, add its name to CM4AI_UI_HOSTS."
        is_graphql = scope["type"] == "http" and scope["path"].endswith("/graphql")
        if is_graphql and scope["method"] == "GET" and scope["query_string"]:
            return 405, "GraphQL is answered to POST only."
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        """A page of this server, or of the proxy that serves it under a name of the settings."""
        name = _hostname(origin)
        return name is not None and (name in self._hosts or urlsplit(origin).netloc == host)


def _hostname(address: str) -> str | None:
    """The name in an address, in lower case; None where there is none that can be read."""
    try:
        return urlsplit(address).hostname
    except ValueError:  # an IPv6 address without its end
        return None
