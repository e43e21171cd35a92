"""What is not known of an origin, or no longer holds, is said and not guessed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.lineage.chain import NO_RUN, NOT_STORED, OTHER_RUN
from cm4ai_assets.lineage.steps import State, StepKind
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.images.published import KEY, publish
from cm4ai_assets_tests.lineage.world import CONDITIONS, RUN

UNTREATED, PACLITAXEL = (f"Files/images_{condition}.zip" for condition in CONDITIONS)


def test_of_two_matrices_the_one_that_the_run_was_given_is_meant_or_none_is_chosen(copy: Release) -> None:
    rows = copy.table("figshare_files").collect().rows(named=True)
    own = [{name: value for name, value in row.items() if name != "release"} for row in rows]
    other = {**own[0], "file_id": 13, "label": "other.h5ad", "md5": "0" * 32}
    publish(copy.store, "figshare_files", [*own, other], None)
    assert {file.path for file in copy.trace("perturb_cells", 0).files} == {"cells.h5ad"}
    copy.store.fs.rm(copy.store.address(layout.MAKINGS), recursive=True)
    unsure = copy.trace("perturb_cells", 0)
    assert {file.path for file in unsure.files} == {"cells.h5ad", "other.h5ad"}
    assert str(unsure).count("Which of the article's matrices was read is not recorded.") == 2


def test_a_table_whose_inputs_changed_since_is_stale(copy: Release) -> None:
    place = Partition(KEY, "paclitaxel")
    path = layout.table_path(tables.table("if_fields"), place)
    before = copy.trace("if_effects", 0)
    rows = copy.store.table("if_fields", place).collect()
    with copy.store.stage_table(
        "if_fields", place, rows.with_columns(defects=pl.Series([["several_z"]] * len(rows)))
    ) as new:
        copy.store.publish_table(new)
    after = copy.trace("if_effects", 0)
    assert before.stale == ()
    (stale,) = {one for one in after.stale if one.path == path}
    assert (stale.state, stale.now) == (State.OTHER, copy.store.digests.present(path)[""].sha256)
    assert f"STALE: made of {path} with SHA-256 {stale.digest}, now {stale.now}: other bytes now" in str(after)
    assert [OTHER_RUN in step.notes for step in after.steps if step.stored and step.stored.path == path] == [True]
    assert f"It was made of {stale.digest}: other bytes now." in str(copy.trace("splits"))
    copy.store.remove(path)
    assert {one.state for one in copy.trace("splits").stale if one.path == path} == {State.GONE}


def test_what_is_not_known_is_said_and_not_guessed(copy: Release) -> None:
    copy.store.fs.rm(copy.store.address(layout.MAKINGS), recursive=True)
    copy.store.fs.rm(copy.store.address("blobs/sha256"), recursive=True)
    trace = copy.trace("if_fields", 1, condition="untreated")
    assert trace.runs == ()
    assert all(NO_RUN in step.notes for step in trace.steps if step.kind is StepKind.ROWS)
    (file,) = [step for step in trace.steps if step.kind is StepKind.FILE]
    assert file.stored is None
    assert NOT_STORED in file.notes
    (manifest,) = trace.subject.origins[-1].members
    assert (manifest.name, manifest.crc32) == ("manifest.csv", None)
    table = copy.trace("splits")
    assert "What it was made of is as its rule says, and as it stands now." in table.subject.notes
    assert {file.path for file in table.files} == {UNTREATED, PACLITAXEL}
    tensor = copy.trace("if_tensors", {"path": copy.table("if_tensors").collect()["path"][0]})
    assert "The pixels come from a ZIP with SHA-256" in str(tensor)
    guides = copy.trace("guide_library", 0)
    assert "whether these are the ones that were read is not known" in str(guides)


def test_a_digest_that_was_never_recorded_and_a_record_that_was_altered_are_said(copy: Release) -> None:
    path = layout.table_path(tables.table("splits"), Partition(KEY))
    copy.store.digests.forget(path)
    (stored, notes) = (copy.trace("splits", 0).subject.stored, copy.trace("splits", 0).subject.notes)
    assert stored is not None
    assert stored.digest is None
    assert any("before digests were recorded" in note for note in notes)
    making = Path(copy.store.address(layout.making_path(layout.table_path(tables.table("proteins"), Partition(KEY)))))
    making.write_bytes(making.read_bytes().replace(RUN.encode(), b"0" * len(RUN)))
    trace = copy.trace("proteins", 0)
    assert trace.subject.stored is not None
    assert trace.subject.stored.making is None
    assert any("was altered after it was written" in note for note in trace.subject.notes)


@pytest.mark.parametrize(
    ("identity", "source", "note"),
    [
        ("md5 None range 11 19", "cells.h5ad", "It was read by range where it is published"),
        ("md5 {md5} local 19 1", "cells.h5ad", "A copy on the operator's machine was read"),
        ("local mine.h5ad 3 4", "mine.h5ad", "the operator had it on this machine"),
        ("sha256 " + "0" * 64, "cells.h5ad", "the operator had it on this machine"),
    ],
)
def test_how_a_matrix_was_read_is_said(copy: Release, identity: str, source: str, note: str) -> None:
    (row,) = copy.table("perturb_targets").collect().rows(named=True)
    own = {name: value for name, value in row.items() if name != "release"}
    read = identity.format(md5=copy.table("figshare_files").collect()["md5"][0])
    publish(copy.store, "perturb_targets", [{**own, "source_identity": read, "source": source}], None)
    (origin,) = copy.trace("perturb_targets", 0).subject.origins
    assert note in " ".join(origin.notes)
    assert (origin.file is None) == ("the operator had it" in note)
