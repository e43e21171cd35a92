"""The files that a datasheet lists: all of them, with what is known of their bytes.

Belongs here: the published files and the delivered ones as D4D's `file_collections`. Does not belong here: the rest of
the datasheet (`d4d`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, Final

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import PublishedFile, release_file
from cm4ai_assets.references import Kind
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.tables.release import RELEASE_FILES

_FORMATS: Final = {".json": "JSON", ".html": "HTML", ".zip": "ZIP", ".csv": "CSV", ".tsv": "TSV", ".yaml": "YAML"}
_WHAT: Final = {
    Kind.TENSOR: "Image tensor (Zarr v3) of {}",
    Kind.NUCLEI: "Labels of nuclei (Zarr v3) of {}",
    Kind.PROFILES: "Profiles of perturbed genes (Zarr v3)",
}


def collections(release: Release, delivery: Sequence[Delivered]) -> list[dict[str, Any]]:
    """The files of a release as it was published, then of every table, then of every store."""
    published = _published(release)
    found = [_of_published(release, published)] if published else []
    of_tables = (one for one in delivery if one.kind is Kind.TABLE)
    found += [_of_table(name, list(some)) for name, some in groupby(of_tables, lambda one: one.name)]
    return found + [_of_store(one) for one in delivery if one.kind in _WHAT]


def _published(release: Release) -> list[PublishedFile]:
    try:
        lock = release.table(RELEASE_FILES.name).collect()
    except NotMaterializedError:
        return []
    blobs = BlobStore(release.store.fs, release.store.root)
    return [release_file(release.store, blobs, row, release.key) for row in lock.sort("file_id").iter_rows(named=True)]


def _of_published(release: Release, files: Sequence[PublishedFile]) -> dict[str, Any]:
    return {
        "id": f"published/{release.key}",
        "title": "Files of the release as published",
        "description": "What the archive lists. Digests are the archive's own; sha256 is that of the bytes stored here "
        "after they were held against it, and is left out where a file is not stored.",
        "collection_type": "raw_data",
        "file_count": len(files),
        "total_bytes": sum(file.size or 0 for file in files),
        "resources": [dict(_published_file(file)) for file in files],
    }


def _published_file(file: PublishedFile) -> Iterator[tuple[str, Any]]:
    digest = f"{file.digest_type}:{file.digest}" if file.digest else None
    yield "id", f"{file.dataset}/{file.file_id}"
    yield from (
        (slot, value)
        for slot, value in (
            ("path", file.path),
            ("bytes", file.size),
            ("format", _FORMATS.get(PurePosixPath(file.path).suffix.lower())),
            ("md5", file.digest if file.digest_type == "MD5" else None),
            ("hash", None if file.digest_type == "MD5" else digest),
            ("sha256", file.sha256),
            ("license", file.license),
            ("download_url", file.url),
            ("status", None if file.access == "public" else file.access),
        )
        if value is not None
    )


def _of_table(name: str, parts: Sequence[Delivered]) -> dict[str, Any]:
    table = parts[0].table
    licences = dict.fromkeys(part.credit["license"] for part in parts if "license" in part.credit)
    return {
        "id": name,
        "title": name,
        **({"description": table.description} if table else {}),
        "collection_type": "processed_data",
        **({"license": ", ".join(licences)} if licences else {}),
        **_counted(parts),
    }


def _of_store(store: Delivered) -> dict[str, Any]:
    return {
        "id": store.path,
        "title": _WHAT[store.kind].format(store.partition.condition),
        "collection_type": "processed_data",
        **({"license": store.credit["license"]} if "license" in store.credit else {}),
        **_counted([store]),
    }


def _counted(parts: Sequence[Delivered]) -> dict[str, Any]:
    files = [file for part in parts for file in part.files]
    return {
        "file_count": len(files),
        "total_bytes": sum(file.size for file in files),
        "resources": [
            {"id": file.path, "path": file.path, "bytes": file.size, "sha256": file.sha256} for file in files
        ],
    }
