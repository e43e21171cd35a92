"""The history of the collection, release after release: what is registered, run, fetched, and said to have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.updates.conftest import Daemon, daemon_over, image_runs
from cm4ai_assets_tests.updates.history import moments

# After each publication: what is new, whether images are made, how many archives are fetched for it, what has changed.
Step = tuple[str, bool, int, str]

REAL: dict[str, Step] = {
    "DXWOS5 1.0": ("2024-05-v1.0", False, 0, "1 added."),
    "B35XWX 1.4": ("2025-03-v1.4", True, 3, "6 added, 1 removed."),
    "F3TD5R 1.0": ("2025-06-v1.0", True, 3, "21 added, 6 removed."),
    "F3TD5R 2.0": ("2025-06-v2.0", True, 3, "18 unchanged, 3 added, 3 removed."),
    "F3TD5R 2.1": ("2025-06-v2.1", False, 0, "18 unchanged, 3 renamed with the same bytes."),
    "K7TGEM 2.1": ("2025-10-v2.1", True, 0, "3 unchanged, 5 added, 18 removed."),
    "HIGT4C 1.0": ("2026-06-v1.0", True, 3, "5 replaced by other bytes, 5 added, 3 removed."),
    "HIGT4C 2.0": ("2026-06-v2.0", True, 3, "7 unchanged, 3 replaced by other bytes."),
}
# The same story, told by what the embedded archive publishes: see `sandbox.history`.
TWIN: dict[str, Step] = {
    "DXSBX5 1.0": ("2024-05-v1.0", False, 0, "2 added."),
    "B3SBXX 1.0": ("2025-03-v1.0", True, 3, "6 added, 2 removed."),
    "B3SBXX 1.1": ("2025-03-v1.1", False, 0, "6 unchanged."),
    "F3SBX5 1.0": ("2025-06-v1.0", True, 0, "3 renamed with the same bytes, 18 added, 3 removed."),
    "F3SBX5 2.0": ("2025-06-v2.0", True, 3, "18 unchanged, 3 added, 3 removed."),
    "F3SBX5 2.1": ("2025-06-v2.1", False, 0, "18 unchanged, 3 renamed with the same bytes."),
    "K7SBXM 1.0": ("2025-10-v1.0", True, 0, "3 unchanged, 5 added, 18 removed."),
    "K7SBXM 1.1": ("2025-10-v1.1", False, 0, "6 unchanged, 2 replaced by other bytes."),
    "H1SBXC 1.0": ("2026-06-v1.0", True, 0,
                   "3 renamed with the same bytes, 5 replaced by other bytes, 3 added, access changed for 2."),
    "H1SBXC 2.0": ("2026-06-v2.0", True, 3, "7 unchanged, 3 replaced by other bytes, 1 removed."),
}  # fmt: skip
SHARED_ZIPS = {
    "real": ((103725, 104689), (104074, 104690), (104073, 104691)),
    "twin": ((703725, 704689), (703726, 704690), (703727, 704691)),
}


@pytest.fixture(params=["twin", pytest.param("real", marks=pytest.mark.slow)])
def history(request: pytest.FixtureRequest, sandbox: Path) -> Path:
    return sandbox if request.param == "twin" else request.getfixturevalue("real_history")


def replay(daemon: Daemon, archive: Path, steps: dict[str, Step]) -> Iterator[tuple[str, list[str]]]:
    for moment, published in moments(archive):
        daemon.server.publish_until(moment + timedelta(minutes=1))
        daemon.server.clear_log()
        before = daemon.partitions
        key, makes_images, archives, changes = steps[published]
        runs = daemon.settle()
        assert daemon.partitions - before == {key}, published
        # One run for the lock, one for each condition: not one for each asset.
        assert runs == [f"release_lock:{key}", *(image_runs(key) if makes_images else [])], published
        assert len(daemon.downloads()) == archives, published
        assert daemon.metadata("release_changes", key)["summary"] == changes, published
        assert daemon.check("release_files", "files_recognised", key).passed or key == "2024-05-v1.0", published
        yield published, [str(record.path) for record in daemon.downloads()]


def test_every_release_arrives_with_the_runs_it_needs(history: Path, tmp_path: Path) -> None:
    name, steps = ("twin", TWIN) if "sandbox" in str(history) else ("real", REAL)
    asked: Counter[int] = Counter()
    for daemon in daemon_over(history, tmp_path, "fetches"):
        seen = []
        for published, paths in replay(daemon, history, steps):
            seen.append(published)
            asked.update(int(path.rsplit("/", 1)[1]) for path in paths)
        assert seen == list(steps)
        for ids in SHARED_ZIPS[name]:
            assert sum(asked[number] for number in ids) == 1, "the archives that two datasets share are fetched once"
        assert max(asked.values()) == 1
        assert "nothing to make" in daemon.said()


def test_the_stand_ins_keep_the_published_ids_names_and_relations(real_history: Path, shared: Path) -> None:
    catalog = Catalog.load(real_history)
    inventory = pl.read_csv(shared / "data/dataverse/file_inventory.tsv", separator="\t", quote_char='"')
    published = {
        (row["doi_suffix"], int(row["content_url"].rsplit("/", 1)[1]), row["name"])
        for row in inventory.iter_rows(named=True)
    }
    served = {
        (dataset.identifier.rsplit("/", 1)[1], entry.file_id, entry.label)
        for dataset in catalog.datasets
        for version in dataset.versions
        for entry in version.entries
    }
    assert len(published) >= 48
    assert published <= served
    digests = {file.id: file.md5 for file in catalog.files}
    for one, other in SHARED_ZIPS["real"]:
        assert digests[one] == digests[other]
    assert len({digests[number] for number in (100636, 102108, 103725, 120801)}) == 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_unchanged_is_not_decoded_again_and_can_be_opened(sandbox: Path, tmp_path: Path) -> None:
    for daemon in daemon_over(sandbox, tmp_path, "decodes"):
        steps = {name: step for name, step in TWIN.items() if name.startswith(("F3", "K7"))}
        until = {published: moment for moment, published in moments(sandbox)}
        daemon.server.publish_until(until["F3SBX5 1.0"] - timedelta(days=1))
        daemon.settle()
        decoded = {}
        for published, (key, makes_images, _, _) in steps.items():
            daemon.server.publish_until(until[published] + timedelta(minutes=1))
            assert daemon.settle()[1:] == (image_runs(key) if makes_images else [])
            if makes_images:
                told = daemon.metadata("if_tensors", f"paclitaxel|{key}")
                decoded[published] = (told["images_decoded"] > 0, str(told["reused"]).split(":")[0])
        assert decoded == {"F3SBX5 1.0": (False, "yes"), "F3SBX5 2.0": (True, "no"), "K7SBXM 1.0": (False, "yes")}
        _opens_what_is_shared(daemon, "2025-06-v2.1", "2025-06-v2.0")


def _opens_what_is_shared(daemon: Daemon, key: str, source: str) -> None:
    store = daemon.platform.store
    assert not store.has_table("if_tensors", Partition(key, "paclitaxel"))
    renamed, original = Release(key, store), Release(source, store)
    assert set(renamed.shared) == {"untreated", "paclitaxel", "vorinostat"}
    assert set(renamed.shared.values()) <= {source, "2025-10-v1.0"}
    assert renamed.conditions == original.conditions
    assert renamed.tensors("paclitaxel").shape == original.tensors("paclitaxel").shape
    fields = renamed.table("if_fields").collect()
    assert fields["release"].unique().to_list() == [key]
    assert fields.drop("release").equals(original.table("if_fields").collect().drop("release"))
