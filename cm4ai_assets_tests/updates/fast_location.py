"""The platform of the environment with a sensor that ticks every second, as a code location for a real daemon."""

from __future__ import annotations

from cm4ai_assets.definitions import build

defs = build(tick_seconds=1)
