"""The folder as `datasets` opens it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlcroissant
import numpy as np
import polars as pl
import pytest
import yaml

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.exports.huggingface import _card
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.tables.images import CHANNELS

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported
datasets = pytest.importorskip("datasets", reason="datasets is not installed (extra: dev)")


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Any]:
    datasets.disable_progress_bars()

    def loaded(folder: Path, *configuration: str) -> Any:
        return datasets.load_dataset(str(folder), *configuration, cache_dir=str(tmp_path / "cache"))

    return loaded


def test_every_field_is_a_row_with_its_planes_as_images(
    images: Release, exported: Callable[..., Made], load: Callable[..., Any]
) -> None:
    folder = exported("huggingface", shard_fields=3).folder
    assert len(list((folder / "data").rglob("*.parquet"))) == 4
    fields = images.fields()
    found = load(folder)["unassigned"]
    assert {channel: type(found.features[channel]).__name__ for channel in CHANNELS} == dict.fromkeys(CHANNELS, "Image")
    labels = pl.from_arrow(found.remove_columns(list(CHANNELS)).data.table)
    assert isinstance(labels, pl.DataFrame)
    assert labels.sort("condition", "tensor_index").equals(fields)
    for row in found:
        planes = np.stack([np.asarray(row[channel]) for channel in CHANNELS])
        assert np.array_equal(planes, images.tensors(row["condition"])[row["tensor_index"]])


def test_each_condition_is_a_configuration(exported: Callable[..., Made], load: Callable[..., Any]) -> None:
    folder = exported("huggingface").folder
    assert datasets.get_dataset_config_names(str(folder)) == ["default", "paclitaxel", "untreated"]
    found = load(folder, "paclitaxel")
    assert set(found["unassigned"]["condition"]) == {"paclitaxel"}


def test_published_jpegs_come_as_they_were_published(exported: Callable[..., Made], load: Callable[..., Any]) -> None:
    only = Selection(conditions=(Condition.UNTREATED,), plates=("2",))
    jpegs = exported("cell-maps", selection=only, folder="jpegs").folder / "untreated"
    rows = load(exported("huggingface", selection=only, pixels="jpeg").folder)["unassigned"]
    raw = rows.cast_column("green", datasets.Image(decode=False))
    for row in raw:
        assert row["green"]["path"] == f"{row['field_id']}_green.jpg"
        assert row["green"]["bytes"] == (jpegs / "green" / row["green"]["path"]).read_bytes()


def test_the_card_names_licence_configurations_and_splits(exported: Callable[..., Made]) -> None:
    text = (exported("huggingface").folder / "README.md").read_text()
    _, front, rest = text.split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["license"] == "cc-by-nc-sa-4.0"
    assert rest.startswith("# June 2026 Data Release")
    other = yaml.safe_load(_card("On request: see x", "2026-06-v2.0", {"untreated": ["train", "test"]}).split("---")[1])
    assert (other["license"], other["license_name"]) == ("other", "On request: see x")
    assert other["configs"][1] == {
        "config_name": "untreated",
        "data_files": [{"split": name, "path": f"data/untreated/{name}-*.parquet"} for name in ("train", "test")],
    }


def test_splits_are_those_of_the_release(divided: Release, tmp_path: Path, load: Callable[..., Any]) -> None:
    found = load(export(divided, "huggingface", tmp_path / "out").folder)
    assert {side: set(rows["antibody_id"]) for side, rows in found.items()} == {
        "train": {"HPA000001"},
        "test": {"HPA000895", "HPA000900"},
    }


def test_croissant_gives_the_planes_as_pictures_with_their_labels(
    divided: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", None)  # nothing is fetched
    folder = export(divided, "huggingface", tmp_path / "out", shard_fields=1).folder
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    assert dataset.metadata.ctx.issues.report() == ""
    assert {one.id for one in dataset.metadata.record_sets} == {
        f"{condition}/{split}" for condition in ("untreated", "paclitaxel") for split in ("train", "test")
    }
    trained = divided.table("splits").filter(split="train", condition="untreated").collect()["field_id"]
    records = list(dataset.records("untreated/train"))
    assert {one["untreated/train/field_id"].decode() for one in records} == set(trained)
    tensors = divided.tensors("untreated")
    for one in records:
        planes = np.stack([np.asarray(one[f"untreated/train/{channel}"]) for channel in CHANNELS])
        assert np.array_equal(planes, tensors[one["untreated/train/tensor_index"]])
        assert one["untreated/train/split"] == b"train"
    symbols = {tuple(name.decode() for name in one["untreated/train/gene_symbols"]) for one in records}
    assert symbols == {("TP53",)}


def test_croissant_lists_every_shard_with_its_digest_and_says_where_it_comes_from(
    exported: Callable[..., Made],
) -> None:
    folder = exported("huggingface", shard_fields=2).folder
    document = json.loads((folder / "croissant.json").read_bytes())
    listed = {one["@id"]: one["sha256"] for one in document["distribution"] if one["@type"] == "cr:FileObject"}
    assert listed == {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "data").rglob("*.parquet")
    }
    names = [one["@id"] for one in (*document["recordSet"], *document["recordSet"][0]["field"])]
    assert len(names) == len(set(names))
    assert document["isBasedOn"] == {"@id": "https://doi.org/10.5072/FK2/TESTED"}
    assert document["license"] == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
    assert document["conformsTo"] == "http://mlcommons.org/croissant/1.1"
