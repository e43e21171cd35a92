"""Choosing fields of view by what they show and where they come from, with every label joined.

Belongs here: what a name means to the reader who types it, which fields it chooses, and the controls that belong to
them. Does not belong here: how fields are put together (`images.fields`), how splits are made, or reading pixels.

A **same-plate control** of a field is a field of a well without primary antibody (label NEGATIVE), on the same plate
and of the same condition: the same staining run, camera settings and treatment, without the protein. Its green plane
shows the background; its other three planes are stained like any. A plate without such a well has no control.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl

from cm4ai_assets.conditions import condition_of
from cm4ai_assets.errors import NotMaterializedError, SelectionError, nearest
from cm4ai_assets.images.findings import out_of_focus
from cm4ai_assets.images.names import plate_name, well_name
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.integration import SIDES
from cm4ai_assets.updates.availability import missing

Names = str | Sequence[str] | None

GENE_COLUMNS: Final = ("gene_symbols", "genes", "uniprot_ids")
COLUMNS: Final = (
    "release", "condition", "field_id", "tensor_index", "antibody_id", "is_control", *("genes", "gene_symbols"),
    "uniprot_ids", "plate", "well", "well_row", "well_column", "region", "z", "flags", "split",
)  # fmt: skip
"""Columns of the frame: those of `if_fields`, where `genes` are its Ensembl ids; `flags`, `split`."""


class Tables(Protocol):
    """A release, as far as choosing fields needs one."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def store(self) -> Store:
        """Where its tables stand."""

    def table(self, name: str) -> pl.LazyFrame:
        """A table, all published conditions together."""


@dataclass(frozen=True)
class Criteria:
    """Which fields are meant. Criteria hold together; several names of one criterion are alternatives.

    Attributes:
        gene: Symbol in any case, Ensembl gene id, or UniProt accession; of antibodies with several genes any.
        antibody: HPA or CAB id, or the label of a control such as NEGATIVE; in any case.
        plate: Plate as `B2AI_1` or `1`.
        well: Well as `A1` or `A01`.
    """

    gene: Names = None
    antibody: Names = None
    plate: Names = None
    well: Names = None

    def chosen(self, fields: pl.DataFrame) -> pl.DataFrame:
        """The fields that meet every criterion; wells without primary antibody only where they are named.

        Args:
            fields: Rows with the columns of `COLUMNS` that the criteria are about.

        Raises:
            SelectionError: No field has such a name; the message offers the nearest ones.
        """
        plates = [plate_name(wanted) or wanted for wanted in _listed(self.plate)]
        wells = [well_name(wanted) or wanted for wanted in _listed(self.well)]
        for wanted in _listed(self.gene):
            _require(wanted, _gene_names(fields), "No antibody is against the gene {}.")
        for wanted in _listed(self.antibody):
            _require(wanted, fields["antibody_id"].drop_nulls().unique(), "No field shows the antibody {}.")
        for wanted in plates:
            _require(wanted, fields["plate"].unique(), "No field is of the plate {}.")
        on_plates = fields.filter(pl.col("plate").is_in(plates)) if plates else fields
        for wanted in wells:
            _require(wanted, on_plates["well"].unique(), f"No field{_of(plates)} is of the well {{}}.")
        is_named = self.antibody is not None or self.well is not None
        criteria = [
            pl.lit(value=True) if is_named else ~_is_control(),
            _any_of(plates, pl.col("plate").is_in),
            _any_of(wells, pl.col("well").is_in),
            _any_of(_folded(self.antibody), pl.col("antibody_id").str.to_lowercase().is_in),
            _any_of(_folded(self.gene), _names_gene),
        ]
        return fields.filter(pl.all_horizontal(criteria).fill_null(value=False))


def select(
    release: Tables,
    criteria: Criteria,
    *,
    condition: Names = None,
    with_controls: bool = False,
    split: str | None = None,
    scheme: str = "protein",
    stored_only: bool = True,
) -> pl.DataFrame:
    """The fields that meet every criterion, sorted by condition and tensor index: see `access.Release.fields`."""
    conditions = _conditions(condition)
    every = _with_split(_labelled(release, conditions), release, scheme, split)
    own = criteria.chosen(every)
    if conditions:
        own = own.filter(pl.col("condition").is_in(conditions))
    if split is not None:
        own = own.filter(pl.col("split") == split)
    if with_controls:
        own = pl.concat([own, _controls_of(own, every, split)]).unique("field_id", maintain_order=True)
    if stored_only:
        own = own.filter(pl.col("tensor_index").is_not_null())
    return own.sort("condition", "tensor_index", "field_id", nulls_last=True).select(COLUMNS)


def _names_gene(wanted: list[str]) -> pl.Expr:
    found = [
        pl.col(column).list.eval(pl.element().str.to_lowercase().is_in(wanted)).list.any() for column in GENE_COLUMNS
    ]
    return pl.any_horizontal(found)


def _any_of(wanted: list[str], criterion: Callable[[list[str]], pl.Expr]) -> pl.Expr:
    return criterion(wanted) if wanted else pl.lit(value=True)


def _labelled(release: Tables, conditions: Sequence[str]) -> pl.DataFrame:
    """Every field of the release, with its flags. A condition that is asked for and not published is an error."""
    fields = release.table("if_fields").rename({"ensembl_gene_ids": "genes"}).collect()
    for condition in conditions:
        if condition not in fields["condition"]:
            raise missing(release.store, "if_fields", release.key, condition_of(condition))
    quality = quality_flags(release.table("if_quality").drop("histogram").collect())
    joined = fields.join(quality, on=["condition", "field_id"], how="left", maintain_order="left")
    return joined.with_columns(flags=pl.concat_list("defects", pl.col("flags").fill_null([])))


def quality_flags(quality: pl.DataFrame) -> pl.DataFrame:
    """Of fields of which something is wrong: `condition`, `field_id`, and `flags` such as `empty_green`.

    `empty_`, `saturated_` and `blurred_`, followed by the channel, as the checks `not_empty`, `not_saturated` and
    `in_focus` judge; but an empty green plane, which may be a protein that is not there, is flagged here too.
    """
    blurred = [out_of_focus(own) for own in quality.partition_by("condition")] or [quality.clear()]
    judged = {
        "empty": quality.filter("is_empty"),
        "saturated": quality.filter("is_saturated"),
        "blurred": pl.concat(blurred, how="vertical"),
    }
    flagged = [
        rows.select("condition", "field_id", flags=pl.lit(f"{what}_") + pl.col("channel"))
        for what, rows in judged.items()
    ]
    return pl.concat(flagged).group_by("condition", "field_id", maintain_order=True).agg("flags")


def _with_split(fields: pl.DataFrame, release: Tables, scheme: str, split: str | None) -> pl.DataFrame:
    """The fields with the side that a scheme gives them; null where it gives none, or the release has no splits."""
    try:
        splits = release.table("splits")
    except NotMaterializedError:
        if split is not None:
            raise
        return fields.with_columns(split=pl.lit(None, pl.String()))
    _require(scheme, splits.select("scheme").unique().collect()["scheme"], "Splits have no scheme {}.")
    own = splits.filter(pl.col("scheme") == scheme).select("condition", "field_id", "split").collect()
    if split is not None:  # a side that is empty, as in a release of few proteins, is an answer
        _require(split, SIDES, "There is no split {}.")
    return fields.join(own, on=["condition", "field_id"], how="left", maintain_order="left")


def _controls_of(own: pl.DataFrame, every: pl.DataFrame, split: str | None) -> pl.DataFrame:
    """The same-plate controls of some fields; with a split, not those that the scheme gives to another one."""
    controls = every.filter(_is_control()).join(own, on=["condition", "plate"], how="semi", maintain_order="left")
    return controls if split is None else controls.filter(pl.col("split").is_null() | (pl.col("split") == split))


def _is_control() -> pl.Expr:
    """Null, where the antibody is not known, is no control."""
    return pl.col("is_control").fill_null(value=False)


def _conditions(names: Names) -> list[str]:
    return list(dict.fromkeys(str(condition_of(name)) for name in _listed(names)))


def _gene_names(fields: pl.DataFrame) -> pl.Series:
    return pl.concat([fields[column].explode().drop_nulls() for column in GENE_COLUMNS]).unique()


def _of(plates: Sequence[str]) -> str:
    return f" of {', '.join(plates)}" if plates else ""


def _require(wanted: str, known: Iterable[str], sentence: str) -> None:
    names = list(known)
    if wanted.casefold() not in {name.casefold() for name in names}:
        raise SelectionError(sentence.format(repr(wanted)), remedy=nearest(wanted, names))


def _listed(names: Names) -> list[str]:
    return [] if names is None else [names.strip()] if isinstance(names, str) else [str(name).strip() for name in names]


def _folded(names: Names) -> list[str]:
    return [name.lower() for name in _listed(names)]
