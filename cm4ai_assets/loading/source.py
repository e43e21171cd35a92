"""Chosen fields and where their pixels stand: what the torch dataset and the loader read from.

Belongs here: a field by its position among the chosen ones, with its labels and its transform. Does not belong here:
choosing fields (`selecting`), their order (`order`), or threads (`loader`, `dataset`).

Nothing of polars is kept: its threads do not survive a fork, and the first query in a forked process would wait for
ever.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from cm4ai_assets.errors import ConfigurationError, SelectionError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.loading.labels import Labels
from cm4ai_assets.loading.reader import CHANNELS, ShardReader
from cm4ai_assets.loading.transforms import Drawn, Form, Transform, leading_order
from cm4ai_assets.storage.filesystems import open_filesystem
from cm4ai_assets.storage.placing import is_local
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD


class Item(NamedTuple):
    """One field of view that is in a tensor."""

    condition: str
    tensor_index: int
    field_id: str
    antibody_id: str | None


class FieldSource:
    """Fields of view by position. For any number of threads at once; may be pickled and forked.

    Args:
        fields: One row a field, with the columns of `Item`: what `Release.fields` gives.
        storage: The storage, as in CM4AI_STORAGE.
        paths: By condition, where its tensor stands on that storage's filesystem.
        size: Edge length of what is read; that of the tensors if not given.
        transform: What is done to each image.
        labels: Labels to give with each field.

    Attributes:
        items: The fields.
        form: What an image is like after the transform.
        labels: By name, the label of every field.

    Raises:
        SelectionError: There is no field, or one that is in no tensor.
        ConfigurationError: The tensors are of several sizes, or `size` divides one of them not.
        TensorStoreError: A tensor is missing.
    """

    def __init__(
        self,
        fields: pl.DataFrame,
        storage: str,
        paths: Mapping[str, str],
        *,
        size: int | None = None,
        transform: Transform | None = None,
        labels: Sequence[Labels] = (),
    ) -> None:
        self.items, self.storage = _items(fields), storage
        self._readers = _readers(storage, paths, size)
        self._check_rows()
        order, self._transform = leading_order(transform)
        self._channels = order.indices if order else CHANNELS
        # What the order draws, be it that of the tensor: whoever undoes the transform asks for it.
        self._ordered: Drawn = {"planes": np.array(self._channels)} if order else {}
        self._transform = self._transform.bound(fields) if self._transform else None
        read = Form(self._channels, next(iter(self._readers.values())).size)
        self._read_shape = (len(self._channels), read.size, read.size)
        self.form = self._transform.form(read) if self._transform else read
        self._form_read = read
        self.labels = {label.name: label.encode(fields) for label in labels}
        self._local = threading.local()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image as it is given: (channel, y, x)."""
        return (len(self.form.channels), self.form.size, self.form.size)

    def place(self, position: int) -> tuple[str, int]:
        """Where a field stands: by this, fields that stand next to each other follow each other."""
        item = self.items[position]
        return item.condition, item.tensor_index

    @property
    def shards(self) -> npt.NDArray[np.int64]:
        """For each field the number of its shard, among the shards of all conditions."""
        condition = np.unique([item.condition for item in self.items], return_inverse=True)[1]
        shard = np.array([item.tensor_index for item in self.items]) // FIELDS_PER_SHARD
        return np.unique(np.stack([condition, shard]), axis=1, return_inverse=True)[1].ravel()

    @property
    def identity(self) -> str:
        """Names the fields: the same for the same fields in the same order, and for no others."""
        rows = "\n".join(f"{item.condition} {item.tensor_index} {item.field_id}" for item in self.items)
        return hashlib.sha256(rows.encode()).hexdigest()[:16]

    def read_into(self, position: int, out: npt.NDArray[Any], seed: Sequence[int] | None = None) -> Drawn:
        """Read the image of a field into `out`; the parameters that its transform had are returned.

        Args:
            position: Number of the field.
            out: Of `shape` and the type of `form`.
            seed: Decides what random transforms draw; by chance, if not given.

        Raises:
            TensorStoreError: A part of the store is missing, or its bytes are not those that were written.
        """
        item = self.items[position]
        reader = self._readers[item.condition]
        if self._transform is None:
            reader.read_into(item.tensor_index, out, self._channels)
            return {**self._ordered}
        image = reader.read_into(item.tensor_index, self._scratch(), self._channels)
        drawn = self._transform.draw(self._form_read, position, np.random.default_rng(seed))
        np.copyto(out, self._transform.apply(image, drawn))
        return {**self._ordered, **drawn}

    @property
    def is_local(self) -> bool:
        """The tensors stand on a disk of this machine."""
        return is_local(open_filesystem(self.storage)[0])

    def default_threads(self, share: int = 1) -> int:
        """How many threads read these fields, if nobody says: see `ShardReader.default_threads`."""
        return max(reader.default_threads(share) for reader in self._readers.values())

    def read_ahead(self, position: int) -> None:
        """Bring the shard of a field into the page cache: see `ShardReader.read_ahead`."""
        item = self.items[position]
        self._readers[item.condition].read_ahead(item.tensor_index)

    def described(self, positions: Sequence[int]) -> dict[str, Any]:
        """What is known of some fields, beside their pixels: lists of text, arrays of labels."""
        items = [self.items[position] for position in positions]
        return {
            "position": np.array(positions, np.int64),
            "field_id": [item.field_id for item in items],
            "condition": [item.condition for item in items],
            "antibody_id": [item.antibody_id or "" for item in items],
            **{f"{name}_label": codes[list(positions)] for name, codes in self.labels.items()},
        }

    def _check_rows(self) -> None:
        for item in self.items:
            stored = self._readers[item.condition].n_fields
            if item.tensor_index >= stored:
                raise SelectionError(
                    f"{item.field_id} has the tensor index {item.tensor_index}; the tensor has {stored} fields.",
                    remedy="Choose fields of this release, with its method `fields`.",
                )

    def _scratch(self) -> npt.NDArray[np.uint8]:
        kept: npt.NDArray[np.uint8] | None = getattr(self._local, "image", None)
        if kept is None:
            kept = self._local.image = np.empty(self._read_shape, np.uint8)
        return kept

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())


def _items(fields: pl.DataFrame) -> tuple[Item, ...]:
    if absent := [name for name in Item._fields if name not in fields.columns]:
        raise SelectionError(
            f"These fields have no column {absent[0]}.", remedy="Take rows as the method `fields` of a release gives."
        )
    if fields.is_empty():
        raise SelectionError("No field is left to load.", remedy="Widen the choice; controls need with_controls=True.")
    unstored = fields.filter(pl.col("tensor_index").is_null())
    if not unstored.is_empty():
        raise SelectionError(
            f"{unstored.height} of {fields.height} fields are in no tensor, such as {unstored['field_id'][0]}.",
            remedy="Leave them out: tensor_index is null, and `defects` says why.",
        )
    return tuple(Item(*row) for row in fields.select(Item._fields).iter_rows())


def _readers(storage: str, paths: Mapping[str, str], size: int | None) -> dict[str, ShardReader]:
    try:
        readers = {condition: ShardReader(storage, path, size=size) for condition, path in paths.items()}
    except ValueError as error:
        raise ConfigurationError(str(error), remedy="Take a size that divides the tensor's.") from None
    if len(sizes := {reader.size for reader in readers.values()}) > 1:
        stated = ", ".join(f"{condition} {reader.size}" for condition, reader in readers.items())
        raise ConfigurationError(f"The tensors are of several sizes: {stated}.", remedy=f"Say size={min(sizes)}.")
    return readers
