"""Fields of view as a torch dataset. Importing this module needs torch (extra: torch)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import fsspec
import torch
from torch.utils.data import Dataset

from cm4ai_assets.storage.tensors import open_array

if TYPE_CHECKING:
    import zarr


class Item(NamedTuple):
    """One field of view that is in a tensor."""

    condition: str
    tensor_index: int
    field_id: str
    antibody_id: str | None


class FieldDataset(Dataset[dict[str, Any]]):
    """Fields of view with their pixels, read from the store when asked for.

    Stores are opened by path in the process that reads, on first use: worker processes may be started in whatever way.
    No query runs there, because polars' threads do not survive a fork and the first query would wait for ever.

    Args:
        items: The fields, in the order of the dataset.
        storage: The storage, as in CM4AI_STORAGE.
        paths: By condition, where its tensor stands on that storage's filesystem.
    """

    def __init__(self, items: Sequence[Item], storage: str, paths: Mapping[str, str]) -> None:
        self._items = tuple(items)
        self._storage, self._paths = storage, dict(paths)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._owner = os.getpid()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._items[index]
        return {
            "image": torch.from_numpy(self._array(item.condition)[item.tensor_index]),
            "field_id": item.field_id,
            "condition": item.condition,
            "antibody_id": item.antibody_id or "",
        }

    def _array(self, condition: str) -> zarr.Array[Any]:
        if self._owner != os.getpid():  # forked: what the parent opened is the parent's
            self._arrays, self._owner = {}, os.getpid()
        if condition not in self._arrays:
            fs, _ = fsspec.url_to_fs(self._storage)
            self._arrays[condition] = open_array(fs, self._paths[condition])
        return self._arrays[condition]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}
