"""Every gene or protein that a release measures anywhere, and what covers it: the rows of `proteins`.

Belongs here: counting. Does not belong here: which gene an id means (`identity`), and where the modalities name them
(`sightings`). A count is null where the release has no table to count in, and 0 where it has one without the gene.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.identifiers import ENSEMBL_GENE, UNIPROT
from cm4ai_assets.integration import sightings
from cm4ai_assets.integration.identity import IDS, Identities
from cm4ai_assets.integration.mapping import VERSION, GeneMapping
from cm4ai_assets.suspects import suspect_flags
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_FIELDS
from cm4ai_assets.tables.integration import MEASURES, MODALITIES, PROTEINS, Measure
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS
from cm4ai_assets.tables.screen import GUIDE_LIBRARY
from cm4ai_assets.tables.targets import PERTURB_TARGETS

SOURCES = (
    IF_ANTIBODIES.name,
    IF_FIELDS.name,
    SECMS_PROTEINS.name,
    APMS_INTERACTIONS.name,
    APMS_RUNS.name,
    GUIDE_LIBRARY.name,
    PERTURB_TARGETS.name,
)
"""Tables that coverage is counted in."""

Frames = Mapping[str, pl.DataFrame]
IMAGED = ~pl.col("defects").list.contains("no_images")
"""Rows of `if_fields` that are a field of view: the others stand in a manifest only."""
_NOTES = ("unmapped", "ambiguous", "alias_only", "old_ensembl_id")


def protein_rows(frames: Frames, mapping: GeneMapping) -> pl.DataFrame:
    """The rows of `proteins`, by gene; without the column `release`.

    Args:
        frames: The rows of those of `SOURCES` that are published, all conditions together.
        mapping: Which ids are one gene.
    """
    there = {name: frames.get(name, tables.table(name).empty()) for name in SOURCES}
    stated = sightings.stated_together(there[IF_ANTIBODIES.name], there[GUIDE_LIBRARY.name])
    seen = _seen(there, Identities(mapping, stated))
    parts = (_named(seen, mapping), _of_images(seen, there), _of_groups(seen), *_of_pairs(seen), *_of_screen(seen))
    rows = reduce(lambda left, right: left.join(right, on="gene", how="left"), parts)
    rows = rows.with_columns(
        *_counted(frames),
        *(pl.col(name).fill_null([]) for name in ("antibodies", "guides", "secms_cell_types")),
        flags=_flags(),
        mapping_version=pl.lit(VERSION),
    )
    rows = rows.with_columns(_presence(frames)).with_columns(missing=_missing())
    return rows.select(column.name for column in PROTEINS.own_columns).sort("gene")


def _seen(there: Frames, identities: Identities) -> dict[str, pl.DataFrame]:
    """Where each modality names something, with what that is: `sightings` and their identities."""
    found = {
        "antibodies": sightings.of_antibodies(there[IF_ANTIBODIES.name]),
        "groups": sightings.of_groups(there[SECMS_PROTEINS.name]),
        "baits": sightings.of_baits(there[APMS_INTERACTIONS.name]),
        "preys": sightings.of_preys(there[APMS_INTERACTIONS.name]),
        "runs": sightings.of_runs(there[APMS_RUNS.name]),
        "guides": sightings.of_guides(there[GUIDE_LIBRARY.name]),
        "targets": sightings.of_targets(there[PERTURB_TARGETS.name]),
    }
    return {name: identities.identified(rows) for name, rows in found.items()}


def _named(seen: Mapping[str, pl.DataFrame], mapping: GeneMapping) -> pl.DataFrame:
    """One row a gene: its names by the mapping, its names in the release, and what led from these to the gene."""
    columns = ["gene", *IDS, "by", "candidates", "note"]
    every = pl.concat([rows.select(columns) for rows in seen.values()]).unique()
    published = every.group_by("gene").agg(
        *(pl.col(kind).drop_nulls().unique().sort().alias(f"published_{kind}") for kind in IDS),
        pl.col("by").unique().sort().alias("identified_by"),
        pl.col("candidates").explode(empty_as_null=True).drop_nulls().unique().sort(),
        pl.col("note").unique().sort().alias("notes"),
    )
    known = [mapping.genes.get(gene) for gene in published["gene"]]
    accessions = pl.col("published_uniprot").list.eval(pl.element().filter(UNIPROT.fits_column(pl.element())))
    return published.with_columns(
        pl.Series("hgnc_id", [gene and gene.hgnc_id for gene in known], pl.String()),
        pl.Series("_symbol", [gene and gene.symbol for gene in known], pl.String()),
        pl.Series("_uniprot", [list(gene.uniprot_ids) if gene else [] for gene in known], pl.List(pl.String())),
    ).select(
        "gene", "hgnc_id", "identified_by", "candidates", "notes", "published_uniprot", "published_symbol",
        ensembl_gene_id=pl.when(ENSEMBL_GENE.fits_column("gene")).then("gene"),
        symbol=pl.coalesce("_symbol", pl.col("published_symbol").list.first()),
        uniprot_ids=pl.when(pl.col("_uniprot").list.len() > 0).then("_uniprot").otherwise(accessions),
        isoforms=accessions.list.eval(pl.element().filter(pl.element().str.contains("-", literal=True))),
        published_ids=pl.concat_list(f"published_{kind}" for kind in IDS).list.unique().list.sort(),
    )  # fmt: skip


def _of_images(seen: Frames, there: Frames) -> pl.DataFrame:
    """Fields, wells, plates and antibodies by condition; and the antibodies, and whether all bind other genes, too."""
    pairs = seen["antibodies"].select("antibody_id", "gene").unique()
    fields = there[IF_FIELDS.name].filter(IMAGED).join(pairs, on="antibody_id")  # controls have no targets
    counts = fields.group_by("gene", "condition").agg(
        if_fields=pl.len(),
        if_in_tensor=pl.col("tensor_index").count(),
        if_wells=pl.struct("plate", "well").n_unique(),
        if_plates=pl.col("plate").n_unique(),
        if_antibodies=pl.col("antibody_id").n_unique(),
    )
    shared = pl.col("gene").n_unique().over("antibody_id") > 1
    of_gene = pairs.with_columns(shared=shared).group_by("gene").agg(
        antibodies=pl.col("antibody_id").sort(), only_shared_antibodies=pl.col("shared").all()
    )  # fmt: skip
    return of_gene.join(_wide(counts), on="gene", how="left")


def _of_groups(seen: Frames) -> pl.DataFrame:
    """Replicates, fractions and protein groups by condition; cell types; whether all groups have other genes, too."""
    groups = seen["groups"].filter(pl.col("quantified_fractions") > 0)
    counts = groups.group_by("gene", "condition").agg(
        secms_replicates=pl.col("replicate_id").n_unique(),
        secms_fractions=pl.col("quantified_fractions").max(),
        secms_groups=pl.col("protein_group").n_unique(),
    )
    shared = pl.col("gene").n_unique().over("condition", "replicate_id", "protein_group") > 1
    of_gene = groups.with_columns(shared=shared).group_by("gene").agg(
        secms_cell_types=pl.col("cell_type").drop_nulls().unique().sort(), only_shared_groups=pl.col("shared").all()
    )  # fmt: skip
    return of_gene.join(_wide(counts), on="gene", how="left")


def _of_pairs(seen: Frames) -> Iterator[pl.DataFrame]:
    """Scored pairs as bait and as prey, a repeated one once, and raw runs as bait, by condition."""
    pairs = pl.struct("bait_symbol", "prey").n_unique()
    for name, count in (("baits", pairs.alias("apms_as_bait")), ("preys", pairs.alias("apms_as_prey")),
                        ("runs", pl.len().alias("apms_bait_runs"))):  # fmt: skip
        yield _wide(seen[name].group_by("gene", "condition").agg(count))


def _of_screen(seen: Frames) -> Iterator[pl.DataFrame]:
    """Guides and cells."""
    guides = pl.col("guide").unique().sort()
    yield seen["guides"].group_by("gene").agg(guides=guides, perturb_guides=pl.col("guide").n_unique())
    yield seen["targets"].group_by("gene").agg(perturb_cells=pl.col("n_cells").sum())


def _wide(counts: pl.DataFrame) -> pl.DataFrame:
    """Counts by gene and condition as a column for each condition."""
    measured = [name for name in counts.columns if name not in {"gene", "condition"}]
    return counts.group_by("gene").agg(
        pl.col(name).filter(pl.col("condition") == str(condition)).first().alias(f"{name}_{condition}")
        for name in measured
        for condition in CONDITIONS
    )


def _counted(frames: Frames) -> Iterator[pl.Expr]:
    """Counts as they are published: 0 where there is a table without the gene, null where there is none."""
    for measure in MEASURES:
        published = _published(measure, frames)
        for condition, name in measure.columns.items():
            count = pl.col(name).cast(pl.Int32)
            yield count.fill_null(0) if condition in published else pl.lit(None, pl.Int32()).alias(name)


def _published(measure: Measure, frames: Frames) -> set[str | None]:
    """The conditions of which there are rows to count in."""
    rows = frames.get(measure.source)
    if rows is None:
        return set()
    return set(rows["condition"].unique()) if measure.by_condition else {None}


def _presence(frames: Frames) -> list[pl.Expr]:
    """Whether each modality has the gene; null where the release has nothing of it."""
    of_images, of_groups = _any_of("if_fields"), _any_of("secms_groups")
    of_pairs = _any_of("apms_as_bait", "apms_as_prey", "apms_bait_runs")
    # Guides say that a gene is targeted; cells, where they are counted, whether it was perturbed.
    of_screen = _any_of("perturb_cells" if PERTURB_TARGETS.name in frames else "perturb_guides")
    found = zip(MODALITIES, (of_images, of_groups, of_pairs, of_screen), strict=True)
    return [present.alias(f"has_{modality}") for modality, present in found]


def _any_of(*names: str) -> pl.Expr:
    """A count is above 0; null if all are null."""
    counts = [pl.col(column) for one in MEASURES if one.name in names for column in one.columns.values()]
    return pl.max_horizontal(counts) > 0


def _missing() -> pl.Expr:
    absent = [pl.when(~pl.col(f"has_{one}")).then(pl.lit(one)) for one in MODALITIES]
    return pl.concat_list(absent).list.drop_nulls()


def _flags() -> pl.Expr:
    """What is to be known of a row."""
    suspects = suspect_flags(id_lists=[pl.col("published_uniprot")], symbol_lists=[pl.col("published_symbol")])
    holds = {
        **{note: pl.col("notes").list.contains(note) for note in _NOTES},
        "previous_symbol": pl.col("identified_by").list.contains("previous_symbol"),
        "stated_by_release": pl.col("identified_by").list.contains("release"),
        "only_shared_antibodies": pl.col("only_shared_antibodies"),
        "only_shared_groups": pl.col("only_shared_groups"),
        **suspects,
    }
    return pl.concat_list([pl.when(found).then(pl.lit(flag)) for flag, found in holds.items()]).list.drop_nulls()
