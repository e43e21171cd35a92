"""The record of a storage: its id, and the version of its layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cm4ai_assets import cli, open_release
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.identity import ensure_storage_id, layout_version, require_known_layout
from cm4ai_assets.storage.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


def state(store: Store, **what: object) -> None:
    path = Path(store.address(layout.IDENTITY))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": "ab", "created": "2026-01-01", **what}))


def test_a_new_storage_states_the_version_and_one_without_is_of_the_first(store: Store) -> None:
    assert layout_version(store) == layout.VERSION
    ensure_storage_id(store)
    assert json.loads(store.read(layout.IDENTITY))["layout"] == layout.VERSION
    state(store)
    assert layout_version(store) == 1
    require_known_layout(store)


def test_older_software_refuses_a_newer_storage_and_changes_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    state(store, layout=layout.VERSION + 1)
    before = store.find("")
    for command in (["releases"], ["verify"], ["gc"]):
        assert cli.main(command) == cli.WRONG_USE, command
        said = capsys.readouterr().err
        assert f"has the layout version {layout.VERSION + 1}; this version of cm4ai_assets knows version 1." in said
        assert "Install the version of cm4ai_assets that wrote it, or a newer one" in said
    with pytest.raises(ConfigurationError, match="layout version"):
        open_release("latest")
    assert store.find("") == before


def test_a_record_that_cannot_be_read_is_named_to_who_writes(store: Store) -> None:
    state(store)
    Path(store.address(layout.IDENTITY)).write_text("{")
    require_known_layout(store)
    with pytest.raises(ConfigurationError, match="does not hold the id"):
        ensure_storage_id(store)
