"""Identifiers as crates spell them, each brought into its one spelling.

Belongs here: ids of entities (ARK, URL, DOI), types and digests. Does not belong here: the form that a kind of id
demands (`cm4ai_assets.identifiers`), and what an entity says (`decoding`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from cm4ai_assets.identifiers import doi_in

# One entity is `ark:59853/x`, `https://fairscape.net/ark:59853/x`, `https://fairscape.net/api/ark:59853/x` or, by a
# slip that stands in every 2026 `isPartOf`, `…/x,`. NAANs 59852 (2024, 2025) and 59853 (2026) are two namespaces.
_ARK = re.compile(r"ark:/?([0-9]{5}/.+)", re.DOTALL)
_DOI_URL = re.compile(r"^(?:https?://)?(?:dx\.)?doi\.org/", re.IGNORECASE)
_NAMESPACES = re.compile(
    r"^(?:https?://w3id\.org/EVI#|https?://schema\.org/|http://www\.w3\.org/ns/prov#|evi:|prov:|schema:)", re.IGNORECASE
)
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_DIGEST_LENGTHS = {"md5": 32, "sha256": 64}


@lru_cache(maxsize=1 << 17)  # an id stands at its entity and at every edge to it
def normalize_id(text: str) -> str:
    """The one form of an entity id: a bare ARK, a DOI at doi.org, else the text without surrounding blanks and commas.

    Slashes at an ARK's end carry no meaning and are dropped (ARK specification, normalization), which also joins the
    2025 ids that end in one with the 2026 ids that do not.

    >>> normalize_id("https://fairscape.net/api/ark:59853/treatment-paclitaxel,")
    'ark:59853/treatment-paclitaxel'
    >>> normalize_id("https://doi.org/doi:10.25345/C5348GV4S")
    'https://doi.org/10.25345/C5348GV4S'
    """
    begin = text.find("ark:")
    if begin >= 0 and (ark := _ARK.match(text, begin)) is not None:
        return "ark:" + ark[1].rstrip(" \t\r\n,/")
    if _DOI_URL.match(text) and (doi := doi_in(text)) is not None:
        return f"https://doi.org/{doi}"
    return text.strip(" \t\r\n,")


@lru_cache(maxsize=4096)
def normalize_type(text: str) -> str:
    """A type without its namespace, where the namespace is one these crates use: `EVI:Schema` is `Schema`."""
    return _NAMESPACES.sub("", text.strip())


def normalize_digest(text: str, kind: str) -> str | None:
    """A digest in lower-case hexadecimal; None if the text is not one of that kind (`md5`, `sha256`)."""
    digest = text.strip().lower()
    return digest if len(digest) == _DIGEST_LENGTHS[kind] and _HEXADECIMAL.fullmatch(digest) else None
