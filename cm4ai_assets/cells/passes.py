"""The streaming pass over a tensor: every field read once, into a store of labels and measured nuclei.

Belongs here: the order of work, its threads and its memory. Does not belong here: how a field is segmented (`segment`)
and measured (`measure`), whether a pass is needed (`products`), or what a store is (`storage.nuclei`).

Threads take fields from a bounded window and hand back compressed labels and numbers; results are consumed in order,
so the bytes are the same whatever the number of threads. Shards and rows leave memory as they fill: the peak does not
depend on the number of fields.

The pass is a pure function of the pixels and the segmentation code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from cm4ai_assets.cells.measure import Columns, Meter
from cm4ai_assets.cells.plausible import judged
from cm4ai_assets.cells.segment import ALGORITHM, Segmented, Segmenter
from cm4ai_assets.images.opencv import opencv_on_one_thread
from cm4ai_assets.images.pixels import PROGRESS_INTERVAL, WINDOW_PER_WORKER
from cm4ai_assets.storage.nuclei import (
    CELLS_FILE,
    DIMENSIONS,
    FIELDS_FILE,
    FIELDS_SCHEMA,
    SEGMENTATION_VERSION,
    NucleiRecord,
    fields_digest,
    labels_digest,
)
from cm4ai_assets.storage.parquet import ROW_GROUP, write_stretches
from cm4ai_assets.storage.recorded import METADATA, RECORD
from cm4ai_assets.storage.shard_names import NUCLEI
from cm4ai_assets.storage.sharding import ShardFiles, Shards, array_metadata, compress, write_metadata
from cm4ai_assets.storage.tensors import FIRST_PUBLISHED_IN, Pixels, StoreRecord, chunk_edge
from cm4ai_assets.tables.cells import MEASURED
from cm4ai_assets.tables.images import BLUE
from cm4ai_assets.threads import cores, in_order

_FRAMES_WAITING: Final = 32
_JUDGED: Final = ("plausible", "defects")
_OF_CELLS: Final = pl.Schema({column.name: column.dtype for column in MEASURED})


class Fields(Protocol):
    """Where the pixels of fields come from; any number of threads may read at once (`loading.reader.ShardReader`)."""

    n_fields: int
    edge: int

    def read(self, index: int) -> Pixels:
        """The four planes of a field: uint8, (channel, y, x)."""
        ...


@dataclass(frozen=True)
class CellsProgress:
    """Where the pass stands. `eta_seconds` is None before the first field."""

    fields_done: int
    fields_total: int
    nuclei: int
    fields_per_second: float
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Field:
    """What is kept of one field. `chunks` are its labels, or where on a cluster they are."""

    index: int
    segmented_as: tuple[int, int, int, str | None]
    columns: Columns
    chunks: Sequence[Any]
    digest: str


class FieldWork:
    """All that happens to one field, in the thread that takes it."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._segmenter, self._meter = Segmenter(fields.edge), Meter(fields.edge)

    def __call__(self, index: int) -> Field:
        """Read, segment, measure and compress one field."""
        planes = self._fields.read(index)
        found: Segmented = self._segmenter(planes[BLUE])
        return Field(
            index=index,
            segmented_as=(found.nuclei, found.specks, found.level, found.reason),
            columns=self._meter(planes, found.labels) if found.nuclei else {},
            chunks=compress(found.labels.astype("<u2", copy=False)),
            digest=labels_digest(found.labels),
        )


def run_pass(
    fields: Fields,
    tensor: StoreRecord,
    folder: Path,
    *,
    first_published_in: Mapping[str, str],
    workers: int | None = None,
    progress: Callable[[CellsProgress], None] | None = None,
) -> NucleiRecord:
    """Segment and measure every field of a tensor, into a store in `folder`, which is complete once this returns.

    Args:
        fields: The pixels.
        tensor: What the tensor's store says of itself.
        folder: An empty or missing folder.
        first_published_in: See `images.shards.group_metadata`.
        workers: Threads; as many as this process may use cores, if not given.
        progress: Called at most once a second, and at the end.

    Raises:
        TensorStoreError: A part of the tensor is missing or changed.
    """
    workers = workers or cores()
    work = FieldWork(fields)
    with (
        opencv_on_one_thread(),
        closing(in_order(work, field_calls(tensor), workers=workers, window=WINDOW_PER_WORKER * workers)) as results,
    ):
        shards = ShardFiles(folder, NUCLEI, chunks_per_field=chunks_per_field(tensor))
        return collected(results, tensor, shards, folder, first_published_in=first_published_in, progress=progress)


def field_calls(tensor: StoreRecord) -> Iterator[tuple[int]]:
    """The calls of `FieldWork` in the order of the rows."""
    return ((index,) for index in range(tensor.n_fields))


def chunks_per_field(tensor: StoreRecord) -> int:
    """Inner chunks of the labels of one field."""
    return (tensor.edge // chunk_edge(tensor.edge)) ** 2


def collected(
    results: Iterable[Field],
    tensor: StoreRecord,
    shards: Shards,
    folder: Path,
    *,
    first_published_in: Mapping[str, str],
    progress: Callable[[CellsProgress], None] | None = None,
) -> NucleiRecord:
    """Put segmented fields together to the store: the one place that does, wherever they were segmented.

    Args:
        results: What `FieldWork` gave for each of `field_calls`, in their order.
        tensor: See `run_pass`.
        shards: Takes the labels; closed at the end.
        folder: Where everything else of the store is written.
        first_published_in: See `images.shards.group_metadata`.
        progress: See `run_pass`.
    """
    report = _Reporter(progress, total=tensor.n_fields)
    with closing(shards):
        collector = _Collector(shards, report, edge=tensor.edge)
        frames = _regrouped(collector.frames(results))
        write_stretches(frames, folder / CELLS_FILE, like=pl.DataFrame(schema=_OF_CELLS), metadata={})
        report.show(collector.fields, collector.nuclei, last=True)
        sizes = {NUCLEI.key(number): size for number, size in enumerate(shards.finish())}
    write_stretches([collector.table()], folder / FIELDS_FILE, like=collector.table().clear(), metadata={})
    return _finished(folder, tensor, collector, sizes, first_published_in)


class _Collector:
    """Puts fields away in their order; what remains of each is a row."""

    def __init__(self, shards: Shards, report: _Reporter, *, edge: int) -> None:
        self._shards, self._report, self._edge = shards, report, edge
        self._rows: list[tuple[Any, ...]] = []
        self.nuclei = 0

    @property
    def fields(self) -> int:
        """Fields that were taken."""
        return len(self._rows)

    def frames(self, results: Iterable[Field]) -> Iterator[pl.DataFrame]:
        """The nuclei of each field, as it is put away."""
        for field in results:
            self._shards.append(field.chunks)
            nuclei, *rest = field.segmented_as
            self._rows.append((field.index, nuclei, *rest, field.digest))
            self.nuclei += nuclei
            self._report.show(self.fields, self.nuclei)
            if nuclei:
                yield _frame(field, self._edge)

    def table(self) -> pl.DataFrame:
        """One row a field: `storage.nuclei.FIELDS_SCHEMA`."""
        return pl.DataFrame(self._rows, schema=FIELDS_SCHEMA, orient="row")


def _frame(field: Field, edge: int) -> pl.DataFrame:
    """The nuclei of a field as they stand in the store."""
    wanted = {name: dtype for name, dtype in _OF_CELLS.items() if name not in _JUDGED}
    index = pl.lit(field.index, pl.Int32()).alias("tensor_index")
    measured = pl.DataFrame(dict(field.columns)).with_columns(index).select(list(wanted)).cast(pl.Schema(wanted))
    floats = [name for name, dtype in wanted.items() if dtype == pl.Float32()]
    return judged(measured.with_columns(pl.col(floats).fill_nan(None)), edge).select(_OF_CELLS.names())


def _regrouped(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in frames of one row group each, but the last: so they give the same bytes."""
    waiting: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        waiting.append(frame)
        height += frame.height
        if len(waiting) == _FRAMES_WAITING:  # a small frame takes more memory than its rows
            waiting = [pl.concat(waiting, rechunk=True)]
        if height >= ROW_GROUP:
            joined = pl.concat(waiting)
            yield joined.head(ROW_GROUP)
            waiting, height = [joined.slice(ROW_GROUP)], height - ROW_GROUP
    if height:
        yield pl.concat(waiting)


def _finished(
    folder: Path,
    tensor: StoreRecord,
    collector: _Collector,
    shard_sizes: Mapping[str, int],
    first_published_in: Mapping[str, str],
) -> NucleiRecord:
    """Write the metadata, the group's last: from here on the store is complete."""
    shape = (tensor.n_fields, tensor.edge, tensor.edge)
    attributes = {
        "background": 0,
        "edge": tensor.edge,
        "algorithm": ALGORITHM,
        "segmentation_version": SEGMENTATION_VERSION,
        "source_sha256": tensor.source_sha256,
    }
    (folder / NUCLEI.array).mkdir(parents=True, exist_ok=True)
    write_metadata(folder / NUCLEI.array, array_metadata(shape, DIMENSIONS, "uint16", attributes))
    beside = (CELLS_FILE, FIELDS_FILE, f"{NUCLEI.array}/{METADATA}")
    files = {**shard_sizes, **{name: (folder / name).stat().st_size for name in beside}}
    record = NucleiRecord(
        source_sha256=tensor.source_sha256,
        edge=tensor.edge,
        pixel_code_version=tensor.version,
        segmentation_version=SEGMENTATION_VERSION,
        algorithm=ALGORITHM,
        tensor_digest=tensor.digest,
        n_fields=tensor.n_fields,
        nuclei=collector.nuclei,
        digest=fields_digest(collector.table()),
        file_sizes=dict(sorted(files.items())),
    )
    group = {RECORD: record.to_json(), FIRST_PUBLISHED_IN: dict(first_published_in)}
    write_metadata(folder, {"zarr_format": 3, "node_type": "group", "attributes": group})
    return record


class _Reporter:
    """Reports the progress, at most once per interval."""

    def __init__(self, progress: Callable[[CellsProgress], None] | None, *, total: int) -> None:
        self._progress, self._total, self._started = progress, total, time.monotonic()
        self._shown_at = self._started

    def show(self, done: int, nuclei: int, *, last: bool = False) -> None:
        """Report, if it is time to."""
        now = time.monotonic()
        if self._progress is None or not (last or now - self._shown_at >= PROGRESS_INTERVAL):
            return
        self._shown_at = now
        rate = done / max(now - self._started, 1e-9)
        eta = (self._total - done) / rate if done else None
        self._progress(CellsProgress(done, self._total, nuclei, rate, eta))
