"""What several test packages share: the published inputs, a store of one's own, an embedded archive, the summary."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest
from absl import logging as absl_logging
from hypothesis import HealthCheck, settings

from cm4ai_assets.sandbox import build
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests import pace
from cm4ai_assets_tests.servers.dask_cluster import Launcher
from cm4ai_assets_tests.servers.postgres import database, postgres_server
from cm4ai_assets_tests.servers.redis import redis_server
from cm4ai_assets_tests.shared import ABSENT, SHARED

__all__ = ["database", "postgres_server", "redis_server"]  # fixtures, for every test package

pace.keep_compiled()

SANDBOX_FIELDS = int(os.environ.get("CM4AI_SANDBOX_FIELDS", "8"))  # `make pictures` wants more of them

# absl comes with mlcroissant. Its handler closes the stream that it was made with when logging is configured anew, and
# that would be the one into which pytest captures.
absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

# How fast examples come says something about the machine, nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """The order is that of `pace`; pytest-xdist would begin with the modules of most tests, which are short ones."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    pace.mark_slow(items)
    pace.longest_first(items)


def pytest_collection_finish() -> None:
    pace.collect_rubbish_seldom()


@pytest.fixture(scope="session", autouse=True)
def _disks_are_not_waited_for() -> Iterator[None]:
    with pace.without_waiting_for_disks():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published inputs beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(ABSENT)
    return SHARED


@pytest.fixture(scope="module", autouse=True)
def _as_it_was() -> Iterator[None]:
    """A module leaves the process in the folder and with the instance that it found: what runs after it has both."""
    folder, home = Path.cwd(), os.environ.get("DAGSTER_HOME")
    yield
    left, made = Path.cwd(), os.environ.pop("DAGSTER_HOME", None)
    os.chdir(folder)
    if home is not None:
        os.environ["DAGSTER_HOME"] = home
    assert left == folder, "a test has changed the working directory"
    assert made == home, "a test has opened an instance without a DAGSTER_HOME of its own"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Path]:
    """An embedded archive of SANDBOX_FIELDS fields a condition, built once for all test processes. To be read only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "sandbox"
    with filelock.FileLock(f"{folder}.lock"):
        build(folder, fields=SANDBOX_FIELDS)  # finds what another process has built
    built = pace.stamps(folder)
    yield folder
    assert pace.stamps(folder) == built, "a test has written into the sandbox that all tests share"


@pytest.fixture
def only_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests that hold a daemon to its times do not run beside one another, whichever worker has them."""
    with filelock.FileLock(tmp_path_factory.getbasetemp().parent / "daemon.lock"):
        yield


@pytest.fixture(scope="session")
def dask_launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """What starts schedulers and workers of Dask; see `servers.dask_cluster`."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")
    launcher = Launcher(tmp_path_factory.mktemp("dask"))
    yield launcher
    launcher.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per reason for tests that did not run, so that no run is greener than it is."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} not run: {reason}")
