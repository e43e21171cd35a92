"""A storage with the tensor of a few small painted fields, and the nuclei found in it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.cells.products import product_of
from cm4ai_assets.images.shards import StoreWriter, compress
from cm4ai_assets.storage import layout, tensors
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.recorded import METADATA
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import Pixels, tensor_digest
from cm4ai_assets.tables import table
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets_tests.cells.painting import Labels, pairs

EDGE = 256
FIELDS = 18  # more than a shard holds
DARK_FIELD = 4
RELEASE, CONDITION = "2026-06-v2.0", "paclitaxel"
PARTITION = Partition(RELEASE, CONDITION)


@dataclass
class Room:
    """A storage, the pixels and painted nuclei of its fields, its `if_fields`, and the path of its tensor."""

    store: Store
    planes: list[Pixels]
    truth: list[Labels]
    fields: pl.DataFrame
    tensor: str

    def publish(self, name: str, frame: pl.DataFrame) -> None:
        with self.store.stage_table(name, PARTITION, frame) as staged:
            self.store.publish_table(staged)

    def publish_cells(self) -> pl.DataFrame:
        """Find the nuclei, publish them and the tables they are read with; the table."""
        with product_of(self.store, self.tensor, first_published_in={}) as product:
            cells = product.table(self.fields, release=RELEASE, condition=CONDITION)
            product.publish()
        for name, frame in (("if_fields", self.fields), ("if_tensors", self.tensor_row()), ("if_cells", cells)):
            self.publish(name, frame)
        return cells

    def tensor_row(self) -> pl.DataFrame:
        record = tensors.read_record(self.store.fs, self.store.address(self.tensor))
        row = {
            "path": self.tensor, "array": "image", "shape": list(record.shape), "dtype": "uint8",
            "channels": list(CHANNELS), "edge": record.edge, "pixel_code_version": record.version,
            "source_sha256": record.source_sha256, "digest": record.digest, "size": record.size,
            "raw_size": record.raw_size, "license": None,
        }  # fmt: skip
        return table("if_tensors").from_rows([row], release=RELEASE, condition=CONDITION)


def _field(number: int) -> tuple[Pixels, Labels]:
    blue, truth = pairs(number, overlap=0.05, edge=EDGE, across=4)
    if number == DARK_FIELD:
        blue, truth = np.zeros_like(blue), np.zeros_like(truth)
    others = np.random.default_rng(number).integers(0, 256, (3, EDGE, EDGE), np.uint8)
    return np.stack([others[0], others[1], blue, others[2]]), truth


def _row(number: int) -> dict[str, object]:
    well = f"A{number % 12 + 1}"
    return {
        "field_id": f"B2AI_1_paclitaxel_{well}_R{number // 12 + 1}_z01", "tensor_index": number, "plate": "B2AI_1",
        "well": well, "well_row": "A", "well_column": number % 12 + 1, "region": number // 12 + 1, "z": 1,
        "antibody_id": "HPA000001", "is_control": False, "ensembl_gene_ids": [], "gene_symbols": [], "uniprot_ids": [],
        "channels": list(CHANNELS), "is_complete": True, "in_manifest": True, "manifest_row": number + 2,
        "defects": [], "defect_members": [],
    }  # fmt: skip


@pytest.fixture(scope="session")
def painted() -> list[tuple[Pixels, Labels]]:
    return [_field(number) for number in range(FIELDS)]


@pytest.fixture(scope="session")
def shared_room(tmp_path_factory: pytest.TempPathFactory, painted: list[tuple[Pixels, Labels]]) -> Room:
    """A room with published nuclei. Only to be read."""
    made = _room(tmp_path_factory.mktemp("cells"), painted)
    made.publish_cells()
    return made


@pytest.fixture
def room(shared_room: Room, tmp_path: Path) -> Room:
    """A room of one's own with published nuclei."""
    shutil.copytree(shared_room.store.root, tmp_path / "storage")
    store = Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    return replace(shared_room, store=store)


@pytest.fixture
def bare_room(room: Room) -> Room:
    """A room of one's own whose nuclei were not found yet."""
    for path in (*room.store.find("tables/if_cells"), f"tensors/if_cells/{room.store.children('tensors/if_cells')[0]}"):
        room.store.remove(path)
    return room


def _room(folder: Path, painted: list[tuple[Pixels, Labels]]) -> Room:
    planes, truth = [one for one, _ in painted], [one for _, one in painted]
    writer = StoreWriter(folder / "made", EDGE)
    for field in planes:
        writer.append([chunk for plane in field for chunk in compress(plane)])
    digests = [hashlib.sha256(np.ascontiguousarray(plane).data).hexdigest() for field in planes for plane in field]
    source = hashlib.sha256(b"zip").hexdigest()
    writer.finish(source_sha256=source, digest=tensor_digest(digests), failures={})
    store = Store(str(folder / "storage"), scratch=folder / "scratch")
    tensor = layout.tensor_path(tensors.tensor_id(source, EDGE))
    store.publish_tree(folder / "made", tensor, last=METADATA)
    rows = table("if_fields").from_rows(
        [_row(number) for number in range(FIELDS)], release=RELEASE, condition=CONDITION
    )
    return Room(store, planes, truth, rows, tensor)
