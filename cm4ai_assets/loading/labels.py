"""What a model shall predict, as numbers: classes from a column of the chosen fields, and their weights.

Belongs here: classes and their numbers. Does not belong here: which fields are chosen, or the tables they come from.

Classes are taken from one choice of fields (the training side) and used for every other, so that a number means the
same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from cm4ai_assets.errors import SelectionError
from cm4ai_assets.heavy import np, npt

IGNORED: Final = -100
"""The number of what is no class; torch's losses leave it out by default (`ignore_index`)."""

ANSWERED: Final = ("flags",)
"""Columns in which an empty list is an answer: nothing is wrong. In others it says that nothing is known."""


@dataclass(frozen=True)
class Labels:
    """Classes of a column, each with a number; of a column of lists (`genes`) one row may have several.

    A field without a value is unknown, be it null or an empty list: that a control has no gene does not say that its
    image shows none of the classes. Only an empty list of `flags` is known to be none of them.

    Attributes:
        name: The column, such as `condition`, `antibody_id`, `genes`, `uniprot_ids` or `plate`.
        classes: The classes, sorted; the place is the number.
        several: The column holds lists: labels are then rows of zeros and ones, float32, (field, class).
        ignore_unknown: Give `IGNORED` (of lists no one) to what is no class, instead of refusing it.
    """

    name: str
    classes: tuple[str, ...]
    several: bool = False
    ignore_unknown: bool = False

    @classmethod
    def of(cls, fields: pl.DataFrame, name: str, *, ignore_unknown: bool = False) -> Labels:
        """The classes that a column has in these fields.

        Raises:
            SelectionError: They have no such column, or no value in it.
        """
        column = _column(fields, name)
        several = isinstance(column.dtype, pl.List)
        values = (column.explode() if several else column).drop_nulls().unique().sort()
        if values.is_empty():
            raise SelectionError(f"The column {name} is empty in these fields.", remedy="Choose others.")
        return cls(name, tuple(map(str, values)), several, ignore_unknown)

    def encode(self, fields: pl.DataFrame) -> npt.NDArray[Any]:
        """The label of each field: int64 (field,), or float32 (field, class) where there may be several.

        Raises:
            SelectionError: A value, or its absence, is no class, and `ignore_unknown` was not asked for.
        """
        number: dict[str | None, int] = {name: place for place, name in enumerate(self.classes)}
        rows = [self._values(value) for value in _column(fields, self.name).to_list()]
        known = [[number.get(None if value is None else str(value), IGNORED) for value in row] for row in rows]
        if not self.ignore_unknown:
            self._refuse_unknown(rows, known)
        if not self.several:
            return np.array([codes[0] for codes in known], np.int64)
        hot = np.zeros((len(known), len(self.classes)), np.float32)
        for place, codes in enumerate(known):
            hot[place, [code for code in codes if code != IGNORED]] = 1
        return hot

    def weights(self, fields: pl.DataFrame) -> npt.NDArray[np.float32]:
        """What each class counts, so that all count the same: fields / (classes x fields of the class), float32.

        A class without a field has the weight 0. Of lists, each membership counts.
        """
        codes = self.encode(fields)
        known = codes[codes != IGNORED].astype(np.int64)
        counts = codes.sum(axis=0) if self.several else np.bincount(known, minlength=len(self.classes))
        present = int((counts > 0).sum())
        weight = np.divide(counts.sum(), present * counts, out=np.zeros(len(counts)), where=counts > 0)
        return np.asarray(weight, np.float32)

    def _values(self, value: Any) -> list[Any]:  # noqa: ANN401 - whatever a column holds
        """What a field has in the column; None where that is not known."""
        if not self.several:
            return [value]
        return list(value) if value or (value == [] and self.name in ANSWERED) else [None]

    def _refuse_unknown(self, rows: list[list[Any]], known: list[list[int]]) -> None:
        for row, codes in zip(rows, known, strict=True):
            if IGNORED in codes:
                value = row[codes.index(IGNORED)]
                way = "Take the classes from fields that have it"
                if value is None:
                    way = "Leave out the fields without one, such as controls"
                raise SelectionError(
                    f"{value!r} is no class of {self.name}, which has {len(self.classes)}.",
                    remedy=f"{way}, or ignore_unknown=True.",
                )


def _column(fields: pl.DataFrame, name: str) -> pl.Series:
    if name not in fields.columns:
        raise SelectionError(
            f"These fields have no column {name}.", remedy=f"They have {', '.join(sorted(fields.columns))}."
        )
    return fields[name]
