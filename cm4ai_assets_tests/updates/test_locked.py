"""The one reader of a lock that may be damaged: what counts as damage, who takes note of it, what comes out."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.errors import StorageUnavailableError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates import locked
from cm4ai_assets.updates.holders import Holders
from cm4ai_assets.updates.inputs import FEEDS
from cm4ai_assets.updates.locked import ReadLocks, read_lock

RELEASE = "2026-06-v2.0"
HERE = Partition(RELEASE, "untreated")


class PanicError(BaseException):
    """As polars panics: no `Exception`."""


def _raising(error: BaseException) -> None:
    raise error


def _never(*_: object) -> None:
    pytest.fail("damage was noted")


def test_what_is_read_is_given_and_nothing_is_noted() -> None:
    assert read_lock(RELEASE, lambda: (), _never) == ()


@pytest.mark.parametrize(
    "error", [PanicError("out of bounds"), ValueError("no footer"), StorageUnavailableError("away")]
)
def test_whatever_damage_makes_a_library_raise_is_noted(error: BaseException) -> None:
    noted: dict[str, BaseException] = {}
    assert read_lock(RELEASE, lambda: _raising(error), noted.__setitem__) is None
    assert noted == {RELEASE: error}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_who_ends_the_process_is_no_damage(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        read_lock(RELEASE, lambda: _raising(error), _never)
    assert raised.value is error


def test_what_who_takes_note_raises_comes_out() -> None:
    def refuse(release: str, error: BaseException) -> None:
        raise LookupError(release) from error

    with pytest.raises(LookupError, match=RELEASE):
        read_lock(RELEASE, lambda: _raising(ValueError("no footer")), refuse)


def test_who_asks_which_release_holds_hears_of_a_damaged_lock_unless_it_takes_note(store: Store) -> None:
    path = Path(store.address(layout.table_path(RELEASE_FILES, Partition(RELEASE))))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    with pytest.raises(pl.exceptions.ComputeError):
        Holders(store).holder(FEEDS[0], HERE)
    noted: dict[str, BaseException] = {}
    assert Holders(store, unreadable=noted.__setitem__).holder(FEEDS[0], HERE) is None
    assert noted.keys() == {RELEASE}


def test_each_lock_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(locked, "lock_of", lambda _, release: read.append(release))
    locks = ReadLocks(store)
    assert [locks(RELEASE), locks(RELEASE)] == [None, None]
    assert read == [RELEASE]
