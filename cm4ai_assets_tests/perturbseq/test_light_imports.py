"""What only the pass needs is imported by the pass alone: whoever loads the definitions does not wait for it."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("numba", "scipy", "anndata", "zarr", "torch")


def test_nothing_slow_is_imported_before_a_pass() -> None:
    code = (
        "import sys, cm4ai_assets.perturbseq.profiles, cm4ai_assets.perturbseq.pseudobulk; "
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
