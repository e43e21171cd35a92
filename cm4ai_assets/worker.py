"""`python -m cm4ai_assets.worker`: a process that takes runs of any machine from CM4AI_BROKER and executes them here.

It is Celery's own worker, `celery -A cm4ai_assets.worker worker`, with its settings checked first; Celery's other
commands work too (`celery -A cm4ai_assets.worker status`). Belongs here: that. Does not belong here: who hands out
runs (`defs.workers`).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cm4ai_assets import causes
from cm4ai_assets.cli.terminal import DONE, FAILED, WRONG_USE, complain, out
from cm4ai_assets.defs.broker import QUEUE, broker, celery_app, shown
from cm4ai_assets.defs.home import prepare_home
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings, environment

if TYPE_CHECKING:
    from celery import Celery


def build() -> Celery:
    """The Celery app of the settings, with the tasks that execute runs.

    Raises:
        ConfigurationError: A setting is missing or cannot be used, or Celery is not installed.
    """
    # What `.env` says is given to the processes of runs. They work in DAGSTER_HOME, because Dagster would put a `.env`
    # of the folder it works in over what is exported.
    os.environ.update(environment())
    settings = Settings.from_env()
    made = celery_app(settings)
    os.chdir(prepare_home())
    from celery.signals import setup_logging, worker_init  # noqa: PLC0415 - optional
    from dagster_celery.tasks import create_execute_job_task, create_resume_job_task  # noqa: PLC0415

    create_execute_job_task(made)
    create_resume_job_task(made)
    setup_logging.connect(_set_up_logging, weak=False)
    worker_init.connect(_load_definitions, weak=False)
    return made


def _set_up_logging(**_signal: object) -> None:
    """What Celery does with runs is shown. What runs do is Dagster's to show; and of libraries, what goes wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", force=True)
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.apps.worker", "celery.worker.consumer"):
        logging.getLogger(name).setLevel(logging.INFO)


def _load_definitions(**_signal: object) -> None:
    """Load what every run needs before processes for runs are forked."""
    import cm4ai_assets.definitions  # noqa: F401, PLC0415 - slow to import


def __getattr__(name: str) -> Celery:
    """`app`, made when Celery asks for it: nothing is read from the environment by an import alone."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = app = build()
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Work until ended; the exit status."""
    args = _parser().parse_args(argv)
    try:
        app = build()
        out.print(
            f"Takes runs from {args.queue} of {shown(broker(Settings.from_env()))}. Ctrl-C ends it after its run."
        )
        sys.stdout.flush()
        name = args.name or f"cm4ai-{os.getpid()}"
        app.worker_main([
            "worker", "--queues", args.queue, "--concurrency", str(args.runs), "--hostname", f"{name}@%h",
            "--loglevel", "INFO", "--without-gossip", "--without-mingle",
        ])  # fmt: skip
    except ConfigurationError as error:
        return complain(error, WRONG_USE, debug=args.debug)
    except Exception as error:  # noqa: BLE001 - a person is at the terminal
        return complain(causes.of_exception(error), FAILED, debug=args.debug)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cm4ai_assets.worker", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="runs at once; image work uses every core by itself")
    parser.add_argument("--queue", default=QUEUE, help="queues to take runs from, with commas; default: %(default)s")
    parser.add_argument("--name", help="what the worker is called; default: cm4ai- and its process id")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


if __name__ == "__main__":
    sys.exit(main())
