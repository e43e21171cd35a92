"""What the protocol promises, by files and by a database alike."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cm4ai_assets.coordination import Coordination, Files, Postgres, among, machines
from cm4ai_assets.coordination.protocol import Record

IN_A_PROCESS = """
import sys, time
from pathlib import Path
from cm4ai_assets.coordination import Files, Postgres
where, action, *names = sys.argv[1:]
agreed = Postgres(where, grace=0.0) if where.startswith("postgresql:") else Files(Path(where))
with agreed.mark(names[0]) if action == "mark" else agreed.hold(names):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["files", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "agreed") if request.param == "files" else request.getfixturevalue("database")


@pytest.fixture
def agreed(where: str) -> Coordination:
    return by(where)


def by(where: str) -> Coordination:
    """What another process would have."""
    return Postgres(where, grace=0.0) if where.startswith("postgresql:") else Files(Path(where))


@pytest.fixture
def other(where: str) -> Callable[..., subprocess.Popen[str]]:
    """Another process that does something and stays."""

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", IN_A_PROCESS, where, *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    return start


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_name_is_held_by_one_process_and_free_when_it_dies(
    agreed: Coordination, other: Callable[..., subprocess.Popen[str]]
) -> None:
    process, waited = other("hold", "a"), list[str]()
    with agreed.hold(["b"], patience=0) as name:
        assert name == "b"
    with pytest.raises(TimeoutError, match=r"a in .* is held by another process"), agreed.hold(["a"], patience=0):
        pytest.fail("it is held")
    with agreed.hold(["a", "b"], patience=0) as name:
        assert name == "b"
    threading.Timer(0.5, kill, [process]).start()
    with agreed.hold(["a"], patience=20, waiting=lambda: waited.append("waited")):
        assert waited == ["waited"]
    with agreed.hold(["a"], patience=0):
        pass


def test_threads_of_one_process_exclude_each_other_too(agreed: Coordination) -> None:
    inside, most = [0], [0]
    guard = threading.Lock()

    def work(_: int) -> None:
        with agreed.hold(["slot.0", "slot.1"]):
            with guard:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            with guard:
                inside[0] -= 1

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    assert most == [2]


def test_a_record_is_changed_by_one_at_a_time(agreed: Coordination, where: str) -> None:
    assert agreed.read("h")[0] == {}

    def counted(record: Record, now: float) -> Record:
        assert abs(now - time.time()) < 60
        time.sleep(0.01)
        return {"count": record.get("count", 0) + 1}

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: by(where).change("h", counted), range(12)))
    assert agreed.read("h")[0] == {"count": 12}
    assert agreed.read("other")[0] == {}


def test_a_change_that_fails_changes_nothing(agreed: Coordination) -> None:
    agreed.change("h", lambda _record, _now: {"x": 1})
    with pytest.raises(ZeroDivisionError):
        agreed.change("h", lambda _record, _now: {"x": 1 / 0})
    assert agreed.change("h", lambda record, _now: record)[0] == {"x": 1}


def test_a_mark_is_lost_when_its_process_is_killed_and_not_when_it_is_over(
    agreed: Coordination, other: Callable[..., subprocess.Popen[str]]
) -> None:
    process = other("mark", "run-1")
    with agreed.mark("run-2"):
        assert agreed.lost() == []
    assert agreed.lost() == []
    kill(process)
    assert _lost(agreed) == ["run-1"]
    agreed.forget("run-1")
    assert agreed.lost() == []


def _lost(agreed: Coordination) -> list[str]:
    """The server frees the locks of a process a moment after its end."""
    for _ in range(100):
        if found := agreed.lost():
            return found
        time.sleep(0.05)
    return []


def test_a_mark_goes_when_its_work_fails(agreed: Coordination) -> None:
    with pytest.raises(ZeroDivisionError), agreed.mark("run-1"):
        raise ZeroDivisionError
    assert agreed.lost() == []


def test_the_database_is_chosen_by_the_setting(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CM4AI_DATABASE", raising=False)
    assert machines() is None
    assert isinstance(among(tmp_path), Files)
    monkeypatch.setenv("CM4AI_DATABASE", database)
    assert isinstance(among(tmp_path), Postgres)
    assert machines() is among(tmp_path)
