"""What those who hand out runs and the workers who take them agree on: the Redis server, the queue, how Celery is set.

Belongs here: that agreement. Does not belong here: handing out runs (`workers`), taking them (`cm4ai_assets.worker`).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings

if TYPE_CHECKING:
    from celery import Celery

QUEUE = "runs"
"""Where workers take runs from, unless the tag `dagster-celery/queue` of a job or run names another queue."""

START = "python -m cm4ai_assets.worker"
_WEEK = 7 * 86_400  # seconds; longer than any run

CELERY: dict[str, Any] = {
    # A run waits in the queue until a process is free for it. Celery's habit of taking one more ahead would leave it
    # with a worker that is busy for hours while another one idles.
    "worker_disable_prefetch": True,
    "worker_prefetch_multiplier": 1,
    # Every run in a process of its own, as Dagster's own launcher has it: memory is given back, nothing is left over.
    "worker_max_tasks_per_child": 1,
    # What steps print is captured by Dagster, and logging is set up by Dagster.
    "worker_redirect_stdouts": False,
    "worker_hijack_root_logger": False,
    # A message that was taken and not acknowledged is delivered again after this time.
    "broker_transport_options": {"visibility_timeout": _WEEK, "socket_keepalive": True, "socket_connect_timeout": 10},
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "result_expires": _WEEK,
    # Patience with a Redis server that restarts: a little more than a minute.
    "task_publish_retry_policy": {"max_retries": 18, "interval_start": 0.5, "interval_step": 0.5, "interval_max": 5.0},
}


def celery_app(settings: Settings) -> Celery:
    """Celery as workers have it.

    Raises:
        ConfigurationError: There is no broker, or Celery is not installed.
    """
    url = broker(settings)
    from dagster_celery.make_app import make_app  # noqa: PLC0415 - optional

    made: Celery = make_app(  # type: ignore[no-untyped-call]
        {"broker": url, "backend": url, "include": [], "config_source": CELERY, "task_default_queue": QUEUE}
    )
    return made


def broker(settings: Settings) -> str:
    """The URL of the Redis server.

    Raises:
        ConfigurationError: CM4AI_BROKER is not set, or Celery is not installed.
    """
    if settings.broker is None:
        raise ConfigurationError(
            "CM4AI_BROKER is not set: it names the Redis server through which workers get runs.",
            remedy="Set it (.env.example shows how). To have runs on this machine again, start `cm4ai` or `make ui` "
            "without it, which write dagster.yaml anew.",
        )
    if missing := [name for name in ("dagster_celery", "redis") if find_spec(name) is None]:
        raise ConfigurationError(
            f"CM4AI_BROKER is set, and {' and '.join(missing)} is not installed.",
            remedy="Run `pip install 'cm4ai_assets[celery]'`.",
        )
    return settings.broker


def shown(url: str) -> str:
    """Which Redis server a URL names, without the password: host and port."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"
