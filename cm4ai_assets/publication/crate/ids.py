"""Ids of what the crates describe. Nothing is given an identifier that somebody could take for a persistent one.

    https://cm4ai-assets.invalid/sha256/{digest}/{path}       a file, or a folder with a slash at the end
    https://cm4ai-assets.invalid/runs/{run id}/{asset}/…      what a run made
    https://dataverse.…/api/access/datafile/104074            a published file: where its archive serves it

The name below `.invalid` never resolves (RFC 6761), so nobody asks it for a file; `localPath` says where the file is.
The digest makes an id mean the same bytes wherever it is met. FAIRSCAPE takes `https`, and no relative path (decision
33).

Belongs here: how ids are written. Does not belong here: what is said of what they name (`entities`, `runs`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Final
from urllib.parse import quote

from cm4ai_assets.lineage.published import MASSIVE, PublishedFile
from cm4ai_assets.software import NAME, Software
from cm4ai_assets.storage.makings import Making
from cm4ai_assets.updates.credit import NOT_STATED, licence_address

NOWHERE: Final = "https://cm4ai-assets.invalid"
TERMS: Final = f"{NOWHERE}/terms#"


def content_id(path: str, sha256: str) -> str:
    """Of a file, by its path relative to the storage root and its digest.

    >>> content_id("tables/splits/release=r/data.parquet", "ab")
    'https://cm4ai-assets.invalid/sha256/ab/tables/splits/release=r/data.parquet'
    """
    return f"{NOWHERE}/sha256/{sha256}/{_quoted(path)}"


def folder_id(path: str, digest: str) -> str:
    """Of a store's folder, by its path and the digest of its listing."""
    return f"{content_id(path, digest)}/"


def run_id(making: Making) -> str:
    """Of what one run did for one asset and condition."""
    parts = (making.run_id, making.asset, *([making.condition] if making.condition else []))
    return f"{NOWHERE}/runs/{'/'.join(map(_quoted, parts))}"


def software_id(software: Software) -> str:
    """Of the software as it ran: another commit, environment or machine is another id."""
    stated = json.dumps(asdict(software), sort_keys=True).encode()
    return f"{NOWHERE}/software/{NAME}/{hashlib.sha256(stated).hexdigest()[:16]}"


def schema_id(name: str, digest: str) -> str:
    """Of the schema of a table or store, by a digest of what it says."""
    return f"{NOWHERE}/schemas/{_quoted(name)}/{digest[:16]}"


def licence_id(name: str) -> str:
    """Of a licence: its address, if it is one of Creative Commons; else a name of our own for what is stated.

    >>> licence_id("CC0 1.0"), licence_id("MIT")
    ('https://creativecommons.org/publicdomain/zero/1.0/', 'https://cm4ai-assets.invalid/licences/MIT')
    """
    return licence_address(name) or f"{NOWHERE}/licences/{_quoted(name)}"


def dataset_page(archive: str, dataset: str) -> str:
    """The page of a published dataset, by its DOI or accession.

    >>> dataset_page("dataverse", "doi:10.18130/V3/F3TD5R"), dataset_page("massive", "MSV000098237")
    ('https://doi.org/10.18130/V3/F3TD5R', 'https://identifiers.org/massive:MSV000098237')
    """
    if archive == MASSIVE:
        return f"https://identifiers.org/massive:{_quoted(dataset)}"
    return f"https://doi.org/{_quoted(dataset.removeprefix('doi:').removeprefix('https://doi.org/'))}"


def published_id(file: PublishedFile) -> str:
    """Of a published file: its address, if it is one of the web; else its place within the page of its dataset."""
    if file.url is not None and file.url.startswith(("http://", "https://")):
        return quote(file.url, safe="%:/?#[]@!$&'()*+,;=~")
    named = file.file_id if file.file_id is not None else file.path
    return f"{dataset_page(file.archive, file.dataset)}#{_quoted(named)}"


def _quoted(text: str) -> str:
    return quote(text, safe="/=,.:-_~" if text != NOT_STATED else "")
