"""What the UI shows of images: contact sheets, plots, counts.

Belongs here: which pictures and numbers stand on which page. Does not belong here: drawing (`images.pictures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import picture, pictures_beside, rows
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.drawing import PNG, WEBP
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.images.comparison import Pair, at_full_scale, pairs
from cm4ai_assets.images.names import short_label
from cm4ai_assets.images.pictures import OVERLAID, channel_sheet, contact_sheet, intensity_plot
from cm4ai_assets.images.summaries import histograms, per_channel, spread
from cm4ai_assets.images.tensors import Product
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import Pixels, open_array, read_field, read_plane
from cm4ai_assets.tables.images import CHANNELS

if TYPE_CHECKING:
    import zarr

SHEET_FIELDS = 24
OFFENDERS_SHOWN = 6
CHANNELS_OF = 3  # fields whose channels are shown one by one
PAIRS_SHOWN = 3


def of_fields(fields: pl.DataFrame, array: zarr.Array[Any]) -> Metadata:
    """Counts, defects, and a contact sheet of fields spread over the plates."""
    stored = fields.filter(pl.col("tensor_index").is_not_null())
    shown = spread(stored, SHEET_FIELDS)
    defects = fields["defects"].explode().drop_nulls().value_counts(sort=True)
    return {
        "fields_in_tensor": stored.height,
        "fields_left_out": fields.height - stored.height,
        "antibodies": fields["antibody_id"].drop_nulls().n_unique(),
        "wells": fields.select("plate", "well").n_unique(),
        "defects": rows(defects),
        "contact_sheet": _sheet(shown, array, alt="fields of view, tubulin red, protein green, nucleus blue"),
        "contact_sheet_shows": _names(shown),
    }


def of_tensor(product: Product, store: Store, fields: pl.DataFrame, array: zarr.Array[Any]) -> Metadata:
    """What is stored where, from what, how fast, whether it was made now, and what the channels of some fields show."""
    record = product.record
    shown = spread(fields.filter(pl.col("tensor_index").is_not_null()), CHANNELS_OF)
    sheet = channel_sheet(_labelled(shown, array))
    return {
        "store": store.location(product.path),
        "shape": " x ".join(str(length) for length in record.shape),
        "channels": ", ".join(CHANNELS),
        "source_sha256": record.source_sha256,
        "pixels_sha256": record.digest,
        "size": size_in_words(record.size),
        "share_of_raw_size": round(record.size / record.raw_size, 4) if record.raw_size else 0.0,
        "fields_left_out": len(record.failures),
        "channels_shown": picture(sheet, alt="channels of some fields, and their overlay", mime=WEBP),
        "channels_shown_of": _names(shown),
        "images_decoded": product.images,
        "reused": "yes: same ZIP, same edge length, same code" if product.reused else "no: decoded in this run",
        **({} if product.reused else {"seconds": round(product.seconds, 2), "images_per_second": _rate(product)}),
    }


def of_quality(quality: pl.DataFrame) -> Metadata:
    """Medians per channel, and the sum of all histograms as a plot."""
    plot = intensity_plot(histograms(quality), title=f"Intensities of {quality['field_id'].n_unique():,} fields")
    return {
        "per_channel": rows(per_channel(quality)),
        "intensities": picture(plot, alt="intensity histograms per channel", mime=PNG),
    }


def of_offenders(field_ids: Sequence[str], store: Store, partition: Partition) -> Metadata:
    """Pictures of the fields a check names, as far as they are in the tensor."""
    try:
        fields, tensor = store.table("if_fields", partition), store.table("if_tensors", partition)
    except NotMaterializedError:
        return {}
    found = (
        fields.filter(pl.col("field_id").is_in(field_ids), pl.col("tensor_index").is_not_null())
        .select("field_id", "tensor_index")
        .head(OFFENDERS_SHOWN)
        .collect()
    )
    if found.is_empty():
        return {}
    array = open_array(store.fs, store.address(tensor.select("path").collect().item()))
    return {
        "pictures": _sheet(found, array, alt="fields that this check names"),
        "pictures_show": _names(found),
    }


def of_blurred(blurred: pl.DataFrame, store: Store, partition: Partition) -> Metadata:
    """Blurred images at the scale of their pixels, each beside a sharp one of the same channel and protein."""
    names = ("if_fields", "if_quality", "if_tensors")
    try:
        fields, quality, tensor = (store.table(name, partition).collect() for name in names)
    except NotMaterializedError:
        return {}
    array = open_array(store.fs, store.address(tensor["path"].item()))
    found = pairs(blurred.sort("focus"), fields, quality)[:PAIRS_SHOWN]
    return {f"compared_{number}": _beside(pair, array) for number, pair in enumerate(found, start=1)}


def _beside(pair: Pair, array: zarr.Array[Any]) -> dg.MarkdownMetadataValue:
    shown = [(f"{pair.blurred_id} {pair.channel}: focus {pair.blurred_focus:.4g}", pair.blurred_index)]
    if pair.sharp_index is not None:
        relation = "same protein" if pair.same_protein else "another protein"
        shown.append((f"{pair.sharp_id} {pair.channel}, {relation}: focus {pair.sharp_focus:.4g}", pair.sharp_index))
    planes = [read_plane(array, index, CHANNELS.index(pair.channel)) for _, index in shown]
    captions = [caption for caption, _ in shown]
    return pictures_beside(list(zip(captions, at_full_scale(planes), strict=True)), mime=WEBP)


def _rate(product: Product) -> float:
    return round(product.images / product.seconds, 1)


def _names(fields: pl.DataFrame) -> str:
    """What a picture shows, as text beside it: words in a picture cannot be searched."""
    return ", ".join(fields["field_id"])


def _labelled(fields: pl.DataFrame, array: zarr.Array[Any], first: int | None = None) -> Iterator[tuple[str, Pixels]]:
    """Fields, or their first channels, with a label that fits below a thumbnail; the condition is above the sheet."""
    for field_id, index in fields.select("field_id", "tensor_index").iter_rows():
        yield short_label(field_id), read_field(array, index, first)


def _sheet(fields: pl.DataFrame, array: zarr.Array[Any], *, alt: str) -> dg.MarkdownMetadataValue:
    return picture(contact_sheet(_labelled(fields, array, OVERLAID)), alt=alt, mime=WEBP)
