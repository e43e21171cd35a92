from __future__ import annotations

from datetime import date

import pytest

from cm4ai_assets.crates import identifiers, values


def test_types_lose_the_namespaces_in_use_and_no_others() -> None:
    stated = ["EVI:Schema", "evi:Schema", "https://w3id.org/EVI#Dataset", "prov:Entity", "https://schema.org/Patient"]
    assert [identifiers.normalize_type(one) for one in stated] == ["Schema", "Schema", "Dataset", "Entity", "Patient"]
    assert identifiers.normalize_type("https://other.org/x#Y") == "https://other.org/x#Y"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-06-28", date(2025, 6, 28)),
        ("2026-05-22T13:23:35.699025+00:00", date(2026, 5, 22)),
        ("02/28/2025", date(2025, 2, 28)),
        ("6/23/2025", date(2025, 6, 23)),
        ("10/13/25", date(2025, 10, 13)),
        ("08-31-2023", date(2023, 8, 31)),
        ("31/08/2023", None),
        ("2025-02-30", None),
        ("٢٠٢٥-٠٦-٢٨", None),
        ("soon", None),
    ],
)
def test_dates(text: str, day: date | None) -> None:
    assert values.date_of(text) == day


@pytest.mark.parametrize("text", ["Embargoed", " embargoed until 2027", "EMBARGO", "Embargo: see the release page"])
def test_embargo_markers(text: str) -> None:
    assert values.is_embargo_marker(text)


@pytest.mark.parametrize(
    "text",
    ["https://host/embargoed.csv", "embargoes.csv", "Embargo lifted", "Embargo has ended.", "no longer embargoed"],
)
def test_what_is_no_embargo_marker(text: str) -> None:
    assert not values.is_embargo_marker(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sequences, embargoed until publication.",
        "EMBARGOED",
        "Not public and embargoed until 2027.",
        "These data were not released; embargoed.",
        "Formerly public reads are embargoed now.",
        "The first part is no longer embargoed, the second is embargoed until 2028.",
        "not only embargoed but restricted",
    ],
)
def test_embargoes_in_prose(text: str) -> None:
    assert values.says_embargoed(text)


@pytest.mark.parametrize(
    "text",
    [
        "Some data of the release are under embargo.",  # which is said of others
        "The data are no longer embargoed.",
        "This file is not embargoed.",
        "It is not currently embargoed",
        "never embargoed",
        "They aren't embargoed.",
        "non-embargoed controls",
        "previously embargoed sequences",
        "neither restricted nor embargoed",
        "The Embargoed period has ended.",
        "unembargoed",
    ],
)
def test_embargoes_that_prose_takes_back(text: str) -> None:
    assert not values.says_embargoed(text)
