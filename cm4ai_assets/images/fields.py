"""Fields of view: which images make one, which go into the tensor, and what the manifest says about them.

Belongs here: putting files, manifest and antibodies together, and the order of the tensor. Does not belong here:
reading any of them (`images.listing`, `images.manifest`, `images.antibodies`), or the pixels (`images.pixels`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.images.manifest import Manifest, ManifestRow
from cm4ai_assets.images.names import FieldName, parse_field_id
from cm4ai_assets.storage.tensors import Failure
from cm4ai_assets.tables.images import CHANNELS, FIELD_DEFECTS, IF_FIELDS

# What a file's defect means for its field. A stray image of another condition is no part of any field here, and one
# without a field in its name cannot be.
_FROM_IMAGE_DEFECT = {
    "duplicate_member": "duplicate_channel",
    "duplicate_channel": "duplicate_channel",
    "folder_mismatch": "folder_mismatch",
    "suspicious_size": "suspicious_size",
}


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """A field whose pixels are to be read: positions of its four members in the central directory, in channel order."""

    field_id: str
    members: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _File:
    channel: str
    index: int
    member: str
    defects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _ImagedField:
    """A field of this condition and the channel files that claim to belong to it."""

    field_id: str
    name: FieldName
    files: tuple[_File, ...]

    @property
    def channels(self) -> list[str]:
        """Channels present, in tensor order."""
        present = {file.channel for file in self.files}
        return [channel for channel in CHANNELS if channel in present]

    @property
    def is_complete(self) -> bool:
        """Each channel is present exactly once."""
        return sorted(file.channel for file in self.files) == sorted(CHANNELS)

    @property
    def defects(self) -> dict[str, list[str]]:
        """What the central directory alone says against it: defect to the members it is about."""
        found: dict[str, list[str]] = {}
        if len(self.channels) < len(CHANNELS):
            found["missing_channel"] = []
        for file in self.files:
            for defect in file.defects:
                members = found.setdefault(_FROM_IMAGE_DEFECT[defect], [])
                if file.member not in members:
                    members.append(file.member)
        return found

    @property
    def is_eligible(self) -> bool:
        """Nothing in the central directory keeps its pixels out of the tensor."""
        return self.is_complete and not self.defects


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the manifest says of one field."""

    antibody_id: str | None
    line: int | None
    defect: str | None

    @property
    def in_manifest(self) -> bool:
        return self.defect != "not_in_manifest"


@dataclass(frozen=True, slots=True)
class _Antibody:
    """What `if_antibodies` says of one antibody, its rows taken together."""

    is_control: bool
    ensembl_gene_ids: list[str]
    gene_symbols: list[str]
    uniprot_ids: list[str]


def eligible_fields(images: pl.DataFrame) -> list[FieldPlan]:
    """The fields whose pixels can be in the tensor, in canonical order: complete, and without a file-level defect.

    A pure function of the ZIP: neither the manifest nor the release has a say, so that releases share tensors.
    """
    plans = []
    for field in _imaged_fields(images):
        if field.is_eligible:
            by_channel = {file.channel: file.index for file in field.files}
            red, green, blue, yellow = (by_channel[channel] for channel in CHANNELS)
            plans.append(FieldPlan(field.field_id, (red, green, blue, yellow)))
    return plans


def assemble(
    images: pl.DataFrame,
    antibodies: pl.DataFrame,
    manifest: Manifest,
    *,
    release: str,
    condition: str,
    failures: Mapping[str, Sequence[Failure]],
) -> pl.DataFrame:
    """The `if_fields` table: fields of this condition that have images, a row in the manifest, or both.

    Args:
        images: The `if_images` table.
        antibodies: The `if_antibodies` table.
        manifest: The ZIP's manifest.
        release: Release key.
        condition: str of the ZIP.
        failures: Fields whose pixels could not be used, as the pass over the pixels found.
    """
    imaged = {field.field_id: field for field in _imaged_fields(images)}
    names = {field_id: field.name for field_id, field in imaged.items()}
    for row in manifest.rows:
        if row.field is not None and row.field.condition == condition and row.field.field_id is not None:
            names.setdefault(row.field.field_id, row.field)
    planes = Counter((name.plate_well, name.region) for name in (field.name for field in imaged.values()))
    claims = _Claims(manifest, condition)
    known = _antibodies(antibodies)
    rows: list[dict[str, object]] = []
    used = 0
    for field_id, name in sorted(names.items(), key=lambda item: item[1].sort_key):
        field, claim, failed = imaged.get(field_id), claims.of(field_id, name), failures.get(field_id, ())
        in_tensor = field is not None and field.is_eligible and not failed
        defects = {"no_images": []} if field is None else field.defects
        for failure in failed:
            defects.setdefault(failure.defect, []).append(failure.member)
        if claim.defect is not None:
            defects[claim.defect] = []
        if planes[name.plate_well, name.region] > 1:
            defects["several_z"] = []
        rows.append(
            _place(field_id, name)
            | _antibody_columns(claim.antibody_id, known)
            | {
                "tensor_index": used if in_tensor else None,
                "channels": [] if field is None else field.channels,
                "is_complete": field is not None and field.is_complete,
                "in_manifest": claim.in_manifest,
                "manifest_row": claim.line,
                "defects": sorted(defects, key=FIELD_DEFECTS.index),
                "defect_members": list(dict.fromkeys(member for members in defects.values() for member in members)),
            }
        )
        used += in_tensor
    return IF_FIELDS.from_rows(rows, release=release, condition=condition)


class _Claims:
    """The manifest, asked field by field."""

    def __init__(self, manifest: Manifest, condition: str) -> None:
        self._by_field: defaultdict[str | None, list[ManifestRow]] = defaultdict(list)
        self._by_well: defaultdict[str | None, list[ManifestRow]] = defaultdict(list)
        for row in manifest.rows:
            if row.field is not None:
                self._by_field[row.field.field_id].append(row)
            elif not row.baselink and row.condition == condition:
                self._by_well[row.plate_well].append(row)

    def of(self, field_id: str, name: FieldName) -> _Claim:
        """What the manifest says of this field. What it says in two ways counts as not said."""
        # A row without Baselink may be any field's of its well. A plate and well has one antibody, so such rows
        # together still say which, as long as they agree.
        own = self._by_field.get(field_id, [])
        rows = own or self._by_well.get(name.plate_well, [])
        if not rows:
            return _Claim(None, None, "not_in_manifest")
        line = own[0].line if own else None
        stated = {row.antibody_id for row in rows}
        if len(stated) > 1 or any(row.conflicts for row in rows):
            return _Claim(None, line, "manifest_conflict")
        antibody_id = stated.pop()
        return _Claim(antibody_id, line, None) if antibody_id else _Claim(None, line, "antibody_unknown")


def _antibodies(table: pl.DataFrame) -> dict[str, _Antibody]:
    known: dict[str, _Antibody] = {}
    for antibody_id, is_control, ensembl, gene, uniprot in table.select(
        "antibody_id", "is_control", "ensembl_gene_id", "gene_symbol", "uniprot_id"
    ).iter_rows():
        antibody = known.setdefault(antibody_id, _Antibody(is_control, [], [], []))
        for ids, value in (
            (antibody.ensembl_gene_ids, ensembl),
            (antibody.gene_symbols, gene),
            (antibody.uniprot_ids, uniprot),
        ):
            if value is not None:
                ids.append(value)
    return known


def _antibody_columns(antibody_id: str | None, known: Mapping[str, _Antibody]) -> dict[str, object]:
    antibody = None if antibody_id is None else known[antibody_id]
    return {
        "antibody_id": antibody_id,
        "is_control": None if antibody is None else antibody.is_control,
        "ensembl_gene_ids": [] if antibody is None else antibody.ensembl_gene_ids,
        "gene_symbols": [] if antibody is None else antibody.gene_symbols,
        "uniprot_ids": [] if antibody is None else antibody.uniprot_ids,
    }


def _place(field_id: str, name: FieldName) -> dict[str, object]:
    return {
        "field_id": field_id,
        "plate": name.plate,
        "well": name.well,
        "well_row": name.well_row,
        "well_column": name.well_column,
        "region": name.region,
        "z": name.z,
    }


def _imaged_fields(images: pl.DataFrame) -> list[_ImagedField]:
    """The fields that channel images of this condition name, in canonical order."""
    own = images.filter(
        pl.col("kind") == "channel", pl.col("field_id").is_not_null(), pl.col("image_condition") == pl.col("condition")
    )
    files: defaultdict[str, list[_File]] = defaultdict(list)
    for field_id, channel, index, member, defects in own.select(
        "field_id", "channel", "member_index", "member", "defects"
    ).iter_rows():
        files[field_id].append(_File(channel, index, member, tuple(defects)))
    fields = [_ImagedField(field_id, parse_field_id(field_id), tuple(found)) for field_id, found in files.items()]
    return sorted(fields, key=lambda field: field.name.sort_key)
