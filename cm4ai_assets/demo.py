"""`make demo`: the whole way on the embedded archive, as an operator would go it, in about a minute.

Belongs here: the order of the commands, each as a person would type it, and serving the demo's archive again.
Does not belong here: the archive (`sandbox`).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cm4ai_assets import cli
from cm4ai_assets.access import open_release
from cm4ai_assets.cli.terminal import out
from cm4ai_assets.sandbox import SandboxServer, build
from cm4ai_assets.settings import data_folder, environment, service_variables
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import TEST_PREFIX, ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.publication import AI_READINESS, DATASHEET_REPORT

FIELDS = 24
STATISTICS_RELEASE = "2025-06-v2.1"  # the published statistics of sequencing stand in that of June 2025 alone
_PORT = 8765  # if it is free: addresses of files stay the same from one time to the next


def sandbox_folder() -> Path:
    """Where the demo's archive stands."""
    return data_folder(os.environ) / ".demo" / "sandbox"


def main() -> int:
    """Build and serve the sandbox, register its releases, materialize the newest, check and verify; exit status."""
    started = time.monotonic()
    out.rule("Building the embedded archive", align="left")
    build(sandbox_folder(), fields=FIELDS, progress=out.print)
    with _served() as url:
        out.print(f"Serving it at {url}")
        for words in (
            ["releases", "--register"],
            ["materialize", "--release", "latest"],
            ["materialize", "--release", STATISTICS_RELEASE, "--select", "cellranger_metrics"],
            ["verify"],
        ):
            out.rule(f"cm4ai {' '.join(words)}", align="left")
            status = cli.main(words)
            if status != cli.DONE:
                out.print(f"The demo stopped: `cm4ai {' '.join(words)}` ended with status {status}.", style="red")
                return status
    out.rule("What was made", align="left")
    _report()
    out.print(f"Done in {time.monotonic() - started:.0f} s. Look at it with `make ui`.")
    return cli.DONE


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


def _report() -> None:
    release = open_release("latest")
    out.print(f"Release {release.key} in {release.store.location('')}")
    fields = release.table("if_fields").collect()
    for condition in release.conditions:
        tensor = release.tensors(condition)
        own = fields.filter(condition=str(condition))
        out.print(
            f"  {condition:<11} {own.height} fields, {own['tensor_index'].count()} in the tensor "
            f"{tensor.shape} {tensor.dtype}, {own['antibody_id'].n_unique()} antibodies, "
            f"{own.filter(own['defects'].list.len() > 0).height} fields with a defect"
        )
    for document in (DATASHEET_REPORT, AI_READINESS):
        entry = release.store.document(document, Partition(release.key)).entry
        out.print(f"  {document.name}: {release.store.location(entry)}")


if __name__ == "__main__":
    sys.exit(main())
