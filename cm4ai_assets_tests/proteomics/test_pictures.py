"""Pictures: small enough for the event log, readable, and showing what they are told."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.conditions import Condition
from cm4ai_assets.drawing import LIMIT
from cm4ai_assets.proteomics import pictures
from cm4ai_assets.proteomics.correlation import PairCorrelation, pairs_of
from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.names import Sample
from cm4ai_assets.proteomics.secms import Reading, read_condition
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets_tests.proteomics.helpers import zipped


@pytest.fixture(scope="module")
def reading() -> Reading:
    archives = [
        zipped("cm4ai_mass-spec_MDA-MB-468.zip", sandbox.mda_reports(groups=60)),
        zipped("cm4ai_mass-spec_KOLF2.zip", sandbox.kolf2_reports(groups=60)),
    ]
    return read_condition(archives, Condition.UNTREATED)


def opened(data: bytes) -> Image.Image:
    assert len(data) <= LIMIT
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "PNG"
    return picture.convert("RGB")


def test_pictures_are_small(reading: Reading) -> None:
    for data in (
        pictures.heat_map(reading.replicates),
        pictures.correlation_matrix(pairs_of(reading.replicates)),
        pictures.window_chart(reading.proteins),
    ):
        assert min(opened(data).size) > 200


def test_even_noise_fits() -> None:
    rng = np.random.default_rng(0)
    groups = pl.DataFrame({"protein_group": [f"P{n}" for n in range(3000)], "occurrence": [0] * 3000})
    noise = [
        Elution(f"noise_{n}", Sample(), groups, np.arange(7, 79, dtype=np.int16), (None,) * 72,
                rng.lognormal(0, 3, (3000, 72)), None, "protein_group_quantity")
        for n in range(4)
    ]  # fmt: skip
    opened(pictures.heat_map(noise))


def test_the_heat_map_shows_the_window_and_the_peak() -> None:
    quantities = np.full((5, 10), np.nan)
    quantities[:, 4] = 100.0
    groups = pl.DataFrame({"protein_group": list("abcde"), "occurrence": [0] * 5})
    early = Elution("early", Sample(), groups, np.arange(10, 20, dtype=np.int16), (None,) * 10, quantities, None, "x")
    late = Elution("late", Sample(), groups, np.arange(20, 30, dtype=np.int16), (None,) * 10, quantities, None, "x")
    picture = np.asarray(opened(pictures.heat_map([early, late], height=100, width=200)), np.int16)
    row = picture[30 + 50, 56 : 56 + 200]
    grey = np.abs(row - 0xDD).max(axis=1) < 12
    assert not grey[:100].any()  # measured from F10 to F19
    assert grey[100:].all()  # of F20 to F29 nothing is known
    brightest = row[:, 1].argmax() // 10 + 10
    assert brightest in {13, 14, 15}


def test_at_most_four_replicates_are_drawn(reading: Reading) -> None:
    four, all_of_them = (opened(pictures.heat_map(r)) for r in (reading.replicates[:4], reading.replicates))
    assert four.size == all_of_them.size


def test_replicates_of_the_same_cells_go_together(reading: Reading) -> None:
    families = pictures.families(reading.replicates)
    assert {label: len(members) for label, members in families.items()} == {
        "MDA-MB-468 cancer untreated": 3, "KOLF2.1J ipsc untreated": 4, "KOLF2.1J npc untreated": 2,
        "KOLF2.1J neuron untreated": 3, "KOLF2.1J cardiomyocyte untreated": 2,
    }  # fmt: skip


def test_nothing_to_show_is_said() -> None:
    empty = pl.DataFrame(
        schema={"replicate_id": pl.String, "first_fraction": pl.Int16, "last_fraction": pl.Int16,
                "measured_fractions": pl.Int16, "quantity_kind": pl.String}
    )  # fmt: skip
    for data in (pictures.heat_map([]), pictures.correlation_matrix([]), pictures.window_chart(empty)):
        assert opened(data).size == (320, 60)


def test_an_uncorrelated_pair_is_drawn() -> None:
    pairs = [PairCorrelation("a", "b", 2, 3, None, None, None, 0, None),
             PairCorrelation("a", "c", 50, 70, -0.4, -0.5, 0.1, 2, 0.9)]  # fmt: skip
    assert opened(pictures.correlation_matrix(pairs)).width > 100
