"""Where and on what a result was measured: machine, versions, commit.

Belongs here: facts that stand beside every result. Does not belong here: names of hosts or folders, which say nothing.
"""

from __future__ import annotations

import configparser
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.runner import PROJECT
from benchmarks.sides import CORES


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and how busy it is (the load average of a minute)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": CORES,
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str | None]:
    """Python, and what the project and the benchmarks ask for; none for what is not installed."""
    config = configparser.ConfigParser()
    config.read(PROJECT / "setup.cfg")
    asked = config["options"]["install_requires"].split() + config["options.extras_require"]["bench"].split()
    wanted = sorted({re.split(r"[<>=!\[]", one)[0] for one in asked}, key=str.lower)
    return {"python": platform.python_version(), **{name: _version(name) for name in wanted}}


def commit() -> dict[str, Any]:
    """The commit that is checked out, and whether the checkout differs from it."""
    head = _git("rev-parse", "HEAD")
    return {"commit": head, "changed": bool(_git("status", "--porcelain")) if head else None}


def _processor() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
