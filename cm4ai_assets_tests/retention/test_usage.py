"""How many bytes a release takes, and what could go."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from cm4ai_assets.references import Kind, references
from cm4ai_assets.retention import Usage, What, usage
from cm4ai_assets.retention.scratch import QUARANTINE_AGE, SCRATCH_AGE
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.store import Store
from cm4ai_assets_tests.lineage.world import KEY, TWIN

NOW = timedelta(0)
"""Everything that was written before is old enough."""


def found(answer: Usage) -> set[tuple[str, str]]:
    return {(str(one.what), one.path) for one in answer.could_go}


def put(store: Store, path: str, data: bytes = b"bytes") -> str:
    file = Path(store.address(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return path


def test_of_a_storage_in_which_all_is_needed_nothing_could_go(store: Store) -> None:
    answer = usage(store, young=NOW)
    assert (answer.could_go, answer.young, answer.unknown) == ((), (), ())
    assert answer.stored == sum(file.stat().st_size for file in Path(store.root).rglob("*") if file.is_file())


def test_bytes_of_a_release_are_its_own_or_shared(store: Store) -> None:
    answer = {one.release: one for one in usage(store).releases}
    assert list(answer) == [KEY, TWIN]
    for key, one in answer.items():
        paths = {ref.path: ref.kind for ref in references(store, key)}
        assert one.size == sum(store.size(path) for path in paths) == one.own + one.shared
        assert one.by_kind[Kind.BLOB] == sum(store.size(path) for path, kind in paths.items() if kind is Kind.BLOB)
    both = {ref.path for ref in references(store, KEY)} & {ref.path for ref in references(store, TWIN)}
    assert answer[KEY].shared == answer[TWIN].shared == sum(map(store.size, both)) > 0


def test_what_nothing_refers_to_could_go_once_it_is_old(store: Store) -> None:
    sha256 = "ab" * 32
    blob = put(store, f"blobs/sha256/ab/{sha256}")
    tensor = put(store, f"{layout.TENSORS}/{'9' * 16}-256-v2.zarr/zarr.json").rsplit("/", 1)[0]
    young = usage(store)
    assert (young.could_go, {one.path for one in young.young}) == ((), {blob, tensor})
    assert found(usage(store, young=NOW)) == {(What.BLOB, blob), (What.TENSOR, tensor)}


def test_an_older_code_version_could_go_only_when_the_newer_one_is_whole(store: Store) -> None:
    (current, _) = store.children(layout.PIXEL_STATISTICS) or (None, None)
    assert current is None  # the release was written by hand, without statistics
    name = store.children(layout.TENSORS)[0]
    older = name.replace("-v2.", "-v1.")
    put(store, f"{layout.TENSORS}/{older}/zarr.json")
    assert usage(store, young=NOW).could_go == ()  # the shards of the newer one are not of the size that it states
    record = Path(store.address(f"{layout.TENSORS}/{name}/zarr.json"))
    sizes = [path.stat().st_size for path in sorted(record.parent.rglob("c/*/0/0/0"))]
    record.write_text(record.read_text().replace("[3, 3]", str(sizes)))
    put(store, f"{layout.TENSORS}/{name}/image/zarr.json")
    (one,) = usage(store, young=NOW).could_go
    assert (one.what, one.path) == (What.CODE_VERSION, f"{layout.TENSORS}/{older}")
    assert name in one.reason


def test_a_release_that_is_not_registered_could_go_but_for_what_a_registered_one_reads(store: Store) -> None:
    _unregister(store, TWIN)
    could_go = found(usage(store, young=NOW))
    assert could_go == {(What.TABLE, f"tables/release_files/release={TWIN}/data.parquet")}
    _unregister(store, KEY)
    store.create(b"{}", "registry/elsewhere.json")
    assert usage(store, young=NOW).unknown == (
        "No release is registered here. Register them (`cm4ai releases --register`).",
    )


def test_a_registered_release_keeps_the_one_whose_tables_it_reads(store: Store) -> None:
    _unregister(store, KEY)
    answer = usage(store, young=NOW)
    assert (answer.could_go, answer.unknown) == ((), ())
    assert [one.release for one in answer.releases] == [TWIN]


def test_nothing_unreferenced_could_go_while_it_is_not_known_what_is_referred_to(store: Store) -> None:
    blob = put(store, f"blobs/sha256/ab/{'ab' * 32}")
    lock = Path(store.address(layout.release_path(TWIN)))
    whole = lock.read_bytes()
    for break_it, reason in (
        (lambda: lock.write_bytes(b"{"), "is no release record"),
        (lock.unlink, "is gone. Restore it"),
        (lambda: put(store, f"tables/of_tomorrow/release={KEY}/data.parquet"), "of_tomorrow is nothing that this"),
    ):
        break_it()
        answer = usage(store, young=NOW)
        assert (answer.could_go, any(reason in one for one in answer.unknown)) == ((), True), answer.unknown
        lock.write_bytes(whole)
    store.remove("tables/of_tomorrow")
    assert found(usage(store, young=NOW)) == {(What.BLOB, blob)}
    archive = next(path for path in store.find("tables/if_archive"))
    Path(store.address(archive)).write_bytes(b"PAR1")
    (reason,) = usage(store, young=NOW).unknown
    assert archive in reason


def test_records_of_what_is_gone_and_leftovers_could_go(store: Store) -> None:
    expected = {
        (What.RECORD, put(store, "registry/sha256/tables/if_cells/gone/data.parquet.json")),
        (What.RECORD, put(store, "registry/verified/blobs/sha256/ab/gone.json")),
        (What.RECORD, put(store, f"blobs/blocks/ab/{'ab' * 32}")),
        (What.RECORD, put(store, f"registry/environments/{'c' * 64}.txt")),
        (What.RECORD, put(store, "registry/absences/splits/release=2020-01-v1.0.json")),
        (What.LEFTOVER, put(store, "registry/releases/.x.json.12-ab.new")),
        (What.LEFTOVER, put(store, ".staging/1234/half.parquet").rsplit("/", 1)[0]),
    }
    assert found(usage(store, young=NOW)) == expected


def test_scratch_and_quarantine_could_go_by_age(store: Store, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    ages = {"md5-ab.part": SCRATCH_AGE, "md5-ab.json": SCRATCH_AGE, "md5-cd.part": SCRATCH_AGE / 2,
            "counts/x/state.npz": SCRATCH_AGE, "quarantine/y.json": QUARANTINE_AGE,
            "locks/md5-ab.lock": 9 * SCRATCH_AGE,
            "hosts/a.json": 9 * SCRATCH_AGE, "quarantine/z.json": SCRATCH_AGE}  # fmt: skip
    for name, age in ages.items():
        put(store, f"../scratch/{name}")
        at = time.time() - age.total_seconds() - 60
        os.utime(scratch / name, (at, at))
    assert found(usage(store, scratch=scratch)) == {
        (What.SCRATCH, "md5-ab.part"), (What.SCRATCH, "counts/x"), (What.QUARANTINE, "quarantine/y.json"),
    }  # fmt: skip


def _unregister(store: Store, key: str) -> None:
    store.remove(layout.release_path(key))


@pytest.mark.parametrize("room", [layout.TENSORS, layout.NUCLEI, layout.PROFILES])
def test_a_name_that_is_no_store_is_left_alone(store: Store, room: str) -> None:
    put(store, f"{room}/notes/readme.txt")
    assert usage(store, young=NOW).could_go == ()
