from __future__ import annotations

import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.releases import ReleaseKey, assign_key, newest, release_month

JUNE = "Cell Maps for Artificial Intelligence - June 2025 Data Release (Beta)"
F3TD5R, OTHER = "doi:10.18130/V3/F3TD5R", "doi:10.18130/V3/ABCDEF"


@pytest.mark.parametrize(
    ("title", "published", "month"),
    [
        (JUNE, date(2025, 7, 1), "2025-06"),
        ("Cell Maps - OCTOBER 2025 Data Release", date(2025, 10, 31), "2025-10"),
        ("Cell maps without a month", date(2024, 5, 9), "2024-05"),
        ("Mayor 2025 of the cells", date(2024, 5, 9), "2024-05"),
    ],
)
def test_the_month_comes_from_the_title_else_from_the_publication(title: str, published: date, month: str) -> None:
    assert release_month(title, published) == month


def test_a_release_gets_the_key_of_its_month_and_version() -> None:
    assert assign_key(F3TD5R, JUNE, date(2025, 7, 1), major=2, minor=1, taken={}) == "2025-06-v2.1"


def test_a_second_dataset_of_the_month_gets_its_doi_in_the_key_and_the_first_keeps_the_plain_one() -> None:
    taken = {"2025-06-v2.1": F3TD5R}
    assert assign_key(OTHER, JUNE, date(2025, 7, 9), major=2, minor=1, taken=taken) == "2025-06-ABCDEF-v2.1"
    assert assign_key(F3TD5R, JUNE, date(2025, 7, 1), major=2, minor=1, taken=taken) == "2025-06-v2.1"


def test_a_key_never_means_two_datasets() -> None:
    taken = {"2025-06-v2.1": F3TD5R, "2025-06-ABCDEF-v2.1": "doi:10.18130/V4/ABCDEF"}
    with pytest.raises(ReleaseKeyError, match="cannot also mean"):
        assign_key(OTHER, JUNE, date(2025, 7, 9), major=2, minor=1, taken=taken)


@given(
    st.builds(
        ReleaseKey,
        month=st.dates(date(2020, 1, 1), date(2099, 1, 1)).map(lambda day: f"{day:%Y-%m}"),
        suffix=st.one_of(st.just(""), st.from_regex(r"[A-Z0-9]{6}", fullmatch=True)),
        major=st.integers(0, 99),
        minor=st.integers(0, 99),
    )
)
def test_keys_survive_the_round_trip(key: ReleaseKey) -> None:
    assert ReleaseKey.parse(str(key)) == key


@given(st.text())
def test_what_is_not_a_key_is_refused(text: str) -> None:
    try:
        assert str(ReleaseKey.parse(text)) == text
    except ReleaseKeyError as error:
        assert "cm4ai releases" in str(error)  # noqa: PT017 - either outcome is fine, a crash is not


@pytest.mark.parametrize("text", ["../2025-06-v2.1", "2025-06-v2.1/..", "2025-13-v1.0", "2025-06", "a|2025-06-v2.1"])
def test_keys_cannot_be_paths_or_partition_keys(text: str) -> None:
    with pytest.raises(ReleaseKeyError):
        ReleaseKey.parse(text)


def test_the_newest_is_by_month_then_by_version_number_not_by_text() -> None:
    keys = ["2025-06-v2.1", "2025-06-v10.0", "2026-06-v1.0", "2026-06-v2.0", "2025-10-v2.1"]
    random.Random(1).shuffle(keys)
    assert newest(keys) == "2026-06-v2.0"
    assert newest(["2025-06-v2.1", "2025-06-v10.0"]) == "2025-06-v10.0"
    with pytest.raises(ReleaseKeyError, match="No release is known"):
        newest([])
