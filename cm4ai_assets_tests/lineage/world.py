"""A small release with a row of every table, the bytes behind them, and the records of the runs that made them.

Written by hand: no Dagster, no server, no image is decoded. A new table needs its rows here (`ROWS`): only they can say
where they come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.images import fields
from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.manifest import read_manifest
from cm4ai_assets.lineage.delivered import folder_digest, recorded_files
from cm4ai_assets.lineage.published import published_inputs
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.software import Software
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition, partitions_of, table_path, tensor_path
from cm4ai_assets.storage.makings import Input, Making, Makings
from cm4ai_assets.storage.nuclei import nuclei_of
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.shard_names import IMAGE, NUCLEI
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import StoreRecord, tensor_id
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.updates.inputs import published_as
from cm4ai_assets_tests.exports.releases import DOI, LICENSE, RECORD
from cm4ai_assets_tests.images.archives import HEADER, zipped
from cm4ai_assets_tests.images.published import KEY, quality

TWIN = "2026-06-v3.0"
"""A later version with the same image ZIPs under other names. Nothing is made of it."""
CONDITIONS = ("untreated", "paclitaxel")
FIELDS = 18  # two shards
RUN = "11111111-2222-3333-4444-555555555555"
SOFTWARE = Software("0.1.0", "c" * 40, False, "3.11.9", "", "x86_64", "Linux")
H5AD, GUIDES = b"the matrix of cells", b"id,name\nA1BG-1,A1BG-1\n"
ANNOTATION = b"raw\tline\n"
PROFILES = "tensors/perturb_targets/0123456789abcdef-v1.zarr"
_EMPTY: dict[type[pl.DataType], Any] = {
    pl.Boolean: False, pl.Date: date(2026, 6, 17), pl.Datetime: datetime(2026, 6, 17, tzinfo=UTC), pl.List: [],
}  # fmt: skip


def filled(table: Table, **known: Any) -> dict[str, Any]:
    """A row of a table: what is known of it, null where that may be, and something of its type elsewhere."""
    row: dict[str, Any] = {}
    for column in table.own_columns:
        if column.nullable:
            row[column.name] = None
        elif column.dtype.is_numeric():
            row[column.name] = 1
        elif isinstance(column.dtype, pl.String):
            row[column.name] = column.allowed[0] if column.allowed else "something"
        else:
            row[column.name] = _EMPTY[type(column.dtype)]
    return row | known


class World:
    """The release under construction; `build` gives it whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(str(folder / "storage"), scratch=folder / "scratch")
        self.blobs = BlobStore(self.store.fs, self.store.root)
        self.sha256: dict[str, str] = {}
        self.locked: list[dict[str, Any]] = []

    def lock(self, name: str, data: bytes, **known: Any) -> str:
        """Store a published file and list it; its SHA-256."""
        md5 = self.add(name, data, md5=True)
        row = filled(
            tables.table("release_files"), doi=DOI, version="2.0", directory="Files", label=name,
            file_id=100 + len(self.locked), size=len(data), digest_type="MD5", digest=md5, access="public",
            license=LICENSE, recognised_by="test", **known,
        )  # fmt: skip
        self.locked.append(row)
        return self.sha256[name]

    def add(self, name: str, data: bytes, *, md5: bool) -> str:
        """Store bytes; their MD5."""
        path = self.folder / "incoming"
        path.write_bytes(data)
        digests = {"MD5": hashlib.md5(data).hexdigest()} if md5 else {}
        self.sha256[name] = hashlib.sha256(data).hexdigest()
        self.blobs.add(path, self.sha256[name], digests)
        path.unlink()  # the blob may be a second name of it
        return digests.get("MD5", "")

    def publish(self, name: str, rows: list[dict[str, Any]], condition: str | None = None) -> None:
        """Publish rows with a record of the run that made them."""
        frame = tables.table(name).from_rows(rows, release=KEY, condition=condition)
        self.publish_frame(name, frame, condition)

    def publish_frame(self, name: str, frame: pl.DataFrame, condition: str | None = None) -> None:
        by_release = tables.table(name).partitioning is not Partitioning.NONE
        place = Partition(KEY if by_release else "", condition)
        with self.store.stage_table(name, place, frame) as staged:
            path = self.store.publish_table(staged)
        self.note(path, name, place)

    def note(self, path: str, name: str, place: Partition) -> None:
        """Record a run that was given what stands there now."""
        places = [
            (read, published_as(self.store, read, wanted))
            for read in RULES[name].reads
            for wanted in partitions_of(tables.table(read), place)
        ]
        inputs = [table_path(tables.table(read), where) for read, where in places if where is not None]
        given = [Input(one, folder_digest(recorded_files(self.store, one))) for one in inputs]
        if place.release:
            files = published_inputs(self.store, place.release, name, place.condition)
            given += [Input(self.blobs.path(one.sha256), one.sha256) for one in files if one.sha256]
        environment = "polars==1.0\n"
        software = replace(SOFTWARE, environment=hashlib.sha256(environment.encode()).hexdigest())
        making = Making(
            path=path, digest=folder_digest(recorded_files(self.store, path)), asset=name, release=place.release,
            condition=place.condition, run_id=RUN, code_version="1", started=None,
            ended=datetime(2026, 11, 26, 12, tzinfo=UTC), software=software, inputs=tuple(sorted(set(given))),
        )  # fmt: skip
        Makings(self.store).note(making, environment)

    def tree(self, path: str, files: Mapping[str, bytes], name: str, place: Partition) -> None:
        """Publish a store of files."""
        staged = self.folder / "tree" / path
        for part, data in files.items():
            (staged / part).parent.mkdir(parents=True, exist_ok=True)
            (staged / part).write_bytes(data)
        self.store.publish_tree(staged, path, last="zarr.json")
        self.note(path, name, place)


def build(folder: Path) -> Release:
    """The release, with every table of `tables.ALL`."""
    world = World(folder)
    ReleaseRegistry(world.store).register([RECORD, replace(RECORD, major=3)])
    zips = {condition: _image_zip(condition) for condition in CONDITIONS}
    for condition, data in zips.items():
        world.lock(f"images_{condition}.zip", data, modality="if", role="images", file_condition=condition)
    world.lock("secms.zip", zipped({"tables/ctrl.tsv": b"PG\n"}), modality="secms", role="package")
    world.lock("apms.zip", zipped({"apms.tsv": b"Bait\n"}), modality="apms", role="tables", file_condition="untreated")
    world.lock("statistics.csv", b"Sample\n", modality="perturbseq", role="statistics")
    world.lock("crate.zip", zipped({"crate/ro-crate-metadata.json": b"{}"}), modality="release", role="crate_bundle")
    world.add("h5ad", H5AD, md5=True)
    world.add("guides", GUIDES, md5=True)
    world.add("annotation", ANNOTATION, md5=False)
    world.publish("release_files", world.locked)
    for condition, data in zips.items():
        _publish_images(world, condition, data)
    for name, rows in _rows(world):
        by_condition = tables.table(name).partitioning is Partitioning.CONDITION_RELEASE
        world.publish(name, rows, "untreated" if by_condition else None)
    _publish_twin(world)
    return Release(KEY, world.store)


def _image_zip(condition: str) -> bytes:
    """Fields of one antibody and one control, with one image a channel."""
    members, lines = {}, [HEADER]
    for number in range(FIELDS):
        name = f"B2AI_1_{condition}_A1_R{number}_z01" if number else f"B2AI_1_{condition}_H12_R1_z01"
        antibody = "HPA000001,ENSG00000141510,P04637,TP53,17" if number else "NEGATIVE,,,,"
        well = "A1" if number else "H12"
        lines.append(f"{number},1,{well},{condition},{antibody},https://example.org/{name}/z01/{name}")
        for channel in CHANNELS:
            members[f"{condition}/{channel}/{name}_{channel}.jpg"] = f"{name} {channel}".encode() * 9
    return zipped({**members, f"{condition}/manifest.csv": "\n".join((*lines, "")).encode()})


def _publish_images(world: World, condition: str, data: bytes) -> None:
    sha256, where = world.sha256[f"images_{condition}.zip"], {"release": KEY, "condition": condition}
    place = Partition(KEY, condition)
    (row,) = [one for one in world.locked if one["file_condition"] == condition and one["role"] == "images"]
    kept = ("doi", "version", "file_id", "directory", "label", "size", "digest_type", "digest", "license")
    archive = {name: row[name] for name in kept}
    world.publish(
        "if_archive", [{**archive, "verified": "digest", "sha256": sha256, "path": world.blobs.path(sha256)}], condition
    )
    with world.blobs.open(sha256) as source:
        images, manifest = list_images(source, **where), read_manifest(source, read_directory(source))
    antibodies = tables.table("if_antibodies").from_rows(antibody_rows(manifest), **where)
    made = fields.assemble(images, antibodies, manifest, failures={}, **where)
    world.publish_frame("if_images", images, condition)
    world.publish_frame("if_antibodies", antibodies, condition)
    world.publish_frame("if_fields", made, condition)
    members = {(row["field_id"], row["channel"]): row["member"] for row in images.rows(named=True)}
    world.publish("if_quality", [
        quality(field_id, index, channel, member=members[field_id, channel], histogram=_histogram(index + 1))
        for field_id, index in made.select("field_id", "tensor_index").iter_rows() for channel in CHANNELS
    ], condition)  # fmt: skip
    _publish_stores(world, place, sha256, made)


def _histogram(seed: int) -> list[int]:
    """Counts with a dark and a lit part, no two fields alike."""
    return [1000 + seed if level < 40 else 20 + level % (seed + 3) for level in range(256)]


def _publish_stores(world: World, place: Partition, sha256: str, made: pl.DataFrame) -> None:
    name, condition = tensor_id(sha256, 256), place.condition
    record = StoreRecord(sha256, 256, made.height, "d" * 64, (3, 3))
    group = json.dumps({"attributes": {"cm4ai": record.to_json()}}).encode()
    shards = {IMAGE.key(shard): f"shard {shard} {condition}".encode() for shard in range(2)}
    world.tree(tensor_path(name), {**shards, "zarr.json": group}, "if_tensors", place)
    table = tables.table("if_tensors")
    row = filled(table, path=tensor_path(name), shape=[made.height, 4, 256, 256], edge=256, source_sha256=sha256)
    world.publish("if_tensors", [row], condition)
    nuclei = f"tensors/if_cells/{nuclei_of(name)}.zarr"
    labels = {NUCLEI.key(shard): f"labels {shard} {condition}".encode() for shard in range(2)}
    world.tree(nuclei, {**labels, "zarr.json": b"{}"}, "if_cells", place)
    field_ids = dict(made.select("tensor_index", "field_id").iter_rows())
    world.publish("if_cells", [
        filled(tables.table("if_cells"), field_id=field_ids[index], tensor_index=index, cell=1, path=nuclei)
        for index in (0, 17)
    ], condition)  # fmt: skip


def _publish_twin(world: World) -> None:
    """The lock of a version with the same image ZIPs under other names."""
    renamed = [
        {**row, "version": "3.0", "directory": "", "label": f"new_{row['label']}", "file_id": row["file_id"] + 900}
        for row in world.locked
        if row["role"] == "images"
    ]
    frame = tables.table("release_files").from_rows(renamed, release=TWIN)
    with world.store.stage_table("release_files", Partition(TWIN), frame) as staged:
        world.store.publish_table(staged)


def _rows(world: World) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows of every other table, in an order in which each finds what it is made of."""
    ids = {row["label"]: row["file_id"] for row in world.locked}
    secms = {"source_file_id": ids["secms.zip"], "source_sha256": world.sha256["secms.zip"]}
    group = {"replicate_id": "MDA-MB-468_cancer_untreated_1", "protein_group": "P04637", "occurrence": 0,
             "quantity_kind": "pg_quantity"}  # fmt: skip
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in (("h5ad", H5AD), ("guides", GUIDES))}
    article = {"doi": "10.25452/figshare.plus.1", "article_id": 1, "article_version": 2, "license": "CC BY 4.0"}
    crate = "Files/crate.zip!crate/ro-crate-metadata.json"
    every: dict[str, list[dict[str, Any]]] = {
        "release_changes": [{"file_id": ids["secms.zip"], "change": "added", "label": "secms.zip"}],
        "crate_entities": [{"crate_file": crate, "position": 4}],
        "crate_edges": [{"crate_file": crate, "position": 4, "relation": "has_part"}],
        "release_datasheet": [
            {"source": crate, "row": 0, "source_kind": "crate_root", "line": 3},
            {"source": "landing-page.jsonld", "row": 0, "source_kind": "landing_page"},
        ],
        "usage_metrics": [{"doi": DOI, "service": "datacite"}],
        "massive_files": [
            {"accession": "MSV000000001", "path": "metadata/A_Sample_Annotation.tsv", "size": len(ANNOTATION)},
            {"accession": "MSV000000001", "path": "raw/one.d", "is_folder": True, "sha256": "a" * 64},
        ],
        "figshare_files": [
            {**article, "file_id": 11, "label": "cells.h5ad", "size": len(H5AD), "md5": md5["h5ad"],
             "access": "public", "role": "cells"},
            {**article, "file_id": 12, "label": "guides.csv", "size": len(GUIDES), "md5": md5["guides"],
             "access": "public", "role": "guides"},
        ],
        "sra_runs": [
            {"sample": "S1", "run": "SRR1", "access": "public", "files_kind": "fastq", "bioproject": "PRJNA1",
             "file_names": ["SRR1_1.fastq.gz"], "file_urls": ["https://example.org/SRR1_1.fastq.gz"],
             "file_sizes": [5], "file_md5s": ["b" * 32], "file_sha256s": [None]},
            {"sample": "S2", "run": None, "access": "embargoed", "embargo_until": date(2028, 1, 1)},
        ],
        "secms_proteins": [{**group, **secms, "members": ["P04637"], "uniprot_ids": ["P04637"], "source_line": 7,
                            "source_file": "tables/ctrl.tsv", "quantified_fractions": 3}],
        "secms_profiles": [{**group, **secms, "fraction": 4}],
        "apms_interactions": [{"bait_symbol": "TP53", "prey": "P00533", "source_file": "apms.tsv", "source_line": 2,
                               "source_file_id": ids["apms.zip"], "source_sha256": world.sha256["apms.zip"]}],
        "apms_runs": [{"source_file": "MSV000000001/metadata/A_Sample_Annotation.tsv", "source_line": 5,
                       "source_sha256": world.sha256["annotation"], "bait_symbol": "TP53"}],
        "guide_library": [{"guide": "TP53_1", "source_file": "guides.csv", "source_line": 2,
                           "source_sha256": world.sha256["guides"]}],
        "perturb_cells": [{"row": 0, "cell": "AAAC-1"}],
        "perturb_targets": [{"target": "TP53", "gene_id": "ENSG00000141510", "tensor_index": 0, "path": PROFILES,
                             "source": "cells.h5ad", "source_identity": f"sha256 {world.sha256['h5ad']}"}],
        "cellranger_metrics": [{"source_file": "statistics.csv", "source_file_id": ids["statistics.csv"],
                                "source_sha256": world.sha256["statistics.csv"]}],
        "proteins": [{"gene": "ENSG00000141510", "published_ids": ["ENSG00000141510", "P04637", "TP53"],
                      "antibodies": ["HPA000001"], "guides": ["TP53_1"], "mapping_version": "HGNC of some day"}],
        "splits": [{"scheme": "protein", "condition": "paclitaxel", "field_id": "B2AI_1_paclitaxel_A1_R3_z01",
                    "antibody_id": "HPA000001"}],
        "if_plates": [{"condition": "paclitaxel", "channel": "red", "measure": "extent", "factor": "row",
                       "level": "A", "fields": FIELDS - 1}],
        "if_effects": [{"condition": "paclitaxel", "antibody_id": "HPA000001", "measure": "extent",
                        "wells": ["B2AI_1_A1"], "n_fields": FIELDS - 1}],
    }  # fmt: skip
    size = len(ANNOTATION)
    identity = f"massive MSV000000001 metadata/A_Sample_Annotation.tsv {size}"
    world.blobs.index.note_first_use(identity, Blob(world.sha256["annotation"], size), locks=world.folder)
    targets = {"mean/c/0/0": b"means", "zarr.json": b"{}"}
    for name, rows in every.items():
        if name == "perturb_targets":
            world.tree(PROFILES, targets, name, Partition(KEY))
        yield name, [filled(tables.table(name), **row) for row in rows]
