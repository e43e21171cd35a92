"""The description of a dataset as its landing page carries it: the archive's JSON-LD.

Belongs here: asking for it, and whether it is of the version that is wanted. Does not belong here: what it says
(`crates.datasheet`). The archive describes the latest version of a dataset only.
"""

from __future__ import annotations

import json

from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError
from cm4ai_assets.transfer.http import HttpClient

EXPORT = "/api/datasets/export"


def json_ld(client: HttpClient, doi: str, version: str) -> bytes:
    """The JSON-LD of a version, as text.

    Raises:
        NotFoundError: The archive describes another version by now.
        ArchiveError: It could not be fetched.
    """
    body = client.json(EXPORT, {"exporter": "schema.org", "persistentId": doi}).body
    if not isinstance(body, dict):
        raise ProtocolError(f"The archive describes {doi} by something that is no JSON object.")
    stated = str(body.get("version", ""))
    # Up to Dataverse 6.8 the major number alone is stated.
    if stated not in {version, version.partition(".")[0]}:
        raise NotFoundError(f"The archive's description of {doi} is of version {stated or 'unknown'}, not {version}.")
    return json.dumps(body, ensure_ascii=False).encode()
