"""Which fields of view train, validate and test a model, under several schemes, without a leak.

Belongs here: the schemes, and the rule of each. Does not belong here: the proof that nothing leaks (`leaks`), which
looks at the finished rows anew, and what antibodies bind (`targets`).

The rule (decision 0024): the side of a gene is a hash of its own name and of the scheme, and of nothing else. So it is
the same in every release, and stays when a release adds other genes. An antibody stands on the side of its genes. Where
they are on different sides it stands on none, and neither do its fields: whichever side it took, one of its genes would
be on both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import polars as pl

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.integration.mapping import GeneMapping
from cm4ai_assets.integration.targets import Targets, components, links, targets_by_antibody

Side = Literal["train", "validation", "test"]
Sides = Callable[[str], Side]  # the side of a unit; see `targets.Targets`

SIDES: Final[tuple[Side, ...]] = ("train", "validation", "test")
VERSION: Final = 1
"""Version of the schemes: another one may put genes on other sides."""
FOLDS: Final = 5
TEST, VALIDATION = 0.1, 0.1
"""Shares of the genes, in expectation; the rest trains."""


@dataclass(frozen=True)
class Scheme:
    """A named way of splitting.

    Attributes:
        name: Its name in the table: `protein`, `protein-5fold-0`, `condition-paclitaxel`, `plate-B2AI_1`.
        kind: What is held out: proteins, the proteins of one fold, a condition or a plate.
        held_out: The fold, condition or plate.
    """

    name: str
    kind: Literal["protein", "fold", "condition", "plate"]
    held_out: str = ""


def schemes_of(fields: pl.DataFrame) -> list[Scheme]:
    """The schemes that fields allow: a condition or a plate is held out only where there are others."""
    present = set(fields["condition"])
    conditions = [str(condition) for condition in CONDITIONS if str(condition) in present]
    plates = sorted(set(fields["plate"]))
    return [
        Scheme("protein", "protein"),
        *(Scheme(f"protein-{FOLDS}fold-{fold}", "fold", str(fold)) for fold in range(FOLDS)),
        *(Scheme(f"condition-{one}", "condition", one) for one in conditions if len(conditions) > 1),
        *(Scheme(f"plate-{one}", "plate", one) for one in plates if len(plates) > 1),
    ]


def split_rows(fields: pl.DataFrame, antibodies: pl.DataFrame, mapping: GeneMapping) -> pl.DataFrame:
    """The rows of `splits`: every field under every scheme, with its side, or why it has none.

    Args:
        fields: Rows of `if_fields`, of one condition or several.
        antibodies: Rows of `if_antibodies` of the same conditions.
        mapping: Which ids are one gene.
    """
    targets = targets_by_antibody(antibodies, mapping)
    graph = links(targets, fields)
    named = fields.select("condition", "field_id", "plate", "well", "antibody_id", "is_control")
    rows = [_rows(scheme, named, targets, graph) for scheme in schemes_of(fields)]
    return pl.concat(rows).sort("scheme", "condition", "field_id", maintain_order=True)


def _rows(scheme: Scheme, fields: pl.DataFrame, targets: Mapping[str, Targets], graph: pl.DataFrame) -> pl.DataFrame:
    placed = _placed(_sides_of(scheme), targets, graph)
    rows = fields.join(placed, on="antibody_id", how="left").with_columns(scheme=pl.lit(scheme.name))
    known = pl.col("antibody_id").is_in(list(targets))
    rows = rows.with_columns(
        reason=pl.when(pl.col("is_control").fill_null(value=False)).then(pl.lit("control"))
        .when(pl.col("antibody_id").is_null()).then(pl.lit("antibody_unknown"))
        .when(~known).then(pl.lit("gene_unknown"))
        .otherwise("reason"),
    )  # fmt: skip
    if scheme.kind == "condition":
        rows = _held_out_condition(rows, scheme.held_out)
    elif scheme.kind == "plate":
        rows = _held_out_plate(rows, scheme.held_out, graph)
    side = pl.when(pl.col("reason").is_null()).then("split")
    return rows.select(
        "scheme", "condition", "field_id", "antibody_id", "plate", "well",
        group=pl.when(pl.col("reason").is_null()).then("group"), split=side, reason="reason",
        scheme_version=pl.lit(VERSION, pl.Int16()),
    )  # fmt: skip


def _placed(sides: Sides, targets: Mapping[str, Targets], graph: pl.DataFrame) -> pl.DataFrame:
    """Antibody to its side and group, or the reason why it has none."""
    of_units = {antibody_id: sorted({sides(unit) for unit in one.units}) for antibody_id, one in targets.items()}
    antibodies = pl.DataFrame(
        [(name, found[0] if len(found) == 1 else None) for name, found in of_units.items()],
        schema={"antibody_id": pl.String(), "split": pl.String()},
        orient="row",
    )
    placed = graph.join(antibodies.filter(pl.col("split").is_not_null()), on="antibody_id")
    mixed = placed.filter(pl.col("split").n_unique().over("node") > 1)["antibody_id"].unique()
    whole = components(placed.filter(~pl.col("antibody_id").is_in(mixed.implode())))
    reason = (
        pl.when(pl.col("split").is_null()).then(pl.lit("several_sides"))
        .when(pl.col("antibody_id").is_in(mixed.implode())).then(pl.lit("linked_to_other_side"))
    )  # fmt: skip
    return antibodies.with_columns(reason=reason).join(whole, on="antibody_id", how="left")


def _held_out_condition(rows: pl.DataFrame, condition: str) -> pl.DataFrame:
    """All fields of the condition test. The side of their genes does not matter there."""
    out = pl.col("condition") == condition
    nobody = pl.col("reason").is_in(["several_sides", "linked_to_other_side"])
    return rows.with_columns(
        reason=pl.when(out & nobody).then(None).otherwise("reason"),
        split=pl.when(out).then(pl.lit("test")).otherwise("split"),
        group=pl.when(out).then(pl.lit(f"condition:{condition}")).otherwise("group"),
    )


def _held_out_plate(rows: pl.DataFrame, plate: str, graph: pl.DataFrame) -> pl.DataFrame:
    """All fields of the plate test. What is linked to its antibodies and stands on other plates is on no side."""
    out = pl.col("plate") == plate
    there = rows.filter(out)["antibody_id"].drop_nulls().unique()
    nodes = graph.filter(pl.col("antibody_id").is_in(there.implode()))["node"].unique()
    linked = graph.filter(pl.col("node").is_in(nodes.implode()))["antibody_id"].unique()
    nobody = pl.col("reason").is_in(["several_sides", "linked_to_other_side"])
    also = ~out & pl.col("antibody_id").is_in(linked.implode()) & (pl.col("reason").is_null() | nobody)
    return rows.with_columns(
        reason=pl.when(out & nobody).then(None).when(also).then(pl.lit("also_on_test_plate")).otherwise("reason"),
        split=pl.when(out).then(pl.lit("test")).otherwise("split"),
        group=pl.when(out).then(pl.lit(f"plate:{plate}")).otherwise("group"),
    )


def _sides_of(scheme: Scheme) -> Sides:
    if scheme.kind == "protein":
        return side_of
    if scheme.kind == "fold":
        return partial(_side_in_fold, fold=int(scheme.held_out))
    return _side_beside_held_out


# Of the first 40,000 salts, those under which the published plates are split most evenly, by fields and by plate, with
# the fewest antibodies on several sides: decision 0024. Other salts are another version of the schemes.
_PROTEIN_SALT: Final = 21764
_FOLD_SALT: Final = 17253


def side_of(unit: str, salt: int = _PROTEIN_SALT) -> Side:
    """The side of a gene under the scheme `protein`: in expectation a tenth tests, a tenth validates, the rest trains.

    >>> side_of("ENSG00000141510")
    'train'
    """
    place = position(f"protein/{salt}", unit)
    return "test" if place < TEST else "validation" if place < TEST + VALIDATION else "train"


def fold_of(unit: str, salt: int = _FOLD_SALT) -> int:
    """The fold of a gene under the schemes `protein-5fold-*`."""
    return int(FOLDS * position(f"fold/{salt}", unit))


def _side_in_fold(unit: str, *, fold: int) -> Side:
    """The fold itself tests, the next one validates."""
    own = fold_of(unit)
    return "test" if own == fold else "validation" if own == (fold + 1) % FOLDS else "train"


def _side_beside_held_out(unit: str) -> Side:
    """Where a condition or a plate tests, the genes that validate under `protein` validate, and all others train."""
    return "validation" if side_of(unit) == "validation" else "train"


def position(scheme: str, unit: str) -> float:
    """Where in 0 to 1 a name falls under a scheme: uniform, and always the same."""
    digest = hashlib.sha256(f"cm4ai/splits/v{VERSION}/{scheme}/{unit}".encode()).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def sides_of_genes(genes: Iterable[str], mapping: GeneMapping) -> dict[str, Side]:
    """The side of genes under the scheme `protein`, whether or not an antibody against them is published."""
    return {gene: side_of(mapping.unit(gene)) for gene in genes}
