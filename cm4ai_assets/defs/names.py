"""Names that stand in the instance's records, for whoever reads these without any definition.

Belongs here: the key of the collection, the tag of a reason, and which runs are not done. Does not belong here: names
that one module alone writes and reads.
"""

from __future__ import annotations

from typing import Final

import dagster as dg

COLLECTION: Final = "dataverse_collection"
"""The asset that stands for the archive's collection: every look at it is a materialization."""

REASON_TAG: Final = "cm4ai/reason"
"""The tag of a run that says why it was requested."""

IN_PROGRESS: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
"""The states of a run that is not done."""
