"""Groups and arrays of an OME-Zarr 0.5 image, as bytes and files.

Belongs here: levels, their arrays, and what is said of both. Does not belong here: which images there are (`ome_zarr`),
and their nuclei (`ome_labels`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from cm4ai_assets.exports.parts import as_json
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.sharding import ZSTD_LEVEL

VERSION: Final = "0.5"
SMALLEST: Final = 128
_TYPES: Final = {"c": "channel", "y": "space", "x": "space"}


def edges(edge: int) -> list[int]:
    """Edge lengths of the levels of an image: each half of the one before, down to 128."""
    found = [edge]
    while found[-1] % 2 == 0 and found[-1] // 2 >= SMALLEST:
        found.append(found[-1] // 2)
    return found


def write_level(folder: Path, name: str, values: npt.NDArray[np.unsignedinteger[Any]]) -> None:
    """Write a level: one shard, a chunk a plane, each closed by crc32c; also where all is black (see `level_files`).

    Args:
        folder: The image's folder.
        name: The level's name.
        values: (channel, y, x) or (y, x).
    """
    array = zarr.create_array(
        zarr.storage.LocalStore(folder),
        name=name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(*[1] * (values.ndim - 2), *values.shape[-2:]),
        shards=values.shape,
        compressors=(ZstdCodec(level=ZSTD_LEVEL), Crc32cCodec()),
        fill_value=0,
        dimension_names=axes_of(values.ndim),
        config={"write_empty_chunks": True},
    )
    array[...] = values


def level_files(levels: Sequence[int], dimensions: int) -> list[str]:
    """The files of the levels of an image. Zarr reads zeros where one is missing, so what must be there is known.

    Args:
        levels: Edge lengths.
        dimensions: Two or three.
    """
    shard = "/".join(["c", *["0"] * dimensions])
    return [f"{number}/{name}" for number in range(len(levels)) for name in (METADATA, shard)]


def axes_of(dimensions: int) -> tuple[str, ...]:
    """Names of the axes of an image of so many dimensions."""
    return tuple(_TYPES)[-dimensions:]


def multiscale(name: str, levels: Sequence[int], dimensions: int, kind: str, description: str) -> dict[str, Any]:
    """What is said of the levels of an image. Scales count pixels of the first; there is no unit.

    Args:
        name: Name of the image.
        levels: Edge lengths.
        dimensions: Two or three.
        kind: How smaller levels are made, in a word.
        description: In a sentence.
    """
    fixed = [1.0] * (dimensions - 2)
    return {
        "name": name,
        "axes": [{"name": axis, "type": _TYPES[axis]} for axis in axes_of(dimensions)],
        "datasets": [
            {
                "path": str(number),
                "coordinateTransformations": [{"type": "scale", "scale": [*fixed, levels[0] / edge, levels[0] / edge]}],
            }
            for number, edge in enumerate(levels)
        ],
        "type": kind,
        "metadata": {"description": description},
    }


def group(attributes: Mapping[str, Any]) -> bytes:
    """The `zarr.json` of a group."""
    return as_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})


def ome(stated: Mapping[str, Any], **more: Any) -> bytes:  # noqa: ANN401 - any JSON
    """The `zarr.json` of a group that OME-Zarr says something of."""
    return group({"ome": {"version": VERSION, **stated}, **more})
