"""Two machines over one storage and one database: each has a home and a scratch folder of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from cm4ai_assets import cli, open_release
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets_tests.operate.conftest import Operator
from cm4ai_assets_tests.servers.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# The same images, published twice: what one machine has fetched the other finds stored.
RELEASES = ("2025-06-v2.0", "2026-06-v1.0")


class Restarting:
    """Restarts the database when the archive is asked for the second file, and counts who asks for which."""

    def __init__(self, server: PostgresServer) -> None:
        self.server, self.asked, self._lock = server, list[str](), threading.Lock()

    def __call__(self, request: Request) -> Answer | None:
        if "/access/datafile/" in request.path:
            with self._lock:
                self.asked.append(request.path)
                if len(self.asked) == 2:
                    self.server.restart()
        return None


@pytest.fixture
def restarting(archive: SandboxServer, postgres_server: PostgresServer) -> Iterator[Restarting]:
    fault = Restarting(postgres_server)
    archive.faults.append(fault)
    yield fault
    archive.faults.remove(fault)


def test_all_conditions_of_two_releases_at_once_over_a_database_that_restarts(
    operator: Operator, database: str, restarting: Restarting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a restart meets in the middle of a statement fails in one line, and the same command goes on."""
    monkeypatch.setenv("CM4AI_DATABASE", database)
    assert cli.main(["releases", "--register"]) == cli.DONE
    shared = {"CM4AI_DATABASE": database}
    other = {**shared, "DAGSTER_HOME": str(tmp_path / "other"), "CM4AI_SCRATCH": str(tmp_path / "other-scratch")}
    machines = dict(zip(RELEASES, (shared, other), strict=True))
    both = {release: operator.start(*_words(release), **environ) for release, environ in machines.items()}
    for release, process in both.items():
        _, err = process.communicate(timeout=400)
        if process.returncode:
            assert "it goes on from what is stored." in err
            assert operator.run(*_words(release), **machines[release]).returncode == 0
    assert len(restarting.asked) == len(set(restarting.asked)) == len(CONDITIONS)
    with dg.DagsterInstance.from_config(str(operator.home)) as instance:
        for asset in ("if_archive", "if_tensors"):
            made = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert made == {f"{condition}|{release}" for release in RELEASES for condition in CONDITIONS}
        assert all(run.is_finished for run in instance.get_runs())
    assert cli.main(["verify"]) == cli.DONE
    first, second = (open_release(release) for release in RELEASES)
    for condition in CONDITIONS:
        assert np.array_equal(first.tensors(condition)[:], second.tensors(condition)[:])


def _words(release: str) -> tuple[str, ...]:
    return "materialize", "--release", release, "--select", "if_tensors"
