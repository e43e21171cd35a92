"""A zarr store over another one, whatever way zarr reads by: each passes one judgement.

Belongs here: the ways of reading. Zarr reads arrays by one method in 3.1 and by three in 3.4, and the wrapper that it
offers hands each to the store below, past whoever overrides `get` alone. Does not belong here: what is judged
(`whole_shards`, `whole_chunks`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from cm4ai_assets.errors import TensorStoreError


class Judged(WrapperStore[Store]):
    """A store, read only, that judges all that is read of the one below."""

    @abstractmethod
    def _judged(self, key: str, byte_range: ByteRequest | None, data: Buffer | None) -> Buffer | None:
        """What is given out in place of `data`, which the store below has there.

        Raises:
            TensorStoreError: It may not be missing, or not be like this.
        """

    def _known(self, key: str, byte_range: ByteRequest | None) -> Buffer | None:
        """What need not be read again; None where it has to be."""
        del key, byte_range
        return None

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """See `zarr.abc.store.Store.get`, and `_judged`."""
        if (known := self._known(key, byte_range)) is not None:
            return known
        return self._judged(key, byte_range, await self._store.get(key, prototype, byte_range))

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """See `zarr.abc.store.SupportsGetSync`, and `_judged`."""
        below: Any = self._store
        if (known := self._known(key, byte_range)) is not None:
            return known
        return self._judged(key, byte_range, below.get_sync(key, prototype=prototype, byte_range=byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """See `zarr.abc.store.Store.get_partial_values`, and `_judged`."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[ByteRequest | None], **options: object
    ) -> AsyncIterator[Sequence[tuple[int, Buffer | None]]]:
        """See `zarr.abc.store.Store.get_ranges`, and `_judged`: of a group of errors, ours."""
        plain: Any = super(WrapperStore, self)  # which reads by `get`
        try:
            async for group in plain.get_ranges(key, byte_ranges, **options):
                yield group
        except BaseExceptionGroup as errors:
            ours: BaseException | None = errors.subgroup(TensorStoreError)
            while isinstance(ours, BaseExceptionGroup):
                ours = ours.exceptions[0]
            raise ours or errors from None

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for request in requests:
            yield request[0], await self.get(*request)
