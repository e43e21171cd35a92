"""The platform as a Dagster resource: settings at run time, and what they lead to.

Belongs here: the one resource that assets and checks take. Does not belong here: the clients and stores themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import BinaryIO, cast

from cm4ai_assets.archives import datacite
from cm4ai_assets.archives.datasheets import added_datasheet
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.ncbi import NcbiClient
from cm4ai_assets.archives.figshare.client import FigshareClient
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.cluster.connection import Connect, connect
from cm4ai_assets.settings import THREADS, Settings
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.transfer.http import HttpClient
from cm4ai_assets.updates import watch
from cm4ai_assets.updates.locked import LockedParts


class Platform:
    """The settings of the running process, and the store, blobs and archive client they name.

    A plain object, not a configurable resource, on purpose: who may launch a run must not be able to point it at other
    paths or servers by its run configuration.

    Args:
        settings: In place of those of the environment, which is read on first use.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process."""
        return self._settings or Settings.from_env()

    @cached_property
    def store(self) -> Store:
        """Published tables and tensors."""
        return Store.from_settings(self.settings, holds=True)

    @cached_property
    def blobs(self) -> BlobStore:
        """Published bytes of the archive, by content."""
        return BlobStore(self.store.fs, self.store.root)

    @cached_property
    def registry(self) -> ReleaseRegistry:
        """What each release key means."""
        return ReleaseRegistry(self.store)

    @cached_property
    def locked(self) -> LockedParts:
        """What is remembered of the releases' locks."""
        return LockedParts(self.store)

    @cached_property
    def absences(self) -> Absences:
        """Why tables were not made."""
        return Absences(self.store)

    @property
    def cluster(self) -> Connect | None:
        """Leads to the cluster that works on images and counts; None where threads of this process do it."""
        address = self.settings.executor
        return None if address == THREADS else partial(connect, address, self.store)

    @contextmanager
    def open_zip(self, sha256: str) -> Iterator[ByteSource]:
        """The stored bytes of an archive's ZIP, to be read at any position."""
        with self.blobs.open(sha256) as source:
            yield source

    def open_stream(self, sha256: str) -> BinaryIO:
        """Stored bytes as a file to be read from its beginning; close it after use."""
        return cast("BinaryIO", self.blobs.open_stream(sha256))

    def archive(self) -> DataverseClient:
        """A new client of the archive; close it after use (it is a context manager)."""
        return DataverseClient.from_settings(self.settings)

    def massive(self) -> MassiveClient:
        """A new client of MassIVE; close it after use (it is a context manager)."""
        return MassiveClient(self.settings.massive_url)

    def figshare(self) -> FigshareClient:
        """A new client of Figshare; close it after use (it is a context manager)."""
        return FigshareClient(self.settings.figshare_url)

    def ena(self) -> EnaClient:
        """A new client of ENA, with little patience: it is asked again with the next lock. Close it after use."""
        return EnaClient(self.settings.ena_url, retries=datacite.RETRIES)

    def ncbi(self) -> NcbiClient:
        """A new client of NCBI, whose allowance all processes share; otherwise like `ena`."""
        return NcbiClient(self.settings.ncbi_url, shared=self.settings.scratch / "hosts", retries=datacite.RETRIES)

    @contextmanager
    def usage_services(self) -> Iterator[tuple[HttpClient, HttpClient]]:
        """Clients of the archive and of DataCite that ask for usage, with little patience."""
        urls = (self.settings.dataverse_url, self.settings.datacite_url)
        with (
            HttpClient(urls[0], retries=datacite.RETRIES) as archive,
            HttpClient(urls[1], retries=datacite.RETRIES) as other,
        ):
            yield archive, other

    def describer(self) -> HttpClient:
        """A client that asks the archive for a dataset's own description, with little patience: it is no data."""
        return HttpClient(self.settings.dataverse_url, retries=datacite.RETRIES)

    def added_datasheet(self, release: str) -> bytes | None:
        """The datasheet that the operator adds to a release; None if there is none. See `archives.datasheets`."""
        folder = self.settings.datasheets
        return None if folder is None else added_datasheet(folder, release)

    def watcher(self) -> DataverseClient:
        """A client for one look at the archive: impatient, because the next look is the second try."""
        return DataverseClient(
            self.settings.dataverse_url,
            token=self.settings.dataverse_token,
            retries=watch.RETRIES,
            timeouts=watch.TIMEOUTS,
        )
