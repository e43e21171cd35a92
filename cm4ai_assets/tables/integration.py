"""Tables over all modalities: which gene or protein is covered by what, and which fields train, validate and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.suspects import Suspect
from cm4ai_assets.tables.images import IF_FIELDS
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, SECMS_PROTEINS
from cm4ai_assets.tables.schema import Column, Rule, Table
from cm4ai_assets.tables.screen import GUIDE_LIBRARY
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets.vocabulary import Modality

SIDES = ("train", "validation", "test")

SPLIT_REASONS = (
    "control",  # it shows no protein: a reference for every side, on none
    "antibody_unknown",  # the manifest does not say which antibody it shows
    "gene_unknown",  # the antibody names no gene or protein
    "several_sides",  # the antibody has genes on different sides, or may have
    "linked_to_other_side",  # the antibody shares an id or a well with one of another side
    "also_on_test_plate",  # the antibody, or one with a gene in common, also stands on the plate that is held out
)

SPLITS = Table(
    name="splits",
    description="Which fields of view train, validate and test, under named schemes: by protein, in folds, with a "
    "condition or a plate held out. No gene, protein or antibody is on two sides.",
    partitioning=Partitioning.RELEASE,
    key=("scheme", "condition", "field_id"),
    own_columns=(
        Column("scheme", pl.String(), "protein; protein-5fold-0 to -4 (the fold that tests); condition-paclitaxel and "
               "the like (the condition that tests); plate-B2AI_1 and the like (the plate that tests)."),
        Column("condition", pl.String(), "Treatment condition.", allowed=CONDITIONS),
        Column("field_id", pl.String(), "Field of view, as in if_fields."),
        Column("antibody_id", pl.String(), "Its antibody; null if not known.", nullable=True),
        Column("plate", pl.String(), "Its plate."),
        Column("well", pl.String(), "Its well."),
        Column("group", pl.String(), "What stays together: the connected part of the graph of antibodies, genes, "
               "proteins and wells, by its smallest gene; `condition:` or `plate:` where that is held out. Null where "
               "there is no side.", nullable=True),
        Column("split", pl.String(), "Its side; null where it is on none.", nullable=True, allowed=SIDES),
        Column("reason", pl.String(), "Why it is on no side; null where it is on one.", nullable=True,
               allowed=SPLIT_REASONS),
        Column("scheme_version", pl.Int16(), "Version of the schemes: under one version a gene never changes sides."),
    ),
    rules=(
        Rule("side_or_reason", "a field is on a side, or says why not",
             lambda: pl.col("split").is_null() == pl.col("reason").is_not_null()),
        Rule("group_of_side", "a field on a side has a group, and no other",
             lambda: pl.col("split").is_null() == pl.col("group").is_null()),
        Rule("group_whole", "a group is on one side",
             lambda: pl.col("group").is_null() | (pl.col("split").n_unique().over("scheme", "group") == 1)),
    ),
    source="if_fields and if_antibodies of every condition, and the bundled mapping of identifiers",
)  # fmt: skip

MODALITIES = (Modality.IF, Modality.SECMS, Modality.APMS, Modality.PERTURBSEQ)
IDENTIFIED_BY = ("ensembl", "uniprot", "symbol", "previous_symbol", "release", "nothing")

PROTEIN_FLAGS = (
    "unmapped",  # the mapping has no gene of this id
    "ambiguous",  # the id may mean several genes: they are the candidates
    "alias_only",  # the symbol is no approved or previous one, but an alias: a hint, see the candidates
    "old_ensembl_id",  # an Ensembl id that the mapping does not have; its row also states ids of this gene
    "previous_symbol",  # published under a symbol that the gene no longer has
    "stated_by_release",  # only the release itself says that the ids belong together
    "only_shared_antibodies",  # every antibody against it binds other genes, too
    "only_shared_groups",  # every protein group with it has members of other genes, too
    *Suspect,
)


@dataclass(frozen=True)
class Measure:
    """What is counted of a gene or protein: a column for each condition, or one where it knows none."""

    name: str
    modality: Modality
    source: str
    description: str
    by_condition: bool = True

    @property
    def columns(self) -> dict[str | None, str]:
        """Condition to column; None to the one column of a measure without."""
        return {str(one): f"{self.name}_{one}" for one in CONDITIONS} if self.by_condition else {None: self.name}


MEASURES = (
    Measure("if_fields", Modality.IF, IF_FIELDS.name, "Fields of view of its antibodies that have images"),
    Measure("if_in_tensor", Modality.IF, IF_FIELDS.name, "Those that are in the tensor, with all four channels"),
    Measure("if_wells", Modality.IF, IF_FIELDS.name, "Wells of these fields"),
    Measure("if_plates", Modality.IF, IF_FIELDS.name, "Plates of these fields"),
    Measure("if_antibodies", Modality.IF, IF_FIELDS.name, "Antibodies of these fields"),
    Measure(
        "secms_replicates",
        Modality.SECMS,
        SECMS_PROTEINS.name,
        "SEC-MS replicates in which a group with it has a quantity",
    ),
    Measure(
        "secms_fractions",
        Modality.SECMS,
        SECMS_PROTEINS.name,
        "Fractions with a quantity, of the group and replicate with the most",
    ),
    Measure("secms_groups", Modality.SECMS, SECMS_PROTEINS.name, "Protein groups with it that have a quantity"),
    Measure(
        "apms_as_bait",
        Modality.APMS,
        APMS_INTERACTIONS.name,
        "Scored pairs of which it is the bait, each once, at any score",
    ),
    Measure(
        "apms_as_prey",
        Modality.APMS,
        APMS_INTERACTIONS.name,
        "Scored pairs of which it is the prey, each once, at any score",
    ),
    Measure("apms_bait_runs", Modality.APMS, APMS_RUNS.name, "Annotated raw runs of which it is the bait"),
    Measure(
        "perturb_guides",
        Modality.PERTURBSEQ,
        GUIDE_LIBRARY.name,
        "Guides against it in the library",
        by_condition=False,
    ),
    Measure(
        "perturb_cells", Modality.PERTURBSEQ, PERTURB_TARGETS.name, "Cells in which it is perturbed", by_condition=False
    ),
)


def _counts() -> Iterator[Column]:
    for measure in MEASURES:
        for condition, name in measure.columns.items():
            where = f", {condition}" if condition else ""
            yield Column(name, pl.Int32(), f"{measure.description}{where}; null where the release has no "
                         f"{measure.source} of it.", unit="count", nullable=True)  # fmt: skip


PROTEINS = Table(
    name="proteins",
    description="Every gene or protein that the release measures anywhere: its identifiers reconciled, what covers it "
    "in each modality and condition, and what is missing.",
    partitioning=Partitioning.RELEASE,
    key=("gene",),
    own_columns=(
        Column("gene", pl.String(), "Ensembl gene id (an HGNC id for genes without one); where none is known, the "
               "published id with its kind: uniprot:P62805, symbol:ABC1, id:CON__P00761."),
        Column("ensembl_gene_id", pl.String(), "Ensembl gene id; null if none is known.", nullable=True),
        Column("hgnc_id", pl.String(), "HGNC id; null if the mapping does not have the gene.", nullable=True),
        Column("symbol", pl.String(), "Approved symbol; where the mapping has none, as published.", nullable=True),
        Column("uniprot_ids", pl.List(pl.String()), "Accessions of its proteins by the mapping; where it has none, as "
               "published."),
        Column("isoforms", pl.List(pl.String()), "Isoforms of which the release names the number."),
        Column("published_ids", pl.List(pl.String()), "Every id and symbol under which the release names it."),
        Column("antibodies", pl.List(pl.String()), "Antibodies against it, of any condition."),
        Column("guides", pl.List(pl.String()), "Guides against it, as in guide_library."),
        Column("identified_by", pl.List(pl.String()), "What led from the published ids to the gene.",
               allowed=IDENTIFIED_BY),
        Column("candidates", pl.List(pl.String()), "Genes that an ambiguous id or an alias may mean; none is chosen."),
        Column("has_if", pl.Boolean(), "It has fields of view with images; null where no if_fields is published.",
               nullable=True),
        Column("has_secms", pl.Boolean(), "A protein group with it has a quantity; null where no secms_proteins is "
               "published.", nullable=True),
        Column("has_apms", pl.Boolean(), "It is bait or prey of a pair, or bait of a raw run; null where neither is "
               "published.", nullable=True),
        Column("has_perturbseq", pl.Boolean(), "It is perturbed in a cell; where cells are not known, it has guides; "
               "null where neither is published.", nullable=True),
        Column("missing", pl.List(pl.String()), "Modalities that the release has here, and not of this gene.",
               allowed=MODALITIES),
        *_counts(),
        Column("secms_cell_types", pl.List(pl.String()), "Cell types in which SEC-MS has a quantity of it."),
        Column("flags", pl.List(pl.String()), "What is to be known of the row; empty if nothing.",
               allowed=PROTEIN_FLAGS),
        Column("mapping_version", pl.String(), "Source and date of the mapping of identifiers."),
    ),
    rules=(
        Rule("measured_somewhere", "a gene is named by some table",
             lambda: pl.col("published_ids").list.len() > 0),
        Rule("in_tensor_of_fields", "no more fields are in the tensor than there are",
             lambda: pl.all_horizontal(pl.col(f"if_in_tensor_{one}") <= pl.col(f"if_fields_{one}")
                                       for one in CONDITIONS)),
        Rule("ensembl_is_gene", "an Ensembl id is the row's name",
             lambda: pl.col("ensembl_gene_id") == pl.col("gene")),
    ),
    source="if_fields, if_antibodies, secms_proteins, apms_interactions, apms_runs, guide_library and perturb_targets, "
    "those that are published, and the bundled mapping of identifiers",
)  # fmt: skip

TABLES: tuple[Table, ...] = (PROTEINS, SPLITS)
