"""A look at a few fields where they are published, without fetching the ZIP they are in.

Belongs here: which bytes of an image ZIP such a look needs, and what it shows. Does not belong here: which file that is
(`archives.dataverse.lock`), who may read it (`archives.dataverse.acquire`), what fields and antibodies are (`images`),
and choosing among them (`selecting`).

A look costs the ZIP's central directory (2 MB of a published one) and its manifest once, then the four images of each
field: 1.1 MB. Parts of a file cannot be held against its published digest; each image is held against the CRC-32 of the
directory. Pixels are those of the tensors: the same decoder, the same area average.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from cm4ai_assets.archives.dataverse.acquire import by_range
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.lock import image_zips, lock_frame
from cm4ai_assets.archives.dataverse.locked_file import LockedFile, stored_blob
from cm4ai_assets.conditions import Condition, condition_of
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.heavy import np
from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.images.colour import full_level
from cm4ai_assets.images.counting import histogram
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE, ImageProblem, PlaneDecoder
from cm4ai_assets.images.fields import FieldPlan, assemble, eligible_fields
from cm4ai_assets.images.listing import image_rows
from cm4ai_assets.images.manifest import read_manifest
from cm4ai_assets.images.pictures import channel_picture, evenly
from cm4ai_assets.images.quality import statistics
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.selecting import COLUMNS, Criteria, Names
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.tensors import Failure, Pixels
from cm4ai_assets.storage.zips import (
    MemberUnreadableError,
    ZipDirectory,
    read_directory,
    read_member,
    require_safe,
)
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_IMAGES
from cm4ai_assets.threads import in_order
from cm4ai_assets.transfer.pieces import Traffic
from cm4ai_assets.updates.availability import missing

UNKNOWN: Final = ("tensor_index", "split")
"""Columns of `selecting.COLUMNS` that only a stored release has."""

# What the archive of a university library is asked for at once (protocol reference, 7.3).
_AT_ONCE: Final = 2
_TILE: Final = 224
_REMEMBERED: Final = 3


@dataclass(frozen=True)
class Peek:
    """A few fields, as they are published.

    Attributes:
        fields: One row each: the columns of `selecting.COLUMNS` that are known without a stored release. `flags` are
            the field's defects, and `empty_` or `saturated_` and a channel; focus is judged among many fields only.
        images: Their pixels, uint8, (field, channel, y, x), in the order of `fields`; red, green, blue, yellow.
        left_out: Chosen fields whose images cannot be decoded, by field id: what is wrong with which member.
        matching: How many fields met the criteria.
        bytes_fetched: Bytes that came from the archive.
        requests: Requests that it took.
    """

    fields: pl.DataFrame
    images: Pixels
    left_out: dict[str, Failure]
    matching: int
    bytes_fetched: int
    requests: int

    def __repr__(self) -> str:
        cost = f"{size_in_words(self.bytes_fetched)} in {self.requests} requests"
        shown = ", ".join(self.fields["field_id"])
        return f"<Peek at {len(self.images)} of {self.matching} fields, {cost}: {shown or 'none'}>"

    def _repr_png_(self) -> bytes:
        """What a notebook shows: a row for each field, with its four channels and the overlay, each stretched."""
        named = zip(self.fields["field_id"].to_list(), self.images, strict=True)
        target = io.BytesIO()
        channel_picture(named, edge=_TILE).save(target, "PNG")
        return target.getvalue()


@dataclass(frozen=True)
class _Catalogue:
    """What a ZIP holds, from its directory and its manifest."""

    directory: ZipDirectory
    plans: dict[str, FieldPlan]
    fields: pl.DataFrame


_catalogues: OrderedDict[tuple[LockedFile, str, str], _Catalogue] = OrderedDict()
_catalogues_lock = threading.Lock()


def peek_release(
    store: Store,
    key: str,
    condition: Condition,
    criteria: Criteria,
    *,
    n: int,
    edge: int,
    settings: Settings | None = None,
) -> Peek:
    """See `access.Release.peek`; the settings are those of the environment unless given."""
    lock = store.table("release_files", Partition(key)).collect()
    file = _one(image_zips(lock, condition), key, condition)
    if file is None:
        raise missing(store, "if_tensors", key, condition)
    traffic = Traffic()
    with _opened(file, store, settings or Settings.from_env(), traffic) as source:
        return peek_zip(source, file, key, condition, criteria, n=n, edge=edge, traffic=traffic)


def peek_version(
    doi: str,
    version: str,
    *,
    condition: str,
    gene: Names = None,
    antibody: Names = None,
    plate: Names = None,
    well: Names = None,
    n: int = 3,
    edge: int = 1024,
    settings: Settings | None = None,
) -> Peek:
    """A look at fields of a published version of which nothing is stored here, not even its lock.

    Args:
        doi: The dataset, as in "doi:10.18130/V3/F3TD5R".
        version: Its version, as in "2.1".
        condition: See `access.Release.peek`; likewise `gene`, `antibody`, `plate`, `well`, `n` and `edge`.
        gene: Symbol, Ensembl gene id, or UniProt accession.
        antibody: HPA or CAB id, or NEGATIVE.
        plate: `B2AI_1` or `1`.
        well: `A1` or `A01`.
        n: How many fields at most.
        edge: Edge length of the images.
        settings: Those of the environment, unless given.

    Raises:
        NotMaterializedError: The version publishes no images of the condition.
        ArchiveError: The version or the file is not accessible.
        SelectionError: No field has such a name; the nearest ones are offered.
    """
    wanted = condition_of(condition)
    with DataverseClient.from_settings(settings or Settings.from_env()) as client:
        lock = lock_frame(client.version(doi, version), release=version)
        file = _one(image_zips(lock, wanted), f"{doi} {version}", wanted)
        if file is None:
            raise NotMaterializedError(f"{doi} {version} publishes no images of {wanted}.")
        traffic = Traffic()
        criteria = Criteria(gene, antibody, plate, well)
        return peek_zip(
            by_range(file, client, traffic), file, version, wanted, criteria, n=n, edge=edge, traffic=traffic
        )


def peek_zip(
    source: ByteSource,
    file: LockedFile,
    release: str,
    condition: Condition,
    criteria: Criteria,
    *,
    n: int,
    edge: int,
    traffic: Traffic,
) -> Peek:
    """Up to `n` of the fields of an image ZIP that meet the criteria, spread over all that do."""
    if n < 1 or edge < 1 or SOURCE_EDGE % edge:
        raise ValueError(f"n={n}, edge={edge}: at least one field, and an edge length that divides {SOURCE_EDGE}.")
    catalogue = _catalogue(source, file, release, condition)
    found = criteria.chosen(catalogue.fields)
    rows = found[evenly(found.height, n)]
    images = np.empty((rows.height, len(PLANES), edge, edge), np.uint8)
    decoder = PlaneDecoder()
    flags: dict[str, list[str]] = {}
    left_out: dict[str, Failure] = {}
    for field_id, read in _fetched(source, catalogue, rows["field_id"].to_list()):
        result = _decoded(decoder, read, images[len(flags)])
        if isinstance(result, Failure):
            left_out[field_id] = result
        else:
            flags[field_id] = result
    shown = rows.filter(pl.col("field_id").is_in(list(flags)))
    flagged = shown.with_columns(
        flags=pl.concat_list("flags", pl.Series(list(flags.values()), dtype=pl.List(pl.String())))
    )
    return Peek(flagged, images[: len(flags)], left_out, found.height, traffic.bytes, traffic.requests)


def _one(files: list[LockedFile], release: str, condition: Condition) -> LockedFile | None:
    if len(files) > 1:
        names = ", ".join(file.label for file in files)
        raise NotMaterializedError(f"Release {release} has {len(files)} image ZIPs of {condition}: {names}.")
    return files[0] if files else None


@contextmanager
def _opened(file: LockedFile, store: Store, settings: Settings, traffic: Traffic) -> Iterator[ByteSource]:
    """The ZIP as it is stored, else where it is published."""
    blobs = BlobStore(store.fs, store.root)
    blob = stored_blob(file, blobs)
    if blob is not None:
        with blobs.open(blob.sha256) as source:
            yield source
        return
    with DataverseClient.from_settings(settings) as client:
        yield by_range(file, client, traffic)


def _catalogue(source: ByteSource, file: LockedFile, release: str, condition: Condition) -> _Catalogue:
    """What the ZIP holds; read once in a process, since a published file never changes."""
    key = (replace(file, access="", available_on=None), release, str(condition))
    with _catalogues_lock:
        if key in _catalogues:
            _catalogues.move_to_end(key)
            return _catalogues[key]
    made = _made_catalogue(source, release, condition)
    with _catalogues_lock:
        _catalogues[key] = made
        while len(_catalogues) > _REMEMBERED:
            _catalogues.popitem(last=False)
    return made


def _made_catalogue(source: ByteSource, release: str, condition: Condition) -> _Catalogue:
    directory = require_safe(read_directory(source))
    manifest = read_manifest(source, directory)
    of = {"release": release, "condition": str(condition)}
    images = IF_IMAGES.from_rows(image_rows(directory, condition=condition), **of)
    antibodies = IF_ANTIBODIES.from_rows(antibody_rows(manifest), **of)
    fields = assemble(images, antibodies, manifest, failures={}, **of)
    plans = {plan.field_id: plan for plan in eligible_fields(images)}
    labelled = fields.filter(pl.col("field_id").is_in(list(plans))).rename(
        {"ensembl_gene_ids": "genes", "defects": "flags"}
    )
    return _Catalogue(directory, plans, labelled.select(name for name in COLUMNS if name not in UNKNOWN))


_Read = tuple[str, bytes | MemberUnreadableError]  # a member and its bytes


def _fetched(source: ByteSource, catalogue: _Catalogue, field_ids: list[str]) -> Iterator[tuple[str, list[_Read]]]:
    """The four members of each field, in order."""
    members = [catalogue.directory.members[index] for name in field_ids for index in catalogue.plans[name].members]
    calls = [(source, member) for member in members]
    with closing(in_order(_member, calls, workers=_AT_ONCE, window=2 * len(PLANES))) as read:
        for field_id in field_ids:
            yield field_id, [next(read) for _ in PLANES]


def _member(source: ByteSource, member: Member) -> _Read:
    try:
        return member.name, read_member(source, member)
    except MemberUnreadableError as error:
        return member.name, error


def _decoded(decoder: PlaneDecoder, read: list[_Read], out: Pixels) -> list[str] | Failure:
    """Decode the planes of a field; what is to be flagged about them, or what is wrong with one."""
    flags = []
    for channel, (member, data), plane_out in zip(PLANES, read, out, strict=True):
        if isinstance(data, MemberUnreadableError):
            return Failure("member_unreadable", member, data.reason)
        try:
            plane = decoder.plane(data, channel)
        except ImageProblem as problem:
            return Failure(problem.defect, member, problem.detail)
        plane_out[:] = area_average(plane, out.shape[-1])
        found = statistics(histogram(plane), None, full_level=full_level(channel))
        flags += [f"empty_{channel}"] * found.is_empty + [f"saturated_{channel}"] * found.is_saturated
    return flags
