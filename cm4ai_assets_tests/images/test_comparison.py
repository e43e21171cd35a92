from __future__ import annotations

import io

import cv2
import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.drawing import LIMIT
from cm4ai_assets.images.comparison import at_full_scale, pairs


def fields(**antibodies: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "field_id": list(antibodies),
            "antibody_id": list(antibodies.values()),
            "tensor_index": [None if name == "out" else n for n, name in enumerate(antibodies)],
        },
        schema_overrides={"antibody_id": pl.String},
    )


def quality(channel: str = "red", **focus: float | None) -> pl.DataFrame:
    return pl.DataFrame({
        "field_id": list(focus),
        "channel": [channel] * len(focus),
        "focus": list(focus.values()),
        "is_empty": [name == "empty" for name in focus],
    })  # fmt: skip


def blurred(**focus: float) -> pl.DataFrame:
    return quality(**focus).drop("is_empty").with_columns(median_focus=pl.lit(0.5))


def test_the_counterpart_shows_the_same_protein_and_channel_at_the_usual_focus() -> None:
    known = fields(bad="A", sharpest="A", usual="A", other="B")
    measured = pl.concat([quality(bad=0.01, sharpest=0.9, usual=0.45, other=0.5), quality("blue", other=0.5)])
    (pair,) = pairs(blurred(bad=0.01), known, measured)
    assert (pair.sharp_id, pair.sharp_index, pair.sharp_focus, pair.same_protein) == ("usual", 2, 0.45, True)
    assert (pair.blurred_id, pair.blurred_index, pair.blurred_focus, pair.channel) == ("bad", 0, 0.01, "red")


def test_another_protein_is_named_as_such_where_there_is_no_other() -> None:
    known = fields(bad="A", other="B", unknown=None)
    for name in ("bad", "unknown"):
        (pair,) = pairs(blurred(**{name: 0.01}), known, quality(bad=0.01, unknown=0.01, other=0.5))
        assert (pair.sharp_id, pair.same_protein) == ("other", False)


def test_blurred_and_empty_images_and_those_without_pixels_are_no_counterparts() -> None:
    known = fields(bad="A", worse="A", empty="A", flat="A", out="A")
    measured = quality(bad=0.01, worse=0.02, empty=0.5, flat=None, out=0.5)
    found = pairs(blurred(bad=0.01, worse=0.02, out=0.01), known, measured)
    assert [(pair.blurred_id, pair.sharp_id, pair.sharp_index) for pair in found] == [
        ("bad", None, None), ("worse", None, None),
    ]  # fmt: skip


def opened(data: bytes) -> np.ndarray:
    assert len(data) <= LIMIT
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def test_a_plane_that_fits_is_shown_whole_pixel_by_pixel() -> None:
    plane = np.zeros((1024, 1024), np.uint8)
    plane[100:200, 300:500] = 200
    (picture,) = (opened(data) for data in at_full_scale([plane]))
    assert picture.shape == (1024, 1024)
    assert np.abs(picture.astype(int) - np.where(plane, 255, 0)).max() < 20


def test_planes_that_do_not_fit_are_cut_alike_and_never_made_smaller() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.2)
    quiet = np.zeros_like(noise)
    quiet[700:800, 700:800] = 255
    shapes = [opened(data).shape for data in at_full_scale([soft, quiet])]
    assert shapes[0] == shapes[1]
    assert shapes[0][0] in {256, 384, 512}
    assert opened(at_full_scale([soft, quiet])[1]).max() > 200  # around the brightest part
    assert opened(at_full_scale([quiet])[0]).shape == (1024, 1024)


@pytest.mark.parametrize("edge", [64, 300, 2048])
def test_planes_of_any_size_and_any_noise_fit(edge: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (edge, edge), dtype=np.uint8)
    assert opened(at_full_scale([noise])[0]).size


@pytest.mark.parametrize("count", [1, 4, 1500])
def test_every_blurred_image_gets_its_pair(count: int) -> None:
    names = [f"f{n}" for n in range(count)]
    known = fields(**dict.fromkeys([*names, "good"], "A"))
    measured = quality(**dict.fromkeys(names, 0.01), good=0.5)
    assert len(pairs(blurred(**dict.fromkeys(names, 0.01)), known, measured)) == count
