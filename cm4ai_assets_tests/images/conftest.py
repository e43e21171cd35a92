"""Painted JPEGs and ZIPs in the published layout, for the tests of the pixel path."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.images.fields import FieldPlan
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets_tests.shared import ABSENT, PUBLISHED_IMAGES

PAINTED_EDGE = 64

Jpeg = Callable[..., bytes]


@dataclass(frozen=True)
class Archive:
    """A ZIP with the fields that stand in it, in canonical order."""

    path: Path
    source: LocalBytes
    members: Sequence[Member]
    plans: tuple[FieldPlan, ...]
    jpegs: Mapping[str, Mapping[str, bytes]]


@pytest.fixture(scope="session")
def paint() -> Jpeg:
    """A JPEG of blobs in the display colour of a channel, different for each seed."""

    def painted(channel: str = "red", *, seed: int = 0, edge: int = PAINTED_EDGE, **options: object) -> bytes:
        random = np.random.default_rng([seed, *channel.encode()])
        coarse = random.integers(0, 256, (edge // 8, edge // 8), dtype=np.uint8)
        grey = np.asarray(Image.fromarray(coarse).resize((edge, edge), Image.Resampling.BICUBIC))
        rgb = np.zeros((edge, edge, 3), np.uint8)
        for plane in {"yellow": (0, 1)}.get(channel, (PLANES[channel],)):
            rgb[:, :, plane] = grey
        target = io.BytesIO()
        Image.fromarray(rgb).save(target, "JPEG", **{"quality": 85, "subsampling": "4:2:0", **options})
        return target.getvalue()

    return painted


@pytest.fixture
def zip_of(tmp_path: Path) -> Iterator[Callable[..., Archive]]:
    """A ZIP of the given fields: field id to channel to bytes."""
    opened: list[LocalBytes] = []

    def zipped(fields: Mapping[str, Mapping[str, bytes]], *, name: str = "images.zip") -> Archive:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("paclitaxel/manifest.csv", ",Plate,Well\n")
            for field_id, channels in fields.items():
                for channel, data in channels.items():
                    archive.writestr(f"paclitaxel/{channel}/{field_id}_{channel}.jpg", data)
        source = LocalBytes(path)
        opened.append(source)
        members = read_directory(source).members
        places = {member.name: member.index for member in members}
        plans = []
        for field_id in fields:
            red, green, blue, yellow = (places[f"paclitaxel/{channel}/{field_id}_{channel}.jpg"] for channel in PLANES)
            plans.append(FieldPlan(field_id, (red, green, blue, yellow)))
        return Archive(path, source, members, tuple(plans), fields)

    yield zipped
    for source in opened:
        source.close()


@pytest.fixture
def painted_fields(paint: Jpeg) -> Callable[[int], dict[str, dict[str, bytes]]]:
    """As many painted fields as asked for."""

    def fields(count: int) -> dict[str, dict[str, bytes]]:
        return {
            f"B2AI_1_paclitaxel_A1_R{n}_z01": {channel: paint(channel, seed=n) for channel in PLANES}
            for n in range(1, count + 1)
        }

    return fields


@pytest.fixture(scope="session")
def real_fields() -> dict[str, dict[str, bytes]]:
    """The published images that are at hand: six complete fields of paclitaxel."""
    samples = PUBLISHED_IMAGES / "samples" / "paclitaxel"
    if not samples.is_dir():
        pytest.skip(ABSENT)
    fields: dict[str, dict[str, bytes]] = {}
    for channel in PLANES:
        for path in sorted((samples / channel).glob("*.jpg")):
            fields.setdefault(path.stem.removesuffix(f"_{channel}"), {})[channel] = path.read_bytes()
    return fields
