"""The storage layout of the contract: names to paths, and paths back to names.

Belongs here: every path below CM4AI_STORAGE. Does not belong here: reading and writing (`store`), blobs' own sharding
(`storage.blobs`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.errors import ReleaseKeyError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.releases import ReleaseKey

if TYPE_CHECKING:  # a table library is slow to import, and a download needs none
    from cm4ai_assets.tables import Document, Table

VERSION = 1
"""Version of this layout, as `registry/storage.json` states it; raised when older software would misread a storage."""

STAGING = ".staging"
TABLES = "tables"
DOCUMENTS = "documents"
TENSORS = "tensors/if_tensors"
LEVELS = "tensors/if_levels"
PIXEL_STATISTICS = "tensors/if_quality"
PROFILES = "tensors/perturb_targets"
NUCLEI = "tensors/if_cells"
RELEASES = "registry/releases"
ABSENCES = "registry/absences"
IDENTITY = "registry/storage.json"
FILE_DIGESTS = "registry/sha256"
VERIFIED = "registry/verified"
MAKINGS = "registry/makings"
ENVIRONMENTS = "registry/environments"
SOFTWARE = "registry/software"

CURRENT = "CURRENT"

_PRODUCT = r"/(?P<name>\w+)(?:/release=(?P<release>[^/]+)(?:/condition=(?P<condition>[^/]+))?)?/"
_TABLE = re.compile(rf"{TABLES}{_PRODUCT}data\.parquet$")
_DOCUMENT = re.compile(rf"{DOCUMENTS}{_PRODUCT}{CURRENT}$")


@dataclass(frozen=True, order=True)
class Partition:
    """What a table's file is about: a release, and a condition where the table has one; neither, if it has none."""

    release: str = ""
    condition: str | None = None

    @property
    def treatment(self) -> str:
        """The condition of a partition that has one.

        Raises:
            ReleaseKeyError: It has none.
        """
        if self.condition is None:
            raise ReleaseKeyError(f"Partition {self} has no condition.")
        return self.condition

    def __str__(self) -> str:
        return (self.release or "all releases") if self.condition is None else f"{self.condition}|{self.release}"


def partitions_of(product: Table | Document, place: Partition) -> list[Partition]:
    """The partitions that a table or document can have where something else has that of `place`.

    One for each condition, of `place` alone where it names one; the one of the release; or the one that there is. None
    where the product needs a release, and `place` has none.
    """
    if product.partitioning is Partitioning.NONE:
        return [Partition()]
    if not place.release:
        return []
    if product.partitioning is Partitioning.RELEASE:
        return [Partition(place.release)]
    return [Partition(place.release, str(one)) for one in CONDITIONS if place.condition in {None, str(one)}]


def table_path(table: Table, partition: Partition) -> str:
    """Where one partition of a table stands, relative to the storage root.

    Raises:
        ReleaseKeyError: The partition does not fit the table, or is not a release key (which also keeps hostile text
            out of paths).
    """
    return f"{_product_folder(TABLES, table, partition)}/data.parquet"


def document_folder(document: Document, partition: Partition) -> str:
    """Where a document stands, relative to the storage root: its versions, and `CURRENT`, which names one of them.

    Raises:
        ReleaseKeyError: As `table_path`.
    """
    return _product_folder(DOCUMENTS, document, partition)


def root_from_document(document: Document, partition: Partition) -> str:
    """What leads from a file at the top of a document to the storage root: `../../../../`."""
    return "../" * (document_folder(document, partition).count("/") + 2)


def _product_folder(room: str, product: Table | Document, partition: Partition) -> str:
    name = product.name
    if product.partitioning is Partitioning.NONE:
        if partition != Partition():
            raise ReleaseKeyError(f"{name} has no releases.")
        return f"{room}/{name}"
    release = str(ReleaseKey.parse(partition.release))
    if product.partitioning is Partitioning.RELEASE:
        if partition.condition is not None:
            raise ReleaseKeyError(f"{name} has no conditions.")
        return f"{room}/{name}/release={release}"
    if partition.condition not in set(Condition):
        raise ReleaseKeyError(f"{name} needs a condition, got {partition.condition!r}.")
    return f"{room}/{name}/release={release}/condition={partition.condition}"


def table_partition(path: str) -> tuple[str, Partition] | None:
    """The table's name and partition that a path stands for; None if it is not a table's path."""
    return _product_partition(_TABLE.search(path))


def document_partition(path: str) -> tuple[str, Partition] | None:
    """The document's name and partition that the path of its `CURRENT` stands for; None if it is not one."""
    return _product_partition(_DOCUMENT.search(path))


def _product_partition(match: re.Match[str] | None) -> tuple[str, Partition] | None:
    return None if match is None else (match["name"], Partition(match["release"] or "", match["condition"]))


def tensor_path(tensor_id: str) -> str:
    """The Zarr store of a tensor, relative to the storage root."""
    return f"{TENSORS}/{tensor_id}.zarr"


def level_path(tensor_id: str, size: int) -> str:
    """The Zarr store of a tensor's planes, averaged to a smaller edge length, relative to the storage root."""
    return f"{LEVELS}/{tensor_id}-{size}.zarr"


def statistics_path(tensor_id: str) -> str:
    """The per-image statistics that were made in the same pass as a tensor, relative to the storage root."""
    return f"{PIXEL_STATISTICS}/{tensor_id}.parquet"


def profiles_path(profiles_id: str) -> str:
    """The Zarr store of profiles of perturbed genes, relative to the storage root."""
    return f"{PROFILES}/{profiles_id}.zarr"


def nuclei_path(nuclei_id: str) -> str:
    """The Zarr store of the nuclei of a tensor, relative to the storage root."""
    return f"{NUCLEI}/{nuclei_id}.zarr"


def absence_path(product: Table | Document, partition: Partition) -> str:
    """The record of why a partition of a table or document was not made, relative to the storage root."""
    return f"{_product_folder(ABSENCES, product, partition)}.json"


def absence_release(path: str) -> str | None:
    """The release that such a record is about; None if it is about none."""
    named = [part for part in path.removesuffix(".json").split("/") if part.startswith("release=")]
    return named[0].removeprefix("release=") if named else None


def release_path(key: str) -> str:
    """The record of a registered release, relative to the storage root."""
    return f"{RELEASES}/{ReleaseKey.parse(key)}.json"


def file_digests_path(path: str) -> str:
    """The record of the digests of a published file or folder, by its path; both relative to the storage root."""
    return f"{FILE_DIGESTS}/{path}.json"


def verified_path(path: str) -> str:
    """The note of when a stored thing was last read again, by its path; both relative to the storage root."""
    return f"{VERIFIED}/{path}.json"


def making_path(path: str) -> str:
    """The record of the run that made what stands under a path; both relative to the storage root."""
    return f"{MAKINGS}/{path}.json"


def environment_path(sha256: str) -> str:
    """The list of distributions that runs had installed, by its SHA-256, relative to the storage root."""
    return f"{ENVIRONMENTS}/{sha256}.txt"


def software_path(sha256: str) -> str:
    """The source of the software of runs, by the SHA-256 of its ZIP, relative to the storage root."""
    return f"{SOFTWARE}/{sha256}.zip"
