"""A download needs no table library: importing one costs more memory and time than a small file."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["transfer.acquire", "archives.dataverse.acquire", "storage.blobs"])
def test_what_a_download_imports(module: str) -> None:
    heavy = ("polars", "pyarrow", "zarr", "dagster")
    code = f"import sys, cm4ai_assets.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
