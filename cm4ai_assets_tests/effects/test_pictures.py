"""Pictures of plates and effects: small, and showing what there is."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from PIL import Image

from cm4ai_assets.drawing import LIMIT
from cm4ai_assets.effects.effects import effect_rows
from cm4ai_assets.effects.pictures import plate_map, volcano
from cm4ai_assets.effects.plates import reference_wells
from cm4ai_assets_tests.effects.worlds import antibodies, world


def opened(data: bytes) -> np.ndarray:
    assert len(data) <= LIMIT
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def reddest(picture: np.ndarray) -> np.ndarray:
    """Where something is far above, as (y, x)."""
    pixels = picture.astype(int)
    return np.argwhere((pixels[..., 0] > 190) & (pixels[..., 1] < 70) & (pixels[..., 2] < 70))


def test_a_well_that_lies_above_its_plate_is_red_where_it_stands() -> None:
    hot = (pl.col("plate") == "B2AI_2") & (pl.col("well") == "H12")
    wells = reference_wells(world(1, plates=2, bad={"blue": pl.when(hot).then(5.0).otherwise(0.0)}))
    own = wells.filter(condition="untreated", channel="blue", measure="extent")
    places = reddest(opened(plate_map(own, "untreated, extent of blue")))
    inside = places[places[:, 0] < 46 + 8 * 14]
    assert len(inside) > 50
    assert inside[:, 0].min() > 46 + 7 * 14 - 2, "row H"
    assert inside[:, 1].min() > 20 + 12 * 14 + 16 + 11 * 14 - 2, "column 12 of the second plate"
    assert opened(plate_map(own.clear(), "nothing")).shape[1] == 320


def test_a_volcano_shows_a_strong_effect_far_out() -> None:
    measures = world(2, responds={"HPA000007": 5.0})
    strong = effect_rows(measures, antibodies(measures))
    picture = opened(volcano(strong, "paclitaxel against untreated"))
    assert picture.shape == (380, 640, 3)
    right = picture[40:200, 420:620].reshape(-1, 3)
    left = picture[40:200, 62:220].reshape(-1, 3)
    assert len(np.unique(right, axis=0)) > len(np.unique(left, axis=0))
    assert opened(volcano(strong.clear(), "nothing")).shape[1] == 320
