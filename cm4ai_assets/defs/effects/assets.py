"""Assets of what plates, positions and treatments do to images. Thin: `effects` says how.

Belongs here: what is made of the tables of fields and their quality, all conditions together. Does not belong here:
warnings (`checks`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg

from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.automation import follows_what_there_is
from cm4ai_assets.defs.effects import pages
from cm4ai_assets.defs.integration.assets import GROUP, POOL
from cm4ai_assets.defs.integration.inputs import Inputs, read
from cm4ai_assets.defs.products import table_spec, tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.effects.effects import effect_rows
from cm4ai_assets.effects.measures import field_measures
from cm4ai_assets.effects.plates import plate_rows
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables import Table
from cm4ai_assets.tables.effects import IF_EFFECTS, IF_PLATES
from cm4ai_assets.tables.images import IF_FIELDS, IF_QUALITY
from cm4ai_assets.vocabulary import CellLine, Modality

TAGS = {"cm4ai/modality": Modality.IF.value, "cm4ai/cell_line": CellLine.MDA_MB_468.value}
_OF_IMAGES = (IF_FIELDS.name, IF_QUALITY.name)


def _spec(table: Table) -> dg.AssetSpec:
    return table_spec(
        table,
        group=GROUP,
        kinds={"parquet"},
        tags=TAGS,
        deps=(),
        # Those of the conditions that there are, which may stand under another release with the same bytes.
        optional=_OF_IMAGES,
        automation_condition=follows_what_there_is(),
        code_version="1",
        skippable=True,
    )


@tables_if_there(_spec(IF_PLATES), name="if_plates", pool=POOL)
def if_plates(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """Plates and positions against each other, in the reference stains."""
    found = _fields(context, platform)
    if found is None:
        return
    measures = field_measures(found[IF_FIELDS.name], found[IF_QUALITY.name])
    frame = IF_PLATES.place(plate_rows(measures), release=context.partition_key)
    yield from publish(
        context, platform.store, Draft(IF_PLATES, frame, metadata=pages.of_plates(frame, measures, found))
    )


@tables_if_there(_spec(IF_EFFECTS), name="if_effects", pool=POOL)
def if_effects(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[AssetResult]:
    """Treated wells against the untreated ones of the same plate and position, protein by protein."""
    found = _fields(context, platform)
    if found is None:
        return
    conditions = set(found[IF_FIELDS.name]["condition"])
    if str(Condition.UNTREATED) not in conditions or len(conditions) == 1:
        not_there(context, platform, f"A treatment is compared with untreated wells. {found.reason}")
        return
    measures = field_measures(found[IF_FIELDS.name], found[IF_QUALITY.name])
    frame = IF_EFFECTS.place(effect_rows(measures, found[IF_FIELDS.name]), release=context.partition_key)
    yield from publish(
        context, platform.store, Draft(IF_EFFECTS, frame, metadata=pages.of_effects(frame, measures, found))
    )


def _fields(context: dg.AssetExecutionContext, platform: Platform) -> Inputs | None:
    """The fields and their quality; None, and said so, where there are none."""
    found = read(platform, context.partition_key, _OF_IMAGES)
    if len(found.frames) < len(_OF_IMAGES):
        not_there(context, platform, f"There are no fields of view to compare. {found.reason}")
        return None
    found.note(context)
    return found


ASSETS = (if_plates, if_effects)
