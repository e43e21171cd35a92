"""An archive whose lists do not answer, so that the daemon beside the UI fetches nothing while pages are looked at."""

from __future__ import annotations

from http import HTTPStatus

from cm4ai_assets.sandbox.exchange import Answer, Request


def asleep(request: Request) -> Answer | None:
    """A fault: no sensor learns of a release, so that none requests anything. Files are served as ever."""
    asked = request.path.startswith(("/dataverses", "/search"))
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE) if asked else None
