"""What the formats of images share beside pixels and selection: splits, sources of pixels, room, identity of an export.

Belongs here: that. Does not belong here: which fields there are (`selection`).
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.pixels import tensor_sources
from cm4ai_assets.exports.provenance import published_files
from cm4ai_assets.exports.selection import UNASSIGNED, fields_digest

# Bytes of a field in each form, measured on published images (docs/decisions/0029): by its pixels, at 1024, and the
# labels, headers and blocks of the disk around them. Published JPEGs are what they are, whatever the tensor's edge.
_AT_1024: Final = {"png": 1_000_000, "npy": 4_200_000, "ome-zarr": 1_700_000}
_AROUND: Final = 10_000
_JPEG: Final = 1_100_000


def in_splits(fields: pl.DataFrame, *, whole: str) -> dict[str, pl.DataFrame]:
    """The fields of each split; under `whole` if the release has no splits. Those on no side are `unassigned`."""
    if fields["split"].null_count() == fields.height:
        return {whole: fields}
    named = fields.with_columns(pl.col("split").fill_null(UNASSIGNED).alias("of"))
    parts = named.partition_by("of", as_dict=True, maintain_order=True)
    return {str(name): parts[name,].drop("of") for (name,) in sorted(parts)}


def image_sources(release: Release, fields: pl.DataFrame, kind: str | None = None) -> list[dict[str, Any]]:
    """The stores and the published files behind some fields, each as a JSON object; or those of one kind."""
    tensors = tensor_sources(release, fields["condition"].unique())
    files = [
        {**file, "sha256": tensor["source_sha256"]}
        for tensor in tensors
        for file in published_files(release, "if_images", tensor["condition"])
    ]
    return [source for source in (*tensors, *files) if kind in {None, source["kind"]}]


def room_of(release: Release, fields: pl.DataFrame, form: str) -> int:
    """The bytes that some fields will take.

    Args:
        release: The release.
        fields: The fields.
        form: `png`, `npy`, `jpeg` or `ome-zarr`.
    """
    if form == "jpeg":
        return fields.height * _JPEG
    edges = {one["condition"]: one["edge"] for one in image_sources(release, fields, "tensor store")}
    counts = fields.group_by("condition").len().iter_rows()
    return sum(count * (_AROUND + _AT_1024[form] * edges[condition] ** 2 // 1024**2) for condition, count in counts)


def identity_of(job: Job, fields: pl.DataFrame, form: str, version: int, **more: object) -> dict[str, Any]:
    """What an export of images depends on: with another identity its folder is refused, not mixed."""
    tensors = {one["condition"]: one["digest"] for one in image_sources(job.release, fields, "tensor store")}
    return {
        "format": form,  # what differs first is what a refusal names
        "format_version": version,
        "release": job.release.key,
        "selection": job.selection.stated(),
        "fields": fields_digest(fields),
        "tensors": tensors,
        **more,
    }
