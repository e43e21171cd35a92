"""What a worker keeps open between tasks. Everything else of a cluster is held by the passes that go there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from cm4ai_assets.cluster import workers
from cm4ai_assets.cluster.workers import Terms, make
from cm4ai_assets.storage.store import Store

TERMS = Terms((), None)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """A worker that agrees with everybody."""
    monkeypatch.setattr(workers, "this_worker", lambda: TERMS)
    monkeypatch.setattr(workers, "store", lambda: store)


@dataclass(frozen=True)
class Slow:
    """Work that is opened slowly; the number of the opening is its result. The first fails, if that is asked for."""

    name: str
    opened: list[int] = field(default_factory=list, compare=False)
    at_once: threading.Barrier | None = field(default=None, compare=False)
    fails: bool = field(default=False, compare=False)

    def open(self, store: Store) -> Callable[..., int]:
        del store
        self.opened.append(len(self.opened))
        number = len(self.opened)
        if self.at_once is not None:
            with pytest.raises(threading.BrokenBarrierError):
                self.at_once.wait(0.2)  # nobody else comes

        def work(*_: object) -> int:
            if self.fails and number == 1:
                raise TimeoutError("the storage did not answer")
            return number

        return work


def test_work_is_opened_once_for_all_threads() -> None:
    slow = Slow("once", at_once=threading.Barrier(2))
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda number: make(TERMS, slow, ((number,),)), range(4)))
    assert results == [[1]] * 4


def test_work_that_has_failed_is_opened_anew() -> None:
    slow = Slow("failing", fails=True)
    with pytest.raises(TimeoutError):
        make(TERMS, slow, ((),))
    assert make(TERMS, slow, ((), ())) == [2, 2]
    assert make(TERMS, slow, ((),)) == [2]


def test_what_other_tasks_gave_comes_after_the_arguments_of_each_call() -> None:
    class Joining:
        def open(self, store: Store) -> Callable[..., tuple[object, ...]]:
            del store
            return lambda *all_of: all_of

    assert make(TERMS, Joining(), ((1, 2), (3, 4)), "also") == [(1, 2, "also"), (3, 4, "also")]
