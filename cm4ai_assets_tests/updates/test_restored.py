"""A backup that is restored into another folder: whole, accepted by its instance, and nothing is fetched again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets import cli
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.retention.backup import copy_home, copy_rest
from cm4ai_assets.storage.store import Store
from cm4ai_assets.verification import verify
from cm4ai_assets_tests.updates.archives import released
from cm4ai_assets_tests.updates.conftest import daemon_over


def named(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Store:
    """The environment names what stands in a folder."""
    monkeypatch.setenv("CM4AI_STORAGE", str(folder / "storage"))
    monkeypatch.setenv("CM4AI_SCRATCH", str(folder / "scratch"))
    monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))
    return Store(str(folder / "storage"), scratch=folder / "scratch")


def verdicts(store: Store) -> set[tuple[str, bool]]:
    """Everything that is stored, and whether it is whole; rows stand in for the tensors here."""
    return {(one.what, not one.problems) for one in verify(store) if "tensors/none" not in one.what}


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def made(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    return {key.to_user_string(): instance.get_materialized_partitions(key) for key in instance.get_asset_keys()}


def test_a_restored_pair_is_whole_and_the_sensor_fetches_nothing_again(
    sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, backup = tmp_path / "first", tmp_path / "second", tmp_path / "backup"
    store = named(monkeypatch, first)
    with open_instance(store) as instance:
        for daemon in daemon_over(sandbox, first, effort="fetches", instance=instance):
            daemon.server.publish_until(released(daemon.archive, "DXSBX5", "1.0") + timedelta(days=1))
            assert daemon.settle()
            known = made(instance)
    assert known["release_files"]
    sound = verdicts(store)
    assert all(is_whole for _, is_whole in sound)
    assert cli.main(["backup", str(backup)]) == cli.DONE
    assert "has " in capsys.readouterr().out
    first.rename(tmp_path / "lost")
    for part in ("storage", "home"):
        shutil.copytree(backup / part, second / part)
    store = named(monkeypatch, second)
    assert verdicts(store) == sound
    with open_instance(store) as instance:  # which belongs to that storage
        assert made(instance) == known
        for daemon in daemon_over(sandbox, second, instance=instance):
            daemon.server.publish_until(released(daemon.archive, "DXSBX5", "1.0") + timedelta(days=1))
            assert daemon.requests() == []
            assert daemon.downloads() == []
    (second / "storage" / "tables" / "new").mkdir()
    assert cli.main(["backup", str(backup)]) == cli.DONE  # brought up to date: nothing of it is copied again
    copied = capsys.readouterr().out.split(" copied")[0]
    assert copied.endswith(("bytes", "kB")), copied


def test_a_backup_goes_into_no_folder_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = named(monkeypatch, tmp_path / "one")
    with open_instance(store):
        pass
    (tmp_path / "full" / "storage").mkdir(parents=True)
    (tmp_path / "full" / "storage" / "thesis.docx").write_text("mine")
    for target, reason in (
        (tmp_path / "full", "holds something else"),
        (Path(store.root) / "x", "is inside the storage"),
    ):
        assert cli.main(["backup", str(target)]) == cli.WRONG_USE
        assert reason in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "full").rglob("*") if path.is_file()] == ["thesis.docx"]


def test_what_was_replaced_or_removed_is_so_in_the_copy(tmp_path: Path) -> None:
    store, copy = Store(str(tmp_path / "one"), scratch=tmp_path), tmp_path / "copy"
    for name, data in (("registry/a.json", b"a"), ("tables/b", b"b"), (".staging/c", b"c"), ("blobs/d", b"d")):
        Path(store.address(name)).parent.mkdir(parents=True, exist_ok=True)
        Path(store.address(name)).write_bytes(data)
    assert copy_rest(store, copy) == 3
    Path(store.address("registry/a.json")).write_bytes(b"z" * 9)
    Path(store.address("tables/b")).unlink()
    assert copy_rest(store, copy) == 9
    assert {path.name: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
        "a.json": b"z" * 9,
        "d": b"d",
    }


def test_a_database_is_copied_as_it_is_at_one_moment_while_it_is_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "history").mkdir(parents=True)
    (home / "processes").mkdir()
    (home / "processes" / "run").touch()
    (home / "cm4ai_storage.json").write_text("{}")
    with closing(sqlite3.connect(home / "history" / "runs.db", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE runs (id)")
        writer.execute("INSERT INTO runs VALUES (1)")  # in the write-ahead log, not in the file
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO runs VALUES (2)")
        copy_home(home, tmp_path / "copy")
        writer.execute("COMMIT")
    with closing(sqlite3.connect(tmp_path / "copy" / "history" / "runs.db")) as copy:
        assert copy.execute("SELECT id FROM runs").fetchall() == [(1,)]
    names = {
        path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*") if path.is_file()
    }
    assert names == {"history/runs.db", "cm4ai_storage.json"}


@pytest.mark.parametrize("broken", ["the copying", "its renaming"])
def test_an_earlier_copy_stands_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    home.mkdir()
    (home / "one").write_text("1")
    copy_home(home, copy)
    (home / "one").write_text("2")

    def breaks(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    rename = Path.replace
    with monkeypatch.context() as patch:
        if broken == "the copying":
            patch.setattr(shutil, "copy2", breaks)
        else:
            patch.setattr(Path, "replace", lambda at, to: breaks() if at.name == ".copy.new" else rename(at, to))
        with pytest.raises(KeyboardInterrupt):
            copy_home(home, copy)
    assert [path.read_text() for path in (copy / "one", tmp_path / ".copy.old" / "one") if path.exists()] == ["1"]
    copy_home(home, copy)
    assert (copy / "one").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "home"]
