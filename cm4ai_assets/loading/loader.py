"""Batches at the speed of the cores: threads decode straight into the memory of a batch.

Belongs here: threads, prefetching, and what a batch consists of. Does not belong here: the order (`order`), a field's
pixels (`reader`), or torch's own DataLoader, for which `dataset` is.

No process is started and nothing is collated: what that costs, and why it is so, is in docs/decisions/0027.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypedDict

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.loading.ahead import ReadAhead
from cm4ai_assets.loading.memory import BatchMemory
from cm4ai_assets.loading.order import WINDOW, FieldOrder, Shuffle
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.loading.transforms import Drawn

Batch = dict[str, Any]


class LoaderSettings(TypedDict, total=False):
    """The settings of a `FieldLoader`, for what hands them on."""

    batch_size: int
    shuffle: Shuffle
    seed: int
    rank: int
    world_size: int
    drop_last: bool
    window: int
    threads: int | None
    prefetch: int
    pin_memory: bool
    tensors: bool | None


class FieldLoader:
    """Batches of fields of view, epoch after epoch. One pass at a time: a new one, or `close`, ends the one before.

    A pass that is broken off is followed by the next epoch, as a whole one is: see `order.FieldOrder`.

    A batch is a dictionary: `image` (batch, channel, y, x), uint8 unless the transform says otherwise; `position` (of
    the field in the source), `field_id`, `condition`, `antibody_id`; for each of the labels `{name}_label`; and under
    `transform` the parameters that the transform had for each image. Arrays are torch tensors where torch is installed.

    A batch's memory is used again only when nothing refers to the batch any more: see `memory`.

    Args:
        source: The fields.
        batch_size: Fields of a batch.
        shuffle: "shards", "full" or "none": see `order`.
        seed: Decides the order, and what random transforms draw.
        rank: Number of this process, from 0, where several read together.
        world_size: How many these are.
        drop_last: Leave out what does not fill a batch on every rank.
        window: Shards of a window of the shuffle.
        threads: Threads that read and decode; see `ShardReader.default_threads`.
        prefetch: Batches that are prepared while the consumer works on one.
        pin_memory: Give page-locked memory, from which a GPU copies without waiting. Without CUDA it does nothing.
        tensors: Give torch tensors (True) or numpy arrays (False); torch where it is installed, if not said.

    Raises:
        ConfigurationError: A number makes no sense, or not a single batch comes of the fields.
    """

    def __init__(
        self,
        source: FieldSource,
        *,
        batch_size: int = 32,
        shuffle: Shuffle = "shards",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        window: int = WINDOW,
        threads: int | None = None,
        prefetch: int = 2,
        pin_memory: bool = False,
        tensors: bool | None = None,
    ) -> None:
        self.source = source
        self.order = FieldOrder(
            source.shards, batch_size, shuffle, window, seed, rank, world_size, drop_last, source.identity
        )
        self.threads = source.default_threads() if threads is None else max(1, threads)
        self._prefetch = max(0, prefetch)
        self._tensors = importlib.util.find_spec("torch") is not None if tensors is None else tensors
        self._pinned = pin_memory and self._tensors and _has_cuda()
        self._memory = BatchMemory()
        self._executor: ThreadPoolExecutor | None = None
        self._owner, self._passes = os.getpid(), 0

    def __len__(self) -> int:
        """Batches of an epoch, on each rank."""
        return len(self.order)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of an epoch; after `load_state_dict` those that are left of it.

        Raises:
            TensorStoreError: A part of a store is missing or damaged. Nothing more is read.
            ConfigurationError: Another pass has begun since, or the loader was closed.
        """
        self._passes += 1
        this = self._passes
        batches, epoch = self.order.begin(), self.order.epoch
        todo, ahead = iter(enumerate(batches)), ReadAhead(self.source, self.order, batches)
        under_way: deque[_Started] = deque()
        try:
            while True:
                if this != self._passes:
                    raise ConfigurationError(
                        "This pass is over: another one has begun since, or the loader was closed.",
                        remedy="Read one epoch at a time, or make a loader for each.",
                    )
                while len(under_way) <= self._prefetch and (coming := next(todo, None)) is not None:
                    number, positions = coming
                    ahead.started(number)
                    under_way.append(self._start(positions.tolist(), epoch))
                if not under_way:
                    return
                # In a list, which is empty when the consumer asks for more: this frame must not keep the batch alive.
                ready = [under_way.popleft().finished(self.source, tensors=self._tensors)]
                self.order.advance()
                yield ready.pop()
        finally:
            ahead.close()
            for started in under_way:
                started.cancel()

    def set_epoch(self, epoch: int) -> None:
        """Read that epoch next, from its beginning. Epochs follow each other even if nobody says so."""
        self.order.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, after the batch that it gave last. Any rank can load it; JSON can hold it."""
        return self.order.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the last batch that another loader of the same fields and settings gave.

        Raises:
            ConfigurationError: It had other fields or settings.
        """
        self.order.load_state_dict(state)

    def close(self) -> None:
        """End the threads, and a pass that is under way. Iterating again starts new ones."""
        self._passes += 1
        if self._executor is not None and self._owner == os.getpid():
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_executor": None, "_memory": BatchMemory()}

    def _start(self, positions: list[int], epoch: int) -> _Started:
        images, whole = self._room(len(positions))
        threads = self._running()
        # Stored order: what stands next to each other in a shard is read one after the other.
        places = sorted(range(len(positions)), key=lambda place: self.source.place(positions[place]))
        started = _Started(positions, whole, places)

        def read(place: int) -> Drawn:
            position = positions[place]
            return self.source.read_into(position, images[place], (self.order.seed, epoch, position))

        started.reads = [threads.submit(started.work, read) for _ in range(min(self.threads, len(positions)))]
        return started

    def _room(self, fields: int) -> tuple[npt.NDArray[Any], Any]:
        """Memory for a batch, as numpy sees it and as it is given."""
        shape, dtype = (fields, *self.source.shape), self.source.form.dtype
        if not self._pinned:
            lent = self._memory.lend(shape, dtype)
            return lent, lent
        import torch  # noqa: PLC0415 - torch is optional

        # torch keeps page-locked memory for itself, and knows which of it a GPU is still copying from: we do not.
        pinned = torch.empty(shape, dtype=getattr(torch, dtype), pin_memory=True)
        return pinned.numpy(), pinned

    def _running(self) -> ThreadPoolExecutor:
        if self._executor is None or self._owner != os.getpid():  # threads do not survive a fork
            self._executor, self._owner = ThreadPoolExecutor(self.threads, "cm4ai-loader"), os.getpid()
        return self._executor


class _Started:
    """A batch that threads are reading: each takes field after field, which costs less than a future for each."""

    def __init__(self, positions: list[int], image: Any, places: Sequence[int]) -> None:  # noqa: ANN401
        self._positions, self._image, self._left = positions, image, deque(places)
        self._drawn: list[Drawn] = [{} for _ in positions]
        self.reads: list[Future[None]] = []

    def work(self, read: Callable[[int], Drawn]) -> None:
        """Read fields until none is left. After an error nobody goes on."""
        try:
            while (place := self._next()) is not None:
                self._drawn[place] = read(place)
        except BaseException:
            self._left.clear()
            raise

    def _next(self) -> int | None:
        try:
            return self._left.popleft()
        except IndexError:  # another thread took the last one
            return None

    def finished(self, source: FieldSource, *, tensors: bool) -> Batch:
        """The batch, as soon as all of it is there. What a read raised is raised here."""
        try:
            for read in self.reads:
                read.result()
        except BaseException:
            self.cancel()
            raise
        batch = {"image": self._image, **source.described(self._positions)}
        if self._drawn[0]:
            batch["transform"] = {name: np.stack([one[name] for one in self._drawn]) for name in self._drawn[0]}
        return _with_tensors(batch) if tensors else batch

    def cancel(self) -> None:
        """Leave out what no thread has begun."""
        self._left.clear()
        for read in self.reads:
            read.cancel()


def _with_tensors(batch: Batch) -> Batch:
    import torch  # noqa: PLC0415 - torch is optional

    def tensor(value: Any) -> Any:  # noqa: ANN401 - what is no array stays what it is
        if isinstance(value, dict):
            return {name: tensor(one) for name, one in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    return {name: tensor(value) for name, value in batch.items()}


def _has_cuda() -> bool:
    import torch  # noqa: PLC0415 - torch is optional

    return bool(torch.cuda.is_available())
