"""Cell Maps for AI releases as Dagster assets: from a DOI to verified, training-ready, traceable data.

>>> from cm4ai_assets import open_release
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cm4ai_assets.access import Release, open_release

__all__ = ["Release", "open_release"]


def __getattr__(name: str) -> object:
    """Load the public names when they are asked for: a download needs no table library."""
    if name in __all__:
        from cm4ai_assets import access  # noqa: PLC0415

        return getattr(access, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
