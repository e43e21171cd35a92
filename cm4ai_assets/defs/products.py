"""How a product becomes an asset: its partitions, its checks' specs, and what the catalog shows before its first run.

Belongs here: decorators and specs that take name, description and partitions from a product's own description. Does not
belong here: what happens inside the step (`publishing`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from cm4ai_assets.defs.pages import column_schema, with_what_to_do
from cm4ai_assets.defs.partitions import condition_releases, releases
from cm4ai_assets.defs.publishing import DOCUMENT_CHECK, SCHEMA_CHECK, AssetResult
from cm4ai_assets.findings import Finding, described_by
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.runbook import of_check
from cm4ai_assets.tables import Document, Table
from cm4ai_assets.tables import table as table_named

_OPTIONAL = "made_without_if_absent"
_LAST = "made_after_everything"
OWNERS = ("team:cm4ai",)


def partitions_of(product: Table | Document) -> dg.PartitionsDefinition[str] | None:
    """The partitions definition of a product's asset."""
    if product.partitioning is Partitioning.NONE:
        return None
    return releases if product.partitioning is Partitioning.RELEASE else condition_releases


def check_spec(
    name: str, product: Table | Document, description: str, *, blocking: bool, reads: Sequence[str] = ()
) -> dg.AssetCheckSpec:
    """A check of one product's asset, with one history per partition. `reads` are other assets that it looks at."""
    with warnings.catch_warnings():
        # Preview in Dagster 1.13. Without partitions all partitions would share one history, in which the last run
        # wins.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=product.name,
            description=with_what_to_do(description, of_check(name, blocking=blocking)),
            blocking=blocking,
            additional_deps=list(reads),
            partitions_def=partitions_of(product),
        )


def blocking_check(product: Table | Document, function: Callable[..., Finding]) -> dg.AssetCheckSpec:
    """The blocking check that a function finds (`publishing.gate_of`): its name, and its docstring as description."""
    return check_spec(function.__name__, product, described_by(function), blocking=True)


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
) -> Callable[[Callable[..., Iterator[AssetResult]]], dg.AssetsDefinition]:
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
    *specs: dg.AssetSpec, name: str, pool: str, checks: Sequence[dg.AssetCheckSpec] = ()
) -> Callable[[Callable[..., Iterator[AssetResult]]], dg.AssetsDefinition]:
    """Decorator: a step that publishes tables, or some of them, or tells that the release does not have them.

    Where there is nothing to publish there is nothing to check: the checks are then skipped, not failed. Dagster allows
    that to a step of which parts can be run.
    """
    tables = [table_named(spec.key.to_user_string()) for spec in specs]
    return dg.multi_asset(
        name=name,
        partitions_def=partitions_of(tables[0]),
        specs=specs,
        check_specs=[*checks, *(schema_check(one) for one in tables)],
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
        "key": ", ".join(table.key),
        **({_OPTIONAL: ", ".join(optional)} if optional else {}),
    }


def optional_inputs(metadata: Mapping[str, Any]) -> frozenset[dg.AssetKey]:
    """The inputs of an asset that may be absent, by its metadata: then it is made without, or says what is missing."""
    names = str(metadata.get(_OPTIONAL, ""))
    return frozenset(dg.AssetKey(name) for name in names.split(", ") if name)


def is_made_last(metadata: Mapping[str, Any]) -> bool:
    """An asset is about everything, so that of what is made together it is made last, by its metadata."""
    return _LAST in metadata


def document_check(document: Document) -> dg.AssetCheckSpec:
    """The blocking check that every document has."""
    return check_spec(
        DOCUMENT_CHECK,
        document,
        "The file to open is there, no file is empty, JSON can be parsed, HTML is whole, and no link leads to a file "
        "that is missing. Protects readers from half a document. Blocking: one that fails is never published.",
        blocking=True,
    )


def document_asset(
    document: Document,
    *,
    group: str,
    kinds: set[str],
    tags: Mapping[str, str],
    optional: Sequence[str] = (),
    pool: str | None = None,
    checks: Sequence[dg.AssetCheckSpec] = (),
    code_version: str = "1",
    automation_condition: dg.AutomationCondition[Any] | None = None,
    is_last: bool = False,
) -> Callable[[Callable[..., Iterator[AssetResult]]], dg.AssetsDefinition]:
    """Decorator: an asset that publishes a document about what there is, or says that there is nothing.

    Name, partitions and the check that it is well formed come from the document; the function yields from `publish`.
    `optional` are the upstream assets, of which any may be absent (`optional_inputs`). Where there is nothing to
    publish its checks are skipped, not failed; see `tables_if_there`. `is_last` says that it is about everything, and
    reads it elsewhere than from assets (`is_made_last`).
    """
    last = {_LAST: "yes"} if is_last else {}
    spec = dg.AssetSpec(
        document.name,
        deps=list(optional),
        skippable=True,
        automation_condition=automation_condition,
        partitions_def=partitions_of(document),
        group_name=group,
        kinds=kinds,
        owners=list(OWNERS),
        tags=tags,
        code_version=code_version,
        metadata={"source": document.source, _OPTIONAL: ", ".join(optional), **last},
        description=document.description,
    )
    return dg.multi_asset(
        name=document.name,
        partitions_def=partitions_of(document),
        specs=[spec],
        check_specs=[*checks, document_check(document)],
        can_subset=True,
        pool=pool,
    )
