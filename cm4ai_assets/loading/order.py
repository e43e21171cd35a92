"""In which order fields are read: shuffled by shards, dealt out to ranks, resumed in the middle of an epoch.

Belongs here: numbers of fields. Does not belong here: pixels, threads, or torch; an order is handed to the
`FieldLoader` or, as `batch_sampler`, to torch's DataLoader.

**Shuffle by shards.** Shards are shuffled; a window of them after the other is opened; the fields of a window are
shuffled among each other. Reads stay within the window's shards, each shard belongs to one window, and its bytes are
read once. How good a shuffle that is, is measured against a full one in `test_order` and stated in docs/loading.md.

**Ranks.** Every rank gets the same number of batches of the same sizes. Without `drop_last` the order is filled up to a
multiple of the number of ranks with fields from its own beginning: at most `world_size - 1` fields come twice. With
it, what does not fill a batch on every rank is left out; other fields each epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import np, npt

Shuffle = Literal["shards", "full", "none"]
Positions: TypeAlias = "npt.NDArray[np.int64]"

WINDOW: Final = 128
"""Shards of a window: 2,048 fields, some 1.9 GB of a tensor of the edge 1024."""


@dataclass
class FieldOrder:
    """Batches of positions, epoch after epoch. Iterating gives those of this rank.

    After an epoch the next one begins, also after one that was broken off: who takes some batches of each would
    otherwise see the same ones for ever. `load_state_dict` goes on within an epoch, `set_epoch` begins one anew. The
    order depends on `seed`, `epoch` and the fields alone.

    Args:
        shards: For each field the number of the shard that it stands in.
        batch_size: Fields of a batch, on each rank.
        shuffle: "shards", "full" (every field anywhere), or "none" (as given).
        window: Shards of a window.
        seed: The same on every rank.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        drop_last: Leave out what does not fill a batch on every rank.
        identity: Names the fields, so that a state is not taken for that of other ones.

    Raises:
        ConfigurationError: A number makes no sense, or not a single batch comes of these fields.
    """

    shards: Sequence[int] | npt.NDArray[Any]
    batch_size: int
    shuffle: Shuffle = "shards"
    window: int = WINDOW
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    drop_last: bool = False
    identity: str = ""
    epoch: int = field(default=0, init=False)
    """The epoch that is read, or is next."""
    batch: int = field(default=0, init=False)
    """Batches of it that are done."""
    _resumed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.shards = np.asarray(self.shards, np.int64)
        if min(self.batch_size, self.window, self.world_size) < 1 or not 0 <= self.rank < self.world_size:
            raise ConfigurationError(
                f"batch_size {self.batch_size}, window {self.window}, rank {self.rank} of {self.world_size} cannot be.",
                remedy="Sizes are at least 1, and ranks count from 0 to world_size - 1.",
            )
        if self.seed < 0:
            raise ConfigurationError(f"seed {self.seed} cannot be.", remedy="Take 0 or more.")
        if self.shuffle not in {"shards", "full", "none"}:
            raise ConfigurationError(f"No shuffle {self.shuffle!r}.", remedy="Take 'shards', 'full' or 'none'.")
        if not len(self):
            raise ConfigurationError(
                f"{len(self.shards)} fields make no batch of {self.batch_size} on each of {self.world_size} ranks.",
                remedy="Choose more fields, a smaller batch_size, or drop_last=False.",
            )

    def __len__(self) -> int:
        """Batches of an epoch on each rank."""
        whole, rest = divmod(len(self.shards), self.batch_size * self.world_size)
        return whole if self.drop_last or not rest else whole + 1

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of `begin`. What was handed out counts as done."""
        for batch in self.begin():
            self.advance()
            yield batch.tolist()

    def begin(self) -> list[Positions]:
        """Every batch of the epoch for this rank; after `load_state_dict` those that the state left of it."""
        if self.batch and not self._resumed:
            self.set_epoch(self.epoch + 1)
        self._resumed = False
        return self.batches()[self.batch :]

    def advance(self) -> None:
        """One more batch is done. After the last one of an epoch the next epoch begins."""
        self.batch += 1
        if self.batch >= len(self):
            self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        """Read that epoch next, from its beginning."""
        self.epoch, self.batch, self._resumed = epoch, 0, False

    def positions(self, epoch: int | None = None) -> Positions:
        """The order of an epoch over all ranks: each field once. The current epoch if none is given."""
        rng = np.random.default_rng((self.seed, self.epoch if epoch is None else epoch))
        if self.shuffle == "none":
            return np.arange(len(self.shards))
        if self.shuffle == "full":
            return rng.permutation(len(self.shards))
        _, number = np.unique(self.shards, return_inverse=True)
        shards = int(number.max()) + 1
        windows = rng.permutation(shards)[number] // self.window
        # Sorted by window; within a window by chance.
        return np.lexsort((rng.permutation(len(number)), windows))

    def batches(self, epoch: int | None = None) -> list[Positions]:
        """All batches of an epoch of this rank."""
        order, together = self.positions(epoch), self.batch_size * self.world_size
        if not self.drop_last:
            order = np.resize(order, -(-len(order) // self.world_size) * self.world_size)
        rounds = (order[first : first + together] for first in range(0, len(self) * together, together))
        return [np.split(dealt, self.world_size)[self.rank] for dealt in rounds]

    def state_dict(self) -> dict[str, Any]:
        """Where the order stands: what `load_state_dict` takes, on any rank. JSON can hold it."""
        return {"epoch": self.epoch, "batch": self.batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where an order of the same fields and settings stood.

        Raises:
            ConfigurationError: It was another order; the remaining batches would not be those that are missing.
        """
        differing = [name for name, value in self._identity().items() if state.get(name) != value]
        if differing:
            stated = ", ".join(f"{name} {state.get(name)!r}, now {self._identity()[name]!r}" for name in differing)
            raise ConfigurationError(
                f"This state is of another order: {stated}.",
                remedy="Resume with the same fields and settings, or begin an epoch with set_epoch.",
            )
        self.epoch, self.batch, self._resumed = int(state["epoch"]), int(state["batch"]), True

    def _identity(self) -> dict[str, Any]:
        names = ("batch_size", "shuffle", "window", "seed", "world_size", "drop_last")
        fields = hashlib.sha256(np.asarray(self.shards, "<i8").tobytes() + self.identity.encode()).hexdigest()[:16]
        return {**{name: getattr(self, name) for name in names}, "fields": fields}
