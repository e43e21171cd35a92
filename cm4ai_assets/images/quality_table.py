"""Rows of `if_quality`, streamed to a Parquet file while the pass runs.

Belongs here: the file's columns and how rows leave memory. Does not belong here: what the columns mean
(`tables.images.IF_QUALITY`), release and condition (put in when the table is published: releases share this file), or
the numbers (`quality`).
"""

from __future__ import annotations

import contextlib
import os
from functools import cache
from pathlib import Path
from typing import Final

from cm4ai_assets.heavy import np, pa, pq
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.images.quality import PlaneQuality

# 1 KB a row, most of it the histogram: a row group of 256 fields is a megabyte in memory.
ROWS_PER_GROUP: Final = 1024


@cache
def _schema() -> pa.Schema:
    return pa.schema(
        [
            ("field_id", pa.string()),
            ("channel", pa.string()),
            ("tensor_index", pa.int32()),
            ("member", pa.string()),
            ("mean", pa.float32()),
            ("std", pa.float32()),
            *((name, pa.uint8()) for name in ("minimum", "p01", "p50", "p99", "p999", "maximum")),
            ("saturated_fraction", pa.float32()),
            ("foreground_fraction", pa.float32()),
            ("focus", pa.float32()),
            ("is_saturated", pa.bool_()),
            ("is_empty", pa.bool_()),
            ("histogram", pa.list_(pa.uint32())),
            ("colour", pa.string()),
            ("pixel_sha256", pa.string()),
        ]
    )


class QualityWriter:
    """Writes rows in the order in which they come. The file is one once `finish` has returned.

    Args:
        path: The Parquet file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._writer = pq.ParquetWriter(self._file, _schema(), compression="zstd", write_statistics=False)
        self._rows: list[dict[str, object]] = []

    def append(
        self,
        *,
        field_id: str,
        channel: str,
        tensor_index: int | None,
        member: str,
        quality: PlaneQuality,
        colour: str | None,
        pixel_sha256: str,
    ) -> None:
        """Add the row of one plane."""
        row: dict[str, object] = {name: getattr(quality, name) for name in quality.__slots__}
        row |= {"field_id": field_id, "channel": channel, "tensor_index": tensor_index, "member": member}
        self._rows.append(row | {"colour": colour, "pixel_sha256": pixel_sha256})
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def finish(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file. One that was not finished is removed: closed now, it would look like a short table."""
        if self._writer.is_open:
            self._path.unlink()
            with contextlib.suppress(OSError):  # the disk may be what failed
                self._writer.close()
        self._file.close()

    def _flush(self) -> None:
        columns = [self._column(field) for field in _schema()]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=_schema()), row_group_size=ROWS_PER_GROUP)
        self._rows.clear()

    def _column(self, field: pa.Field) -> pa.Array:
        values = [row[field.name] for row in self._rows]
        if field.name != "histogram":
            return pa.array(values, type=field.type)
        offsets = np.arange(0, LEVELS * len(values) + 1, LEVELS, dtype=np.int32)
        counts = np.array(values, dtype=np.uint32).ravel()
        return pa.ListArray.from_arrays(offsets, counts, type=field.type)
