"""Columns that are bound to a vocabulary are columns of tables, and hold what the term says."""

from __future__ import annotations

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.tables.terms import TERMS, term_of


def test_every_bound_column_is_text_of_a_table_and_says_so() -> None:
    columns = {column.name: column for table in tables.ALL for column in table.columns}
    assert set(TERMS) <= set(columns)
    words = {"1033": "ensembl", "3021": "accession|uniprot", "2298": "hgnc", "1026": "symbol"}
    for name, term in TERMS.items():
        column = columns[name]
        assert column.dtype in (pl.String, pl.List(pl.String)), name
        said = f"{column.name} {column.description}".lower()
        assert any(word in said for word in words[term.rpartition("_")[2]].split("|")), name


def test_columns_of_mixed_ids_are_bound_to_nothing() -> None:
    assert [name for name in ("gene", "prey", "target", "protein_group", "field_id") if term_of(name)] == []
