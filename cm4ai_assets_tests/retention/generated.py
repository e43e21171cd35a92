"""Storages made by chance: releases that share bytes, registered or not, and what of them must stay."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import strategies as st

from cm4ai_assets import tables
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import TENSORS, Partition, tensor_path
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import StoreRecord, tensor_id
from cm4ai_assets.tables.publication import DOCUMENTS
from cm4ai_assets_tests.exports.releases import RECORD
from cm4ai_assets_tests.lineage.world import filled

CONDITION = "untreated"
REPORT = next(document for document in DOCUMENTS if document.name == "datasheet_report")


@dataclass(frozen=True)
class Made:
    """A release: its number, what its lock lists, and whether its tensor was made, by which version of the code."""

    number: int
    registered: bool
    files: frozenset[int]
    images: int | None
    version: int | None
    documents: int

    @property
    def key(self) -> str:
        return f"2026-06-v{self.number}.0"


def content(number: int) -> bytes:
    """Published bytes, those of ZIPs above 100."""
    return f"content {number} ".encode() * 9


def sha256(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


releases = st.lists(
    st.builds(
        Made,
        number=st.integers(1, 5),
        registered=st.booleans(),
        files=st.frozensets(st.integers(0, 5), max_size=3),
        images=st.sampled_from([None, 101, 102]),
        version=st.sampled_from([None, 1, 2]),
        documents=st.integers(0, 2),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.number,
)
tensors = st.frozensets(st.tuples(st.sampled_from([101, 102]), st.integers(1, 3)), max_size=4)


def is_made(one: Made) -> bool:
    return one.images is not None and one.version is not None


def kept(made: Iterable[Made]) -> set[Made]:
    """The registered releases, and those whose tables they read: the newest with the same images."""
    every = sorted(made, key=lambda one: one.number)
    stays = {one for one in every if one.registered}
    for reader in sorted(stays, key=lambda one: one.number):
        if reader.images is not None and not is_made(reader):
            stays |= set([one for one in every if is_made(one) and one.images == reader.images][-1:])
    return stays


class World:
    """One storage in memory."""

    def __init__(
        self, url: str, made: Iterable[Made], tensors: Iterable[tuple[int, int]], stray: Iterable[int]
    ) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(url, scratch=self.folder)
        self.blobs = BlobStore(self.store.fs, self.store.root)
        for one in made:
            self._publish(one)
        for images, version in tensors:
            self._tensor(images, version)
        for number in stray:
            self._add(number)

    def files(self) -> dict[str, bytes]:
        """Every file but the notes of when things were read."""
        found = (path for path in self.store.listing() if not path.startswith("registry/verified"))
        return {path: self.store.read(path) for path in found}

    def blobs_there(self) -> set[str]:
        """The digest of every stored blob."""
        return set(self.blobs.all())

    def stores_there(self) -> set[str]:
        """The path of every tensor."""
        return {f"{TENSORS}/{name}" for name in self.store.children(TENSORS)}

    def _add(self, number: int) -> str:
        data = content(number)
        (self.folder / "incoming").write_bytes(data)
        md5 = hashlib.md5(data).hexdigest()
        self.blobs.add(self.folder / "incoming", sha256(number), {"MD5": md5})
        return md5

    def _publish(self, one: Made) -> None:
        if one.registered:
            ReleaseRegistry(self.store).register([replace(RECORD, major=one.number)])
        rows = [self._locked(number) for number in sorted(one.files)]
        if one.images is not None:
            rows.append(self._locked(one.images) | {"modality": "if", "role": "images", "file_condition": CONDITION})
        self._table("release_files", rows, one.key, None)
        if one.images is not None and one.version is not None:
            self._made(one.key, one.images, one.version)
        for version in range(one.documents):
            page = f"<!doctype html><html>{one.key} {version}</html>".encode()
            with self.store.stage_document(REPORT, Partition(one.key), {REPORT.entry: page}) as staged:
                self.store.publish_document(staged)

    def _made(self, key: str, images: int, version: int) -> None:
        archive = filled(
            tables.table("if_archive"), sha256=sha256(images), path=self.blobs.path(sha256(images)), label="images.zip"
        )
        self._table("if_archive", [archive], key, CONDITION)
        row = filled(
            tables.table("if_tensors"), path=self._tensor(images, version), shape=[0, 4, 256, 256], edge=256,
            source_sha256=sha256(images),
        )  # fmt: skip
        self._table("if_tensors", [row], key, CONDITION)

    def _tensor(self, images: int, version: int) -> str:
        name = tensor_id(sha256(images), 256, version)
        record = StoreRecord(sha256(images), 256, 0, "d" * 64, (), version=version)
        staged = Path(tempfile.mkdtemp(dir=self.folder)) / "tensor"
        (staged / "image").mkdir(parents=True)
        (staged / "image" / "zarr.json").write_text("{}")
        (staged / "zarr.json").write_text(json.dumps({"attributes": {"cm4ai": record.to_json()}}))
        self.store.publish_tree(staged, tensor_path(name), last="zarr.json")
        return tensor_path(name)

    def _locked(self, number: int) -> dict[str, object]:
        md5 = self._add(number)
        return filled(
            tables.table("release_files"), directory="Files", label=f"{number}.bin", file_id=number,
            size=len(content(number)), digest_type="MD5", digest=md5, access="public", doi=RECORD.doi, version="1.0",
            modality="perturbseq", role="statistics", recognised_by="test",
        )  # fmt: skip

    def _table(self, name: str, rows: list[dict[str, object]], key: str, condition: str | None) -> None:
        frame = tables.table(name).from_rows(rows, release=key, condition=condition)
        with self.store.stage_table(name, Partition(key, condition), frame) as staged:
            self.store.publish_table(staged)
