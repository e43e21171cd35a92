"""Runs on Celery workers of any machine, through the Redis server of CM4AI_BROKER.

Dagster's own launcher hands a run to Celery, and asks Celery how it goes. What is different here: dagster.yaml holds no
URL; a run that Redis has forgotten is not taken for dead, since its own mark says whether it is alive (`dead_runs`); it
is cancelled in order; and one that does not start says what it waits for.

Belongs here: the launcher. Does not belong here: the worker (`cm4ai_assets.worker`), asking where a run is (`waiting`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import dagster as dg
from celery.exceptions import BackendError, DuplicateTaskNameWarning
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._serdes import ConfigurableClassData
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from cm4ai_assets.defs.broker import CELERY, QUEUE, broker, shown
from cm4ai_assets.defs.waiting import nobody_takes, takers, whereabouts, withdraw
from cm4ai_assets.errors import RunError
from cm4ai_assets.settings import Settings

_UNREACHABLE = (OperationalError, RedisError, BackendError, OSError)


class WorkerLauncher(CeleryRunLauncher):
    """Hands runs to the workers of CM4AI_BROKER."""

    def __init__(self, url: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._shown = shown(url)
        super().__init__(default_queue=QUEUE, broker=url, backend=url, config_source=CELERY, inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: every process reads CM4AI_BROKER."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> WorkerLauncher:
        """The launcher of the settings.

        Raises:
            ConfigurationError: CM4AI_BROKER is not set, or Celery is not installed.
        """
        del config_value
        return cls(broker(Settings.from_env()), inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Put a run into its queue, and say in its log if no worker takes runs from there.

        Raises:
            RunError: Redis has not answered for a minute.
        """
        run = context.dagster_run
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DuplicateTaskNameWarning)  # Dagster registers its task at each launch
                super().launch_run(context)
        except _UNREACHABLE as error:
            raise RunError(
                f"The Redis server {self._shown} of CM4AI_BROKER cannot be used: {error}.",
                remedy="Start it, or correct CM4AI_BROKER; then launch the run again.",
            ) from None
        with suppress(*_UNREACHABLE):
            if not takers(self.celery, _queue(run)):
                self._instance.report_engine_event(nobody_takes(_queue(run)), run, cls=type(self))

    def terminate(self, run_id: str) -> bool:
        """Cancel a run: take it out of its queue, or interrupt it as Ctrl-C does."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if run.status is not dg.DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task is None or withdraw(self.celery, task, _queue(run)):
            self._instance.report_run_canceled(run, "It was cancelled before a worker took it.")
        else:
            self.celery.control.revoke(task, terminate=True)  # SIGTERM, which Dagster takes as Ctrl-C
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether Celery knows that the process of a run has ended. What it does not know, the run's mark shows."""
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        with suppress(*_UNREACHABLE):  # the run needs no Redis to go on
            result = self.celery.AsyncResult(task) if task else None
            if result is not None and result.state == "FAILURE":
                return CheckRunHealthResult(WorkerStatus.FAILED, f"The process of the run has ended: {result.result}")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(
        self,
        run: dg.DagsterRun,
        include_container_logs: bool | None = True,  # noqa: FBT001, FBT002 - Dagster calls it so
    ) -> str | None:
        """Where a run is that was launched and does not start; None for another, whose own log says how far it came."""
        del include_container_logs
        if run.status is not dg.DagsterRunStatus.STARTING:
            return None
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        try:
            return whereabouts(self.celery, task, _queue(run)) if task else "It came into no queue. Launch it again."
        except _UNREACHABLE as error:
            return f"The Redis server {self._shown} of CM4AI_BROKER cannot be asked where it is: {error}"


def _queue(run: dg.DagsterRun) -> str:
    return run.tags.get(DAGSTER_CELERY_QUEUE_TAG, QUEUE)
