"""Shards on their way into the page cache before their fields are asked for.

Belongs here: when which shard is read ahead. Does not belong here: the order itself (`order`), or how a shard is read
(`reader`).

Fields of a window are read in random order, which a disk answers at half the rate of stored order. So one thread reads
the window's shards whole, one after the other, half a window before they are needed; what is in the page cache already
is left alone. Nothing is kept here: the memory is the system's page cache, and the system may take it back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from cm4ai_assets.heavy import np
from cm4ai_assets.loading.order import FieldOrder, Positions
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD


class ReadAhead:
    """Reads the shards of coming batches.

    Args:
        source: The fields.
        order: Their order; only a shuffle by shards is read ahead.
        batches: The batches that will be started, in order.
    """

    def __init__(self, source: FieldSource, order: FieldOrder, batches: Sequence[Positions]) -> None:
        self._source, self._threads = source, ThreadPoolExecutor(1, "cm4ai-ahead")
        self._reads: list[Future[None]] = []
        of_a_window = order.window * FIELDS_PER_SHARD / (order.batch_size * order.world_size)
        self._distance = max(1, round(of_a_window / 2))
        wanted = order.shuffle == "shards" and source.is_local
        self._first_uses = deque(_first_uses(source, batches) if wanted else ())

    def started(self, batch: int) -> None:
        """That many batches were started before: read what is first needed by those that come soon."""
        while self._first_uses and self._first_uses[0][0] <= batch + self._distance:
            _, position = self._first_uses.popleft()
            self._reads.append(self._threads.submit(self._source.read_ahead, position))

    def close(self) -> None:
        """Leave out what was not begun, and end the thread."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _first_uses(source: FieldSource, batches: Sequence[Positions]) -> list[tuple[int, int]]:
    """For each shard the first batch that needs it, with one of its fields there."""
    if not batches:
        return []
    positions = np.concatenate(batches)
    number = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    first = np.sort(np.unique(source.shards[positions], return_index=True)[1])
    return list(zip(number[first].tolist(), positions[first].tolist(), strict=True))
