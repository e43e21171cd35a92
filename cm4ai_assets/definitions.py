"""What Dagster loads. Belongs here: loading it fast. Does not belong here: what it is made of (`defs.assembly`)."""

from __future__ import annotations

from cm4ai_assets.cycles import made_to_stay

with made_to_stay():
    from cm4ai_assets.defs.assembly import build

    defs = build()

__all__ = ["build", "defs"]
