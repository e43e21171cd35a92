"""The pass over a tensor on a cluster: workers read its shards from the storage, and write those of the labels.

Belongs here: what the pass of `passes` sends to workers. Does not belong here: how a cluster is worked with
(`cluster.connection`, `images.cluster`), and what is done to a field (`passes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

from cm4ai_assets.cells.passes import CellsProgress, FieldWork, chunks_per_field, collected, field_calls
from cm4ai_assets.cluster.connection import Cluster
from cm4ai_assets.images.cluster import ClusterPass
from cm4ai_assets.images.opencv import keep_opencv_on_one_thread
from cm4ai_assets.loading.reader import ShardReader
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.nuclei import NucleiRecord
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, NUCLEI
from cm4ai_assets.storage.shared import SharedFolder
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import StoreRecord


@dataclass(frozen=True)
class FieldsOf:
    """The fields of a published tensor, as `cluster.workers.Recipe`; `digest` is that of the tensor's pixels."""

    tensor_path: str
    digest: str

    def open(self, store: Store) -> FieldWork:
        """The work of one field."""
        keep_opencv_on_one_thread()
        return FieldWork(ShardReader(store.url, store.address(self.tensor_path)))


def run_pass_on(
    cluster: Cluster,
    folder: SharedFolder,
    tensor_path: str,
    tensor: StoreRecord,
    *,
    first_published_in: Mapping[str, str],
    progress: Callable[[CellsProgress], None] | None = None,
) -> tuple[NucleiRecord, Files]:
    """Segment and measure every field of a tensor into `folder`; see `passes.run_pass`, whose bytes these are.

    Args:
        cluster: Who does it.
        folder: An empty folder, which becomes the store of nuclei.
        tensor_path: The tensor, relative to the storage root.
        tensor: What its store says of itself.
        first_published_in: See `images.shards.group_metadata`.
        progress: See `passes.run_pass`.

    Returns:
        What the store holds, and its files.

    Raises:
        ClusterError: The cluster went away, or gave up.
        TensorStoreError: A part of the tensor is missing or changed.
    """
    work = ClusterPass(
        cluster,
        FieldsOf(tensor_path, tensor.digest),
        field_calls(tensor),
        per_task=FIELDS_PER_SHARD,
        path=folder.path,
        kind=NUCLEI,
        chunks_per_field=chunks_per_field(tensor),
    )
    with closing(work.results()) as results:
        record = collected(
            results, tensor, work, folder.local, first_published_in=first_published_in, progress=progress
        )
    return record, folder.complete(work.files)
