"""Checks that fail or warn now: per check and partition, the evaluation that stands.

Belongs here: such an evaluation, and the incident that it is. Does not belong here: what is checked, and the question
which evaluations stand (`evaluations`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import dagster as dg

from cm4ai_assets import runbook
from cm4ai_assets.defs.names import COLLECTION
from cm4ai_assets.defs.pages import RUNBOOK
from cm4ai_assets.incidents import Incident, Kind, Severity
from cm4ai_assets.plain import from_markdown

_OVERDUE = "release_due"


@dataclass(frozen=True)
class Failing:
    """An evaluation that did not pass, and after which none did: the check, its partition, its run, since when."""

    check: dg.AssetCheckKey
    partition: str | None
    run_id: str
    evaluation: dg.AssetCheckEvaluation
    since: datetime

    @property
    def is_failure(self) -> bool:
        """It blocks: what was held against it is not published."""
        return self.evaluation.severity is dg.AssetCheckSeverity.ERROR


def check_incident(failing: Failing) -> Incident:
    """The incident that a failing check is."""
    asset, partition = failing.check.asset_key.to_user_string(), failing.partition
    kind, severity, runbook = _class_of(failing)
    about = f"{asset} of {partition}" if partition else asset
    verb = "failed" if failing.is_failure else "warns"
    title = "A release is overdue" if kind is Kind.RELEASE_OVERDUE else f"Check {failing.check.name} {verb}: {about}"
    return Incident(
        key=f"check:{asset}:{failing.check.name}:{partition or ''}",
        kind=kind,
        severity=severity,
        title=title,
        text=from_markdown(failing.evaluation.description or "It gave no reason."),
        link_path=f"/assets/{quote(asset)}?view=checks&checkDetail={quote(failing.check.name)}",
        runbook=runbook,
        since=failing.since,
    )


def _class_of(failing: Failing) -> tuple[Kind, Severity, str]:
    asset, check = failing.check.asset_key.to_user_string(), failing.check.name
    link = failing.evaluation.metadata.get(RUNBOOK)
    named = runbook.anchor_in(str(link.value)) if link else ""
    section = named or runbook.of_check(check, blocking=failing.is_failure)
    if failing.is_failure:
        return Kind.CHECK_FAILED, Severity.FAILURE, section
    overdue = (asset, check) == (COLLECTION, _OVERDUE)
    return Kind.RELEASE_OVERDUE if overdue else Kind.CHECK_WARNS, Severity.WARNING, section
