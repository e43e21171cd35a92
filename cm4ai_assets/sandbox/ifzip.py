"""IF ZIPs: fields painted on all cores, kept packed in a scratch file, and put together in the published layout.

Belongs here: making the ZIP of one condition, sound or damaged, of any size in bounded memory. Does not belong here:
how images look (`cells`) and what damage is (`defects`).
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import BinaryIO

from cm4ai_assets.conditions import Condition
from cm4ai_assets.sandbox import cells, plates
from cm4ai_assets.sandbox.crates import image_crate
from cm4ai_assets.sandbox.defects import Defect, DefectKind, damaged
from cm4ai_assets.sandbox.manifest import manifest
from cm4ai_assets.sandbox.plates import Field
from cm4ai_assets.sandbox.zipwriter import Packed, ZipWriter, folder, pack
from cm4ai_assets.threads import cores

COMPOSITE = "blue_red_green"
_WORKERS = cores()
_CUT_OFF = 0.6  # a truncated ZIP keeps this share of its bytes
_FIRST_CUT = date(2025, 2, 28)


@dataclass(frozen=True)
class Cut:
    """One way of cutting the same images into a ZIP: with composites or not, when, and what its crate is part of."""

    composites: bool = False
    day: date = _FIRST_CUT
    part_of: tuple[str, ...] = ("june-2025",)


@dataclass(frozen=True)
class IfZip:
    """What was written: the file, the fields that were meant to be in it, and the names of its image members."""

    path: Path
    fields: tuple[Field, ...]
    images: tuple[str, ...]


@dataclass
class PaintedCondition:
    """The packed members of a condition, in a scratch file, so that each image is painted once for every re-cut."""

    condition: Condition
    fields: tuple[Field, ...]
    defects: tuple[Defect, ...]
    scratch: BinaryIO
    _index: list[tuple[Packed, int, int]] = field(default_factory=list)

    def keep(self, member: Packed) -> None:
        """Append a member; its bytes go to the scratch file."""
        offset = self.scratch.seek(0, os.SEEK_END)
        self.scratch.write(member.data)
        self._index.append((replace(member, data=b""), offset, len(member.data)))

    def members(self, *, composites: bool) -> Iterator[Packed]:
        """The members by name, with or without the composites."""
        self.scratch.flush()
        for bare, offset, length in sorted(self._index, key=lambda entry: entry[0].name):
            if composites or f"/{COMPOSITE}/" not in bare.name:
                yield replace(bare, data=os.pread(self.scratch.fileno(), length, offset))

    def write(self, path: Path, cut: Cut) -> IfZip:
        """Put the ZIP together."""
        kinds = {defect.kind for defect in self.defects}
        images = []
        with path.open("wb") as file, ZipWriter(file, stamp=(cut.day.year, cut.day.month, cut.day.day)) as archive:
            for member in _merged(self.members(composites=cut.composites), self._documents(cut)):
                archive.add(member)
                if member.name.endswith(".jpg"):
                    images.append(member.name)
        if DefectKind.TRUNCATED_ZIP in kinds:
            os.truncate(path, int(path.stat().st_size * _CUT_OFF))
        return IfZip(path, self.fields, tuple(images))

    def _documents(self, cut: Cut) -> list[Packed]:
        """Folders, manifest and crate."""
        top = str(self.condition)
        hit = {kind: frozenset(self.fields[d.field] for d in self.defects if d.kind is kind) for kind in DefectKind}
        own = [f for f in self.fields if f.condition is self.condition]  # the stray field stands in no table
        colours = (*cells.COLOURS, COMPOSITE) if cut.composites else cells.COLOURS
        made = [folder(f"{top}/"), *(folder(f"{top}/{colour}/") for colour in colours)]
        if not hit[DefectKind.NO_MANIFEST]:
            listed = [f for f in own if f not in hit[DefectKind.IMAGES_ONLY]]
            table = manifest(listed, contradicted=hit[DefectKind.MANIFEST_CONFLICT])
            made.append(pack(f"{top}/manifest.csv", table))
        made.append(pack(f"{top}/ro-crate-metadata.json", image_crate(self.condition, own, cut.part_of)))
        return made


@contextmanager
def paint_condition(
    condition: Condition,
    *,
    fields: int,
    seed: int,
    scratch: Path,
    composites: bool = False,
    defects: Iterable[Defect] = (),
    progress: Callable[[str], None] | None = None,
) -> Iterator[PaintedCondition]:
    """Paint and pack every image of a condition, on all cores; with the stray field of the real paclitaxel ZIP.

    What is packed lies in the directory `scratch` for as long as the context lasts.
    """
    chosen = plates.fields_of(condition, fields, seed)
    if condition is Condition.PACLITAXEL:
        chosen = (*chosen, plates.stray(fields, seed))
    cells.prepare(*{one.condition for one in chosen})
    with tempfile.TemporaryFile(dir=scratch) as file, ThreadPoolExecutor(_WORKERS, "paint") as pool:
        painted = PaintedCondition(condition, chosen, tuple(defects), file)
        waiting: deque[Future[list[Packed]]] = deque()
        for number, one in enumerate(chosen):
            hits = [defect for defect in painted.defects if defect.field == number]
            waiting.append(pool.submit(_painted, one, condition, seed, hits, composites=composites))
            if len(waiting) > 2 * _WORKERS:  # so many fields at most are in memory
                _take(painted, waiting)
            if progress is not None and number % 100 == 0:
                progress(f"{condition}: field {number} of {len(chosen)}")
        while waiting:
            _take(painted, waiting)
        yield painted


def write_if_zip(
    path: Path,
    *,
    condition: Condition,
    fields: int,
    seed: int = 1,
    composites: bool = False,
    defects: Iterable[Defect] = (),
    progress: Callable[[str], None] | None = None,
) -> IfZip:
    """Write one IF ZIP of a condition with `fields` fields of view, damaged as asked.

    The file appears under its name only when it is whole.
    """
    part = path.with_name(f".{path.name}.part")
    with paint_condition(
        condition,
        fields=fields,
        seed=seed,
        scratch=path.parent,
        composites=composites,
        defects=defects,
        progress=progress,
    ) as painted:
        try:
            written = painted.write(part, Cut(composites=composites))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return replace(written, path=path)


def _painted(one: Field, condition: Condition, seed: int, hits: list[Defect], *, composites: bool) -> list[Packed]:
    planes = cells.paint(one, seed)
    jpegs = {colour: cells.encode(planes[colour], colour) for colour in cells.COLOURS}
    if composites:
        jpegs[COMPOSITE] = cells.composite(planes)
    members = [pack(f"{condition}/{colour}/{one.stem}_{colour}.jpg", jpeg) for colour, jpeg in jpegs.items()]
    for defect in hits:
        members = damaged(members, jpegs, defect)
    return members


def _take(painted: PaintedCondition, waiting: deque[Future[list[Packed]]]) -> None:
    for member in waiting.popleft().result():
        painted.keep(member)


def _merged(members: Iterator[Packed], documents: list[Packed]) -> Iterator[Packed]:
    """Images and documents in one order, by name, without holding the images."""
    rest = sorted(documents, key=lambda member: member.name)
    for member in members:
        while rest and rest[0].name < member.name:
            yield rest.pop(0)
        yield member
    yield from rest
