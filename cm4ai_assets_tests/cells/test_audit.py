"""The blocking check: a table that is not its labels is seen, whatever is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.cells import audit
from cm4ai_assets.cells.audit import audit_cells
from cm4ai_assets.cells.products import Product, product_of
from cm4ai_assets.storage.nuclei import FIELDS_FILE
from cm4ai_assets.storage.shard_names import NUCLEI
from cm4ai_assets_tests.cells.conftest import CONDITION, RELEASE, Room

Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture(scope="module")
def made(shared_room: Room) -> tuple[Product, pl.DataFrame, pl.DataFrame]:
    with product_of(shared_room.store, shared_room.tensor, first_published_in={}) as product:
        return product, product.table(shared_room.fields, release=RELEASE, condition=CONDITION), shared_room.fields


def test_a_table_of_labels_that_are_made_now_passes_and_all_of_them_are_counted(
    bare_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, count = [], audit._field_problem
    monkeypatch.setattr(audit, "_field_problem", lambda *one: counted.append(1) or count(*one))
    with product_of(bare_room.store, bare_room.tensor, first_published_in={}) as product:
        table = product.table(bare_room.fields, release=RELEASE, condition=CONDITION)
        report = audit_cells(product, table, bare_room.fields)
    assert report.passed, report.summary
    assert report.nuclei == table.height
    assert "labels of 18 fields read again" in report.summary
    assert len(counted) == 18


def test_labels_that_are_what_was_audited_are_not_counted_again(
    made: tuple[Product, pl.DataFrame, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(audit, "_field_problem")
    report = audit_cells(*made)
    assert report.passed, report.summary
    assert "18 fields have the digests of those that were audited" in report.summary


@pytest.mark.parametrize("what", ["a shard", "a file more", "the record of digests"])
def test_of_others_all_is_counted_again(room: Room, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with product_of(room.store, room.tensor, first_published_in={}) as product:
        folder, path = Path(product.store_path), product.path
        assert product.as_audited
    shard = folder / NUCLEI.key(0)
    if what == "a shard":
        shard.write_bytes(shard.read_bytes()[:-1] + b"x")  # the index of its chunks; the record states the size alone
    elif what == "a file more":
        (folder / "foreign").write_bytes(b"x")
    else:
        room.store.digests.forget(path)
    counted: list[int] = []
    monkeypatch.setattr(audit, "_field_problem", lambda *_: counted.append(1))
    with product_of(room.store, room.tensor, first_published_in={}) as product:
        assert not product.as_audited
        table = product.table(room.fields, release=RELEASE, condition=CONDITION)
        if what == "a shard":
            with pytest.raises(Exception, match=r"(?i)checksum|crc32c|damaged"):
                audit_cells(product, table, room.fields)
        else:
            assert audit_cells(product, table, room.fields).passed
            assert len(counted) == 18


def _with(place: int, column: str, change: Callable[[pl.Expr], pl.Expr]) -> Change:
    where = pl.int_range(pl.len()) == place
    return lambda cells: cells.with_columns(
        pl.when(where).then(change(pl.col(column))).otherwise(pl.col(column)).cast(cells.schema[column]).alias(column)
    )


WRONG: dict[str, tuple[Change, str]] = {
    "a row is missing": (lambda cells: cells.slice(1), r"nuclei without a row \[1\]"),
    "a row is of no nucleus": (_with(3, "cell", lambda _: pl.lit(99)), r"rows without a nucleus \[99\]"),
    "an area is another": (_with(2, "area", lambda area: area + 1), "nucleus 3 has"),
    "a box is shifted": (_with(1, "y0", lambda y0: y0 - 1), "box of nucleus 2"),
    "a box is cut": (_with(1, "x1", lambda x1: x1 - 2), "box of nucleus 2"),
    "a field has another name": (_with(0, "field_id", lambda _: pl.lit("B2AI_1_paclitaxel_A2_R1_z01")), "name a field"),
    "fields are shifted": (_with(0, "tensor_index", lambda index: index + 1), "name a field"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(made: tuple[Product, pl.DataFrame, pl.DataFrame], name: str) -> None:
    product, cells, fields = made
    change, message = WRONG[name]
    report = audit_cells(product, change(cells), fields)
    assert not report.passed
    assert re.search(message, report.summary), report.summary


def test_labels_of_another_number_of_fields(made: tuple[Product, pl.DataFrame, pl.DataFrame]) -> None:
    product, cells, fields = made
    fewer = fields.with_columns(
        pl.when(pl.col("tensor_index") == 17).then(None).otherwise(pl.col("tensor_index")).alias("tensor_index")
    )
    assert "if_fields has 17" in audit_cells(product, cells.filter(pl.col("tensor_index") < 17), fewer).summary


def test_labels_that_are_not_those_that_were_made(bare_room: Room) -> None:
    with product_of(bare_room.store, bare_room.tensor, first_published_in={}) as product:
        table = product.table(bare_room.fields, release=RELEASE, condition=CONDITION)
        path = Path(product.store_path) / FIELDS_FILE
        stated = pl.read_parquet(path)
        stated.with_columns(pl.col("labels_sha256").shift(1, fill_value="0" * 64)).write_parquet(path)
        assert "other labels than were made" in audit_cells(product, table, bare_room.fields).summary
