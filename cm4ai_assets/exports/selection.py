"""Which fields of view an export takes, by what a person asked for.

Belongs here: the words of a selection, and the fields that they mean. Does not belong here: what a name means
(`selecting`), the fields' pixels (`pixels`) and their published bytes (`published`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition, condition_of
from cm4ai_assets.errors import ConfigurationError, NotMaterializedError, SelectionError
from cm4ai_assets.selecting import require_sides
from cm4ai_assets.updates.availability import missing

UNASSIGNED = "unassigned"
"""The split of fields that have none."""


@dataclass(frozen=True)
class Selection:
    """What to take of a release. Everything that is left empty means all; several names of one kind are alternatives.

    Attributes:
        conditions: Conditions, in any of their spellings.
        genes: Symbols, Ensembl ids or UniProt accessions.
        antibodies: Antibody ids.
        plates: Plates.
        wells: Wells.
        split: One of the splits of `scheme`.
        scheme: A scheme of the table `splits`.
        with_controls: Also take the wells without a primary antibody of the same plates.
    """

    conditions: tuple[Condition, ...] = ()
    genes: tuple[str, ...] = ()
    antibodies: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()
    wells: tuple[str, ...] = ()
    split: str | None = None
    scheme: str = "protein"
    with_controls: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", tuple(condition_of(label) for label in self.conditions))

    def stated(self) -> dict[str, Any]:
        """What was asked for, without what was not."""
        words = {name: value for name, value in self.__dict__.items() if value not in (None, (), False)}
        return {name: [*map(str, value)] if isinstance(value, tuple) else value for name, value in words.items()}

    def conditions_of(self, release: Release, *tables: str) -> tuple[Condition, ...]:
        """The conditions to export of tables that know no fields, and belong together.

        Raises:
            ConfigurationError: Something was asked for that only images have.
            NotMaterializedError: A condition that was asked for, or all of them, are not published; or one has some of
                the tables only.
        """
        asked = {name for name, value in self.stated().items() if value != Selection().stated().get(name)}
        if asked := asked - {"conditions"}:
            raise ConfigurationError(
                f"{min(asked).replace('_', ' ')} chooses images, and {tables[0]} has none.",
                remedy="Leave it out; --condition is the one choice there.",
            )
        published = {table: published_conditions(release, table) for table in tables}
        wanted = self.conditions or tuple(c for c in Condition if any(c in held for held in published.values()))
        if not wanted:
            raise missing(release.store, tables[0], release.key)
        for condition in wanted:
            for table, held in published.items():
                if condition not in held:
                    raise missing(release.store, table, release.key, condition)
        return tuple(c for c in Condition if c in wanted)


def published_conditions(release: Release, table: str) -> frozenset[str]:
    """The conditions that a table has rows of; none if it is not published for the release."""
    try:
        return frozenset(release.table(table).select("condition").unique().collect()["condition"])
    except NotMaterializedError:
        return frozenset()


def chosen_fields(release: Release, selection: Selection, *, by_split: bool = False) -> pl.DataFrame:
    """The fields of a selection that are in a tensor, in the columns and the order of `Release.fields`.

    Args:
        release: The release.
        selection: What to take of it.
        by_split: The export is divided by split: splits that are older than the fields are refused.

    Raises:
        SelectionError: No field has such a name, or none meets all of the criteria.
        NotMaterializedError: A condition, or the table of splits, is not published for this release, or is out of date.
    """
    fields = release.fields(
        condition=selection.conditions or None,
        gene=selection.genes or None,
        antibody=selection.antibodies or None,
        plate=selection.plates or None,
        well=selection.wells or None,
        split=selection.split,
        scheme=selection.scheme,
        with_controls=selection.with_controls,
    )
    if fields.is_empty():
        raise SelectionError("No field meets all of the criteria.", remedy="Ask for less at once.")
    if by_split:
        require_sides(release, fields, selection.scheme)
    return fields


def left_out(release: Release, fields: pl.DataFrame) -> dict[str, int]:
    """Of the conditions that are exported, how many fields are not in the export, and why."""
    conditions = fields["condition"].unique().to_list()
    every = release.table("if_fields").filter(pl.col("condition").is_in(conditions)).collect()
    others = every.join(fields, on=["condition", "field_id"], how="anti")
    no_tensor, control = pl.col("tensor_index").is_null(), pl.col("is_control").fill_null(value=False)
    counts = {
        "without_pixels": others.filter(no_tensor).height,
        "controls": others.filter(~no_tensor & control).height,
        "not_chosen": others.filter(~no_tensor & ~control).height,
    }
    return {name: count for name, count in counts.items() if count}


def fields_digest(fields: pl.DataFrame) -> str:
    """SHA-256 over the rows, in order: equal digests, equal fields and labels."""
    return hashlib.sha256(fields.write_ndjson().encode()).hexdigest()
