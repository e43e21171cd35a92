"""What Dagster loads: the exact set of definitions, without a warning of deprecation, supersession or beta."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg

from cm4ai_assets import tables
from cm4ai_assets.definitions import defs

GROUPS = {"release", "images", "proteomics", "metadata", "perturbation", "integration", "publication"}
PROJECT = Path(__file__).resolve().parents[2]


def test_the_definitions_load_without_any_warning() -> None:
    code = "from cm4ai_assets.definitions import defs; defs.resolve_asset_graph(); defs.resolve_all_job_defs()"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_dg_checks_the_definitions() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("dg"), "check", "defs"],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout + done.stderr
    assert "deprecat" not in (done.stdout + done.stderr).lower()
    assert "supersed" not in (done.stdout + done.stderr).lower()


DOCUMENT_NAMES = {document.name for document in tables.DOCUMENTS}


def test_every_asset_is_a_table_of_the_registry_or_a_document_and_the_reverse() -> None:
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys}
    assert keys == {table.name for table in tables.ALL} | DOCUMENT_NAMES


def test_every_asset_tells_what_a_catalog_needs() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners == ["team:cm4ai"], key
        assert node.kinds, key
        assert node.tags, key
        assert node.code_version, key
        assert node.group_name == tables.group_of(key.to_user_string()), key
        assert node.group_name in {
            "release",
            "images",
            "proteomics",
            "metadata",
            "perturbation",
            "integration",
            "publication",
        }
        if key.to_user_string() not in DOCUMENT_NAMES:
            assert isinstance(node.metadata["dagster/column_schema"], dg.TableSchema), key


def test_blocking_checks_are_those_of_the_contract_and_every_check_says_what_it_protects_from() -> None:
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in graph.asset_check_keys]
    blocking = {(spec.asset_key.to_user_string(), spec.name) for spec in specs if spec.blocking}
    assert blocking == {
        *((table.name, "schema") for table in tables.ALL),
        ("if_archive", "digest_and_size"),
        ("if_archive", "zip_safe"),
        ("if_tensors", "tensor_matches_images"),
        ("if_cells", "cells_match_labels"),
        ("perturb_targets", "profiles_match_table"),
        *((name, "rows_kept") for name in ("secms_profiles", "secms_proteins", "apms_interactions", "apms_runs")),
        ("guide_library", "guides_kept"),
        ("perturb_cells", "cells_kept"),
        ("cellranger_metrics", "metrics_kept"),
        ("proteins", "ids_kept"),
        ("splits", "no_leaks"),
        *((name, "well_formed") for name in DOCUMENT_NAMES),
        ("datasheet_report", "page_small"),
        ("derived_crate", "each_file_once"),
        ("derived_crate", "no_dangling"),
        ("croissant", "loads"),
    }
    for spec in specs:
        assert spec.description, spec.key
        assert spec.partitions_def == graph.get(spec.asset_key).partitions_def, spec.key


def test_the_image_path_is_one_group_in_the_published_order() -> None:
    graph = defs.resolve_asset_graph()
    order = [key.to_user_string() for key in graph.toposorted_asset_keys if graph.get(key).group_name == "images"]
    assert order[:4] == ["if_archive", "if_images", "if_antibodies", "if_fields"]
    assert set(order[4:6]) == {"if_tensors", "if_quality"}
    assert order[6:] == ["if_cells"]
