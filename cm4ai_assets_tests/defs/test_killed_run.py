"""A run that is killed leaves nothing that looks complete, and the next one goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets_tests.defs.conftest import RELEASE

IMAGES = ["--condition", "untreated", "--select", "key:release_files or group:images"]
WORDS = [sys.executable, "-m", "cm4ai_assets.cli", "materialize", "--release", RELEASE, *IMAGES]


def test_kill_in_the_middle_of_the_pixel_pass(archive: SandboxServer, tmp_path: Path) -> None:
    environ = {
        **os.environ,
        "CM4AI_DATAVERSE_URL": archive.url,
        "CM4AI_STORAGE": str(tmp_path / "storage"),
        "CM4AI_SCRATCH": str(tmp_path / "scratch"),
        "DAGSTER_HOME": str(tmp_path / "home"),
    }
    storage = tmp_path / "storage"
    process = subprocess.Popen(WORDS, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(storage.glob(".staging/*/pass/tensor.zarr")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(storage.glob(".staging/*/pass")), "the run was over before it was killed"
    assert not (storage / "tensors").exists()
    assert not (storage / "tables" / "if_fields").exists()

    again = subprocess.run(WORDS, env=environ, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert list(storage.glob("tensors/if_tensors/*.zarr/zarr.json"))
    assert list(storage.glob(".staging/*")) == []
    fetched = [record for record in archive.log if "/access/datafile/" in record.path]
    assert len(fetched) == 1
