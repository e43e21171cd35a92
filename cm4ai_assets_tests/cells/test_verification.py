"""Stores of nuclei are known to `cm4ai verify`, scrubbing and `cm4ai withdraw`."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.errors import NotDamagedError
from cm4ai_assets.references import Kind, references
from cm4ai_assets.storage.nuclei import CELLS_FILE, NUCLEI
from cm4ai_assets.verification import check, scrub
from cm4ai_assets.withdrawal import withdraw
from cm4ai_assets_tests.cells.conftest import PARTITION, RELEASE, Room


def _problems(room: Room) -> tuple[str, ...]:
    found = [one for one in references(room.store, RELEASE) if one.kind is Kind.NUCLEI]
    assert len(found) == 1
    return check(room.store, found[0]).problems


def _address(room: Room) -> Path:
    found = next(one for one in references(room.store, RELEASE) if one.kind is Kind.NUCLEI)
    return Path(room.store.address(found.path))


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_whole_store_passes_and_is_scrubbed(room: Room) -> None:
    assert _problems(room) == ()
    assert any(one.what.startswith("nuclei tensors/if_cells/") for one in scrub(room.store, budget=10**9))
    with pytest.raises(NotDamagedError):
        withdraw(room.store, str(_address(room).relative_to(room.store.root)))


def test_a_flipped_bit_is_seen_named_with_its_remedy_and_can_be_withdrawn(room: Room) -> None:
    _flip(_address(room) / NUCLEI.key(0), 40)
    found = _problems(room)
    assert "cm4ai withdraw tensors/if_cells/" in found[0]
    assert "materialize if_cells again" in found[0]
    path = _address(room)
    withdraw(room.store, str(path.relative_to(room.store.root)))
    assert not path.exists()


def test_without_recorded_digests_chunks_and_rows_still_speak(room: Room) -> None:
    path = str(_address(room).relative_to(room.store.root))
    room.store.digests.forget(path)
    assert _problems(room) == ()
    _flip(_address(room) / NUCLEI.key(0), 40)
    assert any("field 0" in one for one in _problems(room))


def test_a_missing_shard_is_seen(room: Room) -> None:
    (_address(room) / NUCLEI.key(1)).unlink()
    assert _problems(room)


def test_a_table_of_other_nuclei_is_seen(room: Room) -> None:
    cells = room.store.table("if_cells", PARTITION).collect()
    room.publish("if_cells", cells.with_columns((pl.col("ring_area") + 1).alias("ring_area")))
    assert any("if_cells names other nuclei" in one for one in _problems(room))
    assert (_address(room) / CELLS_FILE).exists()


def test_a_table_without_rows_still_leads_to_its_store(room: Room) -> None:
    path = _address(room)
    room.publish("if_cells", room.store.table("if_cells", PARTITION).collect().clear())
    assert _address(room) == path
    assert any("if_cells names other nuclei" in one for one in _problems(room))
