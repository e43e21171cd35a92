"""A folder that `datasets.load_dataset` opens: Parquet files with encoded images, and README.md as the dataset's card.

    data/{condition}/{split}-{number}-of-{count}.parquet    a row a field of view: labels, and an image a channel
    croissant.json                                          the same for loaders of Croissant (`huggingface_croissant`)

A configuration for each condition, and `default` for all of them. Splits are those of the release, `unassigned` where
it gives none. Images are grey PNGs of the tensor's planes (pixels: png), or the published JPEGs (pixels: jpeg).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
import yaml

from cm4ai_assets.exports.huggingface_croissant import croissant_part
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick, sentences
from cm4ai_assets.exports.pixels import Planes, pngs
from cm4ai_assets.exports.provenance import credits_of, origin_of
from cm4ai_assets.exports.published import PublishedImages
from cm4ai_assets.exports.selection import UNASSIGNED, chosen_fields, left_out
from cm4ai_assets.exports.sharing import identity_of, image_sources, in_splits, room_of
from cm4ai_assets.heavy import pa, pq
from cm4ai_assets.tables.images import CHANNELS

Row = Mapping[str, Any]
Images = Callable[[Row], Mapping[str, bytes]]
"""The encoded images of a field, by channel."""

_ROW_GROUP: Final = 16  # fields that are in memory at once: some 16 MB
_LICENSES: Final = {
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0", "CC BY 4.0": "cc-by-4.0", "CC0 1.0": "cc0-1.0",
}  # fmt: skip
_TYPES: Final = {
    pl.String(): pa.string(), pl.Boolean(): pa.bool_(), pl.Int16(): pa.int16(), pl.Int32(): pa.int32(),
    pl.List(pl.String()): pa.list_(pa.string()),
}  # fmt: skip
_IMAGE: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_NOTES: Final = """
Values are not comparable between images, which were contrast-stretched one by one before publication.
Rows of one antibody belong on one side of a split: never divide the rows at random.
The physical pixel size is not published.
"""
_OF_PIXELS: Final = {
    "png": "Images are the planes of the tensor: decoded exactly, area-averaged, encoded without loss; grey, 8 bit.",
    "jpeg": "Images are the published JPEGs, painted in the colour of their channel: take plane 0 of red and yellow, 1 "
    "of green, 2 of blue.",
}


def plan(job: Job) -> Plan:
    """The export of a selection: see the module."""
    fields = chosen_fields(job.release, job.selection, by_split=True)
    images = _images_of(job, fields)
    parts, splits = list[Part](), dict[str, list[str]]()
    schema = _schema(fields)
    for (condition,), own in fields.partition_by("condition", as_dict=True, maintain_order=True).items():
        by_split = in_splits(own, whole=UNASSIGNED)
        splits[str(condition)] = list(by_split)
        for split, rows in by_split.items():
            shards = [rows.slice(at, job.shard_fields) for at in range(0, rows.height, job.shard_fields)]
            names = (f"data/{condition}/{split}-{n:05d}-of-{len(shards):05d}.parquet" for n in range(len(shards)))
            parts += [_shard(name, shard, schema, images) for name, shard in zip(names, shards, strict=True)]
    credited = credits_of(job.release, "if_tensors", fields["condition"].unique().sort())
    described = croissant_part(
        origin_of(job.release, credited), [part.name for part in parts], splits, dict(fields.schema)
    )
    return Plan(
        identity=identity_of(
            job, fields, "huggingface", 1, pixels=job.pixels, shard_fields=job.shard_fields
        ),
        parts=parts,
        sources=image_sources(job.release, fields),
        counts={
            "fields": dict(fields.group_by("condition").len().sort("condition").iter_rows()),
            "left_out": left_out(job.release, fields),
        },
        closing=(described,),
        credits=credited,
        how_to_read=_how_to_read(next(iter(splits))),
        notes=(_OF_PIXELS[job.pixels], *sentences(_NOTES)),
        front_matter=lambda license_name: _card(license_name, job.release.key, splits),
        room=room_of(job.release, fields, job.pixels),
    )  # fmt: skip


def _images_of(job: Job, fields: pl.DataFrame) -> Images:
    conditions = fields["condition"].unique()
    if job.pixels == "jpeg":
        published = PublishedImages(job.release, conditions, job.opened)
        return lambda row: {
            channel: image.read() for channel, image in published.of(row["condition"], row["field_id"]).items()
        }
    planes = Planes(job.release, conditions)
    return lambda row: pngs(planes.of(row["condition"], row["tensor_index"]))


def _schema(fields: pl.DataFrame) -> pa.Schema:
    """Columns as Arrow has them, and as `datasets` calls them: without that, an image is two columns to it."""
    labels = {name: _TYPES[dtype] for name, dtype in fields.schema.items()}
    features: dict[str, Any] = {channel: {"_type": "Image"} for channel in CHANNELS}
    for name, kind in labels.items():
        is_list = pa.types.is_list(kind)
        value = {"dtype": str(kind.value_type if is_list else kind), "_type": "Value"}
        features[name] = {"feature": value, "_type": "List"} if is_list else value
    columns = [*((channel, _IMAGE) for channel in CHANNELS), *labels.items()]
    return pa.schema(columns, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _shard(name: str, fields: pl.DataFrame, schema: pa.Schema, images: Images) -> Part:
    def row_with_images(row: Row, tick: Tick) -> dict[str, Any]:
        encoded = {
            channel: {"bytes": data, "path": f"{row['field_id']}_{channel}{_suffix(data)}"}
            for channel, data in images(row).items()
        }
        tick()
        return {**encoded, **row}

    def write(path: Path, tick: Tick) -> None:
        # What is encoded is not compressed again, and no image is expected twice.
        encoded = [f"{channel}.{part}" for channel in CHANNELS for part in ("bytes", "path")]
        compression = dict.fromkeys(fields.columns, "ZSTD") | dict.fromkeys(encoded, "NONE")
        with pq.ParquetWriter(path, schema, compression=compression, use_dictionary=fields.columns) as writer:
            for group in fields.iter_slices(_ROW_GROUP):
                rows = [row_with_images(row, tick) for row in group.iter_rows(named=True)]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))

    return Part(name, write, ticks=fields.height)


def _suffix(data: bytes) -> str:
    return ".png" if data.startswith(b"\x89PNG") else ".jpg"


def _card(license_name: str, release: str, splits: Mapping[str, Sequence[str]]) -> str:
    """The YAML that the hub and `load_dataset` read before the text."""
    known = _LICENSES.get(license_name)
    configurations = {"default": sorted({split for own in splits.values() for split in own}), **splits}
    card = {
        "license": known or "other",
        **({} if known else {"license_name": license_name}),
        "pretty_name": f"Cell Maps for AI, immunofluorescence, {release}",
        "tags": ["biology", "microscopy", "immunofluorescence", "protein-localization"],
        "configs": [
            {
                "config_name": name,
                "data_files": [
                    {"split": split, "path": f"data/{'*' if name == 'default' else name}/{split}-*.parquet"}
                    for split in own
                ],
            }
            for name, own in configurations.items()
        ],
    }
    return f"---\n{yaml.safe_dump(card, sort_keys=False, allow_unicode=True)}---\n"


def _how_to_read(condition: str) -> str:
    return f"""## How to read it
A row is a field of view: an image a channel, and its labels.

    from datasets import load_dataset
    fields = load_dataset("FOLDER", "{condition}")        # or without a configuration, for all conditions

    import mlcroissant                                    # the same through croissant.json
    dataset = mlcroissant.Dataset("FOLDER/croissant.json")
    for field in dataset.records(dataset.metadata.record_sets[0].id): ...
"""
