"""What a report shows of proteins and genes: coverage over all modalities, SEC-MS, AP-MS, Perturb-seq."""

from __future__ import annotations

import polars as pl

from cm4ai_assets.drawing import PNG
from cm4ai_assets.integration.pictures import upset
from cm4ai_assets.integration.summaries import coverage as coverage_by_measure
from cm4ai_assets.integration.summaries import not_published, overlaps
from cm4ai_assets.perturbseq import target_pictures
from cm4ai_assets.perturbseq.archive_pictures import channel_map
from cm4ai_assets.perturbseq.overview import overview_of
from cm4ai_assets.perturbseq.screen_pictures import guides_per_cell
from cm4ai_assets.proteomics.pictures import window_chart
from cm4ai_assets.proteomics.summaries import per_bait, per_deposit, per_replicate
from cm4ai_assets.publication.blocks import Block, Facts, Figure, Note, Section, Text, table_of
from cm4ai_assets.publication.report.subject import Subject, absent, absent_conditions
from cm4ai_assets.tables.integration import MODALITIES, PROTEINS
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import APMS_INTERACTIONS, APMS_RUNS, MASSIVE_FILES, SECMS_PROTEINS
from cm4ai_assets.tables.screen import CELLRANGER_METRICS, GUIDE_LIBRARY, PERTURB_CELLS
from cm4ai_assets.tables.targets import PERTURB_TARGETS
from cm4ai_assets.vocabulary import MODALITY_NAMES

_ROWS = 20


def coverage(subject: Subject) -> Section:
    """Which genes and proteins are measured by what."""
    rows = subject.frame(PROTEINS.name)
    title = "Coverage across modalities"
    if rows is None:
        return absent(subject, title, PROTEINS.name)
    everywhere = rows.filter(pl.all_horizontal(f"has_{one}" for one in MODALITIES))
    figure = Figure(
        upset(rows), PNG,
        "Bars for each combination of modalities, the largest first, with how many genes each modality has in all",
        "Genes and proteins by the modalities that measure them; the table below has the numbers.",
    )  # fmt: skip
    named = everywhere.select("symbol", "gene", "uniprot_ids", "antibodies")
    common = [table_of(named.sort("symbol"), "Measured by every modality", shown=_ROWS)] if everywhere.height else []
    return Section(
        title,
        (
            figure,
            *_unknown(rows),
            table_of(_by_combination(rows), "Genes and proteins by combination of modalities", shown=_ROWS),
            table_of(coverage_by_measure(rows), "Coverage by measure and condition", shown=40, absent="-"),
            *common,
            *([] if everywhere.height else [Text("No gene is measured by every modality.")]),
        ),
    )


def _unknown(proteins: pl.DataFrame) -> list[Block]:
    names = [MODALITY_NAMES[one] for one in not_published(proteins)]
    sentence = f"Of {' and '.join(names)} no table is published here: which genes it covers is not known, and not none."
    return [Note(sentence)] if names else []


def _by_combination(proteins: pl.DataFrame) -> pl.DataFrame:
    return overlaps(proteins).rename({str(one): name for one, name in MODALITY_NAMES.items()})


def secms(subject: Subject) -> Section:
    """Protein groups and windows of each replicate."""
    conditions = subject.conditions_of(SECMS_PROTEINS.name)
    if not conditions:
        return absent(subject, "SEC-MS", SECMS_PROTEINS.name)
    blocks: list[Block] = []
    for condition in conditions:
        rows = subject.part(SECMS_PROTEINS.name, condition)
        if rows is None or rows.is_empty():
            continue
        blocks += [
            table_of(per_replicate(rows), f"SEC-MS of {condition}: replicates", shown=40),
            Figure(window_chart(rows), PNG, f"Fractions across, a bar for each replicate of {condition}",
                   f"SEC-MS of {condition}: the fractions that each replicate was measured in."),
        ]  # fmt: skip
    intro = Text("Size-exclusion chromatography with mass spectrometry: how much of each protein elutes where.")
    return Section("SEC-MS", (intro, *blocks, *absent_conditions(subject, SECMS_PROTEINS.name)))


def apms(subject: Subject) -> Section:
    """Baits and preys, runs, deposits."""
    blocks: list[Block] = []
    pairs, runs = subject.frame(APMS_INTERACTIONS.name), subject.frame(APMS_RUNS.name)
    if pairs is None:
        blocks.append(Text(subject.why_not(APMS_INTERACTIONS.name)))
    else:
        by = per_bait(pairs.select("bait_symbol", "bfdr"))
        numbers = [("baits", by.height), ("preys", pairs["prey"].n_unique()), ("bait-prey pairs", pairs.height)]
        blocks += [Facts(numbers), table_of(by.sort("bait_symbol"), "AP-MS baits, all conditions", shown=_ROWS)]
    if runs is None:
        blocks.append(Text(subject.why_not(APMS_RUNS.name)))
    else:
        counts = runs.group_by("condition", "accession", "role").agg(
            pl.len().alias("runs"), (~pl.col("qc_passed")).sum().alias("failed quality control")
        )
        counts = counts.sort("condition", "accession", "role", nulls_last=True)
        blocks.append(table_of(counts, "AP-MS runs by condition and deposit", shown=_ROWS))
    return Section("AP-MS", (*blocks, *_deposits(subject)))


def _deposits(subject: Subject) -> list[Block]:
    files = subject.frame(MASSIVE_FILES.name)
    if files is None:
        return [Text(subject.why_not(MASSIVE_FILES.name))]
    return [
        table_of(
            per_deposit(files).rename({"license": "licence"}), "MassIVE deposits that the release names", shown=_ROWS
        )
    ]


def perturbseq(subject: Subject) -> Section:
    """The screen: targets, cells, library, runs."""
    blocks: list[Block] = [*_targets(subject), *_cells(subject), *_runs(subject)]
    files = subject.frame(FIGSHARE_FILES.name)
    if files is not None and files.height:
        shown = files.select("label", "role", "size", "access", "embargo_until", licence="license").sort("label")
        blocks.append(table_of(shown, "Files of the Figshare article", shown=_ROWS))
    names = (PERTURB_TARGETS, PERTURB_CELLS, GUIDE_LIBRARY, CELLRANGER_METRICS, SRA_RUNS, FIGSHARE_FILES)
    there = {one.name for one in subject.delivery}
    reasons = dict.fromkeys(subject.why_not(one.name) for one in names if one.name not in there)
    return Section("Perturb-seq", (*blocks, *(Text(reason) for reason in reasons)))


def _targets(subject: Subject) -> list[Block]:
    rows = subject.frame(PERTURB_TARGETS.name)
    if rows is None or rows.is_empty():
        return []
    shown = ["target", "n_cells", "n_guides", "knockdown", "knockdown_low", "knockdown_high", "n_responding"]
    best = rows.sort("n_responding", "target", descending=[True, False], nulls_last=True).select(shown)
    return [
        Facts([
            ("targets", rows.height),
            ("targets without cells", rows.filter(pl.col("n_cells") == 0).height),
            ("control cells", int(rows.filter("is_control")["n_cells"].sum())),
        ]),
        Figure(target_pictures.waterfall(rows), PNG, "A bar for each target: its knock-down, the strongest first",
               "Knock-down of every target with cells."),
        table_of(best, "Targets with the most responding genes", shown=_ROWS),
    ]  # fmt: skip


def _cells(subject: Subject) -> list[Block]:
    if not any(one.name == PERTURB_CELLS.name for one in subject.delivery):
        return []
    overview = overview_of(subject.release.table(PERTURB_CELLS.name))
    numbers = Facts([("cells", overview.cells), ("cells of controls alone", overview.controls)])
    figure = Figure(guides_per_cell(overview), PNG, "Bars: cells by the number of guides called in them",
                    "Guides called in a cell.")  # fmt: skip
    return [numbers, figure]


def _runs(subject: Subject) -> list[Block]:
    runs = subject.frame(SRA_RUNS.name)
    if runs is None or runs.is_empty():
        return []
    counts = runs.group_by("access", "embargo_until").agg(pl.len().alias("runs"))
    table = table_of(counts.sort("access", "embargo_until", nulls_last=True), "Sequencing runs by access", shown=_ROWS)
    figure = Figure(channel_map(runs), PNG, "A grid of channels: which libraries are listed, and which are public",
                    "Sequencing runs by channel and library.")  # fmt: skip
    return [table, figure]
