"""A small release to describe, laid out without images or server: every type of column, partitions, and a store."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.integration.mapping import GeneMapping
from cm4ai_assets.integration.proteins import protein_rows
from cm4ai_assets.integration.splits import split_rows
from cm4ai_assets.lineage.delivered import Delivered, delivered
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets_tests.images.published import GENES, KEY, field, publish, release_of
from cm4ai_assets_tests.publication.test_citation import CRATE, PAGE

DOI = "doi:10.5072/FK2/TESTED"
LICENSE = "CC BY-NC-SA 4.0"
CREDIT = {"doi": DOI, "version": "2.0", "license": LICENSE}
RECORD = ReleaseRecord(
    key="", doi=DOI, major=2, minor=0, title="June 2026 Data Release", published=date(2026, 6, 17),
    released=datetime(2026, 7, 15, tzinfo=UTC), archive="http://127.0.0.1:9",
)  # fmt: skip
DATASHEET = """\
creators:
  - principal_investigator: Sandbox Painter
purposes:
  - response: "AI-ready data: images"
instances:
  - representation: Confocal images
    label: No supervised labels
    sampling_strategies:
      - is_random:
          - No stated random sampling
splits:
  - description: No recommended splits provided.
subsets:
  - name: a.zip
"""
WELLS = ("A1", "A2", "B3", "H12")


def described(folder: Path) -> Release:
    """Two conditions of eight fields, with a store, splits, coverage, datasheets and a locked list of files."""
    fields = {condition: _fields(condition) for condition in ("untreated", "paclitaxel")}
    release = release_of(folder, fields)
    ReleaseRegistry(release.store).register([RECORD])
    store = release.store
    for condition in fields:
        publish(store, "if_antibodies", _antibodies(), condition)
    publish(store, "if_tensors", [_tensor(store.root)], "untreated")
    publish(store, "release_files", _locked(), None)
    publish(store, "massive_files", [_deposited()], None)
    publish(store, "guide_library", _guides(), None)
    _over_all(release)
    documents = [Document("landing-page.jsonld", "landing_page", json.dumps(PAGE).encode()),
                 Document("ro-crate-metadata.json", "crate_root", json.dumps(CRATE).encode()),
                 Document("d4d.yaml", "d4d", DATASHEET.encode())]  # fmt: skip
    place(release, "release_datasheet", datasheet_table(documents, release=KEY))
    return release


def few(folder: Path) -> Release:
    """Four tables of some rows: what is altered or held against itself again and again."""
    release = release_of(folder, {})
    ReleaseRegistry(release.store).register([RECORD])
    publish(release.store, "release_files", _locked(), None)
    publish(release.store, "massive_files", [_deposited()], None)
    publish(release.store, "guide_library", _guides(), None)
    publish(release.store, "if_fields", _fields("paclitaxel"), "paclitaxel")
    return release


def delivery_of(release: Release) -> tuple[Delivered, ...]:
    """What the release delivers."""
    return delivered(release.store, release.key)


def place(release: Release, name: str, frame: pl.DataFrame, condition: str | None = None) -> None:
    """Publish a frame as a partition of a table, with the credit that a step would give it."""
    placed = tables.table(name).place(frame, release=KEY, condition=condition)
    partition = Partition(KEY, condition)
    with release.store.stage_table(name, partition, placed, credit=CREDIT) as staged:
        release.store.publish_table(staged)


def _fields(condition: str) -> list[dict[str, Any]]:
    antibodies = dict(zip(WELLS, GENES, strict=True))
    rows = [field(f"B2AI_1_{condition}_{well}_R{region}_z01", antibodies[well]) for well in WELLS for region in (1, 2)]
    rows[1] |= {"defects": ["several_z"], "defect_members": ["a.jpg"]}
    if condition == "paclitaxel":
        rows[3] |= {"antibody_id": None, "is_control": None, "tensor_index": None}
    return rows


def _antibodies() -> list[dict[str, Any]]:
    return [
        {"antibody_id": name, "target_index": index, "is_control": name == "NEGATIVE", "ensembl_gene_id": gene,
         "gene_symbol": symbol, "uniprot_id": protein, "chromosome": None,
         "pairing": "single" if len(genes) == 1 else "unpaired", "wells": [], "fields": 2, "defects": []}
        for name, (genes, symbols, proteins) in GENES.items()
        for index, (gene, symbol, protein) in enumerate(zip(genes or [None], symbols or [None], proteins or [None],
                                                            strict=True))
    ]  # fmt: skip


def _tensor(root: str) -> dict[str, Any]:
    """A store of two files, which no reader opens here, and the row that leads to it."""
    path = f"tensors/if_tensors/{'0' * 16}-4-v2.zarr"
    folder = Path(root) / path
    (folder / "image/c/0/0/0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "image/c/0/0/0/0").write_bytes(bytes(range(64)))
    return {
        "path": path, "array": "image", "shape": [8, 4, 4, 4], "dtype": "uint8", "edge": 4, "pixel_code_version": 2,
        "channels": ["red", "green", "blue", "yellow"], "source_sha256": "0" * 64, "digest": "0" * 64, "size": 66,
        "raw_size": 512, "license": LICENSE,
    }  # fmt: skip


def _locked() -> list[dict[str, Any]]:
    common = {"doi": DOI, "version": "2.0", "is_ingested": False, "digest_type": "MD5", "license": LICENSE}
    return [
        {**common, "directory": "Images", "label": "images.zip", "file_id": 7, "size": 5_000_000_000,
         "digest": "0" * 32, "access": "public", "modality": "if", "role": "images", "file_condition": "paclitaxel"},
        {**common, "directory": "", "label": "cells.zip", "file_id": 8, "size": 2**53 + 1, "digest": "1" * 32,
         "access": "embargoed", "available_on": date(2027, 1, 31), "role": "package", "modality": "perturbseq"},
    ]  # fmt: skip


def _deposited() -> dict[str, Any]:
    return {
        "accession": "MSV000000001", "path": "raw/a.raw", "name": "a.raw", "collection": "raw", "kind": "raw_run",
        "is_folder": False, "size": 12, "modified": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "source": "ftps", "replaces": [], "license": "CC0 1.0",
    }  # fmt: skip


def _guides() -> list[dict[str, Any]]:
    return [_guide(0, [{"name": "x", "value": "1"}, {"name": "y", "value": ""}]), _guide(1, [])]


def _guide(number: int, others: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "guide": f"TP53_{number}", "occurrence": 0, "published_id": f"TP53_{number}", "published_name": None,
        "number": number or None, "is_control": False, "is_whitelisted": None if number else True, "symbol": "TP53",
        "ensembl_gene": None, "guides_of_target": 2, "sequence": "ACGT", "others": others, "defects": [],
        "source_file": "guides.csv", "source_line": 2 + number,
    }  # fmt: skip


def _over_all(release: Release) -> None:
    mapping = GeneMapping([])
    frames = {name: release.table(name).collect() for name in ("if_fields", "if_antibodies")}
    splits = split_rows(frames["if_fields"], frames["if_antibodies"], mapping)
    place(release, "splits", splits.filter(pl.col("scheme").is_in(["protein", "condition-untreated"])))
    place(release, "proteins", protein_rows(frames, mapping))
