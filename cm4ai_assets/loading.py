"""Fields of view as a torch dataset. Importing this module needs torch (extra: torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.data import Dataset

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

    Stores are opened in the process that reads, on first use: the dataset can be sent to worker processes, started in
    whatever way.

    Args:
        items: The fields, in the order of the dataset.
        open_tensor: Opens the tensor of a condition; sent to worker processes with the dataset.
    """

    def __init__(self, items: Sequence[Item], open_tensor: Callable[[str], zarr.Array[Any]]) -> None:
        self._items = tuple(items)
        self._open = open_tensor
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._items[index]
        if item.condition not in self._arrays:
            self._arrays[item.condition] = self._open(item.condition)
        return {
            "image": torch.from_numpy(self._arrays[item.condition][item.tensor_index]),
            "field_id": item.field_id,
            "condition": item.condition,
            "antibody_id": item.antibody_id or "",
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}
