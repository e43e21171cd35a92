"""What a published file's entry says: the one access rule, which the fetcher and the planner share."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.locked_file import denial, may_be_asked_for
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.tables.release import ACCESS_STATES
from cm4ai_assets.transfer.errors import AccessDeniedError, NetworkError
from cm4ai_assets_tests.transfer.bench import FAST, locked

END = date(2026, 1, 3)
BEFORE, AFTER = END - timedelta(1), END + timedelta(1)


@pytest.mark.parametrize("has_token", [False, True])
@pytest.mark.parametrize(
    ("access", "until", "today", "asked", "asked_with_token"),
    [
        ("public", None, END, True, True),
        ("embargoed", END, BEFORE, False, True),
        ("embargoed", END, END, True, True),
        ("embargoed", END, AFTER, True, True),
        ("embargoed", None, END, False, True),
        ("restricted", None, END, False, True),
        ("retention_expired", None, END, False, False),
        ("gone", None, END, False, False),
    ],
)
def test_access_rule(
    access: str, until: date | None, today: date, *, asked: bool, asked_with_token: bool, has_token: bool
) -> None:
    expected = asked_with_token if has_token else asked
    assert may_be_asked_for(access, until, today=today, has_token=has_token) is expected


def test_the_fetcher_asks_on_the_day_an_embargo_ends_and_not_before(blobs: BlobStore, scratch: Path) -> None:
    today = datetime.now(UTC).date()
    with DataverseClient("http://127.0.0.1:9", retries=FAST) as nobody:
        with pytest.raises(NetworkError):  # it was asked
            acquire(locked(access="embargoed", available_on=today), nobody, blobs, scratch)
        with pytest.raises(AccessDeniedError, match="is embargoed until"):
            acquire(locked(access="embargoed", available_on=today + timedelta(2)), nobody, blobs, scratch)


@pytest.mark.parametrize("state", ACCESS_STATES)
def test_every_access_state_has_a_reason_and_a_remedy(state: str) -> None:
    assert all(denial(state, END))
    assert all(denial(state, None))
