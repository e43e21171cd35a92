"""Rows of the image path: to members of the ZIP, and lines of its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from cm4ai_assets.images.listing import MANIFEST, metadata_member
from cm4ai_assets.lineage.chain import Chain, Rows, Rule
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.steps import Member, RowsOf, Step, StepKind, Stored
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.shard_names import FIELDS_PER_SHARD, IMAGE, Sharded
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import IF_ANTIBODIES, IF_FIELDS, IF_IMAGES, IF_QUALITY, IF_TENSORS
from cm4ai_assets.tables.release import IF_ARCHIVE


def zip_of(chain: Chain, place: Partition) -> Sequence[PublishedFile]:
    """The ZIP of images behind a partition, as each release publishes it that is asked about."""
    files = chain.files(IF_IMAGES.name, place)
    where = chain.place(IF_ARCHIVE.name, place)
    if where is None:
        return files
    stored = set(chain.table(IF_ARCHIVE.name, where).collect()["sha256"])
    return [file for file in files if file.sha256 in stored] or files


def _images(chain: Chain, rows: Rows) -> Iterator[Step]:
    columns = ("member", "crc32", "size", "compressed_size", "header_offset")
    members = [Member(*values) for values in rows.frame.sort("member_index").select(columns).iter_rows()]
    yield chain.members(zip_of(chain, rows.partition), members)


def manifest(chain: Chain, place: Partition, lines: Sequence[int | None]) -> Step:
    """Lines of the manifest in the ZIP of a partition; those that are None are not known, and are counted."""
    files = zip_of(chain, place)
    sha256 = files[0].sha256 if files else None
    directory = chain.directory(sha256)
    found = metadata_member(directory, MANIFEST) if directory else None
    name = found.name if found else MANIFEST
    known = sorted({line for line in lines if line is not None})
    unknown = sum(line is None for line in lines)
    note = f"Of {unknown:,} fields the line is not recorded, or there is none." if unknown else ""
    return chain.members(files, [chain.member(sha256, name)], lines=known, note=note)


def _antibodies(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The lines of the manifest with these antibodies, as `if_fields` states them."""
    lines: list[int | None] = []
    if (place := chain.place(IF_FIELDS.name, rows.partition)) is not None:
        fields = chain.table(IF_FIELDS.name, place).filter(pl.col("antibody_id").is_in(rows.values("antibody_id")))
        lines = fields.collect()["manifest_row"].to_list()
    yield manifest(chain, rows.partition, lines)


def _fields(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The images of the fields, what was measured of them, their antibodies, and the lines of the manifest."""
    ids, place = rows.values("field_id"), rows.partition
    yield from chain.matching(IF_IMAGES.name, place, pl.col("field_id").is_in(ids))
    if antibodies := rows.values("antibody_id"):
        yield from chain.matching(IF_ANTIBODIES.name, place, pl.col("antibody_id").is_in(antibodies))
    listed = rows.frame.filter(pl.col("in_manifest"))["manifest_row"].to_list()
    if listed:
        yield manifest(chain, place, listed)


def _tensors(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The whole ZIP, by its digest: which member is in which plane, say the rows of fields."""
    for sha256 in rows.values("source_sha256"):
        files = [file for file in chain.files(IF_TENSORS.name, rows.partition) if file.sha256 in {sha256, None}]
        note = f"The pixels come from a ZIP with SHA-256 {sha256}."
        yield from (chain.file(file, notes=() if file.sha256 else (note,)) for file in files)
        if not files:
            yield Step(StepKind.OUTSIDE, "a ZIP of images", notes=(note, "The release lists no file with these bytes."))


def _quality(chain: Chain, rows: Rows) -> Iterator[Step]:
    yield from chain.matching(IF_IMAGES.name, rows.partition, pl.col("member").is_in(rows.values("member")))


def _cells(chain: Chain, rows: Rows) -> Iterator[Step]:
    """The planes in which the nuclei were found."""
    yield from planes(chain, rows.partition, rows.values("tensor_index"))


def planes(chain: Chain, place: Partition, indices: Sequence[int]) -> Iterator[Step]:
    """Fields of the tensor of a partition as a link, with all that is behind them."""
    where = chain.place(IF_TENSORS.name, place)
    if where is None:
        yield from chain.matching(IF_TENSORS.name, place)
        return
    key = ("planes", where, tuple(indices))
    yield chain.once(key, lambda: _planes(chain, where, tuple(indices)))


def _planes(chain: Chain, place: Partition, indices: tuple[int, ...]) -> Step:
    path = chain.table(IF_TENSORS.name, place).collect()["path"].item()
    stored, notes = chain.stored(path)
    which = f"field {indices[0]}" if len(indices) == 1 else f"{len(indices):,} fields"
    inside = pl.col("tensor_index").is_in(indices)
    return Step(
        StepKind.PLANES,
        f"{which} of the tensor of {place}",
        stored=shard_of(stored, IMAGE, indices),
        rows=RowsOf(IF_TENSORS.name, place.release, place.condition, indices, {}),
        notes=notes,
        origins=(
            *chain.matching(IF_FIELDS.name, place, inside),
            *chain.matching(IF_QUALITY.name, place, inside),
        ),
    )


def shard_of(stored: Stored, kind: Sharded, indices: Sequence[int]) -> Stored:
    """A store with the shard in which some of its fields stand, if it is one."""
    shards = {index // FIELDS_PER_SHARD for index in indices}
    return replace(stored, part=kind.key(shards.pop())) if len(shards) == 1 else stored


RULES = {
    IF_IMAGES.name: Rule(_images, reads=(IF_ARCHIVE.name,)),
    IF_ANTIBODIES.name: Rule(_antibodies, reads=(IF_ARCHIVE.name, IF_IMAGES.name)),
    IF_FIELDS.name: Rule(_fields, reads=(IF_ARCHIVE.name, IF_IMAGES.name, IF_ANTIBODIES.name)),
    IF_TENSORS.name: Rule(_tensors, reads=(IF_ARCHIVE.name, IF_FIELDS.name)),
    IF_QUALITY.name: Rule(_quality, reads=(IF_ARCHIVE.name, IF_FIELDS.name)),
    IF_CELLS.name: Rule(_cells, reads=(IF_FIELDS.name, IF_TENSORS.name)),
}
