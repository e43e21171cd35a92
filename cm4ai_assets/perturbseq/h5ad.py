"""An h5ad, open for reading: the tables of its cells and genes, and the file itself for whoever reads its matrix.

Belongs here: opening over any file that can seek, and what an HDF5 file must be to be read at all. Does not belong
here: how a column is encoded (`columns`), which matrix holds counts, and what the columns mean (`cells`).

The matrix is never read here: obs and var of a file of 189 GB are some hundred megabytes (docs/decisions/0020).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import polars as pl

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.heavy import h5py, np
from cm4ai_assets.perturbseq.columns import Codes, StoredColumn, member, stored_column
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError, NotH5adError

ROWS: Final = 65_536
"""Rows of a stretch: a row group of the published table."""
MOST_ROWS: Final = 1 << 28
_LEGACY_CATEGORIES: Final = "__categories"


class StoredFrame:
    """A table of an h5ad (`obs` or `var`): its columns in their order, read a stretch of rows at a time.

    Args:
        group: The HDF5 group that holds the columns.
        label: What messages call the file.

    Raises:
        H5adEncodingError: It is no table in the form of anndata 0.7 or newer.
    """

    def __init__(self, group: h5py.Group, label: str) -> None:
        self._group, self._label = group, label
        self.name = str(group.name).strip("/")
        self.index_name = self._text_attribute("_index")
        self._columns: dict[str, StoredColumn] = {}
        self._index = stored_column(group, self.index_name, label)
        if self._index.length > MOST_ROWS:
            raise H5adDamagedError(f"{label} states {self._index.length:,} rows of {self.name}.")

    def _text_attribute(self, name: str) -> str:
        value = self._group.attrs.get(name)
        if not isinstance(value, (str, bytes)):
            raise H5adEncodingError(
                f"{self._label}: {self.name} does not name its index column.",
                remedy="Read and write the file once with anndata 0.7 or newer.",
            )
        return value.decode() if isinstance(value, bytes) else value

    @property
    def height(self) -> int:
        """Rows."""
        return self._index.length

    @property
    def names(self) -> list[str]:
        """The columns beside the index, in their order."""
        order = self._group.attrs.get("column-order")
        if order is None:
            return [name for name in self._group if name not in {self.index_name, _LEGACY_CATEGORIES}]
        listed = [one.decode() if isinstance(one, bytes) else str(one) for one in np.asarray(order).ravel()]
        return [name for name in listed if name != self.index_name]

    def column(self, name: str) -> StoredColumn:
        """One column; the index under its own name too.

        Raises:
            H5adEncodingError: It is not there, is of another length, or has an encoding that is not read.
            H5adDamagedError: What it consists of contradicts itself.
        """
        if name in self._columns:
            return self._columns[name]
        column = self._index if name == self.index_name else stored_column(self._group, name, self._label)
        if column.length != self.height:
            raise H5adDamagedError(
                f"{self._label}: column {name} of {self.name} has {column.length:,} rows, the index {self.height:,}."
            )
        self._columns[name] = column
        return column

    def index(self, start: int = 0, stop: int | None = None) -> pl.Series:
        """The index, as text."""
        return self._index.read(start, self.height if stop is None else stop).cast(pl.String)

    def read(self, names: list[str] | None = None, start: int = 0, stop: int | None = None) -> pl.DataFrame:
        """Columns of a stretch of rows: text for categories, null where a value is missing.

        Raises:
            H5adEncodingError: See `column`.
            H5adDamagedError: The bytes are damaged.
        """
        columns = [self.column(name) for name in (self.names if names is None else names)]
        return pl.DataFrame([column.read(start, self.height if stop is None else stop) for column in columns])

    def stretches(self, rows: int = ROWS) -> Iterator[tuple[int, int]]:
        """First and last row (exclusive) of each stretch."""
        for start in range(0, self.height, rows):
            yield start, min(start + rows, self.height)

    def codes(self, name: str) -> Codes:
        """A column of text as numbers into its distinct values; -1 where it is missing."""
        return self.column(name).codes()


class H5ad:
    """A published h5ad.

    Attributes:
        file: The HDF5 file, for whoever reads its matrix.
        label: What messages call it.
        obs: Table of the cells.
        var: Table of the genes.

    Args:
        source: A path, or a binary file that can seek (a blob, ranges of a remote file). It is not closed here.
        label: What messages call it.

    Raises:
        NotH5adError: It is no HDF5 file, or one without `obs` and `var`.
        H5adDamagedError: It is shorter than it says.
        H5adEncodingError: Its tables have a form that is not read.
    """

    def __init__(self, source: Path | BinaryIO, *, label: str | None = None) -> None:
        self.label = label or (source.name if isinstance(source, Path) else "The h5ad")
        self._watched = None if isinstance(source, Path) else _Watched(source)
        self.file = self._opened(source)
        try:
            with self.reading():
                self.obs, self.var = self._frame("obs"), self._frame("var")
        except BaseException:
            self.close()
            raise

    def _opened(self, source: Path | BinaryIO) -> h5py.File:
        """The file. What is raised holds no frame of h5py: such a frame at the end of the process ends it badly.

        h5py 3.16 frees the access properties of a file object after HDF5 is gone: a segmentation fault.
        """
        fault: BaseException
        try:
            return h5py.File(source if self._watched is None else self._watched, "r", locking=False)
        except (OSError, RuntimeError, Cm4aiError) as error:
            fault = error if self._is_of_the_source(error) else _unopened(error, self.label)
        raise fault.with_traceback(None)

    def _frame(self, name: str) -> StoredFrame:
        if self.file.get(name, getlink=True) is None:
            raise NotH5adError(f"{self.label} is HDF5, but has no table {name}.")
        table = member(self.file, name, self.label)
        if not isinstance(table, h5py.Group):
            raise H5adEncodingError(
                f"{self.label}: {name} is written in the form of anndata before 0.7.",
                remedy="Read and write the file once with anndata 0.7 or newer.",
            )
        return StoredFrame(table, self.label)

    def _is_of_the_source(self, error: Exception) -> bool:
        return isinstance(error, (Cm4aiError, FileNotFoundError)) or (
            self._watched is not None and self._watched.failed
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around everything that reads: what the source raised comes out as it is, HDF5's own faults as damage.

        Raises:
            H5adDamagedError: HDF5 cannot read what the file says is there.
            H5adEncodingError: A compression is used that h5py does not know.
        """
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            if self._is_of_the_source(error):
                raise
            raise _unread(error, self.label) from error

    def close(self) -> None:
        """Close the HDF5 file; the source stays open."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unopened(error: Exception, label: str) -> Exception:
    text = str(error)
    if "truncated" in text or "eof" in text.lower():
        return H5adDamagedError(f"{label} is shorter than it says: the file is truncated.")
    return NotH5adError(f"{label} is no HDF5 file.")


def _unread(error: Exception, label: str) -> Exception:
    text = " ".join(str(error).split())
    if "filter" in text and "not registered" in text:
        return H5adEncodingError(
            f"{label} uses a compression that h5py does not know ({text}).",
            remedy="Write it with gzip or without compression.",
        )
    return H5adDamagedError(f"{label} cannot be read: {text}.")


class _Watched(io.RawIOBase):
    """A file for HDF5 that knows whether reading it failed, so that an outage is not taken for damage."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.failed = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        at = 0
        with memoryview(buffer).cast("B") as view:
            try:
                while at < len(view) and (data := self._source.read(len(view) - at)):
                    view[at : at + len(data)] = data
                    at += len(data)
            except BaseException:
                self.failed = True
                raise
        return at
