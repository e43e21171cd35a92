"""How assets and checks get their inputs: published tables, lazily, by the annotation of the argument.

Belongs here: the IO manager. It only reads: what an asset makes is staged, audited and published by `publishing`, so
that nothing stands under a final path before its checks have passed.
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.platform import Platform


class TableIOManager(dg.IOManager):
    """Loads upstream tables as `polars.LazyFrame`, one partition or all the partitions that a fan-in depends on."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse: assets publish what they make themselves, after its audit."""
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} returned {type(obj).__name__}: yield from `publish` instead."
        )

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """The upstream table's partition, or its partitions one below the other.

        Raises:
            NotMaterializedError: One of them is not published.
        """
        name = context.asset_key.path[-1]
        store = self._platform.store
        frames = [store.table(name, partition_of(key)) for key in context.asset_partition_keys]
        return frames[0] if len(frames) == 1 else pl.concat(frames)
