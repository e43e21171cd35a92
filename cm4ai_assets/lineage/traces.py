"""The answer to where something comes from, for people and for machines.

Belongs here: what is asked of a chain as a whole, and its JSON. Does not belong here: its links (`steps`), its text
(`shown`), and finding it (`trace`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.shown import shown
from cm4ai_assets.lineage.steps import Held, Member, State, Step, Used, every
from cm4ai_assets.storage.makings import Making


@dataclass(frozen=True, repr=False)
class Trace:
    """Where something comes from, and, of a published file, what was made of it. As text it is for people.

    Attributes:
        subject: What was asked about; its `origins` lead to published files.
        made: What was made of a published file, in the order in which data walks; each says how it came to be.
        held: What was read again and held against its digest; None if that was not asked for.
    """

    subject: Step
    made: tuple[Step, ...] = ()
    held: tuple[Held, ...] | None = None

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Every link once, the subject first."""
        return every(self.subject, *self.made)

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """The published files of the chain, each once."""
        return tuple(dict.fromkeys(step.file for step in self.steps if step.file is not None))

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of ZIPs in the chain, each once."""
        return tuple(dict.fromkeys(member for step in self.steps for member in step.members))

    @property
    def runs(self) -> tuple[Making, ...]:
        """The runs of the chain, one record for each thing that they made."""
        return tuple(step.stored.making for step in self.steps if step.stored is not None and step.stored.making)

    @property
    def stale(self) -> tuple[Used, ...]:
        """The inputs of these runs that have other bytes now, or are gone."""
        used = (one for step in self.steps if step.stored is not None for one in step.stored.inputs)
        return tuple(dict.fromkeys(one for one in used if one.state in {State.OTHER, State.GONE}))

    def as_json(self) -> dict[str, Any]:
        """The chain for machines: `steps`, of which `origins`, `subject` and `made` give the places in that list."""
        places = {id(step): number for number, step in enumerate(self.steps)}
        return {
            "subject": places[id(self.subject)],
            "made": [places[id(step)] for step in self.made],
            "steps": [_as_json(step, places) for step in self.steps],
            "held": None if self.held is None else [asdict(one) for one in self.held],
        }

    def __str__(self) -> str:
        return shown(self.subject, self.made, self.held)

    __repr__ = __str__


def _as_json(step: Step, places: Mapping[int, int]) -> dict[str, Any]:
    own = {
        name: getattr(step, name) for name in ("kind", "name", "stored", "rows", "members", "lines", "file", "notes")
    }
    return {**_plain(own), "origins": [places[id(origin)] for origin in step.origins]}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a table, or a dataclass of this module
    """A value as JSON has it."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value) if isinstance(value, StrEnum) else value
