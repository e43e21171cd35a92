"""The sides of every split as record sets: a small table for each, because Croissant cannot filter rows.

Belongs here: which rows are on a side, and where their images stand. Does not belong here: how a field gets its side
(`integration.splits`).

`filters=` of mlcroissant works on names of files only. So each side of each scheme has a file of its own beside the
document, with the fields of view and their place in the tensor; who trains loads `split/protein/train`.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.croissant.words import PARQUET, field, file_object, record_set
from cm4ai_assets.tables.images import IF_FIELDS, IF_TENSORS
from cm4ai_assets.tables.integration import SPLITS

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_TYPES: Final = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
_COLUMNS: Final = ("condition", "field_id", "antibody_id", "group", "split")
"""Of `splits`; what is the same in every row of a side, or stands in if_fields, is left out."""
_OWN: Final[Mapping[str, str]] = {
    "tensor_index": "Row of the field in the tensor of its condition; null if it is not in it.",
    "path": "Zarr v3 store of that tensor, relative to the root of the release's files; null where none is published.",
}

SIDES: Final[dict[str, Any]] = {
    **record_set(
        "split_sides",
        [
            {"@type": "cr:Field", "@id": f"split_sides/{name}", "name": name, "dataType": kind}
            for name, kind in (("name", "sc:Text"), ("url", "sc:URL"))
        ],
        description="The sides of a split, and which kind of split each is.",
        dataType="cr:Split",
        key={"@id": "split_sides/name"},
    ),
    "data": [{"split_sides/name": side, "split_sides/url": kind} for side, kind in _TYPES.items()],
}


@dataclass(frozen=True)
class Split:
    """One side of one scheme.

    Attributes:
        scheme: Name of the scheme.
        side: train, validation or test.
        rows: Its fields of view.
        data: The Parquet file that holds them.
    """

    scheme: str
    side: str
    rows: pl.DataFrame
    data: bytes

    @property
    def name(self) -> str:
        """Of the record set."""
        return f"split/{_UNSAFE.sub('_', self.scheme)}/{self.side}"

    @property
    def file(self) -> str:
        """Of the file, beside the document."""
        return f"{self.name}.parquet"

    def file_object(self) -> dict[str, Any]:
        """The file as Croissant has it."""
        digest = hashlib.sha256(self.data).hexdigest()
        return file_object(self.file, url=self.file, size=len(self.data), sha256=digest, encoding=PARQUET)


def splits_of(release: Release, published: Collection[str]) -> tuple[Split, ...]:
    """Every side of every scheme that has a field of view on it, sorted.

    Args:
        release: The release.
        published: Names of its tables.
    """
    if SPLITS.name not in published or IF_FIELDS.name not in published:
        return ()
    places = _places(release, published)
    rows = release.table(SPLITS.name).filter(pl.col("split").is_not_null()).select("scheme", *_COLUMNS).collect()
    placed = rows.join(places, on=["condition", "field_id"], how="left", maintain_order="left")
    order = {side: number for number, side in enumerate(_TYPES)}
    by_side = placed.partition_by("scheme", "split", as_dict=True, maintain_order=True)
    found = {key: rows.drop("scheme") for key, rows in by_side.items()}
    keys = sorted(found, key=lambda key: (str(key[0]), order[str(key[1])]))
    return tuple(
        Split(str(scheme), str(side), found[scheme, side], _written(found[scheme, side])) for scheme, side in keys
    )


def _places(release: Release, published: Collection[str]) -> pl.DataFrame:
    """Where the images of each field stand."""
    fields = release.table(IF_FIELDS.name).select("condition", "field_id", "tensor_index").collect()
    if IF_TENSORS.name not in published:
        return fields.with_columns(path=pl.lit(None, pl.String()))
    tensors = release.table(IF_TENSORS.name).select("condition", "path").collect()
    return fields.join(tensors, on="condition", how="left", maintain_order="left")


def _written(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()


def split_record_set(split: Split) -> dict[str, Any]:
    """One side of one scheme as a record set."""
    described = {**{column.name: column.description for column in SPLITS.columns}, **_OWN}
    fields = [
        field(
            f"{split.name}/{column}",
            dtype,
            {"fileObject": {"@id": split.file}},
            description=described[column],
            references={"field": {"@id": "split_sides/name"}} if column == "split" else None,
        )
        for column, dtype in split.rows.schema.items()
    ]
    return record_set(
        split.name,
        fields,
        description=f"Fields of view on the side {split.side} under the scheme {split.scheme}, with their place in the "
        "tensor. No gene, protein or antibody of them is on another side.",
        key=[{"@id": f"{split.name}/{one}"} for one in ("condition", "field_id")],
    )
