"""A synthetic Figshare: the programme's Perturb-seq article, its versions, and the bytes of its files.

Belongs here: what the article holds and what the API says of it. Does not belong here: serving it (`figshare_routes`),
and how the experiment comes about (`perturbseq`, `h5ad`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from cm4ai_assets.sandbox.h5ad import h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment, control_whitelist, guide_library

ARTICLE = 27261219
DOI = f"10.25452/figshare.plus.{ARTICLE}"
_PUBLISHED, _REVISED = "2026-05-18T09:12:31Z", "2026-06-02T14:40:09Z"
# Ids are the real ones plus 600,000, as everywhere in the sandbox.
_README, _PAN_GENOME, _GUIDES, _CONTROLS = 65250260, 65250261, 65250262, 65250263


@dataclass(frozen=True)
class File:
    """A file of the article: id, name, the recipe of its bytes, and the version that it came with."""

    id: int
    name: str
    content: Callable[[], bytes]
    since: int = 1


def _readme() -> bytes:
    return b"# Synthetic data of the CM4AI sandbox archive\n\nNothing in this article was measured.\n"


def _matrix() -> bytes:
    return h5ad(Experiment())


FILES = (
    File(_README, "README.md", _readme),
    File(_PAN_GENOME, "KOLF_Pan_Genome_QC_Filtered.h5ad", _matrix),
    File(_GUIDES, "pan_genome_feature_reference.csv", lambda: guide_library(Experiment())),
    File(_CONTROLS, "NTC_sgRNA_whitelist.txt", lambda: control_whitelist(Experiment()), since=2),
)
VERSIONS = {1: _PUBLISHED, 2: _REVISED}


@cache
def content(file_id: int) -> bytes | None:
    """The bytes of a file; None for one that is not there."""
    return next((file.content() for file in FILES if file.id == file_id), None)


@cache
def md5(file_id: int) -> str:
    """The digest of a file, which is also the entity tag of the object store."""
    return hashlib.md5(content(file_id) or b"", usedforsecurity=False).hexdigest()


def files_json(version: int, base: str) -> list[dict[str, Any]]:
    """What the API says of the files of a version; `base` is the server's own address."""
    return [
        {
            "id": file.id,
            "name": file.name,
            "size": len(content(file.id) or b""),
            "is_link_only": False,
            "download_url": f"{base}/ndownloader/files/{file.id}",
            "supplied_md5": md5(file.id),
            "computed_md5": md5(file.id),
            "mimetype": "application/octet-stream",
        }
        for file in FILES
        if file.since <= version
    ]


def article_json(version: int, base: str) -> dict[str, Any]:
    """What the API says of a version of the article. It lists the first ten files only."""
    files = files_json(version, base)
    return {
        "id": ARTICLE,
        "title": "Perturbation cell atlas of KOLF2.1J (synthetic sandbox)",
        "doi": f"{DOI}.v{version}",
        "version": version,
        "status": "public",
        "defined_type": 3,
        "defined_type_name": "dataset",
        "url_public_html": f"{base}/articles/dataset/sandbox/{ARTICLE}/{version}",
        "published_date": VERSIONS[version],
        "created_date": VERSIONS[version],
        "modified_date": VERSIONS[version],
        "size": sum(file["size"] for file in files),
        "license": {"value": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
        "is_public": True,
        "is_active": True,
        "is_embargoed": False,
        "embargo_type": None,
        "embargo_date": None,
        "embargo_title": "",
        "embargo_reason": "",
        "embargo_options": [],
        "is_confidential": False,
        "confidential_reason": "",
        "is_metadata_record": False,
        "metadata_reason": "",
        "download_disabled": False,
        "has_linked_file": False,
        "authors": [{"id": 1, "full_name": "Sandbox Painter", "is_active": True, "url_name": "_", "orcid_id": ""}],
        "custom_fields": [],
        "files": files[:10],
    }
