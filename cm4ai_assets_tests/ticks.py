"""One tick of automation, for tests.

Belongs here: how a test asks what automation would do. Does not belong here: the conditions (`defs.automation`).
"""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest.mock import patch

import dagster as dg


def tick_of(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: Any = None) -> Any:
    """What automation would request now.

    Dagster's tester asks the database for the partitions thousands of times where its daemon asks once; they do not
    change during a tick.
    """
    with patch.object(instance, "get_dynamic_partitions", cache(instance.get_dynamic_partitions)):
        return dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
