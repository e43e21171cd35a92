"""Warning checks over findings: how a subject's checks become asset checks with one history per partition.

Belongs here: running a table's checks in one step and showing what they found. Does not belong here: what is checked
(the packages' own `findings`), and what blocks (`publishing`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import check_spec
from cm4ai_assets.findings import Finding
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table

Found = Iterator[Finding]
Look = Callable[[Platform, Partition], Found]


def table_checks(
    table: Table, functions: Sequence[Callable[..., Finding]], **others: Callable[..., Finding]
) -> Callable[[Look], dg.AssetChecksDefinition]:
    """Decorator: all warning checks shown beside one table, in one step. Each is described by its docstring."""
    named = {**{function.__name__: function for function in functions}, **others}
    specs = [
        check_spec(name, table, " ".join((function.__doc__ or "").split()), blocking=False)
        for name, function in named.items()
    ]

    def decorate(look: Look) -> dg.AssetChecksDefinition:
        def evaluate(
            context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
        ) -> Iterator[dg.AssetCheckResult]:
            for finding in look(platform, partition_of(context.partition_key)):
                yield dg.AssetCheckResult(
                    asset_key=table.name,
                    check_name=finding.check,
                    passed=finding.passed,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=for_terminal(finding.summary),
                    metadata={
                        **finding.counts,
                        **({} if finding.rows.is_empty() else {"offending": md.rows(finding.rows)}),
                    },
                )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; see `products.check_spec`
            return dg.multi_asset_check(name=f"{table.name}_checks", specs=specs)(evaluate)

    return decorate
