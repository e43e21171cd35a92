"""The state of everything, read now, for whoever shows it: one way for the asset and for the terminal.

Belongs here: putting together what the storage, the instance and what needs a person say. Does not belong here: each
of these.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import dagster as dg

from cm4ai_assets.causes import of_exception
from cm4ai_assets.defs.incidents import open_incidents
from cm4ai_assets.defs.status.bare import bare_repository
from cm4ai_assets.incidents import Incident
from cm4ai_assets.settings import Settings
from cm4ai_assets.status import Recorded, Status, state_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.status import PLATFORM_STATUS

_OWN_FAILURE = f"run::{PLATFORM_STATUS.name}"


def read_status(
    instance: dg.DagsterInstance,
    store: Store,
    settings: Settings,
    now: datetime,
    *,
    repository: dg.RepositoryDefinition | None = None,
    own_run: str = "",
) -> Status:
    """The state of everything.

    Args:
        instance: Whose runs, checks, sensors and schedules.
        store: Whose releases.
        settings: Which archive is watched.
        now: The time, with its zone.
        repository: The definitions, where they are loaded; else what the instance knows of them.
        own_run: The run that reads it, which waits for nothing.
    """
    from cm4ai_assets.defs.status.asking import checks_of, recorded  # noqa: PLC0415 - see `incidents.evaluations`

    found: Recorded | None = None
    open_now: list[Incident] | None = None
    unknown = []
    try:
        checks = checks_of(instance)
        every = recorded(instance, settings, now, checks)
        found = replace(every, requests=tuple(one for one in every.requests if one.id != own_run))
        definitions = repository or bare_repository(instance, checks.evaluated)
        every_open = open_incidents(instance, store, definitions, now, failing=checks.failing)
        # That the page could not be made before is over when this one is published.
        open_now = [one for one in every_open if not own_run or one.key != _OWN_FAILURE]
    except Exception as error:  # noqa: BLE001 - what can be read is shown all the same
        unknown.append(f"The records of Dagster cannot be read: {of_exception(error)}")
    return state_of(store, settings, now, recorded=found, incidents=open_now, unknown=unknown)
