"""Which treatment did these cells get? A small network learns it, and is asked about proteins that it never saw.

    python examples/treatment.py --storage storage --size 128

It shows what the loader is for: fields chosen by a split without leaks, labels with weights, intensities normalized by
stored statistics, augmentation, batches by threads. On a sandbox of 36 fields a condition it takes a minute on two
cores. Accuracy is that of the fields of held-out proteins; chance is the share of the commonest treatment among them.

Treatment changes all stains of a cell (paclitaxel bundles microtubules), so that it can be told under any antibody. But
a plate's staining may differ as well: compare with `scheme="plate-B2AI_1"` before you believe an effect.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
import torch
from torch import nn

from cm4ai_assets import open_release
from cm4ai_assets.access import Release
from cm4ai_assets.loading.labels import Labels
from cm4ai_assets.loading.loader import FieldLoader
from cm4ai_assets.loading.normalization import Normalize
from cm4ai_assets.loading.transforms import ChannelOrder, Compose, Flip


@dataclass(frozen=True)
class Result:
    """How well the treatment of held-out proteins' fields was told.

    Attributes:
        accuracy: Share of the held-out fields whose treatment was told right.
        chance: Share of the commonest treatment among them.
        fields: How many these are.
        antibodies: Under how many antibodies they were taken.
        seconds: Time of training.
    """

    accuracy: float
    chance: float
    fields: int
    antibodies: int
    seconds: float


def train(release: Release, *, scheme: str = "protein", size: int | None = None, epochs: int = 20) -> Result:
    """Train on the fields of some proteins, and test on those of the others.

    Nothing is tuned, so that the validation side is as unseen as the test side, and both are asked about.
    """
    torch.manual_seed(0)
    learned, *unseen = (_plain(release.fields(split=split, scheme=scheme)) for split in ("train", "validation", "test"))
    held_out = pl.concat(unseen)
    assert not set(learned["antibody_id"]) & set(held_out["antibody_id"])
    treatment = Labels.of(learned, "condition")
    order, light = ChannelOrder("hpa_densenet"), Normalize.percentiles(release.table("if_quality"), clip=True)
    training = release.loader(
        learned, size=size, transform=Compose(order, Flip(), light), labels=[treatment], batch_size=16
    )
    testing = release.loader(
        held_out, size=size, transform=Compose(order, light), labels=[treatment], batch_size=16, shuffle="none"
    )
    network, started = _network(len(treatment.classes)), time.perf_counter()
    _fit(network, training, torch.from_numpy(treatment.weights(learned)), epochs)
    told, right = _answers(network, testing)
    chance = np.bincount(right).max() / len(right)
    seconds = time.perf_counter() - started
    return Result(float(np.mean(told == right)), float(chance), len(right), held_out["antibody_id"].n_unique(), seconds)


def _plain(fields: pl.DataFrame) -> pl.DataFrame:
    """Without fields that show hardly a cell: nobody could tell those."""
    empty = pl.col("flags").list.eval(pl.element().str.starts_with("empty_")).list.any()
    return fields.filter(~empty)


def _network(classes: int) -> nn.Module:
    widths, layers = (4, 16, 32, 64), list[nn.Module]()
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 5, stride=2, padding=2), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1], classes)
    )


def _fit(network: nn.Module, batches: FieldLoader, weights: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=epochs * len(batches))
    loss_of = nn.CrossEntropyLoss(weights)
    network.train()
    for epoch in range(epochs):
        losses = []
        for batch in batches:
            loss = loss_of(network(batch["image"]), batch["condition_label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2d}  loss {np.mean(losses):.3f}", flush=True)


@torch.no_grad()
def _answers(network: nn.Module, batches: FieldLoader) -> tuple[np.ndarray, np.ndarray]:
    """What the network says of each field, and what is right."""
    network.eval()
    pairs = [(network(batch["image"]).argmax(1), batch["condition_label"]) for batch in batches]
    told, right = (torch.cat(answers).numpy() for answers in zip(*pairs, strict=True))
    return told, right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--storage", help="where the data is; CM4AI_STORAGE if not given")
    parser.add_argument("--release", default="latest")
    parser.add_argument("--scheme", default="protein", help="a scheme of the table splits")
    parser.add_argument("--size", type=int, default=128, help="edge length of the images")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a network this small gains nothing from more, and the loader has its own
    release = open_release(options.release, storage=options.storage)
    result = train(release, scheme=options.scheme, size=options.size, epochs=options.epochs)
    print(
        f"{result.accuracy:.0%} of {result.fields} fields of {result.antibodies} held-out proteins are told right; "
        f"chance is {result.chance:.0%}. {result.seconds:.0f} s."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
