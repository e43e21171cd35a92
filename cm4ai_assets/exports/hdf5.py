"""AnnData and MuData as files, without all of their values in memory.

Belongs here: writing an object's outline with the library, and its matrices behind it, some rows at a time. Does not
belong here: what is in them (`anndata`, `mudata`).

A matrix in an .h5ad is one HDF5 dataset with two attributes, which the format prescribes:
https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import h5py, np

_ARRAY: Final = {"encoding-type": "array", "encoding-version": "0.2.0"}
_CHUNK: Final = (64, 16_384)

Blocks: TypeAlias = "Callable[[], Iterator[np.ndarray[tuple[int, int], np.dtype[Any]]]]"


@dataclass(frozen=True)
class Matrix:
    """A matrix that is written in blocks of rows.

    Attributes:
        place: Where it stands in the group of its object: `X`, or `layers/name`.
        shape: Rows and columns.
        dtype: Of its values.
        blocks: Blocks of rows from the first to the last; each is the length of its own.
    """

    place: str
    shape: tuple[int, int]
    dtype: str
    blocks: Blocks


def needed(name: str) -> ModuleType:
    """A library that is optional.

    Raises:
        ConfigurationError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"{name} is not installed.", remedy=f"Run `pip install 'cm4ai_assets[{name}]'`."
        ) from error


def append(path: Path, matrices: Mapping[str, list[Matrix]]) -> None:
    """Write matrices into a file that has their outlines already.

    Args:
        path: An .h5ad, or an .h5mu.
        matrices: By the group of their object: `/` in an .h5ad, `mod/{name}` in an .h5mu.
    """
    with h5py.File(path, "r+") as file:
        for group, own in matrices.items():
            for matrix in own:
                _append(file[group], matrix)


def _append(group: h5py.Group, matrix: Matrix) -> None:
    if matrix.place in group:
        del group[matrix.place]
    chunks = tuple(max(1, min(size, most)) for size, most in zip(matrix.shape, _CHUNK, strict=True))
    dataset = group.create_dataset(
        matrix.place, shape=matrix.shape, dtype=matrix.dtype, chunks=chunks, compression="gzip", compression_opts=1
    )
    dataset.attrs.update(_ARRAY)
    row = 0
    for block in matrix.blocks():
        dataset[row : row + len(block)] = block
        row += len(block)
    if row != matrix.shape[0]:
        raise ValueError(f"{matrix.place} has {matrix.shape[0]} rows, and {row} came.")
