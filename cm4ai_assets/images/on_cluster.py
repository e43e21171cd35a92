"""The pass over pixels on a cluster: workers read the ZIP by ranges from the storage, and write the tensor's shards.

Belongs here: what the pass of `pixels` sends to workers. Does not belong here: how a cluster is worked with
(`cluster.connection`, `images.cluster`), what is done to an image, and which field has which row (both `pixels`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cm4ai_assets.cluster.connection import Cluster
from cm4ai_assets.images.cluster import ClusterPass
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE
from cm4ai_assets.images.fields import FieldPlan
from cm4ai_assets.images.opencv import keep_opencv_on_one_thread
from cm4ai_assets.images.pixels import ImageWork, Passed, PassProgress, collected, image_calls, require_divisor
from cm4ai_assets.images.shards import StoreWriter, chunks_per_field
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, IMAGE
from cm4ai_assets.storage.shared import SharedFolder
from cm4ai_assets.storage.store import Store


@dataclass(frozen=True)
class Images:
    """The images of a stored ZIP at an edge length, as `cluster.workers.Recipe`."""

    sha256: str
    edge: int
    source_edge: int

    def open(self, store: Store) -> ImageWork:
        """The work of one image, over verified bytes of the ZIP."""
        keep_opencv_on_one_thread()
        source = BlobStore(store.fs, store.root).open(self.sha256)
        work = ImageWork(source, self.edge, self.source_edge)
        weakref.finalize(work, source.close)
        return work


def run_pass_on(
    cluster: Cluster,
    folder: SharedFolder,
    members: Sequence[Member],
    plans: Sequence[FieldPlan],
    quality_path: Path,
    *,
    edge: int,
    source_sha256: str,
    progress: Callable[[PassProgress], None] | None = None,
    source_edge: int = SOURCE_EDGE,
    first_published_in: Mapping[str, str] | None = None,
) -> tuple[Passed, Files]:
    """Decode the planned fields of a stored ZIP into `folder`; see `pixels.run_pass`, whose bytes these are.

    Args:
        cluster: Who does it.
        folder: An empty folder, which becomes the tensor's store.
        members: See `pixels.run_pass`.
        plans: Likewise.
        quality_path: Where the statistics are written.
        edge: See `pixels.run_pass`.
        source_sha256: Likewise; also by what name the ZIP is stored.
        progress: See `pixels.run_pass`.
        source_edge: Likewise.
        first_published_in: Likewise.

    Returns:
        How it went, and the files of the store.

    Raises:
        ClusterError: The cluster went away, or gave up.
        StoredBytesDamagedError: Stored bytes are not what was published.
    """
    require_divisor(edge, source_edge)
    work = ClusterPass(
        cluster,
        Images(source_sha256, edge, source_edge),
        image_calls(members, plans),
        per_task=FIELDS_PER_SHARD * len(PLANES),
        path=folder.path,
        kind=IMAGE,
        chunks_per_field=chunks_per_field(edge),
    )
    with closing(work.results()) as results:
        passed = collected(
            results,
            members,
            plans,
            StoreWriter(folder.local, edge, shards=work),
            quality_path,
            source_sha256=source_sha256,
            progress=progress,
            first_published_in=first_published_in,
        )
    return passed, folder.complete(work.files)
