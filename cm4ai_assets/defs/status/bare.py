"""What of a code location the instance itself knows: enough to say what needs a person without loading any asset.

Belongs here: checks, sensors and schedules by what is recorded of them. Loading the definitions takes seconds of a
person's time at a terminal, and a step that runs without a repository has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData, SensorInstigatorData

from cm4ai_assets.defs.incidents.automation import states_of

_A_JOB = "any"


@dataclass(frozen=True)
class _Checks:
    asset_check_keys: frozenset[dg.AssetCheckKey]


@dataclass(frozen=True)
class _Bare:
    """As much of a `RepositoryDefinition` as `defs.incidents` asks for. No job is known: runs name what they make."""

    asset_graph: _Checks
    sensor_defs: Sequence[dg.SensorDefinition]
    schedule_defs: Sequence[dg.ScheduleDefinition]

    def has_job(self, _name: str) -> bool:
        return False


def bare_repository(instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey]) -> dg.RepositoryDefinition:
    """The checks that were evaluated (`asking.known_checks`), and the sensors and schedules that were on or off."""
    states = list(states_of(instance).values())
    bare = _Bare(_Checks(frozenset(checks)), list(_sensors(states)), list(_schedules(states)))
    return cast("dg.RepositoryDefinition", bare)


def _sensors(states: Sequence[InstigatorState]) -> Iterator[dg.SensorDefinition]:
    for state in states:
        data = state.instigator_data
        if isinstance(data, SensorInstigatorData):
            yield dg.SensorDefinition(
                name=state.name,
                evaluation_fn=lambda: None,
                minimum_interval_seconds=data.min_interval,
                default_status=dg.DefaultSensorStatus.RUNNING,
                job_name=_A_JOB,
            )


def _schedules(states: Sequence[InstigatorState]) -> Iterator[dg.ScheduleDefinition]:
    for state in states:
        data = state.instigator_data
        if isinstance(data, ScheduleInstigatorData):
            yield dg.ScheduleDefinition(
                name=state.name,
                cron_schedule=data.cron_schedule,
                job_name=_A_JOB,
                default_status=dg.DefaultScheduleStatus.RUNNING,
            )
