"""The platform as a Dagster resource: settings at run time, and what they lead to.

Belongs here: the one resource that assets and checks take. Does not belong here: the clients and stores themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from cm4ai_assets.archives.blobs import BlobStore
from cm4ai_assets.archives.dataverse import DataverseClient
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store


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
        return Store.from_settings(self.settings)

    @cached_property
    def blobs(self) -> BlobStore:
        """Published bytes of the archive, by content."""
        return BlobStore(self.store.fs, self.store.root)

    @cached_property
    def registry(self) -> ReleaseRegistry:
        """What each release key means."""
        return ReleaseRegistry(self.store)

    @contextmanager
    def open_zip(self, sha256: str) -> Iterator[ByteSource]:
        """The stored bytes of an archive's ZIP, to be read at any position."""
        with self.blobs.open(sha256) as source:
            yield source

    def archive(self) -> DataverseClient:
        """A new client of the archive; close it after use (it is a context manager)."""
        return DataverseClient(self.settings.dataverse_url, token=self.settings.dataverse_token)
