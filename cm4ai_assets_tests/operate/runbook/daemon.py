"""What the daemon writes down: that it lives, which sensors are switched on, and how their ticks end."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import serializable_error_info_from_exc_info

from cm4ai_assets_tests.operate.runbook.operating import Operator


class Daemon:
    """Writes down what the daemon writes down: that it lives, what is switched on, and how each tick ended."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.cursor: str | None = None

    def switches(self, sensor: str, *, on: bool) -> None:
        """The switch beside a sensor's name; the daemon lives."""
        self.lives(datetime.now(UTC))
        with self.operator.instance() as instance:
            self._write(instance, sensor, InstigatorStatus.RUNNING if on else InstigatorStatus.STOPPED)

    def lives(self, when: datetime) -> None:
        """Each part of it was heard of then."""
        with self.operator.instance() as instance:
            for part in instance.get_required_daemon_types():
                instance.add_daemon_heartbeat(DaemonHeartbeat(when.timestamp(), part, "1", []))

    def tick(self, sensor: str) -> str:
        """A tick, evaluated and written down; what it said."""
        try:
            result = self.operator.ticks(sensor, cursor=self.cursor)
            status, error, said = TickStatus.SKIPPED, None, str(result.skip_reason)
            self.cursor = result.cursor
        except Exception as raised:  # noqa: BLE001 - whatever a sensor raises is a failed tick
            error = serializable_error_info_from_exc_info((type(raised), raised, raised.__traceback__))
            status, said = TickStatus.FAILURE, str(raised)
        with self.operator.instance() as instance:
            state = self._write(instance, sensor, InstigatorStatus.RUNNING)
            instance.create_tick(
                TickData(
                    state.instigator_origin_id, sensor, InstigatorType.SENSOR, status, datetime.now(UTC).timestamp(),
                    error=error, selector_id=state.selector_id,
                )
            )  # fmt: skip
        return said

    def _write(self, instance: dg.DagsterInstance, sensor: str, status: InstigatorStatus) -> InstigatorState:
        location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(), "cm4ai_assets")
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), sensor)
        data = SensorInstigatorData(last_tick_timestamp=datetime.now(UTC).timestamp(), cursor=self.cursor)
        state = InstigatorState(origin, InstigatorType.SENSOR, status, data)
        known = instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
        (instance.update_instigator_state if known else instance.add_instigator_state)(state)
        return state
