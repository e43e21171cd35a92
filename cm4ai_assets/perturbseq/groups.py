"""Which cells belong together: by target, by guide, by batch; and how deeply each was sequenced by its own account.

Belongs here: what the pass over counts must know of the cells and genes before it starts. Does not belong here: the
table of the cells (`cells`), and the pass (`passes`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import polars as pl

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq.columns import Codes
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adEncodingError

TARGET_COLUMN: Final = "gene_target"
GUIDE_COLUMN: Final = "gRNA"
TARGET_ID_COLUMN: Final = "gene_target_ensembl_id"
GENE_ID_COLUMN: Final = "gene_ids"
BATCH_COLUMNS: Final = ("batch", "channel")
DEPTH_COLUMNS: Final = ("total_counts", "n_UMI_counts")
SEPARATOR: Final = "|"
CONTROL: Final = "NTC"

Ints: TypeAlias = "npt.NDArray[np.int32]"


@dataclass(frozen=True)
class Arm:
    """The cells of one guide alone: number of their target, name of the guide, how many they are."""

    target: int
    guide: str
    cells: int


@dataclass(frozen=True)
class Groups:
    """How the cells of a file are grouped.

    Attributes:
        targets: Names of the targets that have cells, sorted. The controls are one of them.
        empty: Targets that the file knows and no cell has, sorted.
        cells_of_several: Cells whose guides are against several targets; they belong to none.
        cells_of_none: Cells that name no target.
        control: Number of the controls among `targets`; -1 if there are none.
        arms: The guides, by target and name. Cells with several guides belong to none.
        batches: Names of the batches; empty text for cells that name none.
        genes: Symbols of the genes, as var has them.
        gene_ids: Ensembl ids of the genes; null where var has none.
        target_genes: For each target the place of its own gene; -1 where the matrix has it not.
        target_of_cell: int32; the number of targets for cells without one.
        arm_of_cell: int32; the number of arms for cells without one.
        batch_of_cell: int32.
    """

    targets: tuple[str, ...]
    empty: tuple[str, ...]
    cells_of_several: int
    cells_of_none: int
    control: int
    arms: tuple[Arm, ...]
    batches: tuple[str, ...]
    genes: tuple[str, ...]
    gene_ids: tuple[str | None, ...]
    target_genes: Ints
    target_of_cell: Ints
    arm_of_cell: Ints
    batch_of_cell: Ints

    @cached_property
    def cells(self) -> npt.NDArray[np.int64]:
        """Cells of each target and batch, shape (targets, batches)."""
        shape = (len(self.targets) + 1, len(self.batches))
        flat = self.target_of_cell.astype(np.int64) * shape[1] + self.batch_of_cell
        return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)[:-1]

    @cached_property
    def of_cells(self) -> Ints:
        """What the loop knows of each cell: its target, its guide, its target's own gene, its batch."""
        own = np.append(self.target_genes, np.int32(-1))[self.target_of_cell]
        return np.stack([self.target_of_cell, self.arm_of_cell, own, self.batch_of_cell], axis=1).astype(np.int32)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the grouping: equal digests, equal groups."""
        whole = hashlib.sha256(repr((self.targets, self.arms, self.batches, self.genes)).encode())
        whole.update(np.ascontiguousarray(self.of_cells).data)
        return whole.hexdigest()


def read_groups(h5ad: H5ad) -> Groups:
    """The groups of an h5ad's cells, from obs and var.

    Raises:
        H5adEncodingError: obs has no `gene_target` or no `gRNA`, or no cell names a target.
        H5adDamagedError: A column is damaged.
    """
    with h5ad.reading():
        target, guide = _codes(h5ad, TARGET_COLUMN), _codes(h5ad, GUIDE_COLUMN)
        batch, batches = _batches(h5ad)
        genes = tuple(h5ad.var.index().fill_null("").to_list())
        has_ids = GENE_ID_COLUMN in h5ad.var.names
        ids = h5ad.var.read([GENE_ID_COLUMN])[GENE_ID_COLUMN].cast(pl.String) if has_ids else None
        stated = _stated_ids(h5ad, target)
    names, of_cell, empty = _ordered(target)
    if not names:
        raise H5adEncodingError(
            f"{h5ad.label} has {target.numbers.size:,} cells, and none of them names a target in {TARGET_COLUMN}.",
            remedy="Name the file of the screen's cells.",
        )
    several = np.array([SEPARATOR in text and _one_of(text) is None for text in (*target.categories.to_list(), "")])
    n_several = int(several[target.numbers].sum())
    gene_ids = tuple(ids.to_list()) if ids is not None else (None,) * len(genes)
    arms, arm_of_cell = _arms(of_cell, guide, len(names))
    return Groups(
        targets=names,
        empty=empty,
        cells_of_several=n_several,
        cells_of_none=int((of_cell == len(names)).sum()) - n_several,
        control=names.index(CONTROL) if CONTROL in names else -1,
        arms=arms,
        batches=batches,
        genes=genes,
        gene_ids=gene_ids,
        target_genes=_own_genes(names, stated, genes, gene_ids),
        target_of_cell=of_cell,
        arm_of_cell=arm_of_cell,
        batch_of_cell=batch,
    )


def stated_depths(h5ad: H5ad) -> tuple[str, npt.NDArray[np.float64]] | None:
    """Counts of each cell as obs states them, and under which name: positive integers throughout; else None."""
    for name in DEPTH_COLUMNS:
        if name not in h5ad.obs.names:
            continue
        with h5ad.reading():
            column = h5ad.obs.read([name])[name]
        if not column.dtype.is_numeric() or column.null_count():
            continue
        depths = np.array(column.cast(pl.Float64).to_numpy())  # a copy that may be written: the loop is compiled once
        if np.isfinite(depths).all() and (depths > 0).all() and (depths == np.rint(depths)).all():
            return name, depths
    return None


def _codes(h5ad: H5ad, name: str) -> Codes:
    if name not in h5ad.obs.names:
        raise H5adEncodingError(
            f"{h5ad.label} has no column {name} in obs; it has {', '.join(h5ad.obs.names[:12])}.",
            remedy="Profiles need the guide and the target of each cell.",
        )
    return h5ad.obs.codes(name)


def _batches(h5ad: H5ad) -> tuple[Ints, tuple[str, ...]]:
    """The batch of each cell: the column, or what precedes the first hyphen of the channel."""
    name = next((one for one in BATCH_COLUMNS if one in h5ad.obs.names), None)
    if name is None:
        return np.zeros(h5ad.obs.height, np.int32), ("",)
    codes = h5ad.obs.codes(name)
    texts = [text.partition("-")[0] for text in codes.categories.fill_null("").to_list()]
    labels = np.array([*texts, ""], dtype=object)[codes.numbers]
    names = tuple(sorted(set(labels.tolist())))
    number = {text: place for place, text in enumerate(names)}
    of_category = np.array([number.get(text, 0) for text in (*texts, "")], dtype=np.int32)
    return of_category[codes.numbers], names


def _one_of(text: str | None) -> str | None:
    """The target that a text names, once or several times over; None if it names none, or several."""
    parts = set((text or "").split(SEPARATOR))
    return (parts.pop() or None) if len(parts) == 1 else None


def _ordered(target: Codes) -> tuple[tuple[str, ...], Ints, tuple[str, ...]]:
    """Targets with cells, sorted; the target of each cell; and targets without cells."""
    meant = [_one_of(text) for text in target.categories.to_list()]
    cells = np.bincount(target.numbers[target.numbers >= 0], minlength=len(meant))
    names = tuple(sorted({text for text, count in zip(meant, cells, strict=True) if text and count}))
    empty = tuple(sorted({text for text in meant if text} - set(names)))
    number = {text: place for place, text in enumerate(names)}
    of_category = [len(names) if text is None else number.get(text, len(names)) for text in (*meant, None)]
    return names, np.array(of_category, dtype=np.int32)[target.numbers], empty


def _arms(of_cell: Ints, guide: Codes, n_targets: int) -> tuple[tuple[Arm, ...], Ints]:
    """The pairs of a target and a guide that cells have, ordered, and the one of each cell."""
    texts = guide.categories.fill_null("").to_list()
    single = np.array([bool(text) and SEPARATOR not in text for text in (*texts, "")])
    place = np.argsort(np.argsort(np.array(texts, dtype=object), kind="stable"), kind="stable")
    rank = np.append(place.astype(np.int64), 0)[guide.numbers]
    key = of_cell.astype(np.int64) * max(len(texts), 1) + rank
    fit = single[guide.numbers] & (of_cell < n_targets)
    keys, number, cells = np.unique(key[fit], return_inverse=True, return_counts=True)
    ordered = sorted(texts)
    arms = tuple(
        Arm(int(one) // max(len(texts), 1), ordered[int(one) % max(len(texts), 1)], int(count))
        for one, count in zip(keys, cells, strict=True)
    )
    of_cells = np.full(len(of_cell), len(arms), np.int32)
    of_cells[fit] = number
    return arms, of_cells


def _stated_ids(h5ad: H5ad, target: Codes) -> dict[str, str]:
    """The Ensembl id that the cells of each target name, where they agree."""
    if TARGET_ID_COLUMN not in h5ad.obs.names:
        return {}
    ids = h5ad.obs.codes(TARGET_ID_COLUMN)
    both = (target.numbers >= 0) & (ids.numbers >= 0)
    pairs = np.unique(np.stack([target.numbers[both], ids.numbers[both]]), axis=1).T
    found: dict[str, set[str]] = {}
    for one, other in pairs.tolist():
        found.setdefault(_one_of(target.categories[one]) or "", set()).add(ids.categories[other])
    return {name: next(iter(several)) for name, several in found.items() if len(several) == 1}


def _own_genes(
    targets: Sequence[str], stated: dict[str, str], genes: Sequence[str], gene_ids: Sequence[str | None]
) -> Ints:
    """The place of each target's gene: by its Ensembl id where the file states one, else by its symbol if unique."""
    by_id = _unique(gene_ids)
    by_symbol = _unique(genes)
    places = [by_id.get(stated.get(name), by_symbol.get(name, -1)) for name in targets]
    return np.array([-1 if name == CONTROL else at for name, at in zip(targets, places, strict=True)], dtype=np.int32)


def _unique(names: Sequence[Any]) -> dict[Any, int]:
    """The place of each name that stands once."""
    counts: dict[Any, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return {name: place for place, name in enumerate(names) if name and counts[name] == 1}
