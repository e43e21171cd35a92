"""`python -m cm4ai_assets.cli`: the same as `cm4ai`."""

from __future__ import annotations

import sys

from cm4ai_assets.cli import main

sys.exit(main())
