"""Rows of the proteomics path: to the tables in a release's ZIPs, or in the deposits that it names."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.published import deposit_file
from cm4ai_assets.lineage.sources import Source, sources_of
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.tables.proteomics import (
    APMS_INTERACTIONS,
    APMS_RUNS,
    MASSIVE_FILES,
    SECMS_PROFILES,
    SECMS_PROTEINS,
)
from cm4ai_assets.tables.release import RELEASE_FILES

_GROUP = ("replicate_id", "quantity_kind", "protein_group", "occurrence")


def _tables(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The tables that rows were read from, with their lines."""
    for source in sources_of(chain.store, rows.partition.release, rows.frame):
        for name in source.tables:
            own = pl.col("source_file_id").eq_missing(source.file_id) & pl.col("source_sha256").eq_missing(
                source.sha256
            )
            lines = rows.frame.filter(own, pl.col("source_file") == name)["source_line"]
            yield table_in(chain, source, name, lines.drop_nulls().unique().sort().to_list())


def table_in(chain: Chain, source: Source, name: str, lines: list[int]) -> Step:
    """A table in a published file: a member of a ZIP, or a file of a deposit by itself."""
    if source.file_id is not None:
        files = [source.file] if source.file else []
        return chain.members(files, [chain.member(source.sha256, name)], lines=lines, note=_unlisted(source))
    if source.file is not None:
        return chain.file(source.file, lines=lines)
    return Step(StepKind.OUTSIDE, f"table {name}", lines=tuple(lines), notes=(_unlisted(source),))


def _unlisted(source: Source) -> str:
    if source.file is not None:
        return ""
    what = f"file {source.file_id}" if source.file_id is not None else "no file of a deposit"
    digest = f" with SHA-256 {source.sha256}" if source.sha256 else ""
    return f"The release lists {'no ' if source.file_id is not None else ''}{what}{digest}."


def _profiles(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The rows of their protein groups, which name table and line."""
    for group in rows.frame.select(_GROUP).unique(maintain_order=True).rows(named=True):
        yield from chain.matching(
            SECMS_PROTEINS.name, rows.partition, *(pl.col(name) == value for name, value in group.items())
        )


def _deposits(chain: Chain, rows: Rows) -> Iterator[Step]:
    for row in rows.frame.rows(named=True):
        notes = [f"As listed by {row['source']}."]
        if row["is_folder"]:
            digest = f" SHA-256 over the list of its files: {row['sha256']}." if row["sha256"] else ""
            notes.append(f"A folder of one acquisition.{digest}")
        yield chain.file(deposit_file(chain.blobs, row), notes=notes)


RULES = {
    SECMS_PROFILES.name: Rule(_profiles, reads=(RELEASE_FILES.name, MASSIVE_FILES.name)),
    SECMS_PROTEINS.name: Rule(_tables, reads=(RELEASE_FILES.name, MASSIVE_FILES.name)),
    APMS_INTERACTIONS.name: Rule(_tables, reads=(RELEASE_FILES.name,)),
    APMS_RUNS.name: Rule(_tables, reads=(RELEASE_FILES.name, MASSIVE_FILES.name)),
    MASSIVE_FILES.name: Rule(_deposits, reads=(RELEASE_FILES.name,)),
}
