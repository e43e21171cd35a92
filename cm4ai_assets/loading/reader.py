"""Fields of view straight from a tensor's shards into memory of the caller: no zarr, no copies, no worker processes.

Belongs here: bytes of one store, verified and decoded. Does not belong here: which fields, in which order (`order`),
batches and threads (`loader`), or what a store consists of (`storage.tensors`).

The planes of a field stand next to each other in its shard, so that a field is one read. Reading, decompression and
averaging release the interpreter lock: threads of one process do the work of as many cores. A shard is opened for each
read: nothing stays open, a process may fork at any moment, and a shard that went away is noticed.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import fsspec
import google_crc32c

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import imagecodecs, np
from cm4ai_assets.images.averaging import area_average, compiled
from cm4ai_assets.storage.filesystems import open_filesystem
from cm4ai_assets.storage.placing import is_local
from cm4ai_assets.storage.shard_index import CHECKSUM, Entries, index_size, sound_entries
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, REMEDY, shard_key
from cm4ai_assets.storage.tensors import CHANNEL_COUNT, Pixels, chunk_edge, read_record
from cm4ai_assets.threads import cores

CHANNELS: Final = tuple(range(CHANNEL_COUNT))

REMOTE_THREADS: Final = 16
"""Reads that are under way at once where the storage is remote: there threads wait, and do not compute."""


class ShardReader:
    """Reads fields of one tensor store. For any number of threads at once; may be pickled and forked.

    Args:
        storage: The storage, as in CM4AI_STORAGE: a path or any fsspec URL.
        path: Where the store stands on that storage's filesystem.
        size: Edge length of what is read; a divisor of the store's, which is the default. Planes are averaged after
            decoding, by the rule of the pixel pass (`images.averaging.area_average`).

    Attributes:
        n_fields: Rows of the store.
        edge: Edge length of the stored planes.
        size: Edge length of what is read.

    Raises:
        TensorStoreError: There is no complete store.
        ValueError: `size` does not divide the edge length.
    """

    def __init__(self, storage: str, path: str, *, size: int | None = None) -> None:
        self.storage, self.path = storage, path
        self._owner, self._fs = os.getpid(), _filesystem(storage)
        self._on_disk = is_local(self._fs)
        record = read_record(self._fs, path)
        self.n_fields, self.edge, self.size = record.n_fields, record.edge, size or record.edge
        if self.edge % self.size:
            raise ValueError(f"{self.size} does not divide the edge length {self.edge} of {path}.")
        self._chunk = chunk_edge(self.edge)
        self._per_plane = (self.edge // self._chunk) ** 2
        self._shard_sizes = record.shard_sizes
        self._indexes: dict[int, Entries] = {}
        self._locks: dict[tuple[int, int], threading.Lock] = {}
        self._local = threading.local()
        if self.size < self.edge:
            compiled()  # before any fork, and before threads ask for it at once

    def shape(self, channels: Sequence[int] = CHANNELS) -> tuple[int, int, int]:
        """Shape of a field as it is read: (channel, y, x)."""
        return (len(channels), self.size, self.size)

    def read(self, index: int, channels: Sequence[int] = CHANNELS) -> Pixels:
        """A field in memory of its own: uint8, (channel, y, x). See `read_into`."""
        return self.read_into(index, np.empty(self.shape(channels), np.uint8), channels)

    def read_into(self, index: int, out: Pixels, channels: Sequence[int] = CHANNELS) -> Pixels:
        """Read a field into `out`, which is returned.

        Args:
            index: Row of the store: `tensor_index`.
            out: uint8, (channel, y, x), of the edge length `size`.
            channels: The planes to read, in this order; red 0, green 1, blue 2, yellow 3.

        Raises:
            IndexError: The store has no such row.
            ValueError: `out` has another shape or type.
            TensorStoreError: A part of the store is missing, or its bytes are not those that were written.
        """
        if not 0 <= index < self.n_fields:
            raise IndexError(f"{self.path} has {self.n_fields} fields; there is no field {index}.")
        if out.shape != self.shape(channels) or out.dtype != np.uint8:
            raise ValueError(f"A field is uint8 of the shape {self.shape(channels)}, not {out.dtype} of {out.shape}.")
        shard, row = divmod(index, FIELDS_PER_SHARD)
        stored = self._index(shard)[row].reshape(CHANNEL_COUNT, self._per_plane, 2)[list(channels)]
        chunks = self._chunks(shard, stored.reshape(-1, 2).tolist())
        for plane, channel in zip(out, channels, strict=True):
            where = f"field {index}, channel {channel}"
            self._decode_plane([next(chunks) for _ in range(self._per_plane)], plane, where)
        return out

    def read_ahead(self, index: int) -> None:
        """Bring the whole shard of a field into the page cache, in stored order, if it is on a disk and not there yet.

        What is missing or cannot be read is left for `read_into` to report.
        """
        shard = index // FIELDS_PER_SHARD
        if not is_local(self._fs) or not _CAN_TELL:
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self.path}/{shard_key(shard)}", os.O_RDONLY)
            try:
                _into_page_cache(descriptor, self._shard_sizes[shard], self._scratch("ahead", _AHEAD).data)
            finally:
                os.close(descriptor)

    def _index(self, shard: int) -> Entries:
        """The index of a shard, read once however many threads ask for it at once."""
        if shard not in self._indexes:
            # A process that was forked has locks of its own: the parent's may be held, and are never released here.
            with self._locks.setdefault((os.getpid(), shard), threading.Lock()):
                if shard not in self._indexes:
                    self._indexes[shard] = self._read_index(shard)
        return self._indexes[shard]

    def _read_index(self, shard: int) -> Entries:
        chunks_per_field = CHANNEL_COUNT * self._per_plane
        size, stated = index_size(chunks_per_field), self._shard_sizes[shard]
        index = self._read(shard, stated - size, size).tobytes()
        return sound_entries(
            index, name=self.path, shard=shard, fields=self.n_fields, chunks_per_field=chunks_per_field
        )

    def _chunks(self, shard: int, entries: Sequence[Sequence[int]]) -> Iterator[Pixels]:
        """The bytes of chunks in the order of `entries`; those that stand next to each other by one read."""
        first = 0
        while first < len(entries):
            start, end, stop = entries[first][0], sum(entries[first]), first + 1
            while stop < len(entries) and entries[stop][0] == end:
                end, stop = end + entries[stop][1], stop + 1
            data = self._read(shard, start, end - start)
            for offset, length in entries[first:stop]:
                chunk = data[offset - start : offset - start + length]
                yield chunk if stop - first == len(entries) else chunk.copy()  # the next read uses the same memory
            first = stop

    def _decode_plane(self, chunks: Sequence[Pixels], out: Pixels, where: str) -> None:
        """Chunks of one plane, row by row, into a plane of the size that was asked for."""
        direct = self.size == self.edge == self._chunk and out.flags.c_contiguous
        plane = out if direct else self._scratch("plane", self.edge**2).reshape(self.edge, self.edge)
        if self._per_plane == 1:
            self._decode(chunks[0], plane.reshape(-1), where)
        else:
            corners = range(0, self.edge, self._chunk)
            square = self._scratch("square", self._chunk**2)
            for chunk, (y, x) in zip(chunks, ((y, x) for y in corners for x in corners), strict=True):
                self._decode(chunk, square, where)
                plane[y : y + self._chunk, x : x + self._chunk] = square.reshape(self._chunk, self._chunk)
        if self.size < self.edge:
            area_average(plane, self.size, out)
        elif not direct:
            np.copyto(out, plane)

    def _decode(self, chunk: Pixels, out: Pixels, where: str) -> None:
        """One chunk, held against its checksum, into flat memory."""
        body, checksum = chunk[:-CHECKSUM], chunk[-CHECKSUM:].tobytes()
        if google_crc32c.value(body).to_bytes(4, "little") != checksum:
            raise self._changed(where, "its checksum (crc32c) differs")
        try:
            decoded = imagecodecs.zstd_decode(body, out=out)  # type: ignore[arg-type]  # it takes any buffer
        except (RuntimeError, ValueError) as error:
            raise self._changed(where, f"it cannot be decompressed ({error})") from None
        if len(decoded) != len(out):
            raise self._changed(where, f"it holds {len(decoded)} pixels, not {len(out)}")

    def _changed(self, where: str, detail: str) -> TensorStoreError:
        return TensorStoreError(f"{self.path}: {where}: a chunk changed on disk: {detail}.", remedy=REMEDY)

    def _read(self, shard: int, offset: int, length: int) -> Pixels:
        """Bytes of a shard. Valid until the next call of the same thread."""
        key = shard_key(shard)
        if offset < 0:
            raise TensorStoreError(f"{self.path}: the shard {key} ends early.", remedy=REMEDY)
        try:
            data = self._ranged(f"{self.path}/{key}", offset, length)
        except FileNotFoundError:
            raise TensorStoreError(f"{self.path}: the shard {key} is missing.", remedy=REMEDY) from None
        except OSError as error:
            remedy = "See that the storage can be reached."
            raise TensorStoreError(f"{self.path}: the shard {key} cannot be read: {error}.", remedy=remedy) from error
        if len(data) != length:
            raise TensorStoreError(
                f"{self.path}: the shard {key} ends early: {len(data)} of {length} bytes at offset {offset}.",
                remedy=REMEDY,
            )
        return data

    def _ranged(self, path: str, offset: int, length: int) -> Pixels:
        if self._owner != os.getpid():  # forked: connections of the parent are the parent's
            self._owner, self._fs = os.getpid(), _filesystem(self.storage)
        if not self._on_disk:
            return np.frombuffer(self._fs.cat_file(path, start=offset, end=offset + length), np.uint8)
        data = self._scratch("bytes", length)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return data[: os.preadv(descriptor, [data.data], offset)]
        finally:
            os.close(descriptor)

    def _scratch(self, name: str, length: int) -> Pixels:
        """Memory of this thread that is used again and again: fresh pages cost more than decoding."""
        kept: Pixels | None = getattr(self._local, name, None)
        if kept is None or len(kept) < length:
            kept = np.empty(length, np.uint8)
            setattr(self._local, name, kept)
        return kept[:length]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_fs", "_local", "_locks"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(
            state, _owner=os.getpid(), _fs=_filesystem(state["storage"]), _local=threading.local(), _locks={}
        )


_CAN_TELL: Final = hasattr(os, "RWF_NOWAIT")  # whether the system says what is in its page cache (Linux)
_AHEAD: Final = 1 << 20


def _into_page_cache(descriptor: int, size: int, memory: memoryview) -> None:
    """Read a file from begin to end, unless a look at some places finds all of them in the page cache."""
    looks = range(0, size, max(1, size // 8))
    try:
        for place in looks:
            os.preadv(descriptor, [memory[:1]], place, os.RWF_NOWAIT)
    except BlockingIOError:
        for place in range(0, size, len(memory)):
            os.preadv(descriptor, [memory], place)


def default_threads(storage: str, share: int = 1) -> int:
    """How many threads read: as many as this process may use cores; at least `REMOTE_THREADS` from elsewhere.

    Args:
        storage: The storage, as in CM4AI_STORAGE.
        share: Processes that share the cores.
    """
    each = cores() // share
    return max(1 if is_local(_filesystem(storage)) else REMOTE_THREADS, each)


def _filesystem(storage: str) -> fsspec.AbstractFileSystem:
    return open_filesystem(storage)[0]
