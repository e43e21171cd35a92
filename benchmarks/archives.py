"""The ZIP that is measured on: painted by the sandbox, put together from JPEGs at hand, or taken as it is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

from cm4ai_assets.conditions import Condition
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.fields import FieldPlan, eligible_fields
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.sandbox.ifzip import write_if_zip
from cm4ai_assets.sandbox.zipwriter import ZipWriter, pack
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import read_directory, read_member

CONDITION = Condition.PACLITAXEL
PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "data" / "if_images" / "samples" / "paclitaxel"
PAINTED = 24  # different fields; more are the same ones under other names
Field = dict[str, bytes]


@dataclass(frozen=True)
class Archive:
    """A ZIP with its members and the fields in it."""

    path: Path
    source: LocalBytes
    members: Sequence[Member]
    plans: tuple[FieldPlan, ...]

    @property
    def image_bytes(self) -> int:
        """Mean size of a JPEG."""
        sizes = [self.members[place].size for plan in self.plans for place in plan.members]
        return sum(sizes) // max(len(sizes), 1)


def opened(path: Path, fields: int | None = None) -> Archive:
    """The ZIP at `path`, read as the platform reads it; only its first fields if a number is given."""
    source = LocalBytes(path)
    images = list_images(source, release="2026-11-v1.0", condition=CONDITION)
    return Archive(path, source, read_directory(source).members, tuple(eligible_fields(images)[:fields]))


class Pictures:
    """The fields that ZIPs are made of: those of `--jpegs`, else published ones beside the checkout, else painted."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        folder: Path | None = options.jpegs or (PUBLISHED if PUBLISHED.is_dir() else None)
        if folder:
            self.fields, kind = fields_in(folder), "given" if options.jpegs else "published"
        else:
            write_if_zip(scratch / "painted.zip", condition=CONDITION, fields=PAINTED)
            self.fields, kind = fields_of(opened(scratch / "painted.zip")), "painted"
        if not self.fields:
            raise SystemExit(f"{folder} has no complete field: red/, green/, blue/ and yellow/ with the same names")
        size = sum(len(data) for one in self.fields for data in one.values()) / len(self.fields) / len(PLANES)
        self.inputs = f"{len(self.fields)} {kind} field(s) of {size / 1000:.0f} kB an image, repeated"

    def archive(self, path: Path, fields: int, condition: Condition = CONDITION) -> Archive:
        """A ZIP of so many fields."""
        repeated(path, self.fields, fields, condition)
        return opened(path)


def repeated(path: Path, jpegs: Sequence[Field], fields: int, condition: Condition) -> None:
    """A ZIP of as many fields as asked for, which repeat the given ones under other names."""
    wells = [f"{row}{column}" for row in "ABCDEFGH" for column in range(1, 13)]
    packed = [{channel: pack("", data) for channel, data in field.items()} for field in jpegs]
    with path.open("wb") as file, ZipWriter(file, stamp=(2025, 2, 28)) as archive:
        for number, field in enumerate(islice(cycle(packed), fields)):
            plate, place = divmod(number, len(wells) * 20)
            region, well = divmod(place, len(wells))
            name = f"B2AI_{plate + 1}_{condition.value.capitalize()}_{wells[well]}_R{region + 1}_z01"
            for channel in PLANES:
                archive.add(replace(field[channel], name=f"{condition.value}/{channel}/{name}_{channel}.jpg"))


def fields_in(folder: Path) -> list[Field]:
    """The complete fields among the JPEGs of a folder with one subfolder for each channel."""
    found: dict[str, Field] = {}
    for channel in PLANES:
        for path in sorted((folder / channel).glob(f"*_{channel}.jpg")):
            found.setdefault(path.stem.removesuffix(f"_{channel}"), {})[channel] = path.read_bytes()
    return [field for field in found.values() if len(field) == len(PLANES)]


def fields_of(archive: Archive) -> list[Field]:
    """The JPEGs of a ZIP, field by field."""
    return [
        {
            channel: read_member(archive.source, archive.members[place])
            for channel, place in zip(PLANES, plan.members, strict=True)
        }
        for plan in archive.plans
    ]
