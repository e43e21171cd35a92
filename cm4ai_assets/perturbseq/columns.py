"""How a column of an h5ad is encoded, and its values a stretch of rows at a time.

Belongs here: every encoding that anndata has published since 0.7: numbers, booleans, text of fixed and of variable
length, categories (as groups, and as the older `__categories` that a dataset refers to), and values beside a mask. Does
not belong here: what a column means (`cells`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl

from cm4ai_assets.heavy import h5py, np, npt
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError

_MASKED: Final = frozenset({"nullable-integer", "nullable-boolean", "nullable-string-array"})


@dataclass(frozen=True)
class Codes:
    """A column as numbers.

    Attributes:
        numbers: int32, one a row: position in `categories`, or -1 where the value is missing.
        categories: Text, distinct.
    """

    numbers: npt.NDArray[np.int32]
    categories: pl.Series


@dataclass(frozen=True)
class StoredColumn:
    """A column of a stored table.

    Attributes:
        name: Its name.
        encoding: In words: number, boolean, text, categories, or masked values.
        length: Rows.
        read: Rows from, and to before: their values under the column's name. Categories come as their values.
        coded: Rows from, and to before: int32 codes into `categories`. None where the column has no categories.
    """

    name: str
    encoding: str
    length: int
    read: Callable[[int, int], pl.Series]
    coded: _Coded | None = None

    def codes(self) -> Codes:
        """All rows as numbers into distinct texts; see `Codes`."""
        if self.coded is not None:
            text = self.coded.categories.cast(pl.String)
            return Codes(self.coded.codes(0, self.length), text)
        values = self.read(0, self.length).cast(pl.String)
        categories = values.drop_nulls().unique().sort()
        found = values.replace_strict(categories, pl.Series(range(len(categories))), default=-1, return_dtype=pl.Int32)
        return Codes(found.fill_null(-1).to_numpy(), categories)


def stored_column(group: h5py.Group, name: str, label: str) -> StoredColumn:
    """The column of that name.

    Raises:
        H5adEncodingError: It is not there, or its encoding is not read.
        H5adDamagedError: Its parts contradict each other.
    """
    item = member(group, name, label)
    if isinstance(item, h5py.Group):
        return _of_group(item, name, label)
    reference = item.attrs.get("categories")
    if isinstance(reference, h5py.Reference):
        return _categorical(name, item, _dataset(item.file[reference], name, label), label)
    return _plain(name, item, label)


def member(group: h5py.Group, name: str, label: str) -> h5py.Group | h5py.Dataset:
    """A member of a group that stands in this very file.

    Raises:
        H5adEncodingError: It is not there, or is a link to another place or file: what that holds was not published.
    """
    link = group.get(name, getlink=True)
    if link is None:
        raise H5adEncodingError(f"{label} has no column {name} in {str(group.name).strip('/')}.")
    if not isinstance(link, h5py.HardLink):
        raise H5adEncodingError(f"{label}: {name} is a link, perhaps to another file. It is not followed.")
    found = group[name]
    if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
        raise H5adEncodingError(f"{label}: the values of {name} stand in another file. They are not read.")
    return found


def _of_group(group: h5py.Group, name: str, label: str) -> StoredColumn:
    kind = _encoding_type(group)
    if kind == "categorical":
        return _categorical(name, _part(group, "codes", label), member(group, "categories", label), label)
    if kind in _MASKED:
        return _masked(name, _part(group, "values", label), _part(group, "mask", label), label)
    raise H5adEncodingError(f"{label}: column {name} is written as {kind or 'a group without a type'!r}.")


def _encoding_type(item: h5py.Group | h5py.Dataset) -> str:
    kind = item.attrs.get("encoding-type", "")
    return kind.decode() if isinstance(kind, bytes) else str(kind)


def _part(group: h5py.Group, name: str, label: str) -> h5py.Dataset:
    return _dataset(member(group, name, label), str(group.name), label)


def _dataset(item: object, name: str, label: str) -> h5py.Dataset:
    if not isinstance(item, h5py.Dataset):
        raise H5adEncodingError(f"{label}: a part of column {name} holds no values.")
    return item


def _plain(name: str, values: h5py.Dataset, label: str) -> StoredColumn:
    if values.ndim != 1:
        raise H5adEncodingError(f"{label}: column {name} has {values.ndim} dimensions.")
    if h5py.check_string_dtype(values.dtype) is not None:
        return StoredColumn(name, "text", len(values), lambda start, stop: _text(name, values, start, stop, label))
    kind = {"b": "boolean", "i": "number", "u": "number", "f": "number"}.get(values.dtype.kind)
    if kind is None:
        raise H5adEncodingError(f"{label}: column {name} holds values of type {values.dtype}.")
    return StoredColumn(name, kind, len(values), lambda start, stop: pl.Series(name, _numbers(values[start:stop])))


def _numbers(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """In this machine's byte order; half floats as single ones."""
    kind = np.dtype(np.float32) if values.dtype == np.float16 else values.dtype.newbyteorder("=")
    return values.astype(kind, copy=False)


def _text(name: str, values: h5py.Dataset, start: int, stop: int, label: str) -> pl.Series:
    raw = pl.Series(name, values[start:stop].tolist(), dtype=pl.Binary)
    try:
        return raw.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise H5adDamagedError(f"{label}: column {name} holds text that is not UTF-8.") from None


@dataclass(frozen=True)
class _Coded:
    """Codes and categories. The categories are read once, when they are first needed."""

    name: str
    stored: h5py.Dataset
    values: StoredColumn
    label: str

    @cached_property
    def categories(self) -> pl.Series:
        categories = self.values.read(0, self.values.length)
        if categories.is_duplicated().any():
            raise H5adDamagedError(f"{self.label}: column {self.name} has a category twice.")
        return categories

    def codes(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        found = self.stored[start:stop]
        if found.size and not -1 <= found.min() <= found.max() < len(self.categories):
            raise H5adDamagedError(f"{self.label}: column {self.name} refers to categories that are not there.")
        return np.asarray(found, np.int32)

    def read(self, start: int, stop: int) -> pl.Series:
        codes = pl.Series(self.codes(start, stop))
        return self.categories.gather(codes.set(codes == -1, None)).alias(self.name)


def _categorical(name: str, codes: h5py.Dataset, categories: h5py.Group | h5py.Dataset, label: str) -> StoredColumn:
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise H5adEncodingError(f"{label}: the codes of column {name} are no list of whole numbers.")
    values = (
        _of_group(categories, name, label) if isinstance(categories, h5py.Group) else _plain(name, categories, label)
    )
    coded = _Coded(name, codes, values, label)
    return StoredColumn(name, "categories", len(codes), coded.read, coded)


def _masked(name: str, values: h5py.Dataset, mask: h5py.Dataset, label: str) -> StoredColumn:
    plain = _plain(name, values, label)
    if mask.shape != values.shape or mask.dtype != np.bool_:
        raise H5adDamagedError(f"{label}: the mask of column {name} does not fit its values.")

    def read(start: int, stop: int) -> pl.Series:
        return plain.read(start, stop).set(pl.Series(mask[start:stop]), None)

    return StoredColumn(name, f"{plain.encoding} with a mask", plain.length, read)
