"""From a row of any table to what it was made of, as exactly as the columns say."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.errors import SelectionError
from cm4ai_assets.lineage.chain import NOT_STORED
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets.lineage.steps import StepKind, every
from cm4ai_assets.lineage.traces import Trace
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.images.published import KEY, publish
from cm4ai_assets_tests.lineage.world import CONDITIONS, FIELDS, RUN, TWIN

UNTREATED, PACLITAXEL = (f"Files/images_{condition}.zip" for condition in CONDITIONS)
ANNOTATION = "metadata/A_Sample_Annotation.tsv"
# The published files to which the first row of each table leads. A new table belongs here, and into `world`.
FILES: dict[str, set[str]] = {
    "release_files": {UNTREATED},
    "release_changes": {"Files/secms.zip"},
    "crate_entities": {"Files/crate.zip"},
    "crate_edges": {"Files/crate.zip"},
    "release_datasheet": {"Files/crate.zip"},
    "usage_metrics": set(),
    "if_archive": {UNTREATED},
    "if_images": {UNTREATED},
    "if_antibodies": {UNTREATED},
    "if_fields": {UNTREATED},
    "if_tensors": {UNTREATED},
    "if_quality": {UNTREATED},
    "if_cells": {UNTREATED},
    "secms_profiles": {"Files/secms.zip"},
    "secms_proteins": {"Files/secms.zip"},
    "apms_interactions": {"Files/apms.zip"},
    "apms_runs": {ANNOTATION},
    "massive_files": {ANNOTATION},
    "figshare_files": {"cells.h5ad"},
    "sra_runs": {"SRR1_1.fastq.gz"},
    "perturb_targets": {"cells.h5ad"},
    "guide_library": {"guides.csv"},
    "perturb_cells": {"cells.h5ad"},
    "cellranger_metrics": {"Files/statistics.csv"},
    "proteins": {UNTREATED, PACLITAXEL, "Files/secms.zip", "Files/apms.zip", ANNOTATION, "guides.csv", "cells.h5ad"},
    "splits": {UNTREATED, PACLITAXEL},
    "if_plates": {PACLITAXEL},
    "if_effects": {PACLITAXEL, UNTREATED},
}
OUTSIDE = {"usage_metrics": "counts of doi:10.5072/FK2/TESTED by DataCite"}
"""Tables of what services answered: no file is published of it, and the chain ends with their names."""


def first(release: Release, name: str) -> Trace:
    """The trace of the first row of a table."""
    by_condition = tables.table(name).partitioning is Partitioning.CONDITION_RELEASE
    place = Partition(KEY if name != "usage_metrics" else "", "untreated" if by_condition else None)
    row = release.store.table(name, place).collect().row(0, named=True)
    return release.trace(name, row)


def rows_of(trace: Trace, name: str) -> dict[str | None, tuple[int, ...]]:
    """The rows of a table in a chain, by condition."""
    found = [step.rows for step in trace.steps if step.rows is not None and step.kind is StepKind.ROWS]
    return {one.condition: one.numbers for one in found if one.table == name}


@pytest.mark.parametrize("name", [table.name for table in tables.ALL])
def test_a_row_of_every_table_leads_to_published_files_with_digests_and_runs(release: Release, name: str) -> None:
    trace = first(release, name)
    assert {file.path for file in trace.files} == FILES[name]
    assert [step.name for step in trace.steps if step.kind is StepKind.OUTSIDE and not trace.files] == [
        OUTSIDE[one] for one in (name,) if one in OUTSIDE
    ]
    for file in trace.files:
        assert file.dataset
        assert (file.version is not None) == (file.archive in {"dataverse", "figshare"})
        assert file.sha256 is not None or file.archive == "ena"
        assert file.digest is not None or file.archive == "massive"
    made = [step.stored for step in trace.steps if step.stored and step.stored.path.startswith("tables/")]
    assert made
    assert all(one.digest and one.making and one.making.run_id == RUN for one in made)
    assert trace.stale == ()
    assert not [note for step in trace.steps for note in step.notes if "not known" in note]


@pytest.mark.parametrize("name", [table.name for table in tables.ALL])
def test_every_table_as_a_whole_leads_to_published_files(release: Release, name: str) -> None:
    by_condition = tables.table(name).partitioning is Partitioning.CONDITION_RELEASE
    trace = release.trace(name, condition="untreated" if by_condition else None)
    assert trace.subject.kind is StepKind.TABLE
    if name not in {"release_files", "release_changes", "usage_metrics"}:  # of which the archive's answer is the origin
        assert FILES[name] & {file.path for file in trace.files} or name in {
            "massive_files",
            "figshare_files",
            "sra_runs",
        }
        assert trace.files


def test_every_table_has_a_rule_and_no_other(release: Release) -> None:
    assert set(RULES) == {table.name for table in tables.ALL} == set(FILES)
    assert {read for rule in RULES.values() for read in rule.reads} <= set(RULES)


def test_a_field_leads_to_its_images_its_antibody_and_its_line(release: Release) -> None:
    trace = release.trace("if_fields", "B2AI_1_untreated_A1_R3_z01")
    (row,) = (
        release.table("if_fields").filter(pl.col("field_id") == "B2AI_1_untreated_A1_R3_z01").collect().rows(named=True)
    )
    images, antibody, manifest = trace.subject.origins
    assert [member.name for member in images.origins[0].members] == [
        f"untreated/{channel}/B2AI_1_untreated_A1_R3_z01_{channel}.jpg"
        for channel in ("red", "green", "blue", "yellow")
    ]
    assert manifest.lines == (row["manifest_row"],)
    assert [member.name for member in manifest.members] == ["untreated/manifest.csv"]
    assert antibody.rows is not None
    assert antibody.rows.key == {"antibody_id": "HPA000001", "target_index": 0}
    assert antibody.origins[0].lines == tuple(range(3, FIELDS + 2))
    blob = Path(release.store.root) / str(trace.files[0].sha256 and _blob(release, trace))
    with zipfile.ZipFile(blob) as archive:
        for member in trace.members:
            info = archive.getinfo(member.name)
            assert (member.crc32, member.size, member.header_offset) == (info.CRC, info.file_size, info.header_offset)


def _blob(release: Release, trace: Trace) -> str:
    (stored,) = {step.stored.path for step in trace.steps if step.kind is StepKind.FILE and step.stored is not None}
    return stored


def test_a_field_of_the_tensor_leads_to_its_shard_and_its_images(release: Release) -> None:
    trace = release.trace("if_tensors", 17, condition="PTXL")
    stored = trace.subject.stored
    assert stored is not None
    assert stored.part == "image/c/1/0/0/0"
    assert stored.making is not None
    assert stored.path == release.table("if_tensors").filter(condition="paclitaxel").collect()["path"].item()
    field = release.table("if_fields").filter(condition="paclitaxel", tensor_index=17).collect()["field_id"].item()
    assert rows_of(trace, "if_fields").keys() == {"paclitaxel"}
    assert len(trace.members) == 5
    assert all(field in member.name for member in trace.members if member.name.endswith(".jpg"))
    assert len(rows_of(trace, "if_quality")["paclitaxel"]) == 4
    whole = release.trace("if_tensors", {"path": stored.path})
    assert whole.subject.kind is StepKind.ROWS
    assert {file.path for file in whole.files} == {PACLITAXEL}


def test_of_two_zips_of_a_condition_only_the_one_that_was_read_is_an_origin(copy: Release) -> None:
    rows = copy.store.table("release_files", Partition(KEY)).collect().rows(named=True)
    own = [{name: value for name, value in row.items() if name != "release"} for row in rows]
    other = {**own[0], "label": "images_untreated_again.zip", "file_id": 900, "digest": "0" * 32}
    publish(copy.store, "release_files", [other, *own], None)
    stored = next(
        row for row in rows if row["label"] == "apms.zip"
    )  # bytes that are stored, and were not read for this
    second = {**own[0], "label": "other.zip", "file_id": 901, "digest": stored["digest"], "size": stored["size"]}
    publish(copy.store, "release_files", [other, second, *own], None)
    for row in ({"path": copy.table("if_tensors").collect()["path"][0]}, 3):
        assert UNTREATED in {file.path for file in copy.trace("if_tensors", row, condition="untreated").files}
        assert "Files/other.zip" not in {
            file.path for file in copy.trace("if_tensors", row, condition="untreated").files
        }
    assert {file.path for file in copy.trace("if_images", 0, condition="untreated").files} == {UNTREATED}


def test_what_is_counted_or_compared_leads_to_the_very_rows(release: Release) -> None:
    plates, effects = release.trace("if_plates", 0), release.trace("if_effects", 0)
    (row,) = release.table("if_effects").collect().rows(named=True)
    assert len(rows_of(plates, "if_fields")["paclitaxel"]) == FIELDS - 1  # the control stands in row H
    used = rows_of(effects, "if_fields")
    assert {condition: len(numbers) for condition, numbers in used.items()} == dict.fromkeys(
        CONDITIONS, row["n_fields"]
    )
    splits = release.trace("splits", 0)
    fields = release.table("if_fields").filter(condition="paclitaxel").collect()["field_id"].to_list()
    assert rows_of(splits, "if_fields") == {"paclitaxel": (fields.index("B2AI_1_paclitaxel_A1_R3_z01"),)}
    proteins = release.trace("proteins", "ENSG00000141510")
    for name in ("secms_proteins", "apms_interactions", "apms_runs"):
        assert rows_of(proteins, name) == {"untreated": (0,)}, name
    assert rows_of(proteins, "guide_library") == {None: (0,)}
    assert all(len(numbers) == FIELDS - 1 for numbers in rows_of(proteins, "if_fields").values())


def test_other_genes_rows_are_not_among_the_origins_of_a_protein(copy: Release) -> None:
    rows = copy.store.table("secms_proteins", Partition(KEY, "untreated")).collect().rows(named=True)
    other = {**rows[0], "protein_group": "P00533", "members": ["P00533"], "uniprot_ids": ["P00533"]}
    unseen = {**rows[0], "occurrence": 1, "quantified_fractions": 0}
    beside = {**rows[0], "protein_group": "GROUP_1", "members": ["GROUP_1"], "uniprot_ids": ["P04637"]}
    foreign = {**rows[0], "protein_group": "CON__1", "members": ["CON__1"], "uniprot_ids": ["P04637"]}
    own = [{name: value for name, value in row.items() if name not in {"release", "condition"}}
           for row in (other, unseen, beside, rows[0], foreign)]  # fmt: skip
    publish(copy.store, "secms_proteins", own, "untreated")
    assert rows_of(copy.trace("proteins", 0), "secms_proteins") == {"untreated": (2, 3)}


def test_a_row_of_the_manifest_without_an_image_is_no_origin_of_a_protein(copy: Release) -> None:
    fields = copy.store.table("if_fields", Partition(KEY, "paclitaxel")).drop("release", "condition").collect()
    counted = rows_of(copy.trace("proteins", 0), "if_fields")["paclitaxel"]
    lost = {"defects": ["no_images"], "tensor_index": None}
    own = [row | (lost if number == counted[0] else {}) for number, row in enumerate(fields.rows(named=True))]
    publish(copy.store, "if_fields", own, "paclitaxel")
    assert rows_of(copy.trace("proteins", 0), "if_fields")["paclitaxel"] == counted[1:]


def test_a_profile_leads_to_the_line_of_its_protein_group(release: Release) -> None:
    trace = release.trace("secms_profiles", 0, condition="untreated")
    (group,) = trace.subject.origins
    (member,) = group.origins
    assert (member.members[0].name, member.lines) == ("tables/ctrl.tsv", (7,))
    assert member.members[0].crc32 is not None


def test_each_profile_leads_to_its_own_group(copy: Release) -> None:
    for name in ("secms_proteins", "secms_profiles"):
        (row,) = copy.store.table(name, Partition(KEY, "untreated")).collect().rows(named=True)
        own = {column: value for column, value in row.items() if column not in {"release", "condition"}}
        changed = {"source_line": 8} if name == "secms_proteins" else {}
        publish(copy.store, name, [own, {**own, "protein_group": "P00533", **changed}], "untreated")
    trace = copy.trace("secms_profiles", 1, condition="untreated")
    assert rows_of(trace, "secms_proteins") == {"untreated": (1,)}
    assert trace.subject.origins[0].origins[0].lines == (8,)


def test_what_no_archive_lists_says_so(release: Release) -> None:
    run = release.trace("sra_runs", {"sample": "S2", "run": None})
    assert run.files == ()
    assert "No file of it is listed: embargoed until 2028-01-01." in str(run)
    page = release.trace("release_datasheet", {"source": "landing-page.jsonld", "row": 0})
    assert "landing page of doi:10.5072/FK2/TESTED, version 2.0" in page.subject.origins[0].name
    folder = release.trace("massive_files", {"accession": "MSV000000001", "path": "raw/one.d"})
    assert f"A folder of one acquisition. SHA-256 over the list of its files: {'a' * 64}." in str(folder)
    assert NOT_STORED in str(folder)


def test_a_release_with_the_same_bytes_leads_to_its_own_files_too(release: Release) -> None:
    twin = Release(TWIN, release.store)
    trace = twin.trace("if_fields", 2, condition="untreated")
    assert {(file.path, file.version) for file in trace.files} == {
        (UNTREATED, "2.0"),
        ("new_images_untreated.zip", "3.0"),
    }
    assert f"It was made for release {KEY}, from the same published bytes as {TWIN} has." in trace.subject.notes
    assert f"made for release {KEY}" in str(twin.trace("if_tensors", 2, condition="untreated"))
    assert f"made for release {KEY}" in str(twin.trace("if_fields", condition="untreated"))
    given = twin.table("if_fields").filter(condition="untreated").collect().row(2, named=True)
    assert twin.trace("if_fields", given).subject.rows == trace.subject.rows
    with pytest.raises(SelectionError, match=f"is of release {TWIN}, not of {KEY}"):
        release.trace("if_fields", given)


def test_a_trace_is_text_and_json(release: Release) -> None:
    trace = release.trace("if_fields", 1, condition="untreated")
    text = str(trace)
    assert repr(trace) == text
    assert text.count("published file Files/images_untreated.zip (see above)") == 2
    stated = json.loads(json.dumps(trace.as_json()))
    assert len(stated["steps"]) == len(trace.steps)
    (file,) = [step["file"] for step in stated["steps"] if step["kind"] == "published file"]
    assert (file["digest"], file["dataset"]) == (trace.files[0].digest, trace.files[0].dataset)
    subject = stated["steps"][stated["subject"]]
    assert subject["stored"]["making"]["run_id"] == RUN
    assert [stated["steps"][place]["kind"] for place in subject["origins"]] == ["rows", "rows", "members"]
    assert every(trace.subject) == trace.steps


def test_hostile_names_are_shown_and_not_obeyed(copy: Release) -> None:
    (row, *others) = copy.store.table("release_files", Partition(KEY)).collect().rows(named=True)
    bad = "im\x1b[2Jages\n\u202egnp.zip"
    own = [
        {name: value for name, value in one.items() if name != "release"} for one in ({**row, "label": bad}, *others)
    ]
    publish(copy.store, "release_files", own, None)
    place = Partition(KEY, "untreated")
    images = copy.store.table("if_images", place).collect().with_columns(pl.col("member") + "\x1b[2J")
    with copy.store.stage_table("if_images", place, images) as staged:
        copy.store.publish_table(staged)
    trace = copy.trace("if_images", 0, condition="untreated")
    assert trace.files[0].path == f"Files/{bad}"
    for line in str(trace).split("\n"):
        assert line.isprintable(), line
    assert json.loads(json.dumps(trace.as_json()))["steps"][-1]["file"]["path"] == f"Files/{bad}"
