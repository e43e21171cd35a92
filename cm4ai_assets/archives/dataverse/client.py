"""The native and access API of a Dataverse: collections, datasets, versions, and the bytes of files.

Belongs here: which call answers which question, and whether an answer is one. Does not belong here: the shape of
answers (`model`), transport (`http`), what a file means (`recognition`, `lock`), resuming and verifying (`download`).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from cm4ai_assets.archives.dataverse.model import Dataset, Version, unknown_fields
from cm4ai_assets.coordination import among
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.transfer.api_client import ApiClient
from cm4ai_assets.transfer.errors import (
    CONCERNS_THE_ARCHIVE,
    DeaccessionedError,
    GuestbookRequiredError,
    NotFoundError,
    ProtocolError,
)
from cm4ai_assets.transfer.http import Answer, HttpClient, Reply, Timeouts
from cm4ai_assets.transfer.origins import origin
from cm4ai_assets.transfer.pieces import FileStream, positioned
from cm4ai_assets.transfer.rate_limit import RateLimit
from cm4ai_assets.transfer.retries import RetryPolicy

_log = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=BaseModel)
_Result = TypeVar("_Result")

MAX_ENTRIES = 50_000
"""Datasets, versions or files of one answer: each becomes an object of some kilobytes."""

_PUBLISHED = frozenset({"RELEASED", "ARCHIVED", "DEACCESSIONED"})


@dataclass(frozen=True)
class Listing:
    """What a collection lists: its datasets, and what is wrong with entries that are none."""

    datasets: tuple[Dataset, ...]
    problems: tuple[ProtocolError, ...]


class DataverseClient(ApiClient):
    """Reads a Dataverse.

    Args:
        base_url: Where it is, without `/api`.
        token: API token, for what guests may not see. Sent to exactly this origin.
        rate_limit: Courtesy shared with other processes; None for a client that is alone, until it has to `share`.
        retries: How patiently calls are repeated, and downloads by default.
        guestbook: The answers to give where a file asks for a guestbook response (`name`, `email`, `institution`,
            `position`, `answers`); without them such a file is reported. Nobody's form is filled in unasked.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        rate_limit: RateLimit | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        guestbook: Mapping[str, object] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = HttpClient(
            base_url, token=token, rate_limit=rate_limit, retries=retries, timeouts=timeouts, sleep=sleep
        )
        super().__init__(self._http)
        self._guestbook = guestbook
        self.retries = retries or RetryPolicy()
        self._drift: set[str] = set()

    @classmethod
    def from_settings(cls, settings: Settings, url: str | None = None) -> Self:
        """A client of the archive that the settings name, or of another one; the token is for the former only."""
        base = url or settings.dataverse_url
        is_ours = origin(settings.dataverse_url) == origin(base)
        return cls(base, token=settings.dataverse_token if is_ours else None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http!r})"

    @property
    def base_url(self) -> str:
        """Where this archive is."""
        return self._http.base_url

    @property
    def has_token(self) -> bool:
        """Whether requests are made as somebody, who may see more than a guest."""
        return self._http.has_token

    def share(self, folder: Path) -> None:
        """Share transfer slots and cool-downs with all processes that agree `among` this folder, if not done so far."""
        if self._http.rate_limit is None:
            self._http.rate_limit = RateLimit(among(folder), retries=self.retries)

    @property
    def drift(self) -> frozenset[str]:
        """Fields this server sent that no known version does: it was upgraded, and may mean other things."""
        return frozenset(self._drift)

    def patiently(self, ask: Callable[[], _Result]) -> _Result:
        """Ask, and ask again by the client's retry policy."""
        return self._http.patiently(ask)

    def server_version(self) -> str:
        """The server's version, such as "6.9"."""
        data = self._data(self._http.json("/api/info/version"))
        version = data.get("version") if isinstance(data, dict) else None
        if not isinstance(version, str):
            raise ProtocolError(f"{self.base_url} does not say which version it is.")
        return version

    def listing(self, collection: str) -> Listing:
        """The datasets that stand directly in a collection, as the database has them now; odd entries apart.

        Not the search: its index is written later than the publication and can be stale (protocol reference, 2.6).

        Raises:
            ProtocolError: It is no list, or one of nothing that can be read.
        """
        data = self._data(self._http.json(f"/api/dataverses/{quote(collection, safe=':')}/contents"))
        if not isinstance(data, list) or len(data) > MAX_ENTRIES:
            raise ProtocolError(f"The contents of collection {collection} are not a list of at most {MAX_ENTRIES:,}.")
        found: dict[str, Dataset] = {}
        problems: list[ProtocolError] = []
        for number, entry in enumerate(data, 1):
            if isinstance(entry, dict) and entry.get("type") == "dataverse":
                continue
            try:
                dataset = self._parsed(Dataset, entry)
            except ProtocolError as error:
                problems.append(ProtocolError(f"Entry {number} of collection {collection}: {error.message}"))
                continue
            if dataset.doi:
                found[dataset.doi] = dataset
            else:
                problems.append(ProtocolError(f"Entry {number} of collection {collection} has no persistent id."))
        if problems and not found:
            raise problems[0]
        return Listing(tuple(found.values()), tuple(problems))

    def datasets(self, collection: str) -> list[Dataset]:
        """The datasets of a collection that can be read; others are logged. See `listing`."""
        listing = self.listing(collection)
        for problem in listing.problems:
            _log.warning("%s It is left out.", problem.message)
        return list(listing.datasets)

    def versions(self, doi: str) -> list[Version]:
        """The published versions of a dataset, newest first: without files, with the metadata that holds the title.

        One call. Each version's own title names it, so what is published later never changes an earlier answer.
        """
        reply = self._http.json("/api/datasets/:persistentId/versions", {"persistentId": doi, "excludeFiles": "true"})
        versions = [self._parsed(Version, entry) for entry in _objects(self._data(reply), f"versions of {doi}")]
        for version in versions:
            _same_dataset(version, doi)
        return [version for version in versions if version.number and version.version_state in _PUBLISHED]

    def version(self, doi: str, number: str) -> Version:
        """One numbered version with all its files, in one consistent answer.

        Raises:
            DeaccessionedError: It was withdrawn; the error says why and where to go instead.
            NotFoundError: There is none.
            ProtocolError: The answer is of another version, lacks its files, or names a file twice.
        """
        if not re.fullmatch(r"\d+\.\d+", number):
            raise ProtocolError(f"{number!r} is not a pinned version.", remedy="Ask for one like 2.1.")
        try:
            reply = self._version(doi, number, {"excludeFiles": "false"})
        except NotFoundError as error:
            raise self._withdrawn(doi, number) or error from None
        data = self._data(reply)
        listed = data.get("files") if isinstance(data, dict) else None
        if isinstance(listed, list) and len(listed) > MAX_ENTRIES:
            raise ProtocolError(f"Version {number} of {doi} lists more than {MAX_ENTRIES:,} files.")
        version = self._parsed(Version, data)
        _same_dataset(version, doi)
        if version.number != number:
            raise ProtocolError(f"Version {number} of {doi} was asked for, {version.number} was sent.")
        if version.version_state == "DEACCESSIONED":
            raise _deaccessioned(version, doi)
        if version.files is None:
            raise ProtocolError(f"Version {number} of {doi} came without its files.")
        ids = [file.data_file.id for file in version.files]
        if None in ids or len(set(ids)) != len(ids):
            raise ProtocolError(f"Version {number} of {doi} lists a file twice, or one without an id.")
        seen_on = reply.served.date() if reply.served else None
        return version.model_copy(update={"seen_on": seen_on, "dataset_persistent_id": doi})

    def _version(self, doi: str, number: str, params: Mapping[str, str]) -> Reply:
        return self._http.json(f"/api/datasets/:persistentId/versions/{number}", {"persistentId": doi, **params})

    def _withdrawn(self, doi: str, number: str) -> DeaccessionedError | None:
        """What a withdrawn version says about itself, if that is why it is not found."""
        try:
            reply = self._version(doi, number, {"excludeFiles": "true", "includeDeaccessioned": "true"})
        except ArchiveError:
            return None
        version = self._parsed(Version, self._data(reply))
        return _deaccessioned(version, doi) if version.version_state == "DEACCESSIONED" else None

    def releases(self, collection: str) -> list[ReleaseRecord]:
        """Every released version of every dataset of a collection, oldest dataset first, still without a key.

        A dataset that cannot be read, or vanishes between the two calls, is left out, and logged.

        Raises:
            ArchiveError: The archive cannot be asked.
        """
        found: list[ReleaseRecord] = []
        for dataset in self.datasets(collection):
            try:
                versions = self.versions(dataset.doi or "")
            except CONCERNS_THE_ARCHIVE:
                raise
            except ArchiveError as error:
                _log.warning("%s is listed in %s but cannot be read: %s", dataset.doi, collection, error)
                continue
            released = [version for version in versions if version.version_state != "DEACCESSIONED"]
            records = [
                release_record(dataset.doi or "", dataset, version, versions, self.base_url) for version in released
            ]
            found += [record for record in records if record is not None]
        return sorted(found, key=lambda record: (record.published, record.doi, record.major, record.minor))

    @contextmanager
    def open_file(
        self, file_id: int, *, offset: int = 0, length: int | None = None, counted: bool = False, original: bool = False
    ) -> Iterator[FileStream]:
        """The bytes of a file, from `offset` on if the server can, else from 0: see `FileStream.start`.

        Args:
            file_id: The file.
            offset: Where to begin.
            length: How many; None for all that follow.
            counted: Whether the archive's download statistics should count this request; once per download.
            original: The upload itself, where the archive keeps a tabular derivative.

        Raises:
            RangeError: The answer is not the piece that was asked for.
            ArchiveError: It was refused, or nothing answered.
        """
        params = {} if counted else {"gbrecs": "true"}
        if original:
            params["format"] = "original"
        url = self._http.url(f"/api/access/datafile/{file_id}", params)
        _, host, port = self._http.home
        slot = self._http.rate_limit.slot(f"{host}_{port}") if self._http.rate_limit else nullcontext()
        with slot, self._opened(url, file_id, offset, length) as answer:
            yield positioned(answer, offset)

    @contextmanager
    def _opened(self, url: str, file_id: int, start: int, length: int | None) -> Iterator[Answer]:
        try:
            with self._accepted(url, start, length) as answer:
                yield answer
                return
        except GuestbookRequiredError as error:
            if self._guestbook is None:
                raise
            _log.info("%s The configured answers are given.", error.message)
        with self._accepted(self._signed_url(file_id), start, length) as answer:
            yield answer

    @contextmanager
    def _accepted(self, url: str, start: int, length: int | None) -> Iterator[Answer]:
        with self._http.stream(url, start=start, length=length) as answer:
            if answer.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                self._http.raise_refusal(answer)
            yield answer

    def _signed_url(self, file_id: int) -> str:
        """The link given for a guestbook response; valid for one minute, so it is asked for just before its use."""
        reply = self._http.json(
            f"/api/access/datafile/{file_id}", body={"guestbookResponse": dict(self._guestbook or {})}
        )
        data = self._data(reply)
        link = data.get("signedUrl") if isinstance(data, dict) else None
        if not isinstance(link, str) or not self._http.is_home(link):
            raise ProtocolError(f"The archive took the guestbook response for file {file_id} and gave no link for it.")
        return link

    def _data(self, reply: Reply) -> Any:  # noqa: ANN401 - parsed by the caller
        if not isinstance(reply.body, dict) or "data" not in reply.body:
            raise ProtocolError(f"An answer of {self.base_url} has no data.")
        return reply.body["data"]

    def _parsed(self, model: type[_Model], data: object) -> _Model:
        try:
            parsed = model.model_validate(data)
        except ValidationError as error:
            where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3])
            raise ProtocolError(
                f"{self.base_url} sent a {model.__name__.lower()} of another shape: {where}.",
                remedy="The archive may have been upgraded; update cm4ai_assets.",
            ) from error
        if new := set(unknown_fields(parsed)) - self._drift:
            self._drift |= new
            _log.warning("%s sends fields that no known version does: %s.", self.base_url, ", ".join(sorted(new)))
        return parsed


def _objects(data: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(data, list) or len(data) > MAX_ENTRIES or not all(isinstance(entry, dict) for entry in data):
        raise ProtocolError(f"The {what} are not a list of objects.")
    return data


def _same_dataset(version: Version, doi: str) -> None:
    if version.doi is not None and version.doi.lower() != doi.lower():
        raise ProtocolError(f"{doi} was asked for, {version.doi} was sent.")


def _deaccessioned(version: Version, doi: str) -> DeaccessionedError:
    note, link = version.withdrawal
    reason = f": {note}" if note else "."
    return DeaccessionedError(
        f"Version {version.number} of {doi} was withdrawn{reason}",
        remedy=f"What is stored is kept. {f'See {link}.' if link else ''}".strip(), note=note, link=link,
    )  # fmt: skip


def release_record(
    doi: str, dataset: Dataset | None, version: Version, versions: list[Version], archive: str
) -> ReleaseRecord | None:
    """A version as a release, still without a key; None, and logged, if nothing states when it was published.

    Args:
        doi: Persistent id of the dataset.
        dataset: As the collection lists it; None if it does not.
        version: The version.
        versions: All versions of the dataset, from which is taken what this one does not state.
        archive: Base URL it was seen at.
    """
    days = [v.release_time.date() for v in versions if v.release_time]
    listed = dataset.publication_date if dataset else None
    published = listed or version.publication_date or min(days, default=None)
    if published is None or version.version_number is None:
        _log.warning("Version %s of %s has no date of publication and is left out.", version.number, doi)
        return None
    return ReleaseRecord(
        key="", doi=doi, major=version.version_number, minor=version.version_minor_number or 0,
        title=version.title or next((v.title for v in versions if v.title), ""), published=published,
        released=version.release_time, archive=archive,
    )  # fmt: skip
