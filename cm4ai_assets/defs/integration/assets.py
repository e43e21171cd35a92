"""Assets over all modalities: coverage, and splits for training. Thin: `integration` says how.

Belongs here: what is made of the tables of a release once they are there. Does not belong here: warnings (`checks`),
and which tables there are (`inputs`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_what_there_is
from cm4ai_assets.defs.integration import inputs, pages
from cm4ai_assets.defs.products import blocking_check, table_spec, tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, gate_of, publish
from cm4ai_assets.integration.coverage_findings import ids_kept
from cm4ai_assets.integration.leaks import no_leaks
from cm4ai_assets.integration.mapping import bundled_mapping
from cm4ai_assets.integration.proteins import SOURCES, protein_rows
from cm4ai_assets.integration.splits import VERSION, split_rows
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_FIELDS
from cm4ai_assets.tables.integration import PROTEINS, SPLITS

GROUP = "integration"
TAGS = {"cm4ai/modality": "all"}
POOL = "integration"
_OF_IMAGES = (IF_ANTIBODIES.name, IF_FIELDS.name)


def spec_of(
    table: Table, inputs: Sequence[str], *, tags: Mapping[str, str] = TAGS, code_version: str = "1"
) -> dg.AssetSpec:
    """The spec of a table that is made of those of its inputs that there are: no release has all of them.

    They may stand under another release with the same bytes.
    """
    return table_spec(
        table,
        group=GROUP,
        kinds={"parquet"},
        tags=tags,
        deps=(),
        optional=inputs,
        automation_condition=follows_what_there_is(),
        code_version=code_version,
        skippable=True,
    )


@tables_if_there(
    spec_of(PROTEINS, SOURCES, code_version="2"),
    checks=[blocking_check(PROTEINS, ids_kept)],
    name=PROTEINS.name,
    pool=POOL,
)
def proteins(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """What covers each gene or protein, counted over the tables that are published."""
    found = inputs.read(platform, context.partition_key, SOURCES)
    if not found.frames:
        not_there(context, platform, f"There is nothing to count. {found.reason}")
        return
    found.note(context)
    frame = PROTEINS.place(protein_rows(found.frames, bundled_mapping()), release=context.partition_key)
    gate = gate_of(ids_kept(frame, found.frames))
    yield from publish(context, platform.store, Draft(PROTEINS, frame, [gate], pages.of_proteins(frame, found)))


@tables_if_there(
    spec_of(SPLITS, _OF_IMAGES, code_version=f"2.{VERSION}"),
    checks=[blocking_check(SPLITS, no_leaks)],
    name=SPLITS.name,
    pool=POOL,
)
def splits(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """Sides of every field under every scheme, held against the graph before they are published."""
    found = inputs.read_all(context, platform, _OF_IMAGES, "There are no fields of view to split.")
    if found is None:
        return
    fields, antibodies = found[IF_FIELDS.name], found[IF_ANTIBODIES.name]
    mapping = bundled_mapping()
    frame = SPLITS.place(split_rows(fields, antibodies, mapping), release=context.partition_key)
    gate = gate_of(no_leaks(frame, antibodies, mapping))
    yield from publish(context, platform.store, Draft(SPLITS, frame, [gate], pages.of_splits(frame, found)))


ASSETS = (proteins, splits)
