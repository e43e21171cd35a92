"""The formats by name. Adding one is a line here and a module beside it, whose `plan` makes it.

Belongs here: names, a line each for people, the choices that a format takes. Does not belong here: the formats, and
anything that is slow to import: `--help` reads this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cm4ai_assets.errors import ConfigurationError

SHARD_FIELDS: Final = 256


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: As `--format` takes it, and its module's name with `_` for `-`.
        summary: What it is, in a line.
        pixels: The forms of pixels that it can hold, its own choice first; none where there is no choice.
        is_sharded: Several fields share a file.
    """

    name: str
    summary: str
    pixels: tuple[str, ...] = ()
    is_sharded: bool = False

    def pixels_as(self, asked: str | None) -> str:
        """The form of pixels to write; empty where there is no choice.

        Raises:
            ConfigurationError: The format has none like this.
        """
        if asked is None:
            return self.pixels[0] if self.pixels else ""
        if asked not in self.pixels:
            remedy = f"It holds {' or '.join(self.pixels)}." if self.pixels else "Leave out --pixels."
            raise ConfigurationError(f"{self.name} does not hold pixels as {asked}.", remedy=remedy)
        return asked

    def shard_of(self, asked: int | None) -> int:
        """How many fields share a file.

        Raises:
            ConfigurationError: The format has no shards.
        """
        if asked is not None and not self.is_sharded:
            raise ConfigurationError(f"{self.name} has no shards.", remedy="Leave out --shard-fields.")
        return asked or SHARD_FIELDS


FORMATS: Final = {
    one.name: one
    for one in (
        Format("cell-maps", "published JPEGs in colour folders, with the tables of CM4AI's own tools"),
        Format("webdataset", "tar shards in random order", ("png", "npy", "jpeg"), is_sharded=True),
        Format(
            "huggingface",
            "Parquet with encoded images, for load_dataset",
            ("png", "jpeg"),
            is_sharded=True,
        ),
        Format("ome-zarr", "OME-Zarr 0.5 plates (HCS) with levels, channel names, colours, windows"),
        Format("anndata", "SEC-MS profiles and Perturb-seq summaries as .h5ad"),
        Format("mudata", "the same as .h5mu, a modality a replicate"),
        Format("secms-matrix", "SEC-MS matrices for PCprophet and CCprofiler"),
    )
}


def format_of(name: str) -> Format:
    """A format by its name.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in FORMATS:
        raise ConfigurationError(f"{name!r} is no format.", remedy=f"One of {', '.join(FORMATS)}.")
    return FORMATS[name]
