"""What the metadata steps read: the crates, datasheets and provenance pages of a release, loose and inside its ZIPs.

Belongs here: from the lock to the bytes of documents, for steps and for the checks that look at the same bytes again.
Does not belong here: what the documents say (`crates`).

Nothing large is fetched for the sake of its metadata: an archive of images is read where its bytes are stored anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.landing import json_ld
from cm4ai_assets.archives.dataverse.lock import locked_files
from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.crates.claims import Published
from cm4ai_assets.crates.datasheet import Document
from cm4ai_assets.crates.frame import is_crate_name
from cm4ai_assets.crates.provenance import ProvenanceGraph, is_graph_name, read_graph
from cm4ai_assets.crates.reader import CrateFile, Problem, crates_in_zip
from cm4ai_assets.defs.acquisition import acquire_file
from cm4ai_assets.defs.inputs import errors_for_dagster, opened
from cm4ai_assets.errors import ArchiveDamagedError, ArchiveError, ConfigurationError
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord, releases_before
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.zips import MIB, MemberUnreadableError, read_directory, read_member
from cm4ai_assets.tables.crates import RELEASE_DATASHEET
from cm4ai_assets.transfer.errors import AccessDeniedError, NotFoundError
from cm4ai_assets.updates.inputs import CRATE_ROLES, lock_of
from cm4ai_assets.vocabulary import Role

LANDING_PAGE = "landing-page.jsonld"
FETCHED_AT_MOST = 64 * MIB  # the largest ZIP of tables that was published so far has 25 MB

Fetch = Callable[[LockedFile], object]


@dataclass
class Found:
    """The documents of a release; `left_out` names the files that could not be read, and why.

    Names carry the directory: March 2025 has three files of one name. `files` are those that were read.
    """

    crates: list[CrateFile] = field(default_factory=list)
    datasheets: list[Document] = field(default_factory=list)
    graphs: list[ProvenanceGraph] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def unreadable(self) -> str:
        """Why nothing could be read, although there is something; empty otherwise."""
        return "" if self.files else " ".join(self.left_out)

    @property
    def documents(self) -> Iterator[Document]:
        """All that is a datasheet: the documents, and the roots of the crates."""
        yield from self.datasheets
        yield from (Document(file.name, "crate_root", file.data) for file in self.crates)


def is_d4d_name(name: str) -> bool:
    """The name of a D4D datasheet: `ro-crate-linkml.yaml`, `x_d4d.yaml`."""
    label = name.rsplit("/", 1)[-1].lower()
    return label.endswith((".yaml", ".yml")) and any(word in label for word in ("d4d", "linkml", "datasheet"))


def gather(context: dg.AssetExecutionContext, platform: Platform, lock: pl.DataFrame) -> Found:
    """The documents of a release, fetched where they are not stored."""
    with errors_for_dagster(context):
        found = read(platform, lock, lambda file: acquire_file(context, platform, file))
    for reason in found.left_out:
        context.log.warning(for_terminal(f"Left out: {reason}"))
    return found


def read(platform: Platform, lock: pl.DataFrame, fetch: Fetch | None = None) -> Found:
    """The documents of a release; without `fetch` those that are stored.

    Raises:
        ArchiveError: A file could not be fetched, though access is open.
    """
    found = Found()
    for file, is_data in _with_crates(lock):
        reason = None if stored_blob(file, platform.blobs) else _absent(file, None if is_data else fetch)
        if reason is not None:
            found.left_out.append(reason)
            continue
        with opened(platform, [file]) as (source,):
            source.name = file.path
            _add(found, source)
        found.files.append(file.path)
    return found


def _absent(file: LockedFile, fetch: Fetch | None) -> str | None:
    """Why a file that is not stored is left out; None once it is fetched."""
    if fetch is None or (file.size or 0) > FETCHED_AT_MOST:
        return f"{file.path} ({file.size or 0:,} bytes) is not stored; its metadata is read once it is."
    try:
        fetch(file)
    except AccessDeniedError as denied:
        return str(denied)
    return None


def _with_crates(lock: pl.DataFrame) -> list[tuple[LockedFile, bool]]:
    """The files of a lock that are metadata or may hold some, each with whether it is there for its data."""
    others = pl.Series([is_d4d_name(label) for label in lock["label"]], dtype=pl.Boolean())
    rows = lock.filter(pl.col("role").is_in(CRATE_ROLES) | others)
    return list(zip(locked_files(rows), (rows["role"] == Role.IMAGES).fill_null(value=False), strict=True))


def _add(found: Found, source: ByteSource) -> None:
    """What one file holds, be it a document itself or a ZIP of some."""
    if not source.name.lower().endswith(".zip"):
        _add_document(found, source.name, source.read_at(0, source.size))
        return
    crates, problems = crates_in_zip(source)
    found.crates += crates
    found.problems += problems
    try:
        members = read_directory(source).members
    except ArchiveDamagedError:
        return  # which is one of the problems
    for member in members:
        if not member.is_directory and (is_d4d_name(member.name) or is_graph_name(member.name)):
            name = f"{source.name}!{member.name}"
            try:
                _add_document(found, name, read_member(source, member))
            except (MemberUnreadableError, ArchiveDamagedError) as error:
                found.problems.append(Problem(name, "", str(error)))


def _add_document(found: Found, name: str, data: bytes) -> None:
    if is_crate_name(name):
        found.crates.append(CrateFile(name, data))
    elif is_graph_name(name):
        found.graphs.append(read_graph(data, source=name))
    else:
        found.datasheets.append(Document(name, "d4d", data))


def landing_page(platform: Platform, release: str, found: Found) -> Document | None:
    """What the archive's page says of a release; None, and the reason in `left_out`, where it is not available."""
    record = platform.registry.get(release)
    later = [other.key for other in platform.registry.all() if other.doi == record.doi and _later(other, record)]
    try:
        if later:
            raise NotFoundError(f"The archive describes {later[-1]} by now.")
        with platform.describer() as client:
            data = json_ld(client, record.doi, record.version)
    except ArchiveError as error:
        found.left_out.append(f"The landing page of {record.doi} is not read: {error}")
        return None
    return Document(LANDING_PAGE, "landing_page", data)


def added_datasheet(platform: Platform, release: str, found: Found) -> list[Document]:
    """The datasheet that the operator adds to a release, if there is one; in `left_out` why it could not be read."""
    try:
        data = platform.added_datasheet(release)
    except (ArchiveError, ConfigurationError) as error:
        found.left_out.append(f"The added datasheet of {release} is not read: {error}")
        return []
    return [] if data is None else [Document(f"added/{release}.yaml", "d4d", data)]


def stored_sha256(platform: Platform, lock: pl.DataFrame) -> dict[int, str]:
    """The SHA-256 of the files of a lock by file id, of those that are stored."""
    blobs = {file.file_id: stored_blob(file, platform.blobs) for file in locked_files(lock)}
    return {file_id: blob.sha256 for file_id, blob in blobs.items() if blob is not None}


def _later(one: ReleaseRecord, other: ReleaseRecord) -> bool:
    return (one.major, one.minor) > (other.major, other.minor)


def described_before(platform: Platform, release: str) -> pl.DataFrame:
    """What the landing page said while it was available: the archive describes the latest version of a dataset only."""
    partition = Partition(release)
    if not platform.store.has_table(RELEASE_DATASHEET.name, partition):
        return RELEASE_DATASHEET.empty()
    return platform.store.table(RELEASE_DATASHEET.name, partition).filter(source_kind="landing_page").collect()


def published(platform: Platform, release: str, lock: pl.DataFrame) -> tuple[Published, list[Published]]:
    """A release as the archive has it, and those before it that are locked here, the best to compare with first."""
    record = platform.registry.get(release)
    earlier = [
        Published(other, before)
        for before in releases_before(record, platform.registry.all())
        if (other := lock_of(platform.store, before.key)) is not None
    ]
    return Published(lock, record), earlier
