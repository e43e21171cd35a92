"""`cm4ai status` waits for no library that it does not use: most of its time is spent on importing."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.status.statuses import store_with_a_lock

ARCHIVES = ("httpx2", "cm4ai_assets.transfer.http", "cm4ai_assets.archives.dataverse.client")
ARRAYS = ("numpy", "pyarrow", "zarr", "matplotlib", "PIL")
DEFINITIONS = ("cm4ai_assets.definitions", "cm4ai_assets.defs.publishing", "cm4ai_assets.platform")
CODE = """
import sys
from cm4ai_assets import cli
status = cli.main(["status", "--json"])
print([name for name in {unwanted!r} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("with_instance", [False, True])
def test_what_the_command_imports(*, with_instance: bool, store: Store, tmp_path: Path) -> None:
    store_with_a_lock(store)
    home = tmp_path / "home"
    (home / "history").mkdir(parents=True)
    unwanted = (*ARCHIVES, *ARRAYS, *DEFINITIONS, *(() if with_instance else ("dagster", "sqlalchemy")))
    settings = {
        "CM4AI_STORAGE": str(store.root),
        "CM4AI_SCRATCH": str(tmp_path / "scratch"),
        "DAGSTER_HOME": str(home if with_instance else tmp_path / "none"),
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(unwanted=unwanted)],
        env={**os.environ, **settings}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]"
    assert json.loads(done.stdout)["instance"] == (str(home) if with_instance else None)


def test_a_command_leaves_the_pace_of_collecting_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the command that is called like the module of Python's that sets it."""
    before = gc.get_threshold()
    with pytest.raises(SystemExit) as stopped:
        cli.main(["gc", "--help"])
    assert stopped.value.code == 0
    assert "usage: cm4ai gc" in capsys.readouterr().out
    assert gc.get_threshold() == before
