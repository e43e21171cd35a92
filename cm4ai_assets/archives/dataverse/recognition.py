"""What a published file is, by its directory and name alone: rules as data.

Belongs here: the table of rules and what each name in the wild means. Does not belong here: spellings of treatments
(`conditions`), and guesses: a name that no rule knows is reported with a reason, and so is an unknown treatment.

The rules know every file of the published releases of March 2025 to June 2026, and the names of the May 2024 release
that are documented. Names drift (the IF archives were renamed three times), so rules are tried in order, on the whole
path, and without regard to case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cm4ai_assets.conditions import Condition, condition_or_none
from cm4ai_assets.vocabulary import CELL_LINE_SPELLINGS, CellLine, Modality, Role, cell_lines_in

_MDA, _KOLF = CellLine.MDA_MB_468, CellLine.KOLF2_1J
_CELL_LINE = f"(?P<cell_line>{'|'.join(CELL_LINE_SPELLINGS.values())})"

# The parts of a modality that stand beside each other as single files (F3TD5R), by the end of their name.
_DOCUMENTS = {
    "ro-crate-metadata.json": Role.CRATE,
    "ro-crate-preview.html": Role.PREVIEW,
    "ro-crate-datasheet.html": Role.DATASHEET,
    "provenance-graph.html": Role.PROVENANCE_GRAPH,
}
_DOCUMENT = rf"(?P<document>{'|'.join(re.escape(name) for name in _DOCUMENTS)})"


@dataclass(frozen=True)
class FileRule:
    """One way in which files are named.

    `pattern` is held against "directory/label" as a whole. Its groups `condition`, `cell_line` and `document` are what
    the name itself states; the other fields are what every file so named is.
    """

    name: str
    pattern: str
    modality: Modality
    role: Role | None = None
    cell_line: CellLine | None = None


_IN_ANY = r"(?:.*/)?"
_CONDITION = r"(?P<condition>[^/]+?)"

RULES: tuple[FileRule, ...] = (
    # Immunofluorescence: cm4ai_ifimages_MDA-MB-468_paclitaxel.zip (since 2025-10-31) and
    # cm4ai-ifimages-mda-mb-468-paclitaxel.zip (2025-10-22).
    FileRule("if-images", rf"{_IN_ANY}cm4ai[-_]if[-_]?images[-_]{_CELL_LINE}[-_]{_CONDITION}\.zip",
         Modality.IF, Role.IMAGES),
    # cm4ai-v0.6-beta-if-images-paclitaxel.zip (March 2025) and Images-paclitaxel.zip (July 2025, by the CFDE tables).
    # These do not name the cell line; the descriptions and crates of those releases do.
    FileRule("if-images-v0.6", rf"{_IN_ANY}cm4ai[-_]v[\d.]+[-_](?:alpha|beta)[-_]if[-_]?images[-_]{_CONDITION}\.zip",
         Modality.IF, Role.IMAGES, _MDA),
    FileRule("if-images-2025-07", rf"{_IN_ANY}images[-_]{_CONDITION}\.zip", Modality.IF, Role.IMAGES, _MDA),
    # Looks like images of a cell line or a form of name not seen so far.
    FileRule("if-images-like", rf"{_IN_ANY}cm4ai[-_](?:[^/]*[-_])?if[-_]?images[-_]{_CONDITION}\.zip",
         Modality.IF, Role.IMAGES),
    FileRule("if-documents", rf"{_IN_ANY}images-{_CONDITION}-{_DOCUMENT}", Modality.IF, None, _MDA),
    # SEC-MS. The ZIPs held the report tables in October 2025 and, under the same names, only metadata in June 2026: the
    # name does not tell, so neither does the role.
    FileRule("secms-package", rf"{_IN_ANY}cm4ai[-_]mass-spec[-_]{_CELL_LINE}\.zip", Modality.SECMS, Role.PACKAGE),
    FileRule("secms-documents-cancer", rf"{_IN_ANY}mass-spec-cancer-cells-{_DOCUMENT}", Modality.SECMS, None, _MDA),
    FileRule("secms-documents-ipsc", rf"{_IN_ANY}mass-spec-ipscs-{_DOCUMENT}", Modality.SECMS, None, _KOLF),
    # AP-MS: metadata of June 2026, and the scored table of May 2024.
    FileRule("apms-package", rf"{_IN_ANY}cm4ai[-_]apms[-_]{_CELL_LINE}[-_]{_CONDITION}\.zip",
         Modality.APMS, Role.PACKAGE),
    FileRule("apms-2024",
         rf"{_IN_ANY}cm4ai[-_]chromatin[-_]{_CELL_LINE}[-_]{_CONDITION}[-_]apms[-_][\d.]+[-_]alpha\.zip",
         Modality.APMS, Role.TABLES),
    # Perturb-seq: on Dataverse only metadata of it, and one table of sequencing statistics (.tab where it is ingested).
    FileRule("perturbseq-package", rf"{_IN_ANY}cm4ai[-_]perturb-seq[-_]{_CELL_LINE}[-_]cell[-_]atlas\.zip",
         Modality.PERTURBSEQ, Role.PACKAGE),
    FileRule("perturbseq-raw", rf"{_IN_ANY}cm4ai[-_]perturb-seq[-_]{_CELL_LINE}[-_]raw[-_]sra\.zip",
         Modality.PERTURBSEQ, Role.RAW_INDEX),
    FileRule("perturbseq-documents", rf"{_IN_ANY}perturb-seq-(?:cell-atlas|sra)-{_DOCUMENT}",
         Modality.PERTURBSEQ, None, _KOLF),
    FileRule("perturbseq-statistics", rf"{_IN_ANY}[^/]*_cellranger_statistics\.(?:csv|tab)",
         Modality.PERTURBSEQ, Role.STATISTICS, _KOLF),
    # Files of March 2025 that share one name and are distinguished by their directory.
    FileRule("perturbseq-crate-2025", rf"crispr perturbation[^/]*/{_DOCUMENT}", Modality.PERTURBSEQ, None, _KOLF),
    FileRule("secms-crate-2025", rf"protein-protein interaction sec-ms/{_DOCUMENT}", Modality.SECMS, None, _KOLF),
    FileRule("if-crate-2025", rf"protein localization subcellular images/{_DOCUMENT}", Modality.IF, None, _MDA),
    # The release as a whole.
    FileRule("release-bundle", rf"{_IN_ANY}cm4ai[-_]release[-_]metadata\.zip", Modality.RELEASE, Role.CRATE_BUNDLE),
    FileRule("release-documents", rf"(?:release-)?{_DOCUMENT}", Modality.RELEASE),
)  # fmt: skip

_COMPILED = tuple((rule, re.compile(rule.pattern, re.IGNORECASE)) for rule in RULES)


@dataclass(frozen=True)
class Recognition:
    """What a file is.

    `rule` is None where no rule knows the name; `reason` then says so, and also where a rule knows the kind of file but
    not its treatment.
    """

    modality: Modality | None = None
    cell_line: CellLine | None = None
    condition: Condition | None = None
    role: Role | None = None
    rule: str | None = None
    reason: str | None = None


def recognise(directory: str | None, label: str) -> Recognition:
    """What the file is, by the first rule that knows its path.

    >>> recognise("Images", "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip").condition
    <Condition.PACLITAXEL: 'paclitaxel'>
    """
    path = f"{directory}/{label}" if directory else label
    for rule, pattern in _COMPILED:
        if match := pattern.fullmatch(path):
            return _recognition(rule, match.groupdict())
    return Recognition(reason="No rule knows this directory and name.")


def _recognition(rule: FileRule, said: dict[str, str | None]) -> Recognition:
    document, cell_line, treatment = (said.get(part) for part in ("document", "cell_line", "condition"))
    condition = condition_or_none(treatment) if treatment else None
    unknown = treatment is not None and condition is None
    return Recognition(
        modality=rule.modality,
        # A rule's own cell line is what files of these known treatments are; with another treatment nothing is known.
        cell_line=cell_lines_in(cell_line).pop() if cell_line else None if unknown else rule.cell_line,
        condition=condition,
        role=_DOCUMENTS[document.lower()] if document else rule.role,
        rule=rule.name,
        reason=f"Treatment {treatment!r} is not known." if unknown else None,
    )
