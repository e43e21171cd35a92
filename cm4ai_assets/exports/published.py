"""The published JPEGs of fields of view: bytes of the stored ZIPs, held against their CRC-32, never encoded again.

Belongs here: which member is which channel of a field, and reading it. Does not belong here: the ZIP format
(`storage.zips`) and stored bytes (`storage.blobs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.images.listing import file_name
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.blocks import VerifiedBytes
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import read_directory, read_member, require_safe
from cm4ai_assets.tables.images import CHANNELS
from cm4ai_assets.updates.availability import require_conditions


@dataclass(frozen=True)
class PublishedImage:
    """One channel of a field as it was published."""

    source: VerifiedBytes
    member: Member

    @property
    def size(self) -> int:
        """Bytes of the JPEG."""
        return self.member.size

    @property
    def stem(self) -> str:
        """The published file name without channel and suffix: `B2AI_1_Paclitaxel_A1_R2_z01`."""
        return file_name(self.member).rpartition("_")[0]

    def read(self) -> bytes:
        """The JPEG, of the size and CRC-32 that the ZIP states.

        Raises:
            MemberUnreadableError: It is not so.
        """
        return read_member(self.source, self.member)


class _Place(NamedTuple):
    condition: str
    field_id: str
    channel: str


class PublishedImages:
    """The images of some conditions of a release. Safe from many threads.

    Args:
        release: The release.
        conditions: Conditions.
        opened: Closes the ZIPs when it is closed.

    Raises:
        NotMaterializedError: A ZIP, its tensor or the table of its images is not there.
        ArchiveDamagedError: A ZIP is no sound ZIP.
    """

    def __init__(self, release: Release, conditions: Iterable[str], opened: ExitStack) -> None:
        self._images: dict[_Place, PublishedImage] = {}
        blobs = BlobStore(release.store.fs, release.store.root)
        wanted = list(dict.fromkeys(conditions))
        tensors = release.table("if_tensors").select("condition", "source_sha256").collect()
        require_conditions(release.store, "if_tensors", release.key, tensors, wanted)
        listed = _listed(release, wanted)
        require_conditions(release.store, "if_images", release.key, listed, wanted)
        digests = dict(tensors.iter_rows())
        for (condition,), rows in listed.partition_by("condition", as_dict=True, include_key=False).items():
            source = blobs.open(digests[condition])
            opened.callback(source.close)
            members = require_safe(read_directory(source)).members
            for number, field_id, channel in rows.iter_rows():
                self._images[_Place(str(condition), field_id, channel)] = PublishedImage(source, members[number])

    def of(self, condition: str, field_id: str) -> dict[str, PublishedImage]:
        """The four images of a complete field, by channel in the tensor's order."""
        return {channel: self._images[_Place(condition, field_id, channel)] for channel in CHANNELS}


def _listed(release: Release, conditions: Sequence[str]) -> pl.DataFrame:
    """The members that are a channel of a field of these conditions, each in the ZIP of its own."""
    images = release.table("if_images").filter(
        pl.col("condition").is_in(conditions),
        pl.col("image_condition") == pl.col("condition"),
        pl.col("kind") == "channel",
        pl.col("field_id").is_not_null(),
    )
    return images.select("condition", "member_index", "field_id", "channel").collect()
