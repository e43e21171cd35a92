"""Receivers of messages on loopback: a mail server that keeps what it gets, and webhooks, good and hostile."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller


class Mailbox(Controller):
    """A mail server on a port of its own; `mails` is what it took."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        super().__init__(self, hostname="127.0.0.1", port=0)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=cm4ai@example.org&to=team@example.org"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A mail server that runs."""
    server = Mailbox()
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Webhook(ThreadingHTTPServer):
    """A webhook on a port of its own: `posts` is what came, `behaviour` what it does with it."""

    daemon_threads = True

    def __init__(self, behaviour: str = "takes", leads_to: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour, self.leads_to = behaviour, leads_to
        self.posts: list[dict[str, Any]] = []
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {self.path} {dict(self.headers)}")
        if self.server.behaviour == "redirects":
            self.send_response(307)
            self.send_header("Location", self.server.leads_to)
            self.end_headers()
        elif self.server.behaviour == "drips":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.2)
        elif self.server.behaviour == "refuses":
            self.send_response(500)
            self.end_headers()
            self.wfile.write(body)  # quotes what it was sent
        else:
            self.server.posts.append(json.loads(body))
            self.send_response(200)
            self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""


@contextmanager
def webhook(behaviour: str = "takes", *, leads_to: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    """A webhook that runs."""
    server = Webhook(behaviour, leads_to)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
