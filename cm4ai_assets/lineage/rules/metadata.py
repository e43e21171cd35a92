"""Rows of what crates and datasheets claim, and of what services counted."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.published import release_file
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET, USAGE_METRICS
from cm4ai_assets.tables.release import IF_ARCHIVE, RELEASE_FILES
from cm4ai_assets.updates.inputs import lock_of

_ADDED, _LANDING_PAGE = "added/", "landing_page"
_SERVICES = {"dataverse": "Dataverse, Make Data Count", "datacite": "DataCite"}


def _claims(chain: Chain, rows: Rows) -> Iterator[Step]:
    for (crate,), part in rows.frame.partition_by("crate_file", as_dict=True).items():
        note = f"position {part['position'][0]} of @graph" if part.height == 1 else ""
        yield document(chain, rows.partition.release, str(crate), note=note)


def _statements(chain: Chain, rows: Rows) -> Iterator[Step]:
    for (source, kind), part in rows.frame.partition_by("source", "source_kind", as_dict=True).items():
        lines = part["line"].drop_nulls().unique().sort().to_list()
        yield _datasheet(chain, rows.partition.release, str(source), str(kind), lines)


def _datasheet(chain: Chain, release: str, source: str, kind: str, lines: list[int]) -> Step:
    if kind == _LANDING_PAGE:
        dataset = _dataset(chain, release)
        note = "What the page said is kept in this table alone: the archive publishes no file and no digest of it."
        return Step(StepKind.OUTSIDE, f"JSON-LD of the landing page of {dataset}", notes=(note,))
    if source.startswith(_ADDED):
        note = "Its operator added it here; the archive does not publish it."
        return Step(StepKind.OUTSIDE, f"datasheet {source.removeprefix(_ADDED)}", lines=tuple(lines), notes=(note,))
    return document(chain, release, source, lines=lines)


def _dataset(chain: Chain, release: str) -> str:
    found = next((one for one in ReleaseRegistry(chain.store).all() if one.key == release), None)
    return f"{found.doi}, version {found.version}" if found else f"release {release}, which is not registered here"


def document(chain: Chain, release: str, name: str, *, lines: list[int] | None = None, note: str = "") -> Step:
    """A document of a release by the name that tables give it: a published file, or `file!member` of a ZIP."""
    path, _, member = name.partition("!")
    lock = lock_of(chain.store, release)
    where = pl.concat_str("directory", "label", separator="/").str.strip_prefix("/") == path
    listed = [] if lock is None else lock.filter(where).rows(named=True)
    files = [release_file(chain.store, chain.blobs, row, release) for row in listed]
    if member:
        found = chain.member(files[0].sha256 if files else None, member)
        return chain.members(files, [found], lines=lines or (), note=note)
    if not files:
        return Step(StepKind.OUTSIDE, f"file {path}", notes=(f"The lock of {release} does not list it.",))
    return chain.file(files[0], lines=lines or (), notes=(note,) if note else ())


def _counts(_: Chain, rows: Rows) -> Iterator[Step]:
    columns = ("service", "doi", "observed_at")
    for service, doi, seen in rows.frame.select(columns).unique().sort(columns).iter_rows():
        note = f"Asked on {seen:%Y-%m-%d %H:%M} UTC. Its answer is kept in this table alone."
        yield Step(StepKind.OUTSIDE, f"counts of {doi} by {_SERVICES.get(service, service)}", notes=(note,))


RULES = {
    CRATE_ENTITIES.name: Rule(_claims, reads=(RELEASE_FILES.name, IF_ARCHIVE.name)),
    CRATE_EDGES.name: Rule(_claims, reads=(RELEASE_FILES.name, IF_ARCHIVE.name)),
    RELEASE_DATASHEET.name: Rule(_statements, reads=(RELEASE_FILES.name, IF_ARCHIVE.name)),
    USAGE_METRICS.name: Rule(_counts),
}
