"""What MassIVE holds of a release: its deposits as external assets, and the inventory of their files.

Belongs here: asking MassIVE for listings. Does not belong here: the protocols (`archives.massive.client`), and pulling
files, which is done on request only (`cm4ai pull`).
"""

# Dagster reads the annotation of `context` itself, not as a string: no `from __future__ import annotations` here.
from collections.abc import Iterator
from dataclasses import dataclass, field

import dagster as dg
import polars as pl

from cm4ai_assets.archives.dataverse.lock import locked_files
from cm4ai_assets.archives.massive.acquire import first_digests
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.archives.massive.inventory import Inventory, accessions_of, from_addresses, replaced_by, rows
from cm4ai_assets.defs.acquisition import not_there
from cm4ai_assets.defs.inputs import errors_for_dagster, fetch, opened
from cm4ai_assets.defs.pages import described, texts
from cm4ai_assets.defs.partitions import partition_of
from cm4ai_assets.defs.products import OWNERS, table_spec, tables_if_there
from cm4ai_assets.defs.proteomics import pages as proteomics_metadata
from cm4ai_assets.defs.proteomics.assets import GROUP
from cm4ai_assets.defs.publishing import AssetResult, Draft, publish
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics.deposits import Named, metadata_of, named_in
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.transfer.errors import AccessDeniedError, NotFoundError
from cm4ai_assets.vocabulary import Modality, Role

# Data reference, sections 2 and 4. A deposit that is not listed here is inventoried all the same; it has no node.
_DEPOSITS = {
    "MSV000098237": "SEC-MS of MDA-MB-468 cells, untreated and treated: Bruker runs and nine reports, 910 GB.",
    "MSV000097606": "SEC-MS of KOLF2.1J cells as named in June 2025: Bruker runs, 1.49 TB.",
    "MSV000100676": "SEC-MS of KOLF2.1J cells as named in June 2026: Bruker runs and two long tables, 1.11 TB.",
    "MSV000101915": "AP-MS of MDA-MB-468 cells, paclitaxel: Thermo runs and their annotation, 441 GB.",
    "MSV000101917": "AP-MS of MDA-MB-468 cells, vorinostat: Thermo runs and their annotation, 533 GB.",
}


def _deposit(accession: str, description: str) -> dg.AssetSpec:
    successor = replaced_by(accession)
    return dg.AssetSpec(
        accession,
        group_name=GROUP,
        kinds={"massive"},
        owners=list(OWNERS),
        tags={"cm4ai/modality": (Modality.APMS if description.startswith("AP") else Modality.SECMS).value},
        description=f"{description} Outside of this platform; nothing of it is pulled unless asked for (`cm4ai pull`)."
        + (f" Replaced by {successor}." if successor else ""),
        metadata={"page": dg.MetadataValue.url(f"https://massive.ucsd.edu/ProteoSAFe/QueryMSV?id={accession}")},
    )


DEPOSITS = tuple(_deposit(accession, description) for accession, description in _DEPOSITS.items())


@dataclass
class _Listed:
    """The inventories that were found, and notes on the others."""

    inventories: list[Inventory] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@tables_if_there(
    table_spec(
        MASSIVE_FILES,
        group=GROUP,
        kinds={"massive", "parquet"},
        tags={"cm4ai/modality": "proteomics"},
        deps=("release_files", *_DEPOSITS),
        code_version="2",
        skippable=True,
    ),
    name="massive_files",
    pool="massive",
)
def massive_files(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], release_files: pl.LazyFrame
) -> Iterator[AssetResult]:
    """The files of the deposits that the release's metadata name."""
    release = partition_of(context.partition_key).release
    try:
        with errors_for_dagster(context):
            named, unread = _named(context, platform, release_files)
            with platform.massive() as client:
                listed = _list(context, client, named)
            listed.notes += unread
    except AccessDeniedError as state:
        not_there(context, platform, str(state))
        return
    if not listed.inventories:
        why = " ".join(listed.notes) or "its metadata name no deposit of MassIVE."
        not_there(context, platform, f"Nothing to list for release {release}: {why}")
        return
    entries = [(one.accession, entry) for one in listed.inventories for entry in one.entries]
    files = first_digests(pl.concat([rows(one) for one in listed.inventories]), entries, platform.blobs)
    frame = MASSIVE_FILES.place(_licensed(files, named), release=release)
    metadata = proteomics_metadata.of_deposits(frame, listed.notes)
    yield from publish(context, platform.store, Draft(MASSIVE_FILES, frame, metadata=metadata))


def _named(
    context: dg.AssetExecutionContext, platform: Platform, release_files: pl.LazyFrame
) -> tuple[Named, list[str]]:
    """What the crates of the release name, loose and in ZIPs, and which of them could not be read."""
    wanted = (
        pl.col("modality").is_in([Modality.SECMS, Modality.APMS])
        & pl.col("role").is_in([Role.PACKAGE, Role.TABLES, Role.CRATE])
    ) | ((pl.col("modality") == Modality.RELEASE) & pl.col("role").is_in([Role.CRATE, Role.CRATE_BUNDLE]))
    texts: list[bytes] = []
    unread = []
    for file in locked_files(release_files.filter(wanted).collect()):
        try:
            fetch(context, platform, [file])
        except AccessDeniedError as denied:
            unread.append(f"Not read: {denied}")
            continue
        with opened(platform, [file]) as (source,):
            is_zip = file.label.lower().endswith(".zip")
            texts += metadata_of(source) if is_zip else [source.read_at(0, source.size)]
    return named_in(texts), unread


def _licensed(files: pl.DataFrame, named: Named) -> pl.DataFrame:
    """The listed files with the licence that is stated of their deposit."""
    stated = {accession: ", ".join(licences) for accession, licences in named.licences.items()}
    licence = pl.col("accession").replace_strict(stated, default=None, return_dtype=pl.String)
    return files.with_columns(licence.alias("license"))


def _list(context: dg.AssetExecutionContext, client: MassiveClient, named: Named) -> _Listed:
    """The listings of the named deposits and of those that replace them.

    Of a deposit that MassIVE does not know, or not any more, only what the crates themselves name is known.
    """
    stated = {inventory.accession: inventory for inventory in from_addresses(named.addresses)}
    listed = _Listed()
    for accession in accessions_of(named.accessions):
        try:
            inventory = client.inventory(accession)
        except NotFoundError as error:
            listed.notes.append(f"{accession} is named and MassIVE does not list it: {error}")
            if accession not in stated:
                continue
            inventory = stated[accession]
        listed.inventories.append(inventory)
        listed.notes += inventory.notes
        if accession in _DEPOSITS:
            context.log_event(_seen(inventory))
    return listed


def _seen(inventory: Inventory) -> dg.AssetObservation:
    """What the page of a deposit shows."""
    return dg.AssetObservation(
        inventory.accession,
        description=described(f"{len(inventory.entries):,} files listed."),
        metadata=texts(
            {
                "files": len(inventory.entries),
                "total_size": size_in_words(sum(entry.size or 0 for entry in inventory.entries)),
                "listed_by": inventory.source,
                "root": inventory.root or "not stated",
            }
        ),
    )


ASSETS: tuple[dg.AssetSpec | dg.AssetsDefinition, ...] = (*DEPOSITS, massive_files)
