"""Warning checks over findings: how a subject's checks become asset checks with one history per partition.

Belongs here: running an asset's checks in one step, and the one way in which what they found is shown. Does not belong
here: what is checked (the packages' own `findings`), and what blocks (`publishing`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cm4ai_assets.defs import pages as md
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import check_spec
from cm4ai_assets.defs.publishing import Metadata
from cm4ai_assets.findings import Finding, described_by
from cm4ai_assets.platform import Platform
from cm4ai_assets.runbook import of_check
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Document, Table

Findings = Iterator[Finding]
FindingsOf = Callable[[Platform, Partition], Findings]


@dataclass(frozen=True)
class CheckStep:
    """A step of warning checks, as who computes its findings outside of it needs them.

    Attributes:
        about: See `warning_checks`.
        described: Check to description.
        findings_of: What it finds in a partition.
        asks_archive: It is about the archive as it is now, and needs the network.
    """

    about: Table | Document | str
    described: Mapping[str, str]
    findings_of: FindingsOf
    asks_archive: bool


STEPS: list[CheckStep] = []
"""Every step of warning checks that is defined, in the order of definition."""


def warning_checks(
    about: Table | Document | str,
    functions: Sequence[Callable[..., Finding]] = (),
    *,
    described: Mapping[str, str] | None = None,
    name: str | None = None,
    pool: str | None = None,
    reads: Sequence[str] = (),
    asks_archive: bool = False,
    page: Callable[[Finding, Platform, Partition], Metadata] = lambda *_: {},
    **others: Callable[..., Finding],
) -> Callable[[FindingsOf], dg.AssetChecksDefinition]:
    """Decorator: warning checks shown beside one asset, in one step, with one history per partition.

    Args:
        about: The table or document whose asset they are about, or the key of an asset without partitions.
        functions: Each is one check, with its name, described by its docstring.
        described: Checks that are no function: name to description.
        name: Of the step, where an asset has several.
        pool: Concurrency pool of the step.
        reads: Other assets that the checks look at; the step waits for them, and is skipped where they are not made.
        asks_archive: They are about the archive as it is now, not about what is stored.
        page: What the UI shows of a finding beside its counts and offending rows.
        others: Functions whose checks have other names.
    """
    named = {**{function.__name__: function for function in functions}, **others}
    texts = {check: described_by(function) for check, function in named.items()}
    every = {**texts, **(described or {})}
    specs = [_spec(about, check, text, reads) for check, text in every.items()]
    asset = about if isinstance(about, str) else about.name

    def decorate(findings_of: FindingsOf) -> dg.AssetChecksDefinition:
        STEPS.append(CheckStep(about, every, findings_of, asks_archive))

        def evaluate(
            context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
        ) -> Iterator[dg.AssetCheckResult]:
            partition = Partition() if isinstance(about, str) else partition_of(context.partition_key)
            for finding in findings_of(platform, partition):
                shown = _shown(asset, finding, page(finding, platform, partition))
                if context.has_partition_key:
                    shown["metadata"] = md.counts_in_one_text(shown["metadata"])
                yield dg.AssetCheckResult(**shown)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; see `products.check_spec`
            return dg.multi_asset_check(name=name or f"{asset}_checks", specs=specs, pool=pool)(evaluate)

    return decorate


def evaluation(asset: str, finding: Finding) -> dg.AssetCheckEvaluation:
    """A finding as a sensor reports it, which evaluates a check without a run."""
    shown = _shown(asset, finding, {})
    return dg.AssetCheckEvaluation(**{**shown, "asset_key": dg.AssetKey(asset), "blocking": False})


def result_of(asset: str, finding: Finding) -> dg.AssetCheckResult:
    """A finding as a step reports it that has computed it for its own asset, which has no partitions."""
    return dg.AssetCheckResult(**_shown(asset, finding, {}))


def _spec(about: Table | Document | str, check: str, description: str, reads: Sequence[str]) -> dg.AssetCheckSpec:
    if isinstance(about, str):
        shown = md.with_what_to_do(description, of_check(check, blocking=False))
        return dg.AssetCheckSpec(check, asset=about, description=shown, blocking=False)
    return check_spec(check, about, description, blocking=False, reads=reads)


def _shown(asset: str, finding: Finding, page: Metadata) -> dict[str, Any]:
    """A finding as Dagster has it without partitions: counts are numbers, which it plots; `offending` is a table."""
    counts = {name.replace(" ", "_"): count for name, count in finding.counts.items()}
    offending = {} if finding.rows.is_empty() else {"offending": md.rows(finding.rows)}
    help_ = {} if finding.passed else md.about(of_check(finding.check, blocking=False))
    return {
        "asset_key": asset,
        "check_name": finding.check,
        "passed": finding.passed,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": md.described(finding.summary),
        "metadata": md.texts({**counts, **help_, **offending, **page}),
    }
