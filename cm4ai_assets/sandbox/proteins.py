"""What an antibody lights up: a mixture of structures, decided by its label, that shifts under treatment.

Belongs here: localisation by label. Does not belong here: how structures look (`stamps`).
"""

from __future__ import annotations

from cm4ai_assets.conditions import Condition
from cm4ai_assets.sandbox import seeds
from cm4ai_assets.sandbox.plates import NEGATIVE

# Main localisation, how often it is drawn (roughly as in the Human Protein Atlas), and where it moves under stress.
_LOCALISATIONS: dict[str, tuple[int, str]] = {
    "nucleoplasm": (22, "cytosol"),
    "cytosol": (20, "nucleoplasm"),
    "vesicles": (12, "cytosol"),
    "mitochondria": (9, "cytosol"),
    "membrane": (8, "vesicles"),
    "golgi": (7, "vesicles"),
    "nucleoli": (7, "nucleoplasm"),
    "er": (6, "vesicles"),
    "speckles": (4, "nucleoplasm"),
    "nuclear_membrane": (3, "nucleoplasm"),
    "microtubules": (2, "cytosol"),
}
_MOVES = {Condition.UNTREATED: 0.0, Condition.PACLITAXEL: 0.55, Condition.VORINOSTAT: 0.35}
_RESPONDING = 0.4  # share of the antibodies whose protein moves at all under a treatment


def localisation(label: str) -> str:
    """Where the protein of an antibody mainly is in untreated cells."""
    ticket = seeds.number("localisation", label) % sum(weight for weight, _ in _LOCALISATIONS.values())
    for name, (weight, _) in _LOCALISATIONS.items():
        ticket -= weight
        if ticket < 0:
            return name
    raise AssertionError(ticket)


def mixture(label: str, condition: Condition) -> dict[str, float]:
    """Structure to brightness, for an antibody in cells of a condition. A control lights up next to nothing.

    >>> mixture("NEGATIVE", Condition.UNTREATED)
    {'cytosol': 0.06}
    """
    if NEGATIVE in label:
        return {"cytosol": 0.06}  # what secondary antibodies leave behind
    main = localisation(label)
    strength = 0.45 + 0.5 * seeds.unit("strength", label)
    moved = _MOVES[condition] if seeds.unit("responds", label, condition) < _RESPONDING else 0.0
    mixed = {main: strength * (1 - moved)}
    refuge = _LOCALISATIONS[main][1]
    background = 0.05 + 0.12 * seeds.unit("background", label)
    for name, amount in ((refuge, strength * moved), ("cytosol", background)):
        if amount:
            mixed[name] = mixed.get(name, 0.0) + amount
    return mixed
