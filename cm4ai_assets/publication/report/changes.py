"""What a report says of change and of doubt: against the release before, and what the checks found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN
from cm4ai_assets.publication.blocks import (
    Badge,
    Block,
    Content,
    Mono,
    Section,
    Strong,
    Table,
    Text,
    table_of,
)
from cm4ai_assets.publication.report.subject import Checked, Subject, absent
from cm4ai_assets.tables.release import RELEASE_CHANGES

_CHANGED_ROWS, _OFFENDING_ROWS = 40, 5


def changes(subject: Subject) -> Section:
    """The files that are new, gone, renamed or replaced, and whose access changed."""
    rows = subject.frame(RELEASE_CHANGES.name)
    title = "Changes since the last release"
    if rows is None:
        return absent(subject, title, RELEASE_CHANGES.name)
    against = rows["against"].first() if rows.height else None
    if against is None:
        return Section(title, (Text("No release before this one is registered here, so every file is new."),))
    counts = rows.group_by("change").agg(
        pl.len().alias("files"), pl.coalesce("size", "previous_size").sum().alias("size"),
        pl.col("access_changed").sum().alias("access changed"),
    )  # fmt: skip
    changed = rows.filter((pl.col("change") != "unchanged") | pl.col("access_changed")).sort("change", "label")
    shown = changed.select(
        "change", _path("previous_").alias("before"), _path("").alias("now"), "size", "previous_access", "access"
    )
    listed = table_of(shown, "Files that changed", shown=_CHANGED_ROWS, absent="-")
    none = Text("No file changed, and the access of none did.")
    intro: Content = ["Compared with release ", Mono(str(against)), ", by bytes and place, never by name alone."]
    table = table_of(counts.sort("files", "change", descending=[True, False]), "Files by change")
    return Section(title, (Text(intro), table, listed if changed.height else none))


def _path(side: str) -> pl.Expr:
    directory, label = pl.col(f"{side}directory"), pl.col(f"{side}label")
    return pl.when(directory == "").then(label).otherwise(pl.concat_str(directory, label, separator="/"))


def anomalies(subject: Subject) -> Section:
    """What the checks found: how many of each table warn, and each that does, with some of its rows."""
    title = "Anomalies and contradictions"
    if not subject.checked:
        return Section(title, (Text("No check was evaluated for this page."),))
    by_asset = [(asset, list(some)) for asset, some in groupby(subject.checked, lambda one: one.asset)]
    intro = Text(
        "Checks hold the published tables against each other, against what the release claims of itself, and against "
        "what is plausible. A warning is no verdict: it names what a reader should look at. Nothing is left out of the "
        "tables because of it."
    )
    counts = [(Mono(asset), len(some), sum(not one.warns for one in some), sum(one.warns for one in some))
              for asset, some in by_asset]  # fmt: skip
    table = Table("Checks by table", ["table", "evaluated", "passed", "warn"], counts)
    parts = [part for asset, some in by_asset if (part := _of_asset(asset, some))]
    return Section(title, (intro, table, *parts))


def _of_asset(asset: str, checked: Sequence[Checked]) -> Section | None:
    names = list(dict.fromkeys(one.check for one in checked))
    warning = sorted((one for one in checked if one.warns), key=lambda one: names.index(one.check))
    if not warning:
        return None
    rows = [(Mono(one.check), one.condition or "-", _badge(one), _summary(one)) for one in warning]
    table = Table(f"What is doubtful in {asset}", ["check", "condition", "result", "what was found"], rows)
    return Section(asset, (table, *_details(warning)))


def _badge(one: Checked) -> Badge:
    return Badge("not evaluated", "neutral") if one.finding is None else Badge("warning", "warning")


def _summary(one: Checked) -> str:
    if one.finding is None:
        return one.problem
    counts = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in one.finding.counts.items())
    return f"{one.finding.summary} ({counts})" if counts else one.finding.summary


def _details(warning: Sequence[Checked]) -> Iterator[Block]:
    """What each check is for, once, and some of the rows that it names."""
    for check, some in groupby(warning, lambda one: one.check):
        found = list(some)
        yield Text([Strong(check), ": ", found[0].description])
        for one in found:
            if one.finding is not None and not one.finding.rows.is_empty():
                yield _offending(one, one.finding.rows)


def _offending(one: Checked, rows: pl.DataFrame) -> Table:
    place = f"{one.asset}, {one.check}" + (f", {one.condition}" if one.condition else "")
    cut = ", of the first hundred that it names" if rows.height == ROWS_SHOWN else ""
    return table_of(rows, f"Rows named by {place}{cut}", shown=_OFFENDING_ROWS, absent="-")
