"""Where a run is between its launch and its first step: in a queue of Redis, with a worker, or nowhere.

Belongs here: asking Redis and the workers, and the answer in a sentence. Does not belong here: handing runs out
(`workers`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cm4ai_assets.defs.broker import START

if TYPE_CHECKING:
    from celery import Celery

_REPLY = 1.0  # seconds in which a worker answers


def takers(app: Celery, queue: str) -> list[str]:
    """The workers that take runs from a queue, busy or not."""
    answers = app.control.inspect(timeout=_REPLY).active_queues() or {}
    return sorted(worker for worker, queues in answers.items() if queue in {one["name"] for one in queues})


def withdraw(app: Celery, task: str, queue: str) -> bool:
    """Take a run out of its queue; False if it does not wait there (any more)."""
    with _redis(app, queue) as (redis, keys):
        return any(redis.lrem(key, 1, message) for key in keys for message in _messages(redis, key, task))


def whereabouts(app: Celery, task: str, queue: str) -> str:
    """Where a run is that was launched and has not started, and what helps."""
    with _redis(app, queue) as (redis, keys):
        waits = any(True for key in keys for _message in _messages(redis, key, task))
    workers = takers(app, queue)
    if waits and not workers:
        return nobody_takes(queue)
    if waits:
        return (
            f"It waits in the queue `{queue}`, whose workers are busy: {', '.join(workers)}. Start more of them, or "
            "set CM4AI_RUNS to the number of runs that they take at once."
        )
    held = [worker for worker, tasks in (app.control.inspect(timeout=_REPLY).query_task(task) or {}).items() if tasks]
    if held:
        return f"The worker {', '.join(held)} has it."
    return (
        f"It is not in the queue `{queue}`, and no worker has it: Redis was emptied or restarted, or the worker ended. "
        "Launch it again."
    )


def nobody_takes(queue: str) -> str:
    """What a run waits for that no worker will take."""
    named = "" if queue == "runs" else f" --queue {queue}"
    return f"It waits in the queue `{queue}`, and no worker takes runs from there. Start one: `{START}{named}`."


@contextmanager
def _redis(app: Celery, queue: str) -> Iterator[tuple[Any, list[str]]]:
    """The client of the broker, and the lists of a queue: one for each priority."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        yield channel.client, [f"{queue}{channel.sep}{step}" if step else queue for step in channel.priority_steps]


def _messages(redis: Any, key: str, task: str) -> Iterator[bytes]:  # noqa: ANN401 - redis-py's client
    for message in redis.lrange(key, 0, -1):
        if json.loads(message)["headers"]["id"] == task:
            yield message
