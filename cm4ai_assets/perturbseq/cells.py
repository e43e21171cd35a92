"""The cells of a published h5ad as rows of `perturb_cells`, a stretch at a time.

Belongs here: which columns of obs mean what, and what is wrong with a cell. Does not belong here: how a column is
encoded (`columns`), how cells are grouped for profiles (`groups`), and what the checks say (`cell_findings`).

Memory: the names of all cells (about 50 bytes each), the categories, and one stretch of rows. Columns that no rule
knows are kept as text, name beside value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from cm4ai_assets.heavy import np
from cm4ai_assets.perturbseq import channels, guide_names
from cm4ai_assets.perturbseq.h5ad import ROWS, H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adEncodingError
from cm4ai_assets.perturbseq.overview import Overview, overview_of
from cm4ai_assets.tables.screen import PERTURB_CELLS

REQUIRED: Final = ("gRNA", "gene_target")
# Column of obs (the authors' pipeline, and scanpy's statistics) to column of the table, for values that stay as they
# are; the others are read below.
TEXTS: Final = {
    "gRNA": "published_guides",
    "gene_target": "target",
    "batch": "batch",
    "channel": "published_channel",
    "celltype": "cell_type",
    "perturbation_type": "perturbation_type",
    "treatment": "treatment",
}
NUMBERS: Final = {
    "n_UMI_counts": "umi_count",
    "n_genes": "genes_detected",
    "total_counts": "total_counts",
    "pct_counts_mt": "mitochondrial_percent",
    "target_knockdown": "target_knockdown",
}
LISTS: Final = ("n_gRNA_UMIs", "gene_target_ensembl_id")
KNOWN: Final = (*TEXTS, *NUMBERS, *LISTS, "n_gRNA", "perturbed")

_COUNTS: Final = ("umi_count", "genes_detected", "total_counts")
_BARCODE: Final = r"^([ACGTN]{16})(?:-([0-9]{1,9}))?$"
_TRUE, _FALSE = ("True", "true", "TRUE", "1"), ("False", "false", "FALSE", "0")
_NO_UMIS: Final = ("-1", "", "nan", "None")
_OTHERS: Final = next(column.dtype for column in PERTURB_CELLS.own_columns if column.name == "others")


class MissingColumnsError(H5adEncodingError):
    """The table of cells lacks what makes it one of a Perturb-seq screen."""


@dataclass
class CellsRead:
    """What reading found: filled as stretches are read.

    Attributes:
        missing: Known columns that the file does not have.
        unknown: Columns that no rule knows; they are kept as text.
        unreadable: Columns that could not be read, and why; they are kept by name.
        overviews: Counts of each stretch.
        rows: Rows given out.
        stated: Rows that the file states.
        defects: How many rows have each defect.
        has_library: Whether guides were held against a library.
    """

    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    overviews: list[Overview] = field(default_factory=list)
    rows: int = 0
    stated: int = 0
    defects: Counter[str] = field(default_factory=Counter)
    has_library: bool = False


def read_cells(
    h5ad: H5ad, found: CellsRead, *, guides: pl.Series | None = None, rows: int = ROWS
) -> Iterator[pl.DataFrame]:
    """The cells, in stretches of so many rows, as `perturb_cells` has them without the release.

    Args:
        h5ad: The open file; its matrix is not read.
        found: What is noted on the way.
        guides: The guides of the library in their normal form; None if there is none to hold cells against.
        rows: Rows of a stretch.

    Raises:
        MissingColumnsError: obs lacks `gRNA` or `gene_target`.
        H5adError: A column that is needed cannot be read, or any is damaged.
    """
    with h5ad.reading():
        obs, present = h5ad.obs, _readable(h5ad, found)
        index = obs.index()
        twice = index.is_duplicated() if index.is_duplicated().any() else None
        found.stated, found.has_library = obs.height, guides is not None
        for start, stop in obs.stretches(rows):
            frame = obs.read(present, start, stop).with_columns(
                index[start:stop].alias(_CELL),
                pl.int_range(start, stop, eager=True).alias(_ROW),
                (pl.lit(value=False) if twice is None else twice[start:stop]).alias(_TWICE),
            )
            typed = _typed(frame, found)
            cells = _with_defects(typed, guides).select([column.name for column in PERTURB_CELLS.own_columns])
            found.rows += cells.height
            found.overviews.append(overview_of(cells.lazy()))
            found.defects.update(cells["defects"].explode(empty_as_null=False).to_list())
            yield cells


# Names that no published column has.
_CELL, _ROW, _TWICE = "\0cell", "\0row", "\0twice"


def _readable(h5ad: H5ad, found: CellsRead) -> list[str]:
    """The columns that can be read; the others are noted."""
    names = h5ad.obs.names
    if lacking := [name for name in REQUIRED if name not in names]:
        raise MissingColumnsError(
            f"{h5ad.label} has no column {' and '.join(lacking)} in obs: it names no guides of its cells. It has "
            f"{', '.join(names[:20]) or 'no columns'}.",
            remedy="Name the file of the screen's cells.",
        )
    found.missing = [name for name in KNOWN if name not in names]
    readable = []
    for name in names:
        try:
            h5ad.obs.column(name)
        except H5adEncodingError as error:
            if name in REQUIRED:
                raise
            found.unreadable[name] = str(error)
            continue
        readable.append(name)
    found.unknown = [name for name in readable if name not in KNOWN]
    return readable


def _typed(frame: pl.DataFrame, found: CellsRead) -> pl.DataFrame:
    """The columns of the table, all but the defects."""
    have = set(frame.columns)
    nothing = pl.lit(None, pl.String)

    def text(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String) if name in have else nothing

    def numeric(name: str) -> pl.Expr:
        value = pl.col(name).cast(pl.Float64, strict=False) if name in have else pl.lit(None, pl.Float64)
        return value.fill_nan(None)

    flag = text("perturbed")
    called = text("gRNA")
    guides = pl.when(~called.is_in(guide_names.NO_CALL)).then(called.str.split(guide_names.SEPARATOR))
    umis = text("n_gRNA_UMIs")
    ids = text("gene_target_ensembl_id")
    listed = frame.with_columns(guides.list.eval(guide_names.normal(pl.element())).alias("guides"))
    return listed.select(
        pl.col(_ROW).cast(pl.Int64).alias("row"),
        pl.col(_CELL).alias("cell"),
        pl.col(_CELL).str.extract(_BARCODE, 1).alias("barcode"),
        pl.col(_CELL).str.extract(_BARCODE, 2).cast(pl.Int32, strict=False).alias("gem_group"),
        pl.col("guides"),
        pl.col("guides").list.eval(guide_names.symbol(pl.element())).list.unique(maintain_order=True).alias("targets"),
        numeric("n_gRNA").cast(pl.Int32, strict=False).alias("guide_count"),
        pl.when(~umis.is_in(_NO_UMIS))
        .then(umis.str.split(guide_names.SEPARATOR).list.eval(pl.element().cast(pl.Int64, strict=False)))
        .alias("guide_umis"),
        pl.when(~ids.is_in(("", "nan", "None"))).then(ids.str.split(guide_names.SEPARATOR)).alias("target_ensembl"),
        pl.when(flag.is_in(_TRUE)).then(statement=True).when(flag.is_in(_FALSE)).then(statement=False)
        .alias("is_perturbed"),
        *(text(name).alias(own) for name, own in TEXTS.items() if own != "target"),
        pl.when(text("gene_target") != "").then(text("gene_target")).alias("target"),
        *(numeric(name).alias(own) for name, own in NUMBERS.items()),
        _others(frame, found),
        # What a column holds that is no number, or a flag that is none, is no missing value.
        *(_lost(name, numeric(name), have).alias(f"\0lost {own}") for name, own in NUMBERS.items()),
        (umis.is_not_null() & ~umis.is_in(_NO_UMIS)).alias("\0has umis"),
        (flag.is_not_null() & ~flag.is_in((*_TRUE, *_FALSE))).alias("\0odd flag"),
        pl.col(_TWICE),
    ).with_columns(
        pl.col("targets").list.eval(pl.element() == guide_names.CONTROL).list.all().alias("is_control"),
        *channels.columns("published_channel"),
    )  # fmt: skip


def _others(frame: pl.DataFrame, found: CellsRead) -> pl.Series:
    """The columns that no rule knows, as text with their names; one that could not be read has its name and no value.

    Made of one long column, which takes a tenth of the time of lists that are put together row by row.
    """
    names, rows = [*found.unknown, *found.unreadable], frame.height
    if not names or not rows:
        return pl.Series("others", [[]] * rows, _OTHERS)
    nothing = pl.Series("value", [None] * rows, pl.String)
    values = pl.concat([frame[one].cast(pl.String).alias("value") if one in frame else nothing for one in names])
    by_cell = (np.arange(rows)[:, None] + np.arange(len(names)) * rows).ravel()
    labels = pl.Series("name", names, pl.String).gather(np.tile(np.arange(len(names)), rows))
    pairs = pl.DataFrame([labels, values.gather(by_cell)]).to_struct("others")
    return pairs.reshape((rows, len(names))).arr.to_list()


def _lost(name: str, value: pl.Expr, have: set[str]) -> pl.Expr:
    """A count that is stated and is no number. A missing knock-down is none: controls have no target."""
    if name not in have or NUMBERS[name] not in _COUNTS:
        return pl.lit(value=False)
    return value.is_null() | ~value.is_finite()


def _with_defects(frame: pl.DataFrame, library: pl.Series | None) -> pl.DataFrame:
    guides, several = pl.col("guides"), pl.col("guides").list.len() > 1
    counts = [pl.col(name) < 0 for name in _COUNTS] + [pl.col(f"\0lost {name}") for name in _COUNTS]
    unknown = pl.lit(value=False)
    if library is not None:
        unknown = ~guides.list.eval(pl.element().is_in(library.implode())).list.all()
    well_formed = guides.list.eval(guide_names.is_well_formed(pl.element())).list.all()
    umis = pl.col("guide_umis")
    found = {
        "duplicate_cell": pl.col(_TWICE),
        "bad_barcode": pl.col("barcode").is_null(),
        "no_guide": guides.is_null(),
        "bad_guide": ~well_formed,
        "unknown_guide": unknown & well_formed,
        "guide_count_disagrees": pl.col("guide_count") != guides.list.len().fill_null(0),
        "umis_disagree": pl.col("\0has umis")
        & (
            (umis.list.len() != guides.list.len().fill_null(0))
            | umis.list.eval(pl.element().is_null() | (pl.element() < 0)).list.any()
        ),
        "no_target": pl.col("target").is_null() & guides.is_not_null(),
        "target_disagrees": pl.when(several)
        .then((pl.col("target") != pl.col("published_guides")) & (pl.col("target") != pl.col("targets").list.join("|")))
        .otherwise(pl.col("target") != pl.col("targets").list.first()),
        "perturbed_disagrees": pl.col("\0odd flag") | (pl.col("is_perturbed") == pl.col("is_control")),
        "unknown_channel": pl.col("published_channel").is_not_null() & pl.col("gem_channel").is_null(),
        "batch_disagrees": pl.col("batch").str.to_uppercase() != pl.col("gem_channel").str.extract("^([A-Z]+)-"),
        "bad_count": pl.any_horizontal(counts),
        "more_genes_than_counts": pl.col("genes_detected") > pl.col("umi_count"),
    }
    flags = [pl.when(fault.fill_null(value=False)).then(pl.lit(defect)) for defect, fault in found.items()]
    return frame.with_columns(pl.concat_list(flags).list.drop_nulls().alias("defects"))
