"""Work in threads: results in order, with as many under way as there may be."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from cm4ai_assets import threads
from cm4ai_assets.threads import cores, in_order


def test_results_come_in_the_order_of_the_calls_from_as_many_threads_as_asked_for() -> None:
    met = threading.Barrier(3, timeout=10)

    def work(number: int, name: str) -> tuple[int, str, str]:
        met.wait()
        time.sleep(0.001 * (number % 3))
        return number, name, threading.current_thread().name

    found = list(in_order(work, ((number, str(number)) for number in range(12)), workers=3, window=6))
    assert [(number, name) for number, name, _ in found] == [(number, str(number)) for number in range(12)]
    assert len({thread for _, _, thread in found}) == 3


@pytest.mark.parametrize("window", [1, 4])
def test_no_more_calls_are_taken_than_may_be_under_way(window: int) -> None:
    taken = 0

    def calls() -> Iterator[tuple[int]]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield (number,)

    for done, number in enumerate(in_order(int, calls(), workers=2, window=window)):
        assert number == done
        assert taken <= done + window


def test_an_error_ends_the_whole_and_what_waits_is_not_begun() -> None:
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise ValueError("two")
        time.sleep(0.01)
        return number

    with pytest.raises(ValueError, match="two"):
        list(in_order(work, ((number,) for number in range(100)), workers=1, window=50))
    assert len(begun) < 20
    assert not [one for one in threading.enumerate() if one.name.startswith("in-order")]


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {3, 5, 9}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == 64, "a system that does not say"
