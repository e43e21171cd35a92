"""Cell Maps for AI releases as Dagster assets: from a DOI to verified, training-ready, traceable data."""

from __future__ import annotations

__version__ = "0.1.0"
