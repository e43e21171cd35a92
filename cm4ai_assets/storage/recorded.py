"""Stores that say in a record what they hold: reading the record, and whether all of the store is there.

Belongs here: what tensors, nuclei and profiles have in common as stores. Does not belong here: what each kind of store
consists of (`tensors`, `nuclei`, `profiles`), or parts that went away after one was looked at (`whole_shards`,
`whole_chunks`).

The record stands in the attributes of the store's Zarr group, whose metadata is written after everything else.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import fsspec
import polars as pl

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.storage.placing import files_at

METADATA: Final = "zarr.json"
RECORD: Final = "cm4ai"

Record = TypeVar("Record")


def stated_record(
    fs: fsspec.AbstractFileSystem,
    path: str,
    parsed: Callable[[Mapping[str, Any]], Record],
    *,
    what: str,
    remedy: str,
) -> Record:
    """The record of the store at `path`.

    Args:
        fs: The store's filesystem.
        path: Where it stands there.
        parsed: Makes the record of what the group's attributes state.
        what: What errors call such a store, such as "store of nuclei".
        remedy: What brings a store of its kind back.

    Raises:
        TensorStoreError: There is no complete store.
    """
    try:
        group = json.loads(fs.cat_file(f"{path}/{METADATA}"))
        return parsed(group["attributes"][RECORD])
    except FileNotFoundError:
        raise TensorStoreError(f"{path} is not a complete {what}.", remedy=remedy) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise TensorStoreError(f"{path}/{METADATA} is damaged: {error!r}.", remedy=remedy) from error


def absent_files(fs: fsspec.AbstractFileSystem, path: str, sizes: Mapping[str, int | None]) -> list[str]:
    """Files of a store that are missing or of another size (None: of any), by one listing however many there are."""
    found = {name.removeprefix(f"{path}/"): size for name, size in files_at(fs, path).items()}
    return [name for name, size in sizes.items() if name not in found or size not in {None, found[name]}]


def require_files(fs: fsspec.AbstractFileSystem, path: str, sizes: Mapping[str, int | None], *, remedy: str) -> None:
    """See that a store may be read: Zarr takes what is not there for its fill value.

    Raises:
        TensorStoreError: Not all of it is there.
    """
    if absent := absent_files(fs, path, sizes):
        raise TensorStoreError(
            f"{path} is incomplete: {absent[0]} is missing or of another size ({len(absent)} files in all).",
            remedy=remedy,
        )


def read_table(fs: fsspec.AbstractFileSystem, path: str, name: str, *, remedy: str) -> pl.DataFrame:
    """A Parquet file that is part of a store.

    Raises:
        TensorStoreError: The file is missing.
    """
    try:
        return pl.read_parquet(io.BytesIO(fs.cat_file(f"{path}/{name}")))
    except FileNotFoundError:
        raise TensorStoreError(f"{path}/{name} is missing.", remedy=remedy) from None
