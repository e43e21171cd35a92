"""The filesystem of a storage: the one place where one is opened, with the retries and caches that all of us need.

Belongs here: from the URL of a storage to its filesystem. Does not belong here: what is particular to one kind (`s3`).
"""

from __future__ import annotations

import fsspec
from fsspec.core import split_protocol

from cm4ai_assets.errors import ConfigurationError


def open_filesystem(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The filesystem of a storage, and the root on it.

    Args:
        url: As in CM4AI_STORAGE: a path or fsspec URL.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    try:
        if split_protocol(url)[0] in {"s3", "s3a"}:
            from cm4ai_assets.storage.s3 import PatientS3  # noqa: PLC0415 - an extra

            fs = PatientS3(use_listings_cache=False, **PatientS3._get_kwargs_from_urls(url))  # noqa: SLF001
            root = str(fs._strip_protocol(url))  # noqa: SLF001 - as fsspec's own `url_to_fs` does
        else:
            # Without its cache of listings: another process may have published meanwhile.
            fs, root = fsspec.url_to_fs(url, use_listings_cache=False)
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"CM4AI_STORAGE={url!r} cannot be opened: {error}.",
            remedy="A path, or a URL such as s3://bucket/folder (pip install 'cm4ai_assets[s3]') or gs:// ([gcs]).",
        ) from error
    return fs, root.rstrip("/")
