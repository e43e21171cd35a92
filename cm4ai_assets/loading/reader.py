"""Fields of view straight from a tensor's shards into memory of the caller: no zarr, no copies, no worker processes.

Belongs here: bytes of one store, verified and decoded. Does not belong here: which fields, in which order (`order`),
batches and threads (`loader`), or what a store consists of (`storage.tensors`).

The planes of a field stand next to each other in its shard, so that a field is one read and one decompression. Both
release the interpreter lock, as averaging does: threads of one process do the work of as many cores. They do so seldom,
because each of many threads waits to get it back (docs/decisions/0027). A shard is opened for each read: nothing stays
open, a process may fork at any moment, and a shard that went away is noticed.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any, Final, TypeAlias

import fsspec
import google_crc32c

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import imagecodecs, np
from cm4ai_assets.images.averaging import area_average, compiled
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.filesystems import open_filesystem
from cm4ai_assets.storage.placing import is_local
from cm4ai_assets.storage.shard_index import CHECKSUM, index_size, sound_entries
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, REMEDY, shard_key
from cm4ai_assets.storage.tensors import CHANNEL_COUNT, Pixels, chunk_edge, read_record
from cm4ai_assets.threads import cores

Chunk: TypeAlias = "list[int]"
"""Offset and length of a chunk in its shard, its checksum counted in."""

Index: TypeAlias = "list[list[Chunk]]"
"""The chunks of each field of a shard."""

CHANNELS: Final = tuple(range(CHANNEL_COUNT))

REMOTE_THREADS: Final = 16
"""Reads that are under way at once where the storage is remote: there threads wait, and do not compute."""

MOST_THREADS: Final = 12
"""Threads that read from a disk of this machine, however many cores there are."""
MOST_FOR_SMALL: Final = 8
"""The same for planes below `LARGE`."""
LARGE: Final = 1024


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
        self.n_fields, self.edge = record.n_fields, record.edge
        self.size = record.edge if size is None else size
        if self.size < 1 or self.edge % self.size:
            raise ValueError(f"{self.size} does not divide the edge length {self.edge} of {path}.")
        self._chunk = chunk_edge(self.edge)
        self._per_plane = (self.edge // self._chunk) ** 2
        self._shard_sizes = record.shard_sizes
        self._indexes: dict[int, Index] = {}
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
        stored = self._index(shard)[row]
        chunks = [stored[channel * self._per_plane + n] for channel in channels for n in range(self._per_plane)]
        direct = self.size == self.edge == self._chunk and out.flags.c_contiguous
        planes = out if direct else self._scratch("planes", len(channels) * self.edge**2)
        self._decode(shard, chunks, planes.reshape(-1), lambda n: f"field {index}, channel {channels[n]}")
        if not direct:
            self._place(planes.reshape(len(channels), -1), out)
        return out

    def read_ahead(self, index: int) -> None:
        """Bring the whole shard of a field into the page cache, in stored order, if it is on a disk and not there yet.

        What is missing or cannot be read is left for `read_into` to report.
        """
        shard = index // FIELDS_PER_SHARD
        if not self._on_disk or not _CAN_TELL:
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{self.path}/{shard_key(shard)}", os.O_RDONLY)
            try:
                _into_page_cache(descriptor, self._shard_sizes[shard], self._scratch("ahead", _AHEAD).data)
            finally:
                os.close(descriptor)

    def default_threads(self, share: int = 1) -> int:
        """How many threads read, if nobody says: as many as this process may use cores, up to `MOST_THREADS`.

        What Python itself does for a field, one thread does at a time: with more threads they wait for one another. On
        16 cores 12 and 16 threads read 2,600 and 2,570 fields of 1024 a second, 24 read 1,710; at 256, 8 threads read
        7,500 and 16 read 3,500. Where the storage is remote they wait for it, and are `REMOTE_THREADS` or more.

        Args:
            share: Processes that share the cores.
        """
        each = cores() // share
        if not self._on_disk:
            return max(REMOTE_THREADS, each)
        return max(1, min(each, MOST_THREADS if self.edge >= LARGE else MOST_FOR_SMALL))

    def _index(self, shard: int) -> Index:
        """The index of a shard, read once however many threads ask for it at once."""
        if shard not in self._indexes:
            # A process that was forked has locks of its own: the parent's may be held, and are never released here.
            with self._locks.setdefault((os.getpid(), shard), threading.Lock()):
                if shard not in self._indexes:
                    self._indexes[shard] = self._read_index(shard)
        return self._indexes[shard]

    def _read_index(self, shard: int) -> Index:
        chunks_per_field = CHANNEL_COUNT * self._per_plane
        index = bytearray(index_size(chunks_per_field))
        self._read(shard, self._shard_sizes[shard] - len(index), [memoryview(index)])
        entries: Index = sound_entries(
            bytes(index), name=self.path, shard=shard, fields=self.n_fields, chunks_per_field=chunks_per_field
        ).tolist()
        return entries

    def _decode(self, shard: int, chunks: Sequence[Chunk], out: Pixels, where: Callable[[int], str]) -> None:
        """Chunks of equal size, held against their checksums, one after the other into flat memory.

        They are joined as they are read and decompressed at once: zstd takes any number of frames that follow each
        other. Where one does not say that it holds a whole chunk, or that fails, each is decompressed alone: no pixel
        of one gets into the place of another, and the error names the channel.
        """
        ends = [*accumulate((length - CHECKSUM for _, length in chunks), initial=0)]
        joined, checksums = self._scratch("chunks", ends[-1]), np.empty(len(chunks), "<u4")
        each = [joined[start:end] for start, end in pairwise(ends)]
        for run in _runs(chunks):
            parts = ((each[n].data, checksums[n : n + 1].data) for n in run)
            self._read(shard, chunks[run[0]][0], [*chain.from_iterable(parts)])
        for n, (body, checksum) in enumerate(zip(each, checksums.tolist(), strict=True)):
            if google_crc32c.value(body) != checksum:
                raise self._changed(where(n // self._per_plane), "its checksum (crc32c) differs")
        size = self._chunk**2
        if all(_stated_pixels(body) == size for body in each) and _decompressed(joined, out) is None:
            return
        for n, body in enumerate(each):
            if (fault := _decompressed(body, out[n * size : (n + 1) * size])) is not None:
                raise self._changed(where(n // self._per_plane), fault)

    def _place(self, planes: Pixels, out: Pixels) -> None:
        """Decoded planes, whose chunks follow each other, into `out`: whole, and of the size that was asked for."""
        across = self.edge // self._chunk
        for stored, wanted in zip(planes, out, strict=True):
            plane = stored.reshape(self.edge, self.edge)
            if across > 1:
                plane = self._scratch("plane", self.edge**2).reshape(self.edge, self.edge)
                rows = plane.reshape(across, self._chunk, across, self._chunk)
                np.copyto(rows, stored.reshape(across, across, self._chunk, self._chunk).swapaxes(1, 2))
            if self.size < self.edge:
                area_average(plane, self.size, wanted)
            else:
                np.copyto(wanted, plane)

    @property
    def _remedy(self) -> str:
        """What brings the store back: a level is a copy of a tensor, which readers can do without."""
        return f"Store the level {self.edge} again: `store_level`." if f"{layout.LEVELS}/" in self.path else REMEDY

    def _changed(self, where: str, detail: str) -> TensorStoreError:
        return TensorStoreError(f"{self.path}: {where}: a chunk changed on disk: {detail}.", remedy=self._remedy)

    def _read(self, shard: int, offset: int, parts: Sequence[memoryview]) -> None:
        """Bytes of a shard from `offset` on, into one part after the other."""
        key, length = shard_key(shard), sum(part.nbytes for part in parts)
        if offset < 0:
            raise TensorStoreError(f"{self.path}: the shard {key} ends early.", remedy=self._remedy)
        try:
            got = self._ranged(f"{self.path}/{key}", offset, parts)
        except FileNotFoundError:
            raise TensorStoreError(f"{self.path}: the shard {key} is missing.", remedy=self._remedy) from None
        except OSError as error:
            remedy = "See that the storage can be reached."
            raise TensorStoreError(f"{self.path}: the shard {key} cannot be read: {error}.", remedy=remedy) from error
        if got != length:
            raise TensorStoreError(
                f"{self.path}: the shard {key} ends early: {got} of {length} bytes at offset {offset}.",
                remedy=self._remedy,
            )

    def _ranged(self, path: str, offset: int, parts: Sequence[memoryview]) -> int:
        if self._owner != os.getpid():  # forked: connections of the parent are the parent's
            self._owner, self._fs = os.getpid(), _filesystem(self.storage)
        if not self._on_disk:
            data = self._fs.cat_file(path, start=offset, end=offset + sum(part.nbytes for part in parts))
            return sum(map(io.BytesIO(data).readinto, parts))
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.preadv(descriptor, parts, offset)
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
_LONGEST_HEAD: Final = 18  # bytes of a zstd frame before its first block
_AT_ONCE: Final = 256  # chunks of a read: the system takes 1024 places at most, a chunk has two


def _runs(chunks: Sequence[Chunk]) -> Iterator[list[int]]:
    """Numbers of chunks that stand next to each other, in stored order: each run is one read."""
    run: list[int] = []
    end = -1
    for n in sorted(range(len(chunks)), key=chunks.__getitem__):
        offset, length = chunks[n]
        if run and (offset != end or len(run) == _AT_ONCE):
            yield run
            run = []
        run.append(n)
        end = offset + length
    yield run


def _stated_pixels(frame: Pixels) -> int | None:
    """What a zstd frame says that it holds (RFC 8878, 3.1.1.1), to which zstd holds it; None if it does not say."""
    head = frame[:_LONGEST_HEAD].tobytes()
    if len(head) < _LONGEST_HEAD:
        return None
    flags = head[4]
    is_single = flags >> 5 & 1
    length = (is_single, 2, 4, 8)[flags >> 6]
    start = 6 - is_single + (0, 1, 2, 4)[flags & 3]
    return int.from_bytes(head[start : start + length], "little") + (256 if length == 2 else 0)  # noqa: PLR2004


def _decompressed(data: Pixels, out: Pixels) -> str | None:
    """Fill `out`; what is wrong with the data, where something is."""
    try:
        made = imagecodecs.zstd_decode(data, out=out)  # type: ignore[arg-type]  # it takes any buffer
    except (RuntimeError, ValueError) as error:
        return f"it cannot be decompressed ({error})"
    return None if len(made) == len(out) else f"it holds {len(made)} pixels, not {len(out)}"


def _into_page_cache(descriptor: int, size: int, memory: memoryview) -> None:
    """Read a file from begin to end, unless a look at some places finds all of them in the page cache."""
    looks = range(0, size, max(1, size // 8))
    try:
        for place in looks:
            os.preadv(descriptor, [memory[:1]], place, os.RWF_NOWAIT)
    except BlockingIOError:
        for place in range(0, size, len(memory)):
            os.preadv(descriptor, [memory], place)


def _filesystem(storage: str) -> fsspec.AbstractFileSystem:
    return open_filesystem(storage)[0]
