"""What the quality checks say about images, as plain data: one function per check, each saying what it protects from.

Belongs here: checks that warn. Does not belong here: what blocks publication (`storage.zips`, `images.audit`, the table
schemas), the defects themselves, which are found where the tables are made, and Dagster, which shows the findings.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from cm4ai_assets.findings import Finding, described_by
from cm4ai_assets.images.crates import crate_deviations
from cm4ai_assets.images.listing import unexpected_members
from cm4ai_assets.images.manifest import read_manifest
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.zips import ZipDirectory

Subject = TypeVar("Subject")

_FILE_DEFECTS = ("folder_mismatch", "suspicious_size")
_PIXEL_DEFECTS = ("member_unreadable", "not_jpeg", "corrupt_jpeg", "unsupported_jpeg", "not_rgb", "other_size")

# The stains every field has: nuclei, microtubules, ER. Green shows whatever the antibody binds, which may be nothing.
_REFERENCE_CHANNELS = ("red", "blue", "yellow")
# Nuclei and microtubules have edges in every focused image; ER is diffuse.
_FOCUS_CHANNELS = ("red", "blue")
# A modified z-score beyond 3.5 is an outlier (Iglewicz and Hoaglin 1993). In a plate whose images are all alike that
# alone would blame noise, so an image must also have less than half the focus of the median.
_FOCUS_SCORE = -3.5
_FOCUS_SHARE = 0.5
_MAD_TO_SIGMA = 1.4826
_FOCUS_IMAGES = 8  # fewer have no distribution to stand out from


@dataclass(frozen=True)
class PublishedZip:
    """An image ZIP, the condition it is published for, and its published MD5, if there is one."""

    source: ByteSource
    directory: ZipDirectory
    condition: str
    md5: str | None


@dataclass(frozen=True)
class Check(Generic[Subject]):
    """A check, the table it is shown beside, and what it looks at: that table's rows, or the ZIP."""

    table: str
    function: Callable[[Subject], Finding]

    @property
    def name(self) -> str:
        """Name of the check: that of its function."""
        return self.function.__name__

    @property
    def description(self) -> str:
        """What it protects from: the docstring of its function."""
        return described_by(self.function)


def images_named(images: pl.DataFrame) -> Finding:
    """Image names have the known form and a known treatment. Protects from images that silently belong to no field."""
    return _flagged("images_named", images, ("name_unparsed", "unknown_treatment"), show=("member",))


def images_of_this_condition(images: pl.DataFrame) -> Finding:
    """No image of another treatment lies in the ZIP. Protects from cells counted under a drug they never saw."""
    return _flagged("images_of_this_condition", images, ("other_condition",), show=("member", "image_condition"))


def members_unique(images: pl.DataFrame) -> Finding:
    """No member name and no channel of a field occurs twice. Protects from results that depend on which one is read."""
    return _flagged("members_unique", images, ("duplicate_member", "duplicate_channel"), show=("member", "crc32"))


def images_plausible(images: pl.DataFrame) -> Finding:
    """Folder and name agree on the channel, and sizes are those of images. Protects from swapped channels."""
    return _flagged("images_plausible", images, _FILE_DEFECTS, show=("member", "channel", "size"))


def antibodies_formed(antibodies: pl.DataFrame) -> Finding:
    """Antibody, Ensembl and UniProt ids have their official form. Protects joins that would lose rows in silence."""
    flags = ("bad_antibody_id", "bad_ensembl_id", "bad_uniprot_id", "rows_disagree", "no_gene")
    return _flagged("antibodies_formed", antibodies, flags, show=("antibody_id", "ensembl_gene_id", "uniprot_id"))


def targets_paired(antibodies: pl.DataFrame) -> Finding:
    """Tells how many antibodies have several targets, whose ids are not paired. Information; it never fails."""
    several = antibodies.filter(pl.col("pairing") == "unpaired")
    number = several["antibody_id"].n_unique()
    return Finding(
        "targets_paired",
        passed=True,
        summary=f"{number} of {antibodies['antibody_id'].n_unique()} antibodies have several targets, left unpaired.",
        rows=several.group_by("antibody_id", maintain_order=True).agg(
            pl.col("ensembl_gene_id", "gene_symbol", "uniprot_id").drop_nulls()
        ),
        counts={"unpaired_antibodies": number},
    )


def fields_complete(fields: pl.DataFrame) -> Finding:
    """Each field has its four channels exactly once. Protects from fields that go missing from the tensor unnoticed."""
    flags = ("missing_channel", "duplicate_channel", *_FILE_DEFECTS)
    return _flagged("fields_complete", fields, flags, show=("field_id", "channels", "defect_members"))


def one_z_per_region(fields: pl.DataFrame) -> Finding:
    """Each region is kept in one focal plane. Protects statistics that would count the same cells twice."""
    return _flagged("one_z_per_region", fields, ("several_z",), show=("field_id", "z"))


def antibodies_known(fields: pl.DataFrame) -> Finding:
    """The antibody of each field is known. Protects from green channels of which nobody can say what they show."""
    bad = fields.filter(pl.col("antibody_id").is_null())
    return _found("antibodies_known", bad, fields.height, show=("field_id", "manifest_row", "defects"))


def manifest_agrees(fields: pl.DataFrame) -> Finding:
    """Manifest and images name the same fields, and no row contradicts itself. Protects from mislabelled proteins."""
    flags = ("no_images", "not_in_manifest", "manifest_conflict")
    return _flagged("manifest_agrees", fields, flags, show=("field_id", "manifest_row"))


def antibody_per_well(fields: pl.DataFrame) -> Finding:
    """Each well holds one antibody. Protects from a shifted manifest, which puts wrong proteins on right images."""
    wells = fields.group_by("plate", "well", maintain_order=True).agg(
        pl.col("antibody_id").drop_nulls().unique().sort().alias("antibodies"), pl.len().alias("fields")
    )
    bad = wells.filter(pl.col("antibodies").list.len() > 1)
    return _found("antibody_per_well", bad, wells.height, show=bad.columns, noun="wells")


def decodable(fields: pl.DataFrame) -> Finding:
    """Every image inflates and is a 2048 x 2048 RGB JPEG. Tells which fields damaged files keep out of the tensor."""
    return _flagged("decodable", fields, _PIXEL_DEFECTS, show=("field_id", "defect_members"))


def painted_as_named(fields: pl.DataFrame) -> Finding:
    """Each image is painted in the colour of the channel in its name. Protects from files whose contents are swapped.

    A field with such an image is kept out of the tensor. Grey and black images tell nothing and pass.
    """
    return _flagged("painted_as_named", fields, ("other_colour",), show=("field_id", "defect_members"))


def not_saturated(quality: pl.DataFrame) -> Finding:
    """No more than 1 % of an image's pixels are at full intensity. Protects intensity measures from clipped signal.

    Full intensity decodes to 254 in red and blue and to 255 in green and yellow.
    """
    bad = quality.filter("is_saturated")
    return _found(
        "not_saturated", bad, quality.height, show=("field_id", "channel", "saturated_fraction"), by="channel"
    )


def not_empty(quality: pl.DataFrame) -> Finding:
    """Reference stains show something. Protects models from empty fields. Green may be empty: it shows the antibody."""
    bad = quality.filter("is_empty", pl.col("channel").is_in(_REFERENCE_CHANNELS))
    return _found("not_empty", bad, quality.height, show=("field_id", "channel", "foreground_fraction"), by="channel")


def in_focus(quality: pl.DataFrame) -> Finding:
    """Nuclei and microtubules are as sharp as in the other fields. Protects morphology from blurred planes.

    Out of focus is an image that is not empty, lies 3.5 robust standard deviations (median absolute deviation of the
    logarithm) below the median of its channel, and has less than half of the median's focus.
    """
    judged = _judged_for_focus(quality)
    bad = out_of_focus(quality)
    return _found("in_focus", bad, judged.height, show=("field_id", "channel", "focus", "median_focus"), by="channel")


def out_of_focus(quality: pl.DataFrame) -> pl.DataFrame:
    """The rows of `if_quality`, of one condition, that `in_focus` finds out of focus, with their `median_focus`."""
    median = pl.col("log_focus").median().over("channel")
    spread = _MAD_TO_SIGMA * (pl.col("log_focus") - median).abs().median().over("channel")
    judged = _judged_for_focus(quality).with_columns(pl.col("focus").log().alias("log_focus"))
    return judged.with_columns(median.exp().alias("median_focus")).filter(
        pl.len().over("channel") >= _FOCUS_IMAGES,
        pl.col("log_focus") - median < _FOCUS_SCORE * spread,
        pl.col("focus") < _FOCUS_SHARE * pl.col("median_focus"),
    )


def _judged_for_focus(quality: pl.DataFrame) -> pl.DataFrame:
    return quality.filter(~pl.col("is_empty"), pl.col("focus") > 0, pl.col("channel").is_in(_FOCUS_CHANNELS))


def members_expected(archive: PublishedZip) -> Finding:
    """The ZIP holds images and known metadata only. Tells of files that nobody would otherwise look at."""
    found = unexpected_members(archive.directory)
    rows = [{"member": each.member.name, "size": each.member.size, "reason": each.reason} for each in found]
    return _listed("members_expected", rows, "unexpected members")


def manifest_readable(archive: PublishedZip) -> Finding:
    """Every line of manifest.csv can be read and names a field. Protects from rows that are dropped in silence."""
    manifest = read_manifest(archive.source, archive.directory)
    rows = [{"line": each.line, "reason": each.reason, "text": each.text} for each in manifest.problems]
    return _listed("manifest_readable", rows, f"deviations in {len(manifest.rows)} rows")


def manifest_of_this_condition(archive: PublishedZip) -> Finding:
    """Every row of manifest.csv is about this condition. Protects from fields whose rows stand in another manifest.

    Rows of another or an unknown treatment give no field here, and no field its antibody.
    """
    manifest = read_manifest(archive.source, archive.directory)
    rows = [
        {"line": row.line, "treatment": row.treatment_label, "antibody_id": row.antibody_id, "baselink": row.baselink}
        for row in manifest.rows
        if row.condition != archive.condition
    ]
    return _listed("manifest_of_this_condition", rows, "rows of another or an unknown treatment")


def crate_claims(archive: PublishedZip) -> Finding:
    """The ZIP's own RO-Crate agrees with it on digest, size and images. Protects its readers from stale claims."""
    found = crate_deviations(archive.source, archive.directory, md5=archive.md5)
    rows = [{"claim": each.claim, "stated": each.stated, "actual": each.actual} for each in found]
    return _listed("crate_claims", rows, "claims that do not hold")


TABLE_CHECKS: tuple[Check[pl.DataFrame], ...] = (
    Check("if_images", images_named),
    Check("if_images", images_of_this_condition),
    Check("if_images", members_unique),
    Check("if_images", images_plausible),
    Check("if_antibodies", antibodies_formed),
    Check("if_antibodies", targets_paired),
    Check("if_fields", fields_complete),
    Check("if_fields", one_z_per_region),
    Check("if_fields", antibodies_known),
    Check("if_fields", manifest_agrees),
    Check("if_fields", antibody_per_well),
    Check("if_fields", decodable),
    Check("if_fields", painted_as_named),
    Check("if_quality", not_saturated),
    Check("if_quality", not_empty),
    Check("if_quality", in_focus),
)

ARCHIVE_CHECKS: tuple[Check[PublishedZip], ...] = (
    Check("if_archive", crate_claims),
    Check("if_images", members_expected),
    Check("if_antibodies", manifest_readable),
    Check("if_antibodies", manifest_of_this_condition),
)


def _flagged(check: str, frame: pl.DataFrame, flags: Collection[str], *, show: Sequence[str]) -> Finding:
    """The rows that carry one of the flags, and how many carry each."""
    bad = frame.filter(pl.col("defects").list.set_intersection(list(flags)).list.len() > 0)
    carried = bad["defects"].explode()
    counts = {flag: count for flag in flags if (count := int((carried == flag).sum()))}
    carriers = ", ".join(f"{flag} {count}" for flag, count in counts.items())
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height} of {frame.height} rows{f': {carriers}' if carriers else ''}.",
        rows=bad.select(*show, "defects"),
        counts=counts,
    )


def _found(
    check: str, bad: pl.DataFrame, total: int, *, show: Sequence[str], noun: str = "rows", by: str | None = None
) -> Finding:
    counts = {noun: bad.height} if by is None else dict(bad.group_by(by, maintain_order=True).len().iter_rows())
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height} of {total} {noun}.",
        rows=bad.select(show),
        counts=counts,
    )


def _listed(check: str, rows: Sequence[Mapping[str, object]], what: str) -> Finding:
    return Finding(
        check,
        passed=not rows,
        summary=f"{len(rows)} {what}.",
        rows=pl.DataFrame(rows),
        counts={what: len(rows)},
    )
