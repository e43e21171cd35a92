"""What a report shows of images: contact sheets with channels, quality, nuclei."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.cells.findings import counts
from cm4ai_assets.cells.outlines import with_outlines
from cm4ai_assets.cells.pictures import outline_sheet
from cm4ai_assets.conditions import Condition
from cm4ai_assets.drawing import PNG, WEBP
from cm4ai_assets.images.names import short_label
from cm4ai_assets.images.pictures import channel_sheet, contact_sheet, evenly, intensity_plot
from cm4ai_assets.images.summaries import histograms, per_channel, spread
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.publication.blocks import Block, Facts, Figure, Section, Text, table_of
from cm4ai_assets.publication.report.subject import Subject, absent, absent_conditions
from cm4ai_assets.storage.nuclei import open_labels
from cm4ai_assets.storage.tensors import Pixels
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_FIELDS, IF_QUALITY, IF_TENSORS

_SHEET_FIELDS, _CHANNELS_OF, _OUTLINED = 15, 2, 6
_EDGE, _OUTLINE_EDGE = 200, 320
_PICTURE_BYTES = 250_000
_STRETCHED = "Every tile is stretched for the eye by itself: brightness cannot be compared between tiles."


def contact_sheets(subject: Subject) -> Section:
    """Fields of each condition, and the channels of some."""
    conditions = subject.conditions_of(IF_FIELDS.name, IF_TENSORS.name)
    title = "Contact sheets"
    if not conditions:
        return absent(subject, title, IF_FIELDS.name, IF_TENSORS.name)
    intro = (
        "Fields of view spread evenly over the plates: microtubules red, protein of interest green, nucleus blue; the "
        f"endoplasmic reticulum is shown among the channels. {_STRETCHED}"
    )
    parts = [_sheet(subject, condition) for condition in conditions]
    return Section(title, (Text(intro), *parts, *absent_conditions(subject, IF_TENSORS.name)))


def _sheet(subject: Subject, condition: Condition) -> Section:
    fields = _frame(subject, IF_FIELDS.name, condition)
    stored = fields.filter(pl.col("tensor_index").is_not_null())
    numbers = Facts([
        ("fields", fields.height),
        ("in the tensor", stored.height),
        ("antibodies", fields["antibody_id"].drop_nulls().n_unique()),
        ("wells", fields.select("plate", "well").n_unique()),
        ("with a defect", fields.filter(pl.col("defects").list.len() > 0).height),
    ])  # fmt: skip
    if stored.is_empty():
        return Section(_name(condition), (numbers, Text("No field of it is in the tensor.")))
    reader = _reader(subject, condition)
    shown, few = spread(stored, _SHEET_FIELDS), spread(stored, _CHANNELS_OF)
    sheet = contact_sheet(_labelled(shown, reader), columns=5, edge=_EDGE, limit=_PICTURE_BYTES)
    channels = channel_sheet(_labelled(few, reader), edge=_EDGE, limit=_PICTURE_BYTES)
    return Section(
        _name(condition),
        (
            numbers,
            Figure(sheet, WEBP, f"{shown.height} fields of {condition} as overlays of three channels",
                   f"{condition}: {_listed(shown)}."),
            Figure(channels, WEBP, f"The four channels of {few.height} fields of {condition}, and their overlay",
                   f"{condition}, a field in each row: red microtubules, green protein of interest, blue nucleus, "
                   f"yellow endoplasmic reticulum, overlay. {_listed(few)}."),
        ),
    )  # fmt: skip


def _frame(subject: Subject, name: str, condition: Condition) -> pl.DataFrame:
    """A partition that the inventory has."""
    frame = subject.part(name, condition)
    if frame is None:
        raise LookupError(f"{name} of {condition} went away while it was described")
    return frame


def _reader(subject: Subject, condition: Condition) -> ShardReader:
    store = subject.release.store
    return ShardReader(store.url, store.address(_frame(subject, IF_TENSORS.name, condition)["path"].item()))


def _labelled(fields: pl.DataFrame, reader: ShardReader) -> Iterator[tuple[str, Pixels]]:
    for field_id, index in fields.select("field_id", "tensor_index").iter_rows():
        yield short_label(field_id), reader.read(index)


def _listed(fields: pl.DataFrame) -> str:
    """What a picture shows, as text: words in a picture cannot be searched or heard."""
    return ", ".join(fields["field_id"])


def _name(condition: Condition) -> str:
    return str(condition).capitalize()


def quality(subject: Subject) -> Section:
    """Intensities, focus, emptiness and saturation by condition and channel."""
    conditions = subject.conditions_of(IF_QUALITY.name)
    title = "Image quality"
    if not conditions:
        return absent(subject, title, IF_QUALITY.name)
    summaries: list[pl.DataFrame] = []
    figures: list[Block] = []
    for condition in conditions:
        rows = _frame(subject, IF_QUALITY.name, condition)
        summaries.append(per_channel(rows).select(pl.lit(str(condition)).alias("condition"), pl.all()))
        fields = rows["field_id"].n_unique()
        plot = intensity_plot(histograms(rows), title=f"{condition}: intensities of {fields:,} fields")
        alt = f"Histograms of grey levels of {condition}, a line for each channel, share of pixels on a log scale"
        figures.append(Figure(plot, PNG, alt, f"How often each grey level occurs in {condition}, {fields:,} fields."))
    table = table_of(pl.concat(summaries), "Image quality by condition and channel", shown=40)
    explained = Text(
        "Empty: nearly nothing but background. Saturated: too many pixels at the brightest level. Focus: share of fine "
        "detail, comparable within a channel. Colour confirmed: the picture is painted in the colour of its name."
    )
    return Section(title, (explained, table, *figures, *absent_conditions(subject, IF_QUALITY.name)))


def nuclei(subject: Subject) -> Section:
    """Segmented nuclei: counts, and outlines in some fields."""
    conditions = subject.conditions_of(IF_CELLS.name, IF_FIELDS.name, IF_TENSORS.name)
    title = "Nuclei"
    if not conditions:
        return absent(subject, title, IF_CELLS.name)
    rows: list[dict[str, object]] = []
    figures: list[Block] = []
    for condition in conditions:
        cells, fields = (_frame(subject, name, condition) for name in (IF_CELLS.name, IF_FIELDS.name))
        counted = counts(cells, fields)
        rows.append({
            "condition": str(condition),
            "nuclei": cells.height,
            "plausible": cells.filter("plausible").height,
            "touching the border": cells.filter("touches_border").height,
            "fields": counted.height,
            "fields without nuclei": counted.filter(pl.col("nuclei") == 0).height,
            "median per field": counted["nuclei"].median(),
        })  # fmt: skip
        figures += _outlines(subject, condition, cells, counted)
    intro = Text("Nuclei are segmented in the blue channel. Each has its place, shape and intensities in if_cells.")
    table = table_of(pl.DataFrame(rows), "Nuclei by condition")
    return Section(title, (intro, table, *figures, *absent_conditions(subject, IF_CELLS.name)))


def _outlines(subject: Subject, condition: Condition, cells: pl.DataFrame, counted: pl.DataFrame) -> Iterator[Block]:
    some = counted.filter(pl.col("nuclei") > 0)
    if some.is_empty():
        return
    shown = some[evenly(some.height, _OUTLINED)]
    labels = open_labels(subject.release.store.fs, subject.release.store.address(cells["path"][0]))
    fields = with_outlines(shown, cells, _reader(subject, condition), labels)
    picture = outline_sheet(fields, columns=3, edge=_OUTLINE_EDGE, limit=_PICTURE_BYTES)
    alt = f"The blue channel of {shown.height} fields of {condition} with outlines around nuclei"
    caption = f"{condition}: nuclei outlined, green if plausible, else orange. {_listed(shown)}."
    yield Figure(picture, WEBP, alt, caption)
