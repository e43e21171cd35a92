"""Identifiers as crates spell them, each brought into its one spelling.

Belongs here: types and digests. Does not belong here: ids of entities (`iris`), the form that a kind of id demands
(`cm4ai_assets.identifiers`), and what an entity says (`decoding`).
"""

from __future__ import annotations

import re
from functools import lru_cache

_NAMESPACES = re.compile(
    r"^(?:https?://w3id\.org/EVI#|https?://schema\.org/|http://www\.w3\.org/ns/prov#|evi:|prov:|schema:|sc:)",
    re.IGNORECASE,
)
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_DIGEST_LENGTHS = {"md5": 32, "sha256": 64}


@lru_cache(maxsize=4096)
def normalize_type(text: str) -> str:
    """A type without its namespace, where the namespace is one these crates use: `EVI:Schema` is `Schema`."""
    return _NAMESPACES.sub("", text.strip())


def normalize_digest(text: str, kind: str) -> str | None:
    """A digest in lower-case hexadecimal; None if the text is not one of that kind (`md5`, `sha256`)."""
    digest = text.strip().lower()
    return digest if len(digest) == _DIGEST_LENGTHS[kind] and _HEXADECIMAL.fullmatch(digest) else None
