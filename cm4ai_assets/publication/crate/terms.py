"""The words of the crates: context, types, and what a release's own crate says of its use, under which key.

Belongs here: names, and what they stand for. Does not belong here: entities (`entities`, `runs`, `schemas`).
"""

from __future__ import annotations

from typing import Any, Final

from cm4ai_assets.publication.crate.ids import TERMS

Entity = dict[str, Any]

UNKNOWN: Final = ""
"""A text that FAIRSCAPE's models demand and nobody states; the form of RO-Crate leaves its key out."""

METADATA: Final = "ro-crate-metadata.json"
RO_CRATE: Final = "https://w3id.org/ro/crate/1.2"
ANY_RO_CRATE: Final = "https://w3id.org/ro/crate"
PROCESS_RUN: Final = "https://w3id.org/ro/wfrun/process/0.5"

EVI_DATASET: Final = "https://w3id.org/EVI#Dataset"
EVI_SOFTWARE: Final = "https://w3id.org/EVI#Software"
EVI_COMPUTATION: Final = "https://w3id.org/EVI#Computation"
EVI_CRATE: Final = "https://w3id.org/EVI#ROCrate"
EVI_SCHEMA: Final = "EVI:Schema"

# Each is text of the release about its use and its limits. Written as it was published, under the key that the crates
# of 2026 have for it. Of the June 2025 crate the last column stands in `additionalProperty`.
CARRIED: Final[dict[str, str | None]] = {
    "rai:dataLimitations": "Limitations",
    "rai:dataBiases": "Potential Sources of Bias",
    "rai:dataUseCases": "Intended Use",
    "rai:dataReleaseMaintenancePlan": "Maintenance Plan",
    "rai:dataCollection": None,
    "rai:dataCollectionType": None,
    "rai:dataCollectionMissingData": None,
    "rai:dataCollectionRawData": None,
    "rai:dataCollectionTimeframe": None,
    "rai:dataImputationProtocol": None,
    "rai:dataManipulationProtocol": None,
    "rai:dataPreprocessingProtocol": None,
    "rai:dataAnnotationProtocol": None,
    "rai:dataAnnotationPlatform": None,
    "rai:dataAnnotationAnalysis": None,
    "rai:personalSensitiveInformation": None,
    "rai:dataSocialImpact": None,
    "completeness": "Completeness",
    "prohibitedUses": "Prohibited Uses",
    "ethicalReview": None,
    "confidentialityLevel": None,
    "humanSubjectResearch": "Human Subject",
    "humanSubjectExemption": None,
    "deidentified": "De-identified Samples",
    "fdaRegulated": "FDA Regulated",
    "irb": None,
    "irbProtocolId": None,
    "dataGovernanceCommittee": "Data Governance Committee",
    "conditionsOfAccess": None,
    "copyrightNotice": None,
    "usageInfo": None,
    "principalInvestigator": None,
    "contactEmail": None,
    "associatedPublication": None,
    "d4d:informedConsent": None,
    "d4d:atRiskPopulations": None,
    "d4d:participantPrivacy": None,
    "d4d:contentWarning": None,
    "d4d:dataAnomalies": None,
}

# Keys without a meaning in the context of RO-Crate 1.2; FAIRSCAPE uses them.
_EVI_WORDS = (
    *(key for key in CARRIED if ":" not in key and key not in {"conditionsOfAccess", "copyrightNotice", "usageInfo"}),
    "additionalProperties", "columnCount", "derivedFrom", "format", "generated", "generatedBy", "md5", "properties",
    "required", "ro-crate-metadata", "rowCount", "runBy", "usedDataset", "usedSoftware",
)  # fmt: skip
WORDS: Final = {
    "EVI": "https://w3id.org/EVI#",
    "evi": "https://w3id.org/EVI#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "d4d": "https://w3id.org/bridge2ai/data-sheets-schema/",
    "cm4ai": TERMS,
    **{word: f"https://w3id.org/EVI#{word}" for word in _EVI_WORDS},
}
CONTEXT: Final = [f"{RO_CRATE}/context", WORDS]
FAIRSCAPE_CONTEXT: Final = {"@vocab": "https://schema.org/", **WORDS}


def ref(entity: str) -> Entity:
    """A reference to an entity."""
    return {"@id": entity}


def refs(entities: list[str]) -> list[Entity]:
    """References, each once, in the order given."""
    return [ref(one) for one in dict.fromkeys(entities)]
