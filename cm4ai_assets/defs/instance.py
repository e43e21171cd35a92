"""The Dagster instance of this project: where it lives, and the release partitions it knows.

Belongs here: DAGSTER_HOME and dynamic partitions. Does not belong here: runs (`launching`).
"""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from cm4ai_assets.defs.partitions import RELEASE
from cm4ai_assets.settings import PROJECT
from cm4ai_assets.storage.registry import ReleaseRegistry


def prepare_home() -> Path:
    """Set DAGSTER_HOME to its default where it is unset, and give it this project's dagster.yaml if it has none."""
    home = Path(os.environ.get("DAGSTER_HOME") or PROJECT / ".dagster_home").absolute()
    home.mkdir(parents=True, exist_ok=True)
    config = home / "dagster.yaml"
    if not config.exists() and (PROJECT / "dagster.yaml").exists():
        config.unlink(missing_ok=True)  # a link that points nowhere any more
        config.symlink_to(PROJECT / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def open_instance() -> dg.DagsterInstance:
    """The instance that the UI and the daemon use too."""
    prepare_home()
    return dg.DagsterInstance.get()


def sync_partitions(instance: dg.DagsterInstance, registry: ReleaseRegistry) -> list[str]:
    """Make every registered release a partition; the keys that were new to the instance. None is ever removed."""
    known = set(instance.get_dynamic_partitions(RELEASE))
    new = [record.key for record in registry.all() if record.key not in known]
    if new:
        instance.add_dynamic_partitions(RELEASE, new)
    return new
