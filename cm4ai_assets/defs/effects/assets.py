"""Assets of what plates, positions and treatments do to images. Thin: `effects` says how.

Belongs here: what is made of the tables of fields and their quality, all conditions together. Does not belong here:
warnings (`checks`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator

import dagster as dg

from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.effects import pages
from cm4ai_assets.defs.integration.assets import POOL, spec_of
from cm4ai_assets.defs.integration.inputs import Inputs, read_all
from cm4ai_assets.defs.products import tables_if_there
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.effects.effects import effect_rows
from cm4ai_assets.effects.measures import field_measures
from cm4ai_assets.effects.plates import plate_rows
from cm4ai_assets.platform import Platform
from cm4ai_assets.tables.effects import IF_EFFECTS, IF_PLATES
from cm4ai_assets.tables.images import IF_FIELDS, IF_QUALITY
from cm4ai_assets.vocabulary import CellLine, Modality

TAGS = {"cm4ai/modality": Modality.IF.value, "cm4ai/cell_line": CellLine.MDA_MB_468.value}
_OF_IMAGES = (IF_FIELDS.name, IF_QUALITY.name)


@tables_if_there(spec_of(IF_PLATES, _OF_IMAGES, tags=TAGS), name=IF_PLATES.name, pool=POOL)
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


@tables_if_there(spec_of(IF_EFFECTS, _OF_IMAGES, tags=TAGS), name=IF_EFFECTS.name, pool=POOL)
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
    return read_all(context, platform, _OF_IMAGES, "There are no fields of view to compare.")


ASSETS = (if_plates, if_effects)
