"""What the quality checks say about coverage and identifiers, as plain data: one function per check.

Belongs here: that nothing published is lost on the way, which blocks, and what warns. Does not belong here: Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.integration.mapping import GeneMapping, ensembl_of
from cm4ai_assets.integration.summaries import not_published
from cm4ai_assets.suspects import Suspect
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets.tables.integration import MODALITIES
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS
from cm4ai_assets.tables.screen import GUIDE_LIBRARY

MOST_UNKNOWN: Final = 0.1
"""Share of rows of an unknown gene above which the mapping does not fit the release."""
_UNKNOWN: Final = ("unmapped", "ambiguous", "alias_only")


def ids_kept(proteins: pl.DataFrame, frames: Mapping[str, pl.DataFrame]) -> Finding:
    """Each antibody, guide, bait, prey and protein group of the release that names a gene is in some row.

    Protects from genes that are measured and seem not to be. Blocking: a table that lost one is never published.
    """
    lost = pl.concat(_lost(proteins, frames))
    return Finding(
        "ids_kept",
        passed=lost.is_empty(),
        summary=f"{lost.height:,} published ids are in no row." if lost.height else "Each published id is in a row.",
        rows=lost.sort("kind", "id").head(ROWS_SHOWN),
        counts={"rows": proteins.height, "lost ids": lost.height},
    )


def _lost(proteins: pl.DataFrame, frames: Mapping[str, pl.DataFrame]) -> list[pl.DataFrame]:
    """What the tables of the release name and no row has, by kind."""
    kept = {
        name: proteins[name].explode(empty_as_null=True).drop_nulls().unique().implode()
        for name in ("published_ids", "antibodies", "guides")
    }
    there = {name: frames.get(name, tables.table(name).empty()) for name in _READ}
    targeted = pl.any_horizontal(pl.col("ensembl_gene_id", "uniprot_id", "gene_symbol").is_not_null())
    antibodies = there[IF_ANTIBODIES.name].filter(~pl.col("is_control"), targeted)
    guides = there[GUIDE_LIBRARY.name].filter(
        ~pl.col("is_control"), pl.any_horizontal(pl.col("symbol", "ensembl_gene").is_not_null())
    )
    pairs, runs, groups = (there[one.name] for one in (APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS))
    prey = pl.coalesce("prey_uniprot_id", "prey_gene_symbol", "prey")
    members = pl.concat_list("members", pl.col("uniprot_ids").fill_null([]))
    nameless = groups.filter(members.list.set_intersection(kept["published_ids"].first()).list.len() == 0)
    named = {
        "antibody": (antibodies["antibody_id"], "antibodies"),
        "guide": (guides["guide"], "guides"),
        "bait": (pl.concat([pairs["bait_symbol"], runs["bait_symbol"].drop_nulls()]), "published_ids"),
        "prey": (pairs.select(prey.alias("id"))["id"], "published_ids"),
    }
    found = [
        ids.unique().to_frame("id").filter(~pl.col("id").is_in(kept[column])).with_columns(kind=pl.lit(kind))
        for kind, (ids, column) in named.items()
    ]
    return [*found, nameless.select(id="protein_group", kind=pl.lit("protein group")).unique()]


_READ: Final = (IF_ANTIBODIES.name, GUIDE_LIBRARY.name, APMS_INTERACTIONS.name, APMS_RUNS.name, SECMS_PROTEINS.name)


def ids_mapped(proteins: pl.DataFrame) -> Finding:
    """Nearly every id leads to one gene of the mapping. Protects overlaps from missing what has another name.

    What is marked as a contaminant, decoy or standard is no gene of the experiment and does not count.
    """
    rows = proteins.filter(pl.col("flags").list.set_intersection(list(Suspect)).list.len() == 0)
    flags = {flag: rows.filter(pl.col("flags").list.contains(flag)) for flag in _UNKNOWN}
    bad = rows.filter(pl.col("flags").list.set_intersection(list(_UNKNOWN)).list.len() > 0)
    share = bad.height / max(rows.height, 1)
    counted = ", ".join(f"{found.height:,} {flag}" for flag, found in flags.items())
    return Finding(
        "ids_mapped",
        passed=share <= MOST_UNKNOWN,
        summary=f"{bad.height:,} of {rows.height:,} rows ({share:.1%}) have no gene of the mapping: {counted}.",
        rows=bad.select("gene", "symbol", "published_ids", "candidates", "flags").head(ROWS_SHOWN),
        counts={"rows": rows.height, **{flag: found.height for flag, found in flags.items()}},
    )


def modalities_there(proteins: pl.DataFrame) -> Finding:
    """The release has tables of every modality here. Protects from reading an overlap of what is not there as none."""
    absent = not_published(proteins)
    counts = {str(one): int(proteins[f"has_{one}"].sum() or 0) for one in MODALITIES if one not in absent}
    there = ", ".join(f"{count:,} in {one}" for one, count in counts.items())
    nothing = f" Nothing of {', '.join(absent)} is published here." if absent else ""
    return Finding(
        "modalities_there",
        passed=not absent,
        summary=f"{proteins.height:,} genes or proteins: {there}.{nothing}",
        rows=pl.DataFrame({"modality": absent}) if absent else pl.DataFrame(),
        counts={"rows": proteins.height, **counts},
    )


def antibody_ids_agree(antibodies: pl.DataFrame, mapping: GeneMapping) -> Finding:
    """Ensembl ids and accessions of an antibody mean the same genes. Protects from labels of another protein.

    Ids that the mapping does not know say nothing. Manifests keep the ids of the day on which the antibody was made.
    """
    rows = antibodies.filter(~pl.col("is_control")).group_by("antibody_id").agg("ensembl_gene_id", "uniprot_id")
    compared, bad = 0, list[tuple[str, list[str], list[str]]]()
    for antibody_id, ids, accessions in rows.sort("antibody_id").iter_rows():
        known = {gene for one in ids if one and (gene := ensembl_of(one)) and gene in mapping.genes}
        means = [genes for one in accessions if one and (genes := mapping.of_uniprot(one).genes)]
        if not known or not means:
            continue
        compared += 1
        stray = {gene for genes in means if not known & set(genes) for gene in genes}
        unmet = {gene for gene in known if not any(gene in genes for genes in means)}
        if stray or (unmet and len(means) >= len(known)):
            bad.append((antibody_id, sorted(known), sorted(stray)))
    frame = pl.DataFrame(bad, schema=_DISAGREEING, orient="row")
    return Finding(
        "antibody_ids_agree",
        passed=frame.is_empty(),
        summary=f"{frame.height} of {compared} antibodies have accessions of other genes than their Ensembl ids.",
        rows=frame.head(ROWS_SHOWN),
        counts={"compared": compared, "disagreeing": frame.height},
    )


_DISAGREEING = pl.Schema({
    "antibody_id": pl.String(), "genes by Ensembl id": pl.List(pl.String()),
    "others by accession": pl.List(pl.String()),
})  # fmt: skip

CHECKS: Final[tuple[Callable[[pl.DataFrame], Finding], ...]] = (ids_mapped, modalities_there)
