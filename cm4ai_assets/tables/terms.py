"""Which columns hold identifiers of a standard vocabulary, by the term of EDAM for that kind of identifier.

Belongs here: that binding, which descriptions for other tools carry. Does not belong here: what a column means (the
tables), and the forms of ids (`identifiers`). A column of several kinds of ids (`proteins.gene`) is bound to none.

>>> term_of("uniprot_ids")
'http://edamontology.org/data_3021'
>>> term_of("well") is None
True
"""

from __future__ import annotations

from typing import Final

_EDAM: Final = "http://edamontology.org/"
_COLUMNS: Final = {
    "data_1033": ("ensembl_gene", "ensembl_gene_id", "ensembl_gene_ids", "target_ensembl"),  # Ensembl gene ID
    "data_3021": ("prey_uniprot_id", "uniprot_id", "uniprot_ids"),  # UniProt accession
    "data_2298": ("hgnc_id",),  # Gene ID (HGNC)
    "data_1026": ("bait_symbol", "gene_symbol", "gene_symbols", "prey_gene_symbol", "symbol"),  # Gene symbol
}
TERMS: Final = {column: f"{_EDAM}{term}" for term, columns in _COLUMNS.items() for column in columns}


def term_of(column: str) -> str | None:
    """The term for what a column of any table holds; None where there is none.

    Args:
        column: Name of the column.
    """
    return TERMS.get(column)
