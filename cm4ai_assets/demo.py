"""`make demo`: the whole way on the embedded archive, as an operator would go it, in about a minute.

Belongs here: the order of the commands. Each step is the command that a person would type.
"""

from __future__ import annotations

import os
import sys
import time

from cm4ai_assets import cli
from cm4ai_assets.access import open_release
from cm4ai_assets.cli.terminal import out
from cm4ai_assets.sandbox import SandboxServer, build
from cm4ai_assets.settings import PROJECT

FIELDS = 24


def main() -> int:
    """Build and serve the sandbox, register its releases, materialize the newest, check and verify it; exit status."""
    started = time.monotonic()
    sandbox = PROJECT / ".demo" / "sandbox"
    out.rule("Building the embedded archive", align="left")
    build(sandbox, fields=FIELDS, progress=out.print)
    with SandboxServer(sandbox) as server:
        for service in ("DATAVERSE", "MASSIVE", "DATACITE"):
            os.environ[f"CM4AI_{service}_URL"] = server.url
        out.print(f"Serving it at {server.url}")
        for words in (
            ["releases", "--register"],
            ["materialize", "--release", "latest"],
            ["verify", "--release", "latest"],
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


if __name__ == "__main__":
    sys.exit(main())
