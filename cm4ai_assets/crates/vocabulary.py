"""The words of the crates: which key states which relation, and which keys are only carried along.

Belongs here: vocabulary as data, from the crates of 2024 to 2026. A key that stands in none of these tables, nor among
the fields of `decoding.Described`, is kept as JSON in `extra` like those that are carried along.
"""

from __future__ import annotations

# Key to relation, one of `tables.crates.RELATION_NAMES`. Several spellings state one relation: EVI's, PROV's with and
# without a prefix, full IRIs (2026).
RELATIONS: dict[str, str] = {
    "usedDataset": "used_dataset",
    "usedSample": "used_sample",
    "usedInstrument": "used_instrument",
    "usedSoftware": "used_software",
    "usedTreatment": "used_treatment",
    "usedStain": "stained_with",
    "usedMLModel": "used_model",
    "prov:used": "used_dataset",
    "cellLineReference": "cell_line",
    "usedCellLine": "cell_line",
    "generated": "generated",
    "generatedBy": "generated_by",
    "wasGeneratedBy": "generated_by",
    "prov:wasGeneratedBy": "generated_by",
    "derivedFrom": "derived_from",
    "wasDerivedFrom": "derived_from",
    "prov:wasDerivedFrom": "derived_from",
    "usedBy": "used_by",
    "EVI:usedBy": "used_by",
    "usedByComputation": "used_by",
    "usedByExperiment": "used_by",
    "https://w3id.org/EVI#inputs": "input",
    "https://w3id.org/EVI#outputs": "output",
    "hasPart": "has_part",
    "hasBioChemEntityPart": "has_part",
    "isPartOf": "part_of",
    "about": "about",
    "conformsTo": "conforms_to",
    "EVI:Schema": "has_schema",
    "evi:Schema": "has_schema",
    "schema": "has_schema",
    "hasSchema": "has_schema",
    "dataSchema": "has_schema",
    "localEvidenceGraph": "evidence_graph",
    "hasEvidenceGraph": "evidence_graph",
    "hasSummaryStatistics": "summary_statistics",
    "associatedDisease": "disease",
    "associatedDiesease": "disease",  # sic, in the crate of the treated cancer cells
}

# What leads from a thing to what it was made with, read from the thing's side.
MADE_WITH: tuple[str, ...] = (
    "generated_by",
    "derived_from",
    "used_dataset",
    "used_sample",
    "used_instrument",
    "used_software",
    "used_treatment",
    "used_model",
    "stained_with",
    "cell_line",
)

# Keys that need no column and stand in most entities: known to the typed decoder so that they do not slow it down, and
# kept in `extra` like any other key without a column.
CARRIED: tuple[str, ...] = (
    "@context",
    "additionalDocumentation",
    "additionalProperty",
    "affiliation",
    "alternateName",
    "associatedPublication",
    "citation",
    "columnCount",
    "conditionsOfAccess",
    "contactEmail",
    "copyrightNotice",
    "evi:annotatedBy",
    "experimentType",
    "fairscapeVersion",
    "funder",
    "inDefinedTermSet",
    "manufacturer",
    "model",
    "organism",
    "principalInvestigator",
    "protocol",
    "prov:wasAssociatedWith",
    "prov:wasAttributedTo",
    "publisher",
    "rowCount",
    "sameAs",
    "synonym",
    "termCode",
)
