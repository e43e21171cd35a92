"""Writing Parquet so that every reader agrees on what is in it.

Belongs here: the file's types, codec and metadata. Does not belong here: where it stands (`layout`) and when it is
published (`staging`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from cm4ai_assets.heavy import pa, pq

ROW_GROUP = 65_536
STRETCH = 8 * ROW_GROUP
LEVEL = 3


def write(frame: pl.DataFrame, path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write a frame: zstd, plain Arrow types, key-value metadata. The same rows give the same bytes.

    Polars' own Arrow schema says `large_string`, which pyarrow cannot unite with the `string` of a hive partition's
    path; so the types are written plain.
    """
    # In stretches of whole row groups: Arrow's copy of a long table would be as large as the table.
    stretches = (frame.slice(begin, STRETCH) for begin in range(0, max(1, frame.height), STRETCH))
    write_stretches(stretches, path, like=frame.clear(), metadata=metadata)


def write_stretches(
    stretches: Iterable[pl.DataFrame], path: Path, *, like: pl.DataFrame, metadata: Mapping[str, str]
) -> int:
    """Write a table whose rows come a stretch at a time; see `write`. The number of its rows.

    Args:
        stretches: Frames of the columns of `like`; all but the last of whole row groups (`ROW_GROUP`), so that the
            same rows give the same bytes.
        path: The file.
        like: A frame without rows.
        metadata: Key-value metadata.
    """
    schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in like.to_arrow().schema], dict(metadata))
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=LEVEL) as writer:
        for frame in stretches:
            stretch = frame.to_arrow().cast(schema.remove_metadata())
            writer.write_table(stretch.replace_schema_metadata(dict(metadata)), row_group_size=ROW_GROUP)
            rows += frame.height
    return rows


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with 32-bit offsets, and strings that are not views or dictionaries."""
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    return kind
