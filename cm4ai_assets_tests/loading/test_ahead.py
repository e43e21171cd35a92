"""Shards are read ahead in the order in which they are needed, each once, and not too early."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.loading import reader as reading
from cm4ai_assets.loading.loader import FieldLoader
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.storage.shard_names import shard_key
from cm4ai_assets_tests.loading.stores import noise, written

FIELDS = 16 * 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ahead") / "x.zarr", noise(FIELDS, 8))


def loader(store: Path, **settings: Any) -> FieldLoader:
    rows = [("untreated", number, str(number), "") for number in range(FIELDS)]
    frame = pl.DataFrame(rows, ["condition", "tensor_index", "field_id", "antibody_id"], orient="row")
    source = FieldSource(frame, str(store), {"untreated": str(store)})
    return FieldLoader(source, **{"batch_size": 16, "window": 4, "tensors": False, "prefetch": 0, **settings})


def test_each_shard_is_read_ahead_once_half_a_window_before_it_is_needed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[int] = []
    monkeypatch.setattr(ShardReader, "read_ahead", lambda _, index: ahead.append(index // 16))
    one = loader(store)
    windows = [one.source.shards[one.order.positions()][first : first + 64] for first in (0, 64, 128)]
    for number, _ in enumerate(one):
        needed = {int(shard) for window in windows[: 1 + number // 4] for shard in window}
        coming = {int(shard) for window in windows[: 1 + (number + 2) // 4] for shard in window}
        deadline = time.monotonic() + 10
        while not needed <= set(ahead) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert needed <= set(ahead) <= coming
    assert sorted(ahead) == list(range(12))


@pytest.mark.parametrize("shuffle", ["full", "none"])
def test_only_the_shuffle_by_shards_is_read_ahead(store: Path, monkeypatch: pytest.MonkeyPatch, shuffle: str) -> None:
    ahead: list[int] = []
    monkeypatch.setattr(ShardReader, "read_ahead", lambda _, index: ahead.append(index))
    assert len(list(loader(store, shuffle=shuffle))) == 12
    assert not ahead


@pytest.mark.skipif(not reading._CAN_TELL, reason="the system does not say what is in its page cache")
@pytest.mark.parametrize("cached", [True, False])
def test_a_shard_is_read_in_order_if_it_is_not_in_the_page_cache(
    store: Path, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    offsets: list[int] = []
    preadv = os.preadv

    def recorded(descriptor: int, memory: Any, offset: int, flags: int = 0) -> int:
        if flags:
            if not cached:
                raise BlockingIOError
            return 1
        offsets.append(offset)
        return preadv(descriptor, memory, offset)

    monkeypatch.setattr(os, "preadv", recorded)
    monkeypatch.setattr(reading, "_AHEAD", 1000)
    one = ShardReader(str(store), str(store))
    one.read_ahead(40)
    size = (store / shard_key(2)).stat().st_size
    assert offsets == ([] if cached else list(range(0, size, 1000)))


def test_what_is_missing_is_left_for_the_read_to_report(store: Path) -> None:
    one = ShardReader(str(store), str(store))
    shard = store / shard_key(2)
    aside = shard.rename(shard.with_name("aside"))
    one.read_ahead(40)
    aside.rename(shard)
    one.read_ahead(40)
