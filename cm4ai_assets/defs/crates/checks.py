"""Checks of a release's own metadata; all of them warn.

Belongs here: how findings about crates and datasheets are run and shown. Does not belong here: what is checked
(`crates`). Where a claim disagrees with the archive, the archive's word stands in every table; the claim is reported.
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.

import polars as pl

from cm4ai_assets.crates import claims, datasheet_claims, soundness
from cm4ai_assets.crates.antibodies import antibodies_agree
from cm4ai_assets.crates.claims import Claims
from cm4ai_assets.crates.datasheet_claims import Statements
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.provenance import disagreements
from cm4ai_assets.crates.reader import read_crates
from cm4ai_assets.defs.checks import Findings, warning_checks
from cm4ai_assets.defs.crates import inputs
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.findings import Finding
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets.tables.release import RELEASE_FILES

# Shown beside the edges; the other checks of `claims` are about entities.
_OF_EDGES = (claims.crate_parts, claims.crate_inverses, claims.crate_targets)
_OF_ENTITIES = tuple(check for check in claims.CHECKS if check not in _OF_EDGES)


def _rows(platform: Platform, table: Table, partition: Partition) -> pl.DataFrame:
    return platform.store.table(table.name, partition).collect()


def _claims(platform: Platform, partition: Partition) -> Claims:
    """The crates of a release, and the archive's word to hold them against."""
    release, earlier = inputs.published(platform, partition.release, _rows(platform, RELEASE_FILES, partition))
    return Claims(_rows(platform, CRATE_ENTITIES, partition), _rows(platform, CRATE_EDGES, partition), release, earlier)


@warning_checks(CRATE_ENTITIES, (*_OF_ENTITIES, soundness.crates_readable, soundness.entities_sound, antibodies_agree))
def entity_checks(platform: Platform, partition: Partition) -> Findings:
    """What the crates claim, against the archive, the manifests and the format."""
    subject = _claims(platform, partition)
    for check in _OF_ENTITIES:
        yield check(subject)
    found = inputs.read(platform, subject.release.files)
    made = crate_tables(read_crates(found.crates), release=partition.release)
    yield soundness.crates_readable([*found.problems, *made.problems])
    yield soundness.entities_sound(subject.entities)
    yield _antibodies(platform, partition, subject.entities)


def _antibodies(platform: Platform, partition: Partition, entities: pl.DataFrame) -> Finding:
    try:
        manifests = platform.store.release_table(IF_ANTIBODIES.name, partition.release).collect()
    except NotMaterializedError:
        summary = "not compared: if_antibodies is not published for this release"
        return Finding(antibodies_agree.__name__, passed=True, summary=summary)
    return antibodies_agree(entities, manifests)


@warning_checks(CRATE_EDGES, _OF_EDGES, provenance_agrees=disagreements)
def edge_checks(platform: Platform, partition: Partition) -> Findings:
    """How the crates hang together, and whether the published provenance graphs say the same."""
    subject = _claims(platform, partition)
    for check in _OF_EDGES:
        yield check(subject)
    graphs = inputs.read(platform, subject.release.files).graphs
    yield disagreements(graphs, subject.entities, subject.edges)


@warning_checks(RELEASE_DATASHEET, (*datasheet_claims.CHECKS, soundness.datasheets_conform))
def datasheet_checks(platform: Platform, partition: Partition) -> Findings:
    """What the datasheets state, against the archive and their formats."""
    release, earlier = inputs.published(platform, partition.release, _rows(platform, RELEASE_FILES, partition))
    stored = inputs.stored_sha256(platform, release.files)
    subject = Statements(_rows(platform, RELEASE_DATASHEET, partition), release, earlier, stored)
    for check in datasheet_claims.CHECKS:
        yield check(subject)
    yield soundness.datasheets_conform(subject.datasheet)


CHECKS = (entity_checks, edge_checks, datasheet_checks)
