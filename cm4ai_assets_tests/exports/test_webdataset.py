"""Tar shards, read back by webdataset itself."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.errors import UnsafePathError
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.exports.webdataset import _shard
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.exports.releases import EDGE

webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed (extra: dev)")


def _read(shards: list[Path], decoder: str | None = None) -> list[dict[str, Any]]:
    opened = webdataset.WebDataset(sorted(map(str, shards)), shardshuffle=False, empty_check=False)
    return list(opened.decode(decoder) if decoder else opened.decode())


def _samples(folder: Path, decoder: str | None) -> list[dict[str, Any]]:
    return _read(list(folder.glob("*.tar")), decoder)


def _planes(images: Release, sample: dict[str, Any]) -> np.ndarray:
    labels = sample["json"]
    return np.asarray(images.tensors(labels["condition"])[labels["tensor_index"]])


def test_each_field_is_a_sample_with_its_planes_and_labels(images: Release, exported: Callable[..., Made]) -> None:
    made = exported("webdataset", shard_fields=3)
    fields = {row["field_id"]: row for row in images.fields().iter_rows(named=True)}
    assert (made.parts, made.counted) == (-(-len(fields) // 3), f"{len(fields)} fields")
    samples = _samples(made.folder, "l8")
    assert {sample["__key__"] for sample in samples} == set(fields)
    for sample in samples:
        assert sample["json"] == fields[sample["__key__"]]
        found = np.stack([sample[f"{channel}.png"] for channel in CHANNELS])
        assert found.dtype == np.uint8
        assert np.array_equal(found, _planes(images, sample))


def test_pixels_come_as_arrays_or_as_published(images: Release, exported: Callable[..., Made]) -> None:
    for sample in _samples(exported("webdataset", pixels="npy", folder="npy").folder, None):
        assert sample["image.npy"].shape == (4, EDGE, EDGE)
        assert np.array_equal(sample["image.npy"], _planes(images, sample))
    (sample, *_) = _samples(exported("webdataset", pixels="jpeg", folder="jpeg").folder, "rgb8")
    assert sample["red.jpg"].shape == (2048, 2048, 3)
    assert not sample["red.jpg"][:, :, 1:].max() > sample["red.jpg"][:, :, 0].max()


def test_samples_do_not_stand_in_the_order_of_plates_and_conditions(exported: Callable[..., Made]) -> None:
    keys = [sample["__key__"] for sample in _samples(exported("webdataset").folder, "l8")]
    assert keys == sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())
    conditions = [key.split("_")[2] for key in keys]
    assert conditions != sorted(conditions)


def test_equal_exports_are_equal_bytes_that_are_nobodys(exported: Callable[..., Made]) -> None:
    one, other = (exported("webdataset", folder=name, shard_fields=3).folder for name in ("one", "other"))
    shards = sorted(path.name for path in one.glob("*.tar"))
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in shards)
    with tarfile.open(one / shards[0]) as shard:
        assert {(entry.uid, entry.mtime, entry.isreg()) for entry in shard} == {(0, 0, True)}


def test_each_side_of_a_split_has_shards_of_its_own(divided: Release, tmp_path: Path) -> None:
    folder = export(divided, "webdataset", tmp_path / "all", selection=Selection(with_controls=True)).folder
    found = {path.name: {sample["json"]["antibody_id"] for sample in _read([path])} for path in folder.glob("*.tar")}
    assert found == {
        "test-000000.tar": {"HPA000895", "HPA000900"},
        "train-000000.tar": {"HPA000001"},
        "unassigned-000000.tar": {"NEGATIVE"},
    }
    assert '.WebDataset("train-{000000..000000}.tar", ' in (folder / "README.md").read_text()
    folder = export(divided, "webdataset", tmp_path / "one", selection=Selection(split="train")).folder
    assert {path.name for path in folder.glob("*.tar")} == {"train-000000.tar"}
    folder = export(divided, "webdataset", tmp_path / "other", selection=Selection(split="test")).folder
    assert '.WebDataset("test-{000000..000000}.tar", ' in (folder / "README.md").read_text()


def test_a_name_that_leaves_its_folder_gets_into_no_tar() -> None:
    with pytest.raises(UnsafePathError):
        _shard("fields-000000.tar", [{"field_id": "../../evil"}], lambda _: {})
