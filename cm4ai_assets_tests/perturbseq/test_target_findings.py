"""What the checks of perturbed genes say: sound ones pass, and each fault is found by its own check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.perturbseq import target_findings as findings
from cm4ai_assets.perturbseq.profiles import Product, audit, table_of
from cm4ai_assets.perturbseq.target_pictures import cells_per_target, waterfall
from cm4ai_assets.storage.profiles import ProfilesRecord
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets_tests.perturbseq.files import made


@pytest.fixture
def product(csc: Path, tmp_path: Path) -> Product:
    record = made(csc, tmp_path)
    local = fsspec.filesystem("file")
    return Product(local, str(tmp_path / "store"), "tensors/x.zarr", record, made=True, publish=lambda: None)


@pytest.fixture
def rows(product: Product) -> pl.DataFrame:
    return table_of(product, source="cells.h5ad", licence="CC BY 4.0")


def _with(rows: pl.DataFrame, target: str, **values: object) -> pl.DataFrame:
    chosen = pl.col("target") == target
    return rows.with_columns(
        pl.when(chosen).then(pl.lit(value, rows.schema[name])).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )


def test_sound_targets_pass(product: Product, rows: pl.DataFrame) -> None:
    assert not PERTURB_TARGETS.violations(PERTURB_TARGETS.place(rows, release="2026-06-v2.0"))
    assert findings.counts_evident(product.record).passed
    sound = rows.with_columns(pl.lit([], pl.List(pl.String)).alias("flags"))
    sound = _with(sound, "NTC", n_cells=500)
    for check in findings.OF_ROWS:
        assert check(sound).passed, check(sound).summary


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells_of_other_depth": 3, "depths_from": "the matrix itself, not obs/total_counts"}, "3 of 500 cells"),
        ({"depths_from": "the matrix itself"}, "nothing confirms them"),
        ({"unsorted": 2}, "2 lines of the matrix are not sorted"),
    ],
)
def test_counts_that_nothing_confirms_are_named(product: Product, change: dict[str, object], words: str) -> None:
    found = findings.counts_evident(replace(product.record, **change))  # type: ignore[arg-type]
    assert not found.passed
    assert words in found.summary


def test_cells_in_no_profile_are_counted(product: Product) -> None:
    clean = replace(product.record, cells_of_several_targets=0, cells_without_target=0)
    assert findings.cells_placed(clean).passed
    for one in ({"cells_of_several_targets": 1}, {"cells_without_target": 1}):
        assert not findings.cells_placed(replace(clean, **one)).passed


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (findings.targets_have_cells, {"flags": ["no_cells"], "n_cells": 0}),
        (findings.targets_have_cells, {"flags": ["few_cells"]}),
        (findings.controls_enough, {"flags": ["batch_without_controls"]}),
        (findings.own_genes_measured, {"flags": ["not_measured"]}),
        (findings.own_genes_measured, {"flags": ["not_expressed"]}),
        (findings.targets_knocked_down, {"knockdown": 0.1, "knockdown_low": 0.0, "knockdown_high": 0.29}),
        (findings.guides_agree, {"guide_agreement": -0.1, "n_responding": 2}),
    ],
)
def test_each_fault_is_found(rows: pl.DataFrame, check: findings.RowCheck, change: dict[str, object]) -> None:
    sound = _with(rows.with_columns(pl.lit([], pl.List(pl.String)).alias("flags")), "NTC", n_cells=500)
    assert check(sound).passed
    found = check(_with(sound, "SYN00001", **change))
    assert not found.passed
    assert found.rows["target"].to_list() == (["NTC"] if check is findings.controls_enough else ["SYN00001"])


def test_an_interval_that_reaches_the_threshold_is_no_failure(rows: pl.DataFrame) -> None:
    unsure = _with(rows, "SYN00001", knockdown=0.1, knockdown_low=0.0, knockdown_high=0.31)
    assert findings.targets_knocked_down(unsure).passed


def test_few_controls_are_named(rows: pl.DataFrame) -> None:
    assert not findings.controls_enough(_with(rows, "NTC", n_cells=99)).passed


def test_targets_of_the_library_without_cells_are_listed(rows: pl.DataFrame) -> None:
    library = pl.DataFrame({"symbol": ["SYN00001", "ABSENT", None], "is_control": [False, False, True]})
    found = findings.library_covered(rows, library)
    assert (found.passed, found.rows["target"].to_list()) == (False, ["ABSENT"])
    assert findings.library_covered(rows, library.head(1)).passed
    assert not findings.library_covered(rows, None).passed


def test_profiles_that_are_not_the_tables_are_refused(product: Product, rows: pl.DataFrame) -> None:
    assert audit(product, rows) == []
    swapped = _with(_with(rows, "SYN00001", n_counts=7), "SYN00002", n_counts=8)
    assert audit(product, swapped) == [
        "the profile of SYN00001 does not have its counts",
        "the profile of SYN00002 does not have its counts",
    ]
    shifted = rows.with_columns(pl.col("tensor_index") + 1)
    assert audit(product, shifted) == ["the rows of the table are not those of the profiles"]
    other = replace(product, record=replace(product.record, digest="0" * 64))
    assert audit(other, rows) == ["the profiles are not those that were computed"]
    chunk = Path(product.store_path) / "mean" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "cannot be read" in audit(product, rows)[0]
    chunk.unlink()
    assert "is missing or of another size" in audit(product, rows)[0]


def test_the_record_survives_its_own_json(product: Product) -> None:
    assert ProfilesRecord.from_json(product.record.to_json()) == product.record


def test_pictures_show_what_they_are_given(rows: pl.DataFrame) -> None:
    assert waterfall(rows) != waterfall(rows.with_columns(pl.col("knockdown") / 2))
    assert cells_per_target(rows) != cells_per_target(rows.with_columns(pl.col("n_cells") + pl.int_range(pl.len())))
    for drawn in (waterfall(rows), cells_per_target(rows), waterfall(rows.clear()), cells_per_target(rows.clear())):
        assert drawn.startswith(b"\x89PNG")
        assert len(drawn) <= 30_000
    assert np.isfinite(rows["knockdown"].drop_nulls().to_numpy()).all()
