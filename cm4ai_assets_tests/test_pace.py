"""What the suite does to be quick holds, and what it says of itself is so."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import create_engine, text

from cm4ai_assets_tests import pace


def test_processes_that_tests_start_keep_what_they_compile() -> None:
    said = [sys.executable, "-c", "import sys; print(sys.dont_write_bytecode)"]
    assert subprocess.run(said, capture_output=True, text=True, check=True).stdout == "False\n"
    assert not sys.dont_write_bytecode


def test_a_disk_is_not_waited_for_and_a_closed_file_is_refused(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(descriptor)
    engine = create_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 0
    engine.dispose()
    with sqlite3.connect(tmp_path / "one.db") as plain:
        assert plain.execute("PRAGMA synchronous").fetchone() == (2,), "elsewhere it is as it was"


def test_rubbish_is_still_collected_but_seldom_and_not_among_what_is_imported() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 100_000
    assert gc.get_threshold()[0] > 10_000


def test_long_modules_go_first_and_each_keeps_its_order() -> None:
    long = list(pace.SECONDS)[:2]
    names = ("test_plain.py", long[1], long[0], long[1], pace.FORKING[0])
    items = [SimpleNamespace(path=pace.TESTS / name) for name in names]
    ordered = items.copy()
    pace.longest_first(cast("list[pytest.Item]", ordered))
    assert ordered == [items[4], items[2], items[1], items[3], items[0]]


def test_what_is_slow_is_left_out_where_that_is_asked_for_and_nothing_else() -> None:
    asked = "-m pytest --collect-only -p no:cacheprovider test_pace.py transfer/test_drips.py"
    words = [sys.executable, *asked.split()]
    chosen = {
        marks: subprocess.run([*words, *marks], cwd=pace.TESTS, capture_output=True, text=True, check=False).stdout
        for marks in ((), ("-m", "not slow"))
    }
    assert "transfer/test_drips.py::" in chosen[()]
    assert "transfer/test_drips.py::" not in chosen["-m", "not slow"]
    assert all("test_pace.py::" in found for found in chosen.values())


def test_a_module_whose_time_is_named_exists_and_longer_ones_are_named_first() -> None:
    assert [name for name in (*pace.FORKING, *pace.SECONDS) if not (pace.TESTS / name).is_file()] == []
    assert list(pace.SECONDS.values()) == sorted(pace.SECONDS.values(), reverse=True)


def test_what_is_written_into_a_shared_folder_is_seen(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("only")
    before = pace.stamps(tmp_path)
    assert before.keys() == {"read"}
    (tmp_path / "more").touch()
    assert pace.stamps(tmp_path) != before
    (tmp_path / "more").unlink()
    assert pace.stamps(tmp_path) == before
    (tmp_path / "read").write_text("ONLY")
    assert pace.stamps(tmp_path) != before


def test_the_order_is_not_undone(pytestconfig: pytest.Config) -> None:
    assert not getattr(pytestconfig.option, "loadscopereorder", False)
