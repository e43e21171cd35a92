"""`cm4ai verify` and `withdraw` as a person meets them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import table

DATA = bytes(range(256)) * 1024
KEY = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    store = Store.from_settings(Settings.from_env())
    blobs = BlobStore(store.fs, store.root)
    (tmp_path / "data").write_bytes(DATA)
    blobs.add(tmp_path / "data", KEY, {})
    return blobs


def test_only_a_damaged_blob_is_withdrawn(blobs: BlobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["withdraw", KEY]) == cli.FAILED
    assert "is what was published (262,144 bytes read now) and stays" in capsys.readouterr().err
    assert blobs.has(KEY)
    path = tmp_path / "storage" / blobs.path(KEY)
    path.chmod(0o644)
    path.write_bytes(b"x" + DATA[1:])
    assert cli.main(["withdraw", KEY.upper()]) == cli.DONE
    assert "It is withdrawn" in capsys.readouterr().out
    assert not blobs.has(KEY)
    assert cli.main(["withdraw", KEY]) == cli.WRONG_USE
    assert cli.main(["withdraw", "../../etc/passwd"]) == cli.WRONG_USE
    assert "is nothing that can be withdrawn" in capsys.readouterr().err


def test_verify_of_an_unknown_release_is_wrong_use_and_names_the_known_ones(
    blobs: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.from_settings(Settings.from_env())
    with store.stage_table("release_files", Partition("2026-06-v2.0"), table("release_files").empty()) as staged:
        store.publish_table(staged)
    for unknown in ("2031-01-v1.0", "june"):
        assert cli.main(["verify", "--release", unknown]) == cli.WRONG_USE, unknown
        err = capsys.readouterr().err
        assert err.startswith("cm4ai: ")
        assert err.count("\n") == 1
        assert unknown in err
    assert cli.main(["verify", "--release", "latest"]) == cli.DONE
    assert "1 things read again, 0 problems" in capsys.readouterr().out
    assert cli.main(["verify"]) == cli.DONE
    assert "2 things read again, 0 problems" in capsys.readouterr().out


def test_verify_goes_on_after_a_fault_and_fails_in_the_end(
    blobs: BlobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.from_settings(Settings.from_env())
    for name in ("release_files", "release_changes"):
        with store.stage_table(name, Partition("2026-06-v2.0"), table(name).empty()) as staged:
            path = store.publish_table(staged)
            if name == "release_files":
                (tmp_path / "storage" / path).write_bytes(b"PAR1")
    assert cli.main(["verify"]) == cli.FAILED
    out = capsys.readouterr().out
    assert "DAMAGED table release_files 2026-06-v2.0" in out
    assert "cm4ai withdraw tables/release_files/release=2026-06-v2.0/data.parquet" in out
    assert "ok      table release_changes 2026-06-v2.0" in out
    assert f"ok      blob {KEY[:12]}" in out
