"""The Croissant of the folder with encoded images: a record set a condition and split, in which images are images.

Belongs here: `croissant.json` of that export. Does not belong here: the words of Croissant (`croissant.words`), and the
Croissant of a release's tables (`publication.croissant`).

A record set reads the shards of its split through a set of files, one after the other; each shard is also listed by
itself with its digest, which mlcroissant does not hold against a set of files. With `pixels: png` an image decodes to
the plane of the tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets.croissant.words import (
    CONFORMS_TO,
    CONTEXT,
    NAME,
    PARQUET,
    field,
    file_object,
    record_set,
    rendered,
)
from cm4ai_assets.exports.parts import Part
from cm4ai_assets.exports.provenance import Origin
from cm4ai_assets.images.shards import STAINS
from cm4ai_assets.storage.file_digests import FileDigest
from cm4ai_assets.tables.images import CHANNELS, IF_FIELDS
from cm4ai_assets.tables.integration import SPLITS
from cm4ai_assets.updates.credit import NOT_STATED, licence_address


def croissant_part(
    origin: Origin, shards: Sequence[str], splits: Mapping[str, Sequence[str]], labels: Mapping[str, pl.DataType]
) -> Part:
    """`croissant.json`, which is written when the shards stand beside it.

    Args:
        origin: The release behind the export.
        shards: Names of the shards.
        splits: Condition to its splits.
        labels: Columns beside the images.
    """

    def write(path: Path, _: object) -> None:
        files = [_shard(path.parent, name) for name in shards]
        path.write_bytes(rendered(document(origin, files, splits, labels)))

    return Part(NAME, write)


def document(
    origin: Origin,
    files: Iterable[Mapping[str, Any]],
    splits: Mapping[str, Sequence[str]],
    labels: Mapping[str, pl.DataType],
) -> dict[str, Any]:
    """The description; see `croissant_part`. `files` are those of the shards."""
    names = [f"{condition}/{split}" for condition, own in splits.items() for split in own]
    page = f"https://doi.org/{origin.doi.removeprefix('doi:')}"
    licences = [licence_address(one) or one for one in origin.license.split(", ")]
    head = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "name": f"{origin.title or origin.release}: images, as exported by cm4ai_assets",
        "description": f"Fields of view with an image a channel and their labels, made from {page}, version "
        f"{origin.version}. Values are not comparable between images, which were contrast-stretched one by one before "
        "publication.",
        "conformsTo": CONFORMS_TO,
        "citeAs": origin.citation,
        "license": licences[0] if len(licences) == 1 else licences,
        "url": page,
        "version": None if origin.version == NOT_STATED else origin.version,
        "datePublished": origin.released.isoformat() if origin.released else None,
        "isBasedOn": {"@id": page},
        "usageInfo": list(origin.carried.get("prohibited_use", ())),
        "prov:wasDerivedFrom": {"@id": page},
    }
    return {
        **{key: value for key, value in head.items() if value},
        "distribution": [*files, *(_file_set(name) for name in names)],
        "recordSet": [_records(name, labels) for name in names],
    }


def _shard(folder: Path, name: str) -> dict[str, Any]:
    with (folder / name).open("rb") as file:
        digest = FileDigest.of(file.read)
    return file_object(name, url=name, size=digest.size, sha256=digest.sha256, encoding=PARQUET)


def _file_set(name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"shards/{name}",
        "name": f"shards of {name}",
        "encodingFormat": PARQUET,
        "includes": f"data/{name}-*.parquet",
    }


def _records(name: str, labels: Mapping[str, pl.DataType]) -> dict[str, Any]:
    condition, split = name.split("/")
    source = {"fileSet": {"@id": f"shards/{name}"}}
    described = {column.name: column.description for column in (*SPLITS.columns, *IF_FIELDS.columns)}
    images = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{channel}",
            "name": channel,
            "description": f"Image of the channel {channel}: {STAINS[channel][0]} ({STAINS[channel][1]}).",
            "dataType": "sc:ImageObject",
            "source": {**source, "extract": {"column": channel}, "transform": {"jsonPath": "bytes"}},
        }
        for channel in CHANNELS
    ]
    columns = [
        field(f"{name}/{column}", dtype, source, description=described.get(column)) for column, dtype in labels.items()
    ]
    return record_set(
        name,
        [*images, *columns],
        description=f"Fields of view of the condition {condition} in the split {split}: images and labels.",
        key={"@id": f"{name}/field_id"},
    )
