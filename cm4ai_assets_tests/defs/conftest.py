"""A served sandbox, a platform over a folder of its own, and ways to run assets in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.definitions import build as build_definitions
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.launching import Outcome, materialize
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import table
from cm4ai_assets_tests.conftest import SANDBOX_FIELDS

FIELDS = SANDBOX_FIELDS
RELEASE = "2026-06-v2.0"


@pytest.fixture(scope="module")
def archive(sandbox: Path) -> Iterator[SandboxServer]:
    with SandboxServer(sandbox) as server:
        yield server


@dataclass
class Workbench:
    """A platform, an instance, and the definitions over them."""

    platform: Platform
    instance: dg.DagsterInstance
    defs: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.defs = build_definitions(self.platform)

    def register_offered(self) -> list[str]:
        """Register what the archive offers; every key."""
        with self.platform.archive() as client:
            self.platform.registry.register(client.releases(self.platform.settings.collection))
        sync_partitions(self.instance, self.platform.registry)
        return [record.key for record in self.platform.registry.all()]

    def run(self, release: str, *conditions: str, selection: str = "*") -> list[Outcome]:
        chosen = conditions or tuple(Condition)
        return list(materialize(self.defs, self.instance, release=release, conditions=chosen, selection=selection))

    def store_as_release(self, zip_path: Path, condition: Condition, release: str = RELEASE) -> None:
        """A release whose one file is this ZIP, already fetched: what follows needs no server."""
        data = zip_path.read_bytes()
        md5, sha256 = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
        self.platform.blobs.add(zip_path, sha256, {"MD5": md5})
        major, minor = release.rsplit("-v", 1)[1].split(".")
        record = ReleaseRecord(
            key="", doi="doi:10.5072/FK2/TESTED", major=int(major), minor=int(minor),
            title="June 2026 Data Release", published=date(2026, 6, 17), released=None, archive="http://127.0.0.1:9",
        )  # fmt: skip
        self.platform.registry.register([record])
        sync_partitions(self.instance, self.platform.registry)
        row = {
            "doi": record.doi, "version": record.version, "directory": "", "label": zip_path.name, "file_id": 1,
            "size": len(data), "digest_type": "MD5", "digest": md5, "is_ingested": False, "access": "public",
            "modality": "if", "cell_line": "MDA-MB-468", "file_condition": str(condition), "role": "images",
            "recognised_by": "test",
        }  # fmt: skip
        frame = table("release_files").from_rows([row], release=release)
        with self.platform.store.stage_table("release_files", Partition(release), frame) as staged:
            self.platform.store.publish_table(staged)


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """What the runs of one partition came to: what may be absent is made by an earlier run than what reads it."""
    runs = list(outcomes)
    assert len({run.partition for run in runs}) == 1
    return replace(
        runs[0],
        succeeded=all(run.succeeded for run in runs),
        made=tuple(name for run in runs for name in run.made),
        unmade=tuple(name for run in runs for name in run.unmade),
        observed={name: text for run in runs for name, text in run.observed.items()},
        checks=tuple(check for run in runs for check in run.checks),
        failure=" ".join(run.failure for run in runs if run.failure),
    )


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def bench(archive: SandboxServer, instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("bench")
    settings = Settings.served_by(
        archive.url,
        storage=str(folder / "storage"),
        scratch=folder / "scratch",
    )
    return Workbench(Platform(settings), instance)
