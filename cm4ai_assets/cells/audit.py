"""A table of nuclei held against its labels and its fields, before any of them is published.

Belongs here: the one blocking question, whether each row is a nucleus of the labels and each nucleus of the labels a
row. Does not belong here: warnings (`findings`), or reading a whole store again later (`storage.nuclei`).

The audit takes another road than the pass: the labels are read by zarr from the written store, and counted anew. That
is done once. A store that is used again, every byte of which has the digest that it was published with, is what passed
then; of it the rows are compared with the store's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from cm4ai_assets.cells.products import Product
from cm4ai_assets.heavy import np
from cm4ai_assets.storage.nuclei import Labels, labels_digest, open_labels, read_labels
from cm4ai_assets.threads import cores, in_order

if TYPE_CHECKING:
    import zarr

PROBLEMS_SHOWN: Final = 5


@dataclass(frozen=True)
class CellsAudit:
    """What the audit found: how much was read and how, and sentences, none if the table may be published."""

    fields: int
    nuclei: int
    problems: tuple[str, ...]
    as_audited: bool = False

    @property
    def passed(self) -> bool:
        """Nothing was found."""
        return not self.problems

    @property
    def summary(self) -> str:
        """One sentence for the check's page."""
        if self.passed and self.as_audited:
            return (
                f"labels of {self.fields:,} fields have the digests of those that were audited when they were "
                f"published, and the {self.nuclei:,} nuclei are the store's"
            )
        if self.passed:
            return f"labels of {self.fields:,} fields read again: each of {self.nuclei:,} nuclei is a row, and no other"
        more = len(self.problems) - PROBLEMS_SHOWN
        return "; ".join(self.problems[:PROBLEMS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def audit_cells(product: Product, cells: pl.DataFrame, fields: pl.DataFrame) -> CellsAudit:
    """Hold a table of nuclei against the labels it refers to and the fields it names.

    Args:
        product: The store of labels.
        cells: The table `if_cells`.
        fields: The table `if_fields` of the same partition.
    """
    array = open_labels(product.fs, product.store_path)
    stored = fields.filter(pl.col("tensor_index").is_not_null()).height
    problems, as_audited = list(_named(cells, fields)), product.as_audited and _same(cells, product.cells())
    if array.shape[0] != stored:
        problems.append(f"the labels have {array.shape[0]} fields, if_fields has {stored} in the tensor")
    elif not as_audited:
        problems += _compared(array, cells, product.fields())
    return CellsAudit(array.shape[0], cells.height, tuple(problems), as_audited)


def _same(cells: pl.DataFrame, stored: pl.DataFrame) -> bool:
    """Whether a table has the nuclei of its store, one for one, with all that the store says of them."""
    return cells.select(stored.columns).equals(stored)


def _named(cells: pl.DataFrame, fields: pl.DataFrame) -> Iterator[str]:
    """Rows whose field is not the one that stands in the tensor at their place."""
    pairs = fields.select("tensor_index", "field_id")
    strange = cells.join(pairs, on=["tensor_index", "field_id"], how="anti")
    if strange.height:
        row = strange.row(0, named=True)
        yield f"{strange.height} rows name a field that is not at their place in the tensor, e.g. {row['field_id']}"


def _compared(array: zarr.Array[Any], cells: pl.DataFrame, fields: pl.DataFrame) -> Iterator[str]:
    by_field = {int(index): rows for (index,), rows in cells.group_by("tensor_index")}
    known = dict(fields.select("tensor_index", "labels_sha256").iter_rows())

    def of_field(index: int) -> list[str]:
        labels, found = read_labels(array, index), []
        if labels_digest(labels) != known.get(index):
            found.append(f"field {index}: other labels than were made")
        if problem := _field_problem(labels, by_field.get(index, cells.clear())):
            found.append(f"field {index}: {problem}")
        return found

    calls = ((index,) for index in range(array.shape[0]))
    for found in in_order(of_field, calls, workers=cores(), window=2 * cores()):
        yield from found


def _field_problem(labels: Labels, rows: pl.DataFrame) -> str | None:
    """How labels and rows of one field disagree; None if they agree."""
    areas = np.bincount(labels[labels > 0])  # two in three pixels are of no nucleus, and counting is dear
    found = {int(number): int(areas[number]) for number in np.flatnonzero(areas) if number}
    stated = dict(rows.select("cell", "area").iter_rows())
    if found.keys() != stated.keys():
        without_row, without_label = sorted(found.keys() - stated.keys()), sorted(stated.keys() - found.keys())
        return f"nuclei without a row {without_row}, rows without a nucleus {without_label}"
    if found != stated:
        wrong = next(number for number in found if found[number] != stated[number])
        return f"nucleus {wrong} has {found[wrong]} pixels, its row says {stated[wrong]}"
    return _outside_of_box(labels, rows)


def _outside_of_box(labels: Labels, rows: pl.DataFrame) -> str | None:
    for number, y0, x0, y1, x1, area in rows.select("cell", "y0", "x0", "y1", "x1", "area").iter_rows():
        box = labels[y0:y1, x0:x1] == number
        tight = box.size and box[0].any() and box[-1].any() and box[:, 0].any() and box[:, -1].any()
        if np.count_nonzero(box) != area or not tight:
            return f"the box of nucleus {number} is not that of its pixels"
    return None
