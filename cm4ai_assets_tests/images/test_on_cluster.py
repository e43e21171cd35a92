"""The pass over pixels on a Dask cluster of separate processes: the bytes of the threads, whatever happens to it."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.cluster import connection as clusters
from cm4ai_assets.cluster.connection import Cluster, connect
from cm4ai_assets.cluster.workers import Recipe, Terms, make
from cm4ai_assets.errors import ClusterError, ConfigurationError, StoredBytesDamagedError
from cm4ai_assets.images import pixels, tasks, tensors
from cm4ai_assets.images.cluster import ClusterPass
from cm4ai_assets.images.on_cluster import Images, run_pass_on
from cm4ai_assets.images.pixels import Passed, PassProgress, run_pass
from cm4ai_assets.images.tensors import product_of
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.shard_names import IMAGE
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import tensor_id
from cm4ai_assets_tests.cluster.bench import folder, running, store
from cm4ai_assets_tests.servers.dask_cluster import DaskCluster, Launcher, dask_cluster

__all__ = ["folder", "running", "store"]  # fixtures

pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")

Painted = Callable[[int], dict[str, dict[str, bytes]]]
FIELDS = 200
# One in the first shard, a row of them over the border of two, all of one shard, and the last field.
DAMAGED = (3, *range(45, 50), *range(96, 112), 199)


@dataclass(frozen=True)
class Stored:
    """A ZIP of many small fields, some of them damaged, in the storage."""

    archive: Any
    sha256: str

    def by_threads(self, target: Path) -> Passed:
        return run_pass(
            self.archive.source, self.archive.members, self.archive.plans, target,
            edge=32, source_edge=64, source_sha256=self.sha256, first_published_in={"doi": "doi:x"},
        )  # fmt: skip

    def by_cluster(self, cluster: Cluster, store: Store, target: Path, **options: Any) -> Passed:
        """As `by_threads`, and to the same names below `target`."""
        target.mkdir(parents=True)
        with store.shared_folder() as shared:
            passed, files = run_pass_on(
                cluster, shared, self.archive.members, self.archive.plans, target / "quality.parquet",
                edge=32, source_edge=64, source_sha256=self.sha256, first_published_in={"doi": "doi:x"}, **options,
            )  # fmt: skip
            assert files == {name: files[name] for name in contents(shared.local)}
            assert {name: one.sha256 for name, one in files.items()} == contents(shared.local)
            shared.local.rename(target / "tensor.zarr")
        return passed


@pytest.fixture
def stored(painted_fields: Painted, zip_of: Callable[..., Any], store: Store, request: Any) -> Stored:
    painted = list(painted_fields(7).values())
    fields = {f"B2AI_1_paclitaxel_A1_R{n}_z01": painted[n % 7] for n in range(FIELDS)}
    for number in DAMAGED:
        name = list(fields)[number]
        fields[name] = {**fields[name], "blue": f"{request.node.name} is no image".encode()}  # another ZIP a test
    archive = zip_of(fields)
    data = archive.path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    BlobStore(store.fs, store.root).add(archive.path, sha256, {"MD5": hashlib.md5(data).hexdigest()})
    return Stored(archive, sha256)


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def at(fields: int, action: Callable[[], object]) -> Callable[[PassProgress], None]:
    """A listener to progress that does something once, when so many fields are done."""
    done = threading.Event()

    def listen(progress: PassProgress) -> None:
        if progress.fields_done >= fields and not done.is_set():
            done.set()
            action()

    return listen


def left_in_staging(store: Store) -> list[str]:
    """What a later run does not clear away. A worker may end a shard after the run that wanted it has failed."""
    left: list[str] = []
    for _ in range(50):
        with store.staging.folder():
            left = [path for path in store.find(layout.STAGING) if not path.endswith(".lock")]
        if not left:
            break
        time.sleep(0.2)
    return left


def test_workers_make_the_bytes_that_threads_make(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "PROGRESS_INTERVAL", 0.0)
    expected = stored.by_threads(tmp_path / "threads")
    seen: list[PassProgress] = []
    with connect(running.address, store) as cluster:
        passed = stored.by_cluster(cluster, store, tmp_path / "cluster", progress=seen.append)
    assert passed.record == expected.record
    assert passed.record.n_fields == FIELDS - len(DAMAGED)
    assert len(passed.record.failures) == len(DAMAGED)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")
    assert [one.fields_done for one in seen] == [*range(1, FIELDS + 1), FIELDS]
    assert left_in_staging(store) == []


def test_a_release_without_fields_is_made_too(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path
) -> None:
    nothing = replace(stored, archive=replace(stored.archive, plans=()))
    nothing.by_threads(tmp_path / "threads")
    with connect(running.address, store) as cluster:
        nothing.by_cluster(cluster, store, tmp_path / "cluster")
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")


def test_no_more_is_under_way_than_the_workers_can_hold(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    submit = ClusterPass._submit

    def counted(work: ClusterPass, *arguments: Any) -> Any:
        future = submit(work, *arguments)
        held.append(len(work._made) + len(work._writing))
        return future

    monkeypatch.setattr(ClusterPass, "_submit", counted)
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    with connect(running.address, store) as cluster:
        stored.by_cluster(cluster, store, tmp_path / "cluster")
    assert len(held) == -(-FIELDS // 16)
    assert max(held) <= 2 * (2 * 1 + 2) + 2


def test_the_work_of_a_killed_worker_is_done_by_others(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "PROGRESS_INTERVAL", 0.0)
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)  # so that there is work left
    stored.by_threads(tmp_path / "threads")
    with connect(running.address, store) as cluster:
        before = set(cluster.client.nthreads())
        stored.by_cluster(cluster, store, tmp_path / "cluster", progress=at(60, running.workers[0].kill))
        assert len(set(cluster.client.nthreads()) & before) == len(before) - 1
    running.add_worker()
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")


def test_a_run_whose_scheduler_is_killed_fails_and_succeeds_when_it_is_back(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "PROGRESS_INTERVAL", 0.0)
    monkeypatch.setattr(Cluster, "threads", lambda _: 1)
    with (
        pytest.raises(ClusterError, match=r"scheduler tcp://127\.0\.0\.1:\d+ went away[^\n]*materialize again\.$"),
        connect(running.address, store) as cluster,
    ):
        stored.by_cluster(cluster, store, tmp_path / "first", progress=at(60, running.scheduler.kill))
    assert left_in_staging(store) == []
    for worker in running.workers:
        worker.kill()
    running.workers.clear()
    running.start(3)
    stored.by_threads(tmp_path / "threads")
    with connect(running.address, store) as cluster:
        stored.by_cluster(cluster, store, tmp_path / "cluster")
    assert contents(tmp_path / "cluster") == contents(tmp_path / "threads")


def test_two_coordinators_at_once_publish_one_tensor(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "run_pass_on", partial(run_pass_on, source_edge=64))
    archive, barrier = stored.archive, threading.Barrier(2)

    def coordinate(_: int) -> str:
        with product_of(
            store, archive.source, archive.members, archive.plans, source_sha256=stored.sha256, edge=32,
            first_published_in={"doi": "doi:x"}, connect=partial(connect, running.address, store),
        ) as product:  # fmt: skip
            assert not product.reused
            barrier.wait(120)
            product.publish()
            return product.path

    with ThreadPoolExecutor(2) as pool:
        (path,) = set(pool.map(coordinate, range(2)))
    stored.by_threads(tmp_path / "threads")
    made = {name.removeprefix("tensor.zarr/"): one for name, one in contents(tmp_path / "threads").items()}
    del made["quality.parquet"]
    assert contents(Path(store.address(path))) == made
    assert store.digests.damage(path) == []
    assert store.digests.damage(layout.statistics_path(tensor_id(stored.sha256, 32))) == []
    assert left_in_staging(store) == []


@dataclass(frozen=True)
class Deadly:
    """Work that ends the process of the worker."""

    def open(self, store: Store) -> Callable[..., Any]:
        return lambda: os._exit(1)


@dataclass(frozen=True)
class Failing:
    """Work that fails each time, or the first times; `counter` is a file that counts the tries."""

    counter: str
    times: int

    def open(self, store: Store) -> Callable[..., Any]:
        def work(number: int) -> int:
            with Path(self.counter).open("a") as file:
                file.write("x")
            if Path(self.counter).stat().st_size <= self.times:
                raise TimeoutError("the storage did not answer")
            return number

        return work


def work_of(cluster: Cluster, recipe: Recipe, calls: Any) -> ClusterPass:
    return ClusterPass(cluster, recipe, calls, per_task=2, path=".staging/none", kind=IMAGE, chunks_per_field=4)


def test_a_task_that_kills_its_workers_ends_the_run(running: DaskCluster, store: Store) -> None:
    for _ in range(3):
        running.add_worker()
    with connect(running.address, store) as cluster:
        cluster.client.wait_for_workers(4)
        work = work_of(cluster, Deadly(), [()])
        with pytest.raises(ClusterError, match=r"died of the same task: [^\n]*--memory-limit[^\n]*$"):
            list(work.results())


def test_a_storage_out_of_reach_for_a_moment_ends_nothing(running: DaskCluster, store: Store, tmp_path: Path) -> None:
    with connect(running.address, store) as cluster:
        assert list(work_of(cluster, Failing(str(tmp_path / "a"), 2), [(7,), (8,)]).results()) == [7, 8]
        with pytest.raises(TimeoutError, match="did not answer"):
            list(work_of(cluster, Failing(str(tmp_path / "b"), 99), [(7,), (8,)]).results())
    assert (tmp_path / "b").stat().st_size == 1 + clusters.RETRIES


def test_what_two_ask_for_at_once_is_done_once(running: DaskCluster, store: Store, tmp_path: Path) -> None:
    recipe, calls = Failing(str(tmp_path / "a"), 0), [(7,), (8,)]
    with connect(running.address, store) as one, connect(running.address, store) as other:
        first = work_of(one, recipe, calls).results()
        assert next(first) == 7
        assert list(work_of(other, recipe, calls).results()) == [7, 8]
        assert next(first) == 8
    assert (tmp_path / "a").stat().st_size == len(calls)


def test_altered_bytes_are_no_finding_and_end_the_run(
    stored: Stored, running: DaskCluster, store: Store, tmp_path: Path
) -> None:
    blob = Path(store.address(BlobStore(store.fs, store.root).path(stored.sha256)))
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(blob.stat().st_size // 2)
        file.write(b"altered")
    with (
        pytest.raises(StoredBytesDamagedError, match="altered after it was stored"),
        connect(running.address, store) as cluster,
    ):
        stored.by_cluster(cluster, store, tmp_path / "cluster")
    assert left_in_staging(store) == []


def test_workers_with_other_software_or_another_storage_do_nothing(
    dask_launcher: Launcher, store: Store, folder: Path, tmp_path: Path
) -> None:
    with dask_cluster(dask_launcher, folder, workers=1) as small:
        with connect(small.address, store) as cluster:
            small.workers[0].kill()
            small.add_worker(TESTS_OTHER_NUMPY="1.0.0")  # comes after the look at the workers
            with pytest.raises(ConfigurationError, match=r"A worker of the cluster has numpy 1\.0\.0 instead of"):
                list(work_of(cluster, Failing(str(tmp_path / "a"), 0), [(7,)]).results())
        assert not (tmp_path / "a").exists()
        with (
            pytest.raises(
                ConfigurationError, match=r"worker tcp://\S+ of the cluster \S+ has numpy 1\.0\.0 instead of"
            ),
            connect(small.address, store),
        ):
            pytest.fail("the cluster was handed out")
    other = Store(str(tmp_path / "other"), scratch=tmp_path / "scratch")
    with (
        dask_cluster(dask_launcher, folder, workers=1) as fresh,  # in which no killed worker is still listed
        pytest.raises(ConfigurationError, match="has another storage"),
        connect(fresh.address, other),
    ):
        pytest.fail("the cluster was handed out")


def test_a_scheduler_that_is_not_there_or_has_no_workers_is_named(
    dask_launcher: Launcher, store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(clusters, "FIRST_WORKER_SECONDS", 0.2)
    with (
        dask_cluster(dask_launcher, folder, workers=0) as empty,
        pytest.raises(ClusterError, match=r"has had no worker for 0 s.*`dask worker tcp"),
        connect(empty.address, store),
    ):
        pytest.fail("a cluster without workers was handed out")
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(
            target=lambda: other.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), daemon=True
        ).start()
        for address in (
            empty.address,  # ended
            f"tcp://127.0.0.1:{other.getsockname()[1]}",  # no scheduler
            empty.address.replace("tcp", "tls"),  # without certificates
        ):
            with (
                pytest.raises(ClusterError, match=rf"{address} does not answer within 1 s.*CM4AI_EXECUTOR=threads"),
                connect(address, store),
            ):
                pytest.fail("a cluster without a scheduler was handed out")


def test_a_run_without_workers_does_not_wait_for_ever(
    dask_launcher: Launcher, store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "NO_WORKER_SECONDS", 0.5)
    monkeypatch.setattr(clusters, "LOOK_SECONDS", 0.2)
    with dask_cluster(dask_launcher, folder, workers=1) as small, connect(small.address, store) as cluster:
        small.workers[0].kill()
        with pytest.raises(ClusterError, match="has had no worker"):
            list(work_of(cluster, Failing(str(tmp_path / "a"), 0), [(7,)] * 200).results())


def test_what_is_sent_names_neither_the_storage_nor_its_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-send")
    plan = tasks.ShardPlan(".staging/x/image/c/0/0/0/0", 4, ((tasks.Place(0, 0),),))
    terms = Terms((("numpy", "2.1"),), "id")
    sent = pickle.dumps((make, terms, Images("ab" * 32, 32, 64), tasks.write, plan))
    assert not re.search(rb"do-not-send|://|/tmp|storage_options", sent)
