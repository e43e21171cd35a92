"""Image work on a Dask cluster: results in order, while what is large stays on the workers until it is in the storage.

Belongs here: the connection, what is demanded of workers, and a pass whose tasks they do. Does not belong here: what
workers do (`tasks`), what is done to one image or field (`pixels.ImageWork`, `cells.passes.FieldWork`), and the pass in
threads (`ordered`).

Three tasks make a shard: one does the work of its fields, one takes from that what is small, and one writes the shard.
The last gets chunks from a second worker only behind a field that was left out. So this process sees statistics and
digests, decides which field has which row exactly as in threads, and says which chunks make which shard. Every task is
a pure function of its arguments and of published bytes: one of a worker that was lost is done again by another, and
gives the same.

Dask's messages are pickles. They hold no password and no address of the storage: workers find it by their own settings,
and ids are compared. Published data is never unpickled.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from cm4ai_assets import software
from cm4ai_assets.errors import ClusterError, ConfigurationError
from cm4ai_assets.images.tasks import Place, Recipe, ShardPlan, Terms, make, this_worker, without_chunks, write
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.storage.identity import ensure_storage_id
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, Sharded
from cm4ai_assets.storage.store import Store

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS: Final = 5.0
FIRST_WORKER_SECONDS: Final = 30.0
NO_WORKER_SECONDS: Final = 120.0
"""How long a pass waits for a worker after the last one has gone."""

LOOK_SECONDS: Final = 2.0
RETRIES: Final = 2
"""How often a task that failed is done again: a storage may be out of reach for a moment."""

_THREADS: Final = "set CM4AI_EXECUTOR=threads"
_AGAIN: Final = "Nothing is published of it, and nothing is fetched again: materialize again"

Result = TypeVar("Result")
Connect = Callable[[], AbstractContextManager["Cluster"]]


@contextmanager
def connect(address: str, store: Store) -> Iterator[Cluster]:
    """The cluster of a scheduler, with workers that agree with this process.

    Args:
        address: The scheduler's, such as tcp://host:8786.
        store: The storage, which gets an id if it has none.

    Raises:
        ClusterError: The scheduler does not answer, or has no workers.
        ConfigurationError: Scheduler or workers have other software, or another storage.
    """
    import distributed  # noqa: PLC0415 - slow to import, and optional

    try:
        asyncio.run(_answer_of(address))
    except Exception as error:  # what answers there need not be a scheduler
        raise ClusterError(
            f"The Dask scheduler {address} does not answer within {CONNECT_SECONDS:.0f} s: {for_terminal(str(error))}.",
            remedy=f"Start it (`dask scheduler`), correct CM4AI_EXECUTOR, or {_THREADS}.",
        ) from error
    client = distributed.Client(  # type: ignore[no-untyped-call]
        address, timeout=2 * CONNECT_SECONDS, set_as_default=False, name="cm4ai"
    )
    with client:
        cluster = Cluster(client, address, Terms(tuple(software.parts().items()), ensure_storage_id(store)))
        cluster.require_workers()
        yield cluster


async def _answer_of(address: str) -> None:
    """See that a scheduler answers, before there is a client: one that comes to nothing takes long to close."""
    from distributed.comm import connect as reach  # type: ignore[attr-defined] # noqa: PLC0415
    from distributed.security import Security  # noqa: PLC0415

    security = Security()  # type: ignore[no-untyped-call]
    arguments = security.get_connection_args("client")  # type: ignore[no-untyped-call]
    comm = await reach(address, timeout=CONNECT_SECONDS, **arguments)  # type: ignore[no-untyped-call]
    await comm.close()


class Cluster:
    """A scheduler and its workers.

    Args:
        client: Dask's client.
        address: The scheduler's address, for messages.
        terms: What workers must agree with.
    """

    def __init__(self, client: Client, address: str, terms: Terms) -> None:
        self.client, self.address, self.terms = client, address, terms
        self._alone_since: float | None = None

    def require_workers(self) -> None:
        """See that there is a worker, and that all that are there agree.

        One that comes later is held to the same before its first task.
        """
        try:
            self.client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
        except TimeoutError:
            raise self._nobody(FIRST_WORKER_SECONDS) from None
        with self.errors():
            scheduler = cast("Any", self.client.get_versions())["scheduler"]["packages"]["distributed"]
            asked = self.client.run(this_worker, on_error="return")
        own = dict(self.terms.software)["distributed"]
        found = {"The scheduler": f"distributed {scheduler} instead of {own}"} if scheduler != own else {}
        found |= {f"The worker {name}": said for name, one in asked.items() if (said := self._against(one))}
        if found:
            who, said = next(iter(found.items()))
            more = f" ({len(found)} processes differ in all)" if len(found) > 1 else ""
            raise ConfigurationError(
                f"{who} of the cluster {self.address} has {said}{more}.",
                remedy="Give scheduler, workers and this process the same software and CM4AI_STORAGE; start them anew.",
            )

    def _against(self, said: Terms | BaseException) -> str:
        """What a worker differs in; nothing of one that cannot be reached, which the scheduler will notice."""
        if isinstance(said, Terms):
            return self.terms.differences(said)
        return "" if isinstance(said, OSError) else f"no usable {software.NAME} or settings: {said}"

    def threads(self) -> int:
        """Threads of all workers."""
        return sum(self.client.nthreads().values())  # type: ignore[no-untyped-call]

    def result(self, future: Future[Result]) -> Result:
        """What a task gave, waited for as long as there are workers.

        Raises:
            ClusterError: The scheduler went away, or all workers did, or several died of this task.
        """
        with self.errors():
            while not future.done():  # type: ignore[no-untyped-call]
                with suppress(TimeoutError):  # one that the task itself has raised comes again below
                    return future.result(timeout=LOOK_SECONDS)
                self._look()
            return future.result()

    def _look(self) -> None:
        if self.threads():
            self._alone_since = None
            return
        self._alone_since = self._alone_since or time.monotonic()
        if time.monotonic() - self._alone_since > NO_WORKER_SECONDS:
            raise self._nobody(NO_WORKER_SECONDS)

    def _nobody(self, seconds: float) -> ClusterError:
        return ClusterError(
            f"The Dask scheduler {self.address} has had no worker for {seconds:.0f} s.",
            remedy=f"Start one (`dask worker {self.address}`), or {_THREADS}. {_AGAIN}.",
        )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of Dask in words that lead somewhere; those of the work itself pass as they are."""
        from concurrent.futures import CancelledError as Cancelled  # noqa: PLC0415

        from distributed.comm.core import CommClosedError  # noqa: PLC0415
        from distributed.scheduler import KilledWorker  # noqa: PLC0415

        try:
            yield
        except KilledWorker as error:
            raise ClusterError(
                f"Workers of the cluster {self.address} died of the same task: {for_terminal(str(error))}",
                remedy=f"Mostly memory is short: give each thread of a worker 1 GB (--memory-limit), or {_THREADS}.",
            ) from error
        except (asyncio.CancelledError, Cancelled, CommClosedError) as error:
            raise ClusterError(
                f"The Dask scheduler {self.address} went away, and with it what its workers held.",
                remedy=f"Start it again, with its workers. {_AGAIN}.",
            ) from error


class ClusterPass:
    """One pass: its results in the order of the calls (`results`), and its shards (as `storage.sharding.Shards`).

    No more than some tasks for each thread of the cluster are under way, or done and not in the storage yet. So memory
    depends neither here nor there on the number of fields.

    Args:
        cluster: Who works.
        recipe: What is done to each call.
        calls: The arguments, in canonical order.
        per_task: Calls of one task: those of the fields of a shard.
        path: Folder of the store in the making, relative to the storage root.
        kind: What its array is.
        chunks_per_field: Inner chunks of a field.
    """

    def __init__(
        self,
        cluster: Cluster,
        recipe: Recipe,
        calls: Iterable[tuple[Any, ...]],
        *,
        per_task: int,
        path: str,
        kind: Sharded,
        chunks_per_field: int,
    ) -> None:
        self._cluster, self._recipe, self._calls, self._per_task = cluster, recipe, iter(calls), per_task
        self._path, self._kind, self._chunks_per_field = path, kind, chunks_per_field
        self._made: dict[int, Future[list[Any]]] = {}
        self._rows: list[tuple[Place, ...]] = []
        self._writing: deque[tuple[str, Future[FileDigest]]] = deque()
        self._current = 0
        self.n_fields = 0
        self.files: dict[str, FileDigest] = {}
        """The shards that are written, by their path in the store."""

    def results(self) -> Generator[Any]:
        """The results of all calls, in order; in place of their chunks they have the `Place` of these."""
        window = 2 * self._cluster.threads() + 2
        waiting: deque[tuple[int, Future[list[Any]]]] = deque()
        for number, calls in enumerate(iter(lambda: tuple(islice(self._calls, self._per_task)), ())):
            waiting.append((number, self._submit(number, calls)))
            if len(waiting) >= window:
                yield from self._next(*waiting.popleft())
            while len(self._writing) > window:
                self._take_shard()
        while waiting:
            yield from self._next(*waiting.popleft())

    def _submit(self, number: int, calls: tuple[Any, ...]) -> Future[list[Any]]:
        client, terms = self._cluster.client, self._cluster.terms
        key = _key("make", terms, self._recipe, calls)
        with self._cluster.errors():
            self._made[number] = client.submit(make, terms, self._recipe, calls, key=key, retries=RETRIES)
            return client.submit(without_chunks, self._made[number], key=_key("small", key))

    def _next(self, number: int, small: Future[list[Any]]) -> Iterator[Any]:
        results = self._cluster.result(small)
        self._current = number
        self._release()
        for item, one in enumerate(results):
            yield replace(one, chunks=(Place(number, item),)) if hasattr(one, "chunks") else one

    def append(self, chunks: Sequence[Place]) -> None:
        """Add a field: the places of its chunks, in order."""
        self._rows.append(tuple(chunks))
        self.n_fields += 1
        if len(self._rows) == FIELDS_PER_SHARD:
            self._write()

    def finish(self) -> tuple[int, ...]:
        """Have what is left written, and wait for all; the size of each shard in bytes."""
        if self._rows:
            self._write()
        while self._writing:
            self._take_shard()
        return tuple(digest.size for digest in self.files.values())

    def close(self) -> None:
        """Let go of all tasks: what nobody else waits for is not done any more."""
        self._made.clear()
        self._writing.clear()

    def _write(self) -> None:
        tasks = sorted({place.task for row in self._rows for place in row})
        rows = tuple(tuple(Place(tasks.index(task), item) for task, item in row) for row in self._rows)
        name = self._kind.key((self.n_fields - 1) // FIELDS_PER_SHARD)
        plan = ShardPlan(f"{self._path}/{name}", self._chunks_per_field, rows)
        results = [self._made[task] for task in tasks]
        with self._cluster.errors():
            key = _key("write", plan, [one.key for one in results])
            future = self._cluster.client.submit(write, plan, *results, key=key, retries=RETRIES)
        self._writing.append((name, future))
        self._rows = []
        self._release()

    def _release(self) -> None:
        """Forget tasks whose chunks are in shards: their results are kept until those are written, and no longer."""
        needed = {place.task for row in self._rows for place in row}
        for task in [task for task in self._made if task < self._current and task not in needed]:
            del self._made[task]

    def _take_shard(self) -> None:
        name, future = self._writing.popleft()
        self.files[name] = self._cluster.result(future)


def _key(what: str, *arguments: object) -> str:
    """The name of a task: what it is a function of. Two who ask for the same at once get it done once."""
    return f"cm4ai-{what}-{hashlib.sha256(repr(arguments).encode()).hexdigest()[:32]}"
