"""DAGSTER_HOME: the folder of this machine's instance, and the dagster.yaml that the settings ask for.

Without a setting that concerns Dagster the file is a link to that of this package; with one it is composed of that file
and what the setting adds. An operator's own file is read, never written. Belongs here: that folder and that file. Does
not belong here: opening the instance (`instance`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from cm4ai_assets.coordination.database import library, shown
from cm4ai_assets.defs.broker import broker
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import PACKAGE, Settings, data_folder, environment

_COMPOSED = "# Composed by cm4ai of its own dagster.yaml and its settings. Do not edit: it is written anew.\n"
_AT_ONCE = "concurrency.runs.max_concurrent_runs"


Overlays = dict[str, tuple[str, Any]]
"""Per place in dagster.yaml (its keys, with dots), the setting that asks for a value there, and the value."""


def overlays(settings: Settings) -> Overlays:
    """What the settings add to dagster.yaml."""
    found: Overlays = {}
    if settings.database is not None:
        library()
        kept_in = {"module": "cm4ai_assets.defs.database", "class": "InstanceDatabase", "config": {}}
        found["storage"] = ("CM4AI_DATABASE", {"custom": kept_in})
    if settings.broker is not None:
        broker(settings)
        launcher = {"module": "cm4ai_assets.defs.workers", "class": "WorkerLauncher", "config": {}}
        found["run_launcher"] = ("CM4AI_BROKER", launcher)
    if settings.runs is not None:
        found[_AT_ONCE] = ("CM4AI_RUNS", settings.runs)
    return found


def prepare_home() -> Path:
    """Set DAGSTER_HOME to its default where it is unset, and give it the dagster.yaml that the settings ask for.

    Raises:
        ConfigurationError: It cannot be a folder, or has a dagster.yaml of the operator's that contradicts a setting.
    """
    default = data_folder(os.environ) / ".dagster_home"
    home = Path(environment().get("DAGSTER_HOME") or default).expanduser().absolute()
    wanted = overlays(Settings.from_env())
    try:
        home.mkdir(parents=True, exist_ok=True)
        _configure(home / "dagster.yaml", PACKAGE / "dagster.yaml", wanted)
    except OSError as error:
        raise ConfigurationError(
            f"DAGSTER_HOME={home} cannot be used: {error.strerror}.",
            remedy="Set it to a folder that can be written, or leave it out.",
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def _configure(config: Path, packaged: Path, wanted: Overlays) -> None:
    if not _is_ours(config):
        _refuse_contradictions(config, yaml.safe_load(config.read_text()), wanted)
    elif wanted:
        _compose(config, packaged, wanted)
    elif not (config.is_symlink() and config.exists() and config.samefile(packaged)):
        config.unlink(missing_ok=True)  # composed before, or a link to another installation, which may be gone
        with suppress(FileExistsError):  # another first command was quicker
            config.symlink_to(packaged)


def _is_ours(config: Path) -> bool:
    """Whether the file may be written: absent, composed before, or a link to that of this or another installation."""
    if not config.exists() or (config.is_symlink() and config.resolve().parent.name == PACKAGE.name):
        return True
    return config.read_text().startswith(_COMPOSED)


def _compose(config: Path, packaged: Path, wanted: Overlays) -> None:
    stated = yaml.safe_load(packaged.read_text())
    _refuse_contradictions(packaged, stated, {key: one for key, one in wanted.items() if key in stated})
    for place, (_, value) in wanted.items():
        _put(stated, place.split("."), value)
    composed = f"{_COMPOSED}{yaml.safe_dump(stated, sort_keys=False)}"
    if config.is_symlink() or not config.exists() or config.read_text() != composed:
        partial = config.with_name(f".dagster.{os.getpid()}.yaml")
        partial.write_text(composed)
        partial.replace(config)


def _refuse_contradictions(config: Path, stated: object, wanted: Overlays) -> None:
    """An own file has to say what the settings ask for."""
    for place, (setting, value) in wanted.items():
        keys = place.split(".")
        if reduce(lambda found, key: found.get(key) if isinstance(found, dict) else None, keys, stated) != value:
            lacking: dict[str, Any] = {}
            _put(lacking, keys, value)
            block = yaml.safe_dump(lacking, default_flow_style=True, width=1000).strip()
            raise ConfigurationError(
                f"{config} is a file of your own, and does not say what {setting} asks for.",
                remedy=f"Let it say `{block[1:-1]}`, remove the file, or leave {setting} out.",
            )


def _put(stated: dict[str, Any], keys: Sequence[str], value: object) -> None:
    for key in keys[:-1]:
        stated = stated.setdefault(key, {})
    stated[keys[-1]] = value


def describe(instance: dg.DagsterInstance) -> str:
    """Where an instance is, for a person: its folder, and its database where it has one."""
    url = Settings.from_env().database
    return f"{instance.root_directory}" + (f", in the database {shown(url)}" if url else "")
