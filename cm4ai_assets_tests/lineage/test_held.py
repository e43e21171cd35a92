"""A chain read again: what is damaged is found, and nothing else is called damaged."""

from __future__ import annotations

from pathlib import Path

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.lineage.chain import Chain
from cm4ai_assets.lineage.held import held
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.lineage.traces import Trace
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.images.published import KEY, publish


def _blob(release: Release, trace: Trace) -> str:
    (stored,) = {step.stored.path for step in trace.steps if step.kind is StepKind.FILE and step.stored is not None}
    return stored


def _steps(trace: Trace) -> list[Step]:
    return [step for step in trace.steps if step.stored is not None]


def test_the_chain_is_read_again_on_request_and_damage_is_found(copy: Release) -> None:
    sound = copy.trace("if_tensors", 1, condition="untreated", verify=True)
    assert sound.held is not None
    assert [one for one in sound.held if one.problems] == []
    paths = {one.path for one in sound.held}
    assert {step.stored.path for step in _steps(sound) if step.stored and step.kind is not StepKind.PLANES} <= paths
    assert len([one for one in sound.held if "!untreated/" in one.path]) == len(sound.members) == 5
    assert any("SHA-256 and the published MD5" in one.detail for one in sound.held)
    stored = sound.subject.stored
    assert stored is not None
    shard, fields = (
        f"{stored.path}/{stored.part}",
        layout.table_path(tables.table("if_fields"), Partition(KEY, "untreated")),
    )
    for damaged in (shard, _blob(copy, sound), fields):
        path = Path(copy.store.address(damaged))
        whole = path.read_bytes()
        middle = whole.index(b"PAR1", 4) - 9 if damaged == fields else len(whole) - 1
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        again = held(Chain(copy.store, RULES, KEY), sound)
        assert damaged in {one.path for one in again if one.problems}
        path.write_bytes(whole)
    Path(copy.store.address(f"{stored.path}/image/c/1/0/0/0")).write_bytes(b"altered")  # `cm4ai verify` reads that one
    assert [one for one in held(Chain(copy.store, RULES, KEY), sound) if one.problems] == []


def test_a_published_digest_that_the_stored_bytes_do_not_have_is_found(copy: Release) -> None:
    (row, *others) = copy.store.table("release_files", Partition(KEY)).collect().rows(named=True)
    index = next(path for path in copy.store.find("blobs/index/md5") if row["digest"] in path)
    wrong = "0" * 32
    Path(copy.store.address("blobs/index/md5/00")).mkdir(parents=True, exist_ok=True)
    Path(copy.store.address(f"blobs/index/md5/00/{wrong}.json")).write_bytes(copy.store.read(index))
    own = [
        {name: value for name, value in one.items() if name != "release"} for one in ({**row, "digest": wrong}, *others)
    ]
    publish(copy.store, "release_files", own, None)
    held = copy.trace("if_images", 0, condition="untreated", verify=True).held
    assert held is not None
    (problem,) = [problem for one in held for problem in one.problems]
    assert f"was published with MD5 {wrong}, not {row['digest']}" in problem


def test_altered_bytes_of_which_no_digest_is_published_are_found(copy: Release) -> None:
    trace = copy.trace("apms_runs", 0, condition="untreated")
    (file,) = trace.files
    assert file.digest is None
    path = Path(copy.store.address(_blob(copy, trace)))
    path.write_bytes(b"X" + path.read_bytes()[1:])
    (problem,) = [one for one in held(Chain(copy.store, RULES, KEY), trace) if one.problems]
    assert problem.path == _blob(copy, trace)
