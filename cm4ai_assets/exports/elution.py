"""Elution profiles of a release, a replicate at a time: protein group by fraction, missing apart from zero.

Belongs here: which replicates there are, and the matrix of one. Does not belong here: the forms that tools want
(`secms_matrix`, `single_cell`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.exports.provenance import files_behind
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.names import safe_names
from cm4ai_assets.updates.credit import credit

TABLES: Final = ("secms_proteins", "secms_profiles")
"""A condition is exported where it has both."""

_KEYS: Final = ("condition", "replicate_id", "quantity_kind")
_GROUP: Final = ("protein_group", "occurrence")
# Columns that differ between fractions, not between protein groups.
_OF_FRACTION: Final = ("fraction", "run", "fraction_mass", "standard_fraction")


@dataclass(frozen=True)
class Elution:
    """One replicate.

    Attributes:
        proteins: Rows of `secms_proteins`, sorted by protein group and occurrence.
        fractions: A row a measured fraction, in their order: `fraction`, `run`, `fraction_mass`, `standard_fraction`.
        quantities: float64, (protein group, fraction); NaN where nothing was quantified.
        interpolated: Where the producer filled a value in; None where the table does not say.
    """

    proteins: pl.DataFrame
    fractions: pl.DataFrame
    quantities: npt.NDArray[np.float64]
    interpolated: npt.NDArray[np.bool_] | None

    @cached_property
    def names(self) -> list[str]:
        """A name for each row, none twice: the protein group; of a repeated one, with its number behind `#`."""
        rows = self.proteins.select(_GROUP).iter_rows()
        return [f"{group}#{occurrence}" if occurrence else group for group, occurrence in rows]

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return int(np.isnan(self.quantities).sum())

    @property
    def zeros(self) -> int:
        """How many values were published as zero."""
        return int((self.quantities == 0).sum())


@dataclass(frozen=True)
class Replicate:
    """Where a replicate stands. `name` is a safe name of a file, none twice in a release.

    `groups` and `columns` are how many protein groups and fractions it has.
    """

    release: Release
    condition: str
    replicate_id: str
    quantity_kind: str
    cell_line: str | None
    cell_type: str | None
    number: int | None
    name: str
    groups: int
    columns: int

    @property
    def experiment(self) -> tuple[str, str, str]:
        """Cells and kind of number: what may be compared with each other."""
        return (self.cell_line or "unknown", self.cell_type or "unknown", self.quantity_kind)

    def described(self) -> dict[str, Any]:
        """Everything about it but the release, without what is not known."""
        stated = {name: getattr(self, name) for name in (*_KEYS, "cell_line", "cell_type")} | {"replicate": self.number}
        return {name: value for name, value in stated.items() if value is not None}

    def fractions(self) -> pl.DataFrame:
        """The measured fractions, in their order."""
        return self._rows("secms_profiles").select(_OF_FRACTION).unique("fraction").sort("fraction").collect()

    def read(self) -> Elution:
        """The matrix, in memory: some 5 MB."""
        proteins = self._rows("secms_proteins").sort(_GROUP).collect()
        fractions = self.fractions()
        rows = proteins.select(_GROUP).with_row_index("row")
        columns = fractions.select("fraction").with_row_index("column")
        wanted = self._rows("secms_profiles").select(*_GROUP, "fraction", "quantity", "interpolated")
        values = wanted.join(rows.lazy(), on=_GROUP).join(columns.lazy(), on="fraction").collect()
        shape, place = (proteins.height, fractions.height), (values["row"].to_numpy(), values["column"].to_numpy())
        quantities = np.full(shape, np.nan)
        quantities[place] = values["quantity"].to_numpy()
        interpolated = None
        if values["interpolated"].null_count() < values.height:
            interpolated = np.zeros(shape, np.bool_)
            interpolated[place] = values["interpolated"].fill_null(value=False).to_numpy()
        return Elution(proteins, fractions, quantities, interpolated)

    def _rows(self, table: str) -> pl.LazyFrame:
        own = [pl.col(name) == getattr(self, name) for name in _KEYS]
        return self.release.table(table).filter(own)


def replicates_of(release: Release, conditions: Iterable[Condition]) -> list[Replicate]:
    """The replicates of some conditions, by cells, condition and number.

    Raises:
        NotMaterializedError: One has no protein group, or no fraction.
    """
    wanted = pl.col("condition").is_in([str(c) for c in conditions])
    stated, measured = (release.table(table).filter(wanted) for table in TABLES)
    groups = stated.group_by(_KEYS).agg(groups=pl.len()).collect()
    fractions = measured.group_by(_KEYS).agg(columns=pl.col("fraction").n_unique()).collect()
    _require_both(release, groups, fractions)
    columns = (*_KEYS, "cell_line", "cell_type", "replicate")
    rows = stated.select(columns).unique().sort("cell_line", "cell_type", "quantity_kind", *columns).collect()
    rows = rows.join(groups, on=_KEYS, maintain_order="left").join(fractions, on=_KEYS, maintain_order="left")
    several = rows["replicate_id"].is_duplicated()
    labels = [
        f"{row['replicate_id']}_{row['quantity_kind']}" if twice else row["replicate_id"]
        for row, twice in zip(rows.iter_rows(named=True), several, strict=True)
    ]
    names = safe_names([(number, "", label) for number, label in enumerate(labels)])
    return [
        Replicate(
            release,
            **{name: row[name] for name in (*_KEYS, "cell_line", "cell_type", "groups", "columns")},
            number=row["replicate"],
            name=names[index].replace("/", "-"),
        )
        for index, row in enumerate(rows.iter_rows(named=True))
    ]


def _require_both(release: Release, stated: pl.DataFrame, measured: pl.DataFrame) -> None:
    """See that the two tables have the same replicates: what one alone has would be an empty matrix, or be dropped."""
    for table, other, own, others in zip(TABLES, reversed(TABLES), (stated, measured), (measured, stated), strict=True):
        lonely = own.join(others, on=_KEYS, how="anti").sort(_KEYS)
        for one in lonely.head(1).iter_rows(named=True):
            raise NotMaterializedError(
                f"Replicate {one['replicate_id']} of {one['condition']} of {release.key} has rows in {table}, and none"
                f" in {other}.",
                remedy=f"Run `cm4ai materialize --release {release.key} --condition {one['condition']}"
                f" --select +{other}`.",
            )


def elution_sources(replicates: Sequence[Replicate]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """The files behind some replicates, each as a JSON object, and their credits, a condition each."""
    release = replicates[0].release
    sources, credits_ = list[dict[str, Any]](), list[dict[str, str]]()
    for condition in dict.fromkeys(one.condition for one in replicates):
        rows = release.table("secms_proteins").filter(pl.col("condition") == condition)
        origin = rows.select("source_file_id", "source_sha256", "source_file").unique().collect()
        sources += [{"condition": condition, **source} for source in files_behind(release, origin)]
        credits_.append(credit(release.store, "secms_profiles", Partition(release.key, condition), origin))
    return sources, credits_
