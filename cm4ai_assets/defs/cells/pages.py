"""What the UI shows of nuclei: contact sheets with outlines, histograms, counts on the plates.

Belongs here: which pictures and numbers stand on which page. Does not belong here: drawing (`cells.pictures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import polars as pl

from cm4ai_assets.cells.crops import corner_of, cut
from cm4ai_assets.cells.findings import counts
from cm4ai_assets.cells.outlines import with_outlines
from cm4ai_assets.cells.pictures import cell_sheet, histogram, outline_sheet, plate_map
from cm4ai_assets.cells.products import Product, path_for
from cm4ai_assets.cells.segment import REFERENCE_EDGE
from cm4ai_assets.defs.pages import picture, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG, WEBP
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.images.names import short_label
from cm4ai_assets.images.pictures import OVERLAID, evenly
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.nuclei import FIELDS_FILE, open_labels, read_file, read_labels
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import Pixels
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_FIELDS, IF_TENSORS
from cm4ai_assets.threads import cores

if TYPE_CHECKING:
    import zarr

SHEET_FIELDS = 9
SHEET_CELLS = 24
OFFENDERS_SHOWN = 3
CROP = 160  # pixels at edge length 1024


def of_cells(cells: pl.DataFrame, fields: pl.DataFrame, product: Product, store: Store, tensor: str) -> Metadata:
    """Counts, defects, histograms, plates, and outlines in fields spread over the plates.

    Args:
        cells: The table.
        fields: `if_fields`.
        product: Where the labels are, staged or published.
        store: The storage.
        tensor: The tensor, relative to the storage root.
    """
    record, counted = product.record, counts(cells, fields)
    per_field = counted["nuclei"].to_list()
    shown = counted.filter(pl.col("nuclei") > 0)
    shown = shown[evenly(shown.height, SHEET_FIELDS)]
    reader, labels = ShardReader(store.url, store.address(tensor)), open_labels(product.fs, product.store_path)
    with ThreadPoolExecutor(cores()) as drawing:
        outlines = drawing.submit(outline_sheet, with_outlines(shown, cells, reader, labels))
        crops, plates = drawing.submit(_crops, cells, reader, labels), drawing.submit(_plates, counted)
    areas = cells.filter("plausible", ~pl.col("touches_border"))["area"]
    outlined = "nuclei outlined in some fields, green if plausible, else orange"
    return {
        "nuclei": cells.height,
        "plausible": cells.filter("plausible").height,
        "touching_border": cells.filter("touches_border").height,
        "fields": counted.height,
        "fields_without_nuclei": counted.filter(pl.col("nuclei") == 0).height,
        "nuclei_per_field": f"{np.median(per_field or [0]):.0f} in the median, {max(per_field, default=0)} at most",
        "defects": rows(cells["defects"].explode().drop_nulls().value_counts(sort=True)),
        "algorithm": f"{record.algorithm}, version {record.segmentation_version}",
        "labels": store.location(product.path),
        "labels_sha256": record.digest,
        "size": size_in_words(record.size),
        "outlines": picture(outlines.result(), alt=outlined, mime=WEBP),
        "outlines_shown_of": ", ".join(shown["field_id"]),
        "cells": picture(crops.result(), alt="single cells, nucleus outlined", mime=WEBP),
        "areas": picture(histogram(areas.to_list(), "pixels of plausible, whole nuclei"), alt="areas", mime=PNG),
        "counts": picture(histogram(per_field, "nuclei of a field"), alt="nuclei per field", mime=PNG),
        "plates": picture(plates.result(), alt="nuclei per field on the plates", mime=PNG),
        **_speed(product),
    }


def _speed(product: Product) -> Metadata:
    if product.seconds is None:
        return {"reused": "yes: same pixels, same code"}
    rate = product.record.n_fields / product.seconds if product.seconds else 0.0
    return {
        "reused": "no: found in this run",
        "seconds": round(product.seconds, 2),
        "fields_per_second": round(rate, 1),
    }


def of_offenders(field_ids: Sequence[str], store: Store, partition: Partition) -> Metadata:
    """Fields that a check names, with the outlines of their nuclei."""
    try:
        cells, fields, tensor = (
            store.table(one.name, partition).collect() for one in (IF_CELLS, IF_FIELDS, IF_TENSORS)
        )
    except NotMaterializedError:
        return {}
    if cells.is_empty():
        return {}
    wanted = field_ids[:OFFENDERS_SHOWN]
    found = fields.filter(pl.col("field_id").is_in(wanted), pl.col("tensor_index").is_not_null())
    reader = ShardReader(store.url, store.address(tensor["path"].item()))
    labels = open_labels(store.fs, store.address(cells["path"][0]))
    sheet = outline_sheet(with_outlines(found, cells, reader, labels))
    return {
        "pictures": picture(sheet, alt="fields that this check names, with outlines", mime=WEBP),
        "pictures_show": ", ".join(found["field_id"]),
    }


def reasons(store: Store, partition: Partition) -> pl.DataFrame:
    """The fields of the store of labels, with the reason where one has no nucleus."""
    tensor = store.table(IF_TENSORS.name, partition).collect().row(0, named=True)
    path = path_for(tensor["source_sha256"], tensor["edge"], tensor["pixel_code_version"])
    return read_file(store.fs, store.address(path), FIELDS_FILE)


def _crops(cells: pl.DataFrame, reader: ShardReader, labels: zarr.Array[Any]) -> bytes:
    """Plausible, whole nuclei, spread over the condition."""
    sound = cells.filter("plausible", ~pl.col("touches_border"))
    return cell_sheet(_with_masks(sound[evenly(sound.height, SHEET_CELLS)], reader, labels))


def _with_masks(
    shown: pl.DataFrame, reader: ShardReader, labels: zarr.Array[Any]
) -> Iterator[tuple[str, Pixels, npt.NDArray[np.bool_]]]:
    size = round(CROP * reader.edge / REFERENCE_EDGE)
    for row in shown.iter_rows(named=True):
        corner = corner_of(row["centroid_y"], row["centroid_x"], size)
        field = read_labels(labels, row["tensor_index"])[None]
        label = f"{short_label(row['field_id'])} {row['cell']}"
        planes = reader.read(row["tensor_index"], range(OVERLAID))
        yield label, cut(planes, corner, size), cut(field, corner, size)[0] == row["cell"]


def _plates(counted: pl.DataFrame) -> bytes:
    """Nuclei of a field in each well, in the mean."""
    wells = counted.group_by("plate", "well_row", "well_column").agg(pl.col("nuclei").mean())
    values = {(plate, row, column): nuclei for plate, row, column, nuclei in wells.iter_rows()}
    return plate_map(values, "nuclei of a field, mean of each well")
