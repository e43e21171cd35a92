"""What names say: run names, file names and labels to cell line, cell type, condition, replicate and fraction.

Belongs here: the grammar of names and the vocabulary of samples, as data. Does not belong here: reading tables. A name
that no rule knows stays unknown and is flagged; nothing is guessed from likeness.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cm4ai_assets.conditions import Condition, condition_or_none
from cm4ai_assets.vocabulary import CellLine, CellType, cell_lines_in

_T = TypeVar("_T")

# The fraction is the first _Fnn of a run's name. What follows it may look the same: in ..._F61_F12_1_6110 the second is
# the well F12 of the autosampler plate. The number in brackets before the name is Spectronaut's index of the run.
_FRACTION = re.compile(r"_F(\d{1,3})(?=[_.]|$)")
_QUANTITY_COLUMN = re.compile(r"^(?:\[(?P<index>\d+)\]\s*)?(?P<run>\S.*?)\.(?P<quantity>PG\.\w+(?:\s\([^)]*\))?)$")
QUANTITY = "PG.Quantity"

# What each MassIVE deposit of SEC-MS holds (data reference, section 2): said where a table of it names no cell line.
_DEPOSITS = {
    "MSV000098237": CellLine.MDA_MB_468,
    "MSV000097606": CellLine.KOLF2_1J,
    "MSV000100676": CellLine.KOLF2_1J,
}
# Parental cells are the undifferentiated iPSCs.
_CELL_TYPES = {
    CellType.IPSC: ("parental", "par", "ipsc", "ipscs", "undifferentiated"),
    CellType.NPC: ("npc", "npcs"),
    CellType.NEURON: ("neuron", "neurons", "neu"),
    CellType.CARDIOMYOCYTE: ("cardio", "cardiomyocyte", "cardiomyocytes"),
}
_BY_TOKEN = {token: cell_type for cell_type, tokens in _CELL_TYPES.items() for token in tokens}
_TOKEN = re.compile(r"[^A-Za-z0-9]+")
_TRAILING_NUMBER = re.compile(r"\d+$")
# CTRL_4_Report.tsv; Rep2, rep_2; R3. A number after the treatment in a run's name (Ctrl2) is used where nothing else
# states one.
_REPLICATE_OF_REPORT = re.compile(r"[_-](\d{1,2})_Report\b", re.IGNORECASE)
_REPLICATE = re.compile(r"(?:^|[_\W])Rep(?:licate)?[_-]?(\d{1,2})(?=[_\W]|$)", re.IGNORECASE)
_SHORT_REPLICATE = re.compile(r"_R(\d{1,2})(?=_)")

UNKNOWN_CELL_LINE = "unknown_cell_line"
UNKNOWN_CELL_TYPE = "unknown_cell_type"
UNKNOWN_CONDITION = "unknown_condition"
UNKNOWN_REPLICATE = "unknown_replicate"
CONFLICT = "names_disagree"


@dataclass(frozen=True, slots=True)
class QuantityColumn:
    """A column of a wide report that holds one run's quantities. `fraction` is None where its name states none."""

    name: str
    run: str
    quantity: str
    run_index: int | None
    fraction: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """What a replicate is of. `flags` say what is unknown or contradictory."""

    cell_line: CellLine | None = None
    cell_type: CellType | None = None
    condition: Condition | None = None
    replicate: int | None = None
    flags: tuple[str, ...] = ()

    def identity(self, file: str) -> str:
        """The replicate's id; the file's stem where a part of it is unknown."""
        if None in (self.cell_line, self.cell_type, self.condition, self.replicate):
            return re.sub(r"\.(?:tsv|csv|txt)$", "", file.rsplit("/", 1)[-1], flags=re.IGNORECASE)
        kind = f"_{self.cell_type}" if self.cell_line is not CellLine.MDA_MB_468 and self.cell_type else ""
        return f"{self.cell_line}{kind}_{self.condition}_{self.replicate}"


def fraction_of(run: str) -> int | None:
    """The SEC fraction that a run's name states.

    >>> fraction_of("BiosepMDA_MB468_Ctrl_070424_F61_F12_1_6110.d")
    61
    """
    match = _FRACTION.search(run)
    return int(match[1]) or None if match else None


def quantity_column(name: str) -> QuantityColumn | None:
    """A column name of a wide report, taken apart; None if it is no run's quantity.

    >>> quantity_column("[1] Biosep_MDAMB468_VRST_121224_F78_1_1_9237.d.PG.Quantity").fraction
    78
    """
    match = _QUANTITY_COLUMN.match(name)
    if match is None:
        return None
    index = int(match["index"]) if match["index"] else None
    return QuantityColumn(name, match["run"], match["quantity"], index, fraction_of(match["run"]))


def sample_of(file: str, runs: Iterable[str], context: str = "") -> Sample:
    """What a table is of, by its runs' names and its file's name.

    Where these say nothing of the cell line, what it was found in (`context`) may. Where two names contradict each
    other the value is unknown and flagged.

    >>> sample_of("x/Biosep_MDAMB468_VRST_2_Report.tsv", ["Biosep_MDAMB468_VRST_121224_F78_1_1_9237.d"]).replicate
    2
    """
    stem = file.rsplit("/", 1)[-1]
    series = sorted({run[: match.start()] if (match := _FRACTION.search(run)) else run for run in runs})
    replicates = [_replicates(name, _REPLICATE_OF_REPORT, _REPLICATE) for name in (*series, stem)]
    weaker = [_replicates(name, _SHORT_REPLICATE) or _numbered(name) for name in series]
    return _sample((*series, stem), replicates if any(replicates) else weaker, context)


def labelled_sample(labels: Iterable[str], replicate: int | None, context: str = "") -> Sample:
    """What rows of a long table are of, by their labels (sample, treatment, condition) and the context."""
    names = tuple(labels)
    own = [] if replicate is None else [{replicate}]
    return _sample(names, [*own, *(_replicates(name, _REPLICATE) for name in names)], context)


def _sample(names: tuple[str, ...], replicates: list[set[int]], context: str) -> Sample:
    conditions = set().union(*map(conditions_in, names))
    lines = set().union(*map(_cell_lines, names)) or _cell_lines(context)
    types = set().union(*map(_cell_types, names))
    numbers = set().union(*replicates)
    line = _only(lines)
    if not types and line is CellLine.MDA_MB_468:
        types = {CellType.CANCER}
    if not conditions and line is CellLine.KOLF2_1J:
        conditions = {Condition.UNTREATED}  # no KOLF2.1J line of any release was treated (data reference, section 2.2)
    evidence: tuple[tuple[str, Collection[object]], ...] = (
        (UNKNOWN_CELL_LINE, lines), (UNKNOWN_CELL_TYPE, types), (UNKNOWN_CONDITION, conditions),
        (UNKNOWN_REPLICATE, numbers),
    )  # fmt: skip
    flags = [flag for flag, values in evidence if len(values) != 1]
    if any(len(values) > 1 for _, values in evidence):
        flags.append(CONFLICT)
    return Sample(line, _only(types), _only(conditions), _only(numbers), tuple(flags))


def _cell_lines(name: str) -> set[CellLine]:
    return cell_lines_in(name) or {line for accession, line in _DEPOSITS.items() if accession in name}


def _cell_types(name: str) -> set[CellType]:
    return {_BY_TOKEN[token] for token in _tokens(name) if token in _BY_TOKEN}


def conditions_in(name: str) -> set[Condition]:
    """The conditions that a name or label mentions, as a whole or in one of its parts."""
    labels = {name, *(_TRAILING_NUMBER.sub("", token) for token in _tokens(name))}
    return {condition for label in labels if (condition := condition_or_none(label))}


def _replicates(name: str, *patterns: re.Pattern[str]) -> set[int]:
    return {int(match[1]) for pattern in patterns for match in pattern.finditer(name)}


def _numbered(name: str) -> set[int]:
    """The number behind a treatment: 2 in Ptxl2_072724."""
    return {
        int(match[0])
        for token in _tokens(name)
        if (match := _TRAILING_NUMBER.search(token)) and condition_or_none(token[: match.start()])
    }


def _tokens(name: str) -> list[str]:
    return [token for token in _TOKEN.split(name.lower()) if token]


def _only(values: set[_T]) -> _T | None:
    return next(iter(values)) if len(values) == 1 else None
