"""The streaming pass: every image of a ZIP decoded once, into a tensor store and a table of quality.

Belongs here: the order of work, its threads and its memory. Does not belong here: how one image is decoded (`decode`),
measured (`quality`) or stored (`shards`), nor where the products are published.

Threads take images from a bounded window and hand back compressed chunks; results are consumed in canonical order, so
the bytes are the same whatever the number of threads. Every large buffer belongs to a thread and is reused, the ZIP is
read by position, and shards and rows leave memory as they fill: the peak does not depend on the size of the archive.
Threads, not processes: all of the heavy calls release the GIL, and nothing is pickled or forked.

The pass is a pure function of the ZIP's bytes, the edge length and the pixel code. Only what lies in the bytes is a
finding; an error of the machine (a full disk, a share that went away) ends the pass, so that it is never kept as one.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cm4ai_assets.heavy import np
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.colour import full_level
from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE, ImageProblem, PlaneDecoder
from cm4ai_assets.images.opencv import opencv_on_one_thread
from cm4ai_assets.images.quality import FocusMeter, PlaneQuality, statistics
from cm4ai_assets.images.quality_table import QualityWriter
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.tensors import PIXEL_CODE_VERSION, Failure, StoreRecord, TensorDigest
from cm4ai_assets.storage.zips import MemberUnreadableError, read_member
from cm4ai_assets.threads import cores, in_order

if TYPE_CHECKING:
    from cm4ai_assets.images.fields import FieldPlan
    from cm4ai_assets.storage.bytes import ByteSource

__all__ = ["PIXEL_CODE_VERSION", "Failure", "PassProgress", "PassResult", "run_pass"]

TENSOR: Final = "tensor.zarr"
QUALITY: Final = "quality.parquet"

# Images under way per thread: enough that no thread waits while a shard of 54 MB (edge 2048) is synced to disk, and few
# enough that their compressed results stay below 20 MB.
WINDOW_PER_WORKER: Final = 8
PROGRESS_INTERVAL: Final = 1.0


@dataclass(frozen=True)
class PassProgress:
    """Where the pass stands. `eta_seconds` is None before the first field."""

    fields_done: int
    fields_total: int
    fields_failed: int
    images_per_second: float
    eta_seconds: float | None


@dataclass(frozen=True)
class Passed:
    """What a pass made, wherever its images were decoded, and how it went.

    Attributes:
        record: What the store holds; the same as the store tells of itself (`storage.tensors.read_record`).
        quality_path: The Parquet file of `if_quality`, without the columns release and condition.
        images: Images that were decoded, or found damaged.
        seconds: Wall time.
    """

    record: StoreRecord
    quality_path: Path
    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Images per second, from the first read to the last byte synced."""
        return self.images / self.seconds


@dataclass(frozen=True)
class PassResult(Passed):
    """What the pass made in threads of this process.

    Attributes:
        tensor_path: The Zarr store.
        peak_window: The most images that were under way at once.
    """

    tensor_path: Path
    peak_window: int


def run_pass(
    source: ByteSource,
    members: Sequence[Member],
    plans: Sequence[FieldPlan],
    target_dir: Path,
    *,
    edge: int,
    source_sha256: str,
    workers: int | None = None,
    progress: Callable[[PassProgress], None] | None = None,
    source_edge: int = SOURCE_EDGE,
    first_published_in: Mapping[str, str] | None = None,
) -> PassResult:
    """Decode the planned fields of a ZIP into `target_dir`: `tensor.zarr` and `quality.parquet`.

    A field with one bad image is left out as a whole and named in the record's failures; rows stay consecutive.

    Args:
        source: The ZIP.
        members: Its central directory; plans refer to its positions.
        plans: The fields, in canonical order.
        target_dir: An empty or missing folder. Complete once this function has returned, and not before.
        edge: Edge length of the stored planes, a divisor of the images' own.
        source_sha256: SHA-256 of the ZIP, which is not computed again.
        workers: Threads; as many as this process may use cores, if not given.
        progress: Called at most once a second, and at the end.
        source_edge: Edge length of the published images.
        first_published_in: See `shards.group_metadata`.
    """
    require_divisor(edge, source_edge)
    workers = workers or cores()
    window = WINDOW_PER_WORKER * workers
    target_dir.mkdir(parents=True, exist_ok=True)
    tensor_path = target_dir / TENSOR
    work = ImageWork(source, edge, source_edge)
    with (
        opencv_on_one_thread(),
        closing(in_order(work, image_calls(members, plans), workers=workers, window=window)) as results,
    ):
        passed = collected(
            results,
            members,
            plans,
            StoreWriter(tensor_path, edge),
            target_dir / QUALITY,
            source_sha256=source_sha256,
            progress=progress,
            first_published_in=first_published_in,
        )
    return PassResult(
        record=passed.record,
        tensor_path=tensor_path,
        quality_path=passed.quality_path,
        images=passed.images,
        seconds=passed.seconds,
        peak_window=min(window, passed.images),
    )


def require_divisor(edge: int, source_edge: int) -> None:
    """See that planes can be averaged to `edge`.

    Raises:
        ValueError: They cannot.
    """
    if source_edge % edge:
        raise ValueError(f"{edge} does not divide the images' edge length {source_edge}.")


def image_calls(members: Sequence[Member], plans: Iterable[FieldPlan]) -> Iterator[tuple[Member, str]]:
    """The calls of `ImageWork` in canonical order: fields outer, channels inner."""
    return ((members[place], channel) for plan in plans for place, channel in zip(plan.members, PLANES, strict=True))


def collected(
    results: Iterator[Image | Failure],
    members: Sequence[Member],
    plans: Sequence[FieldPlan],
    store: StoreWriter,
    quality_path: Path,
    *,
    source_sha256: str,
    progress: Callable[[PassProgress], None] | None = None,
    first_published_in: Mapping[str, str] | None = None,
) -> Passed:
    """Put decoded images together to the tensor and its statistics: the one place that says which field has which row.

    Args:
        results: What `ImageWork` gave for each of `image_calls`, in their order, from wherever.
        members: See `run_pass`.
        plans: See `run_pass`.
        store: Takes the fields; closed at the end.
        quality_path: Where the statistics are written.
        source_sha256: See `run_pass`.
        progress: See `run_pass`.
        first_published_in: See `shards.group_metadata`.
    """
    started = time.monotonic()
    with closing(store), closing(QualityWriter(quality_path)) as rows:
        collector = _Collector(store, rows)
        report = _Reporter(progress, total=len(plans), started=started)
        for plan in plans:
            images = [members[place] for place in plan.members]
            collector.add(plan.field_id, images, list(islice(results, len(PLANES))))
            report.tell(collector.fields, len(collector.failures))
        rows.finish()
        record = store.finish(
            source_sha256=source_sha256,
            digest=collector.digest.hexdigest(),
            failures=collector.failures,
            first_published_in=first_published_in,
        )
        report.tell(collector.fields, len(collector.failures), last=True)
    return Passed(record, quality_path, len(plans) * len(PLANES), time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Image:
    """One image, decoded: what of it is kept. `chunks` are its bytes, or where on a cluster they are."""

    chunks: Sequence[Any]
    quality: PlaneQuality
    colour: str | None
    pixel_sha256: str


class _Buffers(threading.local):
    """The large buffers of one thread."""

    def __init__(self, edge: int, source_edge: int) -> None:
        self.decoder = PlaneDecoder(source_edge)
        self.meter = FocusMeter(source_edge)
        self.averaged = np.empty((edge, edge), np.uint8)


class ImageWork:
    """All that happens to one image, in the thread that takes it."""

    def __init__(self, source: ByteSource, edge: int, source_edge: int) -> None:
        self._source, self._edge = source, edge
        self._buffers = _Buffers(edge, source_edge)
        self._full_levels = {channel: full_level(channel) for channel in PLANES}

    def __call__(self, member: Member, channel: str) -> Image | Failure:
        buffers = self._buffers
        try:
            plane = buffers.decoder.plane(read_member(self._source, member), channel)
        except MemberUnreadableError as error:
            return Failure("member_unreadable", member.name, error.reason)
        except ImageProblem as problem:
            return Failure(problem.defect, member.name, problem.detail)
        for_focus = buffers.meter.averaged(plane)
        same = self._edge == buffers.meter.edge
        stored = for_focus if same else area_average(plane, self._edge, buffers.averaged)
        return Image(
            chunks=compress(stored),
            quality=statistics(histogram(plane), buffers.meter.focus(for_focus), full_level=self._full_levels[channel]),
            colour=buffers.decoder.colour,
            pixel_sha256=hashlib.sha256(stored.data).hexdigest(),
        )


class _Collector:
    """Puts images together to fields, in order, and hands them on."""

    def __init__(self, store: StoreWriter, rows: QualityWriter) -> None:
        self._store, self._rows = store, rows
        self.fields = 0
        self.digest = TensorDigest()
        self.failures: dict[str, list[Failure]] = {}

    def add(self, field_id: str, members: Sequence[Member], results: Sequence[Image | Failure]) -> None:
        """Take the four results of a field: into the tensor if all are images, else into the failures."""
        self.fields += 1
        failures = [result for result in results if isinstance(result, Failure)]
        images = {
            (channel, member.name): result
            for channel, member, result in zip(PLANES, members, results, strict=True)
            if not isinstance(result, Failure)
        }
        tensor_index = None if failures else self._store.n_fields
        if failures:
            self.failures[field_id] = failures
        else:
            self._store.append([chunk for image in images.values() for chunk in image.chunks])
            for image in images.values():
                self.digest.add(image.pixel_sha256)
        for (channel, member), image in images.items():
            self._rows.append(
                field_id=field_id,
                channel=channel,
                tensor_index=tensor_index,
                member=member,
                quality=image.quality,
                colour=image.colour,
                pixel_sha256=image.pixel_sha256,
            )


class _Reporter:
    """Tells the progress, at most once per interval."""

    def __init__(self, progress: Callable[[PassProgress], None] | None, *, total: int, started: float) -> None:
        self._progress, self._total, self._started = progress, total, started
        self._shown_at = started

    def tell(self, done: int, failed: int, *, last: bool = False) -> None:
        """Report, if it is time to."""
        now = time.monotonic()
        if self._progress is None or not (last or now - self._shown_at >= PROGRESS_INTERVAL):
            return
        self._shown_at = now
        fields_per_second = done / max(now - self._started, 1e-9)
        eta = (self._total - done) / fields_per_second if done else None
        self._progress(PassProgress(done, self._total, failed, fields_per_second * len(PLANES), eta))
