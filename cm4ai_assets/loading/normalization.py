"""Intensities of each image on one scale, from statistics that are stored.

Belongs here: offset and scale of images. Does not belong here: the statistics themselves (`images.quality`), or other
steps of a transform (`transforms`).

Intensities of different published images are probably not comparable, because each was stretched by itself: hence
normalization for each image, from what `if_quality` holds of the image at its full 2048 x 2048. `normalized` and
`restored` take torch tensors and whole batches on any device, too.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import polars as pl

from cm4ai_assets.errors import ConfigurationError, SelectionError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.images.quality import percentile
from cm4ai_assets.loading.reader import CHANNELS
from cm4ai_assets.loading.transforms import NAMES, Drawn, Form, Image, Step

_KEYS: Final = ("release", "condition", "field_id")
"""What names a field; a frame that somebody wrote may name no release."""


@dataclass(frozen=True)
class Normalize(Step):
    """Pixels as float32: (pixel - offset) / scale, with an offset and a scale for each image and channel.

    Made by `percentiles`, `min_max`, `standard` and `fixed`. Undone exactly, to uint8, unless values were clipped. A
    flat plane, whose scale would be 0, has the scale 1.

    Args:
        kind: What offset and scale are, in words.
        known: Offset and scale by `condition` and `field_id`, and by `release` if the statistics say theirs: a list of
            four each, in the order of the tensor; the scale of a flat plane is 0.
        clip: Values below 0 become 0, and those above 1 become 1.
        later: Leave the pixels as they are, and only record offset and scale: a batch is then a quarter of the size,
            and `normalized` does the rest on the GPU, clipping included. Channels have to be ordered before.
        together: One pair for all channels that the image has at this step.
    """

    kind: str
    known: pl.DataFrame | None = field(repr=False, compare=False)
    clip: bool = False
    later: bool = False
    together: bool = False
    _of: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.clip and self.later:
            raise ConfigurationError(
                "What is left for later is not clipped here.",
                remedy="Leave clip=True out here, and say normalized(image, drawn, clip=True).",
            )

    @classmethod
    def percentiles(
        cls,
        quality: pl.DataFrame | pl.LazyFrame,
        low: float = 1.0,
        high: float = 99.9,
        *,
        clip: bool = False,
        later: bool = False,
    ) -> Normalize:
        """From one percentile (0) to another one (1) of each channel, by the stored histogram.

        Where both are one grey level, as where next to nothing is lit, the scale is the range of the whole plane: its
        few other pixels would lie up to 255 scales away.

        Args:
            quality: The table `if_quality`.
            low: Percent of the pixels, to a tenth.
            high: As `low`.
            clip: See `Normalize`.
            later: See `Normalize`.

        Raises:
            ConfigurationError: No percentiles, or none to a tenth; or both `clip` and `later`.
        """
        if not 0 <= low < high <= 100 or (round(low, 1), round(high, 1)) != (low, high):  # noqa: PLR2004 - percent
            raise ConfigurationError(
                f"{low} and {high} are no percentiles to a tenth.",
                remedy="Take 0 <= low < high <= 100, with one decimal at most.",
            )
        rows = _of_channels(quality, "histogram")
        sums = [np.cumsum(counts, dtype=np.int64) for counts in rows["histogram"].to_list()]
        from_, to, least, greatest = (
            np.array([percentile(total, round(10 * share)) for total in sums]) for share in (low, high, 0, 100)
        )
        kind = f"percentiles {low:g} and {high:g} of each channel, the whole range where these are equal"
        return cls(kind, _table(rows, from_, np.where(to > from_, to - from_, greatest - least)), clip, later)

    @classmethod
    def min_max(cls, quality: pl.DataFrame | pl.LazyFrame, *, together: bool = False, later: bool = False) -> Normalize:
        """From the least (0) to the greatest (1) intensity of each channel, or of all together as SubCell does.

        Args:
            quality: The table `if_quality`.
            together: One pair for all channels, which keeps their proportions: of those that a `ChannelOrder` before
                it left, because SubCell's models see no others.
            later: See `Normalize`.
        """
        rows = _of_channels(quality, "minimum", "maximum")
        low, high = (rows[name].to_numpy().astype(np.float64) for name in ("minimum", "maximum"))
        kind = f"minimum and maximum of {'the channels together' if together else 'each channel'}"
        return cls(kind, _table(rows, low, high - low), later=later, together=together)

    @classmethod
    def standard(cls, quality: pl.DataFrame | pl.LazyFrame, *, later: bool = False) -> Normalize:
        """Mean 0 and standard deviation 1 of each channel of each image, as DINO4Cells does.

        A plane where next to nothing is lit has a small deviation, so its few bright pixels lie tens of deviations
        away: `flags` of a field name such planes as empty.

        Args:
            quality: The table `if_quality`.
            later: See `Normalize`.
        """
        rows = _of_channels(quality, "mean", "std")
        return cls(
            "mean and standard deviation of each channel",
            _table(rows, rows["mean"].to_numpy(), rows["std"].to_numpy()),
            later=later,
        )

    @classmethod
    def fixed(cls, offset: float = 0.0, scale: float = 255.0, *, later: bool = False) -> Normalize:
        """The same for every image: 0 to 1 if nothing is said, as the HPA's DenseNet wants it.

        Raises:
            ConfigurationError: The scale is 0.
        """
        if not scale:
            raise ConfigurationError("Nothing can be divided by the scale 0.", remedy="Take another one, such as 255.")
        ends = (np.full((1, len(CHANNELS)), offset, np.float32), np.full((1, len(CHANNELS)), scale, np.float32))
        return cls(f"(pixel - {offset:g}) / {scale:g}", None, later=later, _of=ends)

    def bound(self, fields: pl.DataFrame) -> Normalize:
        """See `Transform.bound`.

        Raises:
            SelectionError: Nothing is known of a field in its release.
        """
        if self.known is None:
            return self
        # Releases name their fields alike, and the pixels may differ.
        keys = _keys(fields.schema, self.known.schema)
        if self.known.select(keys).is_duplicated().any():
            raise SelectionError(
                "The statistics are of several releases, and the fields do not say which is theirs.",
                remedy="Take if_quality of one release.",
            )
        rows = fields.select(keys).join(self.known, on=keys, how="left", maintain_order="left")
        if rows["scale"].null_count():
            unknown = rows.filter(pl.col("scale").is_null()).select(keys).row(0, named=True)
            of = f" of {unknown['release']}" if "release" in unknown else ""
            raise SelectionError(
                f"The statistics do not know the field {unknown['field_id']}{of}.",
                remedy="Take if_quality of the same release.",
            )
        ends = [np.array(rows[name].to_list(), np.float32) for name in ("offset", "scale")]
        return replace(self, known=None, _of=(ends[0], ends[1]))

    def form(self, form: Form) -> Form:
        """See `Transform.form`."""
        return replace(form, owed=True) if self.later else replace(form, dtype="float32")

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:  # noqa: ARG002
        """See `Transform.draw`: offset and scale of each plane.

        Raises:
            ConfigurationError: The transform is bound to no fields.
        """
        if self._of is None:
            raise ConfigurationError("Offset and scale are not known.", remedy="Hand the transform to the loader.")
        row, planes = min(position, len(self._of[0]) - 1), list(form.channels)
        offset, scale = (of[row, planes] for of in self._of)
        if self.together:
            low, high = offset.min(), (offset + scale).max()
            offset, scale = np.full_like(offset, low), np.full_like(scale, high - low)
        return {"offset": offset, "scale": np.where(scale == 0, np.float32(1), scale)}

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.apply`."""
        return image if self.later else np.asarray(normalized(image, drawn, clip=self.clip))

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.inverse`."""
        if image.dtype == np.uint8:
            return image
        return np.asarray(np.rint(restored(image, drawn)).clip(0, 255), np.uint8)

    def stated(self) -> list[dict[str, Any]]:
        """See `Transform.stated`."""
        return [{"step": "normalization", "kind": self.kind, "clipped": self.clip, "later": self.later}]


def normalized(images: Any, drawn: Mapping[str, Any], *, clip: bool = False) -> Any:  # noqa: ANN401 - numpy or torch
    """Images as float32: (pixel - offset) / scale.

    Args:
        images: (channel, y, x), or a batch of such: a numpy array, or a torch tensor on any device.
        drawn: `offset` and `scale` of the planes, (channel,) or (batch, channel): what a batch has under `transform`.
        clip: Values below 0 become 0, and those above 1 become 1.
    """
    offset, scale = _ends(images, drawn)
    values = (_floats(images) - offset) / scale
    return values.clip(0, 1) if clip else values


def restored(images: Any, drawn: Mapping[str, Any]) -> Any:  # noqa: ANN401 - numpy or torch
    """What `normalized` was given, as float32: value x scale + offset. See there."""
    offset, scale = _ends(images, drawn)
    return _floats(images) * scale + offset


def _ends(images: Any, drawn: Mapping[str, Any]) -> tuple[Any, Any]:  # noqa: ANN401 - numpy or torch
    ends = [drawn[name][..., None, None] for name in ("offset", "scale")]
    if hasattr(images, "device") and not isinstance(images, np.ndarray):
        ends = [images.new_tensor(end.tolist(), dtype=_floats(images[:0]).dtype) for end in ends]
    return ends[0], ends[1]


def _floats(images: Any) -> Any:  # noqa: ANN401 - numpy or torch
    return images.astype(np.float32) if isinstance(images, np.ndarray) else images.float()


def _keys(*columns: Container[str]) -> list[str]:
    """Those of the keys that all frames have; without `condition` or `field_id` there are no statistics of a field."""
    return [name for name in _KEYS if name != "release" or all(name in own for own in columns)]


def _of_channels(quality: pl.DataFrame | pl.LazyFrame, *columns: str) -> pl.DataFrame:
    """Rows of `if_quality`, four a field, in the order of the tensor's channels."""
    keys = _keys(quality.lazy().collect_schema())
    rows = quality.lazy().select(*keys, "channel", *columns).collect()
    place = pl.col("channel").replace_strict({name: n for n, name in enumerate(NAMES)}, return_dtype=pl.Int8)
    return rows.filter(pl.len().over(keys) == len(NAMES)).sort(*keys, place)


def _table(rows: pl.DataFrame, offset: npt.NDArray[Any], scale: npt.NDArray[Any]) -> pl.DataFrame:
    keys = _keys(rows.schema)
    ends = rows.select(keys).with_columns(
        offset=pl.Series(offset, dtype=pl.Float32), scale=pl.Series(scale, dtype=pl.Float32)
    )
    return ends.group_by(keys, maintain_order=True).agg("offset", "scale")
