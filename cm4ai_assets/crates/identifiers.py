"""Identifiers as crates and tables spell them: one form for each, and whether a text has the form its kind demands.

Belongs here: ids of entities (ARK, URL, DOI), types, digests, and the forms of Ensembl, UniProt, antibody and
Cellosaurus ids. Does not belong here: what an entity says (`decoding`), or whether an id exists: a form is no lookup.
"""

from __future__ import annotations

import re
from functools import lru_cache

# One entity is `ark:59853/x`, `https://fairscape.net/ark:59853/x`, `https://fairscape.net/api/ark:59853/x` or, by a
# slip that stands in every 2026 `isPartOf`, `…/x,`. NAANs 59852 (2024, 2025) and 59853 (2026) are two namespaces.
_ARK = re.compile(r"ark:/?(\d{5}/.+)$", re.DOTALL)
_DOI = re.compile(r"10\.\d{4,9}/[^\s\"<>]+")
_DOI_URL = re.compile(r"^(?:https?://)?(?:dx\.)?doi\.org/", re.IGNORECASE)
_NAMESPACES = re.compile(
    r"^(?:https?://w3id\.org/EVI#|https?://schema\.org/|http://www\.w3\.org/ns/prov#|evi:|prov:|schema:)", re.IGNORECASE
)
_HEXADECIMAL = re.compile(r"^[0-9a-f]+$")
_DIGEST_LENGTHS = {"md5": 32, "sha256": 64}

# https://www.ensembl.org/info/genome/stable_ids: ENS, G, eleven digits; a version may follow.
_ENSEMBL_GENE = re.compile(r"^ENSG\d{11}(?:\.\d+)?$")
# https://www.uniprot.org/help/accession_numbers; an isoform number may follow.
_UNIPROT = re.compile(r"^(?:[OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d(?:[A-Z][A-Z\d]{2}\d){1,2})(?:-\d+)?$")
# Antibodies of the Human Protein Atlas: HPA (own) and CAB (bought), six digits.
_ANTIBODY = re.compile(r"^(?:HPA|CAB)\d{6}$")
# https://www.cellosaurus.org: CVCL_ and four characters; RRIDs put their prefix before it.
_CELLOSAURUS = re.compile(r"^(?:RRID:)?CVCL_[A-Z0-9]{4}$")


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


def doi_in(text: str) -> str | None:
    """The first DOI in a text, bare and as spelled there; None if there is none."""
    match = _DOI.search(text)
    return None if match is None else match[0].rstrip(".,;)")


def same_doi(left: str, right: str) -> bool:
    """Two texts name one DOI. DOIs are compared without regard to case (ISO 26324)."""
    return (doi_in(left) or "").lower() == (doi_in(right) or "").lower() != ""


@lru_cache(maxsize=4096)
def normalize_type(text: str) -> str:
    """A type without its namespace, where the namespace is one these crates use: `EVI:Schema` is `Schema`."""
    return _NAMESPACES.sub("", text.strip())


def normalize_digest(text: str, kind: str) -> str | None:
    """A digest in lower-case hexadecimal; None if the text is not one of that kind (`md5`, `sha256`)."""
    digest = text.strip().lower()
    return digest if len(digest) == _DIGEST_LENGTHS[kind] and _HEXADECIMAL.match(digest) else None


def is_ensembl_gene_id(text: str) -> bool:
    """The form of an Ensembl human gene id: `ENSG00000132507`."""
    return _ENSEMBL_GENE.match(text) is not None


def is_uniprot_accession(text: str) -> bool:
    """The form of a UniProt accession: `P63241`, `A0A024RBG1`, `P63241-2`."""
    return _UNIPROT.match(text) is not None


def is_antibody_id(text: str) -> bool:
    """The form of a Human Protein Atlas antibody id: `HPA045064`, `CAB005042`."""
    return _ANTIBODY.match(text) is not None


def is_cellosaurus_id(text: str) -> bool:
    """The form of a Cellosaurus accession, bare or as an RRID: `CVCL_0419`, `RRID:CVCL_0419`."""
    return _CELLOSAURUS.match(text) is not None
