from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cm4ai_assets.images.colour import PAINTED_PLANES, colour_of, colour_of_sums, contradicts, full_level
from cm4ai_assets.images.decode import ImageProblem, PlaneDecoder
from cm4ai_assets.tables.images import CHANNELS, GREY, MIXED


def through_jpeg(rgb: np.ndarray, **options: object) -> np.ndarray:
    target = io.BytesIO()
    Image.fromarray(rgb).save(target, "JPEG", **({"quality": 85, "subsampling": "4:2:0"} | options))
    return np.asarray(Image.open(target))


def painted(grey: np.ndarray, planes: tuple[int, ...]) -> np.ndarray:
    rgb = np.zeros((*grey.shape, 3), np.uint8)
    rgb[:, :, list(planes)] = grey[:, :, None]
    return rgb


def cells(edge: int = 256, *, brightness: float = 200, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).random((edge // 16, edge // 16)) ** 3 * brightness
    return np.asarray(Image.fromarray(coarse.astype(np.uint8)).resize((edge, edge), Image.Resampling.BICUBIC))


def test_published_images_have_the_colour_of_their_channel(real_fields: dict[str, dict[str, bytes]]) -> None:
    for channels in real_fields.values():
        for channel, data in channels.items():
            assert colour_of(np.asarray(Image.open(io.BytesIO(data)))) == channel


def test_a_published_image_under_another_name_is_refused(real_fields: dict[str, dict[str, bytes]]) -> None:
    decoder = PlaneDecoder()
    for channels in real_fields.values():
        for channel, data in channels.items():
            for other in set(CHANNELS) - {channel}:
                with pytest.raises(ImageProblem, match=f"other_colour: painted in {channel}, named {other}"):
                    decoder.plane(data, other)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("quality", [60, 85, 100])
def test_dim_and_bright_cells_have_their_colour(channel: str, quality: int) -> None:
    for brightness in (60, 255):
        rgb = through_jpeg(painted(cells(brightness=brightness), PAINTED_PLANES[channel]), quality=quality)
        assert colour_of(rgb) == channel


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_few_bright_pixels_in_the_dark_are_found(channel: str) -> None:
    """Between the rows that are looked at first; colour leaks most around single pixels."""
    grey = np.zeros((256, 256), np.uint8)
    grey[33:37, 100:108] = 200
    assert colour_of(through_jpeg(painted(grey, PAINTED_PLANES[channel]))) == channel


@pytest.mark.parametrize("level", range(14))
@pytest.mark.parametrize("channel", CHANNELS)
def test_darkness_never_speaks_against_a_channel(channel: str, level: int) -> None:
    """JPEG rounds the chroma of dark squares, so that their hue is chance."""
    grey = np.full((256, 256), level, np.uint8)
    assert not contradicts(colour_of(through_jpeg(painted(grey, PAINTED_PLANES[channel]))), channel)


def test_grey_files_tell_nothing() -> None:
    assert colour_of(through_jpeg(painted(cells(), (0, 1, 2)))) == GREY
    assert not any(contradicts(GREY, channel) or contradicts(None, channel) for channel in CHANNELS)


def test_colours_of_no_channel_are_mixed() -> None:
    for planes in ((0, 2), (1, 2)):
        assert colour_of(through_jpeg(painted(cells(), planes))) == MIXED
    assert all(contradicts(MIXED, channel) for channel in CHANNELS)


def test_the_edges_of_the_rule() -> None:
    assert colour_of_sums([999, 0, 0]) is None
    assert colour_of_sums([1000, 0, 0]) == "red"
    assert colour_of_sums([1000, 751, 751]) == GREY
    assert colour_of_sums([1000, 700, 0]) == "yellow"
    assert colour_of_sums([1000, 499, 0]) == "red"


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [75, 85, 95, 100])
def test_full_intensity_decodes_to_the_derived_level(channel: str, subsampling: str, quality: int) -> None:
    full = painted(np.full((64, 64), 255, np.uint8), PAINTED_PLANES[channel])
    decoded = through_jpeg(full, quality=quality, subsampling=subsampling)[:, :, PAINTED_PLANES[channel][0]]
    assert set(decoded.ravel().tolist()) == {full_level(channel)}


def test_the_levels_are_those_that_the_dictionary_states() -> None:
    assert {channel: full_level(channel) for channel in CHANNELS} == {
        "red": 254, "green": 255, "blue": 254, "yellow": 255,
    }  # fmt: skip
