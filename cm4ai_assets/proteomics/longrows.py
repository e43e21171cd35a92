"""From the rows of a long table to its replicates: what each is of, and its profiles as a matrix.

Labels that no rule knows leave the sample unknown and flagged. Does not belong here: reading the tables (`longtables`).
"""

from __future__ import annotations

import re

import polars as pl

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.proteomics.columns import flag_list
from cm4ai_assets.proteomics.elution import EXTRAS, NOT_STATED, Elution, Marks
from cm4ai_assets.proteomics.groups import alternatives, group_flags, members
from cm4ai_assets.proteomics.names import labelled_sample
from cm4ai_assets.proteomics.problems import SEVERAL_RUNS, Defect, Defects
from cm4ai_assets.proteomics.rows import IDENTIFIERS, Replicate
from cm4ai_assets.vocabulary import QuantityKind

__all__ = ["EXTRAS", "by_labels", "replicate_of", "series_of"]

_SERIES = re.compile(r"_F\d{1,3}(?:[_.].*)?$")
_GROUP_FLAGS = {"negative": "negative_quantity", "non_numeric": "non_numeric_quantity", "bad_mark": "unreadable_mark"}


def series_of(name: str) -> str:
    """The name of a run or sample without its fraction: what it is of.

    >>> series_of("Parental_Rep1_F07")
    'Parental_Rep1'
    """
    return _SERIES.sub("", name)


def by_labels(rows: pl.DataFrame, labels: list[str]) -> list[tuple[tuple[str, ...], pl.DataFrame]]:
    """The rows of each replicate, with its distinct labels.

    Labels that name single fractions (Parental_Rep1_F07) belong to one replicate: a fraction is taken off first.
    """
    keys = [pl.col(name).fill_null("").str.replace(_SERIES.pattern, "") for name in labels]
    parts = rows.with_columns(key.alias(f"_{name}") for key, name in zip(keys, labels, strict=True)).partition_by(
        [*(f"_{name}" for name in labels), "replicate"], maintain_order=True, as_dict=True, include_key=False
    )
    return [
        (tuple(str(label) for label in key[:-1]), part.with_columns(pl.lit(key[-1]).cast(pl.Int16).alias("replicate")))
        for key, part in parts.items()
    ]


def replicate_of(
    rows: pl.DataFrame, labels: tuple[str, ...], file: str, context: str, defects: Defects, *, kind: QuantityKind
) -> Replicate:
    """One replicate from its rows.

    Args:
        rows: `protein_group`, `fraction`, `quantity`, `interpolated`, `run`, `gene`, `replicate`, those of EXTRAS, and
            whether something is wrong with the row: `negative`, `non_numeric`, `bad_mark`.
        labels: What the rows say of their sample.
        file: The table's name.
        context: Where it was found.
        defects: Those of the file.
        kind: What its quantities are.
    """
    rows = rows.with_columns(
        pl.int_range(pl.len()).over("protein_group", "fraction").cast(pl.Int16).alias("occurrence")
    )
    groups = rows.group_by("protein_group", "occurrence", maintain_order=True).agg(
        pl.col("gene").drop_nulls().unique(maintain_order=True),
        *(pl.col(name).fill_null(value=False).any() for name in _GROUP_FLAGS),
    ).with_row_index("row")  # fmt: skip
    placed = rows.join(groups.select("row", "protein_group", "occurrence"), on=["protein_group", "occurrence"])
    fractions = np.unique(rows["fraction"].to_numpy())
    at = (placed["row"].to_numpy(), np.searchsorted(fractions, placed["fraction"].to_numpy()))
    shape = (groups.height, len(fractions))
    run_of = _runs(rows, file, defects)
    number = rows["replicate"][0]
    names = (*labels, *sorted({series_of(run) for run in rows["run"].drop_nulls().unique()}))
    sample = labelled_sample(names, number, f"{context} {file}")
    stem = re.sub(r"\.(?:csv|tsv)(?:\.gz)?$", "", file.rsplit("/", 1)[-1])
    elution = Elution(
        replicate_id=sample.identity("_".join([stem, *filter(None, labels), *([str(number)] if number else [])])),
        sample=sample,
        groups=groups.select("protein_group", "occurrence"),
        fractions=fractions.astype(np.int16),
        runs=tuple(run_of[fraction] for fraction in fractions.tolist()),
        quantities=_matrix(placed["quantity"], at, shape),
        interpolated=_marks(placed["interpolated"], at, shape),
        quantity_kind=kind,
        extras={name: _matrix(placed[name], at, shape) for name in EXTRAS if placed[name].count()},
    )
    return Replicate(elution, _identifiers(groups), file, defects)


def _runs(rows: pl.DataFrame, file: str, defects: Defects) -> dict[int, str | None]:
    """The run of each fraction; None where there are several, of which none is the one."""
    runs = rows.group_by("fraction").agg(pl.col("run").drop_nulls().unique().sort()).sort("fraction")
    several = runs.filter(pl.col("run").list.len() > 1)
    for fraction, names in several.iter_rows():
        detail = f"fraction {fraction} has {len(names)} runs in one replicate, {names[0]} and {names[1]}: none is named"
        defects.add(Defect(SEVERAL_RUNS, file, 1, "Run", detail))
    return {fraction: names[0] if len(names) == 1 else None for fraction, names in runs.iter_rows()}


def _matrix(
    values: pl.Series, at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], shape: tuple[int, int]
) -> npt.NDArray[np.float64]:
    matrix = np.full(shape, np.nan)
    matrix[at] = values.fill_null(np.nan).to_numpy()
    return matrix


def _marks(
    values: pl.Series, at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], shape: tuple[int, int]
) -> Marks | None:
    """Which values were filled in; what has no row of its own was not."""
    if not values.count():
        return None
    marks = np.zeros(shape, dtype=np.int8)
    marks[at] = values.cast(pl.Int8).fill_null(NOT_STATED).to_numpy()
    return marks


def _identifiers(groups: pl.DataFrame) -> pl.DataFrame:
    symbols = pl.col("gene").list.join(";").str.split(";")
    split = groups.with_columns(
        members("protein_group").alias("members"),
        pl.when(pl.col("gene").list.len() > 0).then(symbols).alias("gene_symbols"),
    )
    count = pl.col("gene_symbols").list.len()
    flags = {
        "duplicate_group": pl.col("occurrence") > 0,
        **{flag: pl.col(name) for name, flag in _GROUP_FLAGS.items()},
        "id_count_mismatch": (count > 1) & (count != pl.col("members").list.len()),
        **group_flags("protein_group"),
    }
    return split.select(
        "members",
        alternatives("protein_group").alias("alternatives"),
        "gene_symbols",
        *(pl.lit(None, pl.List(pl.String)).alias(name) for name in IDENTIFIERS if name != "gene_symbols"),
        pl.lit(None, pl.String).alias("group_label"),
        pl.lit(None, pl.Int64).alias("source_line"),
        flag_list(flags),
    )
