"""Names of image files: what a file name says about plate, treatment, well, region, focal plane and channel.

Belongs here: the grammar of names, the id of a field of view, and the order of fields. Does not belong here: which
treatment label means which condition (`cm4ai_assets.conditions`), or what a folder says (`images.listing`). A name that
the grammar does not know yields nothing; no part of it is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cm4ai_assets.conditions import Condition, condition_or_none
from cm4ai_assets.tables.images import CHANNELS

# All 51,436 published names have this form (data reference, section 1.2). The 2024 alpha had no z. Plates have 96
# wells, not zero padded; another spelling of a well is another name, not this one.
_FIELD = r"""
    (?P<plate>B2AI_(?P<plate_number>0|[1-9][0-9]{0,3}))
    _(?P<treatment>[^_/\\]+)
    _(?P<row>[A-H])(?P<column>[1-9]|1[0-2])
    _R(?P<region>0|[1-9][0-9]{0,3})
    (?:_z(?P<z>[0-9]{2}))?
"""
_COLOUR = f"(?:{'|'.join(CHANNELS)})"
_FIELD_NAME = re.compile(_FIELD, re.VERBOSE)
# Overlays came in October 2025, named by the channels they show: ..._blue_red_green.jpg (section 1.8).
_IMAGE_NAME = re.compile(rf"{_FIELD}_(?P<colours>{_COLOUR}(?:_{_COLOUR})*)\.jpg", re.VERBOSE)


@dataclass(frozen=True, slots=True)
class FieldName:
    """What a name says about a field of view. `condition` is null where the treatment label is not known."""

    plate: str
    plate_number: int
    treatment_label: str
    condition: Condition | None
    well_row: str
    well_column: int
    region: int
    z: int | None

    @property
    def well(self) -> str:
        """The well, not zero padded: `C2`."""
        return f"{self.well_row}{self.well_column}"

    @property
    def plate_well(self) -> str:
        """Plate and well: `B2AI_3_C2`."""
        return f"{self.plate}_{self.well}"

    @property
    def field_id(self) -> str | None:
        """The id, with the condition's own name: `B2AI_3_paclitaxel_C2_R1_z01`; null if the treatment is not known."""
        if self.condition is None:
            return None
        z = "" if self.z is None else f"_z{self.z:02d}"
        return f"{self.plate}_{self.condition.value}_{self.well}_R{self.region}{z}"

    @property
    def sort_key(self) -> tuple[int, str, int, int, int]:
        """The canonical order of fields: plate, well row, well column, region, z; a name without z comes first."""
        return self.plate_number, self.well_row, self.well_column, self.region, -1 if self.z is None else self.z


@dataclass(frozen=True, slots=True)
class ImageName(FieldName):
    """What an image's file name says: its field, and the channel, which is null for a composite of several."""

    channel: str | None

    @property
    def kind(self) -> str:
        """`channel`, or `composite` for an overlay of several."""
        return "composite" if self.channel is None else "channel"


def parse_image_name(file_name: str) -> ImageName | None:
    """Read an image's file name (without folders); None if it is not of a form this platform knows.

    >>> parse_image_name("B2AI_3_Paclitaxel_C2_R1_z01_green.jpg").field_id
    'B2AI_3_paclitaxel_C2_R1_z01'
    """
    match = _IMAGE_NAME.fullmatch(file_name)
    if match is None:
        return None
    colours = match["colours"]
    return ImageName(*_field_parts(match), channel=colours if colours in CHANNELS else None)


def parse_field_name(text: str) -> FieldName | None:
    """Read the name of a field of view, as it stands at the end of a manifest's `Baselink`; None if it is not one.

    >>> parse_field_name("B2AI_3_Paclitaxel_C2_R1_z02").well
    'C2'
    """
    match = _FIELD_NAME.fullmatch(text)
    return None if match is None else FieldName(*_field_parts(match))


def parse_field_id(field_id: str) -> FieldName:
    """Read back an id that `FieldName.field_id` made.

    Raises:
        ValueError: The text is no such id.
    """
    name = parse_field_name(field_id)
    if name is None or name.field_id != field_id:
        raise ValueError(f"{field_id!r} is not the id of a field of view")
    return name


def short_label(field_id: str) -> str:
    """What fits below a thumbnail: plate number, well, region and focal plane.

    >>> short_label("B2AI_3_paclitaxel_C2_R1_z02")
    '3 C2 R1 z02'
    """
    name = parse_field_id(field_id)
    plane = "" if name.z is None else f" z{name.z:02d}"
    return f"{name.plate_number} {name.well} R{name.region}{plane}"


def plate_name(text: str) -> str | None:
    """The plate as file names have it: `B2AI_3`, also for `3`, and for `3.0`, which a detour through pandas makes."""
    number = number_in("(?:B2AI_)?", text)
    return None if number is None else f"B2AI_{number}"


def well_name(text: str) -> str | None:
    """The well as file names have it: `C2`, also for `c2` and `C02`."""
    match = re.fullmatch(r"([A-H])0?([1-9]|1[0-2])", text, re.IGNORECASE)
    return None if match is None else f"{match[1].upper()}{match[2]}"


def number_in(prefix: str, text: str) -> int | None:
    """The number in a text such as `R1`, `r1`, `01`, `1` or `1.0`."""
    match = re.fullmatch(rf"{prefix}([0-9]{{1,4}})(?:\.0*)?", text, re.IGNORECASE)
    return None if match is None else int(match[1])


def _field_parts(match: re.Match[str]) -> tuple[str, int, str, Condition | None, str, int, int, int | None]:
    label, z = match["treatment"], match["z"]
    return (
        match["plate"],
        int(match["plate_number"]),
        label,
        condition_or_none(label),
        match["row"],
        int(match["column"]),
        int(match["region"]),
        None if z is None else int(z),
    )
