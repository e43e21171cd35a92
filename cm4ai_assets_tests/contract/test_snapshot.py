"""The definitions are those of `snapshot.txt`: whoever changes them writes it anew, and the diff says what changed."""

from __future__ import annotations

import dagster as dg

from cm4ai_assets.definitions import defs
from cm4ai_assets_tests.contract.snapshot import PATH, snapshot

REMEDY = "If the change is meant: python -m cm4ai_assets_tests.contract.snapshot"


def test_the_definitions_are_those_of_the_snapshot() -> None:
    assert snapshot(defs) == PATH.read_text(encoding="utf-8"), REMEDY


def test_a_snapshot_shows_each_kind_of_change() -> None:
    releases = dg.DynamicPartitionsDefinition(name="release")

    @dg.asset(partitions_def=releases, group_name="images")
    def one() -> None: ...

    @dg.asset_check(asset=one, blocking=True)  # type: ignore[arg-type]
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    @dg.schedule(job_name="night", cron_schedule="0 3 * * *")
    def nightly() -> None: ...

    job = dg.define_asset_job("night", [one])
    text = snapshot(dg.Definitions(assets=[one], asset_checks=[sound], jobs=[job], schedules=[nightly]))
    for line in ("one: images, by release, from nothing", "one: sound (blocking)", "night: by release, one"):
        assert f"  {line}\n" in text
    assert "  nightly: 0 3 * * *, stopped\n" in text
