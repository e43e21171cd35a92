"""The one picture of how data walks, drawn from the schemas: `python -m cm4ai_assets.tables.way FILE`.

An SVG that carries its own light and dark colours and its text, so that it is the same on any page. `make docs` writes
it; names of tables and documents come from the registry, so a new table stands in it at once.

Belongs here: stations, and how they are laid out. Does not belong here: the words of the page around it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from cm4ai_assets.tables import ALL, GROUPS
from cm4ai_assets.tables.publication import DOCUMENTS
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_CHANGES, RELEASE_FILES

_WIDTH: Final = 640
_LEFT: Final = 190  # where names begin, beside the station's title
_PER_LINE: Final = 54  # characters of a line of names
_LINE: Final = 21
_GAP: Final = 30  # with the arrow

_NAMED: Final = 'aria-labelledby="way-title way-words"'
_STYLE: Final = """
  .card { fill: #ffffff } .station { fill: #f1f4f9; stroke: #8492ab } .title { fill: #1b2536; font-weight: 600 }
  .text { fill: #42506a } .name { fill: #1b2536; font-family: ui-monospace, Menlo, monospace }
  .arrow { stroke: #42506a; stroke-width: 2; fill: none } .head { fill: #42506a }
  text { font-family: system-ui, sans-serif; font-size: 13px } .title { font-size: 16px }
  @media (prefers-color-scheme: dark) {
    .card { fill: #171b26 } .station { fill: #222938; stroke: #7484a3 } .title, .name { fill: #eef2fa }
    .text { fill: #b7c3d9 } .arrow { stroke: #b7c3d9 } .head { fill: #b7c3d9 }
  }
"""


@dataclass(frozen=True)
class Station:
    """A place where data stands on its way: its title, what holds there, and the names of what is there."""

    title: str
    place: str
    holds: str
    names: tuple[tuple[str, tuple[str, ...]], ...]

    def lines(self) -> list[str]:
        """The names, wrapped, each group from a line of its own."""
        return [line for group, names in self.names for line in _wrapped(group, names)]


def stations() -> tuple[Station, ...]:
    """The way, from the archives to what is passed on."""
    before = {RELEASE_FILES.name, RELEASE_CHANGES.name, IF_ARCHIVE.name}
    rows = {group: tuple(one.name for one in tables if one.name not in before) for group, tables in GROUPS.items()}
    stores = tuple(
        one.name for one in ALL if any(column.name == "path" and "Zarr" in column.description for column in one.columns)
    )
    return (
        Station("Archives", "elsewhere", "the only step on the network", (
            ("", ("Dataverse", "MassIVE", "Figshare", "ENA", "NCBI", "DataCite")),
        )),
        Station("Lock", "tables/", "every published file, before it is fetched", (
            ("", (RELEASE_FILES.name, RELEASE_CHANGES.name)),
        )),
        Station("Bytes", "blobs/", "by content, held against the published digest", (("", (IF_ARCHIVE.name,)),)),
        Station("Rows", "tables/", "Parquet; published only if its checks hold",
                tuple((group, names) for group, names in rows.items() if names)),
        Station("Tensors", "tensors/", "Zarr, made once from the same bytes", (("", stores),)),
        Station("Descriptions", "documents/", "of a release, for people and machines",
                (("", tuple(one.name for one in DOCUMENTS)),)),
    )  # fmt: skip


def picture() -> str:
    """The picture, as SVG."""
    drawn: list[str] = []
    y = 16
    every = stations()
    for number, station in enumerate(every):
        height = 44 + _LINE * max(1, len(station.lines()))
        drawn += _box(station, y, height)
        y += height
        if number < len(every) - 1:
            drawn.append(_arrow(y))
            y += _GAP
    words = "; ".join(f"{one.title}: {', '.join(name for _, names in one.names for name in names)}" for one in every)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 16}" role="img" {_NAMED}>',
            '<title id="way-title">The way data walks: archives, lock, bytes, rows, tensors, descriptions</title>',
            f'<desc id="way-words">{escape(words)}.</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="card" width="{_WIDTH}" height="{y + 16}" rx="8"/>',
            *drawn,
            "</svg>",
            "",
        ]
    )


def _wrapped(group: str, names: Sequence[str]) -> Iterator[str]:
    line = f"{group}:" if group else ""
    for number, name in enumerate(names):
        word = name + ("," if number < len(names) - 1 else "")
        if len(f"{line} {word}") > _PER_LINE:
            yield line
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def _box(station: Station, y: int, height: int) -> Iterator[str]:
    yield f'<rect class="station" x="16" y="{y}" width="{_WIDTH - 32}" height="{height}" rx="6"/>'
    yield f'<text class="title" x="30" y="{y + 28}">{escape(station.title)}</text>'
    yield f'<text class="name" x="30" y="{y + 48}">{escape(station.place)}</text>'
    for number, line in enumerate(station.lines()):
        yield (
            f'<text class="name" xml:space="preserve" x="{_LEFT}" y="{y + 28 + _LINE * number}">{escape(line)}</text>'
        )
    yield f'<text class="text" x="{_LEFT}" y="{y + height - 12}">{escape(station.holds)}</text>'


def _arrow(y: int) -> str:
    middle = _WIDTH // 2
    return (
        f'<path class="arrow" d="M{middle} {y + 3}V{y + _GAP - 9}"/>'
        f'<path class="head" d="M{middle - 6} {y + _GAP - 11}h12l-6 8z"/>'
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
