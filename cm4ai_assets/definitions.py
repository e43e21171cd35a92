"""What Dagster loads. It assembles; nothing else belongs here."""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.defs import image_assets, image_checks, jobs, loggers, release_assets
from cm4ai_assets.defs.io import TableIOManager
from cm4ai_assets.defs.resources import Platform


def build(platform: Platform | None = None) -> dg.Definitions:
    """The definitions; `platform` in place of the one that reads the environment, for tests."""
    platform = platform or Platform()
    return dg.Definitions(
        assets=[*release_assets.ASSETS, *image_assets.ASSETS],
        asset_checks=[*image_checks.CHECKS],
        jobs=[*jobs.JOBS],
        resources={"platform": platform, "io_manager": TableIOManager(platform)},
        loggers={"console": loggers.console_logger},
        executor=jobs.executor,
    )


defs = build()
