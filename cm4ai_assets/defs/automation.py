"""Automation conditions: when what is made from other tables is made again by itself.

Belongs here: conditions, and the sensor that evaluates them. Does not belong here: what reads published bytes; that is
requested for what is new in a release (`updates.inputs`, `defs.updates.sensor`), because a new version of the same
bytes is news to Dagster and nothing to us.

Put `automation_condition=follows_its_inputs()` on an asset that gathers tables, such as those of all conditions, and
`follows_what_there_is()` on one that is made without those that a release does not have.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster import AutomationCondition as When

_OfDeps = Any
"""A condition over the dependencies of an asset: Dagster has no public type for it."""


def follows_its_inputs() -> dg.AutomationCondition[Any]:
    """Make a partition when all its inputs are there and one of them has other content than before.

    It holds for every input of the partition, not for some of it:

    - none is missing, being made, or failed when it was last made, and each has passed its blocking checks. Dagster's
      own condition on checks lets a fan-in pass when one of several conditions has passed;
    - content is compared by data version, so that making the same again makes nothing below;
    - a failure is not repeated by itself. The next change of an input, or an operator, tries again.

    A release that was there before the condition was put on an asset is not made unasked.
    """
    return _when(~When.any_deps_missing(), "follows_its_inputs")


def follows_what_there_is() -> dg.AutomationCondition[Any]:
    """Make a partition when any of its inputs is there or has other content than before; otherwise as above.

    What the release does not have is not waited for; what is being made is, and what failed.
    """
    return _when(When.any_deps_match(~When.missing()), "follows_what_there_is")


def follows_documents(*documents: str) -> dg.AutomationCondition[Any]:
    """As `follows_what_there_is`, of some documents alone: whatever else the asset reads, they change with it.

    To look at every table of every condition takes a good part of each tick, so one document does that for the others.
    """
    return _when(When.any_deps_match(~When.missing()), "follows_documents", dg.AssetSelection.assets(*documents))


def _when(enough: _OfDeps, label: str, only: dg.AssetSelection | None = None) -> dg.AutomationCondition[Any]:
    """The condition; `only` are the dependencies that are looked at, all if None."""

    def of(condition: _OfDeps) -> _OfDeps:
        return condition if only is None else condition.allow(only)

    # Dagster types conditions on assets and those on checks apart, and takes them together.
    changed: Any = of(When.any_deps_updated()).replace("newly_updated", When.data_version_changed())
    unaudited: Any = When.any_checks_match(~When.check_passed() & ~When.will_be_requested(), blocking_only=True)
    condition: dg.AutomationCondition[Any] = (
        (When.newly_missing() | changed).since_last_handled()
        & of(enough)
        & ~of(When.any_deps_in_progress())
        & ~of(When.any_deps_match(When.execution_failed()))
        & ~of(When.any_deps_match(~When.missing() & unaudited))
        & ~When.in_progress()
    ).with_label(label)
    return condition


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    # Plain runs: a backfill counts an output that a step rightly did not make as failed.
    emit_backfills=False,
    run_tags={"cm4ai/requested_by": "automation"},
    description="Makes what follows its inputs. Switch it off to make nothing unasked.",
)
