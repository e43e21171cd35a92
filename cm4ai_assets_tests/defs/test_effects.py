"""Batch effects and effects of treatments through Dagster: with pictures, or absent with a reason."""

from __future__ import annotations

from itertools import product
from typing import Any

import dagster as dg
import numpy as np
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.images.counting import LEVELS
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.defs.test_integration import bench, run  # noqa: F401
from cm4ai_assets_tests.images.published import field, publish, quality

WELLS = [f"{row}{column}" for row, column in product("ABC", range(1, 5))]


def put(bench: Workbench, *conditions: str) -> None:  # noqa: F811
    rng = np.random.default_rng(5)
    for condition in conditions:
        names = [
            f"B2AI_{plate}_{condition}_{well}_R{region}_z01" for plate in (1, 2) for well in WELLS for region in (1, 2)
        ]
        rows = [field(name, f"HPA{number // 2:06d}", tensor_index=number) for number, name in enumerate(names)]
        measured = [
            quality(row["field_id"], row["tensor_index"], channel, **images(rng))
            for row in rows
            for channel in CHANNELS
        ]
        publish(bench.platform.store, "if_fields", rows, condition, RELEASE)
        publish(bench.platform.store, "if_quality", measured, condition, RELEASE)


def images(rng: np.random.Generator) -> dict[str, Any]:
    dark, lit = rng.integers(1000, 3000, 20), rng.integers(10, 300, LEVELS - 20)
    return {"histogram": np.concatenate([dark, lit]), "focus": float(rng.uniform(0.5, 2))}


def page(bench: Workbench, name: str) -> dict[str, str]:  # noqa: F811
    made = bench.instance.fetch_materializations(dg.AssetKey(name), limit=1).records[0].asset_materialization
    assert made is not None
    return {key: str(value.value) for key, value in made.metadata.items()}


def test_both_tables_are_made_of_what_is_published_and_show_it(bench: Workbench) -> None:  # noqa: F811
    put(bench, "untreated", "paclitaxel")
    outcome = run(bench, "if_plates,if_effects")
    assert outcome.succeeded, outcome.failure
    assert {(check.asset_key.to_user_string(), check.check_name) for check in outcome.checks} == {
        ("if_plates", "schema"), ("if_plates", "plates_alike"), ("if_plates", "positions_alike"),
        ("if_plates", "wells_reproducible"), ("if_effects", "schema"), ("if_effects", "effects_tested"),
        ("if_effects", "most_unchanged"), ("if_effects", "effects_reproducible"),
    }  # fmt: skip
    release = Release(RELEASE, bench.platform.store)
    effects = release.table("if_effects").collect()
    assert effects.group_by("condition").len().rows() == [("paclitaxel", 24 * 3)]
    assert effects["p"].null_count() == 0
    assert effects["n_fields"].to_list() == [2] * 72
    plates = page(bench, "if_plates")
    assert plates["map_of_untreated_blue_extent"].startswith("![untreated, extent of blue")
    assert "contrast-stretched" in plates["caveat"]
    volcano = page(bench, "if_effects")
    assert volcano["volcano_of_paclitaxel"].startswith("![effects of paclitaxel and their p](data:image/png;base64,")
    assert "if_fields of vorinostat" in volcano["left_out"]
    assert "another plate than the untreated one" in volcano["confounded"]


def test_without_untreated_wells_there_is_no_effect_and_the_page_says_so(bench: Workbench) -> None:  # noqa: F811
    put(bench, "paclitaxel")
    outcome = run(bench, "if_plates,if_effects")
    assert outcome.succeeded
    assert outcome.made == ("if_plates",)
    assert "A treatment is compared with untreated wells" in outcome.observed["if_effects"]
    with pytest.raises(NotMaterializedError, match="A treatment is compared with untreated wells"):
        Release(RELEASE, bench.platform.store).table("if_effects")


def test_a_release_without_fields_has_neither(bench: Workbench) -> None:  # noqa: F811
    outcome = run(bench, "if_plates,if_effects")
    assert outcome.succeeded
    assert outcome.made == ()
    assert "There are no fields of view to compare" in outcome.observed["if_plates"]
