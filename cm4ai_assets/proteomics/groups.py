"""Protein groups: the ids in a cell of a table, and what is wrong with them.

A cell lists alternative groups separated by `|`, and within a group ids separated by `;`. An id in FASTA form,
`sp|P12345|NAME_HUMAN`, is one id: its bars separate nothing. Does not belong here: the form of an accession
(`cm4ai_assets.identifiers`), marks of search programs (`cm4ai_assets.suspects`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.identifiers import UNIPROT
from cm4ai_assets.suspects import ID_SUSPECTS, suspect_flags

_FASTA = rf"(?:sp|tr)\|({UNIPROT.pattern})\|[A-Za-z0-9]+_[A-Za-z0-9]+"
_IRT = r"(?i)\b(biognosys)\|(irt)"


def members(column: str) -> pl.Expr:
    """The ids of a cell in their order, without quotes around them; none if the cell is empty."""
    parts = _one_by_one(column).str.replace_all("|", ";", literal=True).str.split(";")
    bare = pl.element().str.strip_chars().str.replace(r'^"(.*)"$', "${1}").str.replace(r"^'(.*)'$", "${1}")
    parts = parts.list.eval(bare)
    return parts.list.eval(pl.element().filter(pl.element() != "")).fill_null(pl.lit([], pl.List(pl.String)))


def alternatives(column: str) -> pl.Expr:
    """The number of alternative groups in a cell."""
    return (_one_by_one(column).str.count_matches("|", literal=True) + 1).cast(pl.Int16)


def accession(column: str) -> pl.Expr:
    """The UniProt accession that a cell is, bare or in FASTA form; null if it is none."""
    one = _one_by_one(column)
    return pl.when(UNIPROT.fits_column(one)).then(one)


def group_flags(column: str) -> dict[str, pl.Expr]:
    """What is wrong with the ids of a row of `members` and `gene_symbols`, of which `column` is the cell."""
    suspects = suspect_flags(
        ids=[pl.col(column).str.strip_chars()], id_lists=[pl.col("members")], symbol_lists=[pl.col("gene_symbols")]
    )
    well_formed = pl.col("members").list.eval(UNIPROT.fits_column(pl.element())).list.all()
    marked = pl.any_horizontal(suspects[str(flag)] for flag in ID_SUSPECTS)
    return {**suspects, "malformed_id": ~well_formed & ~marked}


def _one_by_one(column: str) -> pl.Expr:
    """The cell with each id as one word."""
    return pl.col(column).str.replace_all(_FASTA, "${1}").str.replace_all(_IRT, "${1}_${2}")
