"""Measures of fields: what stretching does not change, and which fields count."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from cm4ai_assets.effects.measures import (
    field_measures,
    of_histograms,
    pooled_variance,
    protein_measures,
    reproducibility,
    well_values,
)
from cm4ai_assets.images.counting import LEVELS, histogram
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.images.published import field, release_of

RNG = np.random.default_rng(3)
SPOTS = np.where(RNG.random((128, 128)) < 0.2, RNG.integers(20, 60, (128, 128)), RNG.integers(0, 8, (128, 128)))
EVEN = np.where(RNG.random((128, 128)) < 0.2, 40 + RNG.integers(0, 3, (128, 128)), RNG.integers(0, 8, (128, 128)))


def counts(image: np.ndarray) -> np.ndarray:
    return histogram(image.astype(np.uint8))[None]


@pytest.mark.parametrize(("factor", "constant"), [(1, 30), (2, 0), (4, 15), (3, 60)])
def test_stretching_an_image_changes_no_measure(factor: int, constant: int) -> None:
    plain, stretched = of_histograms(counts(SPOTS)), of_histograms(counts(SPOTS * factor + constant))
    assert np.allclose(plain, stretched, rtol=1e-9)
    assert np.all(np.isfinite(plain))


def test_extent_is_the_share_above_the_threshold_that_opencv_finds() -> None:
    for image in (SPOTS, EVEN, RNG.integers(0, 256, (64, 64))):
        threshold, _ = cv2.threshold(image.astype(np.uint8), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        lit = image[image > threshold]
        extent, unevenness = of_histograms(counts(image))
        assert extent[0] == pytest.approx(np.log((image > threshold).mean() / (image <= threshold).mean()))
        assert unevenness[0] == pytest.approx(np.log(lit.std() / (lit.mean() - image[image <= threshold].mean())))


def test_unevenness_tells_spots_from_an_even_stain() -> None:
    assert of_histograms(counts(EVEN))[1][0] < of_histograms(counts(SPOTS))[1][0] - 1


def test_a_flat_image_has_no_measure() -> None:
    assert np.isnan(of_histograms(counts(np.full((8, 8), 7)))).all()


A, B, C = (f"B2AI_1_untreated_{well}_R1_z01" for well in ("A1", "A2", "A3"))
TWO = "B2AI_1_untreated_A1_R2_z01", "B2AI_1_untreated_A1_R2_z02"


def test_spoilt_fields_do_not_count_and_a_region_counts_once(tmp_path: Path) -> None:
    spoilt = {
        "B2AI_1_untreated_B1_R1_z01": ("red", {"is_empty": True}),
        "B2AI_1_untreated_B2_R1_z01": ("yellow", {"is_saturated": True}),
        "B2AI_1_untreated_B3_R1_z01": ("green", {"is_saturated": True}),
    }
    rows = [field(name, "HPA000001") for name in (A, B, *TWO, *spoilt)]
    changes = {(name, channel): what for name, (channel, what) in spoilt.items()}
    changes[B, "green"] = {"is_empty": True}  # the protein may not be there
    changes[A, "blue"] = {"histogram": [0] * 10 + [100] + [0] * (LEVELS - 11), "focus": None}
    release = release_of(tmp_path, {"untreated": [*rows, field(C, "HPA000001", tensor_index=None)]}, changes)
    found = field_measures(release.table("if_fields").collect(), release.table("if_quality").collect())
    assert set(found["field_id"]) == {A, B, TWO[0]}
    assert sorted(found.filter(field_id=A)["channel"].unique()) == ["green", "red", "yellow"], "flat blue has none"
    assert found.filter(field_id=B).height == 3 * len(CHANNELS)


def test_a_protein_is_green_beside_yellow(tmp_path: Path) -> None:
    changes = {(A, "green"): {"focus": 8.0}, (A, "yellow"): {"focus": 2.0}}
    release = release_of(tmp_path, {"untreated": [field(A, "HPA000001")]}, changes)
    measures = field_measures(release.table("if_fields").collect(), release.table("if_quality").collect())
    values = dict(protein_measures(measures).select("measure", "value").iter_rows())
    assert values == {"extent": 0.0, "unevenness": 0.0, "fineness": pytest.approx(np.log(4))}


def wells(values: list[list[float]]) -> pl.DataFrame:
    rows = [("untreated", "P1", f"A{n}", "A", n, "extent", value) for n, own in enumerate(values) for value in own]
    columns = ["condition", "plate", "well", "well_row", "well_column", "measure", "value"]
    return well_values(pl.DataFrame(rows, schema=columns, orient="row"))


def test_reproducibility_is_the_share_of_the_variance_between_wells() -> None:
    assert reproducibility(wells([[1, 1], [2, 2], [4, 4, 4]])) == pytest.approx(1)
    assert reproducibility(wells([[1, 3], [1, 3]])) == 0
    assert reproducibility(wells([[1, 3]])) is None
    assert reproducibility(wells([[1], [2]])) is None
    rng = np.random.default_rng(1)
    simulated = [list(rng.normal(centre, 2, rng.integers(2, 9))) for centre in rng.normal(0, 1, 3000)]
    assert reproducibility(wells(simulated)) == pytest.approx(1 / 5, abs=0.02)
    assert pooled_variance(wells(simulated)) == pytest.approx(4, abs=0.1)
