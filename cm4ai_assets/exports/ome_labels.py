"""The nuclei of fields as labels within an OME-Zarr image, where `if_cells` is published.

    {image}/labels/nuclei/0, 1, ...    uint16 (y, x): number of the nucleus (`cell` of if_cells), 0 where there is none

Belongs here: that. Does not belong here: the stores of labels (`storage.nuclei`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.exports.ome_store import edges, level_files, multiscale, ome, write_level
from cm4ai_assets.heavy import np
from cm4ai_assets.storage.nuclei import open_labels, read_labels, require_complete
from cm4ai_assets.storage.recorded import METADATA

if TYPE_CHECKING:
    import zarr

NAME: Final = "nuclei"


class Nuclei:
    """The labels of some conditions, opened once; of those that have none, nothing. Safe from many threads.

    Attributes:
        paths: Condition to its store of labels, relative to the storage.

    Raises:
        TensorStoreError: A store has lost a part.
    """

    def __init__(self, release: Release, conditions: Iterable[str]) -> None:
        self.paths = _paths(release, list(conditions))
        self._arrays: Mapping[str, zarr.Array[Any]] = {c: _opened(release, path) for c, path in self.paths.items()}

    def files(self, condition: str) -> list[str]:
        """The files that `write` adds to an image of a condition."""
        if condition not in self._arrays:
            return []
        levels = level_files(edges(self._arrays[condition].shape[-1]), 2)
        return [f"labels/{METADATA}", *(f"labels/{NAME}/{file}" for file in (METADATA, *levels))]

    def write(self, image: Path, condition: str, index: int, name: str) -> None:
        """Write the labels of a field into its image, if there are any.

        Args:
            image: The image's folder.
            condition: The field's condition.
            index: Its row of the tensor.
            name: Its id.
        """
        if condition not in self._arrays:
            return
        labels = read_labels(self._arrays[condition], index)
        levels = edges(labels.shape[-1])
        folder = image / "labels" / NAME
        folder.mkdir(parents=True)
        for number, edge in enumerate(levels):
            step = levels[0] // edge
            write_level(folder, str(number), np.ascontiguousarray(labels[::step, ::step]))
        scales = multiscale(name, levels, 2, "nearest", "the label of the first pixel of each square")
        stated = {"multiscales": [scales], "image-label": {"source": {"image": "../../"}}}
        (folder / METADATA).write_bytes(ome(stated))
        (folder.parent / METADATA).write_bytes(ome({"labels": [NAME]}))


def _paths(release: Release, conditions: list[str]) -> dict[str, str]:
    try:
        table = release.table("if_cells")
    except NotMaterializedError:
        return {}
    rows = table.filter(pl.col("condition").is_in(conditions)).select("condition", "path").unique().sort("condition")
    return dict(rows.collect().iter_rows())


def _opened(release: Release, path: str) -> zarr.Array[Any]:
    address = release.store.address(path)
    require_complete(release.store.fs, address)
    return open_labels(release.store.fs, address)
