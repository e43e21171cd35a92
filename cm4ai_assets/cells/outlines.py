"""Fields with the nuclei found in them, read as pictures need them.

Does not belong here: drawing (`pictures`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl

from cm4ai_assets.images.decode import Plane
from cm4ai_assets.images.names import short_label
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.nuclei import Labels, read_labels
from cm4ai_assets.tables.images import BLUE

if TYPE_CHECKING:
    import zarr


def with_outlines(
    shown: pl.DataFrame, cells: pl.DataFrame, reader: ShardReader, labels: zarr.Array[Any]
) -> Iterator[tuple[str, Plane, Labels, set[int]]]:
    """Fields with what their picture needs: label, nuclei's stain, nuclei, the plausible ones' numbers."""
    for field_id, index in shown.select("field_id", "tensor_index").iter_rows():
        sound = cells.filter(pl.col("tensor_index") == index, pl.col("plausible"))["cell"]
        yield short_label(field_id), reader.read(index, [BLUE])[0], read_labels(labels, index), set(sound)
