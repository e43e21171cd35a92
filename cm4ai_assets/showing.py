"""Published documents on the address of the UI: `/documents/{asset}/{release}/`, without a release where it has none.

A document quotes what archives say, and stands on the origin from which runs are started. So each answer is sandboxed:
the browser gives it an origin of its own, runs nothing in it, and loads nothing for it.

Belongs here: which documents are shown, and with which headers. Does not belong here: who may ask (`guard`), and which
files a document has (`storage.documents`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from cm4ai_assets.errors import Cm4aiError, NotMaterializedError
from cm4ai_assets.heavy import responses, threadpool
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.releases import ReleaseKey
from cm4ai_assets.storage.documents import DocumentFile
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import DOCUMENTS, Document

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX: Final = "/documents/"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "sandbox allow-popups allow-downloads; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_TYPES: Final = {"html": "text/html", "json": "application/json", "jsonld": "application/ld+json"}
_METHODS: Final = ("GET", "HEAD")


def address_of(document: Document, partition: Partition) -> str:
    """Where the UI shows a published document, on its own origin."""
    return f"{PREFIX}{document.name}/{partition.release}/" if partition.release else f"{PREFIX}{document.name}/"


class Documents:
    """Answers for published documents, and hands every other request on.

    Args:
        app: The application behind it.
        store: The storage whose documents are shown.
    """

    def __init__(self, app: ASGIApp, store: Store) -> None:
        self._app, self._store = app, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
        elif scope["method"] not in _METHODS:
            refusal = responses.PlainTextResponse("Documents are only read.", 405, {"Allow": ", ".join(_METHODS)})
            await refusal(scope, receive, send)
        else:
            answer = await threadpool.run_in_threadpool(self._answer, scope["path"])
            await answer(scope, receive, send)

    def _answer(self, path: str) -> Response:
        asset, slash, name = unquote(path).removeprefix(PREFIX).partition("/")
        document, partition = next((one for one in DOCUMENTS if one.name == asset), None), Partition()
        if document is not None and document.partitioning is not Partitioning.NONE:
            release, slash, name = name.partition("/")
            partition = Partition(release)
            document = document if ReleaseKey.is_valid(release) else None
        if document is None:
            return _plain("There is no such document.", 404)
        if not slash:
            return responses.RedirectResponse(address_of(document, partition), 307, HEADERS)
        try:
            return self._file(document, partition, name)
        except NotMaterializedError as error:
            return _plain(str(error), 404)
        except Cm4aiError as error:
            return _plain(str(error), 500)

    def _file(self, document: Document, partition: Partition, name: str) -> Response:
        """A file of the published version. Only names that it lists are looked up, so that no path leads elsewhere."""
        published = self._store.document(document, partition)
        name = name or document.entry
        if name not in published.files:
            return _plain(f"{document.name} has no such file. It has: {', '.join(sorted(published.files))}.", 404)
        try:
            data = self._store.read(f"{published.folder}/{name}")
        except FileNotFoundError:
            data = b""
        if DocumentFile.of(data) != published.files[name]:
            return _plain(f"{name} was altered after it was published. Materialize {document.name} again.", 500)
        kind = _TYPES.get(name.rpartition(".")[2].lower(), "text/plain")
        return responses.Response(data, headers=dict(HEADERS), media_type=kind)


def _plain(text: str, status: int) -> Response:
    return responses.PlainTextResponse(text, status, dict(HEADERS))
