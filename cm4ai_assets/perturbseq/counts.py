"""Which matrix of an h5ad holds raw counts: decided by what is in it, and stated.

Belongs here: the candidates, a sample of each, and the choice with its reasons. Does not belong here: reading a matrix
(`matrix`), and the totals of whole cells, which only the pass knows (`passes`).

A name proves nothing: `X` holds counts in one published file and transformed values in the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cm4ai_assets.heavy import h5py, np, npt
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.h5ad_errors import H5adError
from cm4ai_assets.perturbseq.matrix import StoredMatrix

_PREFERRED: Final = ("layers/counts", "layers/raw_counts", "X", "raw/X")


class NoCountsError(H5adError):
    """An h5ad of which no matrix holds raw counts."""


@dataclass(frozen=True)
class Candidate:
    """One matrix, and what a sample of its values says.

    Attributes:
        place: Where it stands.
        layout: csc, csr or dense; empty where it could not be opened.
        sampled: Values that were looked at.
        counts: It may hold raw counts.
        reason: Why, or why not.
        highest: The highest value seen; 0 where none was.
    """

    place: str
    layout: str
    sampled: int
    counts: bool
    reason: str
    highest: float = 0.0

    def __str__(self) -> str:
        return f"{self.place} ({self.layout or 'unread'}): {self.reason}"


@dataclass(frozen=True)
class Choice:
    """The matrix that holds counts, and every candidate with its reason."""

    place: str
    candidates: tuple[Candidate, ...]

    @property
    def summary(self) -> str:
        """What was found, in one sentence each."""
        return "; ".join(map(str, self.candidates))


def find_counts(h5ad: H5ad) -> Choice:
    """Look at every matrix, and choose one that holds raw counts.

    Where several do, a layer that is named for it comes first, then `X`, then `raw/X`, then other layers by name; a
    matrix in which nothing above 1 was seen, which may be detection alone, comes last.

    Raises:
        NoCountsError: None does.
    """
    candidates = tuple(_judged(h5ad, place) for place in _places(h5ad))
    fit = [one for one in candidates if one.counts]
    if not fit:
        raise NoCountsError(
            f"{h5ad.label} holds no raw counts: {'; '.join(map(str, candidates)) or 'it has no matrix'}.",
            remedy="Profiles are made of counts alone; a file with a layer of counts is needed.",
        )
    return Choice(min(fit, key=_rank).place, candidates)


def _rank(one: Candidate) -> tuple[bool, int, str]:
    named = _PREFERRED.index(one.place) if one.place in _PREFERRED else len(_PREFERRED)
    return (one.highest <= 1, named, one.place)


def _places(h5ad: H5ad) -> list[str]:
    with h5ad.reading():
        found = ["X"] if h5ad.file.get("X", getlink=True) is not None else []
        for group, names in (("raw", ("X",)), ("layers", None)):
            if not isinstance(h5ad.file.get(group, getlink=True), h5py.HardLink):
                continue  # not there, or a link, which is not followed
            members = h5ad.file[group]
            if isinstance(members, h5py.Group):
                found += [f"{group}/{name}" for name in members if names is None or name in names]
    return found


def _judged(h5ad: H5ad, place: str) -> Candidate:
    try:
        matrix = StoredMatrix(h5ad, place)
    except H5adError as error:
        return Candidate(place, "", 0, counts=False, reason=error.message)
    if matrix.shape[1] != h5ad.var.height:
        reason = f"{matrix.shape[1]:,} genes, var has {h5ad.var.height:,}"
        return Candidate(place, matrix.layout, 0, counts=False, reason=reason)
    values = matrix.sample()
    reason = _against_counts(values)
    if reason:
        return Candidate(place, matrix.layout, values.size, counts=False, reason=reason)
    highest = float(values.max()) if values.size else 0.0
    reason = f"{values.size:,} sampled values are non-negative integers up to {highest:.0f}"
    return Candidate(place, matrix.layout, values.size, counts=True, reason=reason, highest=highest)


def _against_counts(values: npt.NDArray[Any]) -> str:
    """Why values are no raw counts; empty if they may be."""
    if values.dtype == bool:
        return "truth values: detection, not counts"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum()):,} of {values.size:,} sampled values are NaN or infinite"
    if (values < 0).any():
        return f"{int((values < 0).sum()):,} of {values.size:,} sampled values are negative"
    if broken := int((values != np.rint(values)).sum()):
        return f"{broken:,} of {values.size:,} sampled values are no integers"
    return ""
