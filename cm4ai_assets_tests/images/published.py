"""Tables of the image path, written without any image: for what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.images.names import parse_field_id
from cm4ai_assets.images.quality import percentile
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.images import CHANNELS

KEY = "2026-06-v2.0"
GENES = {
    "HPA000001": (["ENSG00000141510"], ["TP53"], ["P04637"]),
    "HPA000002": (["ENSG00000146648"], ["EGFR"], ["P00533"]),
    "HPA000895": (
        ["ENSG00000102024", "ENSG00000120756", "ENSG00000136167"],
        ["PLS3", "LCP1", "PLS1"],
        ["P13797", "P13796", "Q14651"],
    ),
    "NEGATIVE": ([], [], []),
}


def field(field_id: str, antibody: str | None, **changed: Any) -> dict[str, Any]:
    """A row of `if_fields`."""
    name = parse_field_id(field_id)
    genes, symbols, proteins = GENES.get(antibody or "", ([], [], []))
    row = {
        "field_id": field_id, "plate": name.plate, "well": name.well, "well_row": name.well_row,
        "well_column": name.well_column, "region": name.region, "z": name.z, "antibody_id": antibody,
        "is_control": None if antibody is None else antibody == "NEGATIVE", "ensembl_gene_ids": genes,
        "gene_symbols": symbols, "uniprot_ids": proteins, "channels": list(CHANNELS), "is_complete": True,
        "in_manifest": True, "defects": [], "defect_members": [],
    }  # fmt: skip
    return row | changed


def quality(field_id: str, tensor_index: int | None, channel: str, **changed: Any) -> dict[str, Any]:
    """A row of `if_quality`; the statistics are those of the histogram, which is flat unless it is given."""
    counts = np.asarray(changed.get("histogram", np.full(LEVELS, 100)), np.int64)
    cumulative, total = np.cumsum(counts), int(counts.sum())
    levels = np.arange(LEVELS)
    mean = float(counts @ levels / total)
    row = {
        "field_id": field_id, "channel": channel, "tensor_index": tensor_index, "member": f"{field_id}_{channel}.jpg",
        "mean": mean, "std": float(np.sqrt(counts @ (levels - mean) ** 2 / total)),
        "minimum": percentile(cumulative, 0), "p01": percentile(cumulative, 10), "p50": percentile(cumulative, 500),
        "p99": percentile(cumulative, 990), "p999": percentile(cumulative, 999),
        "maximum": percentile(cumulative, 1000),
        "saturated_fraction": 0.0, "foreground_fraction": float(counts[16:].sum() / total), "focus": 1.0,
        "is_saturated": False, "is_empty": False, "histogram": counts.tolist(), "colour": channel,
        "pixel_sha256": "0" * 64,
    }  # fmt: skip
    return row | changed


def publish(store: Store, name: str, rows: Sequence[Mapping[str, Any]], condition: str | None, key: str = KEY) -> None:
    """Publish rows as a partition of a table."""
    frame = tables.table(name).from_rows([dict(row) for row in rows], release=key, condition=condition)
    with store.stage_table(name, Partition(key, condition), frame) as staged:
        store.publish_table(staged)


def release_of(
    folder: Path,
    fields: Mapping[str, Sequence[Mapping[str, Any]]],
    changes: Mapping[tuple[str, str], Mapping[str, Any]] | None = None,
) -> Release:
    """A release with the tables `if_fields` and `if_quality` of some conditions.

    Rows get their tensor index in order, unless they have a `tensor_index`. `changes` are columns of `if_quality` by
    field and channel.
    """
    store = Store(str(folder / "storage"), scratch=folder / "scratch")
    for condition, rows in fields.items():
        indexed = [{"tensor_index": number, **row} for number, row in enumerate(rows)]
        publish(store, "if_fields", indexed, condition)
        stored = [row for row in indexed if row["tensor_index"] is not None]
        planes = [(row["field_id"], row["tensor_index"], channel) for row in stored for channel in CHANNELS]
        measured = [quality(*plane, **(changes or {}).get((plane[0], plane[2]), {})) for plane in planes]
        publish(store, "if_quality", measured, condition)
    return Release(KEY, store)


def ids(frame: pl.DataFrame) -> list[str]:
    """The fields of a frame, in its order."""
    return frame["field_id"].to_list()
