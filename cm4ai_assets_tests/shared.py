"""Where the published inputs lie: the one place that says so.

They stand beside the checkout (../shared) and are no part of the project. A test that needs them asks for the fixture
`shared` or carries `needs_shared`; everything else lives on `fixtures/`. CM4AI_TESTS_SHARED names another folder; an
absent one shows what a clone on its own can test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CM4AI_TESTS_SHARED") or Path(__file__).resolve().parents[2] / "shared")
PROTOCOL = SHARED / "fixtures" / "protocol"
PUBLISHED_IMAGES = SHARED / "data" / "if_images"

ABSENT = "the published inputs (../shared beside the checkout) are not here"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=ABSENT)
