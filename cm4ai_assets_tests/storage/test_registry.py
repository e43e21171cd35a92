from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.errors import ConfigurationError, ReleaseKeyError
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage import registry as registry_module
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.storage import filesystems  # noqa: F401 - plainremote://

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


def _register(url: str, scratch: Path, record: ReleaseRecord, start: Any) -> None:
    registry = ReleaseRegistry(Store(url, scratch=scratch))
    start.wait(60)
    registry.register([record])


def test_two_processes_that_register_two_datasets_of_one_month_at_once_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")  # what is forked from a process with threads may hang
    context.set_forkserver_preload([__name__])
    for attempt in range(10):
        url, start = str(tmp_path / f"storage{attempt}"), context.Barrier(2)
        workers = [context.Process(target=_register, args=(url, tmp_path, record, start)) for record in (JUNE, TWIN)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        records = ReleaseRegistry(Store(url, scratch=tmp_path)).all()
        assert {record.doi for record in records} == {JUNE.doi, TWIN.doi}
        assert len({record.key for record in records}) == 2


@pytest.mark.parametrize("remote", ["local", "memory", "plainremote"])
def test_what_another_process_registered_meanwhile_is_read_again(
    tmp_path: Path, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process comes between the look at what is registered and the writing of the record."""
    url = str(tmp_path / "storage") if remote == "local" else f"{remote}://{tmp_path.name}"
    registry, other = (ReleaseRegistry(Store(url, scratch=tmp_path)) for _ in range(2))
    assign = registry_module.assign_key

    def late(*args: Any, **kwargs: Any) -> str:
        monkeypatch.setattr(registry_module, "assign_key", assign)
        other.register([TWIN, JUNE])
        return assign(*args, **kwargs)

    monkeypatch.setattr(registry_module, "assign_key", late)
    assert [record.key for record in registry.register([TWIN])] == []
    assert {record.doi: record.key for record in registry.all()} == {
        JUNE.doi: "2025-06-v2.1",
        TWIN.doi: "2025-06-ZZZZZZ-v2.1",
    }


def _other_key(text: str) -> str:
    return text.replace("2025-06-v2.1", "2025-07-v2.1")


DAMAGE: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda text: text[:40],
    "no object": lambda _: "[]",
    "no text": lambda _: b"\xff\xfe",
    "a date that is none": lambda text: text.replace("2025-07-01", "2025-13-01"),
    "a number that is none": lambda text: text.replace('"major": 2', '"major": "2"'),
    "a field too many": lambda text: text.replace("{", '{"more": 1,', 1),
    "another's key": _other_key,
    "another's version": lambda text: text.replace('"major": 2', '"major": 3'),
    "deep": lambda _: "[" * 100_000,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_reported_and_harms_no_other(store: Store, damage: Callable[[str], str | bytes]) -> None:
    registry = ReleaseRegistry(store)
    later = replace(JUNE, major=3, minor=0)
    registry.register([JUNE, later])
    path = Path(store.root) / "registry/releases/2025-06-v2.1.json"
    before, content = path.read_text(), damage(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [record.key for record in registry.all()] == ["2025-06-v3.0"]
    (found,) = registry.damaged()
    assert found.location == str(path)
    with pytest.raises(ReleaseKeyError, match=r"is no release record.*cm4ai releases --register"):
        registry.get("2025-06-v2.1")
    # What it meant is not guessed: neither this version nor another dataset's gets a key that it may have had.
    assert registry.register([JUNE, TWIN]) == []
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    path.write_text(before)
    assert registry.damaged() == []
    assert [record.key for record in registry.register([JUNE, TWIN])] == ["2025-06-ZZZZZZ-v2.1"]


def test_a_stray_file_is_reported_and_blocks_nothing(store: Store) -> None:
    registry = ReleaseRegistry(store)
    registry.register([JUNE])
    folder = Path(store.root) / "registry/releases"
    (folder / "notes.txt").write_text("hello")
    (folder / "copy of 2025-06-v2.1.json").write_bytes((folder / "2025-06-v2.1.json").read_bytes())
    (folder / ".2025-06-v2.1.json.77-abcd.new").write_text("half")
    assert len(registry.damaged()) == 2
    assert [record.key for record in registry.register([JUNE, TWIN])] == ["2025-06-ZZZZZZ-v2.1"]


def test_records_are_plain_json(store: Store) -> None:
    ReleaseRegistry(store).register([JUNE])
    found = json.loads(store.read("registry/releases/2025-06-v2.1.json"))
    assert found["doi"] == JUNE.doi
    assert found["released"] == "2025-10-31T14:12:37+00:00"
