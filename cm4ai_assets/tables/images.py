"""Tables of the image path: files in the ZIP, antibodies, fields of view, where the tensors are, and quality."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.suspects import Suspect
from cm4ai_assets.tables.schema import Column, Rule, Table

GREY_LEVELS = 256
CHANNELS = ("red", "green", "blue", "yellow")
BLUE = CHANNELS.index("blue")  # in which nuclei are stained
# Colours of an image that no channel is painted in: all planes alike, which tells nothing, and anything else.
GREY, MIXED = "grey", "mixed"

# Defects of one image file, as seen in the central directory and the file name.
IMAGE_DEFECTS = (
    "name_unparsed",  # not a name this platform knows; nothing is guessed from it
    "other_condition",  # an image of another treatment, misfiled in this ZIP
    "unknown_treatment",  # a treatment label that no rule maps
    "folder_mismatch",  # the folder says another channel than the file name
    "duplicate_member",  # the same member name more than once
    "duplicate_channel",  # two files claim the same field and channel
    "suspicious_size",  # empty, or far larger than an image can be
)

# Defects of one field of view. All but those marked (kept) keep the field out of the tensor.
FIELD_DEFECTS = (
    "missing_channel",
    "duplicate_channel",
    "folder_mismatch",  # an image lies in the folder of another channel than its name says
    "suspicious_size",  # an image file is empty, or far larger than an image can be
    "no_images",  # a manifest row without an image
    "not_in_manifest",  # (kept) images without a manifest row; antibody unknown
    "manifest_conflict",  # (kept) the manifest contradicts itself about the field; antibody left null
    "antibody_unknown",  # (kept) the manifest names no antibody
    "several_z",  # (kept) the region exists in more than one focal plane
    "member_unreadable",  # a member's bytes do not inflate, or their CRC is wrong
    "not_jpeg",
    "corrupt_jpeg",
    "unsupported_jpeg",  # valid, in a form that is not decoded: odd chroma sampling, lossless, hierarchical
    "not_rgb",  # grey, CMYK, or more than 8 bits
    "other_size",  # not 2048 x 2048
    "other_colour",  # painted in the colour of another channel than its name says
)

IF_IMAGES = Table(
    name="if_images",
    description="One row per image file in the ZIP, from its central directory alone.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("member_index",),
    own_columns=(
        Column("member_index", pl.Int32(), "Position in the ZIP's central directory, from 0."),
        Column("member", pl.String(), "Member name in the ZIP, verbatim."),
        Column(
            "kind",
            pl.String(),
            "channel: one channel of a field; composite: an RGB overlay; unknown: neither.",
            allowed=("channel", "composite", "unknown"),
        ),
        Column(
            "field_id",
            pl.String(),
            "Field of view, e.g. B2AI_1_paclitaxel_A1_R2_z01; null if not parsed.",
            nullable=True,
        ),
        Column(
            "channel",
            pl.String(),
            "Channel from the file name; null for composites and unparsed names.",
            nullable=True,
            allowed=CHANNELS,
        ),
        Column("plate", pl.String(), "Plate, e.g. B2AI_1.", nullable=True),
        Column("treatment_label", pl.String(), "Treatment as spelled in the file name.", nullable=True),
        Column(
            "image_condition",
            pl.String(),
            "Condition that the label means; null if unknown.",
            nullable=True,
            allowed=("untreated", "paclitaxel", "vorinostat"),
        ),
        Column("well", pl.String(), "Well, not zero padded, e.g. A1.", nullable=True),
        Column("region", pl.Int16(), "Region number within the well; with gaps.", nullable=True),
        Column("z", pl.Int16(), "Kept focal plane; null where the name has none (2024 alpha).", nullable=True),
        Column("compressed_size", pl.Int64(), "Size in the ZIP.", unit="bytes"),
        Column("size", pl.Int64(), "Size of the image file.", unit="bytes"),
        Column(
            "compressed_ratio",
            pl.Float64(),
            "compressed_size / size. Near-empty fields fall far below 0.5.",
            nullable=True,
        ),
        Column("crc32", pl.UInt32(), "CRC-32 stated in the central directory."),
        Column("header_offset", pl.Int64(), "Offset of the member's local header in the ZIP.", unit="bytes"),
        Column(
            "defects", pl.List(pl.String()), "What is wrong with this file; empty if nothing.", allowed=IMAGE_DEFECTS
        ),
    ),
    source="ZIP central directory",
)

IF_ANTIBODIES = Table(
    name="if_antibodies",
    description="Antibody to gene to protein, long form: one row per target of an antibody, controls flagged.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("antibody_id", "target_index"),
    own_columns=(
        Column("antibody_id", pl.String(), "HPA or CAB antibody id, or the name of a control, as in manifest.csv."),
        Column("target_index", pl.Int16(), "Number of the row within the antibody, from 0."),
        Column("is_control", pl.Boolean(), "The label marks a control (NEGATIVE), not an antibody."),
        Column("ensembl_gene_id", pl.String(), "Ensembl gene id (ENSG).", nullable=True),
        Column("gene_symbol", pl.String(), "Gene symbol as HPA names it.", nullable=True),
        Column("uniprot_id", pl.String(), "UniProt accession.", nullable=True),
        Column("chromosome", pl.String(), "Chromosome.", nullable=True),
        Column(
            "pairing",
            pl.String(),
            "single: the antibody has one target and the row's ids belong together. unpaired: the manifest lists "
            "several targets whose lists are not in one order, so each row carries one kind of id. none: no target.",
            allowed=("single", "unpaired", "none"),
        ),
        Column("wells", pl.List(pl.String()), "Plate and well of every field with this antibody, e.g. B2AI_1_A1."),
        Column("fields", pl.Int32(), "Number of manifest rows with this antibody."),
        Column(
            "defects",
            pl.List(pl.String()),
            "Ids of an unexpected form, marked or damaged ones, or rows that disagree.",
            allowed=("bad_ensembl_id", "bad_uniprot_id", "bad_antibody_id", "rows_disagree", "no_gene", *Suspect),
        ),
    ),
    source="manifest.csv in the ZIP",
)

IF_FIELDS = Table(
    name="if_fields",
    description="One row per field of view: its antibody and genes, its four channels, and what is wrong with it.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("field_id",),
    own_columns=(
        Column("field_id", pl.String(), "Plate, condition, well, region and z: B2AI_1_paclitaxel_A1_R2_z01."),
        Column("tensor_index", pl.Int32(), "Row of this field in the tensor; null if it is not in it.", nullable=True),
        Column("plate", pl.String(), "Plate, e.g. B2AI_1."),
        Column("well", pl.String(), "Well, not zero padded, e.g. A1."),
        Column("well_row", pl.String(), "Row letter of the well."),
        Column("well_column", pl.Int16(), "Column number of the well."),
        Column("region", pl.Int16(), "Region number within the well; with gaps."),
        Column("z", pl.Int16(), "Kept focal plane; null where the name has none.", nullable=True),
        Column(
            "antibody_id",
            pl.String(),
            "Antibody of the green channel; null if the manifest does not tell.",
            nullable=True,
        ),
        Column(
            "is_control",
            pl.Boolean(),
            "The antibody label marks a control; null if the antibody is unknown.",
            nullable=True,
        ),
        Column("ensembl_gene_ids", pl.List(pl.String()), "Ensembl genes of the antibody; empty for controls."),
        Column("gene_symbols", pl.List(pl.String()), "Gene symbols of the antibody. Not in the order of the ids."),
        Column("uniprot_ids", pl.List(pl.String()), "UniProt accessions of the antibody. Not in the order of the ids."),
        Column("channels", pl.List(pl.String()), "Channels present, in tensor order.", allowed=CHANNELS),
        Column("is_complete", pl.Boolean(), "All four channels are present exactly once."),
        Column("in_manifest", pl.Boolean(), "manifest.csv has a row for this field."),
        Column(
            "manifest_row",
            pl.Int32(),
            "Line number in manifest.csv (header is 1); null without a row, or where rows tell the well only.",
            nullable=True,
        ),
        Column(
            "defects", pl.List(pl.String()), "What is wrong with this field; empty if nothing.", allowed=FIELD_DEFECTS
        ),
        Column("defect_members", pl.List(pl.String()), "ZIP members that the defects are about."),
    ),
    rules=(
        Rule(
            "tensor_index_unique",
            "no two fields share a row of the tensor",
            lambda: pl.col("tensor_index").is_null() | ~pl.col("tensor_index").is_duplicated(),
        ),
        Rule(
            "in_tensor_is_complete",
            "a field in the tensor has its four channels",
            lambda: pl.col("tensor_index").is_null() | pl.col("is_complete"),
        ),
    ),
    source="if_images, if_antibodies and manifest.csv; defects of pixels from the pass that makes if_tensors",
)

IF_TENSORS = Table(
    name="if_tensors",
    description="Where the image tensors of this release and condition are. One row.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("path",),
    own_columns=(
        Column(
            "path",
            pl.String(),
            "Zarr v3 store, relative to CM4AI_STORAGE. Shared by releases with the same ZIP; "
            "its group's attribute "
            "`first_published_in` names the dataset, version and licence of the one for which it was made.",
        ),
        Column("array", pl.String(), "Array within the store."),
        Column("shape", pl.List(pl.Int64()), "fields, channels, y, x."),
        Column("dtype", pl.String(), "Type of a pixel."),
        Column("channels", pl.List(pl.String()), "Channel order.", allowed=CHANNELS),
        Column("edge", pl.Int32(), "Edge length after area averaging, halves rounded to even.", unit="pixels"),
        Column("pixel_code_version", pl.Int32(), "Version of the code that turned JPEGs into pixels."),
        Column("source_sha256", pl.String(), "SHA-256 of the ZIP the pixels come from."),
        Column("digest", pl.String(), "SHA-256 over the pixel digests in tensor order: equal digests, equal pixels."),
        Column("size", pl.Int64(), "Size of the store on disk.", unit="bytes"),
        Column("raw_size", pl.Int64(), "Size of the pixels uncompressed.", unit="bytes"),
        Column("license", pl.String(), "Licence of the data.", nullable=True),
    ),
    source="the ZIP's bytes, the edge length and the pixel code, nothing else",
)

IF_QUALITY = Table(
    name="if_quality",
    description="One row per field and channel that was decoded: intensities, saturation, focus, emptiness, digest.",
    partitioning=Partitioning.CONDITION_RELEASE,
    key=("field_id", "channel"),
    own_columns=(
        Column("field_id", pl.String(), "Field of view."),
        Column("channel", pl.String(), "Channel.", allowed=CHANNELS),
        Column("tensor_index", pl.Int32(), "Row of the field in the tensor; null if it is not in it.", nullable=True),
        Column("member", pl.String(), "ZIP member the pixels come from."),
        Column("mean", pl.Float32(), "Mean intensity at full resolution.", unit="grey levels, 0 to 255"),
        Column("std", pl.Float32(), "Standard deviation at full resolution.", unit="grey levels"),
        *(
            Column(name, pl.UInt8(), f"{text} at full resolution, exact.", unit="grey levels")
            for name, text in (
                ("minimum", "Smallest intensity"), ("p01", "1st percentile"), ("p50", "Median"),
                ("p99", "99th percentile"), ("p999", "99.9th percentile"), ("maximum", "Largest intensity"),
            )
        ),
        Column("saturated_fraction", pl.Float32(), "Share of pixels at full intensity, which decodes to 254 in red "
               "and blue and to 255 in green and yellow: JPEG never gives back a pure red or blue of 255."),
        Column("foreground_fraction", pl.Float32(), "Share of pixels at or above grey level 16."),
        Column("focus", pl.Float32(), "Variance of the Laplacian over the variance of the image, at edge length 1024; "
               "null for a flat image. Comparable only within a channel.", nullable=True),
        Column("is_saturated", pl.Boolean(), "More than 1 % of the pixels are at full intensity."),
        Column("is_empty", pl.Boolean(), "Less than 0.1 % of the pixels are foreground."),
        Column("histogram", pl.List(pl.UInt32()), "Count of pixels at each of the 256 grey levels, full resolution."),
        Column("colour", pl.String(), "Colour that the image is painted in: its channel's, or grey, which proves "
               "nothing; null if it is too dark to tell. An image of another colour has no row.", nullable=True,
               allowed=(*CHANNELS, GREY)),
        Column("pixel_sha256", pl.String(), "SHA-256 of the stored plane, row by row: equal digests, equal pixels."),
    ),
    rules=(
        Rule("colour_of_channel", "an image is painted in the colour of its channel, or grey",
             lambda: pl.col("colour").is_in([GREY]) | (pl.col("colour") == pl.col("channel"))),
        Rule("histogram_256", "a histogram has 256 bins", lambda: pl.col("histogram").list.len() == GREY_LEVELS),
        Rule("percentiles_ordered", "percentiles do not fall",
             lambda: (pl.col("minimum") <= pl.col("p01")) & (pl.col("p01") <= pl.col("p50"))
             & (pl.col("p50") <= pl.col("p99")) & (pl.col("p99") <= pl.col("p999"))
             & (pl.col("p999") <= pl.col("maximum"))),
    ),
    source="the same pass over the pixels that makes if_tensors",
)  # fmt: skip

TABLES = (IF_IMAGES, IF_ANTIBODIES, IF_FIELDS, IF_TENSORS, IF_QUALITY)
