"""Every table this platform publishes: the registry from which schemas, checks and the data dictionary come.

>>> from cm4ai_assets import tables
>>> tables.table("if_fields").key
('field_id',)
"""

from __future__ import annotations

from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.tables import cells, effects, images, integration, perturbseq, proteomics, release, screen, targets
from cm4ai_assets.tables import crates as metadata
from cm4ai_assets.tables.schema import Column, Document, Rule, Table, Violation

ALL: tuple[Table, ...] = (
    *release.TABLES,
    *metadata.TABLES,
    *images.TABLES,
    *cells.TABLES,
    *proteomics.TABLES,
    *perturbseq.TABLES,
    *targets.TABLES,
    *screen.TABLES,
    *integration.TABLES,
    *effects.TABLES,
)
_BY_NAME = {table.name: table for table in ALL}


def table(name: str) -> Table:
    """The table of that name.

    Raises:
        NotMaterializedError: There is none.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise NotMaterializedError(f"There is no table {name!r}.", remedy=f"Tables: {', '.join(_BY_NAME)}.") from None


__all__ = ["ALL", "Column", "Document", "Rule", "Table", "Violation", "table"]
