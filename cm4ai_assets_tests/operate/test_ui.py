"""`make ui`: what is said before anything starts, and what is started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import dagster as dg
import pytest

from cm4ai_assets import demo
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.incidents import open_incidents
from cm4ai_assets.defs.instance import open_instance
from cm4ai_assets.incidents import Incident, Kind
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import PROJECT, service_variables
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.operate.conftest import Operator
from cm4ai_assets_tests.operate.records import record
from cm4ai_assets_tests.operate.sections import Followed
from cm4ai_assets_tests.processes import end_group
from cm4ai_assets_tests.updates.archives import released

# How Dagster's own events begin and what they are called; they stand in the UI.
EVENTS = ("RUN_START", "STEP_START", "STEP_OUTPUT", "ASSET_MATERIALIZATION", "ENGINE_EVENT", "HANDLED_OUTPUT")


def _start(
    operator: Operator,
    *options: str,
    words: Sequence[str] = ("-m", "cm4ai_assets.ui"),
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.PIPE,
) -> subprocess.Popen[str]:
    command = [sys.executable, *words, *options]
    return subprocess.Popen(
        command, env=operator.environ, cwd=PROJECT, text=True, stdout=stdout, stderr=stderr, start_new_session=True
    )


def test_a_taken_port_is_said_before_anything_starts(operator: Operator) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = _start(operator, "--port", str(taken.getsockname()[1]))
        out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == ""
    assert err.startswith("cm4ai: Port ")
    assert len(err.splitlines()) == 1
    assert not operator.home.exists()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_who_only_looks_starts_no_daemon(operator: Operator) -> None:
    process = _start(operator, "--port", "0", "--read-only", "--listen", "127.0.0.2")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    said = next(line for line in lines if line.startswith("The UI is on"))
    children = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    own = [line for line in children.splitlines() if line.split()[0] == str(process.pid)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert "no daemon" in said
    assert "http://127.0.0.2:" in said
    assert own, "its code server"
    assert not [line for line in own if "dagster-daemon" in line]
    with dg.DagsterInstance.from_config(str(operator.home)) as instance:
        assert instance.get_daemon_heartbeats() == {}
    assert process.returncode == 0


def _incidents(operator: Operator, instance: dg.DagsterInstance) -> list[Incident]:
    store = Store(str(operator.storage), scratch=operator.folder / "scratch")
    return open_incidents(instance, store, defs.get_repository_def(), datetime.now(UTC))


def _started_by(target: str) -> list[str]:
    """The words of the command that a target of the Makefile ends with, after the interpreter."""
    words = ["make", "--no-print-directory", "-n", target]  # `make test` may be what runs this
    shown = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    interpreter, *words = shown.splitlines()[-1].split()
    assert interpreter.endswith("/python")
    return words


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.mends("daemon-not-running")
def test_the_terminal_stays_readable_while_runs_go_through(
    operator: Operator, archive: SandboxServer, sandbox: Path, section: Followed
) -> None:
    """The daemon's sensor requests runs by itself; the UI's terminal says where it is, and what steps say."""
    archive.publish_until(released(sandbox, "B3SBXX", "1.0") - timedelta(days=1))
    with open_instance(Store(str(operator.storage), scratch=operator.folder / "scratch")) as instance:
        (down,) = [one for one in _incidents(operator, instance) if one.kind is Kind.DAEMON_STOPPED]
    section.sees(down.title, "The daemon is not running")
    assert down.runbook == section.anchor
    (command,) = section.commands
    words = _started_by(section.does(command).removeprefix("make "))
    terminal = operator.folder / "terminal.txt"
    with terminal.open("w") as shown:  # no pipe, which a code server that ends by itself would keep open
        process = _start(operator, "--port", "0", words=words, stdout=shown, stderr=shown)
    try:
        with _instance_of(operator) as instance:
            ended = _ended_runs(instance, process)
            assert Kind.DAEMON_STOPPED not in {one.kind for one in _incidents(operator, instance)}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        end_group(process)
        archive.publish_until(None)
    assert {run.status for run in ended} == {dg.DagsterRunStatus.SUCCESS}
    lines = terminal.read_text().splitlines()
    assert [line for line in lines if line.startswith("The UI is on http://127.0.0.1:")]
    assert [line for line in lines if "release_files: 2 rows published" in line], "what steps say is shown"
    assert [line for line in lines if "DEBUG" in line or any(event in line for event in EVENTS)] == []


@contextmanager
def _instance_of(operator: Operator) -> Iterator[dg.DagsterInstance]:
    """The instance that the process under test makes, once it has: two that make one at a time damage it."""
    for _ in range(480):
        if "The UI is on" in (operator.folder / "terminal.txt").read_text():
            break
        time.sleep(0.25)
    with dg.DagsterInstance.from_config(str(operator.home)) as instance:
        yield instance


def _ended_runs(instance: dg.DagsterInstance, process: subprocess.Popen[str]) -> Sequence[dg.DagsterRun]:
    """The runs that were requested, as soon as there are some and all have ended."""
    for _ in range(1200):
        runs = instance.get_runs()
        if runs and all(run.is_finished for run in runs):
            return runs
        assert process.poll() is None, "the UI has ended"
        time.sleep(0.25)
    pytest.fail(f"no run has ended: {instance.get_runs()}")


@pytest.fixture
def demo_sandbox(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "sandbox_folder", lambda: sandbox)
    monkeypatch.setattr(demo, "environment", lambda: os.environ)
    for name in service_variables(""):
        monkeypatch.setenv(name, "")  # so that it is put back at the end


@pytest.mark.usefixtures("demo_sandbox")
def test_the_archive_of_the_demo_is_alive_where_its_releases_are(store: Store) -> None:
    ReleaseRegistry(store).register([record("doi:10.5072/FK2/DEMO")])
    with demo.demo_archive(store) as url:
        assert url is not None
        assert os.environ["CM4AI_DATAVERSE_URL"] == url
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout=5):
            pass


@pytest.mark.usefixtures("demo_sandbox")
def test_it_is_not_served_to_a_storage_of_real_releases_nor_over_another_archive(
    store: Store, monkeypatch: pytest.MonkeyPatch, sandbox: Path
) -> None:
    with demo.demo_archive(store) as url:
        assert url is None  # nothing registered
    ReleaseRegistry(store).register([record("doi:10.5072/FK2/DEMO")])
    with SandboxServer(sandbox) as other:
        monkeypatch.setenv("CM4AI_DATAVERSE_URL", other.url)
        with demo.demo_archive(store) as url:
            assert url is None
            assert os.environ["CM4AI_DATAVERSE_URL"] == other.url


@pytest.mark.usefixtures("demo_sandbox")
def test_real_releases_are_left_to_the_real_archive(store: Store) -> None:
    ReleaseRegistry(store).register([record("doi:10.18130/V3/TESTED")])
    with demo.demo_archive(store) as url:
        assert url is None
