"""An operator who reads a section of the runbook and does what it says, on a storage and an instance of their own.

Belongs here: typing, setting and clicking, and looking at what Dagster shows. Does not belong here: the faults, which
stand with the tests, and whether all of a section was done (`operate.sections`).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository

from cm4ai_assets import cli
from cm4ai_assets.definitions import build
from cm4ai_assets.defs.incidents import open_incidents
from cm4ai_assets.defs.updates.sensor import tick as release_tick
from cm4ai_assets.incidents import Incident
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.routes import Archive
from cm4ai_assets.settings import PROJECT, service_variables
from cm4ai_assets_tests.operate.sections import Followed

RELEASE, CONDITION = "2026-06-v2.0", "paclitaxel"
PARTITION = f"{CONDITION}|{RELEASE}"
MAKE = "cm4ai materialize --release latest"
ARCHIVES = "release_files,if_archive"
TOKEN = "a-token-of-the-archive"
QUIET: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def use(patch: pytest.MonkeyPatch, archive: SandboxServer, folder: Path) -> None:
    """Set the variables of one installation."""
    for name, value in service_variables(archive.url).items():
        patch.setenv(name, value)
    patch.setenv("CM4AI_STORAGE", str(folder / "storage"))
    patch.setenv("CM4AI_SCRATCH", str(folder / "scratch"))
    patch.setenv("DAGSTER_HOME", str(folder / "home"))
    patch.setenv("CM4AI_TENSOR_SIZE", "256")
    for name in ("CM4AI_DATABASE", "CM4AI_EXECUTOR", "CM4AI_ALERTS", "DATAVERSE_API_TOKEN"):
        patch.delenv(name, raising=False)


def job() -> dg.JobDefinition:
    """The job that the UI starts for assets and checks that somebody clicks on."""
    return build().resolve_implicit_global_asset_job_def()


def repository() -> dg.RepositoryDefinition:
    """What the code location of the UI has loaded, with the settings of now."""
    return build().get_repository_def()


_LOCATION = ReconstructableRepository(ModuleCodePointer(__name__, "repository", str(PROJECT)))


@dataclass
class Operator:
    """Someone who reads a section and does what it says, in a shell with the settings of one installation.

    `makes` is how far releases are made: what a test needs, since the page says to make all.
    """

    folder: Path
    archive: SandboxServer
    section: Followed
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    makes: str = "if_archive"
    release: str = RELEASE

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    # --- doing

    def words(self, command: str, **shown: str) -> str:
        """A line with what stands for a name replaced, and no more made than a test needs."""
        for word, here in {"KEY": self.release, **shown}.items():
            command = re.sub(rf"\b{word}\b", lambda _, here=here: here, command)
        if command.startswith("cm4ai materialize"):
            line, _, selection = command.partition(" --select ")
            if ":" in selection:
                selection = f"({selection}) and ({self._keys()})"
            selection = selection or self.makes
            command = f"{line} --condition {CONDITION} --select {shlex.quote(selection)}"
        return command

    def types(self, command: str, **shown: str) -> int:
        """Give one line; its exit status."""
        line = self.words(command, **shown)
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.patch.setenv(name, self._shell(f"printf %s {value}"))
        elif line.startswith("unset "):
            self.patch.delenv(line.removeprefix("unset "))
        elif line.startswith("cm4ai "):
            return cli.main(shlex.split(line)[1:])
        else:
            self._shell(line)
        return cli.DONE

    def follows(self, failing: str = "", **shown: str) -> str:
        """Give each command of the section, in order; all but the failing one end well. What was printed."""
        self.capture.readouterr()
        assert self.section.commands
        for line in self.section.commands:
            expected = cli.FAILED if line == failing else cli.DONE
            assert self.types(self.section.does(line), **shown) == expected, (line, self.capture.readouterr())
        return self.printed()

    def gives(self, inline: str) -> str:
        """Give a command that the section has in a sentence; what was printed."""
        self.capture.readouterr()
        assert self.types(self.section.does(inline)) == cli.DONE, self.capture.readouterr()
        return self.printed()

    def fails(self, command: str = MAKE, status: int = cli.FAILED) -> str:
        """Give a command that fails, in one line that names this section; what was printed."""
        self.capture.readouterr()
        assert self.types(command) == status, self.capture.readouterr()
        printed = self.printed()
        assert f"See docs/runbook.md#{self.section.anchor}\n" in printed, printed
        assert "Traceback" not in printed
        return printed

    def succeeds(self, command: str) -> str:
        """Give a command that is part of no remedy; what was printed."""
        self.capture.readouterr()
        assert self.types(command) == cli.DONE, self.capture.readouterr()
        return self.printed()

    def printed_by(self, command: str) -> str:
        """Give a command, however it ends; what was printed."""
        self.capture.readouterr()
        self.types(command)
        return self.printed()

    def sets(self, name: str, value: str) -> None:
        """Set a variable that the section names."""
        self.patch.setenv(self.section.does(name), value)

    def unsets(self, name: str) -> None:
        """Take a variable away that the section names."""
        self.patch.delenv(self.section.does(name))

    def starts(self, command: str) -> subprocess.Popen[str]:
        """Give a command in a terminal of its own."""
        words = [sys.executable, "-m", "cm4ai_assets.cli", *shlex.split(self.words(command))[1:]]
        return subprocess.Popen(
            words, env=dict(os.environ), cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def shell(self, lines: str) -> subprocess.CompletedProcess[str]:
        """Give lines to a shell; how they ended."""
        words = ["/bin/sh", "-c", lines]
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=self.folder, env=dict(os.environ))

    def offers(self, folder: Path) -> None:
        """Have the archive offer what is in a folder; the fixture takes it back."""
        self.archive._archive = Archive(folder, token=TOKEN)

    def printed(self) -> str:
        return "".join(self.capture.readouterr())

    def _keys(self) -> str:
        return " or ".join(f"key:{name}" for name in self.makes.split(","))

    def _shell(self, line: str) -> str:
        done = self.shell(line)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- clicking, and what the daemon does

    def evaluates(self, asset: str, check: str, partition: str = RELEASE) -> dg.AssetCheckEvaluation:
        """A run of a check alone, as the daemon requests it where it saw a change; what it found."""
        chosen = job().get_subset(
            asset_selection=set(), asset_check_selection={dg.AssetCheckKey(dg.AssetKey(asset), check)}
        )
        with self.instance() as instance:
            result = chosen.execute_in_process(
                instance=instance, tags={"dagster/partition": partition}, raise_on_error=False, run_config=QUIET
            )
        assert result.success
        return self.evaluation(asset, check, partition)

    def repeats(self, click: str, failed: Incident) -> bool:
        """A click on *Re-execute* on the page of the run that failed; whether the run succeeded."""
        self.section.does(click)
        with self.instance() as instance:
            run = instance.get_run_by_id(failed.link_path.rsplit("/", 1)[1])
            assert run is not None
            options = dg.ReexecutionOptions.from_failure(run.run_id, instance)
            again = _LOCATION.get_reconstructable_job(job().name)
            with dg.execute_job(  # as the UI does, with the tags of that run: they name its partition
                again, instance, reexecution_options=options, run_config=QUIET, tags=run.tags
            ) as result:
                return result.success

    def ticks(self, sensor: str, *, cursor: str | None = None, now: datetime | None = None) -> dg.SensorResult:
        """One tick of a sensor as the daemon takes it in; nothing that it requests is run."""
        platform = Platform()
        with self.instance() as instance:
            context = dg.build_sensor_context(
                instance=instance, cursor=cursor, resources={"platform": platform}, repository_def=repository()
            )
            result = release_tick(context, platform, now) if now else repository().get_sensor_def(sensor)(context)
            assert isinstance(result, dg.SensorResult)
            for event in result.asset_events:
                instance.report_runless_asset_event(event)
            for request in result.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys or ()))
        return result

    # --- looking

    def states(self, release: str) -> list[str]:
        """What `cm4ai releases` says of the conditions of a release."""
        every = json.loads(self.succeeds("cm4ai releases --json"))
        return [one["state"] for state in every if state["release"] == release for one in state["conditions"].values()]

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance as the UI has it open."""
        with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
            yield instance

    def incidents(self, now: datetime | None = None) -> list[Incident]:
        """What is open: what the status page shows and alerts send."""
        platform = Platform()
        with self.instance() as instance:
            return open_incidents(instance, platform.store, repository(), now or datetime.now(UTC))

    def incident(self, title: str, now: datetime | None = None) -> Incident:
        """The one that is open and whose title holds these words; it leads to this section."""
        every = self.incidents(now)
        found = [one for one in every if title in one.title]
        assert len(found) == 1, [one.title for one in every]
        assert found[0].runbook == self.section.anchor
        return found[0]

    def is_over(self, one: Incident, now: datetime | None = None) -> bool:
        """Whether an incident is not open any more."""
        return one.key not in {other.key for other in self.incidents(now)}

    def evaluation(self, asset: str, check: str, partition: str | None) -> dg.AssetCheckEvaluation:
        """What a check's page shows of a partition: the latest evaluation."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        with self.instance() as instance:
            records = instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
        every = [record.evaluation for record in records if record.evaluation]
        return next(one for one in every if one.partition == partition)

    def warns(self, asset: str, check: str, partition: str | None) -> str:
        """See that a check did not pass and leads to this section; its name and what it says."""
        found = self.evaluation(asset, check, partition)
        assert not found.passed
        assert f"/runbook#{self.section.anchor}" in str(found.metadata["runbook"].value)
        return f"{asset}.{check} {found.description}"
