"""Folders outside the storage, exported or published: what they say of themselves leads back.

Belongs here: reading `cm4ai-export.json` and holding what it names against what stands here; finding the payload of a
published folder, which has the layout and the records of a storage. Does not belong here: writing them (`exports`,
`publication`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cm4ai_assets.errors import SelectionError
from cm4ai_assets.lineage.chain import Chain
from cm4ai_assets.lineage.listing import by_name
from cm4ai_assets.lineage.outside import BAG, EXPORT_RECORD, PAYLOAD
from cm4ai_assets.lineage.products import blob_steps, store_step
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.storage.addresses import store_of

_WHOLE: Final = "Its record says what the folder as a whole was made of."
_REGISTRY: Final = "registry"
_AGAIN: Final = "Export the folder again."


def record_above(path: Path) -> Path | None:
    """The record of the export that a file is part of, or that a folder is; None if it is of none."""
    around = (path, *path.parents) if path.is_dir() else path.parents
    return next((folder / EXPORT_RECORD for folder in around if (folder / EXPORT_RECORD).is_file()), None)


def payload_above(path: Path) -> Path | None:
    """The payload of the published folder (a bag) that a path lies in, which is a storage; None if it lies in none."""
    found = (folder / PAYLOAD for folder in (path, *path.parents) if (folder / BAG).is_file())
    return next((payload for payload in found if (payload / _REGISTRY).is_dir()), None)


def export_step(chain: Chain, path: Path, record: Path) -> Step:
    """A file or folder of an export as a link.

    Raises:
        SelectionError: The record cannot be read.
    """
    stated = _stated(record)
    inside = path.absolute().relative_to(record.parent.absolute()).as_posix()
    name = f"export {record.parent}" if inside == "." else f"{inside} of export {record.parent}"
    made_by, release = stated.get("made_by", "cm4ai_assets"), stated.get("release", "that is not stated")
    doi, version = stated.get("doi", "no DOI stated"), stated.get("version", "not stated")
    notes = [f"{made_by} made it of release {release}: {doi}, version {version}.", _WHOLE]
    if not stated.get("complete", False):
        notes.append("It is not complete: it was interrupted, and can be gone on with.")
    steps = {id(step): step for source in stated.get("sources", ()) for step in _source(chain, source)}
    return Step(StepKind.EXPORT, name, notes=tuple(notes), origins=tuple(steps.values()))


def _stated(record: Path) -> Mapping[str, Any]:
    try:
        stated = json.loads(record.read_bytes())
    except (OSError, ValueError) as error:
        raise SelectionError(f"{record} cannot be read: {error}.", remedy=_AGAIN) from error
    if not isinstance(stated, dict) or not all(isinstance(one, dict) for one in stated.get("sources", ())):
        raise SelectionError(f"{record} is no record of an export.", remedy=_AGAIN)
    return stated


def _source(chain: Chain, source: Mapping[str, Any]) -> Iterator[Step]:
    """One source of an export: a store that stands here, or published files."""
    path, digest = str(source.get("path") or ""), str(source.get("sha256") or source.get("source_sha256") or "")
    if store_of(path) is not None and chain.store.exists(path):
        yield store_step(chain, path)
        return
    found = by_name(chain.store, str(source["file_id"])) if source.get("file_id") else []
    files = dict.fromkeys(one.file for one in found if one.file.path.endswith(str(source.get("label", ""))))
    if files:
        yield from (chain.file(file) for file in files)
    elif digest:
        yield from blob_steps(chain, digest)
    else:
        name = f"{source.get('kind', 'source')} {path or source.get('label', '')}".strip()
        yield Step(StepKind.OUTSIDE, name, notes=(str(source["note"]),) if source.get("note") else ())
