"""The cells of an h5ad as rows: every column, every defect planted, and what a bad file is called."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.perturbseq import cell_findings as findings
from cm4ai_assets.perturbseq.cells import CellsRead, MissingColumnsError, read_cells
from cm4ai_assets.perturbseq.channels import WITHOUT_COUNTS, channel_of
from cm4ai_assets.perturbseq.guides import read_library
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adDamagedError, H5adEncodingError
from cm4ai_assets.perturbseq.overview import merged, overview_of
from cm4ai_assets.sandbox.h5ad import h5ad
from cm4ai_assets.sandbox.perturbseq import CHANNELS, Experiment, guide_library
from cm4ai_assets.tables.screen import CELL_DEFECTS, PERTURB_CELLS

EXPERIMENT = Experiment(cells=1500, genes=60, targets=10)
RELEASE = "2026-06-v2.0"


@pytest.fixture(scope="module")
def published() -> bytes:
    return h5ad(EXPERIMENT)


@pytest.fixture(scope="module")
def guides() -> pl.Series:
    return read_library(guide_library(EXPERIMENT), "guides.csv").rows["guide"]


def read(data: bytes, guides: pl.Series | None = None, *, rows: int = 700) -> tuple[pl.DataFrame, CellsRead]:
    found = CellsRead()
    with H5ad(io.BytesIO(data), label="cells.h5ad") as file:
        frame = pl.concat(read_cells(file, found, guides=guides, rows=rows))
    return PERTURB_CELLS.place(frame, release=RELEASE), found


def with_column(data: bytes, name: str, values: Any, *, first: bool = False) -> bytes:
    """The file with a column replaced by plain values; with `first`, only the first cell's value is another."""
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        obs = file["obs"]
        if first:
            with H5ad(io.BytesIO(data)) as read_only:
                old = read_only.obs.read([name])[name].to_list()
            values = [values, *old[1:]]
        if name in obs:
            del obs[name]
        is_text = isinstance(values[0], str)
        obs.create_dataset(name, data=values, dtype=h5py.string_dtype() if is_text else None)
        order = list(obs.attrs["column-order"])
        obs.attrs["column-order"] = order if name in order or name == obs.attrs["_index"] else [*order, name]
    return buffer.getvalue()


def without(data: bytes, *names: str) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        for name in names:
            del file["obs"][name]
        file["obs"].attrs["column-order"] = [n for n in file["obs"].attrs["column-order"] if n not in names]
    return buffer.getvalue()


def checks(frame: pl.DataFrame, *, has_library: bool = True) -> dict[str, Any]:
    cells, overview = frame.lazy(), overview_of(frame.lazy())
    finding = [
        findings.cells_unique(cells),
        findings.guides_called(cells),
        findings.guides_known(cells, has_library=has_library),
        findings.targets_known(cells, overview),
        findings.controls_present(cells, overview),
        findings.channels_known(cells, overview),
        findings.counts_plausible(cells),
        findings.columns_known(cells),
    ]
    return {one.check: one for one in finding}


def test_a_good_file_gives_every_cell_typed(published: bytes, guides: pl.Series) -> None:
    frame, found = read(published, guides)
    assert PERTURB_CELLS.violations(frame) == []
    assert PERTURB_CELLS.violations_in(frame.slice(start, 700) for start in (0, 700, 1400)) == []
    assert frame["row"].to_list() == list(range(1500))
    assert (found.rows, found.stated, found.missing, found.unknown, found.unreadable) == (1500, 1500, [], [], {})
    assert frame["defects"].list.len().sum() == 0
    expected = [EXPERIMENT.guides[number].reindexed for number in EXPERIMENT.guide_of_cell]
    assert frame["guides"].list.first().to_list() == expected
    several = frame.filter(pl.col("guides").list.len() > 1)
    assert several.height == (EXPERIMENT.second_guide_of_cell >= 0).sum() > 0
    assert several["published_guides"].str.contains("|", literal=True).all()
    assert several["guide_umis"].list.len().to_list() == [2] * several.height
    controls = frame.filter("is_control")
    assert controls["targets"].list.first().unique().to_list() == ["NTC"]
    assert (controls["is_perturbed"] == False).all()  # noqa: E712
    assert frame["published_channel"].to_list() == [CHANNELS[number] for number in EXPERIMENT.channel_of_cell]
    assert frame["gem_channel"].equals(frame["published_channel"].alias("gem_channel"))
    np.testing.assert_allclose(frame["umi_count"], np.concatenate(list(EXPERIMENT.by_cells())).sum(axis=1))
    assert all(one.passed for one in checks(frame).values())


def test_stretches_do_not_change_what_is_read(published: bytes, guides: pl.Series) -> None:
    one, of_one = read(published, guides, rows=10_000)
    many, of_many = read(published, guides, rows=64)
    assert one.equals(many)
    assert merged(of_many.overviews).channels.equals(merged(of_one.overviews).channels)
    whole = overview_of(one.lazy())
    assert merged(of_many.overviews).targets.equals(whole.targets)
    assert merged(of_many.overviews).guides.equals(whole.guides)


PLANTED: dict[str, tuple[str, Any, str]] = {
    "bad_barcode": ("cell_barcode", "cell 1", "cells_unique"),
    "no_guide": ("gRNA", "_None", "guides_called"),
    "bad_guide": ("gRNA", "SYN00001", "guides_called"),
    "unknown_guide": ("gRNA", "SYN00001_9", "guides_known"),
    "guide_count_disagrees": ("n_gRNA", 3, "guides_called"),
    "umis_disagree": ("n_gRNA_UMIs", "3|4|5", "guides_called"),
    "no_target": ("gene_target", "", "targets_known"),
    "target_disagrees": ("gene_target", "SYN00009", "targets_known"),
    "perturbed_disagrees": ("perturbed", "maybe", "controls_present"),
    "unknown_channel": ("channel", "DELTA-1", "channels_known"),
    "batch_disagrees": ("batch", "DELTA", "channels_known"),
    "bad_count": ("n_UMI_counts", float("nan"), "counts_plausible"),
    "more_genes_than_counts": ("n_genes", 10**6, "counts_plausible"),
}


@pytest.mark.parametrize("defect", [defect for defect in CELL_DEFECTS if defect != "duplicate_cell"])
def test_each_defect_is_flagged_and_reaches_its_check(published: bytes, guides: pl.Series, defect: str) -> None:
    column, value, check = PLANTED[defect]
    frame, found = read(with_column(published, column, value, first=True), guides)
    assert defect in frame["defects"][0]
    assert frame["defects"][1:].list.len().sum() == 0
    assert found.defects[defect] == 1
    finding = checks(frame)[check]
    assert not finding.passed
    assert finding.counts[defect] == 1
    assert finding.rows["row"].to_list() == [0]
    assert PERTURB_CELLS.violations(frame) == []


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
def test_impossible_counts_are_flagged(published: bytes, value: float) -> None:
    frame, _ = read(with_column(published, "total_counts", value, first=True))
    assert frame["defects"][0].to_list() == ["bad_count"]


def test_a_cell_that_stands_twice_is_flagged_twice_over_stretches(published: bytes) -> None:
    with H5ad(io.BytesIO(published)) as file:
        names = file.obs.index().to_list()
    frame, found = read(with_column(published, "cell_barcode", [*names[:-1], names[0]]), rows=100)
    assert frame.filter(pl.col("defects").list.contains("duplicate_cell"))["row"].to_list() == [0, 1499]
    assert not checks(frame, has_library=False)["cells_unique"].passed
    assert found.defects["duplicate_cell"] == 2


def test_guides_in_any_published_form_are_one_guide(published: bytes, guides: pl.Series) -> None:
    frame, _ = read(with_column(published, "gRNA", "SYN00001-2", first=True), guides)
    assert frame["guides"][0].to_list() == ["SYN00001_2"]
    assert "unknown_guide" not in frame["defects"][0]
    frame, _ = read(with_column(published, "gRNA", "SY-N00010_1|Non-Targeting-3", first=True), guides)
    assert frame["guides"][0].to_list() == ["SY-N00010_1", "Non-Targeting_3"]
    assert frame["targets"][0].to_list() == ["SY-N00010", "NTC"]
    assert frame["is_control"][0] is False


@pytest.mark.parametrize("text", ["None", "_None", ""])
def test_a_cell_without_a_call_has_no_guides(published: bytes, text: str) -> None:
    data = with_column(published, "gRNA", text, first=True)
    data = with_column(data, "n_gRNA_UMIs", "-1", first=True)
    frame, _ = read(with_column(data, "n_gRNA", 0, first=True))
    assert frame.select("guides", "targets", "is_control", "guide_umis").row(0) == (None, None, None, None)
    assert frame["defects"][0].to_list() == ["no_guide"]
    assert frame["published_guides"][0] == text


def test_without_a_library_nothing_is_called_known(published: bytes) -> None:
    frame, found = read(published)
    assert not found.has_library
    finding = checks(frame, has_library=False)["guides_known"]
    assert not finding.passed
    assert "could not be held against a library" in finding.summary


@pytest.mark.parametrize("column", ["gRNA", "gene_target"])
def test_without_guides_or_targets_it_is_no_screen(published: bytes, column: str) -> None:
    with pytest.raises(MissingColumnsError, match=rf"cells\.h5ad has no column {column} in obs"):
        read(without(published, column))


def test_missing_columns_are_null_and_told(published: bytes) -> None:
    frame, found = read(without(published, "channel", "batch", "n_gRNA_UMIs", "target_knockdown"))
    assert found.missing == ["batch", "channel", "target_knockdown", "n_gRNA_UMIs"]
    assert (
        frame.select("gem_channel", "chip", "batch", "guide_umis", "target_knockdown").null_count().row(0)
        == (1500,) * 5
    )
    finding = checks(frame, has_library=False)
    assert "Without a value: batch, channel, target_knockdown." in finding["columns_known"].summary
    assert not finding["columns_known"].passed
    assert "1,500 cells name no channel." in finding["channels_known"].summary


def test_columns_that_no_rule_knows_are_kept_as_text(published: bytes) -> None:
    data = with_column(published, "leiden", ["7"] * 1500)
    frame, found = read(with_column(data, "S_score", np.full(1500, 0.25, np.float32)))
    assert found.unknown == ["leiden", "S_score"]
    assert frame["others"][0].to_list() == [{"name": "leiden", "value": "7"}, {"name": "S_score", "value": "0.25"}]
    finding = checks(frame, has_library=False)["columns_known"]
    assert finding.passed
    assert finding.rows["name"].to_list() == ["S_score", "leiden"]


def test_a_column_that_cannot_be_read_is_told_and_spoils_no_other(published: bytes) -> None:
    frame, found = read(with_column(published, "phase", np.zeros((1500, 2))))
    assert list(found.unreadable) == ["phase"]
    assert frame["others"][0].to_list() == [{"name": "phase", "value": None}]
    finding = checks(frame, has_library=False)["columns_known"]
    assert not finding.passed
    assert "nothing could be read: phase" in finding.summary
    with pytest.raises(H5adEncodingError, match="gRNA has 2 dimensions"):
        read(with_column(published, "gRNA", np.zeros((1500, 2))))


def test_damage_in_any_column_is_no_missing_value(published: bytes) -> None:
    buffer = io.BytesIO(published)
    with h5py.File(buffer, "r+") as file:
        file["obs/treatment/codes"][3] = 9
    with pytest.raises(H5adDamagedError, match="treatment refers to categories that are not there"):
        read(buffer.getvalue())


def test_channels_that_are_absent_are_told_and_the_known_six_are_no_fault(published: bytes) -> None:
    assert {channel_of(name) for name in CHANNELS} & WITHOUT_COUNTS == set()
    assert len(CHANNELS) == 90
    frame, _ = read(published)
    finding = checks(frame, has_library=False)["channels_known"]
    assert finding.passed
    assert "90 channels have cells; of those without, 6 are known to be absent." in finding.summary
    fewer = frame.filter(pl.col("gem_channel") != "ALPHA-Chip-1-Channel-5")
    finding = checks(fewer, has_library=False)["channels_known"]
    assert not finding.passed
    assert "Absent besides: ALPHA-Chip-1-Channel-5." in finding.summary


def test_a_batch_without_controls_is_told(published: bytes) -> None:
    frame, _ = read(published)
    finding = checks(frame.filter(~(pl.col("is_control") & (pl.col("batch") == "BETA"))), has_library=False)
    assert not finding["controls_present"].passed
    assert finding["controls_present"].rows["batch"].to_list() == ["BETA"]


def test_lost_cells_block() -> None:
    assert findings.cells_kept(CellsRead(rows=5, stated=5)).passed
    assert not findings.cells_kept(CellsRead(rows=4, stated=5)).passed
    assert not findings.cells_kept(CellsRead()).passed


@pytest.mark.parametrize(
    "name", ["KOLF2-ALPHA-GEX-Chip-2-Channel-16", "alpha_Chip-2-Channel-16", "ALPHA-Chip-2-Channel-16"]
)
def test_channels_are_known_in_every_published_form(name: str) -> None:
    assert str(channel_of(name)) == "ALPHA-Chip-2-Channel-16"


@pytest.mark.parametrize("name", ["", "1", "ALPHA", "DELTA-Chip-1-Channel-1", "ALPHA-Chip-1-Channel-1-x"])
def test_other_names_are_no_channel(name: str) -> None:
    assert channel_of(name) is None
