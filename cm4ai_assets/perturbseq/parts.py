"""A finished stripe of genes as another process hands it over: all that its cells add to the sums of a pass.

Belongs here: adding up a stripe by itself, what is sent of it, and how that is put together with the others. Does not
belong here: who asks for it (`on_cluster`), and in which order (`passes`).

Of what a stripe adds beside its own sums, little is sent: a target's own gene stands in one stripe, and counts of
cells are small numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq.adding import Adding, Floats, Stripe
from cm4ai_assets.perturbseq.checkpoints import Arrays


@dataclass(frozen=True)
class Few:
    """An array of which few places are not zero: where they are in it, flat, and what stands there."""

    places: npt.NDArray[np.int64]
    values: Floats

    @classmethod
    def of(cls, whole: Floats) -> Few:
        """The places of an array that are not zero."""
        places = np.flatnonzero(whole)
        return cls(places, whole.reshape(-1)[places])

    def add_to(self, whole: Floats) -> None:
        """Add them to an array of the same shape."""
        whole.reshape(-1)[self.places] += self.values


@dataclass(frozen=True)
class Part:
    """What a stripe of genes adds to a pass.

    Attributes:
        stripe: Its sums.
        totals: Counts of each cell, `small`.
        own: Counts of targets' own genes; see `passes.Sums`, as for what follows.
        own_arms: Those of guides.
        controls: Counts of its genes in the controls; axes batch, gene, sum.
        unsorted: Genes whose cells do not ascend.
    """

    stripe: Stripe
    totals: npt.NDArray[Any]
    own: Few
    own_arms: Few
    controls: Floats
    unsorted: int

    def add_to(self, state: Arrays) -> None:
        """Add all but the sums of the stripe to those of a pass. Each sum is exact, or of one stripe alone."""
        state["totals"] += self.totals
        self.own.add_to(state["own"])
        self.own_arms.add_to(state["own_arms"])
        state["controls"][:, self.stripe.first : self.stripe.last] += self.controls
        state["unsorted"][0] += self.unsorted


def part_of(adding: Adding, first: int, last: int, unchanged: Callable[[], None]) -> Part:
    """Read a stripe of a matrix by genes, and add it up.

    Raises:
        H5adDamagedError: A value is no count, an index is out of range or repeated, or the bytes are damaged.
    """
    stripe, state, totals = Stripe.empty(adding.groups, first, last), adding.fresh(), np.zeros(adding.matrix.shape[0])
    for block in adding.matrix.blocks(first, last):
        adding.add(block, stripe, state, [totals], count_totals=True)
        unchanged()
    return Part(
        stripe=stripe,
        totals=small(totals),
        own=Few.of(state["own"]),
        own_arms=Few.of(state["own_arms"]),
        controls=state["controls"][:, first:last].copy(),
        unsorted=int(state["unsorted"][0]),
    )


def small(numbers: Floats) -> npt.NDArray[Any]:
    """The same numbers in fewer bytes where all are whole, not negative and below 2^32; else as they are."""
    most = numbers.max(initial=0.0)
    if not (most < 1 << 32 and (numbers >= 0).all() and (numbers == np.rint(numbers)).all()):
        return numbers
    return numbers.astype(np.min_scalar_type(int(most)))
