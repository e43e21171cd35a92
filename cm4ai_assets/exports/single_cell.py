"""SEC-MS profiles and Perturb-seq summaries as AnnData objects: what both `anndata` and `mudata` write.

Belongs here: rows, columns and values of an object. Does not belong here: the files (`hdf5`, `anndata`, `mudata`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.exports.coverage import SCREEN, SECMS, of_conditions, whole
from cm4ai_assets.exports.elution import TABLES, Elution, Replicate, elution_sources, replicates_of
from cm4ai_assets.exports.hdf5 import Matrix, needed
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Covered, Tick, sentences
from cm4ai_assets.exports.provenance import digests_of, screen_behind
from cm4ai_assets.exports.selection import published_conditions
from cm4ai_assets.heavy import np
from cm4ai_assets.perturbseq.pseudobulk import DEFAULT, Pseudobulk, for_anndata
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.profiles import STATISTICS
from cm4ai_assets.updates.credit import credit

if TYPE_CHECKING:
    import anndata

_FLOAT32: Final = 4
_ROW: Final = 1_000  # of `secms_proteins`
_VALUE: Final = 8 + 1  # of an elution profile: a float64, and whether it was filled in
BLOCK: Final = 64  # targets that are in memory at once: 10 MB
_OF_SECMS: Final = """
SEC-MS: rows are protein groups, columns fractions by the numbers of their runs. X is the quantity as published; NaN
says that nothing was quantified there, 0 that zero was published.
SEC-MS: replicates have windows of their own (F07 to F78, F11 to F82). Compare them by the column `fraction`.
"""
_OF_SCREEN: Final = """
Perturb-seq: rows are targets, columns genes. X is the mean of log1p(counts per 10,000) over the cells of a target;
the other statistics are layers. A variance is NaN for a target of one cell.
"""
_OF_BOTH: Final = "Lists of the tables are texts, joined by `|`."


@dataclass(frozen=True)
class Contents:
    """What an export has of both, with their origin.

    Attributes:
        replicates: Elution profiles; none if the release has none.
        profiles: Perturb-seq; None if the release has none, or conditions were chosen.
        sources: The files behind them.
        credits: Their credits.
        coverage: What of the release these are, and why the rest is not there.
    """

    replicates: Sequence[Replicate]
    profiles: Pseudobulk | None
    sources: list[dict[str, Any]]
    credits: list[dict[str, str]]
    coverage: tuple[Covered, Covered]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know of the values that are there."""
        secms = sentences(_OF_SECMS) if self.replicates else ()
        return (*secms, *(sentences(_OF_SCREEN) if self.profiles is not None else ()), _OF_BOTH)

    @property
    def room(self) -> int:
        """Bytes of the values before they are compressed, and of the rows that say what they are of."""
        screen = 0 if self.profiles is None else math.prod(self.profiles.shape) * len(STATISTICS) * _FLOAT32
        return screen + sum(one.groups * (one.columns * _VALUE + _ROW) for one in self.replicates)

    @property
    def identity(self) -> dict[str, Any]:
        """What the files are made from."""
        return {
            "replicates": [one.described() for one in self.replicates],
            "profiles": None if self.profiles is None else self.profiles.record.digest,
            "sources": digests_of(self.sources),
        }


def contents_of(job: Job) -> Contents:
    """What a release has for a selection.

    Raises:
        ConfigurationError: Something was asked for that only images have.
        NotMaterializedError: The release has neither, or not what was asked for, or a part of what a condition needs.
    """
    release, chosen = job.release, bool(job.selection.conditions)
    replicates, sources, credits_ = list[Replicate](), list[dict[str, Any]](), list[dict[str, str]]()
    absent = None
    try:
        replicates = replicates_of(release, job.selection.conditions_of(release, *TABLES))
        sources, credits_ = elution_sources(replicates)
    except NotMaterializedError as error:
        if any(published_conditions(release, table) for table in TABLES):
            raise  # it has some of them, or a part of what it needs: that is not to have none
        absent = error
    profiles, why_not = None, "Conditions were chosen, and it has none."
    if not chosen:
        try:
            profiles, why_not = release.profiles(), ""
        except NotMaterializedError as error:
            why_not = error.message
    if absent is not None and profiles is None:
        raise absent
    if profiles is not None:
        rows = release.table("perturb_targets").collect()
        credits_.append(credit(release.store, "perturb_targets", Partition(release.key), rows))
        sources += screen_behind(release, rows)
    held = {one.condition for one in replicates}
    secms = whole(SECMS, absent.message) if absent else of_conditions(release, job.selection, SECMS, TABLES, held)
    return Contents(replicates, profiles, sources, credits_, (secms, whole(SCREEN, why_not)))


def described(release: Release, own: Mapping[str, Any]) -> dict[str, Any]:
    """What an object says of itself, in `uns`."""
    return {"cm4ai": {"release": release.key, **own}}


def of_elution(replicate: Replicate, elution: Elution, *, prefix: str = "") -> anndata.AnnData:
    """The object of one replicate: protein group by fraction.

    Args:
        replicate: The replicate.
        elution: Its matrix.
        prefix: Stands before the name of each fraction.
    """
    layers = {} if elution.interpolated is None else {"interpolated": elution.interpolated}
    return needed("anndata").AnnData(
        X=elution.quantities,
        obs=for_anndata(elution.proteins.drop("release", "condition", "replicate_id"), elution.names),
        var=for_anndata(elution.fractions, [f"{prefix}F{one:02d}" for one in elution.fractions["fraction"]]),
        layers=layers,
        uns=described(replicate.release, replicate.described()),
    )


def outline_of_profiles(release: Release, profiles: Pseudobulk) -> anndata.AnnData:
    """The object of the Perturb-seq summaries, without its values."""
    needed("anndata")
    outline = profiles.outline()
    outline.uns.update(described(release, {"digest": profiles.record.digest}))
    return outline


def matrices_of(profiles: Pseudobulk, tick: Tick) -> list[Matrix]:
    """The values of the Perturb-seq summaries, in blocks of targets; each block is a tick."""
    return [_matrix(profiles, name, tick) for name in STATISTICS]


def blocks_of(profiles: Pseudobulk) -> int:
    """The ticks of `matrices_of`."""
    return len(STATISTICS) * -(-profiles.shape[0] // BLOCK)


def _matrix(profiles: Pseudobulk, name: str, tick: Tick) -> Matrix:
    def blocks() -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
        values = profiles.statistic(name)
        for first in range(0, profiles.shape[0], BLOCK):
            yield np.asarray(values[first : first + BLOCK], dtype=np.float32)
            tick()

    return Matrix("X" if name == DEFAULT else f"layers/{name}", profiles.shape, "float32", blocks)
