"""SEC-MS profiles and Perturb-seq summaries as MuData files.

    secms_{cells}.h5mu           a modality a replicate: protein group by fraction; groups are shared by name
    perturb_targets.h5mu         one modality, `rna`: target by gene

Replicates of the same cells stand together, whatever their condition, because they are what is compared.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cm4ai_assets.exports.elution import Replicate
from cm4ai_assets.exports.hdf5 import append, needed, write_mudata
from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick
from cm4ai_assets.exports.single_cell import (
    blocks_of,
    contents_of,
    described,
    matrices_of,
    of_elution,
    outline_of_profiles,
)
from cm4ai_assets.perturbseq.pseudobulk import Pseudobulk

if TYPE_CHECKING:
    import anndata
    import mudata

_OPTIONS: Final = threading.Lock()
RNA: Final = "rna"
_READ: Final = """## How to read it

    import mudata
    mdata = mudata.read_h5mu("{example}")
    mdata.mod                      # {modalities}
"""
_NOTE: Final = "Columns are named by replicate and fraction, so that no two modalities share one."


def plan(job: Job) -> Plan:
    """The export of some conditions: see the module."""
    needed("mudata")
    contents = contents_of(job)
    experiments: dict[tuple[str, str, str], list[Replicate]] = {}
    for one in contents.replicates:
        experiments.setdefault(one.experiment, []).append(one)
    parts = [_elutions(f"secms_{'_'.join(cells)}.h5mu", own) for cells, own in experiments.items()]
    if contents.profiles is not None:
        parts.append(_profiles(job, contents.profiles))
    return Plan(
        identity={
            "format": "mudata", "format_version": 1, "release": job.release.key,
            "selection": job.selection.stated(), **contents.identity,
        },
        parts=parts,
        unit="blocks",
        sources=contents.sources,
        credits=contents.credits,
        coverage=contents.coverage,
        counts={"files": len(parts), "replicates": len(contents.replicates)},
        how_to_read=_READ.format(
            example=parts[0].name, modalities="a modality a replicate" if contents.replicates else f"one, `{RNA}`"
        ),
        notes=(*contents.notes, *([_NOTE] if contents.replicates else ())),
        room=contents.room,
    )  # fmt: skip


def _elutions(name: str, replicates: Sequence[Replicate]) -> Part:
    def write(path: Path, tick: Tick) -> None:
        modalities = {}
        for one in replicates:
            modalities[one.name] = of_elution(one, one.read(), prefix=f"{one.name}:")
            tick()
        _write(modalities, path, described(replicates[0].release, {"cells": replicates[0].cell_line or "unknown"}))

    return Part(name, write, ticks=len(replicates))


def _profiles(job: Job, profiles: Pseudobulk) -> Part:
    def write(path: Path, tick: Tick) -> None:
        _write({RNA: outline_of_profiles(job.release, profiles)}, path, {})
        append(path, {f"mod/{RNA}": matrices_of(profiles, tick)})

    return Part("perturb_targets.h5mu", write, ticks=blocks_of(profiles))


def _write(modalities: Mapping[str, anndata.AnnData], path: Path, stated: Mapping[str, Any]) -> None:
    with together(modalities) as whole:
        whole.uns.update(stated)
        write_mudata(path, whole)


@contextmanager
def together(modalities: Mapping[str, anndata.AnnData]) -> Iterator[mudata.MuData]:
    """Modalities as one object, whose columns stay with their modality for as long as the context lasts.

    One thread at a time has it: the option that says so is the whole process's, and is given back as it was.
    """
    library = needed("mudata")
    override = library.settings.override if hasattr(library, "settings") else library.set_options  # since 0.4; before
    with _OPTIONS, override(pull_on_update=False):
        whole = library.MuData(dict(modalities))
        for axis in (whole.obs, whole.var):  # mudata 0.3 makes texts of pandas 3 of them, which it cannot write
            axis.index = axis.index.astype(object)
        yield whole
