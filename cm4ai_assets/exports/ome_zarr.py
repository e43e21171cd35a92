"""OME-Zarr 0.5 plates (HCS layout), one for each condition and plate.

    {condition}/{plate}.ome.zarr/{row}/{column}/{number}/    a field of view: a multiscale image (c, y, x), uint8
                                             .../0, 1, ...   its levels, each half as long, down to 128 pixels
                                             .../labels/nuclei    its nuclei, where if_cells is published

Levels are exact means of the tensor's pixels, rounded once. A level is one shard of four chunks, each closed by crc32c.
Fields are numbered within their well, because viewers show one number of every well at once. The physical pixel size is
not published: scales count pixels of the first level, and axes have no unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.ome_labels import Nuclei
from cm4ai_assets.exports.ome_store import edges, group, level_files, multiscale, ome, write_level
from cm4ai_assets.exports.parts import Part, Plan, Tick, of_bytes, sentences
from cm4ai_assets.exports.pixels import Planes
from cm4ai_assets.exports.provenance import credits_of
from cm4ai_assets.exports.selection import chosen_fields, left_out
from cm4ai_assets.exports.sharing import identity_of, image_sources, room_of
from cm4ai_assets.heavy import np
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.tables.images import CHANNELS, GREY_LEVELS

ROWS: Final = "ABCDEFGH"
COLUMNS: Final = range(1, 13)
# Names are the same in every image, so that a tool finds a channel across a plate by its name.
LABELS: Final = {
    "red": ("Microtubules", "FF0000"), "green": ("Protein of interest", "00FF00"), "blue": ("Nucleus", "0000FF"),
    "yellow": ("Endoplasmic reticulum", "FFFF00"),
}  # fmt: skip
_NOTES: Final = """
The physical pixel size is not published: axes have no unit, and scales count pixels of the first level. Where a tool
shows micrometres (ngio shows 1 for what is not stated), that is no measurement.
Windows reach from the 1st to the 99.9th percentile of each image, by its histogram at full resolution.
Values are not comparable between images, which were contrast-stretched one by one before publication.
Nuclei stand in `labels/nuclei` where if_cells is published: the value is its column `cell`.
The attribute `cm4ai` of each image holds its labels: field, antibody, genes, well, flags, split.
"""
_READ: Final = """## How to read it
Each `.ome.zarr` is a plate: drag it into napari (with napari-ome-zarr), or open it with ngio or ome-zarr:

    from ngio import open_ome_zarr_plate
    plate = open_ome_zarr_plate("{condition}/{plate}.ome.zarr")
"""

Row = Mapping[str, Any]
Windows = Mapping[tuple[str, str, str], tuple[int, int]]


def plan(job: Job) -> Plan:
    """The export of a selection: see the module."""
    fields = chosen_fields(job.release, job.selection)
    planes = Planes(job.release, fields["condition"].unique())
    nuclei, windows = Nuclei(job.release, fields["condition"].unique()), _windows(job, fields)
    parts, closing = list[Part](), list[Part]()
    plates = fields.partition_by("condition", "plate", as_dict=True, maintain_order=True)
    for (condition, plate), own in plates.items():
        root = f"{condition}/{plate}.ome.zarr"
        files = [METADATA, *level_files(edges(planes.edge(condition)), 3), *nuclei.files(condition)]
        wells = own.partition_by("well_row", "well_column", as_dict=True, maintain_order=True)
        numbered = {f"{row}/{column}": list(rows.iter_rows(named=True)) for (row, column), rows in wells.items()}
        for well, rows in numbered.items():
            parts += [
                _image(f"{root}/{well}/{n}", row, planes, windows, nuclei, files=files) for n, row in enumerate(rows)
            ]
        closing += _around(root, f"{plate} {condition}", str(condition), numbered)
    first = next(iter(plates))
    return Plan(
        identity=identity_of(job, fields, "ome-zarr", 1, nuclei=nuclei.paths),
        parts=parts,
        closing=closing,
        sources=[
            *image_sources(job.release, fields),
            *({"kind": "labels of nuclei", "condition": c, "path": path} for c, path in nuclei.paths.items()),
        ],
        counts={"fields": fields.height, "plates": len(plates), "left_out": left_out(job.release, fields)},
        credits=credits_of(job.release, "if_tensors", fields["condition"].unique().sort()),
        how_to_read=_READ.format(condition=first[0], plate=first[1]),
        notes=sentences(_NOTES),
        room=room_of(job.release, fields, "ome-zarr"),
    )  # fmt: skip


def _windows(job: Job, fields: pl.DataFrame) -> Windows:
    """What of each channel is shown from black to full: a range of grey levels that is not empty."""
    quality = job.release.table("if_quality").join(fields.lazy(), on=["condition", "field_id"], how="semi")
    rows = quality.select("condition", "field_id", "channel", "p01", "p999").collect().iter_rows()
    return {(condition, field, channel): (low, max(high, low + 1)) for condition, field, channel, low, high in rows}


def _image(name: str, row: Row, planes: Planes, windows: Windows, nuclei: Nuclei, *, files: Sequence[str]) -> Part:
    def write(path: Path, tick: Tick) -> None:
        path.mkdir()
        pixels = planes.of(row["condition"], row["tensor_index"])
        levels = edges(pixels.shape[-1])
        for number, edge in enumerate(levels):
            write_level(path, str(number), np.stack([area_average(plane, edge) for plane in pixels]))
        nuclei.write(path, row["condition"], row["tensor_index"], row["field_id"])
        (path / METADATA).write_bytes(ome(image_metadata(row, levels, windows), cm4ai=dict(row)))
        tick()

    return Part(name, write, ticks=1, files=files)


def image_metadata(row: Row, levels: Sequence[int], windows: Windows) -> dict[str, Any]:
    """What OME-Zarr says of an image: its levels, and how each channel is called and shown."""
    channels = []
    for channel in CHANNELS:
        label, colour = LABELS[channel]
        start, end = windows[row["condition"], row["field_id"], channel]
        window = {"min": 0, "max": GREY_LEVELS - 1, "start": start, "end": end}
        channels.append({"label": label, "color": colour, "window": window, "active": True})
    description = "mean of the pixels of the first level that are covered, halves to even"
    return {
        "multiscales": [multiscale(row["field_id"], levels, 3, "mean", description)],
        "omero": {"name": row["field_id"], "channels": channels, "rdefs": {"model": "color"}},
    }


def _around(root: str, name: str, condition: str, wells: Mapping[str, Sequence[Row]]) -> list[Part]:
    """The groups that make images a plate: the wells, their rows, and the plate itself last."""
    most = max(len(rows) for rows in wells.values())
    plate = {
        "name": name,
        "rows": [{"name": row} for row in ROWS],
        "columns": [{"name": str(column)} for column in COLUMNS],
        "wells": [
            {
                "path": path,
                "rowIndex": ROWS.index(path.split("/")[0]),
                "columnIndex": COLUMNS.index(int(path.split("/")[1])),
            }
            for path in wells
        ],
        "field_count": most,
        "acquisitions": [{"id": 0, "name": condition, "maximumfieldcount": most}],
    }
    return [
        *(_group_part(f"{root}/{path}", {"well": _well(rows)}) for path, rows in wells.items()),
        *(_group_part(f"{root}/{row}", None) for row in dict.fromkeys(path.split("/")[0] for path in wells)),
        _group_part(root, {"plate": plate}),
    ]


def _well(rows: Sequence[Row]) -> dict[str, Any]:
    return {"images": [{"path": str(number), "acquisition": 0} for number in range(len(rows))]}


def _group_part(folder: str, stated: Mapping[str, Any] | None) -> Part:
    return of_bytes(f"{folder}/{METADATA}", group({}) if stated is None else ome(stated))
