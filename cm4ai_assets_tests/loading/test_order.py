"""The order of an epoch: how good a shuffle it is, and that it is the same for everybody who should see the same."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.loading.order import WINDOW, FieldOrder

BATCH = 32
# Three conditions of 3,200 fields, 200 shards each; 464 antibodies, whose fields stand next to each other.
SHARDS = np.arange(9600) // 16
CONDITION = np.arange(9600) // 3200
ANTIBODY = np.arange(9600) % 3200 * 464 // 3200


def order(shuffle: str, **settings: object) -> FieldOrder:
    return FieldOrder(SHARDS, BATCH, shuffle=shuffle, **settings)  # type: ignore[arg-type]


def mixing(shuffle: str) -> dict[str, float]:
    """What a model sees of the stored order, mean of a hundred epochs: that of ten varies by a tenth."""
    batches = [batch for epoch in range(100) for batch in order(shuffle, drop_last=True).batches(epoch)]
    share = np.mean(CONDITION[np.array(batches)] == 0, axis=1)
    epoch = order(shuffle).positions(0)
    return {
        "antibodies of a batch": float(np.mean([len(set(ANTIBODY[batch])) for batch in batches[:3000]])),
        "variance of a condition's share": float(share.var()),
        "correlation with the stored order": abs(float(np.corrcoef(np.arange(9600), epoch)[0, 1])),
        "neighbours that follow each other": float(np.mean(np.diff(epoch) == 1)),
    }


def test_the_shuffle_by_shards_is_nearly_as_good_as_a_full_one() -> None:
    by_shards, full = mixing("shards"), mixing("full")
    assert by_shards["antibodies of a batch"] > 0.95 * full["antibodies of a batch"]
    assert by_shards["variance of a condition's share"] < 1.4 * full["variance of a condition's share"]
    assert by_shards["variance of a condition's share"] == pytest.approx(
        1.2 * full["variance of a condition's share"], rel=0.03
    ), "docs/loading.md and decision 0027 say so"
    assert by_shards["correlation with the stored order"] < 0.1
    assert by_shards["neighbours that follow each other"] < 0.01
    unshuffled = mixing("none")
    assert unshuffled["antibodies of a batch"] < 0.3 * full["antibodies of a batch"]
    assert unshuffled["variance of a condition's share"] > 20 * full["variance of a condition's share"]


def test_reads_stay_within_a_window_of_shards() -> None:
    def open_shards(shuffle: str) -> float:
        """Shards that are still to be read from, of those that were read from already; the most at any time."""
        shards = SHARDS[order(shuffle).positions()]
        first, last = (np.unique(read, return_index=True)[1] for read in (shards, shards[::-1]))
        last = len(shards) - 1 - last
        return max(int(np.sum((first <= now) & (last >= now))) for now in range(0, len(shards), 50))

    assert open_shards("shards") <= WINDOW
    assert open_shards("full") > 0.9 * 600
    assert open_shards("none") == 1


@pytest.mark.parametrize("shuffle", ["shards", "full", "none"])
def test_an_epoch_has_each_field_once_and_depends_on_seed_and_epoch_alone(shuffle: str) -> None:
    one = order(shuffle)
    assert sorted(one.positions(3)) == list(range(9600))
    assert np.array_equal(one.positions(3), order(shuffle).positions(3))
    if shuffle != "none":
        assert not np.array_equal(one.positions(3), one.positions(4))
        assert not np.array_equal(one.positions(3), order(shuffle, seed=1).positions(3))


@pytest.mark.parametrize("fields", [1, 2, 7, 95, 96, 97, 500])
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_get_equally_many_batches_and_together_every_field(fields: int, world: int, *, drop_last: bool) -> None:
    settings = {"seed": 5, "world_size": world, "drop_last": drop_last}
    if drop_last and fields < BATCH * world:
        with pytest.raises(ConfigurationError, match=f"{fields} fields make no batch"):
            FieldOrder(np.arange(fields) // 16, BATCH, **settings)  # type: ignore[arg-type]
        return
    ranks = [FieldOrder(np.arange(fields) // 16, BATCH, rank=rank, **settings) for rank in range(world)]  # type: ignore[arg-type]
    dealt = [rank.batches() for rank in ranks]
    sizes = [[len(batch) for batch in batches] for batches in dealt]
    assert all(own == sizes[0] for own in sizes)
    assert {len(rank) for rank in ranks} == {len(sizes[0])}
    together = [int(position) for batches in dealt for batch in batches for position in batch]
    if drop_last:
        assert set(sizes[0]) == {BATCH}
        assert len(together) == len(set(together)) == fields // (BATCH * world) * BATCH * world
    else:
        assert set(together) == set(range(fields))
        assert fields <= len(together) < fields + world
    for one, other in combinations(dealt, 2):
        if drop_last or fields % world == 0:
            assert not {int(p) for batch in one for p in batch} & {int(p) for batch in other for p in batch}


def test_a_state_gives_the_remaining_batches_on_every_rank() -> None:
    whole = [FieldOrder(SHARDS, BATCH, rank=rank, world_size=2).batches(4) for rank in (0, 1)]
    first = FieldOrder(SHARDS, BATCH, rank=0, world_size=2)
    first.set_epoch(4)
    read = iter(first)
    begun = [next(read) for _ in range(5)]
    state = json.loads(json.dumps(first.state_dict()))
    assert begun == [batch.tolist() for batch in whole[0][:5]]
    for rank in (0, 1):
        resumed = FieldOrder(SHARDS, BATCH, rank=rank, world_size=2)
        resumed.load_state_dict(state)
        assert list(resumed) == [batch.tolist() for batch in whole[rank][5:]]
        assert (resumed.epoch, resumed.batch) == (5, 0)


def test_epochs_follow_each_other_also_one_that_was_broken_off() -> None:
    one = order("shards")
    assert [list(one), list(one)] == [[b.tolist() for b in one.batches(epoch)] for epoch in (0, 1)]
    assert one.epoch == 2
    iter(one)
    assert next(iter(one)) == one.batches(2)[0].tolist(), "of which nothing was taken, nothing was broken off"
    state = one.state_dict()
    assert list(one) == [batch.tolist() for batch in one.batches(3)]
    one.load_state_dict(state)
    assert list(one) == [batch.tolist() for batch in one.batches(2)][1:], "a state goes on within its epoch"
    next(iter(one))
    one.set_epoch(3)
    assert list(one) == [batch.tolist() for batch in one.batches(3)]


def test_who_takes_some_batches_of_each_epoch_sees_nearly_all_fields_in_the_end() -> None:
    one = order("shards")
    seen = {position for _ in range(200) for batch, _ in zip(one, range(10), strict=False) for position in batch}
    assert len(seen) > 0.99 * len(SHARDS)


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"window": 3}, {"world_size": 2}, {"drop_last": True}, {"identity": "other"}]
)
def test_a_state_of_another_order_is_refused(other: dict[str, object]) -> None:
    state = order("shards").state_dict()
    with pytest.raises(ConfigurationError, match="This state is of another order"):
        order("shards", **other).load_state_dict(state)
    with pytest.raises(ConfigurationError, match="fields"):
        FieldOrder(SHARDS[16:], BATCH).load_state_dict(state)


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"window": 0}, {"rank": 1}, {"rank": -1}, {"world_size": 0}, {"shuffle": "some"}, {"seed": -1}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        FieldOrder(SHARDS, **{"batch_size": 4, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="0 fields make no batch"):
        FieldOrder([], 4)
