"""The connection to a Dask cluster: who works there, what is demanded of them, and results in order.

Belongs here: what every pass needs of a cluster. Does not belong here: what workers do (`workers`), and the passes
themselves (`images.cluster` for what becomes shards, `perturbseq.on_cluster` for sums).

Every task is a pure function of its arguments and of published bytes: one of a worker that was lost is done again by
another, and gives the same.

Dask's messages are pickles. They hold no password and no address of the storage: workers find it by their own settings,
and ids are compared. Published data is never unpickled.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from cm4ai_assets import software
from cm4ai_assets.cluster.workers import Recipe, Terms, make, this_worker
from cm4ai_assets.errors import ClusterError, ConfigurationError
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.storage.identity import ensure_storage_id
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
        asked = self.ask(this_worker)
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

    def ask(self, function: Callable[..., Result], *arguments: object) -> dict[str, Result | BaseException]:
        """What a function gives on each worker that is there, beside its tasks, or what it raises; by its address."""
        with self.errors():
            found: dict[str, Result | BaseException] = self.client.run(function, *arguments, on_error="return")
        return found

    def _against(self, said: Terms | BaseException) -> str:
        """What a worker differs in; nothing of one that cannot be reached, which the scheduler will notice."""
        if isinstance(said, Terms):
            return self.terms.differences(said)
        return "" if isinstance(said, OSError) else f"no usable {software.NAME} or settings: {said}"

    def threads(self) -> int:
        """Threads of all workers."""
        return sum(self.client.nthreads().values())  # type: ignore[no-untyped-call]

    def window(self) -> int:
        """How many tasks may be under way, or done and not taken yet."""
        return 2 * self.threads() + 2

    def submit(self, task: Callable[..., Result], *arguments: object, key: str) -> Future[Result]:
        """Have a task done; arguments that are futures are replaced by their results.

        Args:
            task: A function of some module; what it gives depends on its arguments and on published bytes alone.
            arguments: See above.
            key: The task's name, as `key` makes it.
        """
        with self.errors():
            return self.client.submit(task, *arguments, key=key, retries=RETRIES)

    def made(self, recipe: Recipe, calls: Sequence[tuple[Any, ...]], *also: Future[Any]) -> Future[list[Any]]:
        """Have a recipe's work done for some calls; see `workers.make`."""
        name = key("make", self.terms, recipe, calls, *(one.key for one in also))
        return self.submit(make, self.terms, recipe, calls, *also, key=name)

    def in_order(self, futures: Iterable[Future[Result]]) -> Iterator[Result]:
        """Results in the order in which tasks are submitted; no more than `window` are under way.

        Args:
            futures: Submits a task each time it is asked for the next.
        """
        window = self.window()
        waiting: deque[Future[Result]] = deque()
        for future in futures:
            waiting.append(future)
            if len(waiting) >= window:
                yield self.result(waiting.popleft())
        while waiting:
            yield self.result(waiting.popleft())

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


def key(what: str, *arguments: object) -> str:
    """The name of a task: what it is a function of. Two who ask for the same at once get it done once."""
    return f"cm4ai-{what}-{hashlib.sha256(repr(arguments).encode()).hexdigest()[:32]}"
