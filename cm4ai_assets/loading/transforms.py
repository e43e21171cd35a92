"""What is done to an image before a model sees it, stated, recorded for each image, and undone where that is possible.

Belongs here: channel order, cut-outs and flips of single images. Does not belong here: intensities (`normalization`),
reading, or batches.

A transform is drawn (its parameters for one image), applied, and may be undone with the same parameters. Batches carry
the parameters under `transform`; `drawn_of` takes those of one image out. Images are numpy arrays (channel, y, x).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol, TypeAlias

import polars as pl

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.images.decode import PLANES
from cm4ai_assets.loading.reader import CHANNELS

Image: TypeAlias = "npt.NDArray[Any]"
Drawn = dict[str, Any]
"""Parameters of one image: whole numbers and small arrays, by name."""

NAMES: Final = tuple(PLANES)
"""Names of the channels in the order of the tensor: red, green, blue, yellow."""

PRESETS: Final[Mapping[str, tuple[str, ...]]] = {
    # Human Protein Atlas, bestfitting's DenseNet-121: "rgby" in its own normalization.
    "hpa_densenet": ("red", "green", "blue", "yellow"),
    # DINO4Cells, HPA models: loaders of single channels number them r 0, g 1, b 2, y 3.
    "dino4cells": ("red", "green", "blue", "yellow"),
    # SubCell (SubCellPortable): model_channels rybg, rbg, ybg, bg.
    "subcell": ("red", "yellow", "blue", "green"),
    "subcell_rbg": ("red", "blue", "green"),
    "subcell_ybg": ("yellow", "blue", "green"),
    "subcell_bg": ("blue", "green"),
}
"""Channels in the order in which published models want them."""


@dataclass(frozen=True)
class Form:
    """What an image is like between two steps.

    Attributes:
        channels: Which plane of the tensor each of its planes is.
        size: Edge length.
        dtype: Type of the pixels.
        owed: An offset and a scale of each plane are recorded, in this order of planes, and left for later.
    """

    channels: tuple[int, ...]
    size: int
    dtype: str = "uint8"
    owed: bool = field(default=False, repr=False)


class Transform(Protocol):
    """One step, or several."""

    def bound(self, fields: pl.DataFrame) -> Transform:
        """The transform with what it needs to know of each of these fields."""

    def form(self, form: Form) -> Form:
        """What an image of the form `form` is like afterwards."""

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:
        """The parameters for the image of a field, before anything was done to its pixels."""

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """The image with it; may be a view of what was given."""

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """The image without it."""

    def stated(self) -> list[dict[str, Any]]:
        """What is done, for a methods section or a model card; JSON can hold it."""


class Step:
    """What most steps have in common."""

    def bound(self, fields: pl.DataFrame) -> Any:  # noqa: ANN401, ARG002 - itself, whatever it is
        """See `Transform.bound`."""
        return self

    def form(self, form: Form) -> Form:
        """See `Transform.form`."""
        return form


@dataclass(frozen=True)
class ChannelOrder(Step):
    """The planes in another order, or some of them. Undone exactly, if none is left out.

    Args:
        channels: Names of channels, or the name of one of `PRESETS`.

    >>> ChannelOrder("subcell").indices
    (0, 3, 2, 1)
    """

    channels: str | tuple[str, ...]

    def __post_init__(self) -> None:
        known = self.names
        if not known or any(name not in NAMES for name in known) or len(set(known)) != len(known):
            raise ConfigurationError(
                f"No order of channels: {self.channels!r}.",
                remedy=f"Name each of {', '.join(NAMES)} once at most, or one of {', '.join(PRESETS)}.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The channels by name."""
        return PRESETS.get(self.channels, (self.channels,)) if isinstance(self.channels, str) else self.channels

    @property
    def indices(self) -> tuple[int, ...]:
        """The channels as planes of the tensor."""
        return tuple(NAMES.index(name) for name in self.names)

    def form(self, form: Form) -> Form:
        """See `Transform.form`.

        Raises:
            ConfigurationError: A channel is not there, or what was left for later would be of other planes.
        """
        if form.owed:
            raise ConfigurationError(
                "Channels cannot be ordered after a normalization that is left for later: it records their order.",
                remedy="Put ChannelOrder before it.",
            )
        if absent := set(self.indices) - set(form.channels):
            raise ConfigurationError(
                f"The channel {NAMES[min(absent)]} was left out before.", remedy="Order the channels once."
            )
        return replace(form, channels=self.indices)

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:  # noqa: ARG002
        """See `Transform.draw`: where each plane is taken from."""
        return {"planes": np.array([form.channels.index(channel) for channel in self.indices])}

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.apply`."""
        return image[drawn["planes"]]

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.inverse`.

        Raises:
            ConfigurationError: A plane was left out.
        """
        planes = np.asarray(drawn["planes"])
        if sorted(planes) != list(CHANNELS):
            raise ConfigurationError("Planes that were left out cannot be restored.", remedy="Read the field again.")
        return image[np.argsort(planes)]

    def stated(self) -> list[dict[str, Any]]:
        """See `Transform.stated`."""
        return [{"step": "channel order", "channels": list(self.names)}]


@dataclass(frozen=True)
class Crop(Step):
    """A square cut out of the image. Undone, it stands in its place again, and zeros around it.

    Args:
        size: Edge length of the square.
        place: "random", or "centre".
    """

    size: int
    place: Literal["random", "centre"] = "random"

    def form(self, form: Form) -> Form:
        """See `Transform.form`.

        Raises:
            ConfigurationError: The image is smaller.
        """
        if not 1 <= self.size <= form.size or self.place not in {"random", "centre"}:
            raise ConfigurationError(
                f"A {self.place} square of {self.size} cannot be cut out of {form.size} x {form.size} pixels.",
                remedy=f"Take 1 to {form.size}, and the place 'random' or 'centre'.",
            )
        return replace(form, size=self.size)

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:  # noqa: ARG002
        """See `Transform.draw`: the upper left corner."""
        room = form.size - self.size
        y, x = rng.integers(0, room + 1, 2) if self.place == "random" else (room // 2, room // 2)
        return {"crop_y": int(y), "crop_x": int(x), "crop_of": form.size}

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.apply`."""
        y, x = int(drawn["crop_y"]), int(drawn["crop_x"])
        return image[:, y : y + self.size, x : x + self.size]

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.inverse`."""
        y, x, edge = (int(drawn[name]) for name in ("crop_y", "crop_x", "crop_of"))
        whole = np.zeros((image.shape[0], edge, edge), image.dtype)
        whole[:, y : y + self.size, x : x + self.size] = image
        return whole

    def stated(self) -> list[dict[str, Any]]:
        """See `Transform.stated`."""
        return [{"step": "crop", "size": self.size, "place": self.place}]


@dataclass(frozen=True)
class Flip(Step):
    """Flipped along y, along x, and with y and x exchanged, each by half the chance: all eight ways. Undone exactly."""

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:  # noqa: ARG002
        """See `Transform.draw`."""
        return dict(zip(("flip_y", "flip_x", "transpose"), map(int, rng.integers(0, 2, 3)), strict=True))

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.apply`."""
        return _flipped(image.swapaxes(1, 2) if drawn["transpose"] else image, drawn)

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.inverse`."""
        straight = _flipped(image, drawn)
        return straight.swapaxes(1, 2) if drawn["transpose"] else straight

    def stated(self) -> list[dict[str, Any]]:
        """See `Transform.stated`."""
        return [{"step": "flip", "ways": 8}]


def _flipped(image: Image, drawn: Drawn) -> Image:
    return image[:, :: -1 if drawn["flip_y"] else 1, :: -1 if drawn["flip_x"] else 1]


@dataclass(frozen=True)
class Compose:
    """Steps one after the other; undone from the last to the first. At most one of each kind.

    Each kind records its parameters under the same names: a second one would overwrite those of the first.

    Args:
        steps: The steps; of those that are several their steps are taken.

    >>> Compose(ChannelOrder("subcell"), Crop(512), Flip()).form(Form((0, 1, 2, 3), 1024))
    Form(channels=(0, 3, 2, 1), size=512, dtype='uint8')
    """

    steps: tuple[Transform, ...]

    def __init__(self, *steps: Transform) -> None:
        single = tuple(one for step in steps for one in (step.steps if isinstance(step, Compose) else (step,)))
        if len({type(step) for step in single}) != len(single):
            raise ConfigurationError("Two steps are of one kind.", remedy="Take each kind of step once.")
        object.__setattr__(self, "steps", single)

    def bound(self, fields: pl.DataFrame) -> Compose:
        """See `Transform.bound`."""
        return Compose(*(step.bound(fields) for step in self.steps))

    def form(self, form: Form) -> Form:
        """See `Transform.form`."""
        for step in self.steps:
            form = step.form(form)
        return form

    def draw(self, form: Form, position: int, rng: np.random.Generator) -> Drawn:
        """See `Transform.draw`."""
        drawn: Drawn = {}
        for step in self.steps:
            drawn |= step.draw(form, position, rng)
            form = step.form(form)
        return drawn

    def apply(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.apply`."""
        for step in self.steps:
            image = step.apply(image, drawn)
        return image

    def inverse(self, image: Image, drawn: Drawn) -> Image:
        """See `Transform.inverse`."""
        for step in reversed(self.steps):
            image = step.inverse(image, drawn)
        return image

    def stated(self) -> list[dict[str, Any]]:
        """See `Transform.stated`."""
        return [one for step in self.steps for one in step.stated()]


def drawn_of(transform: Mapping[str, Any], place: int) -> Drawn:
    """The parameters of one image of a batch, as `Transform.inverse` takes them.

    Args:
        transform: What the batch has under `transform`.
        place: Place of the image in the batch.
    """
    return {name: np.asarray(values[place]) for name, values in transform.items()}


def leading_order(transform: Transform | None) -> tuple[ChannelOrder | None, Transform | None]:
    """Which planes to read, and what is left to be done: planes are ordered by reading them so, which costs nothing."""
    steps = transform.steps if isinstance(transform, Compose) else (transform,) if transform else ()
    if not steps or not isinstance(steps[0], ChannelOrder):
        return None, transform
    return steps[0], Compose(*steps[1:]) if len(steps) > 1 else None
