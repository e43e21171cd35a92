"""What marks a folder outside the storage as one that was made here: names that its writers and its readers share."""

from __future__ import annotations

from typing import Final

EXPORT_RECORD: Final = "cm4ai-export.json"
"""The record of an export, at the top of its folder."""

BAG: Final = "bagit.txt"
"""The declaration of a published folder, which is a bag (RFC 8493)."""

PAYLOAD: Final = "data"
"""The part of a bag that is delivered. It has the layout of a storage, and its records."""
