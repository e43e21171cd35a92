"""What a selection means: completed where a step makes several assets, lists with commas, missing inputs added."""

from __future__ import annotations

import dagster as dg
import pytest

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.products import optional_inputs
from cm4ai_assets.defs.selection import Plan, chosen_assets, plan
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.storage.layout import Partition

GRAPH = defs.resolve_asset_graph()
RELEASE = "2026-06-v2.0"
PIXELS = {"if_fields", "if_tensors", "if_quality"}


def _names(selection: str) -> set[str]:
    return {key.to_user_string() for key in chosen_assets(GRAPH, selection)}


@pytest.mark.parametrize(
    ("selection", "made"),
    [
        ("if_fields", PIXELS),
        ("key:if_quality", PIXELS),
        ("if_tensors", PIXELS),
        # Dagster could run these one by one, and the checks of one read the other.
        ("crate_entities", {"crate_entities", "crate_edges"}),
        ("secms_profiles", {"secms_profiles", "secms_proteins"}),
    ],
)
def test_a_step_that_makes_several_is_completed(selection: str, made: set[str]) -> None:
    assert _names(selection) == made


@pytest.mark.filterwarnings("error")
def test_no_warning_of_dagsters_parser_reaches_the_terminal() -> None:
    assert _names("group:images and not key:if_cells") >= PIXELS


def test_a_comma_list_means_each_of_its_terms() -> None:
    assert _names("release_files, if_archive") == {"release_files", "if_archive"}
    assert _names("release_files,+if_archive,") == {"release_files", "if_archive"}
    assert _names("if_archive, *") == _names("*") == _names("")
    assert _names("group:images, key:secms_*") >= PIXELS | {"secms_profiles", "secms_proteins"}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("if_feilds", "Did you mean if_fields"),
        ("(((", "--select '((('"),
        ("key:nothing_*", "Assets: "),
        (" , if_x", "if_x"),
    ],
)
def test_a_selection_of_nothing_says_what_there_is(selection: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")) as raised:
        chosen_assets(GRAPH, selection)
    assert "\n" not in str(raised.value)


def _added(found: Plan) -> dict[str, set[str]]:
    return {key.to_user_string(): {str(p) for p in partitions} for key, partitions in found.added.items()}


def test_what_is_read_and_missing_is_added_for_the_partitions_where_it_is() -> None:
    conditions = [str(c) for c in CONDITIONS]

    def is_published(name: str, partition: Partition) -> bool:
        return name == "release_files" or (name == "if_archive" and partition.condition == "paclitaxel")

    found = plan(GRAPH, "if_images", RELEASE, conditions, is_published)
    assert _added(found) == {"if_archive": {f"untreated|{RELEASE}", f"vorinostat|{RELEASE}"}}
    (wave,) = found.waves
    assert found.assets(wave, Partition(RELEASE, "paclitaxel")) == [dg.AssetKey("if_images")]
    assert set(found.assets(wave, Partition(RELEASE, "untreated"))) == {
        dg.AssetKey("if_archive"),
        dg.AssetKey("if_images"),
    }


def test_on_a_fresh_storage_everything_above_is_added() -> None:
    found = plan(GRAPH, "group:images", RELEASE, ["untreated"], lambda _name, _partition: False)
    assert set(_added(found)) == {"release_files"}
    assert [str(p) for wave in found.waves for p in wave.partitions(RELEASE, ["untreated"])] == [
        RELEASE, f"untreated|{RELEASE}",
    ]  # fmt: skip


def test_an_input_that_may_be_absent_is_not_added() -> None:
    found = plan(GRAPH, "secms_profiles", RELEASE, ["untreated"], lambda _name, _partition: False)
    assert "massive_files" not in _added(found)


def test_what_may_be_absent_is_made_by_an_earlier_run() -> None:
    """Dagster skips each step after one that made nothing, although the document is about what there is."""
    made: set[dg.AssetKey] = set()
    found = plan(GRAPH, "*", RELEASE, ["untreated"])
    for wave in found.waves:
        for key in wave.assets:
            assert optional_inputs(GRAPH.get(key).metadata) <= made, key
        made |= set(wave.assets)
    assert dg.AssetKey("datasheet_report") in made
