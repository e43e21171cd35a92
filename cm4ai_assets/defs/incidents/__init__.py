"""What is open now and needs a person: the one gathering behind the status page, `cm4ai status` and messages.

Belongs here: asking the instance and the storage, in the time that a sensor has. What stands in checks and observations
already is read there and not computed again. Does not belong here: the form of an incident (`incidents`), who gets a
message (`alerts`), and how a page shows it (`status`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from weakref import WeakKeyDictionary

import dagster as dg

from cm4ai_assets import causes
from cm4ai_assets.defs.incidents.automation import automation_incidents
from cm4ai_assets.defs.incidents.checks import Failing, check_incident
from cm4ai_assets.defs.incidents.runs import failed_runs
from cm4ai_assets.incidents import Incident, Kind, Severity, in_order
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.news import Newsroom

_newsrooms: WeakKeyDictionary[Store, Newsroom] = WeakKeyDictionary()


def open_incidents(
    instance: dg.DagsterInstance,
    store: Store,
    repository: dg.RepositoryDefinition,
    now: datetime,
    *,
    failing: Sequence[Failing] | None = None,
) -> list[Incident]:
    """Every incident that is open now, worst first.

    Args:
        instance: Whose runs, checks, sensors and daemon.
        store: Whose releases and locks.
        repository: The checks, sensors and schedules that there are (`context.repository_def`, or
            `definitions.defs.get_repository_def()`).
        now: The time, with its zone.
        failing: What `failing_checks` of this instance says, where it was asked already.
    """
    from cm4ai_assets.defs.incidents.evaluations import failing_checks  # noqa: PLC0415 - see its head

    checks = repository.asset_graph.asset_check_keys
    found = failing_checks(instance, checks) if failing is None else [one for one in failing if one.check in checks]
    return in_order(
        [
            *failed_runs(instance, repository, now),
            *map(check_incident, found),
            *automation_incidents(instance, repository, now),
            *_news(store, now),
        ]
    )


def _news(store: Store, now: datetime) -> list[Incident]:
    """The news of the archive; where the storage cannot be read, that. It keeps nobody from hearing of the rest."""
    try:
        return list(_newsrooms.setdefault(store, Newsroom()).incidents(store, now))
    except Exception as error:  # noqa: BLE001 - whatever the library of that storage raises
        cause = str(causes.of_exception(error))
        title = "The storage cannot be read"
        return [Incident("storage", Kind.STORAGE_AWAY, Severity.FAILURE, title, cause, "/", "storage-away")]
