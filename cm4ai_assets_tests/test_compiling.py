"""Compiled loops: kept for the next process, and compiled all the same where nothing can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest

from cm4ai_assets import compiling
from cm4ai_assets.compiling import machine_code

_HITS = """
import numpy as np
from cm4ai_assets.images import counting
assert counting.histogram(np.arange(256, dtype=np.uint8)).tolist() == [1] * 256
print(sum(counting.compiled().stats.cache_hits.values()))
"""


def twice(value: int) -> int:
    return 2 * value


def test_the_next_process_finds_the_machine_code(tmp_path: Path) -> None:
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    hits = [
        int(subprocess.run([sys.executable, "-c", _HITS], check=True, capture_output=True, env=env).stdout)
        for _ in range(2)
    ]
    assert hits == [0, 1]


def test_where_no_folder_can_be_written_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(*loops: Callable[..., object], **options: bool) -> object:  # numba calls it for its own loops too
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(*loops, **options)

    plain = numba.njit
    monkeypatch.setattr(numba, "njit", njit)
    assert machine_code(twice)(np.int64(4)) == 8
    assert asked[:2] == [{"nogil": True, "cache": True}, {"nogil": True}]


def test_an_installed_package_keeps_it_in_the_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    assert Path(machine_code(twice).stats.cache_path).parent == Path(__file__).parent  # type: ignore[attr-defined]
    monkeypatch.setattr(compiling, "is_checkout", lambda: False)
    assert Path(machine_code(twice).stats.cache_path).is_relative_to(tmp_path / "cm4ai_assets/numba")  # type: ignore[attr-defined]
    assert numba.config.CACHE_DIR == ""
