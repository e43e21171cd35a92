"""Registries that the rubric names, as data: repositories, vocabularies, places of software, formats, security levels.

Belongs here: what is recognized, and as what. Does not belong here: what a release has of it.
"""

from __future__ import annotations

import re

from cm4ai_assets import identifiers

SUSTAINABLE = {
    "10.18130": "University of Virginia Dataverse",
    "10.25345": "MassIVE",
    "10.6084": "Figshare",
    "10.5281": "Zenodo",
    "10.7910": "Harvard Dataverse",
    "10.5061": "Dryad",
    "10.6019": "PRIDE and other archives of EMBL-EBI",
}
"""Prefixes of DOIs of repositories that keep descriptive metadata whatever becomes of the data."""


def prefix_of(text: str) -> str | None:
    """Prefix of the first DOI in a text; None if there is none."""
    found = identifiers.DOI.found_in(text)
    return found[0].partition("/")[0] if found else None


SPECIALISTS = {
    "mass spectrometry": re.compile(
        rf"\b(?:{identifiers.MASSIVE.pattern}|PXD\d{{6}})\b|massive\.ucsd\.edu|massive-ftp|10\.25345/", re.IGNORECASE
    ),
    "sequencing": re.compile(
        r"\b(?:PRJNA\d+|PRJEB\d+|SRP\d+|SRR\d+|ERR\d+|GSE\d+|SAMN\d+)\b|ncbi\.nlm\.nih\.gov|ebi\.ac\.uk/ena",
        re.IGNORECASE,
    ),
}
"""Kind of data to what names a deposit in a repository of its field."""

VOCABULARY = re.compile(
    r"meshb?\.nlm\.nih\.gov|id\.nlm\.nih\.gov/mesh|purl\.obolibrary\.org/obo/|purl\.uniprot\.org|uniprot\.org/uniprot"
    r"|ensembl\.org|identifiers\.org/|bioregistry\.io/|cellosaurus\.org|cellosaurus_CVCL|\bRRID:"
    rf"|\b{identifiers.CELLOSAURUS.pattern}\b"
    r"|www\.ebi\.ac\.uk/(?:ols|efo)|edamontology\.org|taxonomy/\d+"
    rf"|\b{identifiers.ENSEMBL_GENE.pattern}\b"
    r"|\b(?:CLO|EFO|OBI|UBERON|GO|CHEBI|NCIT|BAO|CL|PR)[:_]\d{4,8}\b",
    re.IGNORECASE,
)
"""What names a term of a vocabulary that BioPortal, OLS or the OBO Foundry lists, or an entry of a reference
database."""

SUBJECT_VOCABULARY = re.compile(
    r"mesh|purl\.obolibrary\.org|edamontology|ebi\.ac\.uk/(?:ols|efo)|id\.loc\.gov|wikidata\.org", re.IGNORECASE
)
CODE_ARCHIVE = re.compile(r"\bswh:1:|softwareheritage\.org|zenodo|10\.5281/|10\.18130/|figshare", re.IGNORECASE)
ADDRESS = re.compile(r"https?://(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
NOWHERE = re.compile(r"https?://[\w.-]+\.(?:invalid|test|example|localhost)\b[^\s\"]*", re.IGNORECASE)
"""Addresses at names that are reserved for what is at no place (RFC 2606)."""

CODE_HOST = re.compile(r"github\.com|gitlab\.|bitbucket\.org|pypi\.org", re.IGNORECASE)
ORCID = re.compile(rf"orcid\.org/{identifiers.ORCID.pattern}")
ROR = re.compile(r"ror\.org/0[a-z0-9]{8}")
HL7 = ("unrestricted", "low", "moderate", "normal", "restricted", "very restricted")
VENDOR_FORMATS = re.compile(
    r"(?:^|[./\s])(?:\.?d|\.?raw|d directory group|wiff|lif|czi|nd2|mat|pkl|pickle|rds)$", re.IGNORECASE
)
UNTYPED_FORMATS = re.compile(r"(?:^|[./\s])(?:npy|npz|pkl|pickle|mat|unknown|octet-stream)$", re.IGNORECASE)
SCHEMA_ORG = re.compile(r"^(?:https?://)?schema\.org/?|^sc:|mlcommons\.org/croissant|w3id\.org/ro/crate", re.IGNORECASE)
