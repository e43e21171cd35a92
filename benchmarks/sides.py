"""What is measured against what. Each side takes the same ZIP and runs in a process of its own.

The baselines are written as their users write them: they unpack the ZIP first, and are not tuned.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.archives import Archive, opened
from benchmarks.turns import cpu_seconds
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE, PlaneDecoder
from cm4ai_assets.images.pixels import ImageWork, run_pass
from cm4ai_assets.images.quality import FocusMeter, statistics
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import read_member

Pixels = np.ndarray

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
RESIZED = 1536  # what the embedding tool resizes to before it cuts
SMALL = 1024
STAGE_IMAGES = 48


@dataclass(frozen=True)
class Measured:
    """One run of one side. `cpu` is in seconds, of all threads and processes; `measured` adds it."""

    images: int
    seconds: float
    stored: int = 0
    note: str = ""
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        return self.images / self.seconds


def measured(side: str, archive: Archive, edge: int, scratch: Path) -> Measured:
    """One run. What numba compiles, once a process, is compiled before."""
    if side in COMPILED:
        ImageWork(archive.source, edge, SOURCE_EDGE)(*_images(archive)[0])
    before = cpu_seconds()
    run = SIDES[side](archive, edge, scratch)
    return replace(run, cpu=cpu_seconds() - before)


def platform(archive: Archive, edge: int, scratch: Path) -> Measured:
    """The platform's pass, as an asset runs it: ZIP to tensor store and table, synced to disk."""
    made = run_pass(
        archive.source, archive.members, archive.plans, scratch / "pass", edge=edge, source_sha256="ab" * 32
    )
    return Measured(made.images, made.seconds, made.record.size)


def ceiling(archive: Archive, edge: int, _: Path) -> Measured:
    """As many bare processes as there are cores: the same work for each image, results dropped, nothing written."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(CORES + 1)
    shares = [
        context.Process(target=_share, args=(archive.path, len(archive.plans), edge, n, barrier)) for n in range(CORES)
    ]
    for share in shares:
        share.start()
    barrier.wait()
    started = time.perf_counter()
    for share in shares:
        share.join()
        if share.exitcode:
            raise SystemExit("a process of the ceiling failed")
    return Measured(len(archive.plans) * len(PLANES), time.perf_counter() - started)


def _share(path: Path, fields: int, edge: int, number: int, barrier: Barrier) -> None:
    cv2.setNumThreads(1)
    archive = opened(path, fields)
    work = ImageWork(archive.source, edge, SOURCE_EDGE)
    tasks = _images(archive)
    work(*tasks[0])
    barrier.wait()
    for task in tasks[number::CORES]:
        work(*task)


def stages(archive: Archive, edge: int, scratch: Path) -> Measured:
    """CPU time of each stage in a tight loop of its own, summed; the rate is that of all cores doing nothing else."""
    cv2.setNumThreads(1)
    tasks = _images(archive)[:STAGE_IMAGES]
    decoder, meter, out = PlaneDecoder(SOURCE_EDGE), FocusMeter(SOURCE_EDGE), np.empty((edge, edge), np.uint8)
    datas = [read_member(archive.source, member) for member, _ in tasks]
    planes = [decoder.plane(data, name).copy() for data, (_, name) in zip(datas, tasks, strict=True)]
    averaged = [area_average(plane, SMALL) for plane in planes]
    stored = [area_average(plane, edge) for plane in planes]
    counts = [histogram(plane) for plane in planes]
    chunks = [compress(plane) for plane in stored]

    def write() -> None:
        store = StoreWriter(scratch / f"stages-{time.monotonic_ns()}", edge)
        for first in range(0, len(chunks), 4):
            store.append([chunk for plane in chunks[first : first + 4] for chunk in plane])
        store.finish(source_sha256="", digest="", failures={})

    spent = {
        "inflate, crc": _cpu(lambda: [read_member(archive.source, member) for member, _ in tasks]),
        "decode, plane": _cpu(lambda: [decoder.plane(d, n) for d, (_, n) in zip(datas, tasks, strict=True)]),
        "average": 0.0 if edge == planes[0].shape[0] else _cpu(lambda: [area_average(p, edge, out) for p in planes]),
        "average for focus": 0.0 if edge == SMALL else _cpu(lambda: [meter.averaged(plane) for plane in planes]),
        "histogram": _cpu(lambda: [histogram(plane) for plane in planes]),
        "statistics": _cpu(lambda: [statistics(count, None, full_level=255) for count in counts]),
        "focus": _cpu(lambda: [meter.focus(plane) for plane in averaged]),
        "zstd, crc32c": _cpu(lambda: [compress(plane) for plane in stored]),
        "sha256": _cpu(lambda: [hashlib.sha256(plane.data).digest() for plane in stored]),
        "shards": _cpu(write),
    }
    each = {name: seconds / len(tasks) for name, seconds in spent.items() if seconds}
    note = ", ".join(f"{name} {1000 * seconds:.2f}" for name, seconds in each.items())
    return Measured(CORES, sum(each.values()), note=f"ms of CPU per image: {note}")


def _images(archive: Archive) -> list[tuple[Member, str]]:
    return [
        (archive.members[place], channel)
        for plan in archive.plans
        for place, channel in zip(plan.members, PLANES, strict=True)
    ]


def _cpu(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def notebook(archive: Archive, edge: int, scratch: Path) -> Measured:
    """N1, the notebook: unpack, Pillow, scikit-image resize, percentiles, torch.save of float32."""
    import torch
    from skimage.transform import resize

    started = time.perf_counter()
    folder = _unpack(archive, scratch)
    for plan in archive.plans:
        planes = []
        for place, channel in zip(plan.members, PLANES, strict=True):
            plane = np.array(Image.open(folder / archive.members[place].name))[:, :, PLANES[channel]]
            np.percentile(plane, [1, 50, 99, 99.9])
            planes.append(plane if edge == plane.shape[0] else resize(plane, (edge, edge), anti_aliasing=True))
        torch.save(torch.from_numpy(np.stack(planes).astype(np.float32)), folder / f"{plan.field_id}.pt")
    return _baseline(archive, started, folder)


def lean(archive: Archive, edge: int, scratch: Path) -> Measured:
    """N2, lean: unpack, Pillow, the one plane, percentiles, OpenCV's area resize, np.save of uint8."""
    return _lean(archive, edge, scratch, percentiles=True)


def bare(archive: Archive, edge: int, scratch: Path) -> Measured:
    """N2 without any statistics: less than the platform does, for information."""
    return _lean(archive, edge, scratch, percentiles=False)


def _lean(archive: Archive, edge: int, scratch: Path, *, percentiles: bool) -> Measured:
    def area(plane: Pixels, edge: int) -> Pixels:
        return plane if edge == plane.shape[0] else cv2.resize(plane, (edge, edge), interpolation=cv2.INTER_AREA)

    started = time.perf_counter()
    folder = _unpack(archive, scratch)
    for plan in archive.plans:
        planes = []
        for place, channel in zip(plan.members, PLANES, strict=True):
            plane = np.array(Image.open(folder / archive.members[place].name))[:, :, PLANES[channel]]
            if percentiles:
                np.percentile(plane, [1, 50, 99, 99.9])
            planes.append(area(plane, edge))
        np.save(folder / plan.field_id, np.stack(planes))
    return _baseline(archive, started, folder)


def embedding_tool(archive: Archive, edge: int, scratch: Path) -> Measured:
    """N3, the steps of cellmaps_image_embedding 0.3.3 (ProteinDataset, image_size 1536, crop_size 1024), and a save.

    Unpack; Pillow; linear resize to 1536; JPEG of quality 85 to disk and back; linear resize to 1024; float32.
    """
    import torch

    started = time.perf_counter()
    folder = _unpack(archive, scratch)
    for plan in archive.plans:
        names = []
        for place, channel in zip(plan.members, PLANES, strict=True):
            plane = np.array(Image.open(folder / archive.members[place].name))[:, :, PLANES[channel]]
            plane = cv2.resize(plane, (RESIZED, RESIZED), interpolation=cv2.INTER_LINEAR)
            names.append(str(folder / f"{plan.field_id}_{channel}.jpg"))
            cv2.imwrite(names[-1], plane, [int(cv2.IMWRITE_JPEG_QUALITY), 85])
        image = np.stack([np.asarray(cv2.imread(name, cv2.IMREAD_GRAYSCALE)) for name in names], axis=-1)
        image = cv2.resize(image, (edge, edge), interpolation=cv2.INTER_LINEAR)
        made = (image / 255.0).astype(np.float32).transpose((2, 0, 1))
        torch.save(torch.from_numpy(made), folder / f"{plan.field_id}.pt")
    return _baseline(archive, started, folder)


def _unpack(archive: Archive, scratch: Path) -> Path:
    folder = scratch / "unpacked"
    with zipfile.ZipFile(archive.path) as file:
        file.extractall(folder, [archive.members[place].name for plan in archive.plans for place in plan.members])
    return folder


def _baseline(archive: Archive, started: float, folder: Path) -> Measured:
    seconds = time.perf_counter() - started
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return Measured(len(archive.plans) * len(PLANES), seconds, stored)


SIDES: dict[str, Callable[[Archive, int, Path], Measured]] = {
    "platform": platform,
    "ceiling": ceiling,
    "stages": stages,
    "notebook": notebook,
    "lean": lean,
    "bare": bare,
    "embedding tool": embedding_tool,
}

COMPILED = {"platform", "stages"}  # the processes of the ceiling see to it themselves
NEEDS = {"notebook": ("skimage", "torch"), "embedding tool": ("torch",)}
