"""Cell Maps for AI releases as Dagster assets: from a DOI to verified, training-ready, traceable data."""

from __future__ import annotations

from cm4ai_assets.access import Release, open_release

__all__ = ["Release", "open_release"]
