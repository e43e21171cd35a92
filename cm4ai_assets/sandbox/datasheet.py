"""A datasheet in the shape of the one that was written about June 2025: as long as that, and as broken.

Belongs here: the text, from slots and sentences of our own. Does not belong here: what is published (`history`); no
archive carries this datasheet, an operator adds it (`CM4AI_DATASHEETS`).

What is wrong with it is wrong with the real one: a tool's banner stands first; prose with two colons, which YAML
refuses, and with one, which YAML takes for a mapping; words for yes and no where a truth value or prose belongs;
descriptions as lists; unknown and missing slots; ten of the release's files, under the names of the version before, one
of them of a wrong format and in no folder, one with a digest that lost a character, one with that of other bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cm4ai_assets.sandbox.catalog import DataFile, Dataset

MONTH, RELEASE = "June 2025", "2025-06-v2.1"
_LISTED = 10  # one page of the archive's file table
_MEDIA_TYPES = {"zip": "application/zip", "html": "text/html", "json": "application/json", "csv": "text/csv"}
_LABORATORIES = ("Painting", "Staining", "Weighing", "Counting", "Drawing", "Writing")
_KEYWORDS = (
    "AI", "artificial intelligence", "synthetic data", "sandbox", "cell maps", "MDA-MB-468", "KOLF2.1J",
    "perturb-seq", "CRISPR", "SEC-MS", "AP-MS", "size exclusion chromatography", "immunofluorescence",
    "subcellular imaging", "paclitaxel", "vorinostat", "untreated",
)  # fmt: skip
_PAINTED = "The images are painted by a program from a seed, and the numbers of the tables are drawn by it"
# A slot of D4D to prose of the real kinds: the colons in it are what breaks a reader.
_PROSE: dict[str, tuple[str, ...]] = {
    "relationships": (f"{_PAINTED}; antibodies, treatments and wells agree over modalities where the real ones do.",),
    "splits": ("No recommended splits are provided; users draw their own, grouped by antibody and by gene.",),
    "anomalies": ("None reported; noise, focus and saturation are painted in on purpose and at known places.",),
    "confidential_elements": ("No person stands behind any of it, and no record of one.",),
    "sensitive_elements": ("Nothing here derives from a living thing, although it has the shape of what does.",),
    "data_collectors": (f"Teams of the sandbox: {', '.join(_LABORATORIES)}; none of them exists.",),
    "collection_mechanisms": (
        "Hardware and software: one computer, one generator of random numbers, and the recipes of this project.",
        "Fields of view are taken in wells of plates, as a microscope would take them, four channels each.",
    ),
    "collection_timeframes": (
        "Data creation date: 2025-02-27; initial release publication date: 2025-07-01; ZIP archives: 2025-10-22.",
    ),
    "ethical_reviews": (
        "Data Governance Committee: A Keeper (keeper@example.org). Ethical Review: A Judge (judge@example.org).",
    ),
    "data_protection_impacts": ("There are no data subjects; what a model infers from painted cells concerns nobody.",),
    "preprocessing_strategies": ("Modality-specific recipes, referenced by RO-Crates and their provenance graphs.",),
    "cleaning_strategies": ("Not detailed on the landing page; nothing is cleaned, so that readers meet it all.",),
    "labeling_strategies": ("Imaging channels: nuclei, reticulum, microtubules, and a protein of interest.",),
    "raw_sources": ("External deposits hold inventories only; what they list was never measured.",),
    "existing_uses": ("Related publications: none, and none are to be expected of synthetic data.",),
    "other_tasks": ("Tests of readers, of downloads that break, and of people who set the platform up.",),
    "future_use_impacts": ("Models that are trained on painted cells know painted cells.",),
    "discouraged_uses": (
        "Prohibited: Use in clinical decision-making or anywhere else where something depends on the answer.",
    ),
    "distribution_formats": (
        "HTML datasheet (release-ro-crate-datasheet.html)", "RO-Crate metadata (JSON)", "ZIP archives (images)",
    ),
    "distribution_dates": ("2025-07-01 (dataset publication)", "2025-10-22 (ZIP archives of images)"),
    "maintainers": ("Point of contact: the sandbox (sandbox@example.org), for as long as its process runs.",),
    "errata": ("This is an interim release: some datasets are under temporary pre-publication embargo.",),
    "use_repository": ("Usage is counted by the sandbox on its landing page, with Make Data Count.",),
}  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """A file as the datasheet lists it."""

    name: str
    directory: str
    md5: str

    @property
    def media_type(self) -> str:
        """By the end of its name."""
        return _MEDIA_TYPES[self.name.rsplit(".", 1)[-1]]


def datasheet(dataset: Dataset, files: Sequence[DataFile]) -> bytes:
    """The datasheet of the last version of a dataset, with the names of the version before."""
    return "\n".join(_lines(dataset, _listed(dataset, files))).encode() + b"\n"


def _listed(dataset: Dataset, files: Sequence[DataFile]) -> list[Listed]:
    md5 = {file.id: file.md5 for file in files}
    entries = sorted(dataset.versions[-2].entries, key=lambda entry: not entry.label.endswith(".zip"))[:_LISTED]
    return [Listed(entry.label, entry.directory, md5[entry.file_id]) for entry in entries]


def _lines(dataset: Dataset, listed: list[Listed]) -> Iterator[str]:
    doi = f"doi:{dataset.authority}/{dataset.identifier}"
    yield "=== YAML Fixing Applied ==="
    yield f'id: "{doi}"'
    yield f"name: {dataset.title}"
    yield f"title: {dataset.title}"
    yield f"description: A synthetic release in the shape of {dataset.title}. {_PAINTED}; nothing in it was measured."
    yield from ("language: en", f'page: "https://example.org/dataset.xhtml?persistentId={doi}"', f'doi: "{doi}"')
    yield from ("issued: 2025-07-01", "created_on: 2025-02-27", 'version: "2.0"', "license: CC BY-NC-SA 4.0")
    yield from ("keywords:", *(f"  - {word}" for word in _KEYWORDS))
    yield from ("created_by:", "  - CM4AI sandbox", "  - Example Dataverse")
    yield from _people()
    yield from _instances()
    for slot, sentences in _PROSE.items():
        yield from (f"{slot}:", "  - description:", *(f"      - {sentence}" for sentence in sentences))
    yield from _claims()
    yield 'is_tabular: "no"'
    yield "subsets:"
    for number, one in enumerate(listed):
        yield from _file(number, one)


def _people() -> Iterator[str]:
    yield "creators:"
    for laboratory in _LABORATORIES:
        yield from (
            "  - principal_investigator:", f"      name: Sandbox {laboratory}", "      affiliation:",
            f"        name: Department of {laboratory}", "    affiliation:", f"      name: Department of {laboratory}",
        )  # fmt: skip
    yield from ("funders:", "  - grantor:", "      name: Nobody", "    grant:", "      grant_number: 0-SANDBOX-01")


def _instances() -> Iterator[str]:
    yield "instances:"
    for what in ("Immunofluorescence images of painted cells", "SEC-MS profiles", "Perturb-seq cells of KOLF2.1J"):
        yield from (
            f"  - representation: {what} under untreated and treated conditions (vorinostat, paclitaxel), synthetic.",
            f"    instance_type: {what}; every one belongs to a condition, and most to an antibody or a gene.",
            "    label: No supervised labels provided; what is known of a thing stands in the tables beside it.",
            "    sampling_strategies:",
            "      - is_sample:", "          - Yes",
            "        is_random:", "          - No stated random sampling; targets are drawn from a list.",
            "        source_data:", "          - A seed of one integer.",
            "        is_representative:", "          - No (a painter's idea of a cell is no sample of cells).",
        )  # fmt: skip


def _claims() -> Iterator[str]:
    yield from ("is_deidentified:", "  description:")
    yield from ("    - Human Subjects: No; De-identified Samples: Yes.", "    - FDA Regulated: No.")
    yield from ("acquisition_methods:", "  - description:", f"      - {_PAINTED}.")
    yield from ("    was_directly_observed: Yes", "    was_reported_by_subjects: No")
    yield "    was_inferred_derived: Limited; everything is derived from a seed, nothing from an observation."
    yield from ("license_and_use_terms:", "  description:")
    yield "    - License: CC BY-NC-SA 4.0. Community norms expect that synthetic data is called synthetic."
    yield from ("updates:", "  description:", "    - The sandbox is built anew whenever its recipes change.")


def _file(number: int, one: Listed) -> Iterator[str]:
    # One digest lost its last character; one is that of other bytes.
    md5 = {4: one.md5[:-1], 5: one.md5[::-1]}.get(number, one.md5)
    path = f"{one.directory}/{one.name}" if one.directory else one.name
    yield f"  - name: {one.name}"
    yield f"    title: {one.name.rsplit('.', 1)[0].replace('-', ' ')} ({one.media_type.rsplit('/', 1)[-1]})"
    yield "    description: Part of the synthetic release; download to view properly."
    yield f"    md5: {md5}"
    if one.name.endswith(".zip"):
        yield from ("    media_type: application/zip", f"    path: {path}", "    is_data_split: no")
        yield "    is_subpopulation: Treatment-specific subset"
    elif number == _LISTED - 1:
        yield from (f"    media_type: {one.media_type}", "    format: ZIP", f"    path: {one.name}")
    else:
        yield from (f"    media_type: {one.media_type}", f"    path: {path}")
