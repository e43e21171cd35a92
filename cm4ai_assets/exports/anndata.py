"""SEC-MS profiles and Perturb-seq summaries as AnnData files.

secms/{replicate}.h5ad       protein group by fraction
perturb_targets.h5ad         target by gene, if the release has Perturb-seq and no condition was chosen
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cm4ai_assets.exports.elution import Replicate
from cm4ai_assets.exports.hdf5 import append, needed, write_anndata
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick
from cm4ai_assets.exports.single_cell import (
    blocks_of,
    contents_of,
    matrices_of,
    of_elution,
    outline_of_profiles,
)
from cm4ai_assets.perturbseq.pseudobulk import Pseudobulk

_READ: Final = """## How to read it

    import anndata
    adata = anndata.read_h5ad("{example}")
"""


def plan(job: Job) -> Plan:
    """The export of some conditions: see the module."""
    needed("anndata")
    contents = contents_of(job)
    parts = [_elution(one) for one in contents.replicates]
    if contents.profiles is not None:
        parts.append(_profiles(job, contents.profiles))
    return Plan(
        identity={
            "format": "anndata", "format_version": 1, "release": job.release.key,
            "selection": job.selection.stated(), **contents.identity,
        },
        parts=parts,
        unit="blocks",
        sources=contents.sources,
        credits=contents.credits,
        coverage=contents.coverage,
        counts={"files": len(parts)},
        how_to_read=_READ.format(example=parts[0].name),
        notes=contents.notes,
        room=contents.room,
    )  # fmt: skip


def _elution(replicate: Replicate) -> Part:
    def write(path: Path, tick: Tick) -> None:
        write_anndata(path, of_elution(replicate, replicate.read()), compression="gzip")
        tick()

    return Part(f"secms/{replicate.name}.h5ad", write, ticks=1)


def _profiles(job: Job, profiles: Pseudobulk) -> Part:
    def write(path: Path, tick: Tick) -> None:
        write_anndata(path, outline_of_profiles(job.release, profiles))
        append(path, {"/": matrices_of(profiles, tick)})

    return Part("perturb_targets.h5ad", write, ticks=blocks_of(profiles))
