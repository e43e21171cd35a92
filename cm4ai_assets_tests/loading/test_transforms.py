"""Transforms do what they state, and are undone with the parameters they recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.errors import ConfigurationError, SelectionError
from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.quality import statistics
from cm4ai_assets.loading.labels import IGNORED, Labels
from cm4ai_assets.loading.normalization import Normalize, normalized, restored
from cm4ai_assets.loading.transforms import (
    NAMES,
    PRESETS,
    ChannelOrder,
    Compose,
    Crop,
    Flip,
    Form,
    drawn_of,
    leading_order,
)
from cm4ai_assets_tests.loading.stores import noise

EDGE = 32
WHOLE = Form((0, 1, 2, 3), EDGE)
FIELDS = pl.DataFrame({"condition": ["untreated", "paclitaxel", "untreated"], "field_id": ["a", "a", "b"]})


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Three fields; the levels of a channel are its own, and the last field has a flat plane."""
    made = noise(3, EDGE) // np.array([2, 3, 4, 5], np.uint8)[:, None, None] + 7
    made[2, 3] = 9
    return made


@pytest.fixture(scope="module")
def quality(images: np.ndarray) -> pl.DataFrame:
    """`if_quality` of these fields."""
    return quality_of(images, FIELDS)


def quality_of(images: Iterable[np.ndarray], fields: pl.DataFrame) -> pl.DataFrame:
    """`if_quality` of some fields, in an order of its own."""
    rows = []
    for (condition, field_id), image in zip(fields.iter_rows(), images, strict=True):
        for channel in ("yellow", "blue", "red", "green"):
            plane = image[NAMES.index(channel)]
            of = statistics(histogram(plane), None, full_level=255)
            rows.append({
                "condition": condition, "field_id": field_id, "channel": channel, "mean": of.mean, "std": of.std,
                "minimum": of.minimum, "maximum": of.maximum, "histogram": of.histogram.tolist(),
            })  # fmt: skip
    return pl.DataFrame(rows)


def done(transform: Any, image: np.ndarray, position: int = 0, seed: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    whole = Form(WHOLE.channels, image.shape[-1])
    drawn = transform.draw(whole, position, np.random.default_rng(seed))
    result = transform.apply(image, drawn)
    form = transform.form(whole)
    assert result.shape == (len(form.channels), form.size, form.size)
    assert result.dtype == form.dtype
    return result, drawn


def test_presets_are_the_orders_of_the_published_models(images: np.ndarray) -> None:
    red, green, blue, yellow = images[0]
    ordered, _ = done(ChannelOrder("subcell"), images[0])
    assert np.array_equal(ordered, [red, yellow, blue, green])
    for name in ("hpa_densenet", "dino4cells"):
        assert np.array_equal(done(ChannelOrder(name), images[0])[0], images[0])
    assert np.array_equal(done(ChannelOrder("subcell_bg"), images[0])[0], [blue, green])
    assert {name for order in PRESETS.values() for name in order} == set(NAMES)
    for wrong in ("rgby", ("red", "red"), ("violet",), ()):
        with pytest.raises(ConfigurationError, match="No order of channels"):
            ChannelOrder(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_order_and_flips_are_undone_exactly(images: np.ndarray, seed: int) -> None:
    transform = Compose(ChannelOrder(("yellow", "red", "green", "blue")), Flip())
    result, drawn = done(transform, images[1], seed=seed)
    assert np.array_equal(transform.inverse(result, drawn), images[1])


def test_all_eight_ways_of_a_flip_come(images: np.ndarray) -> None:
    ways = {done(Flip(), images[0], seed=seed)[0].tobytes() for seed in range(60)}
    assert len(ways) == 8


def test_a_crop_goes_back_to_its_place(images: np.ndarray) -> None:
    transform = Compose(Crop(9), Flip())
    places = set()
    for seed in range(30):
        result, drawn = done(transform, images[0], seed=seed)
        back = transform.inverse(result, drawn)
        y, x = drawn["crop_y"], drawn["crop_x"]
        places.add((y, x))
        assert np.array_equal(back[:, y : y + 9, x : x + 9], images[0][:, y : y + 9, x : x + 9])
        assert np.count_nonzero(back) <= 4 * 81
    assert len(places) > 20
    assert max(max(place) for place in places) <= EDGE - 9
    assert done(Crop(8, "centre"), images[0])[1] == {"crop_y": 12, "crop_x": 12, "crop_of": EDGE}
    with pytest.raises(ConfigurationError, match="cannot be cut out of 32 x 32"):
        Crop(33).form(WHOLE)


def test_channels_that_were_left_out_cannot_come_back(images: np.ndarray) -> None:
    order = ChannelOrder("subcell_bg")
    result, drawn = done(order, images[0])
    with pytest.raises(ConfigurationError, match="cannot be restored"):
        order.inverse(result, drawn)
    with pytest.raises(ConfigurationError, match="red was left out before"):
        ChannelOrder("hpa_densenet").form(order.form(WHOLE))


def test_percentiles_are_those_of_the_histogram(images: np.ndarray, quality: pl.DataFrame) -> None:
    transform = Compose(ChannelOrder("subcell"), Normalize.percentiles(quality, 2, 98)).bound(FIELDS)
    for position, image in enumerate(images):
        result, drawn = done(transform, image, position)
        for place, channel in enumerate(ChannelOrder("subcell").indices):
            low, high = np.percentile(image[channel], [2, 98], method="inverted_cdf")
            assert drawn["offset"][place] == low
            assert drawn["scale"][place] == ((high - low) or 1)
            assert np.allclose(result[place], (image[channel].astype(float) - low) / ((high - low) or 1), atol=1e-6)
        assert np.array_equal(transform.inverse(result, drawn), image)


def test_the_few_pixels_of_a_plane_that_is_nearly_flat_stay_within_its_range() -> None:
    """The percentiles coincide, at the bottom, in the middle and at the top; the last plane is flat."""
    image = np.empty((4, 64, 64), np.uint8)
    levels = ((0, (1, 250)), (100, (90, 250)), (255, (0, 254)), (9, (9, 9)))
    for plane, (level, others) in zip(image, levels, strict=True):
        plane[:] = level
        plane[0, :2] = others
    of = FIELDS.head(1)
    transform = Normalize.percentiles(quality_of([image], of)).bound(of)
    result, drawn = done(transform, image)
    assert drawn["offset"].tolist() == [0, 100, 255, 9]
    assert drawn["scale"].tolist() == [250, 160, 255, 1]
    assert np.allclose(result[:, 0, :2], [[0.004, 1], [-0.0625, 0.9375], [-1, -1 / 255], [0, 0]])
    assert np.array_equal(transform.inverse(result, drawn), image)
    assert "whole range where these are equal" in transform.stated()[0]["kind"]


def test_min_max_is_of_each_channel_or_of_all_together(images: np.ndarray, quality: pl.DataFrame) -> None:
    each, _ = done(Normalize.min_max(quality).bound(FIELDS), images[1], 1)
    assert np.allclose(each.min(axis=(1, 2)), 0)
    assert np.allclose(each.max(axis=(1, 2)), 1)
    together, drawn = done(Normalize.min_max(quality, together=True).bound(FIELDS), images[1], 1)
    assert (together.min(), together.max()) == (0, 1)
    assert np.unique(drawn["scale"]).size == 1


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("subcell")])
def test_the_pair_of_all_together_is_of_the_channels_that_the_model_sees(
    images: np.ndarray, quality: pl.DataFrame, preset: str, *, later: bool
) -> None:
    """The last image has a flat plane, at 9: it neither adds to the range nor takes from it."""
    order = ChannelOrder(preset)
    transform = Compose(order, Normalize.min_max(quality, together=True, later=later)).bound(FIELDS)
    for position, image in enumerate(images):
        planes = image[list(order.indices)].astype(np.float32)
        result, drawn = done(transform, image, position)
        expected = (planes - planes.min()) / (planes.max() - planes.min())
        assert np.allclose(normalized(result, drawn) if later else result, expected, atol=1e-6)
    before = Compose(Normalize.min_max(quality, together=True), order).bound(FIELDS)
    assert np.allclose(done(before, images[0])[0] * np.ptp(images[0]) + images[0].min(), images[0][list(order.indices)])


def test_two_flat_planes_together_become_zero_and_one() -> None:
    flat = np.stack([np.full((EDGE, EDGE), level, np.uint8) for level in (9, 9, 30, 9)])
    quality = quality_of([flat], FIELDS.head(1))
    for channels, expected in ((("red", "blue"), [0, 1]), (("green", "yellow"), [0, 0])):
        step = Normalize.min_max(quality, together=True)
        result, _ = done(Compose(ChannelOrder(channels), step).bound(FIELDS.head(1)), flat)
        assert [np.unique(plane).tolist() for plane in result] == [[value] for value in expected]


def test_standard_has_mean_0_and_deviation_1(images: np.ndarray, quality: pl.DataFrame) -> None:
    result, _ = done(Normalize.standard(quality).bound(FIELDS), images[0])
    assert np.allclose(result.mean(axis=(1, 2)), 0, atol=1e-4)
    assert np.allclose(result.std(axis=(1, 2)), 1, atol=1e-4)


def test_a_flat_plane_becomes_zero_and_comes_back(images: np.ndarray, quality: pl.DataFrame) -> None:
    transform = Normalize.min_max(quality).bound(FIELDS)
    result, drawn = done(transform, images[2], 2)
    assert not result[3].any()
    assert np.array_equal(transform.inverse(result, drawn), images[2])


def test_clipping_stays_between_0_and_1_and_says_so(images: np.ndarray, quality: pl.DataFrame) -> None:
    transform = Normalize.percentiles(quality, 10, 90, clip=True).bound(FIELDS)
    result, _ = done(transform, images[0])
    assert (result.min(), result.max()) == (0, 1)
    assert transform.stated()[0]["clipped"] is True


def test_what_would_not_be_done_as_it_is_stated_is_refused(quality: pl.DataFrame) -> None:
    for low, high in ((0, 99.99), (0.05, 99.9), (99.91, 99.92), (1, 99.999999), (float("nan"), 99)):
        with pytest.raises(ConfigurationError, match=r"no percentiles to a tenth.*one decimal at most"):
            Normalize.percentiles(quality, low, high)
    for tenths in range(1000):
        Normalize.percentiles(quality.clear(), tenths / 10, 100)
    with pytest.raises(ConfigurationError, match=r"not clipped here.*normalized\(image, drawn, clip=True\)"):
        Normalize.percentiles(quality, clip=True, later=True)


def test_what_is_left_for_later_is_done_on_the_batch(images: np.ndarray, quality: pl.DataFrame) -> None:
    later, now = (Normalize.percentiles(quality, later=later).bound(FIELDS) for later in (True, False))
    batch, drawn, expected = [], [], []
    for position, image in enumerate(images):
        result, parameters = done(later, image, position)
        batch.append(result)
        drawn.append(parameters)
        expected.append(done(now, image, position)[0])
    together = {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}
    assert np.array_equal(normalized(np.stack(batch), together), expected)
    assert np.allclose(restored(np.stack(expected), together), images)
    assert np.array_equal(now.inverse(expected[1], drawn_of(together, 1)), images[1])
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    tensors = {name: torch.from_numpy(value) for name, value in together.items()}
    result = normalized(torch.from_numpy(np.stack(batch)), tensors)
    assert torch.allclose(result, torch.from_numpy(np.stack(expected)))
    assert torch.allclose(restored(result, tensors), torch.from_numpy(images).float(), atol=1e-4)


@pytest.mark.parametrize("preset", ["subcell", "subcell_bg"])
def test_what_is_left_for_later_keeps_to_its_planes(images: np.ndarray, quality: pl.DataFrame, preset: str) -> None:
    """Offsets are recorded in the order that the planes had: another one afterwards would give each a wrong pair."""
    later, now = (Normalize.percentiles(quality, later=later) for later in (True, False))
    transform = Compose(ChannelOrder(preset), later, Flip()).bound(FIELDS)
    result, drawn = done(transform, images[0])
    expected, _ = done(Compose(ChannelOrder(preset), now, Flip()).bound(FIELDS), images[0])
    assert np.array_equal(normalized(result, drawn), expected)
    turned = Compose(later, Flip(), ChannelOrder(preset)).bound(FIELDS)
    for refused in (lambda: turned.form(WHOLE), lambda: turned.draw(WHOLE, 0, np.random.default_rng(0))):
        with pytest.raises(ConfigurationError, match=r"ordered after a normalization.* later.*Put ChannelOrder before"):
            refused()
    done(Compose(now, ChannelOrder(preset)).bound(FIELDS), images[0])


def test_statistics_of_another_release_are_refused(quality: pl.DataFrame) -> None:
    transform = Normalize.standard(quality.filter(pl.col("field_id") == "a"))
    with pytest.raises(SelectionError, match="do not know the field b"):
        transform.bound(FIELDS)
    with pytest.raises(ConfigurationError, match=r"not known. Hand the transform to the loader"):
        transform.draw(WHOLE, 0, np.random.default_rng(0))
    with pytest.raises(ConfigurationError, match="no percentiles"):
        Normalize.percentiles(quality, 50, 50)
    with pytest.raises(ConfigurationError, match="divided by the scale 0"):
        Normalize.fixed(scale=0)


def test_statistics_are_those_of_the_fields_own_release(images: np.ndarray, quality: pl.DataFrame) -> None:
    """Releases name fields alike. A frame that names no release is believed, as long as the field is in it once."""
    old, new = (quality.with_columns(release=pl.lit(name)) for name in ("old", "new"))
    older = old.with_columns(pl.col("mean") + 1)
    of_new = FIELDS.with_columns(release=pl.lit("new"))
    expected, _ = done(Normalize.standard(quality).bound(FIELDS), images[2], 2)
    known = ((new, of_new), (new.lazy(), FIELDS), (quality, of_new), (pl.concat([older, new]), of_new))
    for statistics_, fields in known:
        assert np.array_equal(done(Normalize.standard(statistics_).bound(fields), images[2], 2)[0], expected)
    with pytest.raises(SelectionError, match=r"do not know the field a of new. Take if_quality of the same release"):
        Normalize.standard(old).bound(of_new)
    with pytest.raises(SelectionError, match=r"of several releases.*Take if_quality of one release"):
        Normalize.standard(pl.concat([older, new])).bound(FIELDS)


def test_a_transform_states_itself(quality: pl.DataFrame) -> None:
    transform = Compose(ChannelOrder("subcell"), Crop(8), Flip(), Normalize.fixed())
    assert [step["step"] for step in transform.stated()] == ["channel order", "crop", "flip", "normalization"]
    assert transform.form(WHOLE) == Form((0, 3, 2, 1), 8, "float32")
    with pytest.raises(ConfigurationError, match="Two steps are of one kind"):
        Compose(Flip(), Flip())


def test_steps_within_steps_are_steps_like_others(images: np.ndarray) -> None:
    order = ChannelOrder("subcell")
    within = Compose(Compose(Compose(order, Crop(9)), Compose()), Flip())
    assert within == Compose(order, Crop(9), Flip())
    assert leading_order(within) == (order, Compose(Crop(9), Flip()))
    result, drawn = done(within, images[0])
    y, x = drawn["crop_y"], drawn["crop_x"]
    assert np.array_equal(within.inverse(result, drawn)[:, y : y + 9, x : x + 9], images[0][:, y : y + 9, x : x + 9])
    for twice in ((Compose(Crop(9), Flip()), Crop(4, "centre")), (Flip(), Compose(Compose(Flip())))):
        with pytest.raises(ConfigurationError, match="Two steps are of one kind"):
            Compose(*twice)


LABELLED = pl.DataFrame({
    "condition": ["untreated", "paclitaxel", "untreated", "untreated"],
    "genes": [["ENSG1"], ["ENSG2", "ENSG1"], [], None],
    "antibody_id": ["HPA1", "HPA2", "HPA1", None],
})  # fmt: skip


def test_labels_are_numbers_that_mean_the_same_everywhere() -> None:
    labels = Labels.of(LABELLED, "condition")
    assert labels.classes == ("paclitaxel", "untreated")
    assert labels.encode(LABELLED).tolist() == [1, 0, 1, 1]
    assert labels.encode(LABELLED.tail(1)).tolist() == [1]
    assert labels.weights(LABELLED).tolist() == pytest.approx([2.0, 4 / 6])
    assert labels.weights(LABELLED.tail(1)).tolist() == [0, 1]


def test_a_field_of_several_genes_has_several_ones() -> None:
    labels = Labels.of(LABELLED.head(3), "genes", ignore_unknown=True)
    assert labels.encode(LABELLED.head(3)).tolist() == [[1, 0], [1, 1], [0, 0]]
    assert labels.weights(LABELLED.head(3)).tolist() == pytest.approx([0.75, 1.5])


def test_what_is_no_class_is_refused_or_ignored() -> None:
    for column in ("antibody_id", "genes"):
        with pytest.raises(SelectionError, match=f"None is no class of {column}"):
            Labels.of(LABELLED, column).encode(LABELLED)
    labels = Labels.of(LABELLED.head(1), "antibody_id", ignore_unknown=True)
    assert labels.encode(LABELLED).tolist() == [0, IGNORED, 0, IGNORED]
    assert labels.weights(LABELLED).tolist() == [1]
    assert Labels.of(LABELLED, "genes", ignore_unknown=True).encode(LABELLED)[3].tolist() == [0, 0]
    with pytest.raises(SelectionError, match=r"no column plate. They have antibody_id, condition, genes"):
        Labels.of(LABELLED, "plate")
    with pytest.raises(SelectionError, match="is empty"):
        Labels.of(LABELLED.tail(1), "antibody_id")


def test_a_field_without_a_gene_is_unknown_and_one_without_a_flag_is_not() -> None:
    of_controls = pl.DataFrame({"genes": [["ENSG1"], []], "flags": [["empty_green"], []]})
    with pytest.raises(SelectionError, match=r"None is no class of genes.*Leave out the fields without one"):
        Labels.of(of_controls, "genes").encode(of_controls)
    with pytest.raises(SelectionError, match=r"None is no class of genes"):
        Labels.of(of_controls, "genes").weights(of_controls)
    flags = Labels.of(of_controls, "flags")
    assert flags.encode(of_controls).tolist() == [[1], [0]]
    with pytest.raises(SelectionError, match="None is no class of flags"):
        flags.encode(of_controls.clear(1))
    with pytest.raises(SelectionError, match=r"'blurred_red' is no class of flags.*Take the classes from fields"):
        flags.encode(pl.DataFrame({"flags": [["blurred_red"]]}))


def test_null_is_not_the_class_of_that_name() -> None:
    named = pl.DataFrame({"plate": ["None", None], "genes": [["None"], [None]]})
    for column, expected in (("plate", [0, IGNORED]), ("genes", [[1], [0]])):
        with pytest.raises(SelectionError, match=f"None is no class of {column}"):
            Labels.of(named, column).encode(named)
        assert Labels.of(named, column, ignore_unknown=True).encode(named).tolist() == expected
