"""Small h5ad files for tests of the pass: the sandbox's experiment, and copies of it that are damaged on purpose."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py

from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.profiles import Source, make_store
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment
from cm4ai_assets.storage.profiles import ProfilesRecord

IDENTITY = "ab" * 32
SMALL = Experiment(cells=500, genes=150, targets=12)


def written(path: Path, *, layout: str = "csc", counts: str = "X", compression: str | None = "gzip") -> Path:
    write_h5ad(path, SMALL, layout=layout, counts=counts, compression=compression)  # type: ignore[arg-type]
    return path


def altered(source: Path, target: Path, change: Callable[[h5py.File], None]) -> Path:
    """A copy of a file in which something was changed."""
    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as file:
        change(file)
    return target


def replace(group: h5py.Group, name: str, values: object) -> None:
    """Put other values in the place of a dataset, keeping its attributes."""
    attributes = dict(group[name].attrs)
    del group[name]
    group.create_dataset(name, data=values).attrs.update(attributes)


def source_of(path: Path, **more: object) -> Source:
    return Source(path.name, IDENTITY, lambda: H5ad(path), **more)  # type: ignore[arg-type]


def made(path: Path, folder: Path, **more: object) -> ProfilesRecord:
    """The store of a file's profiles, made in a folder of its own."""
    return make_store(source_of(path), folder / "store", folder / "checkpoints", {}, **more)  # type: ignore[arg-type]
