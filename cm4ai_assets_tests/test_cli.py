"""The `cm4ai` command as a person meets it: words in, one readable answer and an exit status out."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx2
import pytest

from cm4ai_assets import cli
from cm4ai_assets.cli.commands import COMMANDS
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.release.assets import watched_version
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings, service_variables

RELEASE = "2026-06-v2.0"


@pytest.fixture(scope="module")
def archive(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox) as server:
        yield server


@pytest.fixture
def environment(archive: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in service_variables(archive.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CM4AI_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CM4AI_TENSOR_SIZE", "256")
    return tmp_path


def test_no_command_stands_in_for_a_library_once_it_was_called() -> None:
    """`cm4ai gc` is a module beside what calls it, as Python's own collector is."""
    for command in COMMANDS:
        importlib.import_module(f"cm4ai_assets.cli.{command}")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0


def test_releases_tells_offered_from_registered_from_materialized(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["releases"]) == cli.DONE
    assert capsys.readouterr().out.count(" new ") >= 7
    assert cli.main(["releases", "--register"]) == cli.DONE
    told = capsys.readouterr().out
    assert RELEASE in told
    assert "2025-06-v2.1" in told
    assert "registered" in told
    assert cli.main(["materialize", "--release", "latest", "--select", "release_files"]) == cli.DONE
    assert "1 materializations in 1 runs, 0 failed" in capsys.readouterr().out
    # The sensor's look, which comes later, makes nothing out of date: the UI would show every release as unsynced.
    with dg.DagsterInstance.from_config(str(environment / "home")) as instance:
        (made,) = instance.fetch_materializations(dg.AssetKey("release_files"), limit=1).records
    tags = made.asset_materialization.tags if made.asset_materialization else {}
    assert tags[f"dagster/input_data_version/{COLLECTION}"] == watched_version(Settings.from_env())
    assert cli.main(["releases"]) == cli.DONE
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    dois = [line.split()[0] for line in told.splitlines() if line.startswith("doi:")]
    assert len(dois) == len(set(dois)) == 5
    (line,) = [line for line in told.splitlines() if line.startswith(RELEASE)]
    assert line.split()[2:] == ["18.8", "MB", "locked", "locked", "locked"]
    assert "…" not in line
    assert cli.main(["releases", "--json"]) == cli.DONE
    listed = json.loads(capsys.readouterr().out)
    (one,) = [entry for entry in listed if entry["release"] == RELEASE]
    assert (one["offered"], one["files"], one["tables"]) == (True, 10, ["release_files"])
    assert {state["state"] for state in one["conditions"].values()} == {"locked"}


def test_a_release_is_materialized_verified_and_found(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["materialize", "--release", RELEASE, "--condition", "PTXL"]) == cli.DONE
    told = capsys.readouterr()
    assert f"paclitaxel|{RELEASE}" in told.out
    assert "untreated|" not in told.out
    assert "8 of 8 fields (100%)" in told.err
    assert cli.main(["verify", "--release", "latest"]) == cli.DONE
    assert "0 problems" in capsys.readouterr().out
    damaged = next((environment / "storage" / "tables" / "if_fields").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert cli.main(["verify"]) == cli.FAILED
    assert "DAMAGED table if_fields" in capsys.readouterr().out


def test_people_without_dagster_get_verified_files_too(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(["materialize", "--release", RELEASE, "--condition", "untreated", "--select", "+if_archive"])
        == cli.DONE
    )
    folder = environment / "by-name"
    capsys.readouterr()
    assert cli.main(["link", "--release", RELEASE, str(folder)]) == cli.DONE
    assert "not stored: " in capsys.readouterr().out
    sums = {}
    for name, tool in (("md5sums", "md5sum"), ("sha256sums", "sha256sum")):
        assert cli.main(["export", "--release", RELEASE, "--format", name]) == cli.DONE
        sums[name] = "".join(
            line for line in capsys.readouterr().out.splitlines(keepends=True) if "untreated.zip" in line
        )
        checked = subprocess.run(
            [tool, "-c", "-"], input=sums[name], text=True, capture_output=True, cwd=folder, check=False
        )
        assert checked.stdout.strip().endswith("untreated.zip: OK"), checked.stderr
    for name, said in (
        ("pooch", " md5:"),
        ("aria2", "checksum=md5="),
        ("metalink", '<hash type="md5">'),
        ("bagit", "data/"),
    ):
        assert cli.main(["export", "--release", RELEASE, "--format", name]) == cli.DONE
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["materialize", "--release", "june"], cli.WRONG_USE, "is not a release key"),
        (["materialize", "--release", "2031-01-v1.0"], cli.WRONG_USE, "2026-06-v2.0, latest"),
        (["materialize", "--release", RELEASE, "--condition", "aspirin"], cli.WRONG_USE, "Known spellings"),
        (["materialize", "--release", RELEASE, "--select", "((("], cli.WRONG_USE, "--select '((('"),
        (["verify", "--release", "2031-01-v1.0"], cli.WRONG_USE, "'2031-01-v1.0' is not known"),
        (["verify"], cli.FAILED, "nothing is stored here yet"),
    ],
)
def test_an_error_is_one_line_with_the_remedy(
    environment: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str
) -> None:
    assert cli.main(words) == status
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert err.startswith("cm4ai: ")


def test_a_traceback_is_shown_only_when_asked_for(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--debug", "materialize", "--release", "june"]) == cli.WRONG_USE
    assert "Traceback" in capsys.readouterr().err


def test_an_archive_that_is_down_is_said_and_what_is_known_is_still_listed(
    environment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["releases", "--register"]) == cli.DONE
    capsys.readouterr()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("CM4AI_DATAVERSE_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert cli.main(["releases"]) == cli.FAILED
    told = capsys.readouterr()
    assert told.err.startswith("cm4ai: ")
    assert RELEASE in told.out


def test_a_damaged_release_record_or_lock_is_one_line_and_the_others_are_listed(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["releases", "--register"]) == cli.DONE
    capsys.readouterr()
    (environment / "storage/registry/releases/2025-06-v2.1.json").write_text("{")
    assert cli.main(["releases", "--register"]) == cli.FAILED
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 1
    assert "2025-06-v2.1.json is no release record" in printed.err
    assert "run `cm4ai releases --register`" in printed.err
    assert RELEASE in printed.out
    lock = environment / "storage/tables/release_files/release=2025-06-v2.0/data.parquet"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(b"PAR1" + bytes(99))
    assert cli.main(["releases"]) == cli.FAILED
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == 2
    assert "`cm4ai materialize --release 2025-06-v2.0` makes it again." in printed.err
    (row,) = [line.split() for line in printed.out.splitlines() if line.startswith("2025-06-v2.0")]
    assert row[-3:] == ["unknown"] * 3
    assert " registered " in next(line for line in printed.out.splitlines() if line.startswith(RELEASE))


@pytest.mark.parametrize("words", [[], ["nonsense"], ["materialize"], ["sandbox", "build", "x", "--fields", "0"]])
def test_wrong_use_is_exit_status_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == cli.WRONG_USE


def test_the_sandbox_is_served_on_this_machine_only(archive: SandboxServer, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "archive"
    words = [sys.executable, "-m", "cm4ai_assets.cli", "sandbox"]
    subprocess.run([*words, "build", str(folder), "--fields", "8", "--seed", "3"], check=True, capture_output=True)
    process = subprocess.Popen([*words, "serve", str(folder), "--port", str(port)], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                answer = httpx2.get(f"http://127.0.0.1:{port}/api/info/version")
                break
            except httpx2.TransportError:
                time.sleep(0.1)
        assert answer.json()["status"] == "OK"
    finally:
        process.terminate()
        process.wait(timeout=20)
