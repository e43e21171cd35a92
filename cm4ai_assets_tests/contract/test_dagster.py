"""Dagster's behaviour that the design rests on. If one of these fails after an upgrade, read docs/decisions first."""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from dagster import AutomationCondition as When
from dagster._core.definitions.freshness import FreshnessState, TimeWindowFreshnessPolicy
from sqlalchemy.exc import IntegrityError

from cm4ai_assets.defs.automation import follows_its_inputs, follows_what_there_is
from cm4ai_assets.defs.release.assets import collection

pytestmark = pytest.mark.filterwarnings("ignore:Parameter `include_sources`")

releases = dg.DynamicPartitionsDefinition(name="release")
conditions = dg.MultiPartitionsDefinition(
    {"condition": dg.StaticPartitionsDefinition(["a", "b", "c"]), "release": releases}
)
SOURCE, GATHERED = dg.AssetKey("source"), dg.AssetKey("gathered")
Outcome = tuple[bool, str]


def _spec(name: str, partitions: dg.PartitionsDefinition[str], *, blocking: bool) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=SOURCE, blocking=blocking, partitions_def=partitions)


class World:
    """An asset per condition with a blocking check, and one that gathers the conditions."""

    def __init__(
        self, instance: dg.DagsterInstance, condition: dg.AutomationCondition[Any], *, check_first: bool = False
    ) -> None:
        self.instance, self.outcomes, self.gathers = instance, dict[str, Outcome](), True
        self.cursor: Any = None

        @dg.asset(partitions_def=conditions, check_specs=[_spec("sound", conditions, blocking=True)])
        def source(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
            passed, version = self.outcomes.get(context.partition_key, (True, "1"))
            result = dg.AssetCheckResult(check_name="sound", passed=passed)
            if check_first or not passed:
                yield result
            if not passed:
                raise dg.Failure("refused", allow_retries=False)
            yield dg.MaterializeResult(
                data_version=dg.DataVersion(version), check_results=[] if check_first else [result]
            )

        @dg.asset(partitions_def=releases, deps=[source], automation_condition=condition)
        def gathered() -> None:
            if not self.gathers:
                raise dg.Failure("cannot", allow_retries=False)

        self.assets = [source, gathered]
        self.defs = dg.Definitions(assets=self.assets)

    def make(self, key: str, asset: dg.AssetKey = SOURCE, outcome: Outcome | None = None) -> bool:
        if outcome is not None:
            self.outcomes[key] = outcome
        return dg.materialize(
            self.assets, instance=self.instance, partition_key=key, selection=dg.AssetSelection.assets(asset),
            raise_on_error=False,
        ).success  # fmt: skip

    def requested(self) -> set[str]:
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        return set(result.get_requested_partitions(GATHERED))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("release", ["old"])
        yield made


# --- checks and their gate


def test_a_check_that_is_evaluated_before_the_materialization_counts_for_the_one_before(
    instance: dg.DagsterInstance,
) -> None:
    """Why `publish` hands evaluations over with the materialization."""
    key = dg.AssetCheckKey(SOURCE, "sound")
    current = {}
    for check_first in (True, False):
        world = World(instance, When.eager(), check_first=check_first)
        assert world.make("a|old")
        (info,) = instance.event_log_storage.get_asset_check_partition_info([key])
        current[check_first] = info.is_current
    assert current == {True: False, False: True}


def test_a_failed_check_inside_the_step_is_recorded_and_nothing_is_materialized(instance: dg.DagsterInstance) -> None:
    world = World(instance, When.eager())
    assert not world.make("a|old", outcome=(False, "1"))
    (info,) = instance.event_log_storage.get_asset_check_partition_info([dg.AssetCheckKey(SOURCE, "sound")])
    assert info.latest_execution_status.value == "FAILED"
    assert instance.fetch_materializations(SOURCE, limit=1).records == []


def _tainted(make: Callable[[], dg.AutomationCondition[Any]], instance: dg.DagsterInstance) -> set[str]:
    """What a condition requests when one of three inputs stands, and has failed its check since."""
    world = World(instance, make())
    world.requested()
    instance.add_dynamic_partitions("release", ["new"])
    for condition in "abc":
        assert world.make(f"{condition}|new")
    assert world.requested() == {"new"}
    assert world.requested() == set()  # what changes until the tick after a request counts as handled by it
    assert not world.make("c|new", outcome=(False, "2"))
    assert world.make("a|new", outcome=(True, "2"))
    return world.requested()


def test_dagsters_condition_on_checks_lets_a_fan_in_pass_if_one_input_passed(instance: dg.DagsterInstance) -> None:
    assert _tainted(lambda: When.eager() & When.all_deps_blocking_checks_passed(), instance) == {"new"}


def test_ours_does_not(instance: dg.DagsterInstance) -> None:
    assert _tainted(follows_its_inputs, instance) == set()


def test_follows_its_inputs_asks_once_for_each_change_and_never_for_the_same_again(
    instance: dg.DagsterInstance,
) -> None:
    world = World(instance, follows_its_inputs())
    for condition in "abc":
        world.make(f"{condition}|old")
    assert world.requested() == set(), "what was there before is not made unasked"
    instance.add_dynamic_partitions("release", ["new"])
    asked = []
    for condition in "abc":
        asked.append(world.requested())
        world.make(f"{condition}|new")
    assert asked == [set()] * 3
    assert world.requested() == {"new"}
    assert world.requested() == set()
    world.make("new", GATHERED)
    for condition in "abc":
        world.make(f"{condition}|new")
    assert world.requested() == set(), "the same data versions"
    world.make("b|new", outcome=(True, "2"))
    assert world.requested() == {"new"}


def test_follows_its_inputs_does_not_repeat_a_failure(instance: dg.DagsterInstance) -> None:
    world = World(instance, follows_its_inputs())
    world.requested()
    instance.add_dynamic_partitions("release", ["new"])
    for condition in "abc":
        world.make(f"{condition}|new")
    assert world.requested() == {"new"}
    world.gathers = False
    assert not world.make("new", GATHERED)
    assert [world.requested() for _ in range(3)] == [set()] * 3
    world.make("a|new", outcome=(True, "2"))
    assert world.requested() == {"new"}


def test_follows_what_there_is_waits_for_none_that_is_not_there_and_not_for_what_failed(
    instance: dg.DagsterInstance,
) -> None:
    world = World(instance, follows_what_there_is())
    world.requested()
    instance.add_dynamic_partitions("release", ["new"])
    assert world.requested() == set(), "a release without any input"
    assert world.make("a|new")
    assert world.requested() == {"new"}
    assert world.requested() == set()
    assert world.make("new", GATHERED)
    assert world.make("a|new")
    assert world.requested() == set(), "the same data version"
    assert not world.make("b|new", outcome=(False, "1"))
    assert world.make("a|new", outcome=(True, "2"))
    assert world.requested() == set(), "one of its inputs has failed"
    assert world.make("b|new", outcome=(True, "1"))
    assert world.requested() == {"new"}


def test_an_evaluation_without_a_run_is_kept_once_for_a_partition_and_any_number_of_times_without(
    instance: dg.DagsterInstance,
) -> None:
    """Why the sensor requests a run of `still_published`, and reports `release_due` itself."""

    def report(partition: str | None) -> None:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=SOURCE, check_name="sound", passed=True, partition=partition)
        )

    report(None)
    report(None)
    report("a|old")
    with pytest.raises(IntegrityError):
        report("a|old")


# --- jobs, schedules, freshness


def test_one_job_cannot_span_the_partitions_of_releases_and_of_conditions(instance: dg.DagsterInstance) -> None:
    world = World(instance, When.eager())
    job = dg.define_asset_job("both", dg.AssetSelection.all())
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.Definitions(assets=world.assets, jobs=[job]).resolve_job_def("both")


def test_a_schedule_cannot_be_built_from_dynamic_partitions() -> None:
    @dg.asset(partitions_def=releases)
    def lock() -> None: ...

    job = dg.define_asset_job("lock_job", dg.AssetSelection.assets(lock))
    schedule = dg.build_schedule_from_partitioned_job(job)
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        dg.Definitions(assets=[lock], schedules=[schedule]).get_repository_def().get_schedule_def(schedule.name)


def test_the_keys_of_two_dimensions_are_sorted_by_the_dimensions_names() -> None:
    assert str(dg.MultiPartitionKey({"release": "2025-06-v2.1", "condition": "a"})) == "a|2025-06-v2.1"


def test_freshness_of_the_collection_is_evaluated_and_its_windows_are_those_we_document(
    instance: dg.DagsterInstance,
) -> None:
    assert instance.freshness_enabled
    policy = collection.freshness_policy
    assert isinstance(policy, TimeWindowFreshnessPolicy)
    assert policy.warn_window is not None
    assert policy.warn_window.to_timedelta().total_seconds() == 6 * 3600
    assert policy.fail_window.to_timedelta().total_seconds() == 24 * 3600
    assert {state.value for state in FreshnessState} >= {"PASS", "WARN", "FAIL", "UNKNOWN"}
