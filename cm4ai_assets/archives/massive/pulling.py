"""Raw files of deposits on request: what `cm4ai pull` does with rows of `massive_files`.

Belongs here: fetching the files behind rows, each acquisition whole. Does not belong here: choosing rows, the budget
(`archives.pulling`), and the transfer of one file (`archives.massive.acquire`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets.archives.massive.acquire import pull, unit_digest
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.deposit_file import DepositFile
from cm4ai_assets.archives.massive.inventory import unit_of
from cm4ai_assets.archives.pulled import Pulled
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.errors import ReplacedError


def pull_rows(
    files: pl.DataFrame,
    client: MassiveClient,
    blobs: BlobStore,
    scratch: Path,
    *,
    target: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator[Pulled]:
    """Fetch rows of `massive_files`; each is given as all its files are stored.

    Args:
        files: The rows.
        client: MassIVE.
        blobs: Where the bytes are kept.
        scratch: Folder of partial downloads.
        target: A folder that gets each file under accession and path as well, without a second copy where possible.
        progress: Called with how far each file is.

    Raises:
        ReplacedError: A folder is not any more as it was listed.
        ArchiveError: A file could not be fetched. What came before is kept, and the same call goes on from there.
    """
    folders = files.filter("is_folder")["accession"].unique(maintain_order=True)
    members = {accession: _members(client, accession) for accession in folders}
    for row in files.iter_rows(named=True):
        unit = members[row["accession"]].get(row["path"], []) if row["is_folder"] else [_file(row)]
        if len(unit) != row["members"] or sum(file.size or 0 for file in unit) != row["size"]:
            raise ReplacedError(
                f"{row['accession']}/{row['path']} is not any more as it was listed.",
                remedy="Materialize massive_files again, then pull again.",
            )
        digests = {file.path: pull(file, client, blobs, scratch, progress=progress).sha256 for file in unit}
        for path, digest in digests.items() if target else ():
            blobs.link(digest, Path(str(target)) / row["accession"] / path)
        whole = unit_digest(unit, digests)
        yield Pulled(row["accession"], row["path"], row["size"], str(whole), digests)


def _members(client: MassiveClient, accession: str) -> dict[str, list[DepositFile]]:
    """The files of a deposit by what they are a part of."""
    inventory = client.inventory(accession)
    units: dict[str, list[DepositFile]] = {}
    for entry in inventory.entries:
        url = f"{inventory.root}/{entry.path}" if inventory.root else None
        units.setdefault(unit_of(entry.path), []).append(DepositFile(accession, entry.path, entry.size, url))
    return units


def _file(row: dict[str, Any]) -> DepositFile:
    return DepositFile(row["accession"], row["path"], row["size"], row["url"])
