"""What a report says to who wants the data: code that works for this release, and what the words mean."""

from __future__ import annotations

from cm4ai_assets.publication.blocks import Code, Definitions, Section, Text
from cm4ai_assets.publication.report.subject import Subject, delivered_tables

_GLOSSARY = (
    ("Release", "One version of one dataset of the archive: a DOI and a version. Its key never changes meaning."),
    ("Condition", "How cells were treated: untreated, paclitaxel, vorinostat."),
    ("Field of view", "One place of a well that was imaged: one picture for each of four channels."),
    ("Channel", "Red: microtubules. Green: the protein of interest. Blue: nucleus. Yellow: endoplasmic reticulum."),
    ("Tensor", "The images of one condition as one array: field, channel, row, column; 8 bits."),
    ("Plate, well", "Where cells were grown: a plate has 96 wells, named A1 to H12."),
    ("SEC-MS", "Size-exclusion chromatography with mass spectrometry: what elutes together may belong together."),
    ("AP-MS", "Affinity purification with mass spectrometry: which preys come along with a tagged bait."),
    ("BFDR", "Bayesian false discovery rate of a bait-prey pair, as SAINT gives it."),
    ("Perturb-seq", "Genes are turned down by CRISPR guides, and the transcripts of single cells are counted."),
    ("Knock-down", "By how much a guide lowers the transcripts of its own target."),
    ("Split", "Which rows train, validate and test a model, so that what is tested has not been seen."),
    ("Published digest", "A checksum that the archive states for a file; stored bytes are held against it."),
    ("Check", "A question to published tables with an answer: passed, or a warning with the rows that it names."),
    ("Embargo", "A file is listed and cannot be fetched until a day."),
)  # fmt: skip


def loading(subject: Subject) -> Section:
    """Code for this release: what it opens is there."""
    intro = (
        "The data is opened by the Python package cm4ai_assets from the storage that this page was made from "
        "(the setting CM4AI_STORAGE). Tables are lazy polars frames, tensors lazy Zarr arrays. Every table is also a "
        "plain Parquet file, which any reader of Parquet opens."
    )
    return Section("How to load it", (Text(intro), Code(snippet(subject), "Python that loads this release")))


def snippet(subject: Subject) -> str:
    """Lines of Python that work for this release."""
    there = set(delivered_tables(subject))
    lines = [
        "import polars as pl",
        "",
        "from cm4ai_assets import open_release",
        "",
        f'r = open_release("{subject.key}")',
    ]
    lines += [line for name, text in _LINES if name in there for line in ("", *text)]
    condition = next(iter(subject.conditions_of("if_tensors", "if_fields")), None)
    if condition is not None:
        lines += ["", *_of_images(str(condition))]
    if condition is not None and condition in subject.conditions_of("if_cells"):
        lines += [f'nuclei = r.cells("{condition}")  # nuclei.table, and nuclei[0]: a crop around the first']
    return "\n".join(lines)


_LINES = (
    ("release_files", ['files = r.table("release_files").collect()  # every published file, with its digest']),
    ("proteins", ['proteins = r.table("proteins").filter("has_if").collect()  # genes with images']),
    ("splits", ['test = r.table("splits").filter(pl.col("scheme") == "protein", pl.col("split") == "test").collect()']),
    ("secms_proteins", ['groups = r.table("secms_proteins").filter(~pl.col("is_ambiguous")).collect()']),
    ("apms_interactions", ['pairs = r.table("apms_interactions").filter(pl.col("bfdr") <= 0.05).collect()']),
    ("perturb_targets", ["profiles = r.profiles()  # a lazy array: target, gene"]),
)


def _of_images(condition: str) -> list[str]:
    return [
        f'fields = r.fields(condition="{condition}")  # a row for each field of view, with every label',
        f'images = r.tensors("{condition}")  # uint8: field, channel (red, green, blue, yellow), y, x',
        "first = images[0, 2]  # the nuclei of the first field",
    ]


def glossary(_: Subject) -> Section:
    """What the words mean."""
    return Section("Glossary", (Definitions(_GLOSSARY),))
