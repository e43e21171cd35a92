"""Fields of view as a torch dataset. Importing this module needs torch (extra: torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch.utils.data import Dataset

from cm4ai_assets.errors import NotMaterializedError

if TYPE_CHECKING:
    import zarr

    from cm4ai_assets.access import Release


@dataclass(frozen=True)
class _Item:
    condition: str
    tensor_index: int
    field_id: str
    antibody_id: str | None


class FieldDataset(Dataset[dict[str, Any]]):
    """Fields of view with their pixels, read from the store when asked for.

    Stores are opened in the process that reads, on first use: the dataset can be sent to worker processes, started in
    whatever way.
    """

    def __init__(self, release: Release, items: Sequence[_Item]) -> None:
        self._release = release
        self._items = tuple(items)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @classmethod
    def of(cls, release: Release, *, split: str | None, conditions: Sequence[str]) -> FieldDataset:
        """The fields of a release that are in its tensors, in tensor order; see `Release.torch`."""
        if not conditions:
            raise NotMaterializedError(
                f"No tensors are published for {release.key}.",
                remedy=f"Run `cm4ai materialize --release {release.key}`.",
            )
        fields = release.table("if_fields").filter(
            pl.col("tensor_index").is_not_null(), pl.col("condition").is_in([str(c) for c in conditions])
        )
        if split is not None:
            members = release.table("splits").filter(pl.col("split") == split)
            fields = fields.join(members, on=["condition", "field_id"], how="semi")
        rows = fields.sort("condition", "tensor_index").select("condition", "tensor_index", "field_id", "antibody_id")
        return cls(release, [_Item(*row) for row in rows.collect().iter_rows()])

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self._items[index]
        if item.condition not in self._arrays:
            self._arrays[item.condition] = self._release.tensors(item.condition)
        return {
            "image": torch.from_numpy(self._arrays[item.condition][item.tensor_index]),
            "field_id": item.field_id,
            "condition": item.condition,
            "antibody_id": item.antibody_id or "",
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}
