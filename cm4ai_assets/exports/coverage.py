"""What of a release an export holds, and what it does not hold, with the reason.

Belongs here: kinds of data and their conditions, for README.md and the record. Does not belong here: the fields of a
condition that are left out (`selection.left_out`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.exports.parts import ALL, Covered
from cm4ai_assets.exports.selection import Selection, published_conditions
from cm4ai_assets.updates.availability import missing

IMAGES: Final = "images"
SECMS: Final = "SEC-MS"
SCREEN: Final = "Perturb-seq"
_TABLES_OF_IMAGES: Final = ("if_fields", "if_tensors")


def of_images(release: Release, selection: Selection, held: Collection[str]) -> Covered:
    """Images of some conditions."""
    return of_conditions(release, selection, IMAGES, _TABLES_OF_IMAGES, held)


def of_conditions(
    release: Release, selection: Selection, kind: str, tables: Sequence[str], held: Collection[str]
) -> Covered:
    """A kind of data of some conditions.

    Args:
        release: The release.
        selection: What was asked for.
        kind: What it is called.
        tables: What a condition needs.
        held: The conditions that are exported.
    """
    published = {table: published_conditions(release, table) for table in tables}

    def why(condition: Condition) -> str:
        if selection.conditions and condition not in selection.conditions:
            return "It was not chosen."
        lacking = next((table for table, found in published.items() if condition not in found), None)
        if lacking is None:
            return "Nothing of it is among what was chosen."
        return missing(release.store, lacking, release.key, condition).message

    absent = {str(condition): why(condition) for condition in Condition if condition not in held}
    return Covered(kind, tuple(str(condition) for condition in Condition if condition in held), absent)


def whole(kind: str, why_not: str = "") -> Covered:
    """A kind of data that is in an export as a whole, or is not, for a reason."""
    return Covered(kind, () if why_not else (ALL,), {ALL: why_not} if why_not else {})
