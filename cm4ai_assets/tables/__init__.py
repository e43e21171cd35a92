"""Every table this platform publishes: the registry from which schemas, checks and the data dictionary come.

>>> from cm4ai_assets import tables
>>> tables.table("if_fields").key
('field_id',)
"""

from __future__ import annotations

from collections.abc import Mapping

from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.tables import (
    cells,
    effects,
    images,
    integration,
    perturbseq,
    proteomics,
    publication,
    release,
    screen,
    status,
    targets,
)
from cm4ai_assets.tables import crates as metadata
from cm4ai_assets.tables.schema import Column, Document, Rule, Table, Violation

GROUPS: Mapping[str, tuple[Table, ...]] = {
    "release": (release.RELEASE_FILES, release.RELEASE_CHANGES),
    "metadata": metadata.TABLES,
    "images": (release.IF_ARCHIVE, *images.TABLES, *cells.TABLES),
    "proteomics": proteomics.TABLES,
    "perturbation": (*perturbseq.TABLES, *targets.TABLES, *screen.TABLES),
    "integration": (*integration.TABLES, *effects.TABLES),
}
"""The groups of the catalog, in the order in which data walks, and the tables of each."""

ALL: tuple[Table, ...] = tuple(one for group in GROUPS.values() for one in group)
_BY_NAME = {table.name: table for table in ALL}


DOCUMENTS: tuple[Document, ...] = (*publication.DOCUMENTS, status.PLATFORM_STATUS)
"""Every document: those of a release, and the one about the platform itself."""

_GROUP_OF = (
    {one.name: group for group, members in GROUPS.items() for one in members}
    | {one.name: publication.GROUP for one in publication.DOCUMENTS}
    | {status.PLATFORM_STATUS.name: status.GROUP}
)


def group_of(name: str) -> str:
    """The group of a table or document in the catalog."""
    return _GROUP_OF[name]


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        NotMaterializedError: There is none.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise NotMaterializedError(f"There is no table {name!r}.", remedy=f"Tables: {', '.join(_BY_NAME)}.") from None


def product(name: str) -> Table | Document:
    """The table or document of that name.

    Raises:
        NotMaterializedError: There is none.
    """
    return next((one for one in DOCUMENTS if one.name == name), None) or table(name)


__all__ = [
    "ALL",
    "DOCUMENTS",
    "GROUPS",
    "Column",
    "Document",
    "Rule",
    "Table",
    "Violation",
    "group_of",
    "product",
    "table",
]
