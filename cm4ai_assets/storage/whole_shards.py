"""Zarr takes what is not there for zeros: a store that refuses instead.

Belongs here: seeing, at every read, that a shard exists and that its index knows every chunk it should hold. Does not
belong here: what a tensor store consists of (`storage.tensors`), and whether all of one is there before it is opened.

An index is read once for each time that the array is opened. A chunk is closed by its own checksum: an index that no
longer fits is noticed.

Zarr's rule is right for arrays that are written sparsely. Ours never are: a black field is stored as a black field. So
a shard that was lost after the array was opened, and an index that says "no chunk here", are damage.
"""

from __future__ import annotations

from typing import Self

from zarr.abc.store import ByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.storage.shard_index import CHECKSUM, full_entries, index_size
from cm4ai_assets.storage.shard_names import IMAGE, Sharded
from cm4ai_assets.storage.whole import Judged


class WholeShards(Judged):
    """A store of one sharded array, read only, in which a missing shard or chunk is an error.

    Args:
        store: The store below.
        name: What errors call it.
        fields: Rows of the array.
        chunks_per_field: Inner chunks of one field.
        kind: What the array is.
    """

    def __init__(self, store: Store, *, name: str, fields: int, chunks_per_field: int, kind: Sharded = IMAGE) -> None:
        super().__init__(store)
        self._kind = kind
        self._name, self._fields, self._chunks_per_field = name, fields, chunks_per_field
        self._indexes: dict[tuple[str, int], Buffer] = {}

    def _with_store(self, store: Store) -> Self:
        chunks = self._chunks_per_field
        return type(self)(store, name=self._name, fields=self._fields, chunks_per_field=chunks, kind=self._kind)

    def _known(self, key: str, byte_range: ByteRequest | None) -> Buffer | None:
        # zarr asks for the index before each read: far away that is half of the requests
        return self._indexes.get((key, byte_range.suffix)) if isinstance(byte_range, SuffixByteRequest) else None

    def _judged(self, key: str, byte_range: ByteRequest | None, data: Buffer | None) -> Buffer | None:
        shard = self._kind.number(key)
        if shard is None:
            return data
        if data is None:
            raise TensorStoreError(f"{self._name}: the shard {key} is missing.", remedy=self._kind.remedy)
        if byte_range is None or isinstance(byte_range, SuffixByteRequest):
            self._see_that_index_is_full(shard, data)
        if isinstance(byte_range, SuffixByteRequest):
            self._indexes[key, byte_range.suffix] = data
        return data

    def _see_that_index_is_full(self, shard: int, data: Buffer) -> None:
        chunks = self._chunks_per_field
        index = data.to_bytes()[-index_size(chunks) : -CHECKSUM]
        full_entries(index, name=self._name, shard=shard, fields=self._fields, chunks_per_field=chunks, kind=self._kind)
