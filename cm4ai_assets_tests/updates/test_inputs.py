"""What jobs read, and that it is said right."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs.jobs import JOBS
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.updates.inputs import FEEDS, Feed, Spread, feed_of
from cm4ai_assets.updates.needs import why_closed
from cm4ai_assets_tests.updates.conftest import Daemon
from cm4ai_assets_tests.updates.test_changes import ZIP, file, lock


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.job)
def test_a_feed_names_a_job_that_makes_its_tables(feed: Feed) -> None:
    selection = {job.name: job.selection for job in JOBS}[feed.job]
    made = {key.to_user_string() for key in selection.resolve(defs.resolve_asset_graph())}
    assert {feed.product, *feed.tables} <= made
    partitioning = Partitioning.RELEASE if feed.spread is Spread.RELEASE else Partitioning.CONDITION_RELEASE
    assert {tables.table(name).partitioning for name in (feed.product, *feed.tables)} == {partitioning}
    assert feed_of(feed.product) is feed


def test_what_is_made_from_the_archive_alone_is_not_left_out() -> None:
    fed = {name for feed in FEEDS for name in (feed.product, *feed.tables)}
    assert {"if_tensors", "secms_profiles", "apms_interactions"} <= fed
    assert "release_files" not in fed, "its rows name the version"
    assert "if_archive" not in fed


def _feed(spread: Spread) -> Feed:
    return Feed("x", "if", ("images",), spread, product="if_tensors", first="if_archive", tables=())


def test_which_partition_reads_which_file() -> None:
    files = lock(
        file(1, f"Images/{ZIP}", "a"),
        file(2, "Images/cm4ai_ifimages_MDA-MB-468_vorinostat.zip", "b"),
        file(3, "Images/cm4ai_ifimages_MDA-MB-468_doxorubicin.zip", "c"),
        file(4, "cm4ai_mass-spec_KOLF2.zip", "d"),
    )
    own = _feed(Spread.OWN_CONDITION).inputs(files)
    assert {condition: [row["file_id"] for row in rows] for condition, rows in own.items()} == {
        "paclitaxel": [1],
        "vorinostat": [2],
    }
    every = _feed(Spread.EVERY_CONDITION).inputs(files)
    assert set(every) == {str(condition) for condition in CONDITIONS}
    assert [row["file_id"] for row in every["untreated"]] == [1, 2, 3]
    assert list(_feed(Spread.RELEASE).inputs(files)) == [None]
    assert _feed(Spread.RELEASE).inputs(files.clear()) == {}


def test_the_archives_of_perturb_seq_are_asked_for_every_crate_that_may_name_them_and_wait_for_none() -> None:
    files = lock(
        file(1, "cm4ai_release_metadata.zip", "a"),
        file(2, "cm4ai_perturb-seq_KOLF2_raw_sra.zip", "b"),
        file(3, "cm4ai_perturb-seq_KOLF2_cell_atlas.zip", "c"),
        file(4, "cm4ai_mass-spec_KOLF2.zip", "d"),
        file(5, "Perturb-Seq/sra/ALPHA_BETA_GAMMA_Cellranger_Statistics.csv", "e"),
    )
    feed = next(feed for feed in FEEDS if feed.job == "perturbseq_archives")
    rows = feed.inputs(files)[None]
    assert [row["file_id"] for row in rows] == [1, 2, 3]
    closed = [{**row, "access": "restricted"} if row["file_id"] > 1 else dict(row) for row in rows]
    day = date(2026, 11, 26)
    assert why_closed(closed, day, takes_some=feed.takes_some, has_token=False) == ""
    assert "restricted" in why_closed(closed[1:], day, takes_some=feed.takes_some, has_token=False)


def test_a_table_of_a_version_that_only_renames_is_read_from_the_one_before(daemon: Daemon) -> None:
    store = daemon.platform.store
    for request in daemon.tick().run_requests or ():
        if request.partition_key in {"2025-06-v2.0", "2025-06-v2.1"}:
            daemon.claim_lock(request)
    daemon.claim_tensor("paclitaxel|2025-06-v2.0")
    renamed = Release("2025-06-v2.1", store)
    assert renamed.shared == {"paclitaxel": "2025-06-v2.0"}
    assert [str(condition) for condition in renamed.conditions] == ["paclitaxel"]
    assert renamed.table("if_tensors").collect()["release"].to_list() == ["2025-06-v2.1"]
    daemon.claim_tensor("paclitaxel|2025-06-v2.1")
    assert renamed.shared == {}
    assert isinstance(renamed.table("if_tensors"), pl.LazyFrame)
