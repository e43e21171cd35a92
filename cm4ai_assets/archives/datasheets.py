"""Datasheets that an operator adds to releases, because the archive does not carry them: one file per release.

Belongs here: asking for `{release}.yaml` in a folder, below a web address, or on any fsspec filesystem. Does not belong
here: what a datasheet says (`crates.datasheet`), and where the folder is (`settings`).
"""

from __future__ import annotations

from http import HTTPStatus

import fsspec

from cm4ai_assets.errors import ArchiveError, ConfigurationError
from cm4ai_assets.transfer.errors import ProtocolError
from cm4ai_assets.transfer.http import HttpClient

LARGEST = 500_000  # bytes; the largest real datasheet has 17,000
_WEB = ("http://", "https://")


def added_datasheet(folder: str, release: str) -> bytes | None:
    """The datasheet of a release in the folder of added ones; None if it has none of this release.

    Args:
        folder: A path or URL (`CM4AI_DATASHEETS`).
        release: Release key; the file is `{release}.yaml`.

    Raises:
        ConfigurationError: The folder cannot be read.
        ArchiveError: The server of the folder refuses it, or the file is too large to be a datasheet.
    """
    name = f"{release}.yaml"
    data = _from_web(folder, name) if folder.startswith(_WEB) else _from_folder(folder, name)
    if data is not None and len(data) > LARGEST:
        raise ArchiveError(f"{name} in {folder} has more than {LARGEST:,} bytes; it is no datasheet and is not read.")
    return data


def _from_web(folder: str, name: str) -> bytes | None:
    with HttpClient(folder) as client, client.stream(client.url(f"/{name}")) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            client.raise_refusal(answer)
        body = bytearray()
        for chunk in answer.chunks():
            body += chunk
            if len(body) > LARGEST:
                break
        if bytes(body[:200]).lstrip().lower().startswith((b"<!doctype html", b"<html")):
            raise ProtocolError(f"{answer.url} is a web page, not a datasheet.", remedy="Open it in a browser.")
        return bytes(body)


def _from_folder(folder: str, name: str) -> bytes | None:
    try:
        fs, root = fsspec.url_to_fs(folder)
        if not fs.isdir(root):
            raise ConfigurationError(
                f"CM4AI_DATASHEETS={folder!r} is no folder.", remedy="Create it, or take the setting out."
            )
        path = f"{root.rstrip('/')}/{name}"
        if not fs.isfile(path):
            return None
        with fs.open(path, "rb") as file:
            return bytes(file.read(LARGEST + 1))
    except (OSError, ValueError, ImportError) as error:
        raise ConfigurationError(
            f"CM4AI_DATASHEETS={folder!r} cannot be read: {error}.", remedy="Name a folder that can, or take it out."
        ) from error
