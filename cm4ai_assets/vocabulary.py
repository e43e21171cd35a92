"""The words of the data: what a file is of, which cells it is from, and what a number in it means.

Belongs here: closed vocabularies that several packages name, each as an enum, and the spellings of the cell lines. Does
not belong here: treatments (`conditions`), identifiers that follow a grammar (`identifiers`), and words that one table
alone uses, such as its defects (`tables`).

A member is its own text: it goes into frames, paths and tags as it stands.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Modality(StrEnum):
    """What kind of experiment a file is from; `release` for what describes a release as a whole."""

    IF = "if"
    SECMS = "secms"
    APMS = "apms"
    PERTURBSEQ = "perturbseq"
    RELEASE = "release"


MODALITY_NAMES: dict[Modality, str] = {
    Modality.IF: "IF",
    Modality.SECMS: "SEC-MS",
    Modality.APMS: "AP-MS",
    Modality.PERTURBSEQ: "Perturb-seq",
}
"""What people call them."""


class Role(StrEnum):
    """What a published file is for its modality."""

    IMAGES = "images"
    TABLES = "tables"
    PACKAGE = "package"  # a ZIP of tables or of metadata only: its name does not say which
    RAW_INDEX = "raw_index"
    CRATE = "crate"
    CRATE_BUNDLE = "crate_bundle"
    DATASHEET = "datasheet"
    PREVIEW = "preview"
    PROVENANCE_GRAPH = "provenance_graph"
    STATISTICS = "statistics"


class CellLine(StrEnum):
    """The line that cells are of."""

    MDA_MB_468 = "MDA-MB-468"
    KOLF2_1J = "KOLF2.1J"


class CellType(StrEnum):
    """The state of the cells: cancer is MDA-MB-468, the others are KOLF2.1J and what is differentiated from it."""

    CANCER = "cancer"
    IPSC = "ipsc"
    NPC = "npc"
    NEURON = "neuron"
    CARDIOMYOCYTE = "cardiomyocyte"


class QuantityKind(StrEnum):
    """What a number of an elution profile is. Numbers of different kinds are not on one scale."""

    PROTEIN_GROUP_QUANTITY = "protein_group_quantity"  # Spectronaut PG.Quantity
    SEC_INTENSITY = "sec_intensity"  # column `intensity` of sec.csv
    FEATURE_INTENSITY_SUM = "feature_intensity_sum"  # sum of the features' intensities in the MSstats table


CELL_LINE_SPELLINGS: dict[CellLine, str] = {
    CellLine.MDA_MB_468: r"MDA[-_ ]?MB[-_ ]?468",
    CellLine.KOLF2_1J: r"KOLF[-_ ]?2(?:\.1)?J?",
}
"""How names in the wild spell a cell line, as a regular expression without regard to case."""

_CELL_LINES = {line: re.compile(spelling, re.IGNORECASE) for line, spelling in CELL_LINE_SPELLINGS.items()}


def cell_lines_in(name: str) -> set[CellLine]:
    """The cell lines that a name mentions.

    >>> cell_lines_in("cm4ai_mass-spec_KOLF2.zip")
    {<CellLine.KOLF2_1J: 'KOLF2.1J'>}
    """
    return {line for line, spelling in _CELL_LINES.items() if spelling.search(name)}


MISSING = ("", "NaN", "nan", "NA", "N/A", "#N/A", "Filtered", "null", "NULL")
"""How tables write that a value is missing: empty; NaN as Spectronaut and pandas, NA as R write it; "Filtered" where
Spectronaut's q-value filter took the value out; #N/A of spreadsheets."""

PERTURBSEQ_DOI = "10.25452/figshare.plus.27261219"
"""The Figshare article of the programme's Perturb-seq matrices (data reference, section 3). The crates published so far
name a private link to it, or nothing; it is asked for where a release has Perturb-seq content and names no DOI."""

PERTURBSEQ_BIOPROJECT = "PRJNA1173491"
"""The BioProject of the programme's Perturb-seq reads (data reference, section 3). The crates list its runs by
accession and do not name it."""
