"""The profiles of an h5ad: made once in one pass, and taken from the store by every later release of the same file.

Belongs here: whether a pass is needed, and the store that it becomes. Does not belong here: the pass (`passes`), what
its sums say (`statistics`), and reading a store (`storage.profiles`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeAlias

import fsspec
import polars as pl

from cm4ai_assets.cluster.connection import Connect
from cm4ai_assets.errors import StoredBytesDamagedError, TensorStoreError
from cm4ai_assets.heavy import np, npt
from cm4ai_assets.perturbseq import passes
from cm4ai_assets.perturbseq.adding import totals_of
from cm4ai_assets.perturbseq.counts import Choice, find_counts
from cm4ai_assets.perturbseq.groups import Groups, read_groups, stated_depths
from cm4ai_assets.perturbseq.h5ad import H5ad
from cm4ai_assets.perturbseq.matrix import StoredMatrix
from cm4ai_assets.perturbseq.on_cluster import ClusterWorkers
from cm4ai_assets.perturbseq.passes import CODE_VERSION, Pass, PassProgress, Sums, stripes_of
from cm4ai_assets.perturbseq.sources import File
from cm4ai_assets.perturbseq.statistics import TargetRows, profiles
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.disk import write_whole
from cm4ai_assets.storage.profiles import (
    CHUNK,
    GENES_FILE,
    STATISTICS,
    TARGETS_FILE,
    ProfilesDigest,
    ProfilesRecord,
    digest_of,
    open_statistic,
    read_axis,
    read_record,
    require_complete,
)
from cm4ai_assets.storage.recorded import METADATA, RECORD
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import FIRST_PUBLISHED_IN
from cm4ai_assets.tables.targets import PERTURB_TARGETS

ZSTD_LEVEL: Final = 1
FROM_MATRIX: Final = "the matrix itself"
_OF_THE_FILE: Final = ("path", "shape", "digest", "size", "counts_in", "source", "source_identity", "license")

Floats: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True)
class Source:
    """An h5ad from which profiles are made.

    Attributes:
        label: Its published name.
        identity: Its digest, or what stands for it: equal identities, equal bytes.
        open: Opens it, and closes it at the end of the block.
        unchanged: Raises if it is no longer what it was when it was opened.
        fingerprint: What a checkpoint is held against beside the identity, such as size and date of a local file.
        file: Where it is, for workers of a cluster; None if they cannot open it.
    """

    label: str
    identity: str
    open: Callable[[], AbstractContextManager[H5ad]]
    unchanged: Callable[[], None] = lambda: None
    fingerprint: str = ""
    file: File | None = None


@dataclass(frozen=True)
class Product:
    """A store of profiles: still staged if it was made now, else as published.

    Attributes:
        fs: Filesystem it is on.
        store_path: Where it stands there.
        path: Where it stands, or will stand, relative to the storage root.
        record: What it says of itself.
        made: It was made now.
        publish: Puts it under its final path, and lets go of the checkpoints; does nothing if it was reused.
    """

    fs: fsspec.AbstractFileSystem
    store_path: str
    path: str
    record: ProfilesRecord
    made: bool
    publish: Callable[[], None]

    def targets(self) -> pl.DataFrame:
        """The rows of `perturb_targets` as far as the file alone tells them."""
        return read_axis(self.fs, self.store_path, TARGETS_FILE)


def profiles_id(identity: str) -> str:
    """The name of a store: what it is a pure function of. An identity that is no SHA-256 is hashed to one."""
    stated = re.fullmatch(r"(?:sha256 )?([0-9a-f]{64})", identity)
    digest = stated[1] if stated else hashlib.sha256(identity.encode()).hexdigest()
    return f"{digest[:16]}-v{CODE_VERSION}"


@contextmanager
def product_of(
    store: Store,
    source: Source,
    *,
    scratch: Path,
    first_published_in: Mapping[str, str],
    progress: Callable[[PassProgress], None] = lambda _: None,
    connect: Connect | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Product]:
    """The profiles of a file, reused from the store or made now. What was made and not published is gone at the end.

    A pass that was killed goes on from its checkpoint in `scratch`. It is made by threads of this process, or by the
    cluster to which `connect` leads; the bytes are the same. `say` gets a sentence where a cluster is not asked.

    Raises:
        TensorStoreError: Under its name stands the store of another file.
        H5adError: The file cannot be used; nothing was made.
    """
    name = profiles_id(source.identity)
    path = layout.profiles_path(name)
    if _is_usable(store, path):
        record = read_record(store.fs, store.address(path))
        if record.source_identity != source.identity:
            raise TensorStoreError(
                f"{path} is of {record.source_identity}, not of {source.identity}, which begins alike.",
                remedy="Report this: the name of a store no longer tells files apart.",
            )
        yield Product(store.fs, store.address(path), path, record, made=False, publish=lambda: None)
        return
    checkpoints = passes.folder_of(scratch, name)
    with store.staging.folder() as folder:
        record = make_store(
            source, folder / "profiles", checkpoints, first_published_in, progress, connect=connect, say=say
        )

        def publish() -> None:
            # Another run may have made the same profiles meanwhile.
            store.publish_tree(folder / "profiles", path, last=METADATA, replace=not _is_usable(store, path))
            passes.forget(checkpoints)

        local = fsspec.filesystem("file")
        yield Product(local, str(folder / "profiles"), path, record, made=True, publish=publish)


def _is_usable(store: Store, path: str) -> bool:
    """What stands there is whole, and its tables and metadata are what was published; else it is made again.

    Chunks are there at their size, and each is closed by a checksum of its own.
    """
    try:
        require_complete(store.fs, store.address(path))
        read = (METADATA, TARGETS_FILE, GENES_FILE, *(f"{name}/{METADATA}" for name in STATISTICS))
        return not store.digests.damage(path, only=read)
    except (TensorStoreError, StoredBytesDamagedError):
        return False


def make_store(
    source: Source,
    target: Path,
    checkpoints: Path,
    first_published_in: Mapping[str, str],
    progress: Callable[[PassProgress], None] = lambda _: None,
    *,
    save_seconds: float = passes.SAVE_SECONDS,
    stripe_bytes: int | None = None,
    connect: Connect | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ProfilesRecord:
    """Read the counts of a file once, and write the store of its profiles into a new folder; see `product_of`.

    Raises:
        H5adError: The file cannot be used.
        ClusterError: The cluster went away, or gave up.
    """
    with source.open() as h5ad:
        choice, groups = find_counts(h5ad), read_groups(h5ad)
        matrix = StoredMatrix(h5ad, choice.place)
        stated = stated_depths(h5ad)
        with _workers(source, matrix, connect, say) as workers:
            job = _Job(source, matrix, groups, checkpoints, progress, save_seconds, stripe_bytes, workers)
            read = _read(job, stated)
    return _write(read, choice, job, target, first_published_in)


@dataclass(frozen=True)
class _Job:
    source: Source
    matrix: StoredMatrix
    groups: Groups
    checkpoints: Path
    progress: Callable[[PassProgress], None]
    save_seconds: float
    stripe_bytes: int | None
    workers: ClusterWorkers | None

    def run(self, depths: Floats, name: str) -> Sums:
        identity = {"identity": self.source.identity, "fingerprint": self.source.fingerprint}
        return Pass(
            self.matrix,
            self.groups,
            depths,
            self.checkpoints / name,
            identity,
            self.source.unchanged,
            self.progress,
            self.save_seconds,
            self.stripe_bytes,
            self.workers,
        ).run()

    def totals(self) -> Floats:
        """Counts of each cell, by a reading of their own."""
        if self.workers is None:
            return totals_of(self.matrix, self.source.unchanged)
        cuts = stripes_of(self.matrix, self.groups, self.stripe_bytes)
        return self.workers.totals(pairwise(cuts), self.matrix.shape[0])


@contextmanager
def _workers(
    source: Source, matrix: StoredMatrix, connect: Connect | None, say: Callable[[str], None]
) -> Iterator[ClusterWorkers | None]:
    """Who adds up the stripes of a matrix; None where threads of this process do."""
    if connect is None or source.file is None:
        yield None
    elif not matrix.layout.by_genes:
        say(
            f"{matrix.label} stands by cells: it is read on this machine, not on the cluster of CM4AI_EXECUTOR, where "
            "each worker would have to read all of it."
        )
        yield None
    else:
        with connect() as cluster:
            yield ClusterWorkers(cluster, source.file, matrix.place)


@dataclass(frozen=True)
class _Read:
    sums: Sums
    depths_from: str
    other_depth: int
    readings: int


def _read(job: _Job, stated: tuple[str, Floats] | None) -> _Read:
    """One pass, normalised by what obs states; a second one where the matrix says otherwise, or obs states nothing."""
    if stated is None:
        totals = job.totals()
        sums = job.run(totals, "of_matrix")
        return _Read(sums, FROM_MATRIX, 0, sums.readings + 1)
    name, depths = stated
    sums = job.run(depths, "of_obs")
    if not (other := int((sums.totals != depths).sum())):
        return _Read(sums, f"obs/{name}", 0, sums.readings)
    again = job.run(sums.totals, "of_matrix")
    return _Read(again, f"{FROM_MATRIX}, not obs/{name}", other, sums.readings + again.readings)


def _write(
    read: _Read, choice: Choice, job: _Job, target: Path, first_published_in: Mapping[str, str]
) -> ProfilesRecord:
    sums = read.sums
    shape = (len(sums.groups.targets), len(sums.groups.genes))
    rows, digest = TargetRows(sums), ProfilesDigest()
    arrays = {name: _array(target / name, shape) for name in STATISTICS}
    for some in profiles(sums):
        rows.add(some)
        for name, array in arrays.items():
            values = np.asarray(getattr(some, name), dtype=np.float32)
            array[some.first : some.first + len(values)] = values
            digest.add(name, values)
    _frame(rows.rows()).write_parquet(target / TARGETS_FILE, compression="zstd")
    _genes(sums.groups).write_parquet(target / GENES_FILE, compression="zstd")
    record = ProfilesRecord(
        source_identity=job.source.identity,
        code_version=CODE_VERSION,
        shape=shape,
        digest=digest.hexdigest(),
        file_sizes=_file_sizes(target),
        counts_in=choice.place,
        evidence=choice.summary,
        layout=str(job.matrix.layout),
        depths_from=read.depths_from,
        cells=job.matrix.shape[0],
        cells_of_other_depth=read.other_depth,
        cells_of_several_targets=sums.groups.cells_of_several,
        cells_without_target=sums.groups.cells_of_none,
        unsorted=sums.unsorted,
        readings=read.readings,
    )
    attributes = {RECORD: record.to_json(), FIRST_PUBLISHED_IN: dict(first_published_in)}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_whole(target / METADATA, (json.dumps(group, indent=2) + "\n").encode("ascii"))
    return record


def _array(path: Path, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - zarr is slow to import
    import zarr  # noqa: PLC0415
    from zarr.codecs import Crc32cCodec, ZstdCodec  # noqa: PLC0415
    from zarr.storage import LocalStore  # noqa: PLC0415

    return zarr.create_array(
        LocalStore(path),
        shape=shape,
        chunks=(min(CHUNK[0], max(shape[0], 1)), min(CHUNK[1], max(shape[1], 1))),
        dtype="float32",
        fill_value=float("nan"),
        compressors=[ZstdCodec(level=ZSTD_LEVEL, checksum=False), Crc32cCodec()],
        dimension_names=("target", "gene"),
        config={"write_empty_chunks": True},
        zarr_format=3,
    )


def _file_sizes(folder: Path) -> dict[str, int]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    columns = {one.name: one.dtype for one in PERTURB_TARGETS.own_columns if one.name not in _OF_THE_FILE}
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in rows], schema=columns, orient="row")


def _genes(groups: Groups) -> pl.DataFrame:
    return pl.DataFrame(
        {"gene_index": range(len(groups.genes)), "gene": groups.genes, "gene_id": groups.gene_ids},
        schema={"gene_index": pl.Int32, "gene": pl.String, "gene_id": pl.String},
    )


def table_of(product: Product, *, source: str, licence: str | None) -> pl.DataFrame:
    """The own columns of `perturb_targets`: the targets of a file, and where it is from.

    Args:
        product: The profiles.
        source: Name of the file.
        licence: Its licence, as the archive states it.
    """
    rows, record = product.targets(), product.record
    stated = {
        "path": pl.lit(product.path),
        "shape": pl.lit(list(record.shape), pl.List(pl.Int64)),
        "digest": pl.lit(record.digest),
        "size": pl.lit(record.size, pl.Int64),
        "counts_in": pl.lit(record.counts_in),
        "source": pl.lit(source),
        "source_identity": pl.lit(record.source_identity),
        "license": pl.lit(licence, pl.String),
    }
    return rows.with_columns(**stated).select([one.name for one in PERTURB_TARGETS.own_columns])


def audit(product: Product, rows: pl.DataFrame) -> list[str]:
    """Hold the profiles, read again, against their record and the table's rows. Empty if they agree.

    Whole chunks are read, whose checksums are held; the digest is that of what was computed. Of each target the mean
    counts times its cells must be its counts.
    """
    try:
        require_complete(product.fs, product.store_path)
        if digest_of(product.fs, product.store_path) != product.record.digest:
            return ["the profiles are not those that were computed"]
    except Exception as error:  # noqa: BLE001 - whatever damage makes zarr or its codecs raise is what is looked for
        return [f"the profiles cannot be read: {error}"]
    indexed = rows.filter(pl.col("tensor_index").is_not_null()).sort("tensor_index")
    if indexed["tensor_index"].to_list() != list(range(product.record.shape[0])):
        return ["the rows of the table are not those of the profiles"]
    means = open_statistic(product.fs, product.store_path, "mean")
    found: list[str] = []
    for first in range(0, indexed.height, CHUNK[0]):
        some = indexed[first : first + CHUNK[0]]
        counts = np.asarray(means[first : first + CHUNK[0]], dtype=np.float64).sum(axis=1) * some["n_cells"].to_numpy()
        bad = np.flatnonzero(~np.isclose(counts, some["n_counts"].to_numpy(), rtol=1e-5))
        found += [f"the profile of {some['target'][int(at)]} does not have its counts" for at in bad]
    return found
