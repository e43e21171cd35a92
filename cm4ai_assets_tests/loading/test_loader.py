"""Batches by threads: every field once, in memory that stays what it was, and no hang whatever goes wrong."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.errors import ConfigurationError, SelectionError, TensorStoreError
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.loading import loader as loading
from cm4ai_assets.loading.labels import Labels
from cm4ai_assets.loading.loader import FieldLoader
from cm4ai_assets.loading.normalization import Normalize
from cm4ai_assets.loading.reader import CHANNELS, REMOTE_THREADS, ShardReader
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.loading.transforms import PRESETS, ChannelOrder, Compose, Crop, Flip, drawn_of
from cm4ai_assets.storage.shard_names import shard_key
from cm4ai_assets_tests.loading.stores import noise, written

EDGE = 16
COUNTS = {"paclitaxel": 50, "untreated": 37}


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    return {condition: noise(count, EDGE, seed) for seed, (condition, count) in enumerate(COUNTS.items())}


@pytest.fixture
def storage(tmp_path: Path, pixels: dict[str, np.ndarray]) -> Path:
    for condition, planes in pixels.items():
        written(tmp_path / f"{condition}.zarr", planes)
    return tmp_path


def fields() -> pl.DataFrame:
    rows = [(c, n, f"{c}-{n}", f"HPA{n % 5}") for c, count in COUNTS.items() for n in range(count)]
    return pl.DataFrame(rows, ["condition", "tensor_index", "field_id", "antibody_id"], orient="row")


def source(storage: Path, frame: pl.DataFrame | None = None, **settings: Any) -> FieldSource:
    frame = fields() if frame is None else frame
    paths = {c: f"{storage}/{c}.zarr" for c in frame["condition"].unique(maintain_order=True)}
    return FieldSource(frame, str(storage), paths, **settings)


def loader(storage: Path, frame: pl.DataFrame | None = None, **settings: Any) -> FieldLoader:
    of_source = {name: settings.pop(name) for name in ("size", "transform", "labels") if name in settings}
    settings = {"batch_size": 8, "threads": 3, "tensors": False, **settings}
    return FieldLoader(source(storage, frame, **of_source), **settings)


def names(batches: Any) -> list[list[str]]:
    return [list(batch["field_id"]) for batch in batches]


def flat(batches: Any) -> list[str]:
    return [name for batch in batches for name in batch["field_id"]]


@pytest.mark.parametrize("tensors", [False, True])
def test_an_epoch_holds_every_field_once_with_its_own_pixels(
    storage: Path, pixels: dict[str, np.ndarray], *, tensors: bool
) -> None:
    if tensors:
        pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    batches = list(loader(storage, tensors=tensors))
    assert [len(batch["field_id"]) for batch in batches] == [8] * 10 + [7]
    assert sorted(flat(batches)) == sorted(fields()["field_id"])
    for batch in batches:
        assert hasattr(batch["image"], "is_pinned") is tensors
        for place, field_id in enumerate(batch["field_id"]):
            condition, row = field_id.split("-")
            assert (batch["condition"][place], batch["antibody_id"][place]) == (condition, f"HPA{int(row) % 5}")
            assert fields()["field_id"][int(batch["position"][place])] == field_id
            assert np.array_equal(np.asarray(batch["image"][place]), pixels[condition][int(row)])


def test_without_torch_batches_are_numpy(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    assert isinstance(next(iter(loader(storage, tensors=None)))["image"], np.ndarray)


def test_what_a_consumer_holds_stays_what_it_was(storage: Path) -> None:
    held: list[tuple[np.ndarray, np.ndarray]] = []
    one = loader(storage, prefetch=3)
    for _ in range(2):
        for number, batch in enumerate(one):
            kept = batch["image"] if number % 2 else batch["image"][1:3, ::2, 3:]
            del batch  # of every other batch only a view is left
            held.append((kept, kept.copy()))
    assert len(held) == 22
    assert all(np.array_equal(kept, copy) for kept, copy in held)


def test_torch_tensors_hold_their_memory_too(storage: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    held = [(batch["image"][2:], batch["image"][2:].clone()) for batch in loader(storage, tensors=True)]
    assert all(torch.equal(view, copy) for view, copy in held)


def test_memory_is_used_again_once_nobody_holds_it(storage: Path) -> None:
    one, addresses = loader(storage, prefetch=1), set()
    for _ in range(3):
        for batch in one:
            if len(batch["image"]) == 8:
                addresses.add(batch["image"].ctypes.data)
            del batch
    assert len(addresses) <= 2, "the one that is handed out, and the one that is prepared"
    kept = [batch["image"] for batch in one]
    assert len({image.ctypes.data for image in kept}) == len(kept)


def test_what_is_read_ahead_is_bounded(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    read_into = FieldSource.read_into
    monkeypatch.setattr(FieldSource, "read_into", lambda self, *args: (read.append(args[0]), read_into(self, *args))[1])
    batches = iter(loader(storage, prefetch=2))
    for taken in range(1, 4):
        next(batches)
        time.sleep(0.1)
        assert len(read) <= 8 * (taken + 2)
    batches.close()  # type: ignore[attr-defined]


def test_a_loader_resumes_in_the_middle_of_an_epoch(storage: Path) -> None:
    transform = Compose(Crop(8), Flip())
    whole = loader(storage, seed=3, transform=transform)
    whole.set_epoch(2)
    everything = [(batch["field_id"], batch["image"].copy()) for batch in whole]
    begun = loader(storage, seed=3, transform=transform)
    begun.set_epoch(2)
    read = iter(begun)
    for _ in range(4):
        next(read)
    state = json.loads(json.dumps(begun.state_dict()))
    resumed = loader(storage, seed=3, threads=1, prefetch=0, transform=transform)
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert names(rest) == [field_ids for field_ids, _ in everything[4:]]
    assert all(np.array_equal(batch["image"], image) for batch, (_, image) in zip(rest, everything[4:], strict=True))
    assert resumed.state_dict()["epoch"] == 3
    assert names(resumed) != names(whole)[:0]
    with pytest.raises(ConfigurationError, match="another order: fields"):
        loader(storage, fields().head(40), seed=3).load_state_dict(state)


def test_what_is_drawn_depends_on_seed_epoch_and_field(storage: Path) -> None:
    def corners(one: FieldLoader) -> dict[str, tuple[int, int]]:
        ends = [(batch["field_id"], batch["transform"]) for batch in one]
        return {
            name: (int(y), int(x))
            for names_, drawn in ends
            for name, y, x in zip(names_, drawn["crop_y"], drawn["crop_x"], strict=True)
        }

    first, again, other = (loader(storage, seed=seed, transform=Crop(4)) for seed in (1, 1, 2))
    one, next_epoch = corners(first), corners(first)
    assert len(set(one.values())) > 30, "each field has its own"
    assert one == corners(again)
    assert one not in (next_epoch, corners(other))


def test_ranks_share_an_epoch(storage: Path) -> None:
    ranks = [list(loader(storage, rank=rank, world_size=2, seed=1)) for rank in (0, 1)]
    assert [len(batches) for batches in ranks] == [6, 6]
    together = [name for batches in ranks for name in flat(batches)]
    assert set(together) == set(fields()["field_id"])
    assert len(together) == 88


def test_sizes_labels_and_transforms_arrive_in_batches(storage: Path, pixels: dict[str, np.ndarray]) -> None:
    transform = Compose(ChannelOrder("subcell"), Crop(4), Flip())
    made = loader(storage, size=8, transform=transform, labels=[Labels.of(fields(), "condition")])
    for batch in made:
        assert batch["image"].shape[1:] == (4, 4, 4)
        assert batch["condition_label"].tolist() == [int(c == "untreated") for c in batch["condition"]]
        for place, field_id in enumerate(batch["field_id"]):
            condition, row = field_id.split("-")
            small = np.stack([area_average(plane, 8) for plane in pixels[condition][int(row)]])
            drawn = drawn_of(batch["transform"], place)
            whole = transform.inverse(batch["image"][place], drawn)
            y, x = int(drawn["crop_y"]), int(drawn["crop_x"])
            assert np.array_equal(whole[:, y : y + 4, x : x + 4], small[:, y : y + 4, x : x + 4])


@pytest.mark.parametrize("preset", PRESETS)
def test_what_any_order_of_channels_did_is_in_the_batch(
    storage: Path, pixels: dict[str, np.ndarray], preset: str
) -> None:
    order = ChannelOrder(preset)
    for transform in (order, Compose(order, Flip()), Compose(order, Normalize.fixed())):
        batch = next(iter(loader(storage, transform=transform, shuffle="none")))
        drawn = drawn_of(batch["transform"], 3)
        assert drawn["planes"].tolist() == list(order.indices)
        if len(order.indices) == len(CHANNELS):
            assert np.array_equal(transform.inverse(batch["image"][3], drawn), pixels["paclitaxel"][3])
    assert "transform" not in next(iter(loader(storage)))


def test_a_shard_that_goes_away_in_mid_epoch_ends_the_epoch_with_its_name(storage: Path) -> None:
    one = loader(storage, prefetch=1)
    batches = iter(one)
    next(batches)
    shard = storage / "untreated.zarr" / shard_key(1)
    aside = shard.rename(shard.with_name("aside"))
    with pytest.raises(TensorStoreError, match=r"untreated.zarr: the shard image/c/1/0/0/0 is missing. Materialize"):
        list(batches)
    aside.rename(shard)
    assert len(flat(one)) == 87, "the loader itself is as good as before"


def test_a_field_that_was_damaged_is_an_error_and_not_a_wrong_pixel(storage: Path) -> None:
    shard = storage / "paclitaxel.zarr" / shard_key(2)
    damaged = bytearray(shard.read_bytes())
    damaged[40] ^= 4
    shard.write_bytes(damaged)
    with pytest.raises(TensorStoreError, match=r"paclitaxel.zarr: field 32, channel 0: a chunk changed on disk"):
        list(loader(storage))


def _threads(before: set[threading.Thread], wanted: int) -> int:
    """Threads of loaders that were not there before, as soon as there are so many, or after a while."""
    deadline = time.monotonic() + 10
    while True:
        new = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("cm4ai-")]
        if len(new) == wanted or time.monotonic() > deadline:
            return len(new)
        time.sleep(0.01)


def test_a_second_pass_ends_the_first(storage: Path) -> None:
    one = loader(storage)
    first = iter(one)
    next(first)
    assert next(iter(one))["position"].tolist() == one.order.batches(1)[0].tolist()
    with pytest.raises(ConfigurationError, match="This pass is over: another one has begun since"):
        next(first)
    second = iter(one)
    next(second)
    one.close()
    with pytest.raises(ConfigurationError, match="or the loader was closed"):
        next(second)
    assert len(list(one)) == 11


def test_a_loader_that_was_used_can_be_pickled(storage: Path) -> None:
    one = loader(storage)
    passing = iter(one)
    next(passing)
    sent = pickle.dumps(one)
    other = pickle.loads(sent)
    other.load_state_dict(one.state_dict())
    assert names(other) == names(passing)
    assert len(pickle.dumps(one)) < len(sent) + 1000, "memory of batches stays here"


def test_an_epoch_that_is_broken_off_leaves_nothing_behind(storage: Path) -> None:
    before = set(threading.enumerate())
    one = loader(storage)
    for _ in one:
        break
    assert len(list(one)) == 11, "the next one is whole"
    assert _threads(before, 3) == 3
    one.close()
    assert _threads(before, 0) == 0
    assert len(list(one)) == 11, "and may be used again"
    del one
    gc.collect()
    assert _threads(before, 0) == 0


def _names(one: FieldLoader, answers: Any) -> None:
    answers.put(names(one))


def test_a_loader_that_was_used_works_in_a_forked_process(storage: Path) -> None:
    one = loader(storage)
    expected = names(one)
    one.set_epoch(0)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=_names, args=(one, answers))
    process.start()
    process.join(timeout=30)
    if process.exitcode is None:
        process.kill()
    assert process.exitcode == 0, "it hangs"
    assert answers.get() == expected


def test_a_loader_reads_from_elsewhere(storage: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.put(str(storage), "/loader", recursive=True)
    try:
        paths = {condition: f"/loader/{condition}.zarr" for condition in COUNTS}
        remote = FieldLoader(FieldSource(fields(), "memory://loader", paths), batch_size=8, tensors=False)
        assert remote.threads >= REMOTE_THREADS
        assert names(remote) == names(loader(storage))
    finally:
        fs.rm("/loader", recursive=True)


def _images(batches: Any) -> Iterator[np.ndarray]:
    for batch in batches:
        yield from np.asarray(batch["image"])


def test_the_order_drives_a_dataloader_with_workers(storage: Path, pixels: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    from cm4ai_assets.loading.dataset import FieldDataset  # noqa: PLC0415

    dataset = FieldDataset(source(storage, labels=[]))
    assert len(dataset.__getitems__([0, 86, -1])) == 3, "threads of this process, before any fork"
    order = dataset.order(8, seed=4)
    batches = torch.utils.data.DataLoader(
        dataset, batch_sampler=order, num_workers=2, multiprocessing_context="fork", timeout=60
    )
    found = list(batches)
    assert names(found) == names(loader(storage, seed=4))
    assert order.epoch == 1
    expected = [pixels[c][int(n)] for ids in names(found) for c, n in (field_id.split("-") for field_id in ids)]
    assert all(np.array_equal(image, own) for image, own in zip(_images(found), expected, strict=True))


def _read_by_workers_of_which_one_is_killed(dataset: Any, answers: Any) -> None:
    import torch  # noqa: PLC0415

    try:  # whenever torch's handler of the signal finds out
        batches = iter(torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=2))
        next(batches)
        os.kill(batches._workers[0].pid, signal.SIGKILL)  # type: ignore[attr-defined]
        list(batches)
        time.sleep(5)
    except Exception as error:  # noqa: BLE001 - the signal, a broken connection: whatever is noticed first
        answers.put(f"{type(error).__name__}: {error}")
    os._exit(0)


def test_a_worker_that_is_killed_is_an_error_and_not_a_hang(storage: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    from cm4ai_assets.loading.dataset import FieldDataset  # noqa: PLC0415

    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(
        target=_read_by_workers_of_which_one_is_killed, args=(FieldDataset(source(storage)), answers)
    )
    process.start()
    process.join(timeout=30)
    if process.exitcode is None:
        process.kill()
    assert process.exitcode == 0, "it hangs"
    assert "Error" in answers.get()


def test_an_error_in_a_worker_names_the_shard(storage: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    from cm4ai_assets.loading.dataset import FieldDataset  # noqa: PLC0415

    dataset = FieldDataset(source(storage))
    (storage / "untreated.zarr" / shard_key(0)).unlink()
    with pytest.raises(TensorStoreError, match=r"untreated.zarr: the shard image/c/0/0/0/0 is missing"):
        list(torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2, timeout=60))


def test_choices_that_cannot_be_loaded_are_refused(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(SelectionError, match="No field is left to load"):
        source(storage, fields().clear())
    rows = [("untreated", 0, "a", "x"), ("untreated", None, "b", None)]
    with pytest.raises(SelectionError, match=r"1 of 2 fields are in no tensor, such as b"):
        source(storage, pl.DataFrame(rows, fields().schema, orient="row"))
    with pytest.raises(SelectionError, match="no column tensor_index"):
        source(storage, fields().drop("tensor_index"))
    with pytest.raises(SelectionError, match="has the tensor index 50; the tensor has 37"):
        source(storage, fields().with_columns(condition=pl.lit("untreated"), tensor_index=pl.col("tensor_index") + 50))
    with pytest.raises(ConfigurationError, match="7 does not divide"):
        source(storage, size=7)
    other = tmp_path_factory.mktemp("other")
    written(other / "paclitaxel.zarr", noise(50, 16))
    written(other / "untreated.zarr", noise(37, 32))
    with pytest.raises(ConfigurationError, match=r"several sizes: paclitaxel 16, untreated 32. Say size=16"):
        source(other)
    assert source(other, size=16).shape == (4, 16, 16)
    with pytest.raises(TensorStoreError, match="is not a complete tensor store"):
        ShardReader(str(other), str(other / "nothing.zarr"))


def test_page_locked_memory_is_torchs_own(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU nothing can be page-locked: seen is that it is asked for, and that the tensor itself is filled."""
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    asked: list[bool] = []
    empty = torch.empty

    def recorded(*args: Any, pin_memory: bool = False, **settings: Any) -> Any:
        asked.append(pin_memory)
        return empty(*args, **settings)

    assert not loader(storage, tensors=True, pin_memory=True)._pinned or torch.cuda.is_available()
    monkeypatch.setattr(loading, "_has_cuda", lambda: True)
    one = loader(storage, tensors=True, pin_memory=True)
    monkeypatch.setattr(torch, "empty", recorded)
    images = list(_images(one))
    assert asked == [True] * 11
    assert np.array_equal(np.stack(images), np.stack(list(_images(loader(storage)))))
