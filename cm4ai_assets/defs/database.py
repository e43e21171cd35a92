"""The Dagster instance in PostgreSQL: Dagster's own storages, in the database that the settings name.

A class of our own, so that dagster.yaml holds no password and no address: each process reads CM4AI_DATABASE, whatever
started it. Belongs here: that class. Does not belong here: whether it is used (`home`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from cm4ai_assets.coordination import Postgres
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.settings import Settings


class InstanceDatabase(DagsterPostgresStorage):
    """Runs, events, schedules and partitions in the database of CM4AI_DATABASE."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration: see the module."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> InstanceDatabase:
        """Open the storages, making their tables if they are not there.

        Dagster makes them when they are first used, and two processes that do so at once leave two schema heads or an
        error. So they take turns.

        Raises:
            ConfigurationError: CM4AI_DATABASE is not set.
            DatabaseError: The database cannot be reached.
        """
        del config_value
        url = Settings.from_env().database
        if url is None:
            raise ConfigurationError(
                "dagster.yaml puts the instance into the database of CM4AI_DATABASE, which is not set.",
                remedy="Set it, or open the instance with `cm4ai` or `make ui`, which write dagster.yaml anew.",
            )
        with Postgres(url).hold(["opening the instance"]):
            # SQLAlchemy's own default for postgresql:// is another driver, psycopg 3.
            return cls(url.replace("postgresql://", "postgresql+psycopg2://", 1), inst_data=inst_data)
