from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cm4ai_assets.images.decode import (
    MAX_SCANS,
    PLANES,
    SOURCE_EDGE,
    ImageProblem,
    PlaneDecoder,
    read_header,
)
from cm4ai_assets.tables.images import CHANNELS, FIELD_DEFECTS
from cm4ai_assets_tests.images.jpegs import Factors, jpeg

Jpeg = Callable[..., bytes]
EDGE = 64


def by_pillow(data: bytes, channel: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))[:, :, PLANES[channel]]


def frame_at(data: bytes) -> int:
    """Where the content of the frame header begins: precision, height, width, components."""
    return data.index(b"\xff\xc0\x00\x11") + 4


def problem_of(data: bytes, *, edge: int = EDGE) -> ImageProblem:
    with pytest.raises(ImageProblem) as caught:
        PlaneDecoder(edge).plane(data, "red")
    assert caught.value.defect in FIELD_DEFECTS
    return caught.value


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def test_planes_are_in_the_order_of_the_channels() -> None:
    assert tuple(PLANES) == CHANNELS


def test_published_images_decode_as_pillow_does(real_fields: dict[str, dict[str, bytes]]) -> None:
    decoder = PlaneDecoder()
    for channels in real_fields.values():
        for channel, data in channels.items():
            assert np.array_equal(decoder.plane(data, channel), by_pillow(data, channel))


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:2"},
        {"progressive": True},
        {"optimize": True, "quality": 40},
        {"restart_marker_blocks": 3},
        {"keep_rgb": True, "subsampling": "4:4:4"},  # Adobe marker, no colour transform
        {"comment": b"\xff\xda" * (MAX_SCANS + 1)},  # looks like scans and is none
    ],
)
def test_other_encodings_decode_as_pillow_does(paint: Jpeg, channel: str, options: dict[str, object]) -> None:
    data = paint(channel, seed=3, **options)
    assert np.array_equal(PlaneDecoder(EDGE).plane(data, channel), by_pillow(data, channel))


def test_a_decoder_forgets_the_image_before(paint: Jpeg) -> None:
    decoder = PlaneDecoder(EDGE)
    first = decoder.plane(paint("red", seed=1), "red").copy()
    decoder.plane(paint("blue", seed=2), "blue")
    assert np.array_equal(decoder.plane(paint("red", seed=1), "red"), first)


@pytest.mark.parametrize(
    ("data", "defect"),
    [
        (b"", "not_jpeg"),
        (b"\xff\xd8", "not_jpeg"),
        (b"<html>404</html>", "not_jpeg"),
        (encoded(Image.new("RGB", (EDGE, EDGE)), "PNG"), "not_jpeg"),
        (encoded(Image.new("RGB", (EDGE, EDGE)), "TIFF"), "not_jpeg"),
        (b"\xff\xd8\xff\xd9", "corrupt_jpeg"),
        (b"\xff\xd8\xff", "corrupt_jpeg"),
        (b"\xff\xd8\xff\xe0\x00\x00\x00\x00", "corrupt_jpeg"),
        (encoded(Image.new("L", (EDGE, EDGE))), "not_rgb"),
        (encoded(Image.new("CMYK", (EDGE, EDGE))), "not_rgb"),
        (imagecodecs.jpeg_encode(np.zeros((EDGE, EDGE, 3), np.uint16), bitspersample=12), "not_rgb"),
        (imagecodecs.ljpeg_encode(np.zeros((EDGE, EDGE), np.uint16)), "not_rgb"),
        (encoded(Image.new("RGB", (EDGE, EDGE // 2))), "other_size"),
        (encoded(Image.new("RGB", (2 * EDGE, 2 * EDGE))), "other_size"),
    ],
)
def test_what_is_not_an_image_as_published(data: bytes, defect: str) -> None:
    assert problem_of(data).defect == defect


def test_a_bomb_is_refused_by_its_header(paint: Jpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(paint(edge=SOURCE_EDGE))
    start = frame_at(bytes(data))
    data[start + 1 : start + 5] = (65500).to_bytes(2, "big") * 2
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("a pixel was decoded"))
    found = problem_of(bytes(data), edge=SOURCE_EDGE)
    assert (found.defect, found.detail) == ("other_size", "65500 x 65500 pixels, not 2048 x 2048")


def test_thousands_of_scans_are_refused(paint: Jpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    data = paint(progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("a pixel was decoded"))
    assert problem_of(data[:-2] + scan * 3000 + data[-2:]).defect == "corrupt_jpeg"


def test_every_truncation_is_an_error(paint: Jpeg) -> None:
    data = paint(seed=5)
    for length in range(3, len(data) - 2, 7):
        assert problem_of(data[:length]).defect == "corrupt_jpeg"


def test_damage_that_pillow_lets_pass_is_an_error(real_fields: dict[str, dict[str, bytes]]) -> None:
    """A flipped bit in the entropy stream: some no decoder can notice, but what is noticed is never a mere warning."""
    data = next(iter(real_fields.values()))["red"]
    chance = random.Random(0)
    decoder, refused_here_only = PlaneDecoder(), 0
    for _ in range(40):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data) // 3, len(data) - 2)] ^= 1 << chance.randrange(8)
        try:
            decoder.plane(bytes(damaged), "red")
        except ImageProblem:
            with contextlib.suppress(OSError):
                assert not np.array_equal(by_pillow(bytes(damaged), "red"), by_pillow(data, "red"))
                refused_here_only += 1
    assert refused_here_only >= 5


ONE = (1, 1)


@pytest.mark.parametrize(
    "factors",
    [(luma, ONE, ONE) for luma in (ONE, (2, 1), (1, 2), (2, 2), (4, 1), (1, 4))]
    + [((2, 2), (2, 1), (2, 1)), ((2, 2), (1, 2), (1, 2)), ((2, 1), (2, 1), (2, 1)), ((3, 1), (3, 1), (3, 1))],
)
def test_every_layout_that_is_decoded_is_decoded_as_pillow_does(factors: Factors) -> None:
    data = jpeg(factors, edge=EDGE)
    rgb = np.asarray(Image.open(io.BytesIO(data)))
    assert len(np.unique(rgb)) > 50
    decoder = PlaneDecoder(EDGE)
    with contextlib.suppress(ImageProblem):  # its colours are random
        decoder.plane(data, "red")
    assert np.array_equal(decoder._rgb, rgb)


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        (((4, 2), ONE, ONE), "4x2 of luminance"),
        (((2, 4), ONE, ONE), "2x4 of luminance"),
        (((3, 1), ONE, ONE), "3x1 of luminance"),
        (((1, 3), ONE, ONE), "1x3 of luminance"),
        (((3, 2), ONE, ONE), "3x2 of luminance"),
        (((2, 2), (2, 1), ONE), "2x1, 1x1 of chroma"),
        (((2, 2), (1, 2), (2, 1)), "1x2, 2x1 of chroma"),
        ((ONE, (2, 1), ONE), "2x1, 1x1 of chroma"),
        (((2, 1), ONE, (2, 1)), "1x1, 2x1 of chroma"),
    ],
)
def test_a_valid_layout_that_is_not_decoded_is_unsupported_not_corrupt(factors: Factors, told: str) -> None:
    data = jpeg(factors, edge=EDGE)
    assert Image.open(io.BytesIO(data)).convert("RGB").getbbox() is not None
    found = problem_of(data)
    assert (found.defect, told in found.detail) == ("unsupported_jpeg", True), found.detail


@pytest.mark.parametrize("process", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_and_hierarchical_images_are_unsupported_not_corrupt(paint: Jpeg, process: int) -> None:
    data = paint().replace(b"\xff\xc0\x00\x11", bytes([0xFF, process, 0, 0x11]), 1)
    assert problem_of(data).detail == f"coding process SOF{process - 0xC0}"


def test_damage_to_a_usual_layout_is_never_called_unsupported(paint: Jpeg) -> None:
    data = paint()
    assert problem_of(data.replace(b"\xff\xda", b"\xff\xdb", 1)).defect == "corrupt_jpeg"
    assert problem_of(data[: len(data) // 2]).defect == "corrupt_jpeg"


def test_a_frame_header_that_lies_does_not_overrun_the_buffer(paint: Jpeg) -> None:
    """Two frame headers: the one that is checked, and one that a decoder might take instead."""
    data = paint()
    start = frame_at(data) - 4
    frame = data[start : start + 19]
    larger = frame[:5] + (4096).to_bytes(2, "big") * 2 + frame[9:]
    assert problem_of(data[:start] + frame + larger + data[start + 19 :]).defect == "corrupt_jpeg"


def test_details_stay_short() -> None:
    assert len(ImageProblem("corrupt_jpeg", "x" * 5000).detail) == 200


@given(st.binary(max_size=400))
def test_any_header_is_read_or_refused(tail: bytes) -> None:
    with contextlib.suppress(ImageProblem):
        assert read_header(b"\xff\xd8\xff" + tail).components >= 0
