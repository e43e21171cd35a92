"""`gc --apply` on any storage: what registered releases need stays, byte for byte, and all else goes."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cm4ai_assets.coordination import Files
from cm4ai_assets.references import references
from cm4ai_assets.retention import usage
from cm4ai_assets.retention.removing import remove
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import tensor_path
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import tensor_id
from cm4ai_assets.verification import verify
from cm4ai_assets_tests.exports.releases import RECORD
from cm4ai_assets_tests.lineage.world import KEY, TWIN
from cm4ai_assets_tests.retention.generated import Made, World, is_made, kept, releases, sha256, tensors
from cm4ai_assets_tests.storage.s3 import s3_server

NOW = timedelta(0)


@contextmanager
def world(made: list[Made], extra: frozenset[tuple[int, int]], stray: frozenset[int]) -> Iterator[World]:
    made_now = World(f"memory://{uuid.uuid4().hex}", made, extra, stray)
    try:
        yield made_now
    finally:
        made_now.store.fs.rm(made_now.store.root, recursive=True)
        shutil.rmtree(made_now.folder)


def verdicts(store: Store) -> set[tuple[str, tuple[str, ...]]]:
    """What `verify` says of each thing, but for the label by which a blob is called."""
    return {(" ".join(one.what.split()[:2]), one.problems) for one in verify(store)}


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))  # an example shrinks slowly
@given(made=releases, extra=tensors, stray=st.frozensets(st.integers(50, 52)), stop=st.integers(0, 12))
def test_what_registered_releases_need_stays_and_all_else_goes_wherever_it_is_interrupted(
    made: list[Made], extra: frozenset[tuple[int, int]], stray: frozenset[int], stop: int
) -> None:
    with world(made, extra, stray) as there:
        before, sound = there.files(), verdicts(there.store)
        for step, _ in enumerate(remove(there.store, usage(there.store, young=NOW).could_go)):
            if step == stop:
                break
        assert verdicts(there.store) <= sound
        list(remove(there.store, usage(there.store, young=NOW).could_go))
        after = there.files()
        assert after == {path: data for path, data in before.items() if path in after}  # nothing is changed
        if not any(one.registered for one in made):
            assert after == before
            return
        stays = kept(made)
        needed = {number for one in stays for number in (*one.files, one.images) if number is not None}
        assert there.blobs_there() == {sha256(number) for number in needed}
        assert there.stores_there() == {stored(one) for one in stays if is_made(one)}
        for path in before:
            if path.startswith(("tables/", "registry/releases/", "registry/sha256/tables/")) or "CURRENT" in path:
                assert (path in after) is any(is_of(path, one.key) for one in stays), path
        assert verdicts(there.store) <= sound


def stored(one: Made) -> str:
    return tensor_path(tensor_id(sha256(one.images or 0), 256, one.version or 0))


def is_of(path: str, key: str) -> bool:
    return f"release={key}/" in path or path.endswith(f"releases/{key}.json")


def test_a_release_with_every_table_goes_in_an_order_in_which_verify_never_misses_anything(store: Store) -> None:
    for key in (KEY, TWIN):
        store.remove(layout.release_path(key))
    (record,) = ReleaseRegistry(store).register([replace(RECORD, major=9)])
    other = {one.path: store.read(one.path) for one in references(store, record.key)}
    store.remove(f"tables/release_files/release={TWIN}/data.parquet")
    sound, found = verdicts(store), usage(store, young=NOW)
    assert found.unknown == ()
    for step, _ in enumerate(remove(store, found.could_go)):
        if step % 12 == 0:
            assert verdicts(store) <= sound
    assert {path: store.read(path) for path in other} == other
    left = {path for path in store.find("") if not path.startswith(("blobs/index", layout.VERIFIED))}
    assert [path for path in left - set(other) if KEY in path or TWIN in path] == []
    assert [path for path in left if path.startswith(("tensors/", "blobs/"))] == []
    list(remove(store, usage(store, young=NOW).could_go))
    assert usage(store, young=NOW).could_go == ()


def test_on_an_object_store_it_goes_by_the_clock_of_the_server() -> None:
    with s3_server() as url:
        made = [Made(1, True, frozenset({1}), None, None, 1), Made(2, False, frozenset({2}), None, None, 0)]
        there = World(f"{url}/storage", made, [(101, 1)], [50])
        assert abs(there.store.fs.clock(there.store.root) - datetime.now(UTC)) < timedelta(minutes=1)
        assert usage(there.store).could_go == ()
        before = there.files()
        there.store.now = lambda: datetime.now(UTC) + timedelta(days=2)  # type: ignore[method-assign]
        removed = list(remove(there.store, usage(there.store).could_go))
        assert all(one.gone for one in removed)
        after = there.files()
        assert after == {path: data for path, data in before.items() if path in after}
        assert (there.blobs_there(), there.stores_there()) == ({sha256(1)}, set())
        assert [one for one in verify(there.store) if one.problems] == []


def test_what_was_changed_since_it_was_looked_at_is_left(store: Store) -> None:
    path = Path(store.address(f"blobs/sha256/ab/{'ab' * 32}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"stray")
    found = usage(store, young=NOW)
    path.write_bytes(b"another")
    assert [one.gone for one in remove(store, found.could_go)] == [False]
    assert path.exists()


@pytest.mark.parametrize("in_use", [True, False])
def test_a_partial_download_goes_unless_a_process_is_at_it(store: Store, tmp_path: Path, in_use: bool) -> None:  # noqa: FBT001
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    for name in ("md5-ab.part", "md5-ab.json", "md5-cd.part"):
        (scratch / name).write_bytes(b"half")
        os.utime(scratch / name, (1, 1))
    found = usage(store, scratch=scratch).could_go
    with Files(scratch / "locks").hold(["md5-ab" if in_use else "md5-xy"]):
        gone = {one.thing.path: one.gone for one in remove(store, found, scratch=scratch)}
    assert gone == {"md5-ab.part": not in_use, "md5-cd.part": True}
    assert (scratch / "md5-ab.json").exists() is in_use
