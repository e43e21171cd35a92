"""Where the shards of an array of fields stand within its store, and how many rows each holds.

Belongs here: what writers (`sharding`), readers (`tensors`, `labels`) and the watch for missing parts (`whole_shards`)
must agree on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIELDS_PER_SHARD: Final = 16
ABSENT_CHUNK: Final = 2**64 - 1
"""Offset and length of an index entry without a chunk (Zarr v3, sharding codec)."""


@dataclass(frozen=True)
class Sharded:
    """A kind of array of which each shard holds some fields, whole in every other axis.

    Attributes:
        array: Its name within the store.
        axes: How many axes it has; the field is the first.
        remedy: What brings a store of it back.
    """

    array: str
    axes: int
    remedy: str

    def key(self, shard: int) -> str:
        """Path of a shard within the store."""
        return f"{self.array}/c/{shard}{'/0' * (self.axes - 1)}"

    def number(self, key: str) -> int | None:
        """The number of the shard that a key of the store names; None if it names metadata."""
        prefix = f"{self.array}/c/"
        if not key.startswith(prefix):
            return None
        number = int(key.removeprefix(prefix).split("/", 1)[0])
        return number if key == self.key(number) else None


IMAGE: Final = Sharded("image", 4, "Materialize if_tensors again.")
NUCLEI: Final = Sharded("nuclei", 3, "Materialize if_cells again.")

ARRAY: Final = IMAGE.array
REMEDY: Final = IMAGE.remedy


def shard_key(shard: int) -> str:
    """Path of a shard of images within the store."""
    return IMAGE.key(shard)
