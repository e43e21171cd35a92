"""The Dagster instance made again from the storage: what is published is recorded as materialized and checked.

Belongs here: events for what stands in the storage and is not known to the instance, and running the warning checks
again. Does not belong here: making or reading data anew (`launching`, `verification`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import polars as pl
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from cm4ai_assets import tables
from cm4ai_assets.defs.partitions import partition_key, partition_of
from cm4ai_assets.defs.selection import Graph
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage.layout import Partition, document_folder, table_path
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Document, Table

Product = Table | Document

# What the data version of a table is, where it is not the digest of its file.
_VERSION_COLUMN = {"if_archive": "sha256", "if_tensors": "digest"}
_PARTITION_TAG = "dagster/partition"
_NOT_READ_AGAIN = (
    "Passed when this was published: what fails is never published. Recorded again from the storage, and not read "
    "again; `cm4ai verify` does that."
)


@dataclass(frozen=True)
class Rebuilt:
    """One partition of which the instance knows again: recorded tables, and warning checks that were run."""

    partition: Partition
    tables: tuple[str, ...]
    checks: int
    failure: str = ""


def rebuild(defs: dg.Definitions, instance: dg.DagsterInstance, store: Store) -> Iterator[Rebuilt]:
    """Record what is published and unknown to the instance, partition by partition, and run its warning checks.

    Releases must be partitions of the instance already. What the instance knows is left as it is, so that the command
    can be run at any time.
    """
    graph = defs.resolve_asset_graph()
    missing: dict[Partition, list[Product]] = {}
    for product, published in sorted(_published(store), key=lambda one: _depth(graph, one[0])):
        known = _known(instance, product)
        for partition in published:
            if partition not in known:
                _record(graph, instance, store, product, partition)
                missing.setdefault(partition, []).append(product)
    for partition, found in sorted(missing.items(), key=lambda item: (item[0].condition is not None, str(item[0]))):
        checks = {key for product in found for key in _checks(graph, product, blocking=False)}
        failure = _evaluate(defs, instance, checks, partition)
        yield Rebuilt(partition, tuple(product.name for product in found), len(checks), failure)


def _published(store: Store) -> Iterator[tuple[Product, list[Partition]]]:
    for table in tables.ALL:
        yield table, store.partitions(table.name)
    documents = store.published_documents()
    for document in tables.DOCUMENTS:
        yield document, [partition for name, partition in documents if name == document.name]


def _depth(graph: Graph, product: Product) -> int:
    """How many steps an asset is from those that read no other: what is read is recorded before what reads it.

    Dagster takes what is older than its inputs for stale.
    """
    levels = graph.toposorted_asset_keys_by_level
    return next((n for n, keys in enumerate(levels) if dg.AssetKey(product.name) in keys), len(levels))


def _known(instance: dg.DagsterInstance, product: Product) -> set[Partition]:
    """The partitions of a product that the instance knows to be materialized."""
    key = dg.AssetKey(product.name)
    if product.partitioning is Partitioning.NONE:
        return {Partition()} if instance.get_latest_materialization_event(key) else set()
    return {partition_of(text) for text in instance.get_materialized_partitions(key)}


def _record(graph: Graph, instance: dg.DagsterInstance, store: Store, product: Product, partition: Partition) -> None:
    """A materialization, and what its publication says of its blocking checks."""
    key = None if partition == Partition() else partition_key(partition)
    if isinstance(product, Table):
        shown, version = _of_table(store, product, partition)
    else:
        shown, version = _of_document(store, product, partition)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            product.name,
            partition=key,
            metadata={**shown, "recorded_from": "storage"},
            tags=({DATA_VERSION_TAG: version} if version else {})
            | _provenance(graph, instance, store, product, partition),
        )
    )
    for check in _checks(graph, product, blocking=True):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=True,
                blocking=True,
                description=_NOT_READ_AGAIN,
                partition=key,
            )
        )


def _provenance(
    graph: Graph, instance: dg.DagsterInstance, store: Store, product: Product, partition: Partition
) -> dict[str, str]:
    """The code version that made it, by the record of its run, and its inputs as they are recorded now.

    By these Dagster knows what a new code version makes stale. Without a record of the run nothing is said.
    """
    path = table_path(product, partition) if isinstance(product, Table) else document_folder(product, partition)
    making = Makings(store).of(path)
    if making is None or making.code_version is None:
        return {}
    tags = {CODE_VERSION_TAG: making.code_version}
    for parent in graph.get(dg.AssetKey(product.name)).parent_keys:
        event = instance.get_latest_materialization_event(parent)
        record = instance.get_latest_data_version_record(parent) if event is not None else None
        version = extract_data_version_from_entry(event) if event is not None else None
        tags[get_input_data_version_tag(parent)] = (version or DEFAULT_DATA_VERSION).value
        tags[get_input_event_pointer_tag(parent)] = str(record.storage_id) if record else NULL_EVENT_POINTER
    return tags


def _of_table(store: Store, table: Table, partition: Partition) -> tuple[dict[str, str | int], str | None]:
    path = table_path(table, partition)
    rows = store.table(table.name, partition)
    column = _VERSION_COLUMN.get(table.name)
    shown: dict[str, str | int] = {
        "dagster/row_count": int(rows.select(pl.len()).collect().item()),
        "dagster/uri": store.location(path),
        "path": path,
    }
    return shown, str(rows.select(column).collect().item()) if column else None


def _of_document(store: Store, document: Document, partition: Partition) -> tuple[dict[str, str | int], str | None]:
    published = store.document(document, partition)
    shown: dict[str, str | int] = {
        "dagster/uri": store.location(published.entry),
        "path": published.entry,
        "files": len(published.files),
    }
    return shown, published.digest


def _checks(graph: Graph, product: Product, *, blocking: bool) -> set[dg.AssetCheckKey]:
    keys = graph.get_check_keys_for_assets({dg.AssetKey(product.name)})
    return {key for key in keys if graph.get(key).blocking is blocking}


def _evaluate(
    defs: dg.Definitions, instance: dg.DagsterInstance, checks: set[dg.AssetCheckKey], partition: Partition
) -> str:
    """Run warning checks of one partition; what went wrong, if anything."""
    if not checks:
        return ""
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=checks)
    result = job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "WARNING"}}}},
        # A job of checks alone has no partitions for Dagster; its checks know the partition by the tag.
        tags={**_partition_tags(partition), "cm4ai/reason": "rebuilt from the storage", "dagster/max_retries": "0"},
    )
    return "" if result.success else f"warning checks failed to run (run {result.run_id})"


def _partition_tags(partition: Partition) -> dict[str, str]:
    if partition == Partition():
        return {}
    by_dimension = {f"{_PARTITION_TAG}/condition": partition.condition, f"{_PARTITION_TAG}/release": partition.release}
    return {
        _PARTITION_TAG: partition_key(partition),
        **({name: value for name, value in by_dimension.items() if value} if partition.condition else {}),
    }
