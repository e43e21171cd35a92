"""JPEG bytes to the one plane that carries the channel, and to the edge length that was asked for.

Belongs here: whether the bytes are an image as published, its pixels, and its area average. Does not belong here: where
the bytes come from (`zips`), what the pixels say (`quality`), or how they are stored (`shards`).

A published image is a 2048 x 2048 8-bit RGB JPEG, painted in the display colour of its channel. The plane is decoded
in full and is equal, bit for bit, to `numpy.asarray(Image.open(...))[:, :, c]` of Pillow, which is how the consortium
reads it (cellmaps_utils `COLOR_INDEXS`). A luminance decode is faster and wrong: blue keeps 36 of its 226 grey levels.

JPEG has no checksum: a flipped bit often gives another valid stream. Everything that libjpeg notices, be it only as a
warning, is an error here (Pillow lets these pass); what it cannot notice is caught by the CRC-32 of the ZIP member.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

# In tensor order, which is the HPA order; yellow is painted as red and green alike.
PLANES: Final = {"red": 0, "green": 1, "blue": 2, "yellow": 0}
SOURCE_EDGE: Final = 2048

# A usual progressive JPEG has ten scans. Thousands of them decode for hours from a few hundred kilobytes.
MAX_SCANS: Final = 100

_MARKER, _EOI, _SOS = 0xFF, 0xD9, 0xDA
_BARE: Final = frozenset({_MARKER, 0x01, *range(0xD0, 0xDA)})  # without a segment
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC share the range
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
_RGB: Final = 3
_DETAIL_LENGTH: Final = 200


class ImageProblem(Exception):  # noqa: N818 - a finding about data; it becomes a flag in a table, not a failure
    """One image that cannot be a part of the tensor.

    Args:
        defect: One of `tables.images.FIELD_DEFECTS`.
        detail: What was found, for a person.
    """

    def __init__(self, defect: str, detail: str) -> None:
        super().__init__(f"{defect}: {detail}")
        self.defect = defect
        self.detail = detail[:_DETAIL_LENGTH]


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG says about itself before its first scan."""

    width: int
    height: int
    precision: int
    components: int
    frame: int
    first_scan_components: int


def read_header(data: bytes) -> JpegHeader:
    """Walk the markers up to the first scan. Nothing is allocated, whatever size the file claims.

    Raises:
        ImageProblem: `not_jpeg` or `corrupt_jpeg`.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        raise ImageProblem("not_jpeg", f"{len(data)} bytes that begin with {data[:8].hex() or 'nothing'}")
    frame: tuple[int, int, int, int, int] | None = None
    try:
        for marker, segment in _segments(data):
            if marker in _FRAMES and frame is None:
                height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
                frame = (width, height, segment[0], segment[5], marker)
            if marker == _SOS and frame is not None:
                return JpegHeader(*frame, first_scan_components=segment[0])
    except IndexError:
        raise ImageProblem("corrupt_jpeg", "ends within its header") from None
    raise ImageProblem("corrupt_jpeg", "has no frame header before its first scan")


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with their segments, up to the first scan or the end of the image."""
    position, marker = 2, 0
    while marker not in (_SOS, _EOI):
        if data[position] != _MARKER:
            raise ImageProblem("corrupt_jpeg", f"no marker at byte {position}")
        marker = data[position + 1]
        position += 1 if marker == _MARKER else 2  # it may be repeated to fill space
        if marker in _BARE:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        yield marker, data[position + 2 : position + length]
        position += max(length, 2)


def check_header(data: bytes, edge: int = SOURCE_EDGE) -> None:
    """Refuse everything that is not an 8-bit RGB JPEG of the published size, before a pixel is decoded.

    Raises:
        ImageProblem: `not_jpeg`, `corrupt_jpeg`, `not_rgb` or `other_size`.
    """
    header = read_header(data)
    if header.components != _RGB or header.precision != 8:  # noqa: PLR2004
        raise ImageProblem("not_rgb", f"{header.components} components of {header.precision} bits, not 3 of 8 bits")
    if (header.width, header.height) != (edge, edge):
        raise ImageProblem("other_size", f"{header.width} x {header.height} pixels, not {edge} x {edge}")
    one_scan = header.frame in _SEQUENTIAL and header.first_scan_components == _RGB
    if not one_scan and (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise ImageProblem("corrupt_jpeg", f"{scans} scans; more than {MAX_SCANS} are not decoded")


class PlaneDecoder:
    """Decodes images of one size into buffers of its own. For one thread at a time.

    The buffers are reused because fresh ones cost more than decoding: glibc returns 12 MB to the system after each
    image and faults them in again for the next.

    Args:
        edge: Edge length of the images; others are refused.
    """

    def __init__(self, edge: int = SOURCE_EDGE) -> None:
        self._edge = edge
        self._rgb = np.empty((edge, edge, _RGB), np.uint8)
        self._plane = np.empty((edge, edge), np.uint8)

    def plane(self, data: bytes, channel: str) -> Plane:
        """The plane that carries the channel. Valid until the next call.

        Raises:
            ImageProblem: The bytes are not an image as published.
        """
        check_header(data, self._edge)
        try:
            rgb = simplejpeg.decode_jpeg(data, "RGB", buffer=self._rgb, strict=True)
        except ValueError as error:
            raise ImageProblem("corrupt_jpeg", str(error)) from None
        if rgb.shape != self._rgb.shape:
            raise ImageProblem("other_size", f"decodes to {rgb.shape}, against its own header")
        cv2.extractChannel(self._rgb, PLANES[channel], self._plane)
        return self._plane


def area_average(plane: Plane, edge: int, out: Plane | None = None) -> Plane:
    """The plane at another edge length: each pixel the mean of the square of pixels that it covers.

    Squares of 2 x 2 round halves up, larger ones halves to even: so does OpenCV, and `audit` holds it to that.

    Args:
        plane: A square plane.
        edge: A divisor of its edge length. The plane itself is returned if it is equal.
        out: Where to write to.

    Raises:
        ValueError: `edge` is not a divisor.
    """
    if edge < 1 or plane.shape[0] % edge:
        raise ValueError(f"{edge} does not divide the edge length {plane.shape[0]}.")
    if edge == plane.shape[0]:
        return plane
    return np.asarray(cv2.resize(plane, (edge, edge), dst=out, interpolation=cv2.INTER_AREA), np.uint8)
