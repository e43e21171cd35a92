"""Where the lines of a text stand and how many fields each has, counted over the whole text at once.

Belongs here: counting. Does not belong here: what a line with too many or too few fields means (`text`).
"""

from __future__ import annotations

from dataclasses import dataclass

from cm4ai_assets.heavy import np, npt
from cm4ai_assets.proteomics.problems import TableDamagedError

_LINE_FEED, _QUOTE = 10, 34


@dataclass(frozen=True)
class Lines:
    """Where lines begin and end in a text, the number of each in its file, and how many fields it has."""

    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    fields: npt.NDArray[np.int64]

    @property
    def blank(self) -> npt.NDArray[np.bool_]:
        """Lines without anything."""
        return np.asarray(self.starts == self.stops)

    def uneven(self, width: int) -> npt.NDArray[np.bool_]:
        """Lines that have another number of fields, blank ones aside."""
        return np.asarray((self.fields != width) & ~self.blank)


def lines_of(text: bytes, name: str, separator: str, done: int, *, is_quoted: bool) -> Lines:
    """The lines of a text. polars fills a short one with nulls without a word, so fields are counted here."""
    array = np.frombuffer(text, np.uint8)
    ends, separators = array == _LINE_FEED, array == ord(separator)
    breaks = np.flatnonzero(ends)
    if is_quoted and b'"' in text:
        # Sums of 8 bits overflow; whether they are odd survives.
        outside = (np.cumsum(array == _QUOTE, dtype=np.uint8) & 1) == 0
        ends, separators = ends & outside, separators & outside
        if not (ends.any() and ends[-1]):
            raise TableDamagedError(name, "a quote is opened and never closed", line=done + len(breaks))
    stops = np.flatnonzero(ends)
    starts = np.concatenate(([0], stops[:-1] + 1)) if len(stops) else stops
    numbers = np.searchsorted(breaks, starts) + done + 1  # a quoted field may span lines
    fields = np.diff(np.searchsorted(np.flatnonzero(separators), stops), prepend=0) + 1
    return Lines(starts, stops, numbers, fields)
