"""AnnData and MuData as files, without all of their values in memory.

Belongs here: writing an object's outline with the library, and its matrices behind it, some rows at a time; and that a
full disk is an error like any other, which HDF5 by itself does not survive. Does not belong here: what is in them
(`anndata`, `mudata`).

A matrix in an .h5ad is one HDF5 dataset with two attributes, which the format prescribes:
https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import h5py, np
from cm4ai_assets.software import package_version

if TYPE_CHECKING:
    import anndata
    import mudata

_ARRAY: Final = {"encoding-type": "array", "encoding-version": "0.2.0"}
_CHUNK: Final = (64, 16_384)
_MARKED: Final = 512  # bytes before the HDF5 of an .h5mu, which say what it is

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


class _Spared(io.FileIO):
    """A file for HDF5, to which every write seems to succeed: one that fails would end the process.

    `error` is the first that failed; what was written since is not there.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.error is None and rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size

    def require_written(self) -> None:
        """Raise what failed."""
        if self.error is not None:
            raise self.error


@contextmanager
def _opened(path: Path, mode: str, **more: object) -> Iterator[tuple[h5py.File, _Spared]]:
    with _Spared(path, "x+b" if mode == "w" else "r+b") as raw:
        try:
            with h5py.File(raw, mode, **more) as file:
                yield file, raw
        finally:  # else what HDF5 says of a file without its end would hide why it has none
            raw.require_written()


def write_anndata(path: Path, adata: anndata.AnnData, *, compression: str | None = None) -> None:
    """Write an object, or its outline, as `AnnData.write_h5ad` does.

    Raises:
        OSError: The disk is full.
    """
    with _opened(path, "w") as (file, _):
        _put(file, "/", adata, compression=compression)


def write_mudata(path: Path, mdata: mudata.MuData) -> None:
    """Write modalities, or their outlines, as `MuData.write` does. Columns stand with their modality alone.

    https://mudata.readthedocs.io/en/latest/io/spec.html

    Raises:
        OSError: The disk is full.
    """
    write, library = needed("anndata").io.write_elem, needed("mudata")
    form, version = library.__mudataversion__, package_version()
    mark = f"MuData (format-version={form};creator=cm4ai_assets;creator-version={version})"
    with _opened(path, "w", userblock_size=_MARKED) as (file, raw):
        for axis in ("obs", "var"):
            write(file, axis, getattr(mdata, axis))
        for name in ("obsm", "varm", "obsp", "varp", "uns", "obsmap", "varmap"):
            write(file, name, dict(getattr(mdata, name)))
        file.attrs.update({
            "axis": mdata.axis, "encoding-type": "MuData", "encoding-version": form,
            "encoder": "cm4ai_assets", "encoder-version": version,
        })  # fmt: skip
        modalities = file.require_group("mod")
        for name, adata in mdata.mod.items():
            _put(modalities, name, adata)
        modalities.attrs["mod-order"] = list(mdata.mod)
        file.flush()
        raw.seek(0)
        raw.write(mark.encode()[:_MARKED].ljust(_MARKED, b"\0"))


def _put(parent: h5py.Group, name: str, adata: anndata.AnnData, *, compression: str | None = None) -> None:
    needed("anndata").io.write_elem(parent, name, adata, dataset_kwargs={"compression": compression})
    if adata.raw is None and "raw" in parent[name]:  # `AnnData.write_h5ad` writes none, and older readers know none
        del parent[name]["raw"]


def append(path: Path, matrices: Mapping[str, list[Matrix]]) -> None:
    """Write matrices into a file that has their outlines already.

    Args:
        path: An .h5ad, or an .h5mu.
        matrices: By the group of their object: `/` in an .h5ad, `mod/{name}` in an .h5mu.

    Raises:
        OSError: The disk is full.
    """
    with _opened(path, "r+") as (file, raw):
        for group, own in matrices.items():
            for matrix in own:
                _append(file[group], matrix, raw.require_written)


def _append(group: h5py.Group, matrix: Matrix, require_written: Callable[[], None]) -> None:
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
        require_written()
        row += len(block)
    if row != matrix.shape[0]:
        raise ValueError(f"{matrix.place} has {matrix.shape[0]} rows, and {row} came.")
