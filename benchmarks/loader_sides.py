"""What the loader is measured against. Each side runs in a process of its own, and reads what is in the page cache."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import fsspec
import google_crc32c
import numpy as np
import polars as pl
from imagecodecs import zstd_decode
from PIL import Image

from benchmarks.archives import opened
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.loading.loader import FieldLoader
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, shard_key
from cm4ai_assets.storage.tensors import open_array

if TYPE_CHECKING:
    from cm4ai_assets.loading.dataset import FieldDataset

EDGE = 1024


@dataclass
class Job:
    """What a side reads. `stores` has tensors by edge length; JSON makes its keys text."""

    zip: str
    stores: dict[Any, str]
    fields: int
    threads: int
    batch: int
    epochs: int = 1

    def store(self, edge: int) -> str:
        return self.stores.get(edge) or self.stores[str(edge)]


@dataclass(frozen=True)
class Timed:
    """One run of one side."""

    rate: float
    cpu_ms: float = 0.0


def said(run: Timed) -> str:
    """A run in a line."""
    return f"{run.rate:7.1f} fields/s  {run.cpu_ms:6.2f} ms of CPU a field"


def loader(job: Job, *, edge: int = EDGE, size: int | None = None) -> Timed:
    """The platform's loader: shuffled by shards, checksums verified, batches as torch tensors where torch is."""
    source = FieldSource(frame(job), "/", {"paclitaxel": job.store(edge)}, size=size)
    made = FieldLoader(source, batch_size=job.batch, threads=job.threads)
    return timed(lambda: made, job)


def bare(job: Job, *, verified: bool = False) -> Timed:
    """One pread and four zstd_decode a field, in as many threads; results dropped, nothing collated."""
    store = Path(job.store(EDGE))
    indexes = {shard: _index(store / shard_key(shard)) for shard in range(-(-job.fields // FIELDS_PER_SHARD))}

    def read(field: int) -> int:
        shard, row = divmod(field, FIELDS_PER_SHARD)
        chunks = indexes[shard][row].tolist()
        first, last = chunks[0][0], chunks[-1][0] + chunks[-1][1]
        descriptor = os.open(store / shard_key(shard), os.O_RDONLY)
        data = os.pread(descriptor, last - first, first)
        os.close(descriptor)
        for offset, length in chunks:
            body = data[offset - first : offset - first + length - 4]
            if verified and google_crc32c.value(body) != int.from_bytes(
                data[offset - first + length - 4 :][:4], "little"
            ):
                raise SystemExit("a checksum differs")
            zstd_decode(body)
        return 1

    threads, rng = ThreadPoolExecutor(job.threads), np.random.default_rng(0)
    return timed(lambda: threads.map(read, rng.permutation(job.fields).tolist()), job)


def dataset(job: Job) -> Timed:
    """The platform's torch dataset in a DataLoader, batches read by each worker's threads."""
    from cm4ai_assets.loading.dataset import FieldDataset

    made = FieldDataset(FieldSource(frame(job), "/", {"paclitaxel": job.store(EDGE)}))
    return _by_workers(made, job)


def old_path(job: Job) -> Timed:
    """What the platform had before: each field by zarr, in a DataLoader with worker processes."""
    return _by_workers(ZarrDataset(job.store(EDGE), job.fields), job)


def pillow(job: Job) -> Timed:
    """JPEGs decoded on the fly, as notebooks do: Pillow, the one plane, OpenCV's area resize to 1024."""
    return _by_workers(PillowDataset(job.zip, job.fields), job)


class ZarrDataset:
    """A small copy of the dataset that `FieldLoader` replaced."""

    def __init__(self, path: str, fields: int) -> None:
        self.path, self.fields, self.array = path, fields, None

    def __len__(self) -> int:
        return self.fields

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        if self.array is None:
            self.array = open_array(fsspec.filesystem("file"), self.path)
        return {"image": torch.from_numpy(self.array[index]), "field_id": str(index)}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "array": None}


class PillowDataset:
    def __init__(self, path: str, fields: int) -> None:
        archive = opened(Path(path), fields)
        self.path = path
        self.names = [[archive.members[place].name for place in plan.members] for plan in archive.plans]
        self.zip: zipfile.ZipFile | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch

        if self.zip is None:
            self.zip = zipfile.ZipFile(self.path)
        planes = []
        for name, channel in zip(self.names[index], PLANES, strict=True):
            plane = np.array(Image.open(self.zip.open(name)))[:, :, PLANES[channel]]
            planes.append(cv2.resize(plane, (EDGE, EDGE), interpolation=cv2.INTER_AREA))
        return {"image": torch.from_numpy(np.stack(planes)), "field_id": str(index)}


def _by_workers(made: ZarrDataset | PillowDataset | FieldDataset, job: Job) -> Timed:
    import torch

    batches = torch.utils.data.DataLoader(
        made, batch_size=min(job.batch, max(1, job.fields // job.threads)), shuffle=True, num_workers=job.threads,
        multiprocessing_context="forkserver", persistent_workers=True,
    )  # fmt: skip
    return timed(lambda: batches, job)


def timed(
    batches: Callable[[], Iterable[Any]],
    job: Job,
    use: Callable[[Any], object] = lambda _: None,
    done: Callable[[], object] = lambda: None,
) -> Timed:
    """Time `job.epochs` passes after one that is not timed. Each batch is used; a pass ends when all that is done."""
    for batch in batches():  # processes are started, memory is there, the page cache is warm
        use(batch)
        del batch  # a batch that is kept keeps its memory, and the next pass takes new
    done()
    started, spent = time.perf_counter(), _cpu(batches())
    for _ in range(job.epochs):
        for batch in batches():
            use(batch)
            del batch
        done()
    seconds, cpu = time.perf_counter() - started, _cpu(batches()) - spent
    fields = job.fields * job.epochs
    return Timed(fields / seconds, 1000 * cpu / fields)


def _cpu(batches: Iterable[Any]) -> float:
    """CPU seconds of this process, and of the workers that a DataLoader keeps (Linux)."""
    spent = time.process_time()
    for worker in getattr(getattr(batches, "_iterator", None), "_workers", ()):
        ticks = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        spent += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return spent


def frame(job: Job) -> pl.DataFrame:
    rows = [("paclitaxel", number, str(number), "") for number in range(job.fields)]
    return pl.DataFrame(rows, ["condition", "tensor_index", "field_id", "antibody_id"], orient="row")


def _index(shard: Path) -> np.ndarray:
    size = FIELDS_PER_SHARD * 4 * 16
    return np.frombuffer(shard.read_bytes()[-size - 4 : -4], "<u8").reshape(FIELDS_PER_SHARD, 4, 2)


SIDES: dict[str, Callable[[Job], Timed]] = {
    "loader": loader,
    "bare": bare,
    "bare, verified": partial(bare, verified=True),
    "dataset": dataset,
    "old path": old_path,
    "Pillow": pillow,
    "512 computed": partial(loader, size=512),
    "512 stored": partial(loader, edge=512),
    "256 computed": partial(loader, size=256),
    "256 stored": partial(loader, edge=256),
}
