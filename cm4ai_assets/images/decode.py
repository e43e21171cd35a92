"""JPEG bytes to the one plane that carries the channel.

Belongs here: whether the bytes are an image as published, and its pixels. Does not belong here: where the bytes come
from (`zips`), other edge lengths (`averaging`), what the pixels say (`quality`), or how they are stored (`shards`).

A published image is a 2048 x 2048 8-bit RGB JPEG, painted in the display colour of its channel. The plane is decoded
in full and is equal, bit for bit, to `numpy.asarray(Image.open(...))[:, :, c]` of Pillow, which is how the consortium
reads it (cellmaps_utils `COLOR_INDEXS`). A luminance decode is faster and wrong: blue keeps 36 of its 226 grey levels.

JPEG has no checksum: a flipped bit often gives another valid stream. Everything that libjpeg notices, be it only as a
warning, is an error here (Pillow lets these pass); what it cannot notice is caught by the CRC-32 of the ZIP member.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from cm4ai_assets.heavy import cv2, np, npt, simplejpeg
from cm4ai_assets.images.colour import PAINTED_PLANES, colour_of, contradicts

Plane: TypeAlias = "npt.NDArray[np.uint8]"

# The plane that is read of each channel, in tensor order, which is the HPA order.
PLANES: Final = {channel: planes[0] for channel, planes in PAINTED_PLANES.items()}
SOURCE_EDGE: Final = 2048

# A usual progressive JPEG has ten scans. Thousands of them decode for hours from a few hundred kilobytes.
MAX_SCANS: Final = 100

_MARKER, _EOI, _SOS = 0xFF, 0xD9, 0xDA
_BARE: Final = frozenset({_MARKER, 0x01, *range(0xD0, 0xDA)})  # without a segment
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # DHT, JPG and DAC share the range
_SEQUENTIAL: Final = frozenset({0xC0, 0xC1})
# Baseline, extended and progressive, by Huffman or arithmetic coding. Lossless and hierarchical images are not decoded.
_DECODED: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_NO_LAYOUT: Final = "Could not determine subsampling"  # what TurboJPEG says of a layout that is not its own
_USUAL_SAMPLING: Final = frozenset((luma, (1, 1), (1, 1)) for luma in ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4)))
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
    """What a JPEG says about itself before its first scan. `sampling` is horizontal and vertical, per component."""

    width: int
    height: int
    precision: int
    components: int
    frame: int
    sampling: tuple[tuple[int, int], ...]
    first_scan_components: int


def read_header(data: bytes) -> JpegHeader:
    """Walk the markers up to the first scan. Nothing is allocated, whatever size the file claims.

    Raises:
        ImageProblem: `not_jpeg` or `corrupt_jpeg`.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        raise ImageProblem("not_jpeg", f"{len(data)} bytes that begin with {data[:8].hex() or 'nothing'}")
    frame: tuple[int, int, int, int, int, tuple[tuple[int, int], ...]] | None = None
    try:
        for marker, segment in _segments(data):
            if marker in _FRAMES and frame is None:
                height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
                sampling = tuple((factors >> 4, factors & 15) for factors in segment[7::3])
                frame = (width, height, segment[0], segment[5], marker, sampling)
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
        self.colour: str | None = None
        """The colour of the last image, as `colour.colour_of` tells it."""

    def plane(self, data: bytes, channel: str) -> Plane:
        """The plane that carries the channel. Valid until the next call.

        Raises:
            ImageProblem: The bytes are not an image as published.
        """
        check_header(data, self._edge)
        try:
            rgb = simplejpeg.decode_jpeg(data, "RGB", buffer=self._rgb, strict=True)
        except ValueError as error:
            raise _refused(data, str(error)) from None
        if rgb.shape != self._rgb.shape:
            raise ImageProblem("other_size", f"decodes to {rgb.shape}, against its own header")
        self.colour = colour_of(self._rgb)
        if contradicts(self.colour, channel):
            raise ImageProblem("other_colour", f"painted in {self.colour}, named {channel}")
        cv2.extractChannel(self._rgb, PLANES[channel], self._plane)
        return self._plane


def _refused(data: bytes, message: str) -> ImageProblem:
    """What it means that TurboJPEG refuses: a valid form that it does not decode is not damage."""
    header = read_header(data)
    if header.frame not in _DECODED:
        return ImageProblem("unsupported_jpeg", f"coding process SOF{header.frame - 0xC0}")
    if _NO_LAYOUT in message and header.sampling not in _USUAL_SAMPLING:
        luma, *chroma = (f"{h}x{v}" for h, v in header.sampling)
        return ImageProblem("unsupported_jpeg", f"sampling {luma} of luminance beside {', '.join(chroma)} of chroma")
    return ImageProblem("corrupt_jpeg", message)
