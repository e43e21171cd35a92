"""Assets of the image path, from the ZIP to tensors. Thin: they say what, the packages below say how.

Belongs here: assets of the group `images` and their blocking checks. Does not belong here: warnings (`checks`),
and the work itself (`images`, `archives`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.lock import image_zips
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.defs.acquisition import acquire_file, as_dagster, read_again, skipped, source_of
from cm4ai_assets.defs.images import pages as image_metadata
from cm4ai_assets.defs.inputs import errors_for_dagster
from cm4ai_assets.defs.pages import failure
from cm4ai_assets.defs.partitions import condition_releases, partition_of
from cm4ai_assets.defs.products import check_spec, schema_check, table_asset, table_spec
from cm4ai_assets.defs.progress import PassLog
from cm4ai_assets.defs.publishing import AssetResult, Draft, Gate, evaluations, not_evaluated, publish, refuse
from cm4ai_assets.errors import (
    ArchiveDamagedError,
    ArchiveError,
    DigestMismatchError,
    SizeMismatchError,
    StoredBytesDamagedError,
)
from cm4ai_assets.images import fields, tensors
from cm4ai_assets.images.antibodies import antibody_rows
from cm4ai_assets.images.audit import audit_tensor
from cm4ai_assets.images.listing import list_images
from cm4ai_assets.images.manifest import read_manifest
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.storage import zips
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.shard_names import ARRAY
from cm4ai_assets.storage.tensors import PIXEL_CODE_VERSION, open_array
from cm4ai_assets.tables.images import CHANNELS, IF_ANTIBODIES, IF_FIELDS, IF_IMAGES, IF_QUALITY, IF_TENSORS
from cm4ai_assets.tables.release import IF_ARCHIVE
from cm4ai_assets.threads import cores
from cm4ai_assets.transfer.acquire import Acquired
from cm4ai_assets.transfer.errors import AccessDeniedError
from cm4ai_assets.updates.credit import credit
from cm4ai_assets.vocabulary import CellLine, Modality

GROUP = "images"
TAGS = {"cm4ai/modality": Modality.IF.value, "cm4ai/cell_line": CellLine.MDA_MB_468.value}
HAZARDS_SHOWN = 20

DIGEST_CHECK = check_spec(
    "digest_and_size",
    IF_ARCHIVE,
    "The bytes that arrived have the published size and digest; bytes that were stored before are read again and "
    "still have theirs. Protects from truncated, altered and mixed-up downloads, and from disks that forget. Blocking: "
    "bytes that fail on arrival are kept aside as evidence and never stored, and nothing is made of stored ones that "
    "fail.",
    blocking=True,
)
ZIP_CHECK = check_spec(
    "zip_safe",
    IF_ARCHIVE,
    "The ZIP has a whole central directory and no hostile member (path traversal, link, encryption, overlap, bomb). "
    "Protects everything that reads it. Blocking.",
    blocking=True,
)
ARCHIVE_CHECKS = (DIGEST_CHECK, ZIP_CHECK)
TENSOR_CHECK = check_spec(
    "tensor_matches_images",
    IF_TENSORS,
    "Rows, order, shape and attributes of the tensor agree with if_fields, and a seeded sample of fields, decoded "
    "again from the ZIP by another library, equals the stored pixels. Protects from shifted rows and wrong channels. "
    "Blocking.",
    blocking=True,
)


@table_asset(
    IF_ARCHIVE,
    group=GROUP,
    kinds={"dataverse", "zip"},
    tags=TAGS,
    checks=ARCHIVE_CHECKS,
    pool="dataverse",
    output_required=False,  # an archive that may not be fetched yet is a state of the release, not a failed run
)
def if_archive(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """The IF ZIP of one condition, fetched once, verified, stored by content."""
    partition = partition_of(context.partition_key)
    file = _if_zip(release_files, partition)
    if file is None:
        reason = f"Release {partition.release} publishes no IF ZIP of {partition.condition} that a rule recognises."
        yield from skipped(context, platform, [*ARCHIVE_CHECKS, schema_check(IF_ARCHIVE)], reason, {})
        return
    where = source_of(platform, file)
    try:
        stored = acquire_file(context, platform, file)
        read_again(context, platform, stored)
    except AccessDeniedError as denied:
        state = {**where, "access": denied.state or file.access}
        yield from skipped(context, platform, [*ARCHIVE_CHECKS, schema_check(IF_ARCHIVE)], str(denied), state)
        return
    except (DigestMismatchError, SizeMismatchError, StoredBytesDamagedError) as error:
        outcome = [
            (
                IF_ARCHIVE,
                Gate(DIGEST_CHECK.name, passed=False, description=str(error), metadata=where, about=error.runbook),
            )
        ]
        yield from evaluations(outcome)
        yield from not_evaluated([ZIP_CHECK, schema_check(IF_ARCHIVE)], f"{DIGEST_CHECK.name} failed before.")
        refuse(context.partition_key, outcome)
        return
    except ArchiveError as error:
        raise as_dagster(context, error) from error
    hazards, members = _hazards(platform, stored)
    frame = IF_ARCHIVE.from_rows([_archive_row(file, stored)], release=partition.release, condition=partition.treatment)
    against = (
        f"published {file.digest_type}"
        if stored.verified == "digest"
        else "published size only: no digest is published"
    )
    gates = [
        Gate(DIGEST_CHECK.name, passed=True, description=_what_was_read(stored, against), metadata=where),
        Gate(
            ZIP_CHECK.name,
            passed=not hazards,
            description="; ".join(hazards[:HAZARDS_SHOWN]) or f"{members:,} members, none hostile",
            metadata={"members": members, "hazards": len(hazards)},
        ),
    ]
    metadata: dict[str, Any] = {
        **where,
        "size": size_in_words(stored.size),
        "sha256": stored.sha256,
        "published_digest": f"{file.digest_type}:{file.digest}" if file.digest else "none published",
        "verified_against": against,
        "stored_at": platform.store.location(stored.path),
        "bytes_fetched": size_in_words(stored.fetched_bytes),
        "reused": stored.reused,
        "members": members,
    }
    yield from publish(context, platform.store, Draft(IF_ARCHIVE, frame, gates, metadata, data_version=stored.sha256))


def _what_was_read(stored: Acquired, against: str) -> str:
    if stored.reused:
        return (
            f"stored before, and all {stored.size:,} bytes read again now: each block still has the digest that it had "
            f"when the whole was held against the {against}"
        )
    return f"{stored.size:,} bytes arrived and were held against the {against}"


def _archive_row(file: LockedFile, stored: Acquired) -> dict[str, object]:
    return {
        **{name: getattr(file, name) for name in ("doi", "version", "file_id", "directory", "label")},
        "size": stored.size,
        "digest_type": file.digest_type,
        "digest": file.digest,
        "verified": stored.verified,
        "sha256": stored.sha256,
        "path": stored.path,
        "license": file.license,
    }


def _if_zip(release_files: pl.LazyFrame, partition: Partition) -> LockedFile | None:
    """The one IF ZIP of this condition in the lock; None if there is none.

    Raises:
        dagster.Failure: There are several, and one would be taken by chance.
    """
    found = image_zips(release_files.collect(), partition.condition)
    if len(found) > 1:
        names = ", ".join(file.label for file in found)
        raise failure(
            f"Release {partition.release} has {len(found)} IF ZIPs for {partition.condition} ({names}), not one. "
            "See the table release_files: a file that no rule recognised says why.",
            about_it="unknown-kind",
        )
    return found[0] if found else None


def _hazards(platform: Platform, stored: Acquired) -> tuple[list[str], int]:
    """What makes the ZIP unusable, and how many members it has."""
    with platform.open_zip(stored.sha256) as source:
        try:
            directory = zips.read_directory(source)
        except ArchiveDamagedError as error:
            return [str(error)], 0
        return [str(hazard) for hazard in directory.hazards], len(directory.members)


@table_asset(IF_IMAGES, group=GROUP, kinds={"parquet"}, tags=TAGS)
def if_images(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], if_archive: pl.LazyFrame
) -> Iterator[AssetResult]:
    """One row per image file, from the central directory alone."""
    partition = partition_of(context.partition_key)
    with platform.open_zip(_sha256(if_archive)) as source:
        frame = list_images(source, release=partition.release, condition=partition.treatment)
    per_channel = frame.filter(pl.col("kind") == "channel").group_by("channel").len().sort("channel")
    metadata = {
        **{f"{channel}_images": count for channel, count in per_channel.iter_rows()},
        "composites": frame.filter(pl.col("kind") == "composite").height,
        "with_defects": frame.filter(pl.col("defects").list.len() > 0).height,
    }
    yield from publish(context, platform.store, Draft(IF_IMAGES, frame, metadata=metadata))


@table_asset(IF_ANTIBODIES, group=GROUP, kinds={"parquet"}, tags=TAGS, deps=["if_images"])
def if_antibodies(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], if_archive: pl.LazyFrame
) -> Iterator[AssetResult]:
    """Antibody to gene to protein, from the manifest in the ZIP."""
    partition = partition_of(context.partition_key)
    with platform.open_zip(_sha256(if_archive)) as source:
        manifest = read_manifest(source, zips.read_directory(source))
    frame = IF_ANTIBODIES.from_rows(antibody_rows(manifest), release=partition.release, condition=partition.condition)
    metadata = {
        "antibodies": frame.filter(~pl.col("is_control"))["antibody_id"].n_unique(),
        "controls": frame.filter(pl.col("is_control"))["antibody_id"].n_unique(),
        "genes": frame["ensembl_gene_id"].drop_nulls().n_unique(),
        "manifest_rows": len(manifest.rows),
        "manifest_problems": len(manifest.problems),
    }
    yield from publish(context, platform.store, Draft(IF_ANTIBODIES, frame, metadata=metadata))


_PIXEL_CODE = f"1.{PIXEL_CODE_VERSION}"


@dg.multi_asset(
    name="if_pixels",
    partitions_def=condition_releases,
    specs=[
        table_spec(table, group=GROUP, kinds=kinds, tags=TAGS, deps=deps, code_version=_PIXEL_CODE)
        for table, deps, kinds in (
            (IF_FIELDS, ("if_archive", "if_images", "if_antibodies"), {"parquet"}),
            (IF_TENSORS, ("if_archive", IF_FIELDS.name), {"zarr"}),
            (IF_QUALITY, ("if_archive", IF_FIELDS.name), {"parquet"}),
        )
    ],
    check_specs=[schema_check(IF_FIELDS), schema_check(IF_TENSORS), TENSOR_CHECK, schema_check(IF_QUALITY)],
)
def if_pixels(
    context: dg.AssetExecutionContext,
    platform: dg.ResourceParam[Platform],
    if_archive: pl.LazyFrame,
    if_images: pl.LazyFrame,
    if_antibodies: pl.LazyFrame,
) -> Iterator[AssetResult]:
    """Fields, tensors and quality from one pass over the pixels: only decoding tells which fields are in the tensor."""
    partition = partition_of(context.partition_key)
    where = {"release": partition.release, "condition": partition.treatment}
    images, archive = if_images.collect(), if_archive.collect().row(0, named=True)
    with errors_for_dagster(context), ExitStack() as stack:
        source = stack.enter_context(platform.open_zip(archive["sha256"]))
        directory = zips.read_directory(source)
        product = stack.enter_context(
            tensors.product_of(
                platform.store,
                source,
                directory.members,
                fields.eligible_fields(images),
                source_sha256=archive["sha256"],
                edge=platform.settings.tensor_size,
                first_published_in=credit(platform.store, IF_TENSORS.name, partition),
                progress=PassLog(context.log),
                connect=platform.cluster,
            )
        )
        frame = fields.assemble(
            images, if_antibodies.collect(), read_manifest(source, directory), failures=product.record.failures, **where
        )
        quality = product.quality(**where)
        array = open_array(product.fs, product.array_path)
        drawing = stack.enter_context(ThreadPoolExecutor(cores()))  # beside the audit
        fields_page = drawing.submit(image_metadata.of_fields, frame, array)
        tensor_page = drawing.submit(image_metadata.of_tensor, product, platform.store, frame, array)
        quality_page = drawing.submit(image_metadata.of_quality, quality)
        report = audit_tensor(
            array, product.record, source=source, members=directory.members, fields=frame, quality=quality
        )
        yield from publish(
            context,
            platform.store,
            Draft(IF_FIELDS, frame, metadata=fields_page.result()),
            Draft(
                IF_TENSORS,
                IF_TENSORS.from_rows([_tensor_row(product, archive["license"])], **where),
                [Gate(TENSOR_CHECK.name, passed=report.passed, description=report.summary)],
                {**tensor_page.result(), "audit": report.summary},
                data_version=product.record.digest,
            ),
            Draft(IF_QUALITY, quality, metadata=quality_page.result()),
            commit=product.publish,
        )


def _sha256(if_archive: pl.LazyFrame) -> str:
    return str(if_archive.select("sha256").collect().item())


def _tensor_row(product: tensors.Product, data_license: str | None) -> dict[str, object]:
    record = product.record
    return {
        "path": product.path,
        "array": ARRAY,
        "shape": list(record.shape),
        "dtype": "uint8",
        "channels": list(CHANNELS),
        "edge": record.edge,
        "pixel_code_version": record.version,
        "source_sha256": record.source_sha256,
        "digest": record.digest,
        "size": record.size,
        "raw_size": record.raw_size,
        "license": data_license,
    }


ASSETS = (if_archive, if_images, if_antibodies, if_pixels)
