"""Every asset, check, job, sensor and schedule of the platform, put together. Nothing else belongs here."""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.defs import alerting, automation, executor, housekeeping, jobs, loggers, scrubbing
from cm4ai_assets.defs.cells import assets as cell_assets
from cm4ai_assets.defs.cells import checks as cell_checks
from cm4ai_assets.defs.crates import assets as crate_assets
from cm4ai_assets.defs.crates import checks as crate_checks
from cm4ai_assets.defs.effects import assets as effect_assets
from cm4ai_assets.defs.effects import checks as effect_checks
from cm4ai_assets.defs.images import assets as image_assets
from cm4ai_assets.defs.images import checks as image_checks
from cm4ai_assets.defs.integration import assets as integration_assets
from cm4ai_assets.defs.integration import checks as integration_checks
from cm4ai_assets.defs.io import TableIOManager
from cm4ai_assets.defs.perturbseq import archive_checks as perturbseq_archive_checks
from cm4ai_assets.defs.perturbseq import archives as perturbseq_archives
from cm4ai_assets.defs.perturbseq import screen_checks, target_checks, targets
from cm4ai_assets.defs.perturbseq import tables as screen_assets
from cm4ai_assets.defs.proteomics import assets as proteomics_assets
from cm4ai_assets.defs.proteomics import checks as proteomics_checks
from cm4ai_assets.defs.proteomics import deposits as massive_assets
from cm4ai_assets.defs.publication import crate, croissant, readiness, report
from cm4ai_assets.defs.release import assets as release_assets
from cm4ai_assets.defs.release import checks as release_checks
from cm4ai_assets.defs.status import assets as status_assets
from cm4ai_assets.defs.status import refreshing
from cm4ai_assets.defs.updates import schedules
from cm4ai_assets.defs.updates.sensor import TICK_SECONDS, build_release_sensor
from cm4ai_assets.platform import Platform


def build(platform: Platform | None = None, *, tick_seconds: int = TICK_SECONDS) -> dg.Definitions:
    """The definitions; for tests with another `platform` than that of the environment, and a faster sensor."""
    platform = platform or Platform()
    return dg.Definitions(
        assets=[
            release_assets.collection,
            *release_assets.ASSETS,
            *crate_assets.ASSETS,
            *image_assets.ASSETS,
            *cell_assets.ASSETS,
            *proteomics_assets.ASSETS,
            *massive_assets.ASSETS,
            *perturbseq_archives.ASSETS,
            *targets.ASSETS,
            *screen_assets.ASSETS,
            *integration_assets.ASSETS,
            *effect_assets.ASSETS,
            *croissant.ASSETS,
            *crate.ASSETS,
            *report.ASSETS,
            *readiness.ASSETS,
            *status_assets.ASSETS,
        ],
        asset_checks=[
            *release_checks.CHECKS,
            *crate_checks.CHECKS,
            *image_checks.CHECKS,
            *cell_checks.CHECKS,
            *proteomics_checks.CHECKS,
            *perturbseq_archive_checks.CHECKS,
            *target_checks.CHECKS,
            *screen_checks.CHECKS,
            *integration_checks.CHECKS,
            *effect_checks.CHECKS,
            *croissant.CHECKS,
            *crate.CHECKS,
            *report.CHECKS,
            *readiness.CHECKS,
        ],
        jobs=[*jobs.JOBS, scrubbing.scrub_job, refreshing.status_job],
        sensors=[
            build_release_sensor(tick_seconds),
            automation.automation,
            housekeeping.dead_runs,
            alerting.alerts,
            refreshing.status_refresh,
        ],
        schedules=[*schedules.SCHEDULES, scrubbing.nightly_scrub, refreshing.status_schedule],
        resources={"platform": platform, "io_manager": TableIOManager(platform)},
        loggers={"console": loggers.console_logger},
        executor=executor.in_process,
    )
