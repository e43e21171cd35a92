"""`cm4ai verify` and `withdraw` as a person meets them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cm4ai_assets import cli
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.store import Store

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
