"""Fields of view as a torch dataset, for torch's own DataLoader. Importing this module needs torch (extra: torch)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.utils.data import Dataset, get_worker_info

from cm4ai_assets.heavy import np
from cm4ai_assets.loading.order import FieldOrder
from cm4ai_assets.loading.source import FieldSource, Item


class FieldDataset(Dataset[dict[str, Any]]):
    """Fields of view with their pixels, read from the store when asked for.

    Works in a DataLoader however its workers are started. A DataLoader asks for whole batches (`__getitems__`), which
    threads then read; each worker process has its share of the cores. `FieldLoader` is faster, because nothing goes
    from process to process; the dataset is for what builds on torch's DataLoader.

    Args:
        source: The fields.
        threads: Threads that read a batch; see `ShardReader.default_threads`.
    """

    def __init__(self, source: FieldSource, *, threads: int | None = None) -> None:
        self.source, self._threads = source, threads
        self._executor: ThreadPoolExecutor | None = None
        self._owner = os.getpid()

    @property
    def items(self) -> tuple[Item, ...]:
        """The fields, in the order of the dataset."""
        return self.source.items

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._read(range(len(self))[index], _seed())

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Several fields, read at once by threads; a DataLoader asks for a batch so.

        Raises:
            TensorStoreError: A part of a store is missing or damaged.
        """
        positions = [range(len(self))[int(index)] for index in indices]
        if len(positions) == 1:
            return [self._read(positions[0], _seed())]
        return list(self._running().map(self._read, positions, [_seed() for _ in positions]))

    def order(self, batch_size: int, **settings: Any) -> FieldOrder:  # noqa: ANN401 - those of FieldOrder
        """An order for a DataLoader's `batch_sampler`: shuffled by shards, dealt out to ranks.

        Args:
            batch_size: Fields of a batch.
            settings: As `FieldOrder` takes them.
        """
        return FieldOrder(self.source.shards, batch_size, identity=self.source.identity, **settings)

    def _read(self, position: int, seed: int) -> dict[str, Any]:
        image = torch.empty(self.source.shape, dtype=getattr(torch, self.source.form.dtype))
        drawn = self.source.read_into(position, image.numpy(), (seed, position))
        described = self.source.described([position])
        item = {"image": image, **{name: _tensor(values[0]) for name, values in described.items()}}
        return item | ({"transform": {name: _tensor(value) for name, value in drawn.items()}} if drawn else {})

    def _running(self) -> ThreadPoolExecutor:
        if self._executor is None or self._owner != os.getpid():  # threads do not survive a fork
            worker = get_worker_info()
            threads = self._threads or self.source.default_threads(worker.num_workers if worker else 1)
            self._executor, self._owner = ThreadPoolExecutor(threads, "cm4ai-dataset"), os.getpid()
        return self._executor

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_executor": None}


def _seed() -> int:
    """From torch's own generator, which a DataLoader seeds anew in each worker and epoch."""
    return int(torch.randint(2**62, ()))


def _tensor(value: Any) -> Any:  # noqa: ANN401 - text stays text
    return torch.as_tensor(value) if isinstance(value, np.ndarray | np.generic) else value
