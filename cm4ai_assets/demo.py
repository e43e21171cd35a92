"""`make demo`: the whole way on the embedded archive, as an operator would go it, in about a minute.

Belongs here: the order of the commands, each as a person would type it, and serving the demo's archive again.
Does not belong here: the archive (`sandbox`).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cm4ai_assets import cli
from cm4ai_assets.access import open_release
from cm4ai_assets.cli.materialize import Shows, materialize_release, print_outcome
from cm4ai_assets.cli.terminal import out
from cm4ai_assets.cycles import seldom_collecting
from cm4ai_assets.guard import HOST
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.releases import LATEST
from cm4ai_assets.sandbox import SandboxServer, build
from cm4ai_assets.science import sentences
from cm4ai_assets.settings import Settings, data_folder, environment, service_variables
from cm4ai_assets.showing import address_of
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import TEST_PREFIX, ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Document
from cm4ai_assets.tables.publication import AI_READINESS, DATASHEET_REPORT
from cm4ai_assets.tables.status import PLATFORM_STATUS

if TYPE_CHECKING:
    from cm4ai_assets.defs.launching import Outcome

FIELDS = 8  # of each condition: enough for every shape of the release, and for a minute
STATISTICS_RELEASE = "2025-06-v2.1"  # the published statistics of sequencing stand in that of June 2025 alone
PROFILES_RELEASE = "2025-10-v1.1"  # and elution profiles as tables in that of October
_PORT = 8765  # if it is free: addresses of files stay the same from one time to the next


def sandbox_folder() -> Path:
    """Where the demo's archive stands."""
    return data_folder(os.environ) / ".demo" / "sandbox"


@dataclass(frozen=True)
class _Asked:
    """One `cm4ai materialize`."""

    release: str = LATEST
    select: str = "*"
    condition: str | None = None

    def __str__(self) -> str:
        condition = f" --condition {self.condition}" if self.condition else ""
        return f"materialize --release {self.release}{condition}" + (
            f" --select {self.select}" if self.select != "*" else ""
        )


_STEPS = (
    "releases --register",
    _Asked(STATISTICS_RELEASE, "cellranger_metrics"),
    _Asked(PROFILES_RELEASE, "secms_profiles,secms_proteins", "untreated"),
    _Asked(),  # last: it ends with the status of all
    "verify",
)
_PAGES = {
    PLATFORM_STATUS: "the state of everything: releases, checks, what needs a person, disk",
    DATASHEET_REPORT: "the newest release on one page, for colleagues",
    AI_READINESS: "how ready it is for AI, criterion by criterion, with the evidence",
}


@dataclass
class _Checks:
    """What the checks of all runs found."""

    held: int = 0
    warned: int = 0


def main() -> int:
    """Build and serve the sandbox, register its releases, materialize the newest, check and verify; exit status."""
    started = time.monotonic()
    out.rule("An archive to try it on", align="left")
    build(sandbox_folder(), fields=FIELDS)
    shapes = f"5 releases in 10 versions, with {FIELDS} painted fields of view of each of 3 treatments"
    out.print(f"Built in {sandbox_folder()}: {shapes}. Nothing in it was measured.")
    with _served() as url:
        out.print(f"Served at {url} as Dataverse, MassIVE, Figshare, ENA and NCBI serve theirs.")
        status = _steps()
    if status == cli.DONE:
        out.rule("Look at it", align="left")
        _pages()
        out.print(f"Done in {time.monotonic() - started:.0f} s.")
    return status


def _steps() -> int:
    """The commands in their order, each as a person would type it, until one fails; the exit status."""
    checks = _Checks()
    for step in _STEPS:
        out.rule(f"cm4ai {step}", align="left")
        status = _in_short(step.split()) if isinstance(step, str) else _materialized(step, checks)
        if status != cli.DONE:
            out.print(f"The demo stopped: `cm4ai {step}` ended with status {status}.", style="red")
            return status
    out.print(
        f"{checks.held} checks hold, {checks.warned} warn, none failed. The archive is flawed, as the real one is."
    )
    return cli.DONE


def _in_short(words: list[str]) -> int:
    """Run a command; of what it prints, the line that counts if it succeeds, and all if it does not."""
    with out.capture() as captured:
        status = cli.main(words)
    lines = captured.get().rstrip().splitlines()
    counts = [line for line in lines if line[:1].isdigit() and line.endswith((".", "UTC"))]
    for line in counts[-1:] if status == cli.DONE and counts else lines:
        out.print(line)
    return status


def _materialized(asked: _Asked, checks: _Checks) -> int:
    """Materialize as the command does, and print what each run made in terms of the science."""
    shows = Shows(lambda *_: None, lambda outcome, store: _tell(outcome, store, checks), log_level="ERROR")
    conditions = [asked.condition] if asked.condition else []
    return cli.in_words(lambda: materialize_release(asked.release, conditions, asked.select, shows))


def _tell(outcome: Outcome, store: Store, checks: _Checks) -> None:
    """One run: its sentences, and its checks; in full where something failed."""
    warned = sum(not check.passed for check in outcome.checks)
    held = len(outcome.checks) - warned
    checks.held, checks.warned = checks.held + held, checks.warned + warned
    out.print(str(outcome.partition), style="bold")
    for sentence in sentences(store, outcome.partition, outcome.made):
        out.print(f"  {sentence}.")
    for reason in dict.fromkeys(filter(None, outcome.observed.values())):
        out.print(f"  Not made: {reason.split(': ')[0].split('. ')[0].rstrip('.')}.", style="dim")
    if outcome.succeeded:
        out.print(f"  {held} checks hold, {warned} warn.")
    else:
        print_outcome(outcome, debug=False)


@contextmanager
def demo_archive(store: Store) -> Iterator[str | None]:
    """Serve the demo's archive if the storage holds its releases and no other archive is set; its URL."""
    records = ReleaseRegistry(store).all()
    is_demo = bool(records) and all(record.doi.startswith(TEST_PREFIX) for record in records)
    if not is_demo or not sandbox_folder().is_dir() or environment().get("CM4AI_DATAVERSE_URL"):
        yield None
        return
    with _served() as url:
        yield url


@contextmanager
def _served() -> Iterator[str]:
    """Serve the sandbox, and set it as the archive of this process and of those that it starts."""
    try:
        server = SandboxServer(sandbox_folder(), port=_PORT)
    except OSError:  # taken
        server = SandboxServer(sandbox_folder())
    with server:
        os.environ.update(service_variables(server.url))
        yield server.url


def _pages() -> None:
    """Name the pages to open, and how."""
    store = Store.from_settings(Settings.from_env())
    release = open_release("latest").key
    root = f"http://{HOST}:{Settings.from_env().ui_port}"
    out.print(f"Start the UI with `make ui`, then open, while it runs (the data is in {store.location('')}):")
    pages = {f"{root}/locations/cm4ai_assets/asset-groups": "every asset, its partitions, checks and lineage"}
    pages |= {f"{root}{address_of(one, _partition(one, release))}": text for one, text in _PAGES.items()}
    for address, text in pages.items():
        out.print(f"  {address}  {text}")


def _partition(document: Document, release: str) -> Partition:
    return Partition() if document.partitioning is Partitioning.NONE else Partition(release)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m cm4ai_assets.demo", description=main.__doc__).parse_args()
    with seldom_collecting():
        sys.exit(main())
