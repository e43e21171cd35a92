"""Zarr takes a chunk that is not there for a fill value: a store that refuses instead.

Belongs here: seeing at every read that the chunk exists. Does not belong here: sharded stores (`whole_shards`).
"""

from __future__ import annotations

from typing import Self

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer

from cm4ai_assets.errors import TensorStoreError
from cm4ai_assets.storage.whole import Judged

_CHUNKS = "/c/"


class WholeChunks(Judged):
    """A store, read only, in which a missing chunk is an error.

    Args:
        store: The store below.
        name: What errors call it.
    """

    def __init__(self, store: Store, *, name: str) -> None:
        super().__init__(store)
        self._name = name

    def _with_store(self, store: Store) -> Self:
        return type(self)(store, name=self._name)

    def _judged(self, key: str, byte_range: ByteRequest | None, data: Buffer | None) -> Buffer | None:
        del byte_range
        if data is None and _CHUNKS in key:
            raise TensorStoreError(
                f"{self._name}: the chunk {key} is missing.", remedy="Materialize perturb_targets again."
            )
        return data
