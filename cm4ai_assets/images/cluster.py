"""A pass over fields on a Dask cluster: results in order, while what is large stays on the workers until it is stored.

Belongs here: a pass whose tasks workers do, and whose product are shards. Does not belong here: the connection
(`cluster.connection`), what workers do (`tasks`), what is done to one image or field (`pixels.ImageWork`,
`cells.passes.FieldWork`), and the pass in threads (`ordered`).

Three tasks make a shard: one does the work of its fields, one takes from that what is small, and one writes the shard.
The last gets chunks from a second worker only behind a field that was left out. So this process sees statistics and
digests, decides which field has which row exactly as in threads, and says which chunks make which shard.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from cm4ai_assets.cluster.connection import Cluster, key
from cm4ai_assets.cluster.workers import Recipe
from cm4ai_assets.images.tasks import Place, ShardPlan, without_chunks, write
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, Sharded

if TYPE_CHECKING:
    from distributed import Future


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
        window = self._cluster.window()
        for number, results in enumerate(self._cluster.in_order(self._submitted())):
            self._current = number
            self._release()
            for item, one in enumerate(results):
                yield replace(one, chunks=(Place(number, item),)) if hasattr(one, "chunks") else one
            while len(self._writing) > window:
                self._take_shard()

    def _submitted(self) -> Iterator[Future[list[Any]]]:
        for number, calls in enumerate(iter(lambda: tuple(islice(self._calls, self._per_task)), ())):
            yield self._submit(number, calls)

    def _submit(self, number: int, calls: tuple[Any, ...]) -> Future[list[Any]]:
        made = self._made[number] = self._cluster.made(self._recipe, calls)
        return self._cluster.submit(without_chunks, made, key=key("small", made.key))

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
        name_of_task = key("write", plan, [one.key for one in results])
        future = self._cluster.submit(write, plan, *results, key=name_of_task)
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
