"""`python -m benchmarks.gpu`: fields per second onto a GPU, and how much of its own rate a training step keeps.

Belongs here: copies out of page-locked and ordinary memory, a model alone and fed by the loader. Does not belong here:
the loader against other readers (`loader`).
Everything is in the page cache. It wants CUDA and 16 cores, on which 2,000 fields/s are wanted, copied to the device.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loader import prepared
from benchmarks.loader_sides import EDGE, Job, Timed, frame, said, timed
from benchmarks.ratios import Findings, arguments, at_least, parsed
from benchmarks.turns import child, in_turn
from cm4ai_assets.loading.loader import Batch, FieldLoader
from cm4ai_assets.loading.source import FieldSource

if TYPE_CHECKING:
    import torch

STORED = 256  # edge of the smaller images, and of what the model's images are cut from
SHOWN = 224
CUDA = ("torch", "nvidia-smi")


@dataclass
class GpuJob(Job):
    """What a side reads, and where it goes."""

    device: str = "cuda"


def read(job: GpuJob) -> Timed:
    """The loader's batches at 1024, in page-locked memory, and nothing done with them."""
    return _timed(_batches(job), job, lambda _: None)


def copied(job: GpuJob, *, pinned: bool) -> Timed:
    """The same, copied to the device."""
    return _timed(_batches(job, pinned=pinned), job, lambda batch: _moved(batch, job))


def alone(job: GpuJob) -> Timed:
    """Training steps of a ViT-B/16 over one batch that lies on the device."""
    batch = _moved(next(_batches(job)()), job)
    step, number = _training(job.device), job.fields // job.batch
    return _timed(lambda: repeat(batch, number), replace(job, fields=number * job.batch), step)


def fed(job: GpuJob, *, edge: int = EDGE) -> Timed:
    """The same steps over the loader's batches, from planes of 1024 that the device averages, or from smaller ones."""
    step = _training(job.device)
    return _timed(_batches(job, edge), job, lambda batch: step(_moved(batch, job)))


SIDES: dict[str, Callable[[GpuJob], Timed]] = {
    "loader": read,
    "copied": partial(copied, pinned=True),
    "copied, pageable": partial(copied, pinned=False),
    "ViT alone": alone,
    "ViT fed": fed,
    "ViT fed by 256": partial(fed, edge=STORED),
}
COMPARED = {
    ("copied", "loader"): at_least(0.9),
    ("copied", "copied, pageable"): None,
    ("ViT fed", "ViT alone"): None,
    ("ViT fed by 256", "ViT alone"): None,
}


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(asdict(SIDES[options.child](GpuJob(**json.loads(options.job))))))
        return 0
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        job = GpuJob(**asdict(prepared(Path(folder), options, findings)), device=options.device)
        sides = {side: partial(_run, side, job) for side in options.sides}
        needs = dict.fromkeys(sides, CUDA if options.device == "cuda" else ("torch",))
        turns = in_turn(sides, options.rounds, said, needs)
    for (one, other), target in COMPARED.items():
        if {one, other} <= set(options.sides):
            turns.compare(findings, f"{one} / {other}", (one, other), lambda run: run.rate, target)
    for side, runs in turns.runs.items():
        findings.fact(side, f"{max(run.rate for run in runs):.0f} fields/s")
    return findings.finish(options)


def _run(side: str, job: GpuJob) -> Timed:
    return Timed(**child("gpu", "--child", side, "--job", json.dumps(asdict(job))))


def _timed(batches: Callable[[], Iterator[Batch]], job: GpuJob, use: Callable[[Batch], object]) -> Timed:
    import torch

    return timed(batches, job, use, torch.cuda.synchronize if job.device == "cuda" else lambda: None)


def _batches(job: GpuJob, edge: int = EDGE, *, pinned: bool = True) -> Callable[[], Iterator[Batch]]:
    source = FieldSource(frame(job), "/", {"paclitaxel": job.store(edge)})
    made = FieldLoader(source, batch_size=job.batch, threads=job.threads or None, pin_memory=pinned, drop_last=True)
    return lambda: iter(made)


def _moved(batch: Batch, job: GpuJob) -> Batch:
    return {"image": batch["image"].to(job.device, non_blocking=True)}


def _training(device: str) -> Callable[[Batch], None]:
    """A step of ViT-B/16 at 224 in bfloat16: forward, backward, AdamW. Its images are averaged and cropped here."""
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(4, 768, 16, 16)
            self.places = nn.Parameter(torch.zeros(1, (SHOWN // 16) ** 2, 768))
            layer = nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 12, nn.LayerNorm(768), enable_nested_tensor=False)
            self.head = nn.Linear(768, 462)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            patches = self.patches(images).flatten(2).transpose(1, 2)
            return self.head(self.layers(patches + self.places).mean(1))

    model = Model().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), fused=device == "cuda")

    def step(batch: Batch) -> None:
        images = batch["image"].to(torch.bfloat16) / 255
        if (times := images.shape[-1] // STORED) > 1:
            images = nn.functional.avg_pool2d(images, times)
        labels = torch.zeros(len(images), dtype=torch.long, device=device)
        with torch.autocast(device, torch.bfloat16):
            loss = nn.functional.cross_entropy(model(images[..., :SHOWN, :SHOWN]), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _options() -> argparse.Namespace:
    parser = arguments("gpu", __doc__, rounds=3, jpegs=True)
    parser.add_argument("--fields", type=int, default=1024, help="fields in the tensor; the JPEGs are repeated")
    parser.add_argument("--epochs", type=int, default=4, help="passes that are timed")
    parser.add_argument("--threads", type=int, default=0, help="threads of the loader; by default its own choice")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.set_defaults(sizes=[STORED])
    return parsed(parser, fields=8, epochs=1, rounds=1, batch=4)


if __name__ == "__main__":
    sys.exit(main())
