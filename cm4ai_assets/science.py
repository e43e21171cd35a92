"""What a run made, in sentences of the science, counted in the published tables.

Belongs here: a sentence for each subject, and its counts. Does not belong here: which runs there are
(`defs.launching`), and where the sentences are printed (`demo`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import DOCUMENTS, Table
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET, USAGE_METRICS
from cm4ai_assets.tables.effects import IF_EFFECTS
from cm4ai_assets.tables.images import IF_FIELDS
from cm4ai_assets.tables.integration import PROTEINS, SPLITS
from cm4ai_assets.tables.perturbseq import SRA_RUNS
from cm4ai_assets.tables.proteomics import APMS_RUNS, MASSIVE_FILES, SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets.tables.release import RELEASE_CHANGES, RELEASE_FILES
from cm4ai_assets.tables.screen import CELLRANGER_METRICS, GUIDE_LIBRARY, PERTURB_CELLS
from cm4ai_assets.tables.targets import PERTURB_TARGETS

Read = Callable[[Table], pl.DataFrame]
"""A table of the partition that the sentence is about."""


def sentences(store: Store, partition: Partition, made: Sequence[str]) -> Iterator[str]:
    """What the tables and documents that a run made say, in the order of the platform.

    Args:
        store: Where they are published.
        partition: Of the run.
        made: Names of the assets that it made.
    """

    def read(table: Table) -> pl.DataFrame:
        return store.table(table.name, partition).collect()

    yield from (say(read) for name, say in _SAYINGS.items() if name in made)
    for document in DOCUMENTS:
        if document.name in made:
            files = len(store.document(document, partition).files)
            yield f"{_DESCRIBED.get(document.name, document.name)}, in {files} {_plural('file', files)}"


def _files(read: Read) -> str:
    access = read(RELEASE_FILES)["access"].value_counts().sort("access").rows()
    states = ", ".join(f"{count} {state}" for state, count in access)
    return f"Every published file locked by id, size and digest: {states}"


def _changes(read: Read) -> str:
    changes = read(RELEASE_CHANGES)["change"].value_counts().sort("count", descending=True).rows()
    counts = ", ".join(f"{count} {_plural('file', count)} {change}" for change, count in changes)
    return f"Against the release before: {counts}"


def _massive(read: Read) -> str:
    files = read(MASSIVE_FILES).filter(~pl.col("is_folder"))
    deposits = files["accession"].n_unique()
    return f"{files.height:,} files listed in {deposits} deposits of mass spectrometry, not fetched"


def _sra(read: Read) -> str:
    runs = read(SRA_RUNS)
    return f"{runs['run'].n_unique()} sequencing runs of {runs['gem_channel'].n_unique()} channels located, not fetched"


def _guides(read: Read) -> str:
    guides = read(GUIDE_LIBRARY)
    genes = guides.filter(~pl.col("is_control"))["symbol"].n_unique()
    return f"{guides.height} CRISPR guides against {genes} genes, {guides['is_control'].sum()} of them controls"


def _channels(read: Read) -> str:
    return f"{read(CELLRANGER_METRICS).height} sequencing statistics of the channels"


def _fields(read: Read) -> str:
    fields = read(IF_FIELDS)
    decoded, flagged = fields["tensor_index"].count(), fields.filter(pl.col("defects").list.len() > 0).height
    antibodies = fields.filter(~pl.col("is_control"))["antibody_id"].n_unique()
    return (
        f"{decoded} of {fields.height} fields of view decoded exactly, 4 channels each, of {antibodies} antibodies in "
        f"{fields['well'].n_unique()} wells; {flagged} damaged or doubtful {_plural('one', flagged)} flagged"
    )


def _cells(read: Read) -> str:
    cells = read(IF_CELLS)
    if cells.is_empty():
        return "No nucleus found"
    odd, area = cells.filter(~pl.col("plausible")).height, cells.select(pl.median("area")).item()
    return f"{cells.height:,} nuclei found and measured, median area {area:,.0f} pixels; {odd} not plausible"


def _apms(read: Read) -> str:
    runs = read(APMS_RUNS)
    baits = runs["bait_symbol"].drop_nulls().n_unique()
    failed = runs.filter(~pl.col("qc_passed")).height
    return f"{runs.height} runs of affinity purification with {baits} baits; {failed} failed their quality control"


def _elution(read: Read) -> str:
    profiles, groups = read(SECMS_PROFILES), read(SECMS_PROTEINS)
    return (
        f"Elution profiles of {groups['protein_group'].n_unique():,} protein groups in "
        f"{profiles['fraction'].n_unique()} fractions, {groups['replicate'].n_unique()} replicates"
    )


def _screen(read: Read) -> str:
    cells = read(PERTURB_CELLS)
    several = cells.filter(pl.col("targets").list.len() > 1).height
    return (
        f"{cells.height:,} cells of the CRISPR screen: {cells['is_control'].sum()} controls, "
        f"{several} with guides against several genes"
    )


def _targets(read: Read) -> str:
    targets = read(PERTURB_TARGETS).filter(~pl.col("is_control"))
    measured, down = targets.select(pl.count("knockdown"), pl.median("knockdown").alias("median")).row(0)
    knock_down = f"median knock-down of {measured} of them {down:.0%}" if measured else "no knock-down measured"
    return f"Expression profiles of {targets.height} perturbed genes; {knock_down}"


def _crates(read: Read) -> str:
    entities = read(CRATE_ENTITIES)
    return (
        f"{entities.height:,} entities and {read(CRATE_EDGES).height:,} links of {entities['crate_file'].n_unique()} "
        "RO-Crates read, and held against the archive"
    )


def _datasheet(read: Read) -> str:
    found = read(RELEASE_DATASHEET)
    return f"{found.height:,} statements of {found['source'].n_unique()} datasheets and crates"


def _usage(read: Read) -> str:
    return f"Views, downloads and citations of {read(USAGE_METRICS)['doi'].n_unique()} datasets"


def _proteins(read: Read) -> str:
    genes = read(PROTEINS)
    by = {
        "imaged": "has_if",
        "in elution profiles": "has_secms",
        "in purifications": "has_apms",
        "perturbed": "has_perturbseq",
    }
    counts = ", ".join(f"{genes[column].sum()} {what}" for what, column in by.items())
    several = genes.filter(pl.sum_horizontal(list(by.values())) > 1).height
    return f"{genes.height} genes and proteins under one identity: {counts}; {several} by more than one method"


def _splits(read: Read) -> str:
    splits = read(SPLITS)
    return f"{splits['scheme'].n_unique()} ways to split {splits['field_id'].n_unique()} fields for training"


def _effects(read: Read) -> str:
    effects = read(IF_EFFECTS)
    tested = effects["q"].count()
    return (
        f"{effects.height} effects of treatments on {effects['antibody_id'].n_unique()} antibodies estimated; "
        f"{tested} with wells enough for a test, {effects['is_significant'].sum()} significant"
    )


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


_SAYINGS: dict[str, Callable[[Read], str]] = {
    RELEASE_FILES.name: _files,
    RELEASE_CHANGES.name: _changes,
    MASSIVE_FILES.name: _massive,
    SRA_RUNS.name: _sra,
    GUIDE_LIBRARY.name: _guides,
    CELLRANGER_METRICS.name: _channels,
    IF_FIELDS.name: _fields,
    IF_CELLS.name: _cells,
    APMS_RUNS.name: _apms,
    SECMS_PROTEINS.name: _elution,
    PERTURB_CELLS.name: _screen,
    PERTURB_TARGETS.name: _targets,
    CRATE_ENTITIES.name: _crates,
    RELEASE_DATASHEET.name: _datasheet,
    USAGE_METRICS.name: _usage,
    PROTEINS.name: _proteins,
    SPLITS.name: _splits,
    IF_EFFECTS.name: _effects,
}
_DESCRIBED = {
    "croissant": "Every table described for machine learning in Croissant, and read back",
    "datasheet_report": "A report for colleagues, with its pictures",
    "derived_crate": "An RO-Crate with the run behind every file",
    "platform_status": "The state of everything on one page",
    "ai_readiness": "A scorecard of readiness for AI, graded by evidence",
}
