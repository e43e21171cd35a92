"""A release with images and nothing else, made by the image path itself: no Dagster, no server."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.images import fields, tensors
from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.colour import PAINTED_PLANES
from cm4ai_assets.images.decode import SOURCE_EDGE
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.manifest import read_manifest
from cm4ai_assets.perturbseq.profiles import product_of, table_of
from cm4ai_assets.proteomics.secms import read_condition
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.images.archives import HEADER
from cm4ai_assets_tests.images.published import KEY, publish
from cm4ai_assets_tests.perturbseq.files import source_of, written
from cm4ai_assets_tests.proteomics.helpers import zipped

DOI = "doi:10.5072/FK2/TESTED"
LICENSE = "CC BY-NC-SA 4.0"
EDGE = 256
RECORD = ReleaseRecord(
    key="", doi=DOI, major=2, minor=0, title="June 2026 Data Release", published=date(2026, 6, 17), released=None,
    archive="http://127.0.0.1:9",
)  # fmt: skip


# Plate, well, region; antibody, Ensembl ids, accessions and symbols as manifest.csv states them.
FIELDS = (
    (1, "A1", 1, "HPA000001,ENSG00000141510,P04637,TP53,17"),
    (1, "A1", 2, "HPA000001,ENSG00000141510,P04637,TP53,17"),
    (1, "H12", 1, "NEGATIVE,,,,"),
    (2, "B3", 1, 'HPA000895,ENSG00000102024;ENSG00000120756,P13797;P13796,"PLS3_LCP1",X;13'),
    (2, "B4", 7, "HPA000900,ENSG00000120756,P13796,LCP1,13"),
)
_LABELS = {"untreated": "untreated", "paclitaxel": "Paclitaxel", "vorinostat": "Vorinostat"}


def painted(folder: Path, conditions: Iterable[Condition]) -> Release:
    """A release of the five fields of `FIELDS` for each condition, with tensors of edge length `EDGE`."""
    return from_zips(folder, {condition: write_zip(folder, condition) for condition in conditions})


def write_zip(folder: Path, condition: Condition) -> Path:
    """A ZIP in the published layout, of coarse noise in the channels' colours."""
    label, random = _LABELS[condition], np.random.default_rng([*condition.encode()])
    path, lines = folder / f"cm4ai_ifimages_MDA-MB-468_{condition}.zip", [HEADER]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, (plate, well, region, labels) in enumerate(FIELDS):
            name = f"B2AI_{plate}_{label}_{well}_R{region}_z01"
            lines.append(f"{number},{plate},{well},{label},{labels},https://example.org/{name}/z01/{name}")
            for channel, planes in PAINTED_PLANES.items():
                rgb = np.zeros((SOURCE_EDGE, SOURCE_EDGE, 3), np.uint8)
                coarse = random.integers(0, 256, (64, 64), dtype=np.uint8)
                for plane in planes:
                    rgb[:, :, plane] = cv2.resize(coarse, (SOURCE_EDGE, SOURCE_EDGE), interpolation=cv2.INTER_NEAREST)
                data = simplejpeg.encode_jpeg(rgb, quality=85, colorsubsampling="420")
                archive.writestr(f"{condition}/{channel}/{name}_{channel}.jpg", data)
        archive.writestr(f"{condition}/manifest.csv", "\n".join((*lines, "")))
    return path


def from_zips(folder: Path, zips: dict[Condition, Path], *, edge: int = EDGE) -> Release:
    """A release of these ZIPs, with all tables of images."""
    store = Store(str(folder / "storage"), scratch=folder / "scratch")
    ReleaseRegistry(store).register([RECORD])
    locked = [_add(store, number, path, condition) for number, (condition, path) in enumerate(zips.items(), 1)]
    publish(store, "release_files", [row for row, _ in locked], None)
    for (_, sha256), condition in zip(locked, zips, strict=True):
        _publish_images(store, sha256, condition, edge)
    return Release(KEY, store)


def copied(release: Release, folder: Path) -> Release:
    """The same release over files of its own, to be altered: each is a second name until it is replaced."""
    source = Path(release.store.root)
    for path in source.rglob("*"):
        if path.is_file():
            target = folder / "storage" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)
    return Release(release.key, Store(str(folder / "storage"), scratch=folder / "scratch"))


def with_splits(release: Release, folder: Path, *, without: str | None = None) -> Release:
    """The same with splits by protein: HPA000001 trains, the two antibodies of one gene test, controls do neither.

    A condition that they are `without` came after them.
    """
    sides = {"HPA000001": "train", "HPA000895": "test", "HPA000900": "test"}
    rows = [
        {
            "scheme": "protein", "scheme_version": 1, "group": sides.get(row["antibody_id"]),
            "split": sides.get(row["antibody_id"]), "reason": None if row["antibody_id"] in sides else "control",
            **{name: row[name] for name in ("condition", "field_id", "antibody_id", "plate", "well")},
        }
        for row in release.fields(with_controls=True).iter_rows(named=True)
        if row["condition"] != without
    ]  # fmt: skip
    split = copied(release, folder)
    publish(split.store, "splits", rows, None)
    return split


def _add(store: Store, number: int, path: Path, condition: Condition) -> tuple[dict[str, object], str]:
    data = path.read_bytes()
    md5, sha256 = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
    BlobStore(store.fs, store.root).add(path, sha256, {"MD5": md5})
    row: dict[str, object] = {
        "doi": DOI, "version": RECORD.version, "directory": "Images", "label": path.name, "file_id": number,
        "size": len(data), "digest_type": "MD5", "digest": md5, "is_ingested": False, "access": "public",
        "modality": "if", "cell_line": "MDA-MB-468", "file_condition": str(condition), "role": "images",
        "recognised_by": "test", "license": LICENSE,
    }  # fmt: skip
    return row, sha256


def _publish_images(store: Store, sha256: str, condition: Condition, edge: int) -> None:
    where = {"release": KEY, "condition": str(condition)}
    with BlobStore(store.fs, store.root).open(sha256) as source:
        directory = read_directory(source)
        images, manifest = list_images(source, **where), read_manifest(source, directory)
        antibodies = tables.table("if_antibodies").from_rows(antibody_rows(manifest), **where)
        plans = fields.eligible_fields(images)
        with tensors.product_of(
            store, source, directory.members, plans, source_sha256=sha256, edge=edge, first_published_in={}
        ) as product:
            record, path, quality = product.record, product.path, product.quality(**where)
            product.publish()
    rows = {
        "if_images": images,
        "if_antibodies": antibodies,
        "if_fields": fields.assemble(images, antibodies, manifest, failures=record.failures, **where),
        "if_quality": quality,
    }
    for name, frame in rows.items():
        with store.stage_table(name, Partition(KEY, str(condition)), frame) as staged:
            store.publish_table(staged)
    tensor = {
        "path": path, "array": "image", "shape": list(record.shape), "dtype": "uint8", "channels": list(CHANNELS),
        "edge": record.edge, "pixel_code_version": record.version, "source_sha256": sha256, "digest": record.digest,
        "size": record.size, "raw_size": record.raw_size, "license": LICENSE,
    }  # fmt: skip
    publish(store, "if_tensors", [tensor], str(condition))


# Six fractions of two replicates, whose windows differ by two: one value missing, one zero, a repeated group, an
# isoform of one symbol in another case, a group of two, one without a symbol, one never quantified.
_REPORTS = {
    Condition.UNTREATED: (
        "Biosep_MDAMB468_CTRL_1_Report.tsv", "Biosep_MDAMB468_Ctrl_121224", 7,
        ("P04637\tTP53\t1\t2\t3\t4\t0\tNaN", "P00533\tEGFR\t5\t5\t5\t5\t5\t5", "P00533\tEGFR\tNaN\tNaN\tNaN\tNaN\t2\t2",
         "P04637-2\ttp53\t1\t1\t1\t1\t1\t1", "P13796;P13797\tLCP1;PLS3\t1\t1\t1\t1\t1\t9",
         "Q99999\t\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN"),
    ),
    Condition.VORINOSTAT: (
        "Biosep_MDAMB468_VRST_2_Report.tsv", "Biosep_MDAMB468_VRST_121224", 9,
        ("P04637\tTP53\t1.5\tNaN\t3\t4\t5\t6", "P00533\tEGFR\t6\t5\t4\t3\t2\t1"),
    ),
}  # fmt: skip


def with_secms(folder: Path) -> Release:
    """A release with elution profiles of two conditions, read from two reports."""
    store = Store(str(folder / "storage"), scratch=folder / "scratch")
    ReleaseRegistry(store).register([RECORD])
    for condition, (name, series, first, rows) in _REPORTS.items():
        runs = "\t".join(f"[{n}] {series}_F{first + n - 1:02d}_{n}_1_90{n}.d.PG.Quantity" for n in range(1, 7))
        report = "\n".join((f"PG.ProteinGroups\tPG.Genes\t{runs}", *rows, "")).encode()
        reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", {name: report})], condition)
        for table, frame in (("secms_proteins", reading.proteins), ("secms_profiles", reading.profiles)):
            placed = tables.table(table).place(frame, release=KEY, condition=str(condition))
            with store.stage_table(table, Partition(KEY, str(condition)), placed) as staged:
                store.publish_table(staged)
    return Release(KEY, store)


def with_secms_and_perturbseq(folder: Path) -> Release:
    """The same with the profiles of a small screen."""
    release = with_secms(folder)
    h5ad = written(folder / "cells.h5ad")
    with product_of(release.store, source_of(h5ad), scratch=folder / "scratch", first_published_in={}) as product:
        rows = table_of(product, source=h5ad.name, licence="CC BY 4.0")
        product.publish()
    placed = tables.table("perturb_targets").place(rows, release=KEY)
    with release.store.stage_table("perturb_targets", Partition(KEY), placed) as staged:
        release.store.publish_table(staged)
    return release
