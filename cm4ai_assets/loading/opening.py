"""From what a reader asks of a release to the fields that are loaded.

Belongs here: which fields a choice means, and that their tensors are whole. Does not belong here: choosing by gene,
plate or well (`selecting`), or reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import polars as pl

from cm4ai_assets.conditions import Condition, condition_of
from cm4ai_assets.errors import SelectionError
from cm4ai_assets.loading.labels import Labels
from cm4ai_assets.loading.levels import stored_level
from cm4ai_assets.loading.source import FieldSource
from cm4ai_assets.loading.transforms import Transform
from cm4ai_assets.selecting import named
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import require_complete
from cm4ai_assets.updates.availability import missing


class Published(Protocol):
    """A release, as far as loading needs one."""

    @property
    def key(self) -> str:
        """Its key."""

    @property
    def store(self) -> Store:
        """Where its tables and tensors stand."""

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions whose tensors are published."""

    def fields(
        self,
        *,
        condition: str | Sequence[str] | None = None,
        with_controls: bool = False,
        split: str | None = None,
        scheme: str = "protein",
    ) -> pl.DataFrame:
        """Fields with every label."""


def open_source(
    release: Published,
    tensor_path: Callable[[Condition], str],
    fields: pl.DataFrame | None,
    *,
    split: str | None,
    scheme: str,
    conditions: str | Sequence[str] | None,
    with_controls: bool,
    size: int | None,
    transform: Transform | None,
    labels: str | Labels | Sequence[str | Labels],
) -> FieldSource:
    """The fields that `Release.torch` and `Release.loader` read; see there.

    Args:
        release: The release.
        tensor_path: Where the tensor of a condition stands on the storage's filesystem.
        fields: Rows of `Release.fields`; all that the other criteria leave, if not given.
        split: See `Release.fields`.
        scheme: See `Release.fields`.
        conditions: Conditions to take; all that are published, or that `fields` has, if not given.
        with_controls: Also take controls; of `fields` every row is taken, controls or not.
        size: See `FieldSource`.
        transform: See `FieldSource`.
        labels: Labels, or columns whose values are to be labels.
    """
    if fields is None:
        own = _of_release(release, conditions, with_controls=with_controls, split=split, scheme=scheme)
    else:
        own = _of_rows(release, fields, conditions, split=split, scheme=scheme)
    paths = {name: tensor_path(Condition(name)) for name in own["condition"].unique(maintain_order=True)}
    for path in paths.values():
        require_complete(release.store.fs, path)
    if size is not None:
        paths = {name: stored_level(release.store, path, size) or path for name, path in paths.items()}
    listed = [labels] if isinstance(labels, str | Labels) else labels
    encoded = [Labels.of(own, label) if isinstance(label, str) else label for label in listed]
    return FieldSource(own, release.store.url, paths, size=size, transform=transform, labels=encoded)


def _of_release(
    release: Published, conditions: str | Sequence[str] | None, *, with_controls: bool, split: str | None, scheme: str
) -> pl.DataFrame:
    chosen = named("conditions", conditions) or [str(condition) for condition in release.conditions]
    if not chosen:
        raise missing(release.store, "if_tensors", release.key)
    return release.fields(condition=chosen, with_controls=with_controls, split=split, scheme=scheme)


def _of_rows(
    release: Published, fields: pl.DataFrame, conditions: str | Sequence[str] | None, *, split: str | None, scheme: str
) -> pl.DataFrame:
    """Those of the given rows that meet the other criteria, in the order in which they were given.

    Rows of another release are refused: their `tensor_index` may be that of another field here.
    """
    if others := sorted(set(fields.get_column("release", default=pl.Series([], dtype=pl.String()))) - {release.key}):
        raise SelectionError(
            f"The fields are rows of {', '.join(map(str, others))}, and not of {release.key}.",
            remedy=f"Open that release, or choose the fields of {release.key}.",
        )
    if names := named("conditions", conditions):
        fields = fields.filter(pl.col("condition").is_in([str(condition_of(name)) for name in names]))
    if split is None or fields.is_empty():
        return fields
    own = fields["condition"].unique().to_list()
    members = release.fields(condition=own, split=split, scheme=scheme, with_controls=True)
    return fields.join(members, on=["condition", "field_id"], how="semi", maintain_order="left")
