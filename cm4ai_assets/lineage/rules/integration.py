"""Rows over all modalities: to the rows of each modality that they count, or divide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.identifiers import UNIPROT
from cm4ai_assets.integration.mapping import VERSION
from cm4ai_assets.integration.proteins import IMAGED, SOURCES
from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.suspects import is_foreign_column
from cm4ai_assets.tables import table
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_FIELDS
from cm4ai_assets.tables.integration import PROTEINS, SPLITS
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS
from cm4ai_assets.tables.screen import GUIDE_LIBRARY
from cm4ai_assets.tables.targets import PERTURB_TARGETS


def in_release(chain: Chain, name: str, release: str, *where: pl.Expr) -> Iterator[Step]:
    """The rows of a table of a release that meet all conditions, a link for each condition that is published."""
    by_condition = table(name).partitioning is Partitioning.CONDITION_RELEASE
    for condition in CONDITIONS if by_condition else (None,):
        wanted = Partition(release, condition and str(condition))
        if chain.place(name, wanted) is not None:
            yield from chain.matching(name, wanted, *where)


def _splits(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The fields, their antibodies, which decide what stays together, and the mapping that joins those."""
    for (condition,), part in rows.frame.partition_by("condition", as_dict=True).items():
        wanted = Partition(rows.partition.release, str(condition))
        yield from chain.matching(IF_FIELDS.name, wanted, pl.col("field_id").is_in(part["field_id"].to_list()))
    if antibodies := rows.values("antibody_id"):
        named = pl.col("antibody_id").is_in(antibodies)
        yield from in_release(chain, IF_ANTIBODIES.name, rows.partition.release, named)
    yield mapping(VERSION)


def mapping(version: str) -> Step:
    """The mapping of identifiers, which comes with this software."""
    return Step(StepKind.OUTSIDE, f"mapping of identifiers {version}", notes=("It is part of cm4ai_assets.",))


def _proteins(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The rows that name the gene under one of its published ids: those that are counted."""
    ids, release = rows.values("published_ids"), rows.partition.release
    antibodies = rows.values("antibodies")
    where = {
        IF_ANTIBODIES.name: _named(ids, "ensembl_gene_id", "uniprot_id", "gene_symbol")
        & _among("antibody_id", antibodies),
        IF_FIELDS.name: _among("antibody_id", antibodies) & IMAGED,
        SECMS_PROTEINS.name: _has_member(ids) & (pl.col("quantified_fractions") > 0),
        APMS_INTERACTIONS.name: _named(ids, "bait_symbol", "prey_uniprot_id", "prey_gene_symbol", "prey"),
        APMS_RUNS.name: _named(ids, "bait_symbol"),
        GUIDE_LIBRARY.name: _among("guide", rows.values("guides")),
        PERTURB_TARGETS.name: _named(ids, "gene_id", "gene", "target") & ~pl.col("is_control"),
    }
    for name in SOURCES:
        yield from in_release(chain, name, release, where[name])
    yield from (mapping(version) for version in rows.values("mapping_version"))


def _among(column: str, values: Sequence[str]) -> pl.Expr:
    return pl.col(column).is_in(values)


def _named(ids: Sequence[str], *columns: str) -> pl.Expr:
    return pl.any_horizontal(_among(column, ids).fill_null(value=False) for column in columns)


def _has_member(ids: Sequence[str]) -> pl.Expr:
    """A protein group with one of these ids: among its members, or the accessions beside a member that is none.

    What stands beside the mark of a contaminant is not counted (`sightings`).
    """
    beside = pl.col("uniprot_ids").list.eval(pl.element().filter(UNIPROT.fits_column(pl.element())))
    is_none = ~UNIPROT.fits_column(pl.element()) & ~is_foreign_column(pl.element())
    counts = pl.col("members").list.eval(is_none).list.any()
    every = pl.concat_list("members", pl.when(counts).then(beside).fill_null([]))
    return every.list.eval(pl.element().is_in(ids)).list.any()


RULES = {
    PROTEINS.name: Rule(_proteins, reads=SOURCES),
    SPLITS.name: Rule(_splits, reads=(IF_ANTIBODIES.name, IF_FIELDS.name)),
}
