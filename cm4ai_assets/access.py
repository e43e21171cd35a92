"""Opening what the platform has published: the door for scientists, without Dagster.

>>> from cm4ai_assets import open_release                                   # doctest: +SKIP
>>> r = open_release("latest")                                              # doctest: +SKIP
>>> r.table("if_fields").filter(pl.col("is_complete")).collect()            # doctest: +SKIP
>>> r.tensors("paclitaxel")[0, 2]           # nuclei of the first field     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.conditions import Condition, condition_of
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.choice import release_to_read
from cm4ai_assets.storage.layout import Partition, partitions_of
from cm4ai_assets.storage.store import Store
from cm4ai_assets.updates.availability import missing
from cm4ai_assets.updates.inputs import published_as, published_as_each

if TYPE_CHECKING:
    import zarr

    from cm4ai_assets.cells.crops import Cells
    from cm4ai_assets.lineage.finding import RowLike
    from cm4ai_assets.lineage.traces import Trace
    from cm4ai_assets.loading.dataset import FieldDataset
    from cm4ai_assets.loading.labels import Labels
    from cm4ai_assets.loading.loader import FieldLoader, LoaderSettings
    from cm4ai_assets.loading.transforms import Transform
    from cm4ai_assets.peeking import Peek
    from cm4ai_assets.perturbseq.pseudobulk import Pseudobulk


@dataclass(frozen=True)
class Release:
    """One release of the published data. Everything is opened lazily."""

    key: str
    store: Store

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions whose tensors are published."""
        return tuple(c for c, part in self._of_conditions("if_tensors").items() if part is not None)

    @property
    def shared(self) -> dict[str, str]:
        """The conditions whose images are read from the tables of another release, and which that is.

        A version that only renames files carries the same bytes as the one before. Nothing is made for it unasked, and
        what was made from those bytes holds for it too.
        """
        found = self._of_conditions("if_tensors")
        return {str(c): part.release for c, part in found.items() if part is not None and part.release != self.key}

    def table(self, name: str) -> pl.LazyFrame:
        """A table of this release; those that know a condition hold all published ones, in the column `condition`.

        What is made from published bytes alone may stand under another release with the same bytes: see `shared`.

        Raises:
            NotMaterializedError: There is no such table, or it is not published for this release.
        """
        if tables.table(name).partitioning is Partitioning.NONE:
            return self.store.release_table(name, self.key)
        wanted = partitions_of(tables.table(name), Partition(self.key))
        found = [part for part in published_as_each(self.store, name, wanted) if part is not None]
        if not found:
            raise missing(self.store, name, self.key)
        own = pl.lit(self.key).alias("release")
        return pl.concat([self.store.table(name, part).with_columns(own) for part in found])

    def _of_conditions(self, name: str) -> dict[Condition, Partition | None]:
        """Where each condition of a table of this release stands."""
        wanted = [Partition(self.key, condition) for condition in Condition]
        return dict(zip(Condition, published_as_each(self.store, name, wanted), strict=True))

    def _partition(self, name: str, condition: Condition | None) -> Partition | None:
        """Where a partition of a table of this release stands; None if nowhere."""
        return published_as(self.store, name, Partition(self.key, condition))

    def tensors(self, condition: str) -> zarr.Array[Any]:
        """The image tensor of one condition: uint8, axes field, channel, y, x; channels red, green, blue, yellow.

        Rows are `tensor_index` of the table `if_fields`. The array is lazy and takes numpy's basic indexing; a chunk
        whose bytes changed on disk is an error on reading.

        Raises:
            UnknownTreatmentError: No such condition.
            NotMaterializedError: Its tensor is not published for this release.
            TensorStoreError: The store has lost a part.
        """
        from cm4ai_assets.storage.tensors import open_array, require_complete  # noqa: PLC0415 - zarr is slow to import

        path = self._tensor_path(condition_of(condition))
        require_complete(self.store.fs, path)
        return open_array(self.store.fs, path)

    def _tensor_path(self, condition: Condition) -> str:
        """Where the tensor of a condition stands on the store's filesystem."""
        partition = self._partition("if_tensors", condition)
        if partition is None:
            raise missing(self.store, "if_tensors", self.key, condition)
        return self.store.address(self.store.table("if_tensors", partition).collect()["path"].item())

    def cells(self, condition: str, *, size: int = 512) -> Cells:
        """The nuclei of one condition with a crop of the tensor around each, read when it is asked for.

        `r.cells("paclitaxel").table` has one row a nucleus; `[n]` is its crop, uint8 (channel, y, x), with zeros beyond
        the border of the field. See `Cells`.

        Args:
            condition: The condition.
            size: Edge length of a crop, in pixels of the tensor.

        Raises:
            UnknownTreatmentError: No such condition.
            NotMaterializedError: `if_cells` is not published for this release.
            ConfigurationError: `size` is less than 1.
            TensorStoreError: A store has lost a part.
        """
        from cm4ai_assets.cells.crops import Cells  # noqa: PLC0415 - opencv is slow to import

        wanted = condition_of(condition)
        partition = self._partition("if_cells", wanted)
        if partition is None:
            raise missing(self.store, "if_cells", self.key, wanted)
        own = pl.lit(self.key).alias("release")
        table = self.store.table("if_cells", partition).with_columns(own).collect()
        return Cells(self.store, table, self._tensor_path(wanted), size=size)

    def profiles(self) -> Pseudobulk:
        """The pseudobulk profiles of the Perturb-seq targets: a lazy array (target, gene) with both indexes.

        Indexing gives the mean of log1p(counts per 10,000); `statistic` the other four. See `Pseudobulk`.

        Raises:
            NotMaterializedError: `perturb_targets` is not published for this release.
            TensorStoreError: The store has lost a part.
        """
        from cm4ai_assets.perturbseq.pseudobulk import Pseudobulk  # noqa: PLC0415 - zarr is slow to import

        rows = self.table("perturb_targets").collect()
        return Pseudobulk(self.store.fs, self.store.address(rows["path"][0]), rows)

    def fields(
        self,
        *,
        gene: str | Sequence[str] | None = None,
        antibody: str | Sequence[str] | None = None,
        plate: str | Sequence[str] | None = None,
        well: str | Sequence[str] | None = None,
        condition: str | Sequence[str] | None = None,
        with_controls: bool = False,
        split: str | None = None,
        scheme: str = "protein",
        stored_only: bool = True,
    ) -> pl.DataFrame:
        """Fields of view with every label joined: one row each, sorted by condition and tensor index.

        Criteria hold together; several names of one criterion are alternatives. Columns: `selecting.COLUMNS`. `flags`
        are the field's defects and what `if_quality` says of its channels: `empty_`, `saturated_`, `blurred_` and the
        channel. `split` is the side that the scheme gives the field; null where it gives none.

        Args:
            gene: Symbol, Ensembl gene id or UniProt accession, in any case; of antibodies with several genes any. What
                is published under another name of the gene is found too, by the bundled mapping of identifiers.
            antibody: HPA or CAB id, or NEGATIVE for wells without primary antibody.
            plate: `B2AI_1` or `1`.
            well: `A1` or `A01`.
            condition: A condition in any of its spellings.
            with_controls: Also give the same-plate controls: fields of wells without primary antibody, of the plates
                and conditions of the chosen fields. Without it controls are left out, unless `antibody` or `well`
                names them.
            split: Only fields on this side of a scheme of the table `splits`; of controls also those on no side.
            scheme: The scheme that `split` is about.
            stored_only: Leave out fields that are in no tensor; `flags` says why they are not.

        Raises:
            SelectionError: No field has such a name; the nearest ones are offered. Or a list of names is empty, or a
                name may mean several genes, which are named.
            UnknownTreatmentError: No such condition.
            NotMaterializedError: The condition, or the table of splits, is not published for this release; or the
                splits are older than the fields.
        """
        from cm4ai_assets.selecting import Criteria, select  # noqa: PLC0415 - a reader of tables needs none of it

        return select(
            self, Criteria(gene, antibody, plate, well), condition=condition, with_controls=with_controls,
            split=split, scheme=scheme, stored_only=stored_only,
        )  # fmt: skip

    def trace(
        self, table: str, row: RowLike | None = None, *, condition: str | None = None, verify: bool = False
    ) -> Trace:
        """Where a row comes from: members and files as they were published, with their digests, and the runs between.

        From the storage alone: no network, no Dagster instance. Shown as text in a notebook; `files`, `members`, `runs`
        and `stale` are what most ask for, `as_json()` is all of it. The command `cm4ai trace` also takes paths and
        published files.

        Args:
            table: Name of the table.
            row: The number of the row, from 0, in the file of its partition; the value of its key, where that is one
                column; or values by column, as `frame.row(n, named=True)` gives them. Of `if_tensors` a number is a
                field of the tensor. Without a row, where the table comes from.
            condition: A condition in any of its spellings, where the table has several.
            verify: Also read every stored thing of the chain again and hold it against its digest.

        Raises:
            SelectionError: There is no such table or row; the nearest ones are offered.
            UnknownTreatmentError: No such condition.
            NotMaterializedError: The table is not published for this release.
        """
        from cm4ai_assets.lineage.trace import trace_table  # noqa: PLC0415 - a reader of tables needs none of it

        return trace_table(self.store, self.key, table, row, condition=condition, verify=verify)

    def peek(
        self,
        *,
        condition: str,
        gene: str | Sequence[str] | None = None,
        antibody: str | Sequence[str] | None = None,
        plate: str | Sequence[str] | None = None,
        well: str | Sequence[str] | None = None,
        n: int = 3,
        edge: int = 1024,
    ) -> Peek:
        """A few fields straight from the archive: nothing is stored, and the ZIP is not fetched.

        Only the release's lock must be published. A ZIP that is stored here is read here.

        Args:
            condition: A condition in any of its spellings.
            gene: See `fields`; likewise `antibody`, `plate`, `well`.
            antibody: HPA or CAB id, or NEGATIVE.
            plate: `B2AI_1` or `1`.
            well: `A1` or `A01`.
            n: How many fields at most, spread over those that meet the criteria; each is 1.1 MB.
            edge: Edge length of the images: 2048, as published, or a divisor of it.

        Raises:
            SelectionError: No field has such a name; the nearest ones are offered.
            UnknownTreatmentError: No such condition.
            NotMaterializedError: The release publishes no images of the condition.
            AccessDeniedError: They are restricted, or embargoed until a day.
            ArchiveError: The archive cannot be reached, or sent something else.
            ValueError: `n` is less than 1, or `edge` divides no published image.
        """
        from cm4ai_assets.peeking import peek_release  # noqa: PLC0415 - the way to the archive is not for readers
        from cm4ai_assets.selecting import Criteria, named  # noqa: PLC0415

        criteria = Criteria(gene, antibody, plate, well)
        (one,) = named("condition", condition, most=1)
        return peek_release(self.store, self.key, condition_of(one), criteria, n=n, edge=edge)

    def torch(
        self,
        fields: pl.DataFrame | None = None,
        *,
        split: str | None = None,
        scheme: str = "protein",
        conditions: str | Sequence[str] | None = None,
        with_controls: bool = False,
        size: int | None = None,
        transform: Transform | None = None,
        labels: str | Labels | Sequence[str | Labels] = (),
    ) -> FieldDataset:
        """A map-style `torch.utils.data.Dataset` over fields of view (extra: torch).

        Worker processes may be forked, spawned or served: they open the stores by path and run no query.

        An item is a dictionary: `image` (uint8 tensor: channel, y, x), `position`, `field_id`, `condition`,
        `antibody_id`, for each of the labels `{name}_label`, and `transform`, the parameters that the transform had.

        Args:
            fields: Rows of `fields`; all that the other criteria leave, if not given.
            split: One of the splits of the table `splits`; None for every field.
            scheme: The scheme that `split` is about.
            conditions: Conditions to take, each once whatever its spellings; None for all that are published.
            with_controls: Also take wells without a primary antibody, whose green channel shows no protein. Of `fields`
                every row is taken.
            size: Edge length of the images, a divisor of the tensor's: planes are averaged as in the pixel pass.
            transform: What is done to each image: see `loading.transforms`.
            labels: Columns of `fields` to give as numbers, or `loading.labels.Labels`.

        Raises:
            ImportError: torch is not installed.
            NotMaterializedError: A condition, or the table of splits, is not published for this release, or is
                out of date.
            SelectionError: No field is left.
            TensorStoreError: A store has lost a part.
        """
        from cm4ai_assets.loading.dataset import FieldDataset  # noqa: PLC0415 - torch is optional
        from cm4ai_assets.loading.opening import open_source  # noqa: PLC0415 - image libraries are slow to import

        return FieldDataset(open_source(
            self, self._tensor_path, fields, split=split, scheme=scheme, conditions=conditions,
            with_controls=with_controls, size=size, transform=transform, labels=labels,
        ))  # fmt: skip

    def loader(
        self,
        fields: pl.DataFrame | None = None,
        *,
        split: str | None = None,
        scheme: str = "protein",
        conditions: str | Sequence[str] | None = None,
        with_controls: bool = False,
        size: int | None = None,
        transform: Transform | None = None,
        labels: str | Labels | Sequence[str | Labels] = (),
        **settings: Unpack[LoaderSettings],
    ) -> FieldLoader:
        """Batches of fields of view, decoded by threads straight into each batch's memory; torch is not needed.

        Which fields, and what is done to them, is said as for `torch`. For the settings, and what a batch holds, see
        `loading.loader.FieldLoader`: `batch_size`, `shuffle`, `seed`, `rank`, `world_size`, `drop_last`, `window`,
        `threads`, `prefetch`, `pin_memory`, `tensors`.

        Raises:
            NotMaterializedError: A condition, or the table of splits, is not published for this release, or is
                out of date.
            SelectionError: No field is left.
            TensorStoreError: A store has lost a part.
            ConfigurationError: A setting makes no sense.
        """
        from cm4ai_assets.loading.loader import FieldLoader  # noqa: PLC0415 - image libraries are slow to import
        from cm4ai_assets.loading.opening import open_source  # noqa: PLC0415 - image libraries are slow to import

        return FieldLoader(open_source(
            self, self._tensor_path, fields, split=split, scheme=scheme, conditions=conditions,
            with_controls=with_controls, size=size, transform=transform, labels=labels,
        ), **settings)  # fmt: skip

    def store_level(self, size: int, *, conditions: str | Sequence[str] | None = None) -> list[str]:
        """Store the images at a smaller edge length beside the tensors, so that `loader` and `torch` need not average.

        The pixels are the same either way. What is stored already is kept. 512 takes a quarter of the tensor's bytes
        more, 256 a fourteenth; whether it is worth it: docs/decisions/0026.

        Args:
            size: A divisor of the tensors' edge length.
            conditions: Conditions to take; None for all that are published.

        Returns:
            The paths of the stores, relative to the storage.

        Raises:
            ConfigurationError: `size` is no smaller divisor of the edge length.
            TensorStoreError: A tensor has lost a part.
        """
        from cm4ai_assets.loading.levels import store_level  # noqa: PLC0415 - image libraries are slow to import
        from cm4ai_assets.selecting import named  # noqa: PLC0415

        chosen = [condition_of(name) for name in named("conditions", conditions)] or self.conditions
        return [store_level(self.store, self._tensor_path(condition), size) for condition in chosen]


def open_release(key: str = "latest", *, storage: str | None = None) -> Release:
    """Open a release by its key, or the newest one of which anything is published.

    Args:
        key: A release key such as "2026-06-v2.0", or "latest".
        storage: Where the data is; CM4AI_STORAGE, or its default, if not given.

    Raises:
        UnknownReleaseError: Not a release that is known there.
        NotMaterializedError: Nothing of it is published there.
        ConfigurationError: This version of the software does not know the layout of the storage.
    """
    settings = Settings.from_env()
    store = Store.opened(storage or settings.storage, scratch=settings.scratch)
    return Release(release_to_read(store, key), store)
