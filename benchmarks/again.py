"""`python -m benchmarks.again`: materializing an unchanged release a second time, against the first time.

Conditions of a release of real size, through Dagster as `cm4ai materialize` does it, twice, each time in a fresh
process. The archive is the sandbox, whose ZIPs of these conditions are replaced by ones of as many fields as asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.archives import CONDITION, Pictures
from benchmarks.ratios import Findings, arguments, at_most, parsed
from benchmarks.turns import SideFailedError
from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.releases import LATEST
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.build import build
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets.settings import service_variables

SHARE = at_most(0.02)


def main() -> int:
    options = _options()
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="again-", dir=options.scratch) as folder:
        scratch = Path(folder)
        pictures = Pictures(options, scratch)
        build(scratch / "archive", fields=8)
        conditions = CONDITIONS if options.all_conditions else (CONDITION,)
        for condition in conditions:
            _replace_zip(scratch, pictures, options.fields, condition)
        of = " and of ".join(conditions)
        findings.inputs = f"{pictures.inputs} to {options.fields:,} fields of {of}; selection {options.select!r}"
        with SandboxServer(scratch / "archive") as server:
            environ = _environ(server.url, scratch)
            _run(environ, "releases", "--register")
            words = ["materialize", "--release", LATEST, "--select", options.select]
            words += [word for condition in conditions for word in ("--condition", str(condition))]
            runs = []
            for which in ("first", "second"):
                runs.append(_run(environ, *words))
                seconds, cpu = runs[-1]
                print(f"{which}: {seconds:.0f} s, {cpu:.0f} s of CPU time", flush=True)
    (seconds, cpu), (seconds_again, cpu_again) = runs
    findings.number("second / first", seconds_again / seconds, SHARE)
    findings.number("second / first, CPU time", cpu_again / cpu, SHARE)
    return findings.finish(options)


def _replace_zip(scratch: Path, pictures: Pictures, fields: int, condition: Condition) -> None:
    """Publish a ZIP of so many fields in place of the sandbox's newest one of a condition."""
    path = scratch / "archive" / "files" / f"large-{condition}.zip"
    pictures.archive(path, fields, condition)
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    catalog = Catalog.load(scratch / "archive")
    newest = max(catalog.datasets, key=lambda dataset: max(version.released for version in dataset.versions))
    ending = f"_{condition}.zip"
    wanted = {entry.file_id for entry in newest.versions[-1].entries if entry.label.endswith(ending)}
    assert wanted, f"no file of the newest release ends with {ending}"
    large = {"path": f"files/{path.name}", "size": path.stat().st_size, "md5": md5}
    files = tuple(one.model_copy(update=large) if one.id in wanted else one for one in catalog.files)
    catalog.model_copy(update={"files": files}).save(scratch / "archive")


def _environ(url: str, scratch: Path) -> dict[str, str]:
    places = {"CM4AI_STORAGE": "storage", "CM4AI_SCRATCH": "scratch", "DAGSTER_HOME": "home"}
    return {**os.environ, **service_variables(url), **{name: str(scratch / place) for name, place in places.items()}}


def _run(environ: dict[str, str], *words: str) -> tuple[float, float]:
    """Wall and CPU seconds of a command."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "cm4ai_assets.cli", *words], env=environ, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SideFailedError(f"cm4ai {' '.join(words)} ended with {code}")
    return time.monotonic() - started, used.ru_utime + used.ru_stime


def _options() -> argparse.Namespace:
    parser = arguments("again", __doc__, rounds=1, jpegs=True)
    parser.add_argument("--fields", type=int, default=4421, help="fields of view; a published condition has 4,421")
    parser.add_argument("--all-conditions", action="store_true", help="every condition of the release, not one alone")
    parser.add_argument("--select", default="key:release_files or group:images", help="what is materialized")
    return parsed(parser, fields=24)


if __name__ == "__main__":
    sys.exit(main())
