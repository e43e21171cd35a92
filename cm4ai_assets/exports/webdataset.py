"""Tar shards as the library webdataset reads them: a sample a field of view, with its labels as JSON.

    {split}-{number}.tar                 e.g. train-000000.tar; `fields-...` for a release without splits
        {field_id}.json                  labels
        {field_id}.{channel}.png         a grey PNG a plane, without loss          (pixels: png)
        {field_id}.image.npy             uint8, (channel, y, x)                    (pixels: npy)
        {field_id}.{channel}.jpg         the published JPEG, byte for byte         (pixels: jpeg)

Samples are in an order drawn by a digest of their field ids: shards are read from front to back, and neighbours of a
plate would else come together. The order is the same each time.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick
from cm4ai_assets.exports.pixels import Planes, npy, pngs
from cm4ai_assets.exports.provenance import credits_of
from cm4ai_assets.exports.published import PublishedImages
from cm4ai_assets.exports.selection import chosen_fields, left_out
from cm4ai_assets.exports.sharing import identity_of, image_sources, in_splits, room_of
from cm4ai_assets.storage.names import safe_path
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.tables.integration import SIDES

Row = Mapping[str, Any]
Files = Callable[[Row], Mapping[str, bytes]]
"""The files of a sample beside its labels, by extension."""

_EXAMPLE: Final = {
    "png": 'webdataset.WebDataset("{shards}", shardshuffle=100).shuffle(1000).decode("l8")   '
    '# sample["red.png"]: uint8 (y, x)',
    "npy": 'webdataset.WebDataset("{shards}", shardshuffle=100).shuffle(1000).decode()   '
    '# sample["image.npy"]: uint8 (channel, y, x)',
    "jpeg": 'webdataset.WebDataset("{shards}", shardshuffle=100).shuffle(1000).decode("rgb8")   '
    '# sample["red.jpg"]: uint8 (y, x, 3)',
}
_NOTES: Final = {
    "png": "Planes are those of the tensor: decoded exactly, area-averaged, encoded without loss.",
    "npy": f"Planes are those of the tensor, in the order {', '.join(CHANNELS)}.",
    "jpeg": "Images are the published JPEGs, painted in the colour of their channel: take plane 0 of red and yellow, 1 "
    "of green, 2 of blue.",
}


def plan(job: Job) -> Plan:
    """The export of a selection: see the module."""
    fields = chosen_fields(job.release, job.selection, by_split=True)
    files = _files_of(job, fields)
    parts, shown = list[Part](), dict[str, str]()
    for split, own in in_splits(fields, whole="fields").items():
        ordered = sorted(own.iter_rows(named=True), key=lambda row: _drawn(row["field_id"]))
        shards = [ordered[at : at + job.shard_fields] for at in range(0, len(ordered), job.shard_fields)]
        parts += [_shard(f"{split}-{number:06d}.tar", rows, files) for number, rows in enumerate(shards)]
        shown[split] = f"{split}-{{000000..{len(shards) - 1:06d}}}.tar"
    return Plan(
        identity=identity_of(
            job, fields, "webdataset", 1, pixels=job.pixels, shard_fields=job.shard_fields
        ),
        parts=parts,
        sources=image_sources(job.release, fields),
        counts={"fields": fields.height, "shards": shown, "left_out": left_out(job.release, fields)},
        credits=credits_of(job.release, "if_tensors", fields["condition"].unique().sort()),
        how_to_read=_how_to_read(job.pixels, _example_of(shown)),
        notes=(
            _NOTES[job.pixels],
            "Samples stand in an order that is drawn by a digest of their field ids, the same each time.",
            "Values are not comparable between images, which were contrast-stretched one by one before publication.",
            "The physical pixel size is not published.",
        ),
        room=room_of(job.release, fields, job.pixels),
    )  # fmt: skip


def _files_of(job: Job, fields: pl.DataFrame) -> Files:
    conditions = fields["condition"].unique()
    if job.pixels == "jpeg":
        images = PublishedImages(job.release, conditions, job.opened)
        return lambda row: {
            f"{channel}.jpg": image.read() for channel, image in images.of(row["condition"], row["field_id"]).items()
        }
    planes = Planes(job.release, conditions)
    if job.pixels == "npy":
        return lambda row: {"image.npy": npy(planes.of(row["condition"], row["tensor_index"]))}
    return lambda row: {
        f"{channel}.png": data for channel, data in pngs(planes.of(row["condition"], row["tensor_index"])).items()
    }


def _shard(name: str, rows: Sequence[Row], files: Files) -> Part:
    for row in rows:
        safe_path("", row["field_id"])  # it becomes a name in the tar, which others unpack

    def write(path: Path, tick: Tick) -> None:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as shard:
            for row in rows:
                _add(shard, f"{row['field_id']}.json", (json.dumps(row) + "\n").encode())
                for extension, data in files(row).items():
                    _add(shard, f"{row['field_id']}.{extension}", data)
                tick()

    return Part(name, write, ticks=len(rows))


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # of no time, and nobody's: equal samples make equal shards
    entry.size = len(data)
    shard.addfile(entry, io.BytesIO(data))


def _drawn(field_id: str) -> bytes:
    return hashlib.sha256(field_id.encode()).digest()


def _example_of(shown: Mapping[str, str]) -> str:
    """The shards of the example, which trains: of the side for that, wherever it is there."""
    return next((shown[side] for side in SIDES if side in shown), next(iter(shown.values())))


def _how_to_read(pixels: str, shards: str) -> str:
    example = _EXAMPLE[pixels].replace("{shards}", shards)
    return f"""## How to read it
A sample is a field of view: `__key__` is its id, `json` its labels.

    import webdataset
    samples = {example}
"""
