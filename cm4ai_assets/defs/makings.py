"""What a step knows of how its products are made, recorded in the storage as they are published.

Belongs here: the run, its step's start, and what stands there of the asset's inputs. Does not belong here: the form of
the record (`storage.makings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from cm4ai_assets import software, tables
from cm4ai_assets.lineage.delivered import folder_digest, recorded_files
from cm4ai_assets.lineage.published import published_inputs
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition, document_folder, partitions_of, table_path
from cm4ai_assets.storage.makings import Input, Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Document, Table
from cm4ai_assets.tables.publication import DOCUMENTS
from cm4ai_assets.updates.inputs import published_as

_DOCUMENTS = {document.name: document for document in DOCUMENTS}


class StepMakings:
    """Records how the products of one step are made.

    Args:
        context: Of the step.
        store: Where its products are published.
        partition: That of the step.
    """

    def __init__(self, context: dg.AssetExecutionContext, store: Store, partition: Partition) -> None:
        self._context, self._store, self._partition = context, store, partition
        self._started = _step_started(context)

    def note(self, product: Table | Document, path: str, digest: str) -> None:
        """Record that this step made what stands under a path."""
        key = dg.AssetKey(product.name)
        inputs = {*self._upstream(key), *self._blobs(product)}
        making = Making(
            path=path,
            digest=digest,
            asset=product.name,
            release=self._partition.release,
            condition=self._partition.condition,
            run_id=self._context.run.run_id,
            code_version=self._context.assets_def.code_versions_by_key.get(key),
            started=self._started,
            ended=datetime.now(UTC),
            software=software.running(),
            inputs=tuple(sorted(inputs)),
        )
        Makings(self._store).note(making, software.environment(), software.source())

    def note_stores(self, product: Table | Document, frame: pl.DataFrame) -> None:
        """Record the stores that a table's rows lead to; one that another run made keeps the record of that run."""
        paths = frame["path"].unique().sort().to_list() if "path" in frame.columns else []
        for path in paths:
            # A blob is nobody's making, and without a record of its own it would be read whole.
            if not path.endswith(".zarr") or not self._store.exists(path):
                continue
            digest = folder_digest(recorded_files(self._store, path))
            if Makings(self._store).of(path, digest) is None:
                self.note(product, path, digest)

    def _upstream(self, key: dg.AssetKey) -> Iterator[Input]:
        """The tables and documents that the asset depends on, as they stand now."""
        for dependency in sorted(self._context.assets_def.asset_deps.get(key, ())):
            name = dependency.to_user_string()
            if name in _DOCUMENTS:
                yield from self._document(_DOCUMENTS[name])
            elif any(name == table.name for table in tables.ALL):
                yield from self._table(tables.table(name))

    def _table(self, table: Table) -> Iterator[Input]:
        for wanted in partitions_of(table, self._partition):
            where = published_as(self._store, table.name, wanted)
            if where is not None:
                path = table_path(table, where)
                yield Input(path, folder_digest(recorded_files(self._store, path)))

    def _document(self, document: Document) -> Iterator[Input]:
        where = Partition(self._partition.release)
        if self._store.has_document(document, where):
            yield Input(document_folder(document, where), self._store.document(document, where).digest)

    def _blobs(self, product: Table | Document) -> Iterator[Input]:
        """The stored bytes of the published files that a table is made of."""
        if isinstance(product, Document) or not self._partition.release:
            return
        blobs = BlobStore(self._store.fs, self._store.root)
        release, condition = self._partition.release, self._partition.condition
        for file in published_inputs(self._store, release, product.name, condition):
            if file.sha256 is not None:
                yield Input(blobs.path(file.sha256), file.sha256)


def _step_started(context: dg.AssetExecutionContext) -> datetime | None:
    """When this step, or its latest try, began; None where the instance does not say."""
    key = context.op_execution_context.get_step_execution_context().step.key
    kinds = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_RESTARTED}
    records = context.instance.get_records_for_run(context.run.run_id, of_type=kinds).records
    began = [one.event_log_entry.timestamp for one in records if one.event_log_entry.step_key == key]
    return datetime.fromtimestamp(max(began), UTC) if began else None
