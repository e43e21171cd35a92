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
from cm4ai_assets.integration.mapping import bundled_mapping
from cm4ai_assets.integration.naming import TARGETS, GeneNames
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.integration import SIDES
from cm4ai_assets.updates.availability import require_conditions

Names = str | Sequence[str] | None
DEFAULT_SCHEME: Final = "protein"

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
        gene: Symbol, Ensembl gene id or UniProt accession, in any case; of antibodies with several genes any. Published
            under another of its names, the gene is found by the bundled mapping: see `integration.naming`.
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
            SelectionError: No field has such a name; the message offers the nearest ones. A list of names is empty.
        """
        known = fields["antibody_id"].drop_nulls().unique()
        antibodies = [
            _known(name, known, "No field shows the antibody {}.").lower() for name in named("antibody", self.antibody)
        ]
        typed = [plate_name(name) or name for name in named("plate", self.plate)]
        plates = [_known(name, fields["plate"].unique(), "No field is of the plate {}.") for name in typed]
        there = (fields.filter(pl.col("plate").is_in(plates)) if plates else fields)["well"].unique()
        typed = [well_name(name) or name for name in named("well", self.well)]
        wells = [_known(name, there, f"No field{_of(plates)} is of the well {{}}.") for name in typed]
        is_named = self.antibody is not None or self.well is not None
        criteria = [
            pl.lit(value=True) if is_named else ~_is_control(),
            _any_of(plates, pl.col("plate").is_in),
            _any_of(wells, pl.col("well").is_in),
            _any_of(antibodies, pl.col("antibody_id").str.to_lowercase().is_in),
        ]
        return _of_genes(fields, named("gene", self.gene)).filter(pl.all_horizontal(criteria).fill_null(value=False))


def select(
    release: Tables,
    criteria: Criteria,
    *,
    condition: Names = None,
    with_controls: bool = False,
    split: str | None = None,
    scheme: str = DEFAULT_SCHEME,
    stored_only: bool = True,
) -> pl.DataFrame:
    """The fields that meet every criterion, sorted by condition and tensor index: see `access.Release.fields`."""
    conditions = list(dict.fromkeys(str(condition_of(name)) for name in named("condition", condition)))
    fields = _labelled(release, conditions)
    sides = _sides(release, scheme, is_asked=split is not None or scheme != DEFAULT_SCHEME)
    every = (
        fields.with_columns(split=pl.lit(None, pl.String())) if sides is None
        else fields.join(sides, on=["condition", "field_id"], how="left", maintain_order="left")
    )  # fmt: skip
    own = criteria.chosen(every)
    if conditions:
        own = own.filter(pl.col("condition").is_in(conditions))
    if split is not None:  # a side that is empty, as in a release of few proteins, is an answer
        (asked,) = named("split", split, most=1)
        split = _known(asked, SIDES, "There is no split {}.")
        require_sides(release, own, scheme)
        own = own.filter(pl.col("split") == split)
    if with_controls:
        own = pl.concat([own, _controls_of(own, every, split)]).unique("field_id", maintain_order=True)
    if stored_only:
        own = own.filter(pl.col("tensor_index").is_not_null())
    return own.sort("condition", "tensor_index", "field_id", nulls_last=True).select(COLUMNS)


def require_sides(release: Tables, fields: pl.DataFrame, scheme: str) -> None:
    """Refuse splits that are older than the fields: a field that they do not know is on no side, and nobody said why.

    A release without splits passes: it puts no field on any side.

    Raises:
        NotMaterializedError: The table of splits has no row of some of the fields.
    """
    sides = _sides(release, scheme, is_asked=False)
    unknown = fields.clear() if sides is None else fields.join(sides, on=["condition", "field_id"], how="anti")
    if not unknown.is_empty():
        conditions = ", ".join(sorted(unknown["condition"].unique()))
        raise NotMaterializedError(
            f"The splits of {release.key} are older than its fields: {unknown.height:,} fields of {conditions} are not"
            " in them.",
            remedy=f"Run `cm4ai materialize --release {release.key} --select splits`.",
        )


def _of_genes(fields: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    if not names:
        return fields
    genes = GeneNames(fields, bundled_mapping())
    targets = pl.concat([genes.targets_of(name) for name in names])
    return fields.join(targets, on=TARGETS, how="semi", maintain_order="left")


def _any_of(wanted: list[str], criterion: Callable[[list[str]], pl.Expr]) -> pl.Expr:
    return criterion(wanted) if wanted else pl.lit(value=True)


def _labelled(release: Tables, conditions: Sequence[str]) -> pl.DataFrame:
    """Every field of the release, with its flags.

    A condition that is asked for and not published is an error; so is one without quality, asked for or taken with all,
    whose fields would look flawless. Of fields without pixels there is no quality.
    """
    fields = release.table("if_fields").rename({"ensembl_gene_ids": "genes"}).collect()
    require_conditions(release.store, "if_fields", release.key, fields, conditions)
    quality = release.table("if_quality").drop("histogram").collect()
    measured = fields.filter(pl.col("tensor_index").is_not_null())["condition"].unique(maintain_order=True)
    wanted = [condition for condition in measured if not conditions or condition in conditions]
    require_conditions(release.store, "if_quality", release.key, quality, wanted)
    joined = fields.join(quality_flags(quality), on=["condition", "field_id"], how="left", maintain_order="left")
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


def _sides(release: Tables, scheme: str, *, is_asked: bool) -> pl.DataFrame | None:
    """Condition, field, and the side that a scheme gives it; None where there are no splits and none are asked."""
    try:
        splits = release.table("splits")
    except NotMaterializedError:
        if is_asked:
            raise
        return None
    known = splits.select("scheme").unique().collect()["scheme"]
    own = splits.filter(pl.col("scheme") == _known(scheme, known, "Splits have no scheme {}."))
    return own.select("condition", "field_id", "split").collect()


def _controls_of(own: pl.DataFrame, every: pl.DataFrame, split: str | None) -> pl.DataFrame:
    """The same-plate controls of some fields; with a split, not those that the scheme gives to another one."""
    controls = every.filter(_is_control()).join(own, on=["condition", "plate"], how="semi", maintain_order="left")
    return controls if split is None else controls.filter(pl.col("split").is_null() | (pl.col("split") == split))


def _is_control() -> pl.Expr:
    """Null, where the antibody is not known, is no control."""
    return pl.col("is_control").fill_null(value=False)


def _of(plates: Sequence[str]) -> str:
    return f" of {', '.join(plates)}" if plates else ""


def _known(wanted: str, known: Iterable[str], sentence: str) -> str:
    """A name as it is spelled among those that are known, whatever case it was typed in."""
    spelled = {name.casefold(): name for name in known}
    if wanted.casefold() not in spelled:
        raise SelectionError(sentence.format(repr(wanted)), remedy=nearest(wanted, spelled.values()))
    return spelled[wanted.casefold()]


def named(what: str, names: Names, *, most: int | None = None) -> list[str]:
    """The names of one criterion, each without blanks around it; none where nothing was asked.

    Raises:
        SelectionError: They are an empty list, something else than text, or more than `most`.
    """
    if names is None:
        return []
    listed = list(names) if isinstance(names, Iterable) and not isinstance(names, str) else [names]
    if not listed:
        raise SelectionError(f"{what} is an empty list, which chooses nothing.", remedy="Leave it out to choose all.")
    if wrong := [name for name in listed if not isinstance(name, str | int)]:
        raise SelectionError(f"{what} is {wrong[0]!r}, which is no name.", remedy="Give a name, or a list of names.")
    if most is not None and len(listed) > most:
        raise SelectionError(
            f"{what} is {len(listed)} names, and only one can be asked for at once.", remedy="Ask for one."
        )
    return [str(name).strip() for name in listed]
