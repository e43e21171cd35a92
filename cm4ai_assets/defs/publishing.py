"""Write, audit, publish: the one way in which an asset's product gets under a path of the contract.

Belongs here: the gate, what it asks of a product of any kind, and the two kinds there are, tables and documents. Does
not belong here: how a product becomes an asset (`products`). A blocking check of Dagster blocks only inside its own
run; a later run, a backfill or automation walks past it. So the blocking checks run here, inside the step, before
anything is published: if one fails, the step fails, no materialization is recorded, and the old content stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import dagster as dg
import polars as pl

from cm4ai_assets.defs.binding import require_bound
from cm4ai_assets.defs.makings import StepMakings
from cm4ai_assets.defs.pages import about as read_about
from cm4ai_assets.defs.pages import counts_in_one_text, described, failure, rows, texts
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.findings import Finding
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.runbook import of_check
from cm4ai_assets.showing import address_of
from cm4ai_assets.storage.documents import StagedDocument
from cm4ai_assets.storage.layout import Partition, document_folder
from cm4ai_assets.storage.store import StagedTable, Store
from cm4ai_assets.tables import Document, Table
from cm4ai_assets.updates.credit import credit

SCHEMA_CHECK = "schema"
DOCUMENT_CHECK = "well_formed"

AssetResult = dg.AssetCheckResult | dg.MaterializeResult[object]
Metadata = Mapping[str, dg.MetadataValue[Any] | str | int | float]  # what Dagster shows beside a result


@dataclass(frozen=True)
class Gate:
    """The outcome of one blocking check: whether it passed, and what the UI shows about it.

    `about` is the section of the runbook, where it is another than that of the check.
    """

    check: str
    passed: bool
    description: str
    metadata: Metadata = field(default_factory=dict)
    about: str = ""

    @property
    def section(self) -> str:
        """The anchor of the section that says what to do where it did not pass."""
        return self.about or of_check(self.check, blocking=True)


def gate_of(found: Finding) -> Gate:
    """A finding as the outcome of a blocking check."""
    shown = {} if found.rows.is_empty() else {"offending": rows(found.rows)}
    return Gate(found.check, found.passed, found.summary, {**found.counts, **shown})


class Staged(Protocol):
    """A product that is written and not yet published."""

    def gate(self) -> Gate:
        """The outcome of the blocking check that every product of its kind has, of the very files to be published."""
        ...

    def publish(self) -> Content:
        """Put it under its final path, in one step."""
        ...


@dataclass(frozen=True)
class Content:
    """What was published: its path, the digest of its bytes, its size in words, and what the UI shows of it."""

    path: str
    digest: str
    size: str
    metadata: Metadata


class ProductDraft(Protocol):
    """A product of any kind that is ready to be audited and published.

    `gates` are the outcomes of blocking checks beside that of its kind. `data_version` says what the content is where
    the digest of its bytes does not (a table that names its release differs between releases).
    """

    @property
    def product(self) -> Table | Document:
        """What it is."""
        ...

    @property
    def gates(self) -> Sequence[Gate]:
        """Outcomes of blocking checks."""
        ...

    @property
    def metadata(self) -> Metadata:
        """What the UI shows beside what every product of its kind has."""
        ...

    @property
    def data_version(self) -> str | None:
        """What the content is; its digest if None."""
        ...

    def staged(self, store: Store, partition: Partition) -> AbstractContextManager[Staged]:
        """Write it under a temporary name; it is gone at the end unless it was published."""
        ...


@dataclass(frozen=True)
class Draft:
    """A table that is ready to be audited and published; see `ProductDraft`."""

    table: Table
    frame: pl.DataFrame
    gates: Sequence[Gate] = ()
    metadata: Metadata = field(default_factory=dict)
    data_version: str | None = None

    @property
    def product(self) -> Table:
        """The table."""
        return self.table

    @contextmanager
    def staged(self, store: Store, partition: Partition) -> Iterator[Staged]:
        """See `ProductDraft.staged`."""
        source = credit(store, self.table.name, partition, self.frame)
        with store.stage_table(self.table.name, partition, self.frame, credit=source) as file:
            yield _StagedTable(store, file, self.frame.height, source)


@dataclass(frozen=True)
class LongDraft:
    """A long table, whose rows are made as they are written: what is known of them is known when they are all made.

    Attributes:
        table: See `Draft`.
        stretches: Its rows, taken once; each stretch but the last has a multiple of 65,536 of them.
        of_all: Blocking checks and what the UI shows, asked for when all rows are written.
        sources: Names of the files that it is made of.
    """

    table: Table
    stretches: Iterable[pl.DataFrame]
    of_all: Callable[[], tuple[Sequence[Gate], Metadata]] = lambda: ((), {})
    sources: tuple[str, ...] = ()
    data_version: str | None = None

    @property
    def product(self) -> Table:
        """The table."""
        return self.table

    @property
    def gates(self) -> Sequence[Gate]:
        """See `ProductDraft.gates`."""
        return self._known[0]

    @property
    def metadata(self) -> Metadata:
        """See `ProductDraft.metadata`."""
        return self._known[1]

    @cached_property
    def _known(self) -> tuple[Sequence[Gate], Metadata]:
        """Asked for once: the pages of a long table take their time."""
        return self.of_all()

    @contextmanager
    def staged(self, store: Store, partition: Partition) -> Iterator[Staged]:
        """See `ProductDraft.staged`."""
        source = credit(store, self.table.name, partition, sources=self.sources)
        with store.stage_stretches(self.table.name, partition, self.stretches, credit=source) as file:
            yield _StagedTable(store, file, file.height(), source)


@dataclass(frozen=True)
class _StagedTable:
    store: Store
    file: StagedTable
    rows: int
    credit: Metadata

    def gate(self) -> Gate:
        found = self.file.violations()
        message = "; ".join(f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in found)
        return Gate(
            SCHEMA_CHECK, passed=not found, description=message or "as declared", metadata={"violations": len(found)}
        )

    def publish(self) -> Content:
        digest = self.file.digest()
        path = self.store.publish_table(self.file)
        shown: Metadata = {
            **self.credit,
            "dagster/row_count": self.rows,
            "dagster/uri": self.store.location(path),
            "path": path,
            "table_sha256": digest,
        }
        return Content(path, digest, f"{self.rows:,} rows", shown)


@dataclass(frozen=True)
class DocumentDraft:
    """A document that is ready to be audited and published; see `ProductDraft`. `files`: name to bytes."""

    document: Document
    files: Mapping[str, bytes]
    gates: Sequence[Gate] = ()
    metadata: Metadata = field(default_factory=dict)
    data_version: str | None = None

    @property
    def product(self) -> Document:
        """The document."""
        return self.document

    @contextmanager
    def staged(self, store: Store, partition: Partition) -> Iterator[Staged]:
        """See `ProductDraft.staged`."""
        with store.stage_document(self.document, partition, self.files) as files:
            yield _StagedDocument(store, files)


@dataclass(frozen=True)
class _StagedDocument:
    store: Store
    files: StagedDocument

    def gate(self) -> Gate:
        found = self.files.problems()
        message = "; ".join(found) or "whole"
        return Gate(DOCUMENT_CHECK, passed=not found, description=message, metadata={"problems": len(found)})

    def publish(self) -> Content:
        published = self.store.publish_document(self.files)
        address = address_of(self.files.document, self.files.partition)
        shown: Metadata = {
            "open": dg.MetadataValue.md(f"[{self.files.document.entry}]({address}) (in the UI of `make ui`)"),
            "dagster/uri": self.store.location(published.entry),
            "path": published.entry,
            "files": len(published.files),
            "size": size_in_words(sum(file.size for file in published.files.values())),
            "document_sha256": published.digest,
        }
        folder = document_folder(self.files.document, self.files.partition)
        return Content(folder, published.digest, f"{len(published.files)} files", shown)


def publish(
    context: dg.AssetExecutionContext,
    store: Store,
    *drafts: ProductDraft,
    commit: Callable[[], None] = lambda: None,
) -> Iterator[AssetResult]:
    """Stage products, hold them against what their kind demands and their gates, and publish all of them if all pass.

    Yields the materializations, each with the evaluations of its blocking checks. `commit` is called before: it
    publishes what the products refer to. If a check failed, yields the evaluations only.

    Raises:
        dagster.Failure: A blocking check failed. Nothing was published; the old content stays.
        ConfigurationError: The instance that this run is recorded in belongs to another storage.
    """
    require_bound(context.instance, store)
    partition = partition_of(context.partition_key) if context.has_partition_key else Partition()
    with ExitStack() as stack:
        staged = [stack.enter_context(draft.staged(store, partition)) for draft in drafts]
        outcomes = [
            [(draft.product, gate) for gate in (files.gate(), *draft.gates)]
            for draft, files in zip(drafts, staged, strict=True)
        ]
        every = [outcome for of_draft in outcomes for outcome in of_draft]
        if not all(gate.passed for _, gate in every):
            yield from _asked_for(context, every)
            refuse(str(partition), every)
        commit()
        makings = StepMakings(context, store, partition)
        for draft, files, of_draft in zip(drafts, staged, outcomes, strict=True):
            if dg.AssetKey(draft.product.name) not in context.selected_asset_keys:
                yield from _asked_for(context, of_draft)
                continue
            content = files.publish()
            makings.note(draft.product, content.path, content.digest)
            if isinstance(draft, Draft):
                makings.note_stores(draft.product, draft.frame)
            context.log.info(f"{draft.product.name}: {content.size} published")
            yield dg.MaterializeResult(
                asset_key=draft.product.name,
                data_version=dg.DataVersion(draft.data_version or content.digest),
                # What is known of the product itself stands first, and is not what its step says of its inputs.
                metadata=texts({**content.metadata, **draft.metadata, **content.metadata}),
                # An evaluation recorded before the materialization counts as one of the content before: the UI would
                # show the check as not evaluated, and automation that asks for passed checks would wait for ever.
                check_results=list(_asked_for(context, of_draft)),
            )


Outcomes = Sequence[tuple[Table | Document, Gate]]
"""Blocking checks' outcomes, each with the product it is about."""


def _asked_for(context: dg.AssetExecutionContext, outcomes: Outcomes) -> Iterator[dg.AssetCheckResult]:
    """The evaluations of the checks that the run selected: of a step that can make a part, others are no outcome."""
    for (product, gate), result in zip(outcomes, evaluations(outcomes), strict=True):
        if dg.AssetCheckKey(dg.AssetKey(product.name), gate.check) in context.selected_asset_check_keys:
            yield result


def evaluations(outcomes: Outcomes) -> Iterator[dg.AssetCheckResult]:
    """The check evaluations that record blocking checks' outcomes."""
    for product, gate in outcomes:
        counts = gate.metadata if product.partitioning is Partitioning.NONE else counts_in_one_text(gate.metadata)
        help_ = {} if gate.passed else read_about(gate.section)
        yield dg.AssetCheckResult(
            asset_key=product.name,
            check_name=gate.check,
            passed=gate.passed,
            description=described(gate.description),
            metadata=texts({**help_, **counts}),
        )


def not_evaluated(checks: Iterable[dg.AssetCheckSpec], reason: str) -> Iterator[dg.AssetCheckResult]:
    """Checks that were not reached, as warnings that say so.

    Dagster asks for the outcome of every check, and shows one without an outcome as failed.
    """
    for check in checks:
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=described(f"Not evaluated: {reason}"),
        )


def refuse(partition_key: str, outcomes: Outcomes) -> None:
    """Fail the step if a blocking check failed.

    Raises:
        dagster.Failure: Names the checks and why; a retry would not help.
    """
    failed = [(about, gate) for about, gate in outcomes if not gate.passed]
    if failed:
        named = "; ".join(f"{about.name}.{gate.check}: {gate.description}" for about, gate in failed)
        raise failure(
            f"Nothing is published for {partition_key}, because a blocking check failed. {named}. "
            "What was published before, if anything, is unchanged.",
            about_it=failed[0][1].section,
        )
