"""Write, audit, publish: the one way in which an asset's table gets under a path of the contract.

Belongs here: the gate, and the check specs that make it visible. A blocking check of Dagster blocks only inside its own
run; a later run, a backfill or automation walks past it. So the blocking checks run here, inside the step, before
anything is published: if one fails, the step fails, no materialization is recorded, and the old content stays.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.defs.pages import column_schema
from cm4ai_assets.defs.partitions import condition_releases, partition_of, releases
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import DATA_LICENSE, StagedTable, Store
from cm4ai_assets.tables import Partitioning, Table
from cm4ai_assets.tables import table as table_named

SCHEMA_CHECK = "schema"
_OPTIONAL = "made_without_if_absent"
OWNERS = ("team:cm4ai",)

Published = dg.AssetCheckResult | dg.MaterializeResult[object]
Metadata = Mapping[str, dg.MetadataValue[Any] | str | int | float]  # what Dagster shows beside a result


@dataclass(frozen=True)
class Gate:
    """The outcome of one blocking check: whether it passed, and what the UI shows about it."""

    check: str
    passed: bool
    description: str
    metadata: Metadata = field(default_factory=dict)


def partitions_of(table: Table) -> dg.PartitionsDefinition[str] | None:
    """The partitions definition of a table's asset."""
    if table.partitioning is Partitioning.NONE:
        return None
    return releases if table.partitioning is Partitioning.RELEASE else condition_releases


def check_spec(name: str, table: Table, description: str, *, blocking: bool) -> dg.AssetCheckSpec:
    """A check of one table's asset, with one history per partition."""
    with warnings.catch_warnings():
        # Preview in Dagster 1.13. Without partitions all partitions would share one history, in which the last run
        # wins.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=table.name, description=description, blocking=blocking, partitions_def=partitions_of(table)
        )


def schema_check(table: Table) -> dg.AssetCheckSpec:
    """The blocking check that every table has."""
    return check_spec(
        SCHEMA_CHECK,
        table,
        "Columns, types, nulls, keys, allowed values and row rules are as the data dictionary says. Protects every "
        "reader from a table that changed its meaning. Blocking: a table that fails is never published.",
        blocking=True,
    )


def table_asset(
    table: Table,
    *,
    group: str,
    kinds: set[str],
    tags: Mapping[str, str],
    checks: Sequence[dg.AssetCheckSpec] = (),
    deps: Sequence[str] = (),
    pool: str | None = None,
    output_required: bool = True,
    code_version: str = "1",
) -> Callable[[Callable[..., Iterator[Published]]], dg.AssetsDefinition]:
    """Decorator: an asset that publishes one table. Name, columns, partitions and schema check come from the table.

    Args:
        table: What it makes; the function has its name.
        group: Group in the UI.
        kinds: Kinds shown on its node.
        tags: Tags, e.g. the modality.
        checks: Blocking checks beside the schema's.
        deps: Upstream assets that are not arguments.
        pool: Concurrency pool of the step.
        output_required: False if not making it is a state and not a failure (an embargo).
        code_version: Raise it when the same input gives other rows.
    """
    return dg.asset(
        name=table.name,
        partitions_def=partitions_of(table),
        group_name=group,
        kinds=kinds,
        owners=list(OWNERS),
        tags=tags,
        check_specs=[*checks, schema_check(table)],
        deps=list(deps),
        pool=pool,
        output_required=output_required,
        code_version=code_version,
        metadata=definition_metadata(table),
        description=table.description,
    )


def tables_if_there(
    *specs: dg.AssetSpec, name: str, pool: str
) -> Callable[[Callable[..., Iterator[Published]]], dg.AssetsDefinition]:
    """Decorator: a step that publishes tables, or some of them, or tells that the release does not have them.

    Where there is nothing to publish there is nothing to check: the checks are then skipped, not failed. Dagster allows
    that to a step of which parts can be run.
    """
    tables = [table_named(spec.key.to_user_string()) for spec in specs]
    return dg.multi_asset(
        name=name,
        partitions_def=partitions_of(tables[0]),
        specs=specs,
        check_specs=[schema_check(one) for one in tables],
        can_subset=True,
        pool=pool,
    )


def table_spec(
    table: Table,
    *,
    group: str,
    kinds: set[str],
    tags: Mapping[str, str],
    deps: Sequence[str],
    code_version: str,
    optional: Sequence[str] = (),
    skippable: bool = False,
    automation_condition: dg.AutomationCondition[Any] | None = None,
) -> dg.AssetSpec:
    """The spec of a table that a step publishes together with others; see `table_asset`.

    `optional` are upstream assets without which it can be made, too (`optional_inputs`); `skippable` says that not
    making it is an answer.
    """
    return dg.AssetSpec(
        table.name,
        deps=[*deps, *optional],
        skippable=skippable,
        automation_condition=automation_condition,
        partitions_def=partitions_of(table),
        group_name=group,
        kinds=kinds,
        owners=list(OWNERS),
        tags=tags,
        code_version=code_version,
        metadata=definition_metadata(table, optional),
        description=table.description,
    )


def definition_metadata(table: Table, optional: Sequence[str] = ()) -> dict[str, object]:
    """What the catalog tells about an asset before its first run."""
    return {
        "dagster/column_schema": column_schema(table),
        "source": table.source,
        "license": DATA_LICENSE,
        "key": ", ".join(table.key),
        **({_OPTIONAL: ", ".join(optional)} if optional else {}),
    }


def optional_inputs(metadata: Mapping[str, Any]) -> frozenset[dg.AssetKey]:
    """The inputs of an asset that may be absent, by its metadata: then it is made without, or says what is missing."""
    names = str(metadata.get(_OPTIONAL, ""))
    return frozenset(dg.AssetKey(name) for name in names.split(", ") if name)


@dataclass(frozen=True)
class Draft:
    """A table that is ready to be audited and published.

    `gates` are the outcomes of blocking checks beside the schema's. `data_version` says what the content is where the
    file's own digest does not (a table that names its release differs between releases).
    """

    table: Table
    frame: pl.DataFrame
    gates: Sequence[Gate] = ()
    metadata: Metadata = field(default_factory=dict)
    data_version: str | None = None


def publish(
    context: dg.AssetExecutionContext,
    store: Store,
    *drafts: Draft,
    commit: Callable[[], None] = lambda: None,
) -> Iterator[Published]:
    """Stage tables, hold them against their schemas and gates, and publish all of them if all pass.

    Yields the materializations, each with the evaluations of its blocking checks. `commit` is called before: it
    publishes what the tables refer to. If a check failed, yields the evaluations only.

    Raises:
        dagster.Failure: A blocking check failed. Nothing was published; the old content stays.
    """
    partition = partition_of(context.partition_key) if context.has_partition_key else Partition()
    with ExitStack() as stack:
        staged = [stack.enter_context(store.stage_table(draft.table.name, partition, draft.frame)) for draft in drafts]
        outcomes = [
            [(draft.table, gate) for gate in (_schema_gate(file), *draft.gates)]
            for draft, file in zip(drafts, staged, strict=True)
        ]
        every = [outcome for of_draft in outcomes for outcome in of_draft]
        if not all(gate.passed for _, gate in every):
            yield from _asked_for(context, every)
            refuse(str(partition), every)
        commit()
        for draft, file, of_draft in zip(drafts, staged, outcomes, strict=True):
            if dg.AssetKey(draft.table.name) not in context.selected_asset_keys:
                yield from _asked_for(context, of_draft)
                continue
            digest = file.digest()
            path = store.publish_table(file)
            context.log.info(f"{draft.table.name}: {draft.frame.height:,} rows published")
            yield dg.MaterializeResult(
                asset_key=draft.table.name,
                data_version=dg.DataVersion(draft.data_version or digest),
                metadata={
                    "dagster/row_count": draft.frame.height,
                    "dagster/uri": store.location(path),
                    "path": path,
                    "table_sha256": digest,
                    **draft.metadata,
                },
                # An evaluation recorded before the materialization counts as one of the content before: the UI would
                # show the check as not evaluated, and automation that asks for passed checks would wait for ever.
                check_results=list(_asked_for(context, of_draft)),
            )


def _asked_for(
    context: dg.AssetExecutionContext, outcomes: Sequence[tuple[Table, Gate]]
) -> Iterator[dg.AssetCheckResult]:
    """The evaluations of the checks that the run selected: of a step that can make a part, others are no outcome."""
    for (table, gate), result in zip(outcomes, evaluations(outcomes), strict=True):
        if dg.AssetCheckKey(dg.AssetKey(table.name), gate.check) in context.selected_asset_check_keys:
            yield result


def evaluations(outcomes: Sequence[tuple[Table, Gate]]) -> Iterator[dg.AssetCheckResult]:
    """The check evaluations that record blocking checks' outcomes."""
    for table, gate in outcomes:
        yield dg.AssetCheckResult(
            asset_key=table.name,
            check_name=gate.check,
            passed=gate.passed,
            description=gate.description,
            metadata=gate.metadata,
        )


def refuse(partition_key: str, outcomes: Sequence[tuple[Table, Gate]]) -> None:
    """Fail the step if a blocking check failed.

    Raises:
        dagster.Failure: Names the checks and why; a retry would not help.
    """
    told = "; ".join(f"{table.name}.{gate.check}: {gate.description}" for table, gate in outcomes if not gate.passed)
    if told:
        raise dg.Failure(
            f"Nothing is published for {partition_key}, because a blocking check failed. {told}. "
            "What was published before, if anything, is unchanged.",
            allow_retries=False,
        )


def _schema_gate(staged: StagedTable) -> Gate:
    found = staged.violations()
    told = "; ".join(f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in found)
    return Gate(SCHEMA_CHECK, passed=not found, description=told or "as declared", metadata={"violations": len(found)})
