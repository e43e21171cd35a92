"""The documents that describe a release as it is delivered here."""

from __future__ import annotations

from cm4ai_assets.tables.schema import Document

GROUP = "publication"

CROISSANT = Document(
    name="croissant",
    description="Croissant 1.1 over the release's tables and stores: every file with its digest and licence, every "
    "column with its meaning and unit, splits, and where it comes from. For loaders that read Croissant.",
    entry="croissant.json",
    source="the tables and stores that are published for the release",
)

DATASHEET_REPORT = Document(
    name="datasheet_report",
    description="The release as one page that can be sent to a colleague: what is in it, contact sheets, quality, "
    "coverage, changes, contradictions, embargoes, licence, citation, how to load it. Beside it the datasheet (D4D), "
    "CITATION.cff and BibTeX.",
    entry="index.html",
    source="the tables and stores that are published for the release",
)

DERIVED_CRATE = Document(
    name="derived_crate",
    description="RO-Crate 1.2 and Process Run Crate of what is delivered here, with the FAIRSCAPE terms: every file "
    "with its digest, the run that made it, and the published files behind it. One crate for the release, one a group.",
    entry="ro-crate-metadata.json",
    source="the tables, stores and documents that are published for the release, and the records of their runs",
)

AI_READINESS = Document(
    name="ai_readiness",
    description="The 28 criteria of AI-readiness, graded by evidence: of the release as it was published, and as it is "
    "delivered here. What only a person can judge is said as such.",
    entry="index.html",
    source="the tables and documents that are published for the release",
)

DOCUMENTS = (CROISSANT, DATASHEET_REPORT, DERIVED_CRATE, AI_READINESS)
