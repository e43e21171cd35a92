"""What Dagster loads, as text: `python -m cm4ai_assets_tests.contract.snapshot` writes `snapshot.txt` anew.

A change of keys, partitions, checks, jobs, sensors or schedules is a change of what others build on: it shall stand in
the diff where a reviewer sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

PATH = Path(__file__).with_name("snapshot.txt")


def snapshot(defs: dg.Definitions) -> str:
    """One line per thing, sorted, under a heading per kind."""
    parts = {"assets": _assets(defs), "checks": _checks(defs), "jobs": _jobs(defs), "sensors": _sensors(defs),
             "schedules": _schedules(defs)}  # fmt: skip
    return "\n".join(f"{name}\n" + "".join(f"  {line}\n" for line in sorted(lines)) for name, lines in parts.items())


def _partitions(definition: dg.PartitionsDefinition[str] | None) -> str:
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return " x ".join(sorted(part.name for part in definition.partitions_defs))
    if isinstance(definition, dg.DynamicPartitionsDefinition):
        return str(definition.name)
    if definition is None:
        return "none"
    return ", ".join(definition.get_partition_keys())


def _assets(defs: dg.Definitions) -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        made = "" if node.is_materializable else ", external"
        parents = ", ".join(sorted(parent.to_user_string() for parent in node.parent_keys)) or "nothing"
        yield f"{key.to_user_string()}: {node.group_name}, by {_partitions(node.partitions_def)}{made}, from {parents}"


def _checks(defs: dg.Definitions) -> Iterator[str]:
    graph = defs.resolve_asset_graph()
    for key in graph.asset_check_keys:
        spec = graph.get_check_spec(key)
        yield f"{key.asset_key.to_user_string()}: {key.name}{' (blocking)' if spec.blocking else ''}"


def _jobs(defs: dg.Definitions) -> Iterator[str]:
    for job in defs.resolve_all_job_defs():
        if not job.name.startswith("__"):
            keys = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            yield f"{job.name}: by {_partitions(job.partitions_def)}, {', '.join(keys)}"


def _sensors(defs: dg.Definitions) -> Iterator[str]:
    for sensor in defs.sensors or ():
        yield f"{sensor.name}: every {sensor.minimum_interval_seconds} s, {sensor.default_status.value.lower()}"


def _schedules(defs: dg.Definitions) -> Iterator[str]:
    for schedule in defs.schedules or ():
        assert isinstance(schedule, dg.ScheduleDefinition)
        yield f"{schedule.name}: {schedule.cron_schedule}, {schedule.default_status.value.lower()}"


if __name__ == "__main__":
    from cm4ai_assets.definitions import defs as loaded

    PATH.write_text(snapshot(loaded), encoding="utf-8")
