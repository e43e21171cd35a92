"""Treatment conditions: the one place where the spellings in the wild become the three names of the contract.

Belongs here: the vocabulary and its mapping. Does not belong here: how a file name or a manifest row is split into
parts (`images.names`, `archives.dataverse.recognition`).
"""

from __future__ import annotations

from enum import StrEnum

from cm4ai_assets.errors import UnknownTreatmentError, nearest


class Condition(StrEnum):
    """A treatment of MDA-MB-468 cells, as it stands in partition keys, paths and tables."""

    UNTREATED = "untreated"
    PACLITAXEL = "paclitaxel"
    VORINOSTAT = "vorinostat"


CONDITIONS: tuple[Condition, ...] = tuple(Condition)

# Spellings seen in published file names, crates, tables and tutorials. DMSO is the vehicle control; "treatment-control"
# is how the 2025 crates name the untreated cells.
_SPELLINGS: dict[Condition, tuple[str, ...]] = {
    Condition.UNTREATED: ("untreated", "control", "ctrl", "dmso", "treatment-control", "no treatment", "vehicle"),
    Condition.PACLITAXEL: ("paclitaxel", "ptxl", "ptx", "taxol", "treatment-paclitaxel"),
    Condition.VORINOSTAT: ("vorinostat", "vrst", "vor", "saha", "treatment-vorinostat"),
}
_BY_SPELLING = {spelling: condition for condition, spellings in _SPELLINGS.items() for spelling in spellings}


def condition_of(label: str) -> Condition:
    """The condition that a treatment label means, whatever its case and surrounding blanks.

    Raises:
        UnknownTreatmentError: No rule maps the label. It is not guessed from its likeness to a known one.

    >>> condition_of("PTXL")
    <Condition.PACLITAXEL: 'paclitaxel'>
    """
    try:
        return _BY_SPELLING[label.strip().lower().replace("_", "-")]
    except KeyError:
        raise UnknownTreatmentError(
            f"Treatment {label!r} is not known.",
            remedy=f"{nearest(label, _BY_SPELLING)} Known spellings: {', '.join(sorted(_BY_SPELLING))}."
            " Add a new one in cm4ai_assets/conditions.py.",
        ) from None


def condition_or_none(label: str) -> Condition | None:
    """Like `condition_of`, with None for an unknown label: for tables, where unknown is null."""
    try:
        return condition_of(label)
    except UnknownTreatmentError:
        return None
