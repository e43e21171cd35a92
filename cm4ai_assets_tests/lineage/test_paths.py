"""From any path of the storage, and from an exported folder, to what it was made of; and back from bytes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.errors import SelectionError
from cm4ai_assets.lineage.outside import EXPORT_RECORD as RECORD
from cm4ai_assets.lineage.products import DOCUMENT
from cm4ai_assets.lineage.steps import StepKind
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.lineage.traces import Trace
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.addresses import path_within
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Input, Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.images.published import KEY
from cm4ai_assets_tests.lineage.world import CONDITIONS, FIELDS, PROFILES, RUN, SOFTWARE, TWIN

UNTREATED, PACLITAXEL = (f"Files/images_{condition}.zip" for condition in CONDITIONS)
OF_IMAGES = {"if_archive", "if_images", "if_antibodies", "if_fields", "if_tensors", "if_quality", "if_cells"}
OF_FIELDS = {"proteins", "splits", "if_plates", "if_effects"}
METADATA = {"crate_entities", "crate_edges", "release_datasheet"}
"""Every ZIP is looked through for crates."""


def tensor(release: Release, condition: str) -> str:
    return str(release.table("if_tensors").filter(condition=condition).collect()["path"].item())


def made(trace: Trace, kind: StepKind = StepKind.TABLE) -> set[str]:
    """The names of what was made, without their partitions."""
    return {step.name.split(" ")[1] for step in trace.made if step.kind is kind}


def test_every_kind_of_file_says_where_it_comes_from_or_that_it_is_no_product(release: Release) -> None:
    kinds = {
        re.sub(r"[0-9a-f]{8,}|/(?:[0-9a-f]{2}|condition=.*?|\d+)(?=/)", "", path): path
        for path in release.store.find("")
    }
    refused = {path for path in kinds.values() if not _is_traced(release, path)}
    assert {path.rsplit("/", 1)[0] for path in refused} <= {layout.ENVIRONMENTS}
    assert len(kinds) > 100


def _is_traced(release: Release, path: str) -> bool:
    try:
        trace = trace_thing(release.store, path)
    except SelectionError as error:
        if "nothing whose origin is recorded by itself" not in str(error):
            raise
        return False
    ends = ("usage_metrics", "release_", layout.RELEASES)  # an answer of the archive is their origin
    return bool(trace.files or trace.made or any(word in path for word in ends)) and bool(str(trace))


def test_a_path_is_taken_in_every_form_in_which_a_person_has_it(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layout.table_path(tables.table("if_fields"), Partition(KEY, "untreated"))
    root = Path(release.store.root)
    monkeypatch.chdir(root / "tables")
    forms = (path, f"{root}/{path}", f"file://{root}/{path}", path.removeprefix("tables/"), f"./{path}/../data.parquet",
             path.removesuffix("/data.parquet"), f"{root}/registry/../{path}")  # fmt: skip
    for form in forms:
        found = trace_thing(release.store, form).subject
        assert found.stored is not None, form
        assert (found.kind, found.stored.path) == (StepKind.TABLE, path), form


def test_a_shard_says_which_fields_it_holds(release: Release) -> None:
    store = tensor(release, "paclitaxel")
    trace = trace_thing(release.store, f"{store}/image/c/1/0/0/0")
    planes, whole = trace.subject.origins
    assert planes.rows is not None
    assert planes.rows.numbers == (16, 17)
    assert len([member for member in trace.members if member.name.endswith(".jpg")]) == 8
    recorded = release.store.digests.read(store)
    assert recorded is not None
    assert f"SHA-256 of this file: {recorded.files['image/c/1/0/0/0'].sha256}." in trace.subject.notes
    assert whole.stored is not None
    assert whole.stored.making is not None
    assert whole.stored.making.run_id == RUN
    described = trace_thing(release.store, f"{store}/zarr.json")
    assert "It holds no field, nucleus or target: it describes the store." in described.subject.notes
    (cells,) = release.table("if_cells").filter(condition="paclitaxel").collect()["path"].unique()
    (rows, _) = trace_thing(release.store, f"{cells}/nuclei/c/1/0/0").subject.origins
    assert rows.rows is not None
    assert (rows.rows.table, rows.rows.numbers) == ("if_cells", (1,))
    (targets, _) = trace_thing(release.store, f"{PROFILES}/mean/c/0/0").subject.origins
    assert targets.rows is not None
    assert targets.rows.key == {"target": "TP53"}


def test_levels_and_statistics_lead_to_their_tensor(copy: Release) -> None:
    store = tensor(copy, "untreated")
    name = store.rsplit("/", 1)[1].removesuffix(".zarr")
    level, statistics = layout.level_path(name, 128), layout.statistics_path(name)
    for path in (f"{level}/zarr.json", statistics):
        Path(copy.store.address(path)).parent.mkdir(parents=True, exist_ok=True)
        Path(copy.store.address(path)).write_bytes(b"{}")
    for path in (level, f"{level}/zarr.json", statistics):
        trace = trace_thing(copy.store, path)
        assert [step.stored.path for step in trace.subject.origins if step.stored] == [store]
        assert UNTREATED in {file.path for file in trace.files}
    copy.store.remove(store)
    assert "It is not stored here any more." in str(trace_thing(copy.store, level))


@pytest.mark.parametrize(
    "name", ["label", "path", "id", "md5", "sha256", "blob", "address", "blocks of an index entry", "twin"]
)
def test_a_published_file_leads_to_all_that_was_made_of_it(release: Release, name: str) -> None:
    lock = release.store.table("release_files", Partition(KEY)).collect().filter(label="images_paclitaxel.zip")
    (row,) = lock.rows(named=True)
    sha256 = release.table("if_archive").filter(condition="paclitaxel").collect()["sha256"].item()
    blob = f"blobs/sha256/{sha256[:2]}/{sha256}"
    thing = {
        "label": row["label"], "path": PACLITAXEL, "id": str(row["file_id"]), "md5": row["digest"].upper(),
        "sha256": sha256, "blob": blob, "address": f"file://{release.store.root}/{blob}",
        "blocks of an index entry": f"blobs/index/md5/{row['digest'][:2]}/{row['digest']}.json",
        "twin": "new_images_paclitaxel.zip",
    }[name]  # fmt: skip
    trace = trace_thing(release.store, thing)
    assert made(trace) == OF_IMAGES | OF_FIELDS | METADATA
    assert {step.name for step in trace.made if step.kind is StepKind.STORE} == {
        f"store {tensor(release, 'paclitaxel')}", *(f"store {path}" for path in
        release.table("if_cells").filter(condition="paclitaxel").collect()["path"].unique())
    }  # fmt: skip
    assert not [step for step in trace.made if "untreated" in step.name]
    assert {one.run_id for one in trace.runs} == {RUN}
    releases = {note for step in trace.steps for note in step.notes if note.startswith("Listed by")}
    both = {f"Listed by {KEY}.", f"Listed by {TWIN}."}
    assert releases == (both if name in {"md5", "sha256", "blob", "address", "blocks of an index entry"} else
                        {f"Listed by {TWIN}."} if name == "twin" else {f"Listed by {KEY}."})  # fmt: skip


def test_what_comes_from_which_file_is_said_with_the_number_of_rows(release: Release) -> None:
    trace = trace_thing(release.store, "secms.zip")
    assert made(trace) == {"secms_profiles", "secms_proteins", "proteins", *METADATA}
    notes = {step.name.split(" ")[1]: step.notes[0] for step in trace.made}
    assert notes["secms_proteins"] == "Directly from Files/secms.zip (doi:10.5072/FK2/TESTED): 1 of its 1 rows name it."
    assert notes["proteins"] == "Through secms_proteins."
    assert "0 of its 1 rows name it" in notes["crate_entities"]
    crate = {step.name.split(" ")[1]: step.notes[0] for step in trace_thing(release.store, "crate.zip").made}
    assert "1 of its 1 rows name it" in crate["crate_edges"]
    assert "1 of its 2 rows name it" in crate["release_datasheet"]
    assert made(trace_thing(release.store, "MSV000000001/metadata/A_Sample_Annotation.tsv")) == {
        "apms_runs",
        "proteins",
    }
    assert made(trace_thing(release.store, "1/cells.h5ad")) == {"perturb_targets", "perturb_cells", "proteins"}
    assert {step.name for step in trace_thing(release.store, "cells.h5ad").made} >= {f"store {PROFILES}"}
    nothing = trace_thing(release.store, "SRR1")
    assert nothing.made == ()
    assert "Nothing that is published here was made of it." in str(nothing)
    assert nothing.subject == trace_thing(release.store, "SRR1_1.fastq.gz").subject


def test_without_records_of_runs_the_way_back_is_as_the_rules_say(copy: Release) -> None:
    recorded = trace_thing(copy.store, "images_untreated.zip")
    copy.store.fs.rm(copy.store.address(layout.MAKINGS), recursive=True)
    ruled = trace_thing(copy.store, "images_untreated.zip")
    assert [step.name for step in ruled.made] == [step.name for step in recorded.made]
    assert ruled.runs == ()


def test_bytes_that_no_release_lists_are_a_blob(copy: Release) -> None:
    place = layout.table_path(tables.table("release_files"), Partition(KEY))
    rows = copy.store.table("release_files", Partition(KEY)).collect()
    with copy.store.stage_table("release_files", Partition(KEY), rows.filter(rows["label"] != "apms.zip")) as staged:
        copy.store.publish_table(staged)
    assert copy.store.exists(place)
    (blob,) = {step.stored.path for step in copy.trace("apms_interactions", condition="untreated").steps
               if step.kind is StepKind.BLOB and step.stored}  # fmt: skip
    trace = trace_thing(copy.store, blob)
    assert trace.subject.kind is StepKind.BLOB
    assert trace.subject.notes == ("No release here lists a file with these bytes.",)


def test_a_document_leads_to_what_its_run_was_given(copy: Release) -> None:
    document, place = DOCUMENT["croissant"], Partition(KEY)
    with copy.store.stage_document(document, place, {document.entry: b"{}"}) as staged:
        published = copy.store.publish_document(staged)
    folder = layout.document_folder(document, place)
    splits = layout.table_path(tables.table("splits"), place)
    digest = copy.store.digests.present(splits)[""].sha256
    ended = copy.trace("splits", 0).runs[0].ended
    making = Making(
        folder, published.digest, "croissant", KEY, None, RUN, "1", None, ended, SOFTWARE, (Input(splits, digest),)
    )
    Makings(copy.store).note(making, "")
    for path in (folder, published.folder, published.entry, f"{folder}/{layout.CURRENT}"):
        trace = trace_thing(copy.store, path)
        assert trace.subject.kind is StepKind.DOCUMENT
        assert [step.name for step in trace.subject.origins] == [f"table splits ({KEY})"]
        assert {file.path for file in trace.files} == {UNTREATED, PACLITAXEL}
    assert "croissant" in made(trace_thing(copy.store, "images_untreated.zip"), StepKind.DOCUMENT)
    with copy.store.stage_document(document, place, {document.entry: b"[]"}) as staged:
        copy.store.publish_document(staged)
    with pytest.raises(SelectionError, match="of a version that is no longer published"):
        trace_thing(copy.store, published.entry)
    Path(copy.store.address(f"{folder}/{layout.CURRENT}")).write_bytes(b"{}")
    damaged = {step.name: step for step in trace_thing(copy.store, "images_untreated.zip").made}
    assert "is damaged" in " ".join(damaged[f"document croissant ({KEY})"].notes)


def test_an_exported_file_leads_back_by_the_record_of_its_folder(release: Release, tmp_path: Path) -> None:
    (row,) = release.table("if_tensors").filter(condition="untreated").collect().rows(named=True)
    lock = release.store.table("release_files", Partition(KEY)).collect().filter(label="images_untreated.zip")
    sources = [
        {"kind": "tensor store", "path": row["path"], "digest": row["digest"]},
        {"kind": "published file", "file_id": lock["file_id"].item(), "label": "images_untreated.zip"},
        {"kind": "published file", "file_id": None, "sha256": row["source_sha256"], "tables": ["x"]},
        {"kind": "guess"},
    ]
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "a.jpg").write_bytes(b"x")
    (tmp_path / "out" / RECORD).write_text(
        json.dumps({"release": KEY, "doi": "doi:x", "version": "2.0", "sources": sources})
    )
    for place in (tmp_path / "out", tmp_path / "out" / "deep" / "a.jpg", tmp_path / "out" / RECORD):
        trace = trace_thing(release.store, str(place))
        assert trace.subject.kind is StepKind.EXPORT
        assert trace.subject.origins[0].stored is not None
        assert trace.subject.origins[0].stored.path == row["path"]
        assert UNTREATED in {file.path for file in trace.files}
        assert "It is not complete" in str(trace)
    (tmp_path / "out" / RECORD).write_text("[]")
    with pytest.raises(SelectionError, match="is no record of an export"):
        trace_thing(release.store, str(tmp_path / "out"))


def test_a_published_folder_is_traced_by_its_own_records(release: Release, copy: Release, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    for room in ("tables", "tensors", "registry"):
        shutil.copytree(Path(copy.store.root) / room, bag / "data" / room)
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\n")
    (bag / "README.md").write_text("what it is")
    path = layout.table_path(tables.table("if_fields"), Partition(KEY, "untreated"))
    trace = trace_thing(release.store, str(bag / "data" / path))
    assert {file.path for file in trace.files} == {UNTREATED}
    assert {making.run_id for making in trace.runs} == {RUN}
    assert f"It stands in the published folder {bag}, and is traced by the records in there." in trace.subject.notes
    shard = trace_thing(
        release.store, str(bag / "data" / tensor(release, "untreated") / "image/c/0/0/0/0"), verify=True
    )
    assert shard.held is not None
    assert not [one for one in shard.held if one.problems]
    with pytest.raises(SelectionError, match="is no part of what"):
        trace_thing(release.store, str(bag / "README.md"))


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("images_paclitaxl.zip", "no published file .* Did you mean images_paclitaxel.zip"),
        ("if_feilds", "no table .* Did you mean if_fields"),
        ("/etc/passwd", "nothing that stands in .*, no published file .* and in no exported folder"),
        ("../../etc/passwd", "nothing that stands in"),
        ("tables/if_fields", "nothing whose origin is recorded by itself"),
        ("https://example.org/x.zip", "nothing that stands in"),
        ("f" * 64, "no published file"),
    ],
)
def test_what_is_nothing_is_refused_with_what_is_like_it(release: Release, thing: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        trace_thing(release.store, thing)


def test_only_the_files_of_a_release_are_taken_where_one_is_named(release: Release) -> None:
    assert len(trace_thing(release.store, "images_untreated.zip", release=KEY).files) == 1
    with pytest.raises(SelectionError, match=f"{TWIN} lists no file images_untreated.zip. It is listed by {KEY}"):
        trace_thing(release.store, "images_untreated.zip", release=TWIN)


def test_nothing_published_is_said(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="cm4ai materialize --release latest"):
        trace_thing(Store(str(tmp_path / "nothing"), scratch=tmp_path), "a/b.zip")


def test_the_fields_of_the_world_need_two_shards() -> None:
    assert FIELDS > 16


def test_a_path_that_climbs_out_of_the_storage_is_not_in_it(copy: Release) -> None:
    beside = Path(copy.store.root).parent / "beside.txt"
    beside.write_text("not of the storage")
    inside = copy.store.address(layout.table_path(tables.table("splits"), Partition(KEY)))
    assert path_within(copy.store, f"file://{inside}") is not None
    for thing in ("../beside.txt", "tables/../../beside.txt", str(beside), f"s3://{inside}"):
        assert path_within(copy.store, thing) is None, thing
        with pytest.raises(SelectionError, match="nothing that stands in"):
            trace_thing(copy.store, thing)
