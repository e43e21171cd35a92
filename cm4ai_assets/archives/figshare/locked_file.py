"""A locked file of a Figshare article as an item of the engine, and its stored bytes.

Belongs here: what needs neither the client nor what the article says. Does not belong here: fetching (`acquire`), and
how a file is locked (`lock`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.acquire import Item, stored


@dataclass(frozen=True)
class FigshareFile:
    """One row of `figshare_files`, as far as fetching and verifying need it."""

    doi: str
    article_id: int
    article_version: int
    file_id: int
    label: str
    size: int | None
    md5: str | None
    url: str | None
    access: str
    embargo_until: date | None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """A file from a row of the table; other columns are left aside."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def item_of(file: FigshareFile) -> Item:
    """A locked file as any archive's item."""
    return Item(name_of(file), f"figshare {file.file_id} {file.size}", file.size, "MD5" if file.md5 else None, file.md5)


def stored_blob(file: FigshareFile, blobs: BlobStore) -> Blob | None:
    """The stored bytes of a locked file; None if they are not stored."""
    return stored(item_of(file), blobs)


def name_of(file: FigshareFile) -> str:
    """What a file is called in messages."""
    return f"{file.label} (file {file.file_id} of Figshare article {file.article_id})"
