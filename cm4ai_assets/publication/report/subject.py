"""What a report is about: a release with its inventory, its origin, and what the checks found; read once, not changed.

Belongs here: reading, and why something is not there. Does not belong here: what a section says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.crates.datasheet import carried_over
from cm4ai_assets.errors import NotMaterializedError, ReleaseKeyError
from cm4ai_assets.exports.provenance import Origin, origin_of
from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.publication.blocks import Section, Text
from cm4ai_assets.references import Kind
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.tables.crates import RELEASE_DATASHEET
from cm4ai_assets.updates.availability import missing
from cm4ai_assets.updates.inputs import published_as


@dataclass(frozen=True)
class Checked:
    """What one check found in one partition.

    Attributes:
        asset: The table that it is about.
        condition: The condition of the partition; None without one.
        description: What is checked, and what it protects from.
        finding: What was found; None where it could not be evaluated.
        problem: Why it could not be evaluated; empty where it was.
    """

    asset: str
    condition: str | None
    check: str
    description: str
    finding: Finding | None
    problem: str = ""

    @property
    def warns(self) -> bool:
        """It found something, or could not be evaluated."""
        return self.finding is None or not self.finding.passed


class Subject:
    """A release as a report reads it.

    Args:
        release: The release.
        delivery: What it delivers; a report is not about documents, which may describe it in turn.
        checked: What the checks found.
    """

    def __init__(self, release: Release, delivery: Sequence[Delivered], checked: Sequence[Checked] = ()) -> None:
        self.release = release
        self.delivery = tuple(one for one in delivery if one.kind is not Kind.DOCUMENT)
        order = [one.name for one in tables.ALL]
        self.checked = tuple(sorted(checked, key=lambda one: order.index(one.asset)))
        self._frames: dict[str, pl.DataFrame | None] = {}

    @property
    def key(self) -> str:
        """The release key."""
        return self.release.key

    @cached_property
    def record(self) -> ReleaseRecord | None:
        """What the archive said of the release when it was registered; None if it is not registered."""
        try:
            return ReleaseRegistry(self.release.store).get(self.key)
        except ReleaseKeyError:
            return None

    @cached_property
    def origin(self) -> Origin:
        """Title, DOI, version, citation and licence."""
        return origin_of(self.release, [one.credit for one in self.delivery])

    @cached_property
    def stated(self) -> dict[str, list[str]]:
        """What the release's datasheets state and what has to be carried on: topic to statements."""
        datasheet = self.frame(RELEASE_DATASHEET.name)
        return carried_over(RELEASE_DATASHEET.empty() if datasheet is None else datasheet)

    def frame(self, name: str) -> pl.DataFrame | None:
        """All rows of a table of the release; None where it is not published."""
        if name not in self._frames:
            try:
                self._frames[name] = self.release.table(name).collect()
            except NotMaterializedError:
                self._frames[name] = None
        return self._frames[name]

    def part(self, name: str, condition: Condition | None) -> pl.DataFrame | None:
        """The rows of one partition, not kept; None where it is not published."""
        where = published_as(self.release.store, name, Partition(self.key, condition))
        return None if where is None else self.release.store.table(name, where).collect()

    def conditions_of(self, *names: str) -> list[Condition]:
        """The conditions in which all of some tables are published."""
        has = (
            {one.partition.condition for one in self.delivery if one.kind is Kind.TABLE and one.name == name}
            for name in names
        )
        common = set.intersection(*has)
        return [condition for condition in Condition if condition in common]

    def why_not(self, name: str, condition: Condition | None = None) -> str:
        """Why a table, or its partition of a condition, is not there: a sentence."""
        return missing(self.release.store, name, self.key, condition).message


def absent(subject: Subject, title: str, *names: str) -> Section:
    """A section about tables that the release does not have: it says why."""
    return Section(title, tuple(Text(one) for one in dict.fromkeys(subject.why_not(name) for name in names)))


def absent_conditions(subject: Subject, name: str) -> list[Text]:
    """Why some conditions of a table are not there, where others are."""
    there = subject.conditions_of(name)
    return [Text(subject.why_not(name, one)) for one in Condition if one not in there]


def delivered_tables(subject: Subject) -> list[str]:
    """The names of the tables that are delivered, in the order of the data dictionary."""
    there = {one.name for one in subject.delivery if one.kind is Kind.TABLE}
    return [one.name for one in tables.ALL if one.name in there]
