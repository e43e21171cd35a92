"""What Dagster loads. Belongs here: loading it fast. Does not belong here: what it is made of (`defs.assembly`)."""

from __future__ import annotations

from cm4ai_assets.cycles import seldom_collecting

with seldom_collecting():
    from cm4ai_assets.defs.assembly import build

    defs = build()

__all__ = ["build", "defs"]
