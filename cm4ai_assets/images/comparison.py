"""A blurred image beside a sharp one of the same protein, so that a person can judge what the focus check says.

Belongs here: which image is the counterpart, and the two cut alike at the scale of their pixels. Does not belong here:
what counts as blurred (`findings.in_focus`), or how the pair gets into a page (`defs.images.pages`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import polars as pl

from cm4ai_assets.drawing import webp, webp_unscaled
from cm4ai_assets.heavy import Image, cv2, np, npt
from cm4ai_assets.images.pictures import stretched

# Blur of two pixels still shows at this quality of WebP; at less, the encoder blurs by itself.
_LEAST_QUALITY: Final = 45
_CUTS: Final = (2048, 1024, 768, 512, 384, 256)

Plane: TypeAlias = "npt.NDArray[np.uint8]"


@dataclass(frozen=True, slots=True)
class Pair:
    """A blurred image and its counterpart; None where the tensor has none. `same_protein` says how they compare."""

    channel: str
    blurred_id: str
    blurred_index: int
    blurred_focus: float
    sharp_id: str | None
    sharp_index: int | None
    sharp_focus: float | None
    same_protein: bool


def pairs(blurred: pl.DataFrame, fields: pl.DataFrame, quality: pl.DataFrame) -> list[Pair]:
    """Each blurred image that is in the tensor, with the one of the same channel to hold it against.

    That is the image whose focus is nearest to the median, among fields of the same antibody if there are any.

    Args:
        blurred: What `findings.in_focus` names: field_id, channel, focus, median_focus.
        fields: The `if_fields` table.
        quality: The `if_quality` table.
    """
    named = fields.filter(pl.col("tensor_index").is_not_null()).select("field_id", "antibody_id", "tensor_index")
    judged = (
        quality.filter(~pl.col("is_empty"), pl.col("focus").is_not_null())
        .select("field_id", "channel", "focus")
        .join(blurred.select("field_id", "channel"), on=["field_id", "channel"], how="anti")
        .join(named, on="field_id", maintain_order="left")
    )
    rows = blurred.join(named, on="field_id", maintain_order="left").iter_rows(named=True)
    return [_pair(row, judged.filter(pl.col("channel") == row["channel"])) for row in rows]


def _pair(row: Mapping[str, Any], judged: pl.DataFrame) -> Pair:
    # Unknown antibodies are not alike.
    alike = judged.filter(pl.col("antibody_id") == pl.lit(row["antibody_id"], pl.String))
    candidates = judged if alike.is_empty() else alike
    nearest = candidates.sort((pl.col("focus") / row["median_focus"]).log().abs(), maintain_order=True).head(1)
    sharp = next(nearest.iter_rows(named=True), {"field_id": None, "tensor_index": None, "focus": None})
    return Pair(
        channel=row["channel"],
        blurred_id=row["field_id"],
        blurred_index=row["tensor_index"],
        blurred_focus=row["focus"],
        sharp_id=sharp["field_id"],
        sharp_index=sharp["tensor_index"],
        sharp_focus=sharp["focus"],
        same_protein=not alike.is_empty(),
    )


def at_full_scale(planes: list[Plane]) -> list[bytes]:
    """Planes as WebP pictures, one pixel of the plane for one of the picture, each stretched by itself.

    They are whole where that fits into a page's limit, else all cut to one size, around where each is brightest.
    """
    for edge in _CUTS:
        made = [webp_unscaled(_cut(plane, edge), least_quality=_LEAST_QUALITY) for plane in planes]
        if fitting := [data for data in made if data is not None] if None not in made else []:
            return fitting
    return [webp(_cut(plane, _CUTS[-1])) for plane in planes]


def _cut(plane: Plane, edge: int) -> Image.Image:
    """A square of the stretched plane around its brightest part."""
    edge = min(edge, plane.shape[0])
    smooth = cv2.blur(plane, (max(edge // 2, 1), max(edge // 2, 1)))
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    top, left = (int(min(max(at - edge // 2, 0), plane.shape[0] - edge)) for at in (y, x))
    return Image.fromarray(stretched(plane)[top : top + edge, left : left + edge])
