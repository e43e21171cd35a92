"""A release as a folder that somebody can deposit as it is: `cm4ai publish`.

    bagit.txt, bag-info.txt, manifest-sha256.txt, tagmanifest-sha256.txt      BagIt, so that any archive can check it
    README.md                           what it is, licence, citation, how to read it
    data/                               the payload
        README.md, CITATION.cff         the same, and how to cite it
        croissant.json                  for loaders
        ro-crate-metadata.json, …       every file with its digest, its run and the published bytes behind it
        datasheet.html, datasheet.yaml  for people; as D4D
        tables/, tensors/               as in the storage, with the same bytes
        documents/                      descriptions as they were published here; the crate stands at the top alone
        registry/                       records of digests and runs: `open_release` and `cm4ai trace` read the payload

Belongs here: what stands in the folder, and where its bytes come from. Does not belong here: what the descriptions say,
and writing a folder so that each part appears whole (`exports.making`). Nothing is uploaded.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError, StoredBytesDamagedError
from cm4ai_assets.exports.making import Made, Progress, make
from cm4ai_assets.exports.parts import Part, Plan, Tick, of_bytes
from cm4ai_assets.exports.provenance import Origin, origin_of, readme
from cm4ai_assets.lineage.delivered import Delivered, DeliveredFile, delivered
from cm4ai_assets.lineage.outside import PAYLOAD
from cm4ai_assets.lineage.published import PublishedFile, PublishedFiles
from cm4ai_assets.plain import for_markdown
from cm4ai_assets.publication.bag import MANIFEST, damage, manifest, tag_files
from cm4ai_assets.publication.crate.building import build
from cm4ai_assets.publication.crate.facts import facts_of
from cm4ai_assets.publication.croissant import croissant_files, described
from cm4ai_assets.references import Kind
from cm4ai_assets.software import NAME, package_version
from cm4ai_assets.storage import layout
from cm4ai_assets.storage.digests import BLOCK, listing_digest
from cm4ai_assets.storage.file_digests import FileDigest, summary
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.images import IF_FIELDS
from cm4ai_assets.tables.publication import DERIVED_CRATE, DOCUMENTS
from cm4ai_assets.updates.credit import NOT_STATED

NAMED_BY: Final = "DIR"
_UNIT: Final = "MiB"
_ENTRY_POINTS: Final = {
    "datasheet_report": {
        "index.html": "datasheet.html",
        "datasheet.yaml": "datasheet.yaml",
        "CITATION.cff": "CITATION.cff",
    },
    "ai_readiness": {"index.html": "ai-readiness.html"},
}
"""Files of documents that also stand at the top of the payload, where people look."""


def publish(
    release: Release,
    folder: Path,
    *,
    progress: Progress = lambda _done, _total, _unit: None,
) -> Made:
    """Write a release as a folder to deposit, or go on with one that was interrupted.

    Every file is held against its digest as it is copied, and all of the folder again before its manifest is written.

    Args:
        release: The release.
        folder: A new or empty folder, or the one that an interrupted call has left.
        progress: See `making.Progress`.

    Raises:
        NotMaterializedError: A description is not made, or is of other content than is published now.
        StoredBytesDamagedError: A stored file is not what was published, or a written one was altered.
        ConfigurationError: The folder holds something else.
        NoSpaceError: The disk is full, or will be.
    """
    delivery = delivered(release.store, release.key)
    _require_current(release.key, delivery)
    origin = origin_of(release, [one.credit for one in delivery if one.credit])
    kept = [one for one in delivery if one.name != DERIVED_CRATE.name]
    plan = _plan(release, folder, kept, origin, _descriptions(release, kept))
    return make(plan, folder, origin, progress)


def _descriptions(release: Release, delivery: Sequence[Delivered]) -> dict[str, bytes]:
    """What stands at the top of the payload and names its files from there."""
    return {**croissant_files(described(release, delivery)), **build(facts_of(release, delivery))}


def _require_current(release: str, delivery: Sequence[Delivered]) -> None:
    """See that every description of the release is there, and is about what is published now.

    Raises:
        NotMaterializedError: It is not so.
    """
    there = {one.name: one for one in delivery if one.kind is Kind.DOCUMENT}
    missing = [document.name for document in DOCUMENTS if document.name not in there]
    if missing:
        raise _not_made(release, missing, f"{', '.join(missing)} of {release} is not materialized.")
    for name, document in there.items():
        if changed := _changed_since(document, delivery):
            others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise _not_made(
                release,
                list(there),
                f"{name} of {release} describes other content: {changed[0]}{others} changed since.",
            )


def _not_made(release: str, names: Sequence[str], message: str) -> NotMaterializedError:
    return NotMaterializedError(
        message, remedy=f"Run `cm4ai materialize --release {release} --select {','.join(names)}`."
    )


def _changed_since(document: Delivered, delivery: Sequence[Delivered]) -> list[str]:
    """What has other content than a document was made of, or is gone; all tables, where no run of it is recorded."""
    known = {one.path: one.digest for one in document.making.inputs} if document.making else {}
    now = {
        (one.making.path if one.making else one.path): (f"{one.name} of {one.partition}", one.digest)
        for one in delivery
        if one.kind is Kind.TABLE or one.kind is Kind.DOCUMENT
    }
    tables = {one.path for one in delivery if one.kind is Kind.TABLE}
    changed = [name for path, (name, digest) in now.items() if known.get(path, digest) != digest]
    return [*changed, *(now[path][0] for path in tables - known.keys()), *sorted(known.keys() - now.keys())]


def _plan(
    release: Release, folder: Path, delivery: Sequence[Delivered], origin: Origin, descriptions: Mapping[str, bytes]
) -> Plan:
    copied = dict(_copied(delivery))
    texts = {f"{PAYLOAD}/{name}": data for name, data in (*descriptions.items(), *_records(release, delivery))}
    sources = _sources(release.store, delivery)
    about = Plan(
        identity={},
        parts=(),
        sources=sources,
        credits=[one.credit for one in delivery],
        how_to_read=_how_to_read(release.key, delivery),
        counts={"tables": _count(delivery, Kind.TABLE), "bytes": sum(file.size for file in copied.values())},
        notes=[*_NOTES, *(_OF_IMAGES if IF_FIELDS.name in {one.name for one in delivery} else ())],
    )
    texts[f"{PAYLOAD}/README.md"] = readme(about, origin).encode()
    payload = {name: FileDigest(file.sha256, file.size) for name, file in copied.items()}
    payload |= {name: FileDigest(hashlib.sha256(data).hexdigest(), len(data)) for name, data in texts.items()}
    tags = tag_files(payload, _info(origin))
    return Plan(
        named_by=NAMED_BY,
        identity={"format": "deposit", "version": 1, "release": release.key, "content": _digest_of(payload)},
        parts=[
            *(_copy(release.store, name, file) for name, file in copied.items()),
            *(of_bytes(name, data) for name, data in texts.items()),
        ],
        closing=[_held(folder, payload), *(of_bytes(name, data) for name, data in tags.items() if name != MANIFEST)],
        unit=_UNIT,
        sources=sources,
        credits=about.credits,
        how_to_read=about.how_to_read,
        counts=about.counts,
        notes=about.notes,
        room=sum(file.size for file in payload.values()),
    )


def _copied(delivery: Sequence[Delivered]) -> Iterator[tuple[str, DeliveredFile]]:
    """Name in the folder to the stored file with its bytes."""
    for one in delivery:
        entries = _ENTRY_POINTS.get(one.name, {}) if one.kind is Kind.DOCUMENT else {}
        for file in one.files:
            yield f"{PAYLOAD}/{file.path}", file
            if (name := entries.get(file.path.removeprefix(f"{one.path}/"))) is not None:
                yield f"{PAYLOAD}/{name}", file


def _records(release: Release, delivery: Sequence[Delivered]) -> Iterator[tuple[str, bytes]]:
    """What the storage has recorded of the release: its key, and digests and runs of what is delivered."""
    places = {layout.release_path(key) for key in (release.key, *(one.partition.release for one in delivery))}
    for one in delivery:
        path = one.making.path if one.making else one.path
        places |= {layout.file_digests_path(path), layout.making_path(path)}
        if one.making is not None:
            ran = one.making.software
            places |= {layout.environment_path(ran.environment), layout.software_path(ran.source or "")}
        places |= {f"{path}/{layout.CURRENT}"} if one.kind is Kind.DOCUMENT else set()
    for place in sorted(places):
        with suppress(FileNotFoundError):
            yield place, release.store.read(place)


def _copy(store: Store, name: str, file: DeliveredFile) -> Part:
    def write(path: Path, tick: Tick) -> None:
        digest = hashlib.sha256()
        with store.fs.open(store.address(file.path), "rb", block_size=8 * BLOCK) as source, path.open("wb") as target:
            while block := source.read(BLOCK):
                digest.update(block)
                target.write(block)
                tick()
        if digest.hexdigest() != file.sha256:
            raise StoredBytesDamagedError(
                f"{file.path} is not what was published.",
                remedy=f"Run `cm4ai withdraw {file.path}`, and materialize it again.",
            )

    return Part(name, write, ticks=math.ceil(file.size / BLOCK), size=file.size)


def _held(folder: Path, payload: Mapping[str, FileDigest]) -> Part:
    """Not a file that anybody misses: the folder as a whole, read again before its manifest may be written."""

    def write(path: Path, _: Tick) -> None:
        if problems := damage(folder, payload):
            raise StoredBytesDamagedError(
                f"{folder} does not hold what was written: {summary(problems)}.",
                remedy="Remove what is named, and run the command again; the rest is kept.",
            )
        path.write_bytes(manifest(payload))

    return Part(MANIFEST, write)


def _digest_of(payload: Mapping[str, FileDigest]) -> str:
    return listing_digest({name: file.sha256 for name, file in payload.items()})


def _sources(store: Store, delivery: Sequence[Delivered]) -> list[dict[str, Any]]:
    """The published files behind all tables, each once."""
    published = PublishedFiles(store)
    found = dict.fromkeys(
        file
        for one in delivery
        if one.kind is Kind.TABLE
        for file in published.inputs(one.partition.release, one.name, one.partition.condition)
    )
    return [_source(file) for file in sorted(found, key=lambda one: (one.archive, one.dataset, one.path))]


def _source(file: PublishedFile) -> dict[str, Any]:
    return {"kind": "published file", "label": file.path, **asdict(file)}


def _how_to_read(release: str, delivery: Sequence[Delivered]) -> str:
    licences = dict[str, set[str]]()
    for one in delivery:
        if one.kind is not Kind.DOCUMENT:
            licences.setdefault(one.credit.get("license", NOT_STATED), set()).add(one.name)
    tables = [one.name for one in delivery if one.kind is Kind.TABLE]
    shown = next((name for name in tables if name == IF_FIELDS.name), tables[0])
    rows = [f"| {for_markdown(name)} | {', '.join(sorted(assets))} |" for name, assets in sorted(licences.items())]
    return "\n".join([
        "## How to read it",
        "Open `data/datasheet.html` for what is in it. Tables are Parquet below `data/tables/`, image tensors Zarr v3",
        "below `data/tensors/`; the folder `data/` is a storage of cm4ai_assets:",
        "",
        "    from cm4ai_assets import open_release",
        f'    r = open_release("{release}", storage="data")',
        f'    r.table("{shown}").collect()',
        "",
        f'Any reader of Parquet does as well: `polars.scan_parquet("data/tables/{shown}/**/*.parquet")`.',
        "`data/croissant.json` is for loaders that read Croissant, `data/ro-crate-metadata.json` says of each file",
        "which run made it of which published bytes. `sha256sum -c manifest-sha256.txt` checks every file; so does any",
        "tool that knows BagIt.",
        "",
        "## Licences",
        "| licence | of |",
        "| --- | --- |",
        *rows,
    ])  # fmt: skip


def _info(origin: Origin) -> dict[str, str]:
    """What `bag-info.txt` says. Its words are those of RFC 8493."""
    return {
        "External-Description": f"{origin.title or origin.release}, as delivered by {NAME}",
        "External-Identifier": origin.doi,
        "Internal-Sender-Identifier": origin.release,
        "Internal-Sender-Description": f"License: {origin.license}. Cite: {origin.citation}",
        "Bag-Software-Agent": f"{NAME} {package_version()}",
    }


def _count(delivery: Sequence[Delivered], kind: Kind) -> int:
    return sum(one.kind is kind for one in delivery)


_NOTES: Final = (
    "The published files themselves are not in it: they stand in the archive, and are named below with their digests.",
)
_OF_IMAGES: Final = (
    "Values of images are not comparable between fields, which were contrast-stretched one by one before publication.",
    "The physical pixel size is not published.",
)
