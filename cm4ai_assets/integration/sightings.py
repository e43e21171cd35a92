"""Where each modality names a gene or protein: rows of ids, with what is counted of them.

Belongs here: from the tables of one modality to ids in one form. Does not belong here: what the ids mean (`identity`),
and counts (`proteins`). Each function takes the rows of published tables and gives the columns `ensembl`, `uniprot` and
`symbol` beside what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.identifiers import UNIPROT
from cm4ai_assets.integration.identity import IDS, Ids
from cm4ai_assets.suspects import is_foreign_column

_NO_TEXT = pl.lit(None, pl.String())


def of_antibodies(antibodies: pl.DataFrame) -> pl.DataFrame:
    """The targets of each antibody: antibody_id and ids, one row a target.

    Of an antibody with several targets the lists of ids are not in one order. So one kind of id names them: Ensembl
    ids where it has any, else accessions, else symbols.
    """
    named = antibodies.filter(~pl.col("is_control")).select(
        "antibody_id", "pairing", ensembl="ensembl_gene_id", uniprot="uniprot_id", symbol="gene_symbol"
    )
    strongest = pl.coalesce(*(pl.when(pl.col(kind).is_not_null().any()).then(pl.lit(kind)) for kind in IDS))
    unpaired = named.filter(pairing="unpaired").with_columns(strongest.over("antibody_id").alias("kind"))
    kept = [
        unpaired.filter(pl.col(kind).is_not_null(), kind=kind).with_columns(
            _NO_TEXT.alias(other) for other in IDS if other != kind
        )
        for kind in IDS
    ]
    single = named.filter(pl.col("pairing") != "unpaired")
    columns = ["antibody_id", *IDS]
    return pl.concat([single.select(columns), *(one.select(columns) for one in kept)]).unique().sort(columns)


def of_groups(proteins: pl.DataFrame) -> pl.DataFrame:
    """The members of each SEC-MS protein group, one row a member of a group in a replicate.

    An accession or symbol of a list belongs to a member where the list is as long as the members, or collapsed to one
    value. A member that is no accession stands as it was published, if none stands beside it; one that is marked as a
    contaminant, decoy or standard always does, because the accession beside it is that of a protein of the sample, too.
    """
    rows = proteins.with_columns(
        _accession=_of_members("uniprot_ids"), _symbol=_of_members("gene_symbols"),
    ).explode("members", "_accession", "_symbol", empty_as_null=True)  # fmt: skip
    is_accession = UNIPROT.fits_column("members").fill_null(value=False)
    beside = pl.when(UNIPROT.fits_column("_accession") & ~is_foreign_column(pl.col("members"))).then("_accession")
    return rows.select(
        "condition", "replicate_id", "cell_type", "protein_group", "quantified_fractions",
        _NO_TEXT.alias("ensembl"),
        uniprot=pl.when(is_accession).then("members").otherwise(pl.coalesce(beside, "members")),
        symbol=pl.when(pl.col("_symbol") != "").then("_symbol"),
    )  # fmt: skip


def _of_members(column: str) -> pl.Expr:
    """A list of ids as one that is as long as the members; nulls where it is not in their order."""
    count = pl.col("members").list.len()
    fits = pl.col(column).list.len() == count
    value = pl.when(pl.col(column).list.len() == 1).then(pl.col(column).list.first())
    return pl.when(fits).then(column).otherwise(value.repeat_by(count))


def of_baits(interactions: pl.DataFrame) -> pl.DataFrame:
    """The bait of each scored pair."""
    return interactions.select(
        "condition", "bait_symbol", "prey", _NO_TEXT.alias("ensembl"), _NO_TEXT.alias("uniprot"), symbol="bait_symbol"
    )


def of_preys(interactions: pl.DataFrame) -> pl.DataFrame:
    """The prey of each scored pair: by its accession, else by its symbol, else as published, as a marked one always."""
    nameless = pl.col("prey_uniprot_id").is_null() & pl.col("prey_gene_symbol").is_null()
    as_published = nameless | is_foreign_column(pl.col("prey"))
    return interactions.select(
        "condition", "bait_symbol", "prey", _NO_TEXT.alias("ensembl"), symbol="prey_gene_symbol",
        uniprot=pl.when(as_published).then("prey").otherwise("prey_uniprot_id"),
    )  # fmt: skip


def of_runs(runs: pl.DataFrame) -> pl.DataFrame:
    """The bait of each annotated raw run; runs of controls have none."""
    return runs.filter(pl.col("bait_symbol").is_not_null()).select(
        "condition", _NO_TEXT.alias("ensembl"), _NO_TEXT.alias("uniprot"), symbol="bait_symbol"
    )


def of_guides(library: pl.DataFrame) -> pl.DataFrame:
    """The gene that each guide is against; controls have none."""
    return library.filter(~pl.col("is_control")).select(
        "guide", _NO_TEXT.alias("uniprot"), ensembl="ensembl_gene", symbol="symbol"
    )


def of_targets(targets: pl.DataFrame) -> pl.DataFrame:
    """The gene of each perturbed target, with its cells."""
    return targets.filter(~pl.col("is_control")).select(
        "n_cells", _NO_TEXT.alias("uniprot"), ensembl="gene_id", symbol=pl.coalesce("gene", "target")
    )


def stated_together(antibodies: pl.DataFrame, library: pl.DataFrame) -> Iterator[Ids]:
    """The ids that rows of a release state of one gene: antibodies of a single target, and guides."""
    single = of_antibodies(antibodies.filter(pairing="single")).select(IDS)
    for ids in pl.concat([single, of_guides(library).select(IDS)]).unique().iter_rows():
        yield ids[0], ids[1], ids[2]
