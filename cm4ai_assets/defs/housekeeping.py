"""What the daemon keeps in order by itself: records of runs whose process has died.

Belongs here: that sensor. Does not belong here: how a dead run is known and ended (`dead_runs`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import dagster as dg

from cm4ai_assets.defs.dead_runs import end_dead_runs


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends the records of runs whose process has died, and frees their places in the queue and in pools. "
    "Dagster takes them for running for as long as the longest run may take. Starts nothing by itself.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One look at the runs."""
    ended = end_dead_runs(context.instance)
    return dg.SkipReason(f"Ended: {', '.join(ended)}." if ended else "Every run that is under way is alive.")
