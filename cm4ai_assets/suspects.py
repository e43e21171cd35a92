"""Ids that are no protein or gene of the experiment, or are damaged: one set of flags for every modality.

Belongs here: how contaminants, decoys and retention-time standards are marked by search programs, and what
spreadsheets make of gene symbols. Does not belong here: the well-formed (`identifiers`), and leaving anything out: what
is suspect is flagged and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import polars as pl


class Suspect(StrEnum):
    """What an id is flagged as."""

    CONTAMINANT = "contaminant"
    DECOY = "decoy"
    IRT_STANDARD = "irt_standard"
    SPREADSHEET = "spreadsheet_damage"
    QUOTED = "quoted_id"


DESCRIPTIONS: dict[Suspect, str] = {
    Suspect.CONTAMINANT: "an id is marked as a contaminant (CON__, Cont_, cRAP)",
    Suspect.DECOY: "an id is that of a decoy sequence (REV__, DECOY_, XXX_)",
    Suspect.IRT_STANDARD: "an id is that of the retention-time standard (iRT peptides)",
    Suspect.SPREADSHEET: "a gene symbol was made a date, a number or an error by a spreadsheet (2-Sep, 43709, #NAME?)",
    Suspect.QUOTED: "an id has quotes around it",
}

_MONTHS = "jan|feb|mar|mrz|apr|may|mai|jun|jul|aug|sept?|oct|okt|nov|dec|dez"
# Patterns that Python and polars read alike. Program marks stand before an id, also before `sp|…`.
_PATTERNS: dict[Suspect, str] = {
    Suspect.CONTAMINANT: r"(?i)^[\"']?(?:con_{1,2}|cont_|contam(?:inant)?_|crap[-_|])",
    Suspect.DECOY: r"(?i)^[\"']?(?:rev_{1,2}|reverse_|decoy_|xxx_|rnd_|random_|##)|_reversed$|_decoy$",
    Suspect.IRT_STANDARD: r"(?i)^[\"']?(?:biognosys[|_])?irt(?:[-_ ].*)?$|^[\"']?irt[-_ ]?kit",
    Suspect.SPREADSHEET: rf"(?i)^(?:\d{{1,2}}-(?:{_MONTHS})|(?:{_MONTHS})-\d{{2,4}}|\d{{1,2}}\. ?(?:{_MONTHS})"
    r"|\d{4}-\d{2}-\d{2}(?: 00:00:00)?|\d{1,2}/\d{1,2}/\d{2,4}|\d+(?:\.\d+)?|\d+(?:\.\d+)?e[+-]?\d+"
    r"|#(?:name\?|ref!|value!|div/0!|num!|null!))$",
    Suspect.QUOTED: r"^[\"'].|.[\"']$",
}
_COMPILED = {suspect: re.compile(pattern) for suspect, pattern in _PATTERNS.items()}
# A protein id may be a number in none of the grammars used here, and `5'-NT` is a name: these two are of symbols and
# of ids alone.
ID_SUSPECTS = (Suspect.CONTAMINANT, Suspect.DECOY, Suspect.IRT_STANDARD, Suspect.QUOTED)
SYMBOL_SUSPECTS = (Suspect.SPREADSHEET,)
FOREIGN = (Suspect.CONTAMINANT, Suspect.DECOY, Suspect.IRT_STANDARD)
"""Marks of what is no protein of the sample, whatever accession or symbol stands beside it."""


def suspects_of(symbols: Iterable[str], ids: Iterable[str] = ()) -> list[Suspect]:
    """The flags that gene symbols and other ids deserve, each once.

    >>> suspects_of(["2-Sep"], ["CON__P00761"])
    [<Suspect.CONTAMINANT: 'contaminant'>, <Suspect.SPREADSHEET: 'spreadsheet_damage'>]
    """
    of_ids, of_symbols = list(ids), list(symbols)
    return [
        flag
        for flag in Suspect
        if any(_COMPILED[flag].search(text) for text in (of_ids if flag in ID_SUSPECTS else of_symbols))
    ]


def suspect_flags(
    *, ids: Iterable[pl.Expr] = (), id_lists: Iterable[pl.Expr] = (), symbols: Iterable[pl.Expr] = (),
    symbol_lists: Iterable[pl.Expr] = (),
) -> dict[str, pl.Expr]:  # fmt: skip
    """Flag to whether a row deserves it, by its columns of texts and of lists of texts."""
    of_ids = [list(ids), list(id_lists)]
    of_symbols = [list(symbols), list(symbol_lists)]
    flags: dict[str, pl.Expr] = {}
    for flag in Suspect:
        single, lists = of_ids if flag in ID_SUSPECTS else of_symbols
        holds = [_has(column, flag) for column in single] + [_any_has(column, flag) for column in lists]
        if holds:
            flags[str(flag)] = pl.any_horizontal(holds)
    return flags


def is_foreign(text: str) -> bool:
    """Whether an id is marked as no protein of the sample.

    >>> is_foreign("CON__P04264"), is_foreign("P04264"), is_foreign("-")
    (True, False, False)
    """
    return any(_COMPILED[flag].search(text) for flag in FOREIGN)


def is_foreign_column(ids: pl.Expr) -> pl.Expr:
    """Whether an id is marked as no protein of the sample, row by row; false where it is missing."""
    return pl.any_horizontal(_has(ids, flag) for flag in FOREIGN)


def _has(column: pl.Expr, flag: Suspect) -> pl.Expr:
    """Whether a text deserves a flag; false where it is missing."""
    return column.str.contains(_PATTERNS[flag]).fill_null(value=False)


def _any_has(column: pl.Expr, flag: Suspect) -> pl.Expr:
    """Whether a text of a list deserves a flag; false where there is none."""
    return column.list.eval(pl.element().str.contains(_PATTERNS[flag])).list.any().fill_null(value=False)
