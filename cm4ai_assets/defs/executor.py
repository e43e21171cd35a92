"""Where the steps of a run are executed: in its own process, which holds the run's lock meanwhile.

Belongs here: the executor of every job. Does not belong here: what the lock is for (`dead_runs`).
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster._core.events import DagsterEvent
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

from cm4ai_assets.defs.dead_runs import alive


class LivingExecutor(InProcessExecutor):
    """Dagster's in-process executor. That the run is alive can be seen from outside."""

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Execute the steps one after the other."""
        from cm4ai_assets.defs.kept_events import keep_connections  # noqa: PLC0415 - see `incidents.evaluations`

        keep_connections(plan_context.instance)  # Dagster has opened it by itself in a process that the daemon starts
        with alive(plan_context.instance, plan_context.run_id):
            yield from super().execute(plan_context, execution_plan)


# Few fat steps in one process: a step costs half a second here and several seconds in a process of its own, and the
# heavy one uses every core by itself.
@dg.executor(name="in_process")
def in_process(_context: dg.InitExecutorContext) -> LivingExecutor:
    """All steps of a run in its own process."""
    return LivingExecutor(retries=RetryMode.ENABLED)
