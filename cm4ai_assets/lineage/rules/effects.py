"""Rows that compare wells: to the fields of view of these wells, those that count."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.steps import Step
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import table
from cm4ai_assets.tables.effects import IF_EFFECTS, IF_PLATES
from cm4ai_assets.tables.images import IF_FIELDS, IF_QUALITY

_OF_IMAGES = (IF_FIELDS.name, IF_QUALITY.name)


def _plates(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The fields of the level itself: all other wells of the condition are what it is compared with."""
    from cm4ai_assets.effects.plates import level_of  # noqa: PLC0415 - scipy is slow to import

    for row in rows.frame.rows(named=True):
        measures = _measures(chain, rows.partition.release, row["condition"])
        of_level = measures.filter(
            level_of(row["factor"]) == row["level"], channel=row["channel"], measure=row["measure"]
        )
        yield from _fields(chain, rows.partition.release, row["condition"], of_level)


def _effects(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The fields of the wells that are paired, under treatment and untreated."""
    from cm4ai_assets.effects.measures import protein_measures  # noqa: PLC0415 - opencv is slow to import

    for row in rows.frame.rows(named=True):
        for condition in (row["condition"], str(Condition.UNTREATED)):
            measures = protein_measures(_measures(chain, rows.partition.release, condition))
            well = pl.concat_str("plate", "well", separator="_")
            paired = measures.filter(well.is_in(row["wells"]), antibody_id=row["antibody_id"], measure=row["measure"])
            yield from _fields(chain, rows.partition.release, condition, paired)


def _measures(chain: Chain, release: str, condition: str) -> pl.DataFrame:
    """The measures of the usable fields of a condition, as the tables are made of them; none without these tables."""
    from cm4ai_assets.effects.measures import field_measures  # noqa: PLC0415 - opencv is slow to import

    def made() -> pl.DataFrame:
        places = [(name, chain.place(name, Partition(release, condition))) for name in _OF_IMAGES]
        frames = [table(name).empty() if at is None else chain.table(name, at).collect() for name, at in places]
        return field_measures(*frames)

    found: pl.DataFrame = chain.once(("measures", release, condition), made)
    return found


def _fields(chain: Chain, release: str, condition: str, measures: pl.DataFrame) -> Iterator[Step]:
    ids = measures["field_id"].unique().to_list()
    for name in _OF_IMAGES:
        yield from chain.matching(name, Partition(release, condition), pl.col("field_id").is_in(ids))


RULES = {
    IF_PLATES.name: Rule(_plates, reads=_OF_IMAGES),
    IF_EFFECTS.name: Rule(_effects, reads=_OF_IMAGES),
}
