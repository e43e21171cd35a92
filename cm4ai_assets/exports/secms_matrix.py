"""SEC-MS as the protein by fraction matrices that PCprophet and CCprofiler load.

    {cells}/{replicate}/{replicate}_pcprophet.txt               columns GN, ID, then fractions
    {cells}/{replicate}/{replicate}_pcprophet_gene_name.txt     the same with gene_name, protein_id
    {cells}/{replicate}/{replicate}_ccprofiler.tsv              protein_id, then a column a file name
    {cells}/{replicate}/{replicate}_ccprofiler_fractions.tsv    filename, fraction_number
    {cells}/{replicate}/{replicate}.json                        what it is, how much is missing, what was left out
    {cells}/sample_ids.txt, sample_ids_gene_name.txt            the samples, as PCprophet takes them

What the tools ask was read in their sources (docs/decisions/0029):

- PCprophet (`validate_input.py`, `generate_complexes.py`) refuses an empty cell, an empty or repeated gene name, and
  compares columns by their position. So missing is 0 there, and only fractions that all replicates have are written.
- CCprofiler (`importPCPdata.R`) takes 0 for missing, refuses a repeated protein, finds file names by searching one in
  another, and wants rows in the order of bytes. So file names are of one length, and each replicate has all of its own
  fractions, by their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import SelectionError
from cm4ai_assets.exports.coverage import SECMS, of_conditions
from cm4ai_assets.exports.elution import TABLES, Elution, Replicate, elution_sources, replicates_of
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick, as_json, of_bytes, sentences
from cm4ai_assets.exports.provenance import digests_of
from cm4ai_assets.heavy import np

# Published versions of PCprophet ask for the first pair of columns, its newest source for the second.
GENE_COLUMNS: Final = {"": ("GN", "ID"), "_gene_name": ("gene_name", "protein_id")}
_TEXT: Final = 20  # bytes of a value at most, nearly always: 17 digits, point, sign, tab
_CONTROL: Final = "Ctrl"
_TREATED: Final = tuple(condition for condition in Condition if condition is not Condition.UNTREATED)
_READ: Final = """## How to read it
A folder holds replicates of the same cells, which may be compared. PCprophet:

    cd {experiment} && python3 PCPROPHET/main.py -db PCPROPHET/coreComplexes.txt -sid sample_ids.txt

`PCPROPHET` stands for the whole path of its folder. It reads the table of CORUM that comes with it first, and by itself
looks for that in the folder where it is started, so `-db` has to name it: `coreComplexes.txt` beside `main.py`; its
newest source calls it `meta/corum_allComplexes.txt`.

Its published versions ask for the columns `GN` and `ID`; its newest source asks for `gene_name` and `protein_id`:
there, take `sample_ids_gene_name.txt`. CCprofiler, in R:

    traces <- importPCPdata(input_data = "{experiment}/{name}/{name}_ccprofiler.tsv",
                            fraction_annotation = "{experiment}/{name}/{name}_ccprofiler_fractions.tsv")
"""
_NOTES: Final = """
Missing is written as 0, because both tools take 0 for missing: PCprophet refuses an empty cell, and CCprofiler fills
with 0 itself. How many values were missing, and how many were published as 0, stands in the JSON file of each
replicate. The format anndata keeps the two apart.
Fractions have the numbers of their runs. PCprophet compares columns by position: it gets the fractions that all
replicates of a folder have. CCprofiler goes by number: it gets all fractions of a replicate.
A gene name is the published symbol; of groups with several symbols all of them, joined by `;`; the protein group
itself where no symbol is published.
Of several groups with one gene name PCprophet gets the one with the largest total. The others, and repeated groups,
are named in the JSON file of each replicate.
Values that the producer filled in (interpolated) are kept as published.
Untreated cells are PCprophet's control (`Ctrl`, group 1). Unasked, its newest source leaves out the differential
analysis where all samples are controls, and nowhere else.
"""


@dataclass(frozen=True)
class _Experiment:
    """Replicates that may be compared."""

    folder: str
    replicates: tuple[Replicate, ...]

    @cached_property
    def common(self) -> list[int]:
        """The fractions that every replicate has, ascending."""
        windows = [set(one.fractions()["fraction"]) for one in self.replicates]
        return sorted(set.intersection(*windows))


def plan(job: Job) -> Plan:
    """The export of some conditions: see the module.

    Raises:
        SelectionError: Replicates that would be compared have no fraction in common.
    """
    replicates = replicates_of(job.release, job.selection.conditions_of(job.release, *TABLES))
    sources, credits_ = elution_sources(replicates)
    experiments = _experiments(replicates)
    first = experiments[0]
    return Plan(
        identity={
            "format": "secms-matrix", "format_version": 1, "release": job.release.key,
            "selection": job.selection.stated(), "replicates": [one.described() for one in replicates],
            "sources": digests_of(sources),
        },
        parts=[_matrices(one, replicate) for one in experiments for replicate in one.replicates],
        closing=[part for one in experiments for part in _samples(one)],
        unit="replicates",
        sources=sources,
        credits=credits_,
        coverage=[of_conditions(job.release, job.selection, SECMS, TABLES, {one.condition for one in replicates})],
        counts={
            f"common_fractions_of_{one.folder}": f"{len(one.common)} (F{one.common[0]} to F{one.common[-1]})"
            for one in experiments
        },
        how_to_read=_READ.format(experiment=first.folder, name=first.replicates[0].name),
        notes=sentences(_NOTES),
        room=sum(one.groups * one.columns * (len(GENE_COLUMNS) + 1) * _TEXT for one in replicates),
    )  # fmt: skip


def _experiments(replicates: Sequence[Replicate]) -> list[_Experiment]:
    by_cells: dict[tuple[str, str, str], list[Replicate]] = {}
    for one in replicates:
        by_cells.setdefault(one.experiment, []).append(one)
    experiments = [_Experiment("_".join(cells), tuple(own)) for cells, own in by_cells.items()]
    for experiment in experiments:
        if not experiment.common:
            raise SelectionError(
                f"The replicates of {experiment.folder} have no fraction in common, by which PCprophet compares them.",
                remedy="Choose some of them with --condition, or take the format anndata, where each stands alone.",
            )
    return experiments


def _matrices(experiment: _Experiment, replicate: Replicate) -> Part:
    def write(path: Path, tick: Tick) -> None:
        path.mkdir()
        elution = replicate.read()
        left_out = list[dict[str, Any]]()
        for suffix, columns in GENE_COLUMNS.items():
            matrix, left_out = for_pcprophet(elution, experiment.common, columns)
            _write(matrix, path / names[f"pcprophet{suffix}"])
        _write(for_ccprofiler(elution), path / names["ccprofiler"])
        _write(fraction_annotation(elution), path / names["fractions"])
        stated = {
            **replicate.described(),
            "fractions": elution.fractions["fraction"].to_list(),
            "fractions_for_pcprophet": experiment.common,
            "missing": elution.missing,
            "zero": elution.zeros,
            "interpolated": None if elution.interpolated is None else int(elution.interpolated.sum()),
            "left_out": left_out,
        }
        (path / names["stated"]).write_bytes(as_json(stated))
        tick()

    names = {
        **{f"pcprophet{suffix}": f"{replicate.name}_pcprophet{suffix}.txt" for suffix in GENE_COLUMNS},
        "ccprofiler": f"{replicate.name}_ccprofiler.tsv",
        "fractions": f"{replicate.name}_ccprofiler_fractions.tsv",
        "stated": f"{replicate.name}.json",
    }
    return Part(f"{experiment.folder}/{replicate.name}", write, ticks=1, files=[*names.values()])


def for_pcprophet(
    elution: Elution, fractions: Sequence[int], columns: tuple[str, str]
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The matrix of one replicate, and the rows that the tool would refuse.

    Args:
        elution: The replicate.
        fractions: The fractions to write.
        columns: What the columns of gene name and protein are called.
    """
    named = elution.proteins.select(
        _gene_name().alias("gene"), "protein_group", "occurrence", pl.col("total").fill_null(0)
    ).with_row_index("row")
    # The tool folds case before it compares.
    ranked = named.with_columns(key=pl.col("gene").str.to_uppercase()).sort(
        "occurrence", "total", "protein_group", descending=[False, True, False]
    )
    kept = ranked.unique("key", keep="first", maintain_order=True).sort("row")
    others = ranked.join(kept, on="row", how="anti").join(
        kept.select("key", instead="protein_group"), on="key", how="left"
    )
    values = _without_nan(elution)[kept["row"].to_numpy()]
    places = [elution.fractions["fraction"].to_list().index(one) for one in fractions]
    numbers = {str(fraction): values[:, place] for fraction, place in zip(fractions, places, strict=True)}
    gene, protein = columns
    matrix = pl.DataFrame({gene: kept["gene"], protein: kept["protein_group"], **numbers})
    reasons = others.sort("row").select("protein_group", "occurrence", gene_name="gene", instead="instead")
    return matrix, reasons.to_dicts()


def _gene_name() -> pl.Expr:
    symbols = pl.col("gene_symbols").list.unique(maintain_order=True).list.join(";")
    return pl.when(symbols.str.len_chars() > 0).then(symbols).otherwise(pl.col("protein_group"))


def for_ccprofiler(elution: Elution) -> pl.DataFrame:
    """The matrix of one replicate: a row a protein group, in the order of bytes; of a repeated one the first."""
    first = elution.proteins.select("protein_group", "occurrence").with_row_index("row").filter(occurrence=0)
    rows = first.sort("protein_group")
    values = _without_nan(elution)[rows["row"].to_numpy()]
    files = fraction_annotation(elution)["filename"]
    return pl.DataFrame({"protein_id": rows["protein_group"], **{n: values[:, i] for i, n in enumerate(files)}})


def fraction_annotation(elution: Elution) -> pl.DataFrame:
    """Which column is which fraction. All names have one length, so that none is found within another."""
    fractions = elution.fractions["fraction"]
    return pl.DataFrame({"filename": [f"F{one:04d}" for one in fractions], "fraction_number": fractions})


def _without_nan(elution: Elution) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.nan_to_num(elution.quantities, nan=0.0)


def _samples(experiment: _Experiment) -> list[Part]:
    groups = {condition: number for number, condition in enumerate(_ordered(experiment), 1)}
    labels = {Condition.UNTREATED: _CONTROL} | {c: f"Treat{n}" for n, c in enumerate(_TREATED, 1)}
    parts = []
    for suffix in GENE_COLUMNS:
        rows = [
            {
                "Sample": f"./{one.name}/{one.name}_pcprophet{suffix}.txt",
                "cond": labels[Condition(one.condition)],
                "group": groups[one.condition],
                "short_id": one.name,
                "repl": one.number if one.number is not None else number,
                "fr": len(experiment.common),
            }
            for number, one in enumerate(experiment.replicates, 1)
        ]
        text = pl.DataFrame(rows).write_csv(separator="\t")
        parts.append(of_bytes(f"{experiment.folder}/sample_ids{suffix}.txt", text.encode()))
    return parts


def _ordered(experiment: _Experiment) -> list[str]:
    """The conditions of an experiment, the untreated first: the tool takes group 1 for the control."""
    found = {one.condition for one in experiment.replicates}
    return [str(one) for one in (Condition.UNTREATED, *_TREATED) if one == Condition.UNTREATED or one in found]


def _write(frame: pl.DataFrame, path: Path) -> None:
    path.write_bytes(frame.write_csv(separator="\t").encode())  # polars has no error of its own for a full disk
