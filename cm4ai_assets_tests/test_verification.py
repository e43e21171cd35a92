"""`verify` on a whole release: whatever bit is flipped in whatever file, it is named, and the rest is looked at."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets import verification
from cm4ai_assets.access import Release
from cm4ai_assets.errors import ConfigurationError, NotDamagedError
from cm4ai_assets.lineage.trace import trace_table
from cm4ai_assets.platform import Platform
from cm4ai_assets.references import Kind, Reference, everything, references
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import Settings
from cm4ai_assets.software import environment, running
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.layout import Partition, making_path
from cm4ai_assets.storage.makings import Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.verified_dates import VerifiedDates
from cm4ai_assets.tables import Document, table
from cm4ai_assets.verification import Verified, check, scrub, verify
from cm4ai_assets.withdrawal import withdraw
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

WHERE = Partition(RELEASE, "paclitaxel")
# Notes that nothing is trusted for: a damaged one is as good as none.
UNTRUSTED = (layout.VERIFIED, layout.ABSENCES)


@pytest.fixture(scope="module")
def made(sandbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A storage with every asset of one condition of a release. Only to be read."""
    folder = tmp_path_factory.mktemp("verified")
    with SandboxServer(sandbox) as server, dg.DagsterInstance.ephemeral() as instance:
        settings = Settings.served_by(
            server.url, storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256,
        )  # fmt: skip
        bench = Workbench(Platform(settings), instance)
        bench.register_offered()
        outcomes = bench.run(RELEASE, "paclitaxel")
        assert [outcome.failure for outcome in outcomes if not outcome.succeeded] == []
    return folder / "storage"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    """A copy of it, to be damaged."""
    shutil.copytree(made, tmp_path / "storage")
    for path in (tmp_path / "storage").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Store(str(tmp_path / "storage"), scratch=tmp_path / "scratch")


def found(store: Store, release: str | None = RELEASE) -> list[Verified]:
    return [item for item in verify(store, release=release) if item.problems]


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def kind_of(path: str) -> str:
    """What kind of file a path is: one word for files that are read alike."""
    parts = path.split("/")
    if parts[0] == "tables":
        return f"table {parts[1]}"
    if parts[:2] == ["tensors", "if_tensors"]:
        return f"tensor {parts[-1] if parts[-1].endswith('.json') else 'shard'}"
    return "/".join(parts[:3] if parts[:2] == ["blobs", "index"] else parts[:2])


def damageable(store: Store) -> dict[str, list[str]]:
    """Every kind of file of the storage, with its paths; registered releases of which nothing is made are left out."""
    kinds: dict[str, list[str]] = {}
    for path in (path for top in ("blobs", "tables", "tensors", "registry", "documents") for path in store.find(top)):
        if not path.startswith(UNTRUSTED) and (layout.RELEASES not in path or RELEASE in path):
            kinds.setdefault(kind_of(path), []).append(path)
    return kinds


def test_a_sound_release_has_no_problems_and_everything_of_it_is_read(store: Store) -> None:
    results = list(verify(store, release=RELEASE))
    assert [item for item in results if item.problems] == []
    words = [item.what.split(" ")[0] for item in results]
    blobs = store.find("blobs/sha256")
    assert len(blobs) > 5
    assert words.count("blob") == len(blobs)
    assert words.count("table") == len([path for path in store.find("tables") if RELEASE in path])
    assert {"release", "table", "blob", "tensor", "statistics"} <= set(words)
    assert not [item for item in results if "before digests were recorded" in item.detail]
    assert len({item.what for item in results}) == len(results)


def test_a_row_of_every_table_is_traced_to_published_files_and_runs(store: Store) -> None:
    answers = {"usage_metrics": "counts of", "release_datasheet": "JSON-LD of the landing page", "sra_runs": "sample "}
    for one in (one for one in references(store, RELEASE) if one.kind is Kind.TABLE):
        rows = store.table(one.name, one.partition).collect()
        for row in {0, rows.height - 1} if rows.height else ():
            trace = trace_table(store, RELEASE, one.name, rows.row(row, named=True))
            assert trace.runs, one
            assert trace.stale == (), one
            ends = [step.name for step in trace.steps if not step.origins and not step.file]
            assert trace.files or [name for name in ends if name.startswith(answers[one.name])] == ends, one
            assert "not known" not in str(trace).replace("CRC-32 and size are not known here", ""), one


def test_one_flipped_bit_in_any_kind_of_file_is_found_and_nothing_else_is_called_damaged(store: Store) -> None:
    chance = random.Random(20261126)
    kinds = damageable(store)
    assert {"blobs/sha256", "blobs/blocks", "tensor zarr.json", "tensor shard", "tensors/if_quality"} <= set(kinds)
    for kind, paths in sorted(kinds.items()):
        path = Path(store.address(chance.choice(paths)))
        whole = path.read_bytes()
        bit = chance.randrange(8 * len(whole))
        flip(path, bit)
        damaged = [item for item in found(store, None) if not item.what.startswith("what ")]
        assert len(damaged) == 1, (kind, path, bit, damaged)
        path.write_bytes(whole)
    found(store, None)  # a record of blocks that was found damaged is made again
    assert found(store, None) == []


@pytest.mark.slow
def test_every_file_and_many_bits_of_it(store: Store) -> None:
    chance = random.Random(336)
    missed = []
    for kind, paths in sorted(damageable(store).items()):
        for name in paths:
            path = Path(store.address(name))
            whole = path.read_bytes()
            for bit in {0, 8 * len(whole) - 1, chance.randrange(8 * len(whole))}:
                flip(path, bit)
                if not _looked_at(store, name):
                    missed.append((kind, name, bit))
                path.write_bytes(whole)
    assert missed == []


def _looked_at(store: Store, path: str) -> bool:
    """Whether the checks that read this file find something; all of them would take hours."""
    if path.startswith("blobs/index"):
        return bool(BlobStore(store.fs, store.root).index_problems())
    if path.startswith("blobs/blocks"):
        blobs = BlobStore(store.fs, store.root)
        return blobs.recorded_blocks(path.rsplit("/", 1)[-1]) is None
    wanted = path
    for records in (layout.FILE_DIGESTS, layout.MAKINGS):
        if path.startswith(f"{records}/"):
            wanted = path.removeprefix(f"{records}/").removesuffix(".json")
    known: list[Reference] = []
    for one in everything(store, unreadable=lambda reference, _: known.append(reference)):
        if wanted.startswith(one.path):
            return bool(check(store, one).problems)
    return False


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "other"])
def test_files_that_are_cut_empty_gone_or_others_are_named_and_the_rest_is_still_looked_at(
    store: Store, damage: str
) -> None:
    names = len(list(verify(store, release=RELEASE)))
    path = Path(store.address(layout.table_path(table("if_fields"), WHERE)))
    other = Path(store.address(layout.table_path(table("if_images"), WHERE)))
    data = {"cut": path.read_bytes()[:-50], "empty": b"", "other": other.read_bytes(), "gone": b""}[damage]
    path.write_bytes(data)
    if damage == "gone":
        tensor = Path(store.address(tensor_of(store)))
        path.write_bytes(other.read_bytes())
        next(file for file in tensor.rglob("0") if file.is_file()).unlink()
    results = list(verify(store, release=RELEASE))
    damaged = [item for item in results if item.problems]
    assert len(results) == names
    assert f"table if_fields {WHERE}" in [item.what for item in damaged]
    assert len(damaged) == (2 if damage == "gone" else 1)
    assert "cm4ai withdraw tables/if_fields" in damaged[0].problems[0]


def tensor_of(store: Store) -> str:
    return str(store.table("if_tensors", WHERE).collect()["path"].item())


def test_a_table_that_others_hang_on_says_what_was_not_looked_at(store: Store) -> None:
    path = Path(store.address(layout.table_path(table("release_files"), Partition(RELEASE))))
    path.write_bytes(path.read_bytes()[:-50])
    damaged = {item.what: item for item in found(store)}
    assert f"table release_files {RELEASE}" in damaged
    assert "was not looked at" in damaged[f"what table release_files {RELEASE} refers to"].problems[0]
    with pytest.raises(Exception, match=r"."):
        list(references(store, RELEASE))


def _without_record(store: Store, path: str) -> None:
    store.digests.forget(path)


def test_without_recorded_digests_tables_are_held_against_their_rules_and_tensors_against_their_pixels(
    store: Store,
) -> None:
    """What was published before digests were recorded: less is known of it, and it is said."""
    path = layout.table_path(table("if_fields"), WHERE)
    _without_record(store, path)
    (item,) = [item for item in verify(store, release=RELEASE) if item.what.startswith("table if_fields")]
    assert (item.problems, "before digests were recorded" in item.detail) == ((), True)
    frame = pl.read_parquet(store.address(path), hive_partitioning=False)
    frame.with_columns(pl.lit("aspirin").alias("condition")).write_parquet(store.address(path))
    (misplaced,) = found(store)
    assert misplaced.what == f"table if_fields {WHERE}"
    assert misplaced.problems == ("condition is 'aspirin' in 8 rows of a file of paclitaxel",)
    pl.concat([frame, frame]).write_parquet(store.address(path))
    assert [item.what for item in found(store)] == [f"table if_fields {WHERE}"]


def test_a_tensor_whose_table_names_other_pixels_is_found(store: Store) -> None:
    row = store.table("if_tensors", WHERE).collect()
    for changed in (
        row.with_columns(pl.lit("0" * 64).alias("digest")),
        row.with_columns(pl.Series("shape", [[1, 4, 256, 256]], row.schema["shape"])),
    ):
        with store.stage_table("if_tensors", WHERE, changed) as staged:
            store.publish_table(staged)
        (damaged,) = found(store)
        assert damaged.what.startswith("tensor ")
        assert "if_tensors and if_quality name different pixels." in damaged.problems
    with store.stage_table("if_tensors", WHERE, row) as staged:
        store.publish_table(staged)
    assert found(store) == []


def test_a_tensor_without_recorded_digests_is_held_against_its_own_record_and_every_pixel(store: Store) -> None:
    tensor = tensor_of(store)
    _without_record(store, tensor)
    assert found(store) == []
    folder = Path(store.address(tensor))
    shard = next(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    for path, change in (
        (shard, lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]),
        (folder / "image" / "zarr.json", lambda data: data.replace(b'"green"', b'"yellow"')),
        (folder / "zarr.json", lambda _: b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'),
        (folder / "zarr.json", lambda data: data.replace(b'"edge": 256', b'"edge": 512').replace(b'"edge":256', b"1")),
    ):
        whole = path.read_bytes()
        assert change(whole) != whole
        path.write_bytes(change(whole))
        assert [item.what for item in found(store)] == [f"tensor {tensor}"], path
        path.write_bytes(whole)


def test_statistics_without_recorded_digests_are_held_against_the_table(store: Store) -> None:
    (path,) = store.find(layout.PIXEL_STATISTICS)
    _without_record(store, path)
    assert found(store) == []
    rows = pl.read_parquet(store.address(path))
    rows.with_columns(pl.lit("f" * 64).alias("pixel_sha256")).write_parquet(store.address(path))
    assert [item.what for item in found(store)] == [f"statistics {path}"]
    Path(store.address(path)).unlink()
    assert "It is missing." in found(store)[0].problems[0]


def test_panics_and_errors_of_a_parser_end_no_verification(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):  # as pyo3's PanicException
        pass

    names = len(list(verify(store, release=RELEASE)))

    def panics(*_: object) -> None:
        raise Panic("index out of bounds\nmore")

    with monkeypatch.context() as patch:
        patch.setitem(verification._CHECKS, Kind.TABLE, panics)
        results = list(verify(store, release=RELEASE))
    tables = [item for item in results if item.what.startswith("table ")]
    assert len(results) == names
    assert all(
        item.problems[0].startswith("Panic: index out of bounds. Run `cm4ai withdraw tables/") for item in tables
    )

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(verification._CHECKS, Kind.TABLE, stopped)
        with pytest.raises(KeyboardInterrupt):
            list(verify(store, release=RELEASE))


def test_what_a_release_refers_to_is_everything_that_its_readers_need(store: Store) -> None:
    of_release = list(references(store, RELEASE))
    assert len({one.path for one in of_release}) == len(of_release)
    paths = {one.path for one in of_release}
    assert {layout.release_path(RELEASE), tensor_of(store)} <= paths
    assert set(store.find("tables")) - {path for path in store.find("tables") if RELEASE not in path} <= paths
    assert set(store.find("blobs/sha256")) <= paths
    of_all = {one.path for one in references(store)}
    assert paths <= of_all
    assert [path for path in store.find("tables") if path not in of_all] == []
    stray = Path(store.address(BlobStore(store.fs, store.root).path("ab" * 32)))
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_bytes(b"stray")
    assert {one.path for one in everything(store)} - {one.path for one in references(store)} == {
        BlobStore(store.fs, store.root).path("ab" * 32)
    }
    (problem,) = [item for item in found(store, None) if item.what.startswith("blob abab")]
    assert "was altered" in problem.problems[0]


def test_only_what_is_damaged_is_withdrawn_and_comes_again(store: Store) -> None:
    path = layout.table_path(table("if_fields"), WHERE)
    with pytest.raises(NotDamagedError, match="and stays"):
        withdraw(store, path)
    with pytest.raises(ConfigurationError, match="is nothing that can be withdrawn"):
        withdraw(store, layout.release_path(RELEASE))
    flip(Path(store.address(path)), 800)
    assert "was altered" in withdraw(store, path)
    assert not store.exists(path)
    assert store.digests.read(path) is None
    tensor = tensor_of(store)
    (Path(store.address(tensor)) / "zarr.json").write_bytes(b"")
    withdraw(store, tensor)
    assert not store.exists(tensor)


def test_scrubbing_reads_what_was_not_read_for_the_longest_time_within_its_budget(store: Store) -> None:
    dates = VerifiedDates(store.fs, store.root)
    total = len(list(everything(store)))
    store.fs.rm(store.address(layout.VERIFIED), recursive=True)
    seen: list[str] = []
    while len(seen) < total:
        share = list(scrub(store, budget=2_000_000))
        assert share
        assert sum(one.size for one in share[:-1]) < 2_000_000
        seen += [one.what for one in share]
        assert len(seen) <= total or len(set(seen)) >= total
    assert len(set(seen[:total])) == total
    assert all(dates.last(one.path) is not None for one in everything(store))
    path = layout.table_path(table("if_fields"), WHERE)
    flip(Path(store.address(path)), 800)
    store.fs.rm_file(store.address(layout.verified_path(path)))
    (first, *_) = scrub(store, budget=1)
    assert first.what == f"table if_fields {WHERE}"
    assert first.problems
    (second, *_) = scrub(store, budget=1)
    assert second.what != first.what


def test_a_release_that_shares_anothers_tables_refers_to_them(store: Store) -> None:
    """A version that only renames files has a lock of its own and no tables: readers get those of the same bytes."""
    twin = "2026-07-v1.0"
    lock = store.table("release_files", Partition(RELEASE)).collect().with_columns(pl.lit(twin).alias("release"))
    with store.stage_table("release_files", Partition(twin), lock) as staged:
        store.publish_table(staged)
    paths = {one.path for one in references(store, twin)}
    assert layout.table_path(table("release_files"), Partition(twin)) in paths
    assert layout.table_path(table("if_fields"), WHERE) in paths
    assert tensor_of(store) in paths
    assert layout.table_path(table("release_files"), Partition(RELEASE)) not in paths
    assert layout.release_path(RELEASE) not in paths
    assert found(store, twin) == []
    shard = next(path for path in Path(store.address(tensor_of(store))).rglob("0") if path.is_file())
    flip(shard, 80_000)
    assert [item.what for item in found(store, twin)] == [f"tensor {tensor_of(store)}"]


def test_a_record_of_a_run_that_was_altered_is_found(store: Store) -> None:
    reference = next(one for one in references(store, RELEASE) if one.name == "if_fields")
    making = Making(
        reference.path, "0" * 64, "if_fields", RELEASE, "paclitaxel", "a run", None, None, datetime.now(UTC),
        running(), (),
    )  # fmt: skip
    Makings(store).note(making, environment())
    assert check(store, reference).problems == ()
    flip(Path(store.address(making_path(reference.path))), 99)
    (problem,) = check(store, reference).problems
    assert "record of the run" in problem
    store.remove(making_path(reference.path))
    assert check(store, reference).problems == ()


def test_stored_levels_are_read_again_beside_their_tensor(store: Store) -> None:
    release = Release(RELEASE, store)
    (path,) = release.store_level(128, conditions=["paclitaxel"])
    level = f"smaller images {path}"
    assert [(item.what, item.problems) for item in verify(store, release=RELEASE) if item.what == level] == [
        (level, ())
    ]
    shard = next(Path(store.address(one)) for one in store.find(path) if "/c/" in one)
    flip(shard, 8_000)
    (problem,) = next(item.problems for item in verify(store, release=RELEASE) if item.what == level)
    assert f"cm4ai withdraw {path}" in problem
    assert withdraw(store, path) == problem
    assert not store.exists(path)
    assert len(release.loader(size=128)) > 0


def test_documents_are_read_again_too(store: Store) -> None:
    report = Document("report", "A report.", entry="index.html")
    files = {"index.html": b"<!DOCTYPE html><html></html>", "data.json": b"{}"}
    with store.stage_document(report, Partition(RELEASE), files) as staged:
        published = store.publish_document(staged)
    (item,) = [item for item in verify(store, release=RELEASE) if item.what.startswith("document report ")]
    assert (item.what, item.problems, item.size) == (f"document report {RELEASE}", (), 30)
    folder = published.folder.rsplit("/", 1)[0]
    reference = next(one for one in references(store, RELEASE) if one.path == folder)
    for name in store.find(folder):
        path = Path(store.address(name))
        whole = path.read_bytes()
        for bit in range(8 * len(whole)):
            flip(path, bit)
            assert "aterialize" in check(store, reference).problems[-1], (name, bit)
            path.write_bytes(whole)
        path.unlink()
        assert check(store, reference).problems
        path.write_bytes(whole)
    Path(store.address(f"{published.folder}/data.json")).write_bytes(b"{ }")
    withdraw(store, folder)
    assert not store.has_document(report, Partition(RELEASE))
