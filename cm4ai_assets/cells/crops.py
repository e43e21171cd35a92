"""Nuclei as a scientist opens them: the table, and a crop of the tensor around each, read when it is asked for.

Belongs here: reading a published store of nuclei and its tensor. Does not belong here: making one (`products`), and
the stores themselves (`storage.nuclei`, `loading.reader`).

A crop is a square around the centroid. Where it reaches beyond the field it is filled with zeros, so that the nucleus
is always in the middle: a window that is shifted inwards would put it elsewhere, and a model would learn that. `window`
says where a crop lies and `inside` which of its pixels are the field's.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from cm4ai_assets.cells.products import path_for
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.nuclei import FIELDS_FILE, Labels, open_labels, read_file, read_labels, require_complete
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import CHANNEL_COUNT, Pixels, read_record

if TYPE_CHECKING:
    import zarr

    from cm4ai_assets.storage.nuclei import NucleiRecord

SIZE = 512

Planes: TypeAlias = "npt.NDArray[Any]"


class Cells:
    """Nuclei of one condition with their crops: a sequence of uint8 arrays (channel, y, x), read only and lazy.

    Indexing reads one crop. The field that was read last is kept, so that crops in the order of the table decode each
    field once. May be pickled, and forked; threads may share it.

    Args:
        store: The storage.
        table: Rows of `if_cells`.
        tensor_path: Where the tensor stands on the filesystem of the storage.
        size: Edge length of a crop, in pixels of the tensor.

    Attributes:
        table: The rows, one a nucleus, in the order of the crops.
        size: Edge length of a crop.

    Raises:
        ConfigurationError: `size` is less than 1.
        TensorStoreError: A store has lost a part.
    """

    def __init__(self, store: Store, table: pl.DataFrame, tensor_path: str, *, size: int = SIZE) -> None:
        if size < 1:
            raise ConfigurationError(f"A crop cannot have {size} pixels.", remedy=f"Ask for 1 or more, e.g. {SIZE}.")
        self.table, self.size = table, size
        self._store, self._tensor_path = store, tensor_path
        self._reader = ShardReader(store.url, tensor_path)
        self._last: tuple[int, Pixels] | None = None
        places = ("tensor_index", "cell", "centroid_y", "centroid_x")
        self._index, self._cell, y, x = (table[name].to_numpy() for name in places)
        self._corners = [corner_of(*centroid, size) for centroid in zip(y, x, strict=True)]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all crops together: (nucleus, channel, y, x); channels red, green, blue, yellow."""
        return (len(self), CHANNEL_COUNT, self.size, self.size)

    def __len__(self) -> int:
        return self.table.height

    def __getitem__(self, number: int) -> Pixels:
        """The crop around a nucleus: uint8, (channel, y, x).

        Raises:
            IndexError: There is no such row.
            TensorStoreError: A part of the tensor is missing or changed.
        """
        number = self._checked(number)
        return self._cropped(self._field(int(self._index[number])), number)

    def __iter__(self) -> Iterator[Pixels]:
        return (self[number] for number in range(len(self)))

    def filter(self, *predicates: pl.Expr) -> Cells:
        """The nuclei whose rows hold these; see `polars.DataFrame.filter`."""
        return Cells(self._store, self.table.filter(*predicates), self._tensor_path, size=self.size)

    def crops(self, numbers: Sequence[int]) -> Pixels:
        """Several crops: uint8, (nucleus, channel, y, x), in the order asked for; each field is read once."""
        checked = [self._checked(number) for number in numbers]
        out = np.zeros((len(checked), *self.shape[1:]), np.uint8)
        for place in sorted(range(len(checked)), key=lambda place: int(self._index[checked[place]])):
            number = checked[place]
            out[place] = self._cropped(self._field(int(self._index[number])), number)
        return out

    def window(self, number: int) -> tuple[int, int, int, int]:
        """Where a crop lies in its field: y0, x0, y1, x1, half open; beyond the field where it reaches over it."""
        y, x = self._corners[self._checked(number)]
        return y, x, y + self.size, x + self.size

    def inside(self, number: int) -> npt.NDArray[np.bool_]:
        """Which pixels of a crop are the field's; the others are zeros: bool, (y, x)."""
        field = np.ones((1, self._reader.edge, self._reader.edge), np.bool_)
        return np.asarray(self._cropped(field, self._checked(number))[0], np.bool_)

    def mask(self, number: int) -> npt.NDArray[np.bool_]:
        """Which pixels of a crop are of its nucleus: bool, (y, x)."""
        number = self._checked(number)
        return np.asarray(self.labels(number) == self._cell[number], np.bool_)

    def labels(self, number: int) -> Labels:
        """Every nucleus in a crop, by its `cell`: uint16, (y, x); 0 where there is none.

        Raises:
            TensorStoreError: A part of the labels is missing.
            ValueError: Bytes of the labels changed.
        """
        number = self._checked(number)
        field = read_labels(self._labels, int(self._index[number]))
        return np.asarray(self._cropped(field[None], number)[0], np.uint16)

    @cached_property
    def fields(self) -> pl.DataFrame:
        """One row a field of the tensor: `tensor_index`, `nuclei`, `specks`, `level`, `reason`, `labels_sha256`.

        `specks` are bodies too small for a nucleus, `level` is the grey level from which a pixel may be nuclear, and
        `reason` says why a field has no nucleus: dark, no_contrast or specks_only.
        """
        return read_file(self._store.fs, self._labels_path, FIELDS_FILE)

    @property
    def record(self) -> NucleiRecord:
        """What the store of labels says of itself: algorithm, version, digests."""
        return require_complete(self._store.fs, self._labels_path)

    @cached_property
    def _labels(self) -> zarr.Array[Any]:
        require_complete(self._store.fs, self._labels_path)
        return open_labels(self._store.fs, self._labels_path)

    @cached_property
    def _labels_path(self) -> str:
        """Where the store of labels stands on the storage's filesystem."""
        if self.table.height:
            return self._store.address(self.table["path"][0])
        tensor = read_record(self._store.fs, self._tensor_path)
        return self._store.address(path_for(tensor.source_sha256, tensor.edge, tensor.version))

    def _checked(self, number: int) -> int:
        number = operator.index(number)
        if not -len(self) <= number < len(self):
            raise IndexError(f"There are {len(self)} nuclei; there is no nucleus {number}.")
        return number % len(self)

    def _field(self, index: int) -> Pixels:
        last = self._last
        if last is None or last[0] != index:
            last = self._last = (index, self._reader.read(index))
        return last[1]

    def _cropped(self, planes: Planes, number: int) -> Planes:
        return cut(planes, self._corners[number], self.size)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_last", "_labels"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _last=None)


def corner_of(centroid_y: float, centroid_x: float, size: int) -> tuple[int, int]:
    """First row and column of the crop around a centroid, maybe outside the field."""
    return int(np.floor(centroid_y + 0.5)) - size // 2, int(np.floor(centroid_x + 0.5)) - size // 2


def cut(planes: Planes, corner: tuple[int, int], size: int) -> Planes:
    """A square of planes (channel, y, x), with zeros where it reaches beyond them.

    Args:
        planes: A field.
        corner: First row and column, maybe outside.
        size: Edge length.
    """
    (y, x), (height, width) = corner, planes.shape[-2:]
    top, left = min(max(y, 0), height), min(max(x, 0), width)
    bottom, right = max(min(y + size, height), top), max(min(x + size, width), left)
    crop = np.zeros((len(planes), size, size), planes.dtype)
    crop[:, top - y : bottom - y, left - x : right - x] = planes[:, top:bottom, left:right]
    return crop
