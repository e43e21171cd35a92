"""Tensor stores: what one is, whether it is all there, and reading it.

Belongs here: the shape of a store (array, shards, chunks, attributes, record) and everything that opens one. Does not
belong here: making one (`images.shards`), or where it stands (`storage.layout`).

A store is a Zarr v3 group with one array `image`, uint8, (field, channel, y, x). Its metadata is written after
everything else, so that a store whose group can be opened is complete. The group's attributes hold the store's record:
what went in, what was left out and why. Another release with the same ZIP takes all of it from there, instead of
decoding again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import fsspec

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.placing import is_local
from cm4ai_assets.storage.recorded import METADATA, absent_files, require_files, stated_record
from cm4ai_assets.storage.shard_names import ARRAY, FIELDS_PER_SHARD, REMEDY, shard_key

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store

# The version of everything between a JPEG's bytes and a stored pixel, and of the statistics. Another version is another
# store. 2: means of 2 x 2 round half to even; images of another colour are left out; saturation per channel.
PIXEL_CODE_VERSION: Final = 2

DIMENSIONS: Final = ("field", "channel", "y", "x")
CHANNEL_COUNT: Final = 4
LARGEST_CHUNK_EDGE: Final = 1024
FIRST_PUBLISHED_IN: Final = "first_published_in"

Pixels: TypeAlias = "npt.NDArray[np.uint8]"


class Failure(NamedTuple):
    """One image that keeps its field out of the tensor. `member` is a name from the ZIP, verbatim and untrusted."""

    defect: str
    member: str
    detail: str


@dataclass(frozen=True)
class StoreRecord:
    """What a store holds, by its own account.

    Attributes:
        source_sha256: SHA-256 of the ZIP.
        edge: Edge length of the planes.
        n_fields: Rows of the array.
        digest: `tensor_digest` of the stored planes.
        shard_sizes: Bytes of each shard, in order.
        failures: Why fields were left out, by field id.
        version: Version of the pixel code.
    """

    source_sha256: str
    edge: int
    n_fields: int
    digest: str
    shard_sizes: tuple[int, ...]
    failures: Mapping[str, Sequence[Failure]] = field(default_factory=dict)
    version: int = PIXEL_CODE_VERSION

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the array."""
        return (self.n_fields, CHANNEL_COUNT, self.edge, self.edge)

    @property
    def raw_size(self) -> int:
        """Bytes of the pixels uncompressed."""
        return self.n_fields * CHANNEL_COUNT * self.edge * self.edge

    @property
    def size(self) -> int:
        """Bytes of the shards. The metadata's few kilobytes are not counted."""
        return sum(self.shard_sizes)

    def to_json(self) -> dict[str, object]:
        """The record as it stands in the group's attributes."""
        return {
            "source_sha256": self.source_sha256,
            "edge": self.edge,
            "pixel_code_version": self.version,
            "n_fields": self.n_fields,
            "digest": self.digest,
            "shard_sizes": list(self.shard_sizes),
            "failures": {name: [list(failure) for failure in found] for name, found in self.failures.items()},
        }

    @classmethod
    def from_json(cls, stated: Mapping[str, Any]) -> StoreRecord:
        """The record from the group's attributes."""
        return cls(
            source_sha256=str(stated["source_sha256"]),
            edge=int(stated["edge"]),
            n_fields=int(stated["n_fields"]),
            digest=str(stated["digest"]),
            shard_sizes=tuple(int(size) for size in stated["shard_sizes"]),
            failures={
                name: tuple(Failure(*failure) for failure in found) for name, found in stated["failures"].items()
            },
            version=int(stated["pixel_code_version"]),
        )


def tensor_id(source_sha256: str, edge: int, version: int = PIXEL_CODE_VERSION) -> str:
    """The name of a tensor: what it is a pure function of."""
    return f"{source_sha256[:16]}-{edge}-v{version}"


class TensorDigest:
    """SHA-256 over the planes' SHA-256 (as bytes) in tensor order, fields outer and channels inner, as planes come."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()

    def add(self, pixel_digest: str) -> None:
        """Take the digest of the next plane."""
        self._whole.update(bytes.fromhex(pixel_digest))

    def hexdigest(self) -> str:
        """The digest of all planes so far."""
        return self._whole.hexdigest()


def tensor_digest(pixel_digests: Iterable[str]) -> str:
    """The `TensorDigest` of planes that are all there."""
    whole = TensorDigest()
    for digest in pixel_digests:
        whole.add(digest)
    return whole.hexdigest()


def chunk_edge(edge: int) -> int:
    """Edge length of an inner chunk."""
    return min(edge, LARGEST_CHUNK_EDGE)


def read_record(fs: fsspec.AbstractFileSystem, path: str) -> StoreRecord:
    """What the store at `path` holds.

    Raises:
        TensorStoreError: There is no complete store.
    """
    return stated_record(fs, path, StoreRecord.from_json, what="tensor store", remedy=REMEDY)


def is_complete(fs: fsspec.AbstractFileSystem, path: str) -> bool:
    """Everything that the record names is there, at its size. The pixels are not read; see `verify_store`."""
    try:
        return not absent_files(fs, path, _files(read_record(fs, path)))
    except TensorStoreError:
        return False


def _files(record: StoreRecord) -> dict[str, int | None]:
    """The files of a store and their sizes; of the array's metadata none is recorded."""
    shards = {shard_key(number): size for number, size in enumerate(record.shard_sizes)}
    return {f"{ARRAY}/{METADATA}": None, **shards}


def require_complete(fs: fsspec.AbstractFileSystem, path: str) -> None:
    """See that a store may be read: Zarr takes a shard that is not there for zeros.

    Raises:
        TensorStoreError: There is none, or not all of it.
    """
    require_files(fs, path, _files(read_record(fs, path)), remedy=REMEDY)


def open_array(fs: fsspec.AbstractFileSystem, path: str) -> zarr.Array[Any]:
    """The array of the store at `path`, read only, on any fsspec filesystem.

    Reading a shard that was lost meanwhile, or a chunk that its index does not know, is a `TensorStoreError`: zarr by
    itself would give zeros.

    Raises:
        TensorStoreError: There is none.
    """
    # Imported here so that the pass over the pixels, which shares this module's vocabulary, does not pay for it.
    import zarr  # noqa: PLC0415

    from cm4ai_assets.storage.whole_shards import WholeShards  # noqa: PLC0415

    record = read_record(fs, path)
    per_field = CHANNEL_COUNT * (record.edge // chunk_edge(record.edge)) ** 2
    whole = WholeShards(zarr_store(fs, path), name=path, fields=record.n_fields, chunks_per_field=per_field)
    try:
        return zarr.open_array(whole, path=ARRAY, mode="r", zarr_format=3)
    except FileNotFoundError:
        raise TensorStoreError(f"{path} has no array {ARRAY}.", remedy=REMEDY) from None
    except (ValueError, KeyError, TypeError) as error:
        raise TensorStoreError(f"{path}/{ARRAY}/{METADATA} is damaged: {error!r}.", remedy=REMEDY) from error


def zarr_store(fs: fsspec.AbstractFileSystem, path: str) -> Store:
    """A folder of any fsspec filesystem as zarr reads it."""
    from zarr.storage import FsspecStore, LocalStore  # noqa: PLC0415 - slow to import

    return (
        LocalStore(path, read_only=True) if is_local(fs) else FsspecStore(_asynchronous(fs), read_only=True, path=path)
    )


def _asynchronous(fs: fsspec.AbstractFileSystem) -> fsspec.AbstractFileSystem:
    """The filesystem as zarr's event loop can use it: an instance of its own, or a wrapper for one that blocks.

    An instance that was made for blocking calls belongs to fsspec's own loop, and hangs or fails in another.
    """
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper  # noqa: PLC0415

    if not fs.async_impl:
        return AsyncFileSystemWrapper(fs, asynchronous=True)
    return type(fs)(*fs.storage_args, **{**fs.storage_options, "asynchronous": True})


def read_field(array: zarr.Array[Any], index: int, first: int | None = None) -> Pixels:
    """The planes of a field: (channel, y, x); only the first so many where a number is given."""
    return np.asarray(array[index, :first], dtype=np.uint8)


def read_plane(array: zarr.Array[Any], index: int, channel: int) -> Pixels:
    """One plane: (y, x)."""
    return np.ascontiguousarray(array[index, channel], dtype=np.uint8)


@dataclass(frozen=True)
class StoreProblem:
    """Pixels that cannot be read or are not those that were stored, and where: shard, field, channel, chunk."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


def verify_store(array: zarr.Array[Any], pixel_digests: Sequence[Sequence[str]]) -> list[StoreProblem]:
    """Read every chunk, and hold every plane against its digest. Empty if all is as it was stored.

    Args:
        array: The array.
        pixel_digests: For each field the SHA-256 of its four planes.
    """
    if len(pixel_digests) != array.shape[0]:
        message = f"has {array.shape[0]} fields, {len(pixel_digests)} digests are known"
        return [StoreProblem(ARRAY, message)]
    found: list[StoreProblem] = []
    for first in range(0, len(pixel_digests), FIELDS_PER_SHARD):
        found += _shard_problems(array, first, pixel_digests[first : first + FIELDS_PER_SHARD])
    return found


def _shard_problems(
    array: zarr.Array[Any], first: int, pixel_digests: Sequence[Sequence[str]]
) -> Sequence[StoreProblem]:
    by_plane = [
        _plane_problems(array, first + row, channel, digest)
        for row, digests in enumerate(pixel_digests)
        for channel, digest in enumerate(digests)
    ]
    if all(by_plane):  # its index is damaged, or it is lost; 64 lines would hide that
        where = f"{shard_key(first // FIELDS_PER_SHARD)} (fields {first} to {first + len(pixel_digests) - 1})"
        return [StoreProblem(where, f"every plane: {by_plane[0][0].problem}")]
    return [problem for problems in by_plane for problem in problems]


def _plane_problems(array: zarr.Array[Any], index: int, channel: int, digest: str) -> list[StoreProblem]:
    plane = f"{shard_key(index // FIELDS_PER_SHARD)} (field {index}, channel {channel})"
    pixels = _read(array, (index, channel))
    if isinstance(pixels, Exception):
        edge = chunk_edge(array.shape[-1])
        corners = [(y, x) for y in range(0, array.shape[2], edge) for x in range(0, array.shape[3], edge)]
        chunks = {
            (y // edge, x // edge): _read(array, (index, channel, slice(y, y + edge), slice(x, x + edge)))
            for y, x in corners
        }
        return [
            StoreProblem(f"{plane} chunk y {y}, x {x}", str(chunk))
            for (y, x), chunk in chunks.items()
            if isinstance(chunk, Exception)
        ] or [StoreProblem(plane, str(pixels))]
    if hashlib.sha256(pixels.data).hexdigest() != digest:
        return [StoreProblem(plane, "other pixels than those that were stored")]
    return []


def _read(array: zarr.Array[Any], selection: tuple[int | slice, ...]) -> Pixels | Exception:
    try:
        return np.ascontiguousarray(array[selection], dtype=np.uint8)
    except Exception as error:  # noqa: BLE001 - whatever damage makes zarr or its codecs raise is what is looked for
        return error
