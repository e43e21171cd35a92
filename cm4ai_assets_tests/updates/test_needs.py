"""What is needed, by what may be asked for: the planner refuses nothing that the fetcher would be given."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.archives.dataverse.locked_file import may_be_asked_for
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import ACCESS_STATES, RELEASE_FILES
from cm4ai_assets.updates.inputs import FEEDS
from cm4ai_assets.updates.needs import LOCK_JOB, Plan, plan
from cm4ai_assets_tests.updates.test_changes import ZIP, file, lock

RELEASE, HERE = "2025-06-v2.0", Partition("2025-06-v2.0", "paclitaxel")
RECORD = ReleaseRecord(
    key=RELEASE, doi="doi:10.18130/V3/F3TD5R", major=2, minor=0, title="June 2025 Data Release",
    published=date(2025, 7, 1), released=datetime(2025, 7, 1, tzinfo=UTC), archive="https://archive.example",
)  # fmt: skip
END = date(2026, 6, 30)
BEFORE, AFTER = END - timedelta(1), END + timedelta(1)
FEED = next(feed for feed in FEEDS if feed.job == "images")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/storage", scratch=tmp_path / "scratch")


def planned(store: Store, access: str, until: date | None, today: date, *, has_token: bool = False) -> Plan:
    """The plan where an image archive of this access is locked, and nothing was made from it."""
    frame = lock(file(1, f"Images/{ZIP}", "a")).with_columns(
        access=pl.lit(access), available_on=pl.lit(until, pl.Date), release=pl.lit(RELEASE)
    )
    with store.stage_table(RELEASE_FILES.name, Partition(RELEASE), frame) as staged:
        store.publish_table(staged)
    return plan([RECORD], store, today=today, offered={RELEASE}, feeds=[FEED], has_token=has_token)


def made(found: Plan) -> set[Partition]:
    return {need.partition for need in found.needs if need.job == FEED.job}


@pytest.mark.parametrize("has_token", [False, True])
@pytest.mark.parametrize("today", [BEFORE, END, AFTER])
@pytest.mark.parametrize("access", ACCESS_STATES)
def test_the_planner_asks_for_what_the_fetcher_asks_for(
    store: Store, access: str, today: date, *, has_token: bool
) -> None:
    until = END if access == "embargoed" else None
    asked = may_be_asked_for(access, until, today=today, has_token=has_token)
    found = planned(store, access, until, today, has_token=has_token)
    assert (HERE in made(found)) is asked
    assert ((FEED.job, HERE) in found.waiting) is not asked


def test_waiting_says_until_when(store: Store) -> None:
    said = planned(store, "embargoed", END, BEFORE).waiting[FEED.job, HERE]
    assert said.endswith(f"is embargoed until {END}")
    assert planned(store, "restricted", None, END).waiting[FEED.job, HERE].endswith("is restricted")


def test_a_refusal_before_the_end_of_an_embargo_is_no_answer_after_it(store: Store) -> None:
    Absences(store).note(FEED.first, HERE, "The archive refused it.")
    noted = Absences(store).find(FEED.first, HERE)
    assert noted is not None
    that_day, day_after = noted.noted.date(), noted.noted.date() + timedelta(1)
    assert made(planned(store, "embargoed", day_after, that_day, has_token=True)) == set()
    assert made(planned(store, "embargoed", that_day, that_day)) == set()  # it was noted on that day or later
    assert made(planned(store, "embargoed", day_after, day_after)) == {HERE}


def damaged(store: Store, release: str) -> str:
    """Damage the lock of a release, which has one; its path."""
    path = layout.table_path(RELEASE_FILES, Partition(release))
    file = Path(store.address(path))
    file.chmod(0o600)
    file.write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    return path


def test_a_damaged_lock_holds_up_its_own_dataset_and_says_so(store: Store) -> None:
    planned(store, "public", None, END)
    path = damaged(store, RELEASE)
    other = replace(RECORD, key="2025-03-v1.0", doi="doi:10.18130/V3/B35XWX", major=1)
    records = [other, RECORD]
    found = plan(records, store, today=END, offered={one.key for one in records}, feeds=[FEED])
    assert made(found) == set()
    assert [need.partition.release for need in found.needs if "release_files" in need.tables] == [other.key]
    reason = found.waiting[LOCK_JOB, Partition(RELEASE)]
    assert reason.startswith(f"{path}, the lock of {RELEASE}, cannot be read: ")
    assert reason.endswith(f"`cm4ai materialize --release {RELEASE}` makes it again")


def test_what_an_earlier_version_may_have_is_not_fetched_while_its_lock_is_damaged(store: Store) -> None:
    planned(store, "public", None, END)
    earlier = replace(RECORD, key="2025-06-v1.0", major=1)
    frame = lock(file(1, f"Images/{ZIP}", "a")).with_columns(release=pl.lit(earlier.key))
    with store.stage_table(RELEASE_FILES.name, Partition(earlier.key), frame) as staged:
        store.publish_table(staged)
    offered, records = {RELEASE}, [earlier, RECORD]
    assert made(plan(records, store, today=END, offered=offered, feeds=[FEED])) == {HERE}
    path = damaged(store, earlier.key)
    found = plan(records, store, today=END, offered=offered, feeds=[FEED])
    assert made(found) == set()
    assert found.waiting[FEED.job, HERE].startswith(f"{path}, the lock of {earlier.key}, cannot be read: ")


def test_a_lock_is_not_called_damaged_where_the_machine_cannot_read_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned(store, "public", None, END)

    def too_many(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("cm4ai_assets.updates.locked.lock_of", too_many)
    with pytest.raises(Cm4aiError, match=r"Too many open files\. .*ulimit -n") as raised:
        plan([RECORD], store, today=END, offered={RELEASE}, feeds=[FEED])
    assert "withdraw" not in str(raised.value)
    assert raised.value.runbook == "settings"
