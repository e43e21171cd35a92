"""Work in threads: how many there may be, and results in order with bounded memory.

Belongs here: what every pass over images, blocks or cells shares. Does not belong here: what is done in them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_order(
    work: Callable[..., Result], calls: Iterable[tuple[Any, ...]], *, workers: int, window: int
) -> Generator[Result]:
    """Results in the order of the calls, with no more than `window` of them under way.

    Args:
        work: Called in a thread with each of `calls`. Its errors end the whole.
        calls: Arguments; taken as there is room.
        workers: Threads.
        window: Calls that are waiting, being worked on, or done and not yet taken.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="in-order") as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for call in calls:
                pending.append(pool.submit(work, *call))
                if len(pending) == window:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Cores that this process may use; not those of the machine, which in a container are more."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
