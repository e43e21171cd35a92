from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from cm4ai_assets.errors import NotMaterializedError, ReleaseKeyError
from cm4ai_assets.storage.layout import Partition, table_partition, table_path
from cm4ai_assets.storage.store import Store, in_stretches
from cm4ai_assets.tables import table
from cm4ai_assets_tests.storage.filesystems import PlainRemote

WHERE = Partition("2025-06-v2.1", "paclitaxel")
ROW: dict[str, object] = {
    "antibody_id": "HPA000001", "target_index": 0, "is_control": False, "ensembl_gene_id": "ENSG00000132507",
    "gene_symbol": "EIF5A", "uniprot_id": "P63241", "chromosome": "17", "pairing": "single", "wells": ["B2AI_1_A1"],
    "fields": 4, "defects": [],
}  # fmt: skip


def rows(*antibodies: str) -> pl.DataFrame:
    made = [{**ROW, "antibody_id": antibody} for antibody in antibodies]
    return table("if_antibodies").from_rows(made, release=WHERE.release, condition=WHERE.condition)


def publish(store: Store, frame: pl.DataFrame) -> str:
    with store.stage_table("if_antibodies", WHERE, frame) as staged:
        return store.publish_table(staged)


@pytest.fixture(params=["local", "memory", "plainremote"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    PlainRemote.reset()
    url = str(tmp_path / "storage") if request.param == "local" else f"{request.param}://{tmp_path.name}"
    return Store(url, scratch=tmp_path / "scratch")


def test_what_was_published_is_read_back_from_any_filesystem(any_store: Store) -> None:
    frame = rows("HPA000001", "HPA000002")
    path = publish(any_store, frame)
    assert path == "tables/if_antibodies/release=2025-06-v2.1/condition=paclitaxel/data.parquet"
    assert any_store.table("if_antibodies", WHERE).collect().equals(frame)
    assert any_store.partitions("if_antibodies") == [WHERE]
    assert any_store.release_table("if_antibodies", WHERE.release).collect().height == 2


def test_a_publication_that_breaks_off_leaves_the_published_table(tmp_path: Path) -> None:
    store = Store(f"plainremote://{tmp_path.name}", scratch=tmp_path / "scratch")
    PlainRemote.reset()
    publish(store, rows("HPA000001"))
    PlainRemote.reset(fail_after=0)
    with pytest.raises(OSError, match="broke off"):
        publish(store, rows("HPA000002"))
    PlainRemote.reset()
    assert store.table("if_antibodies", WHERE).collect().equals(rows("HPA000001"))
    assert store.partitions("if_antibodies") == [WHERE]


def test_a_staged_table_is_invisible_and_gone_if_not_published(store: Store) -> None:
    publish(store, rows("HPA000001"))
    with store.stage_table("if_antibodies", WHERE, rows("HPA000002")):
        assert store.table("if_antibodies", WHERE).collect()["antibody_id"].to_list() == ["HPA000001"]
        assert store.partitions("if_antibodies") == [WHERE]
    assert store.table("if_antibodies", WHERE).collect()["antibody_id"].to_list() == ["HPA000001"]
    assert list((Path(store.root) / ".staging").iterdir()) == []


def test_the_same_rows_give_the_same_bytes(store: Store) -> None:
    frame = rows("HPA000001", "HPA000002")
    contents = [(Path(store.root) / publish(store, frame)).read_bytes() for _ in range(2)]
    assert contents[0] == contents[1]


def test_rows_that_come_in_stretches_give_the_same_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cm4ai_assets.storage.parquet.ROW_GROUP", 2)
    frame = rows(*(f"HPA{number:06d}" for number in range(7)))
    whole = (Path(store.root) / publish(store, frame)).read_bytes()
    for size in (2, 4, 100):
        stretches = in_stretches(frame.lazy(), size)
        with store.stage_stretches("if_antibodies", WHERE, stretches) as staged:
            assert staged.path.read_bytes() == whole
            assert staged.height() == 7
    with store.stage_stretches("if_antibodies", WHERE, []) as staged:
        assert staged.frame().equals(frame.clear())


def test_files_explain_themselves(store: Store) -> None:
    with store.stage_table("if_antibodies", WHERE, rows("HPA000001"), credit={"license": "CC0 1.0"}) as staged:
        path = Path(store.root) / store.publish_table(staged)
    metadata = pq.read_metadata(path).metadata
    assert metadata[b"license"] == b"CC0 1.0"
    assert metadata[b"table"] == b"if_antibodies"


def test_all_partitions_scan_as_one_hive_dataset(store: Store) -> None:
    publish(store, rows("HPA000001"))
    other = Partition("2025-10-v1.0", "untreated")
    frame = table("if_antibodies").from_rows([ROW], release=other.release, condition=other.condition)
    with store.stage_table("if_antibodies", other, frame) as staged:
        store.publish_table(staged)
    scanned = pl.scan_parquet(f"{store.root}/tables/if_antibodies/**/*.parquet", hive_partitioning=True)
    found = scanned.select("release", "condition").sort("release").collect().rows()
    assert found == [("2025-06-v2.1", "paclitaxel"), ("2025-10-v1.0", "untreated")]


def test_what_is_not_published_says_how_to_get_it(store: Store) -> None:
    with pytest.raises(NotMaterializedError, match=r"cm4ai materialize --release 2025-06-v2\.1"):
        store.table("if_fields", WHERE)
    with pytest.raises(NotMaterializedError):
        store.release_table("if_fields", WHERE.release)


@pytest.mark.parametrize("release", ["..", "a/b", "2025-06", "", "2025-06-v2.1/../x"])
def test_hostile_partitions_make_no_path(release: str) -> None:
    with pytest.raises(ReleaseKeyError):
        table_path(table("if_fields"), Partition(release, "paclitaxel"))
    with pytest.raises(ReleaseKeyError):
        table_path(table("if_fields"), Partition("2025-06-v2.1", f"../{release}"))


def test_paths_and_partitions_are_inverse() -> None:
    for name, where in (("if_fields", WHERE), ("release_files", Partition("2025-06-F3TD5R-v2.1"))):
        assert table_partition(f"/root/{table_path(table(name), where)}") == (name, where)


KILLED = """
import os, sys, pathlib
from cm4ai_assets.storage.store import Store, in_stretches
store = Store(sys.argv[1], scratch=pathlib.Path(sys.argv[1]) / "scratch")
with store.staging.folder() as folder:
    (folder / "half").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_staged_is_swept_and_what_a_living_one_staged_is_not(tmp_path: Path) -> None:
    root = tmp_path / "storage"
    subprocess.run([sys.executable, "-c", KILLED, str(root)], check=False, env={**os.environ})
    left = [path for path in (root / ".staging").iterdir() if path.is_dir()]
    assert len(left) == 1
    store = Store(str(root), scratch=tmp_path)
    with store.staging.folder() as first, store.staging.folder() as second:
        assert not left[0].exists()
        assert first.exists()
        assert second.exists()
