from __future__ import annotations

import pytest

from cm4ai_assets.conditions import Condition, condition_of, condition_or_none
from cm4ai_assets.errors import UnknownTreatmentError


@pytest.mark.parametrize(
    ("label", "condition"),
    [
        ("untreated", Condition.UNTREATED),
        ("control", Condition.UNTREATED),
        ("CTRL", Condition.UNTREATED),
        ("DMSO", Condition.UNTREATED),
        ("treatment-control", Condition.UNTREATED),
        ("Paclitaxel", Condition.PACLITAXEL),
        ("PTXL", Condition.PACLITAXEL),
        (" VRST ", Condition.VORINOSTAT),
        ("Vorinostat", Condition.VORINOSTAT),
    ],
)
def test_the_spellings_in_the_wild(label: str, condition: Condition) -> None:
    assert condition_of(label) is condition


@pytest.mark.parametrize("label", ["", "doxorubicin", "paclitaxe", "untreated2"])
def test_an_unknown_treatment_is_reported_not_guessed(label: str) -> None:
    assert condition_or_none(label) is None
    with pytest.raises(UnknownTreatmentError, match=r"is not known.*conditions\.py"):
        condition_of(label)
