"""Figshare's public API: articles, their versions, and the bytes of files.

Belongs here: which call answers which question, and whether an answer is one. Does not belong here: the shape of
answers (`model`), what a file is for this platform (`lock`), resuming and verifying (`transfer.download`).

Files are asked for at the API first. The address that an article states for a file may stand behind a browser challenge
(HTTP 202, `x-amzn-waf-action`), which no program passes; the API sends the same bytes without one. Both redirect to a
signed address of an object store, which is asked for anew for each piece, because it expires. No token is ever sent.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cm4ai_assets.archives.figshare.model import Article, ArticleFile
from cm4ai_assets.identifiers import DOI
from cm4ai_assets.settings import FIGSHARE_URL
from cm4ai_assets.transfer.api_client import ApiClient
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError
from cm4ai_assets.transfer.http import HttpClient, Timeouts
from cm4ai_assets.transfer.pieces import HttpFile
from cm4ai_assets.transfer.refusals import Service
from cm4ai_assets.transfer.retries import RetryPolicy

_Model = TypeVar("_Model", bound=BaseModel)

_SERVICE = Service("CM4AI_FIGSHARE_URL", refusal=("message", "code"))
PAGE = 100
MAX_FILES = 20_000
"""Files of one article: each becomes an object of some kilobytes."""

# 10.25452/figshare.plus.27261219, 10.6084/m9.figshare.1434614.v2: the article's number, and a version may follow.
_ENDING = re.compile(r"[./](?P<article>[0-9]{4,12})(?:\.v(?P<version>[0-9]{1,4}))?$", re.IGNORECASE)


def article_in(doi: str) -> tuple[int, int | None]:
    """The article that a DOI of Figshare means, and its version; None without one.

    >>> article_in("10.25452/figshare.plus.27261219.v2")
    (27261219, 2)

    Raises:
        NotFoundError: It is none.
    """
    match = _ENDING.search(doi.strip())
    if match is None or not DOI.fits(doi.strip()):
        raise NotFoundError(f"{doi!r} is no DOI of Figshare.", remedy="One looks like 10.25452/figshare.plus.27261219.")
    return int(match["article"]), int(match["version"]) if match["version"] else None


class FigshareClient(ApiClient):
    """Asks Figshare, anonymously.

    Args:
        base_url: Figshare's API server.
        retries: Retry policy.
        timeouts: Seconds to wait for a connection and for the next bytes.
        sleep: What to wait with.
    """

    def __init__(
        self,
        base_url: str = FIGSHARE_URL,
        *,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.retries = retries
        self._http = HttpClient(base_url, retries=retries, timeouts=timeouts, sleep=sleep, service=_SERVICE)
        super().__init__(self._http)

    def article(self, number: int, version: int | None = None) -> tuple[Article, date]:
        """A version of an article with all its files, and the server's day when it said so.

        Args:
            number: The article.
            version: Its version; None for the latest, whose number is then known.

        Raises:
            NotFoundError: There is none.
            ArchiveError: It could not be asked, or did not answer in its protocol.
        """
        reply = self._http.json(f"/v2/articles/{number}" + (f"/versions/{version}" if version else ""))
        article = _parsed(Article, reply.body, f"article {number}")
        if article.id != number or version not in {None, article.version}:
            raise ProtocolError(
                f"Article {number} version {version or 'latest'} was asked for, {article.id} version {article.version}"
                " was sent."
            )
        files = () if article.is_metadata_record else self._files(article)
        return article.model_copy(update={"files": files}), (reply.served or datetime.now(UTC)).date()

    def versions(self, number: int) -> list[int]:
        """The numbers of the public versions of an article, oldest first.

        Raises:
            ArchiveError: As `article`.
        """
        body = self._http.json(f"/v2/articles/{number}/versions").body
        return sorted(_parsed(_Version, entry, f"a version of article {number}").version for entry in _objects(body))

    def file(self, file_id: int, name: str, stated: str | None) -> list[HttpFile]:
        """The ways to a file's bytes, the better one first.

        Args:
            file_id: The file.
            name: What messages call it.
            stated: The address that the article states for it.
        """
        urls = [self._http.url(f"/v2/file/download/{file_id}"), *([stated] if stated else [])]
        return [HttpFile(self._http, url, name) for url in urls]

    def _files(self, article: Article) -> tuple[ArticleFile, ...]:
        """All files of one numbered version, page by page, each once."""
        found: dict[int, ArticleFile] = {}
        path = f"/v2/articles/{article.id}/versions/{article.version}/files"
        for page in range(1, MAX_FILES // PAGE + 2):
            body = self._http.json(path, {"page": str(page), "page_size": str(PAGE)}).body
            files = [_parsed(ArticleFile, entry, f"a file of article {article.id}") for entry in _objects(body)]
            if found.keys() & {file.id for file in files} or len({file.id for file in files}) < len(files):
                raise ProtocolError(f"The listing of article {article.id} names a file twice.", remedy="List it again.")
            found.update({file.id: file for file in files})
            if len(files) < PAGE:
                break
        else:
            raise ProtocolError(f"Article {article.id} has more than {MAX_FILES:,} files.")
        if absent := [file.name for file in article.files if file.id not in found]:
            raise ProtocolError(
                f"Article {article.id} names {absent[0]}, which its listing does not.", remedy="List it again."
            )
        return tuple(found[number] for number in sorted(found))


class _Version(BaseModel):
    version: int


def _objects(body: object) -> list[Any]:
    if not isinstance(body, list) or len(body) > MAX_FILES:
        raise ProtocolError("Figshare's answer is no list.")
    return body


def _parsed(model: type[_Model], data: object, what: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
        raise ProtocolError(
            f"Figshare sent {what} in another shape: {where}.",
            remedy="Its API may have changed; update cm4ai_assets.",
        ) from error
