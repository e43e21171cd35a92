"""`cm4ai gc` as a person meets it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets import cli
from cm4ai_assets.defs.collecting import alone
from cm4ai_assets.defs.dead_runs import alive
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.lineage.world import KEY


@pytest.fixture
def stray(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A blob that nothing refers to, two days old, in the storage that the environment names."""
    monkeypatch.setenv("CM4AI_STORAGE", store.root)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    path = Path(store.address(f"blobs/sha256/ab/{'ab' * 32}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1500)
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 2 * 86_400))
    return path


def test_it_says_what_could_go_and_removes_it_only_when_asked(
    stray: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["gc"]) == cli.DONE
    said = capsys.readouterr().out
    assert "unreferenced blob: 1, 1.50 kB" in said
    assert f"blobs/sha256/ab/{'ab' * 32}: no registered release refers to it" in said
    assert "1.50 kB of " in said
    assert "Nothing was removed; `cm4ai gc --apply` removes it." in said
    assert stray.exists()
    assert cli.main(["gc", "--json"]) == cli.DONE
    (one,) = json.loads(capsys.readouterr().out)["could_go"]
    assert (one["class"], one["size"], one["in"]) == ("unreferenced blob", 1500, "CM4AI_STORAGE")
    assert stray.exists()
    assert cli.main(["gc", "--apply"]) == cli.DONE
    assert "1 things removed, 1.50 kB." in capsys.readouterr().out
    assert not stray.exists()
    assert cli.main(["gc"]) == cli.DONE
    assert capsys.readouterr().out.startswith("0 bytes of ")


def test_it_removes_nothing_while_a_run_is_under_way_and_no_run_begins_meanwhile(
    stray: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_instance(store) as instance:
        begun = threading.Event()

        def run() -> None:
            with alive(instance, "11111111-2222-3333-4444-555555555555"):
                begun.set()

        with alone(instance):
            assert cli.main(["gc", "--apply"]) == cli.FAILED
            assert "Another process removes or copies things" in capsys.readouterr().err
            thread = threading.Thread(target=run)
            thread.start()
            assert not begun.wait(0.5)
        thread.join(10)
        assert begun.is_set()
        under_way = instance.create_run_for_job(_job)
        assert cli.main(["gc", "--apply"]) == cli.FAILED
        assert f"1 runs are under way: {under_way.run_id}. " in capsys.readouterr().err
        instance.report_run_canceled(under_way)
        assert stray.exists()
        assert cli.main(["gc", "--apply"]) == cli.DONE
    assert not stray.exists()


@dg.job
def _job() -> None:
    """Nothing."""


def test_what_it_does_not_know_it_does_not_remove(
    stray: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Path(store.address(f"tables/if_archive/release={KEY}/condition=untreated/data.parquet"))
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    assert cli.main(["gc"]) == cli.DONE
    assert "what it refers to is not known" in capsys.readouterr().err
    assert cli.main(["gc", "--apply"]) == cli.FAILED
    assert "So nothing goes that releases may refer to." in capsys.readouterr().err
    assert stray.exists()
