"""What the check beside the page says of it.

Belongs here: whether the page is whole. Does not belong here: what is wrong with what it shows, of which checks of
their own speak.
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.findings import Finding
from cm4ai_assets.status.state import Status


def everything_read(status: Status) -> Finding:
    """Everything that the page shows could be read: each release's record and lock, the storage, Dagster's records.

    Protects from a page that is taken for whole while a release on it is unknown. The page is published all the same,
    and says what is missing.
    """
    found = status.unknown
    message = f"{len(found)} {'thing' if len(found) == 1 else 'things'} could not be read: {' '.join(found)}"
    return Finding(
        "everything_read",
        passed=not found,
        summary=message if found else "Everything could be read.",
        rows=pl.DataFrame({"not_read": list(found)}, schema={"not_read": pl.String}),
        counts={"not read": len(found), "unknown releases": len(status.problems)},
    )
