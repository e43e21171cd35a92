"""MassIVE: what a deposit is (PROXI), and what it holds (the dataset cache, else its own listing by FTPS).

Belongs here: asking, and reading the answers. Does not belong here: what follows from a listing (`massive_inventory`),
how FTPS works (`massive_ftps`). MassIVE publishes no digests: sizes are all that a listing has.
"""

from __future__ import annotations

import csv
import io
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode

from cm4ai_assets.archives.massive.inventory import Entry, Inventory
from cm4ai_assets.archives.massive.listing import FtpsLister, rewritten
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.identifiers import MASSIVE
from cm4ai_assets.settings import MASSIVE_URL
from cm4ai_assets.transfer.api_client import ApiClient
from cm4ai_assets.transfer.errors import NetworkError, NotFoundError, ProtocolError
from cm4ai_assets.transfer.http import Answer, HttpClient, Timeouts
from cm4ai_assets.transfer.refusals import Service
from cm4ai_assets.transfer.retries import RetryPolicy

CACHE_URL = "https://datasetcache.gnps2.org"

_PROXI = "/ProteoSAFe/proxi/v0.1/datasets"
_CACHE = "/datasette/database/filename.csv"
_DOWNLOAD = "/ProteoSAFe/DownloadResultFile"
_FTP_LOCATION, _DATASET_URI, _SPECIES = "MS:1002852", "MS:1002488", "MS:1001469"
_COLUMNS = ("filepath", "size")
# PROXI refuses with problem documents (RFC 9457).
_SERVICE = Service("CM4AI_MASSIVE_URL", refusal=("title", "status"))
# Both bound what is built of a listing: the largest of this programme's deposits has some 9,000 files in 2 MB.
_LISTING_LIMIT, _ROW_LIMIT = 128 * 1024 * 1024, 1_000_000
# Without _stream the cache cuts its answer at this many rows without a word (protocol reference, section 4).
_CUT_AT = 50_000


@dataclass(frozen=True)
class Deposit:
    """What PROXI says of a deposit. `root` is its stated folder, with the host that answers; "" without one."""

    accession: str
    title: str
    summary: str
    species: tuple[str, ...]
    instruments: tuple[str, ...]
    root: str
    page: str


class MassiveClient(ApiClient):
    """Asks MassIVE and the dataset cache, anonymously.

    Args:
        base_url: MassIVE's web server.
        cache_url: The dataset cache; with another `base_url` than MassIVE's own, that server too.
        context: What certificates are trusted, by HTTPS and FTPS.
        retries: Retry policy.
        timeouts: Seconds to wait for a connection and for the next bytes.
        sleep: What to wait with.
    """

    def __init__(
        self,
        base_url: str = MASSIVE_URL,
        *,
        cache_url: str | None = None,
        context: ssl.SSLContext | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        mirror = cache_url or (CACHE_URL if base_url.rstrip("/") == MASSIVE_URL else base_url)
        timeouts = timeouts or Timeouts()
        self._web, self._cache = (
            HttpClient(url, retries=retries, timeouts=timeouts, sleep=sleep, verify=context, service=_SERVICE)
            for url in (base_url, mirror)
        )
        super().__init__(self._web, self._cache)
        self.ftps = FtpsLister(context=context, timeouts=timeouts, retries=retries, sleep=sleep)

    @property
    def has_ftps(self) -> bool:
        """Whether files may be asked for by FTPS: not where another server stands in for MassIVE."""
        return self._web.base_url == MASSIVE_URL

    def deposit(self, accession: str) -> Deposit:
        """What PROXI says of a deposit.

        Raises:
            NotFoundError: There is none of that accession.
            ArchiveError: It could not be asked, or did not answer in its protocol.
        """
        _require_accession(accession)
        body = self._web.json(f"{_PROXI}/{accession}").body
        if not isinstance(body, dict) or accession not in _values(body.get("accession")):
            raise ProtocolError(f"PROXI's answer for {accession} does not describe it.")
        # The specification says fullDatasetLinks, MassIVE datasetLink (protocol reference, section 4).
        links = {
            term.get("accession"): str(term.get("value", ""))
            for key in ("datasetLink", "fullDatasetLinks")
            for term in _terms(body.get(key))
        }
        return Deposit(
            accession=accession,
            title=str(body.get("title") or ""),
            summary=str(body.get("summary") or ""),
            species=tuple(_named(body.get("species"), _SPECIES)),
            instruments=tuple(str(term.get("name", "")) for term in _terms(body.get("instruments"))),
            root=_root(links.get(_FTP_LOCATION, ""), accession),
            page=links.get(_DATASET_URI, ""),
        )

    def cached_listing(self, accession: str) -> list[Entry]:
        """The deposit's files as the dataset cache knows them, sorted by path; empty if it does not know the deposit.

        Raises:
            ArchiveError: It could not be asked, or its answer is not a whole listing.
        """
        _require_accession(accession)
        columns = [("_col", name) for name in (*_COLUMNS, "create_time")]
        url = f"{self._cache.base_url}{_CACHE}"
        query = urlencode([("dataset__exact", accession), ("_stream", "on"), *columns])
        return self._cache.patiently(lambda: self._cached_once(f"{url}?{query}", accession))

    def inventory(self, accession: str) -> Inventory:
        """The deposit's files: from the cache, and where that fails or knows none, from MassIVE's own listing.

        The root is the one that PROXI states; where it states none, or does not answer, FTPS is searched.

        Raises:
            NotFoundError: There is no such deposit.
            ArchiveError: Nobody could be asked.
        """
        notes: list[str] = []
        root = ""
        try:
            root = self.deposit(accession).root
            if not root:
                notes.append(f"PROXI states no FTP address for {accession}.")
        except NotFoundError:
            raise
        except ArchiveError as error:
            notes.append(f"PROXI: {error.message}")
        try:
            if entries := self.cached_listing(accession):
                return Inventory(accession, root, tuple(entries), "dataset_cache", tuple(notes))
            notes.append(f"The dataset cache does not know {accession}.")
        except ArchiveError as error:
            notes.append(f"Dataset cache: {error.message}")
        if not root and not self.has_ftps:
            raise NetworkError(f"Nobody lists {accession}. {' '.join(notes)}")
        root = root or self.ftps.find_root(accession)
        return Inventory(accession, root, tuple(self.ftps.walk(root)), "ftps", tuple(notes))

    @contextmanager
    def open_file(self, accession: str, path: str) -> Iterator[Answer]:
        """A file of a deposit by HTTPS, from its beginning.

        Whether ranges are served is not known (protocol reference, section 4), so none is asked for.

        Raises:
            NotFoundError: There is no such file.
            ArchiveError: It is not available; a page that was sent instead of it is a `ProtocolError`.
        """
        _require_accession(accession)
        with self._web.stream(
            self._web.url(_DOWNLOAD, {"forceDownload": "true", "file": f"f.{accession}/{path}"})
        ) as answer:
            if answer.status != HTTPStatus.OK:
                self._web.raise_refusal(answer)
            if answer.headers.get("content-type", "").startswith("text/html") and not path.endswith((".html", ".htm")):
                raise ProtocolError(
                    f"MassIVE sent a page instead of {accession}/{path}.",
                    remedy="If this lasts, open the deposit in a browser: a maintenance page may stand before it.",
                )
            yield answer

    def _cached_once(self, url: str, accession: str) -> list[Entry]:
        with self._cache.stream(url) as answer:
            if answer.status != HTTPStatus.OK:
                self._cache.raise_refusal(answer)
            text = _text(answer, accession)
        if text and not text.endswith("\n"):
            raise ProtocolError(f"The dataset cache's listing of {accession} is cut off.")
        if text.count("\n") > _ROW_LIMIT:
            raise ProtocolError(f"The dataset cache's listing of {accession} has more than {_ROW_LIMIT:,} rows.")
        reader = csv.DictReader(io.StringIO(text), strict=True)
        if absent := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
            raise ProtocolError(
                f"The dataset cache's answer for {accession} is no listing: there is no column {absent[0]}.",
                remedy="If this lasts, open the URL in a browser: a sign-in or maintenance page may stand before it.",
            )
        try:
            entries = [_entry(row, accession) for row in reader]
        except csv.Error as error:
            raise ProtocolError(f"The dataset cache's listing of {accession} is not CSV: {error}.") from error
        if len(entries) == _CUT_AT:
            raise ProtocolError(f"The dataset cache's listing of {accession} has exactly {_CUT_AT} rows: it was cut.")
        return sorted(entries, key=lambda entry: entry.path)


def _text(answer: Answer, accession: str) -> str:
    body = bytearray()
    for chunk in answer.chunks():
        body += chunk
        if len(body) > _LISTING_LIMIT:
            raise ProtocolError(f"The dataset cache's listing of {accession} is longer than {_LISTING_LIMIT} bytes.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"The dataset cache's listing of {accession} is not UTF-8: {error}.") from error


def _entry(row: Mapping[str, str | None], accession: str) -> Entry:
    path, size = (row.get("filepath") or "").strip(), (row.get("size") or "").strip()
    # Some mirrors put the deposit before the path.
    path = path.removeprefix(f"{accession}/")
    if not path or (size and not size.isdigit()):
        raise ProtocolError(f"The dataset cache's listing of {accession} has a row without path or size: {dict(row)}.")
    return Entry(path, int(size) if size else None, _time(row.get("create_time") or ""))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _require_accession(accession: str) -> None:
    if not MASSIVE.fits(accession):
        raise NotFoundError(f"{accession!r} is not a {MASSIVE.kind}.", remedy=f"One looks like {MASSIVE.example}.")


def _root(stated: str, accession: str) -> str:
    """The stated folder, with the host that answers. It carries a volume, so it is taken as it is or not at all."""
    if not stated:
        return ""
    try:
        root = rewritten(stated.rstrip("/"))
    except ValueError:
        root = ""
    if not root.startswith(("ftp://", "ftps://")) or root.rsplit("/", 1)[-1] != accession:
        raise ProtocolError(f"PROXI states {stated!r} as the FTP location of {accession}.")
    return root


def _terms(value: object) -> Iterator[dict[str, object]]:
    """The terms of a PROXI field: a list of them, or a list of lists."""
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            yield item
        else:
            yield from _terms(item)


def _values(value: object) -> list[str]:
    return [str(term.get("value", "")) for term in _terms(value)]


def _named(value: object, accession: str) -> list[str]:
    return [str(term.get("value", "")) for term in _terms(value) if term.get("accession") == accession]
