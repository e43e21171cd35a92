from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cm4ai_assets.errors import ConfigurationError, ReleaseKeyError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store

JUNE = ReleaseRecord(
    key="",
    doi="doi:10.18130/V3/F3TD5R",
    major=2,
    minor=1,
    title="Cell Maps for Artificial Intelligence - June 2025 Data Release (Beta)",
    published=date(2025, 7, 1),
    released=datetime(2025, 10, 31, 14, 12, 37, tzinfo=UTC),
    archive="https://dataverse.lib.virginia.edu",
)
TWIN = replace(JUNE, doi="doi:10.18130/V3/ZZZZZZ", published=date(2025, 7, 2), released=None)


def test_a_record_survives_and_is_registered_once(store: Store) -> None:
    registry = ReleaseRegistry(store)
    assert [record.key for record in registry.register([JUNE])] == ["2025-06-v2.1"]
    assert registry.register([JUNE]) == []
    assert registry.get("2025-06-v2.1") == replace(JUNE, key="2025-06-v2.1")


@pytest.mark.parametrize("order", [(JUNE, TWIN), (TWIN, JUNE)])
def test_the_older_dataset_keeps_the_plain_key_whatever_the_order(
    store: Store, order: tuple[ReleaseRecord, ...]
) -> None:
    keys = {record.doi: record.key for record in ReleaseRegistry(store).register(order)}
    assert keys == {JUNE.doi: "2025-06-v2.1", TWIN.doi: "2025-06-ZZZZZZ-v2.1"}


def test_a_key_once_given_stays_even_if_an_older_dataset_turns_up(store: Store) -> None:
    registry = ReleaseRegistry(store)
    registry.register([TWIN])
    registry.register([JUNE])
    assert registry.get("2025-06-v2.1").doi == TWIN.doi
    assert registry.get("2025-06-F3TD5R-v2.1").doi == JUNE.doi


def test_synthetic_releases_never_stand_among_real_ones(store: Store) -> None:
    registry = ReleaseRegistry(store)
    registry.register([JUNE])
    with pytest.raises(ConfigurationError, match="synthetic releases"):
        registry.register([replace(JUNE, doi="doi:10.5072/FK2/SYNTH1")])


def test_an_unregistered_release_says_what_to_do(store: Store) -> None:
    with pytest.raises(ReleaseKeyError, match="cm4ai releases --register"):
        ReleaseRegistry(store).get("2025-06-v2.1")
