"""The datasheet of the derived release: valid D4D, answered from the tables, and what was published marked as such."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import polars as pl
import pytest
import yaml

from cm4ai_assets.access import Release
from cm4ai_assets.crates.datasheet import Document, read_document
from cm4ai_assets.findings import Finding
from cm4ai_assets.publication.d4d import datasheet_yaml
from cm4ai_assets.publication.d4d_origins import raw_data
from cm4ai_assets_tests.publication.releases import delivery_of
from cm4ai_assets_tests.shared import SHARED, needs_shared

SCHEMA = SHARED / "data" / "schemas" / "d4d-2.0.0.schema.json"


@pytest.fixture(scope="module")
def data(release: Release) -> bytes:
    return datasheet_yaml(release, delivery_of(release))


@pytest.fixture(scope="module")
def sheet(data: bytes) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(data)
    return content


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in items if one.get("name") == name)


def carried(text: str) -> dict[str, str]:
    return {"description": text, "source_caveats": "Carried over as published (d4d.yaml); not verified here."}


@needs_shared
def test_it_is_valid_against_the_published_schema(sheet: dict[str, Any]) -> None:
    schema = json.loads(SCHEMA.read_bytes())
    validator = jsonschema.Draft201909Validator({"$ref": "#/$defs/Dataset", "$defs": schema["$defs"]})

    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(sheet)] == []
    assert list(validator.iter_errors({**sheet, "splits": "none"})), "the schema refuses what is not D4D"


def test_our_own_reader_of_datasheets_finds_no_deviation_in_it(data: bytes, sheet: dict[str, Any]) -> None:
    root, notes = read_document(Document("datasheet.yaml", "d4d", data))

    assert root is not None
    assert notes == []
    assert {one.path: one.deviations for one in root.walk() if one.deviations} == {}
    read = {one.path: one.text for one in root.walk() if one.text is not None}
    assert read["was_derived_from"] == "https://doi.org/10.5072/FK2/TESTED"
    assert set(root.children) == set(sheet)


def test_every_statement_says_whether_it_is_carried_over_or_counted(sheet: dict[str, Any]) -> None:
    free = {"related_datasets", "file_collections"}
    objects = [
        (slot, one)
        for slot, value in sheet.items()
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, dict) and slot not in free
    ]

    assert len(objects) > 30
    for slot, one in objects:
        assert one["source_caveats"].startswith(("Carried over as published", "Counted over", "Found by")), slot


def test_images_of_each_protein_are_counted_by_condition(sheet: dict[str, Any]) -> None:
    counts = sheet["subpopulations"]

    assert named(counts, "conditions")["distribution"] == "Fields of view: untreated 8, paclitaxel 8"
    assert named(counts, "TP53")["distribution"] == "Fields of view: untreated 2, paclitaxel 2"
    assert named(counts, "EGFR")["distribution"] == "Fields of view: untreated 2, paclitaxel 1"
    assert named(counts, "EGFR")["id"] == "ENSG00000146648"


def test_instances_are_counted_and_say_what_they_lack(sheet: dict[str, Any]) -> None:
    fields = named(sheet["instances"], "if_fields")

    assert (fields["counts"], fields["label"]) == (16, True)
    assert fields["missing_information"][0]["missing"] == [
        "Antibody of 16 fields: 1", "Place in the tensor of 16 fields: 1",
    ]  # fmt: skip


def test_splits_state_their_sides_and_why_fields_are_on_none(sheet: dict[str, Any]) -> None:
    found = named(sheet["splits"], "protein")["split_details"]

    assert found.startswith("Fields of view: train ")
    assert "antibody_unknown 1, control 4" in found
    assert carried("No recommended splits provided.") in sheet["splits"]


def test_missing_values_flags_and_withheld_files_are_stated(sheet: dict[str, Any]) -> None:
    missing = sheet["missing_data_documentation"]

    assert "antibody_id 1" in named(missing, "if_fields")["missing_data_patterns"]
    assert named(missing, "cells.zip")["missing_data_causes"] == "Access: embargoed, available on 2027-01-31."
    assert named(sheet["anomalies"], "if_fields: several_z")["anomaly_details"] == (
        "2 of 16 rows carry several_z in defects."
    )


def test_processing_of_each_table_is_described_and_raw_deposits_are_named(
    release: Release, sheet: dict[str, Any]
) -> None:
    steps = {one["name"]: one["preprocessing_details"] for one in sheet["preprocessing_strategies"] if "name" in one}

    assert set(steps) == {one.name for one in delivery_of(release) if one.table is not None}
    assert steps["if_fields"].endswith("16 rows.")
    assert "Made from: " in steps["if_fields"]


def test_deposits_of_raw_data_are_counted_by_accession() -> None:
    deposits = pl.LazyFrame({"accession": ["MSV2", "MSV1", "MSV1"], "kind": ["raw_run", "raw_run", "metadata"]})
    runs = pl.LazyFrame({"bioproject": ["PRJNA1", "PRJNA1", None], "access": ["public", "no_files", "public"]})
    found = raw_data({"massive_files": deposits, "sra_runs": runs}.__getitem__, {"massive_files", "sra_runs"})

    assert [(one["name"], one["source_description"]) for one in found] == [
        ("MassIVE MSV1", "1 raw runs among 2 files and folders of the MassIVE deposit MSV1."),
        ("MassIVE MSV2", "1 raw runs among 1 files and folders of the MassIVE deposit MSV2."),
        ("BioProject PRJNA1", "2 runs of sequences of BioProject PRJNA1, 1 of them public."),
    ]
    assert raw_data({}.__getitem__, set()) == []


def test_every_file_is_listed_with_its_digest(release: Release, sheet: dict[str, Any]) -> None:
    collections = {one["id"]: one for one in sheet["file_collections"]}
    delivered = {file.path: file for one in delivery_of(release) for file in one.files}
    listed = {one["id"]: one for group in collections.values() for one in group["resources"]}

    assert {path: listed[path]["sha256"] for path in delivered} == {p: f.sha256 for p, f in delivered.items()}
    published = collections[f"published/{release.key}"]["resources"]
    assert [(one["path"], one["md5"], one.get("status")) for one in published] == [
        ("Images/images.zip", "0" * 32, None), ("cells.zip", "1" * 32, "embargoed"),
    ]  # fmt: skip
    assert sheet["total_file_count"] == len(delivered) + 2
    assert len(collections["if_fields"]["resources"]) == 2
    assert "tensors/if_tensors/0000000000000000-4-v2.zarr" in collections


def test_what_was_published_is_carried_over_verbatim_and_marked(sheet: dict[str, Any]) -> None:
    assert sheet["purposes"] == [carried("AI-ready data: images")]
    assert {one["description"] for one in sheet["collection_timeframes"]} == {"9/1/2022", "6/1/2026"}
    assert sheet["known_biases"][0]["description"] == "Cell lines only."
    assert "representation: Confocal images" in sheet["instances"][-1]["description"]
    assert sheet["creators"][0]["id"] == "https://orcid.org/0000-0003-4060-7360"
    assert "subsets" not in sheet, "a list of files that is not ours"
    assert "Sandbox Painter" not in {one.get("description") for one in sheet["creators"]}, (
        "people are those of the page"
    )


def test_what_nobody_states_is_not_there(sheet: dict[str, Any]) -> None:
    assert not {"doi", "known_limitations", "ethical_reviews", "last_updated_on", "updates"} & set(sheet)


def test_what_checks_found_becomes_an_anomaly_and_what_passed_does_not(release: Release) -> None:
    found = [
        ("if_images", "untreated", Finding("images_named", passed=False, summary="3 of 20 rows.")),
        ("splits", None, Finding("wells_agree", passed=True, summary="fine")),
    ]
    anomalies = yaml.safe_load(datasheet_yaml(release, delivery_of(release), found))["anomalies"]

    assert named(anomalies, "if_images: untreated: images_named")["anomaly_details"] == "3 of 20 rows."
    assert not [one for one in anomalies if "wells_agree" in str(one)]


def test_the_same_release_gives_the_same_bytes(release: Release, data: bytes) -> None:
    assert datasheet_yaml(release, delivery_of(release)) == data
