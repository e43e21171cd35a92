"""Every file of every published release is recognised, by name and directory alone."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from cm4ai_assets.archives.dataverse.recognition import RULES, Recognition, recognise

# The directories of March 2025 are known from its page, not from the inventory (data reference, 5).
MARCH_2025 = {
    "100615": "CRISPR Perturbation Cell Atlas",
    "100616": "CRISPR Perturbation RNA Sequences - Raw Sequences",
    "100639": "Protein-protein Interaction SEC-MS",
    "100636": "Protein Localization Subcellular Images",
    "100637": "Protein Localization Subcellular Images",
    "100638": "Protein Localization Subcellular Images",
}


def published(shared: Path) -> list[tuple[str, str, str]]:
    """Release, directory and name of every published file that is known."""
    found = []
    with (shared / "data/dataverse/file_inventory.tsv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            directory = MARCH_2025.get(row["content_url"].rsplit("/", 1)[1], "")
            found.append((row["doi_suffix"], directory, row["name"]))
    for path in sorted((shared / "fixtures/protocol").glob("version_*_6.*.json")):
        data = json.loads(path.read_text())["data"]
        if isinstance(data, dict):
            found += [(path.name, file.get("directoryLabel", ""), file["label"]) for file in data.get("files", [])]
    return found


def test_every_published_file_is_recognised(shared: Path) -> None:
    files = published(shared)
    assert len(files) > 140
    unknown = [(directory, name) for _, directory, name in files if recognise(directory, name).reason is not None]
    assert unknown == []


def test_every_release_has_one_image_archive_per_condition(shared: Path) -> None:
    images: dict[str, Counter[str | None]] = {}
    for release, directory, name in published(shared):
        known = recognise(directory, name)
        if (known.modality, known.role) == ("if", "images"):
            images.setdefault(release, Counter())[known.condition] += 1
            assert known.cell_line == "MDA-MB-468"
    once = {"untreated": 1, "paclitaxel": 1, "vorinostat": 1}
    twice = dict.fromkeys(once, 2)  # the inventory lists two versions of it
    assert images["B35XWX"] == images["K7TGEM"] == images["HIGT4C"] == once
    assert images["F3TD5R"] == twice
    assert images["version_2.0_F3TD5R_6.6.json"] == images["version_2.1_F3TD5R_6.6.json"] == once


@pytest.mark.parametrize(
    ("directory", "name", "expected"),
    [
        ("Images", "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip", ("if", "MDA-MB-468", "paclitaxel", "images")),
        ("Images", "cm4ai-ifimages-mda-mb-468-untreated.zip", ("if", "MDA-MB-468", "untreated", "images")),
        ("", "cm4ai-v0.6-beta-if-images-vorinostat.zip", ("if", "MDA-MB-468", "vorinostat", "images")),
        ("Images", "Images-paclitaxel.zip", ("if", "MDA-MB-468", "paclitaxel", "images")),
        ("", "cm4ai_ifimages_KOLF2_untreated.zip", ("if", "KOLF2.1J", "untreated", "images")),
        ("", "cm4ai_ifimages_MDA-MB-468_PTXL.zip", ("if", "MDA-MB-468", "paclitaxel", "images")),
        ("Images/untreated", "Images-untreated-provenance-graph.html",
         ("if", "MDA-MB-468", "untreated", "provenance_graph")),
        ("mass-spec/iPSCs", "mass-spec-iPSCs-ro-crate-preview.html", ("secms", "KOLF2.1J", None, "preview")),
        ("mass-spec/cancer-cells", "mass-spec-cancer-cells-ro-crate-metadata.json",
         ("secms", "MDA-MB-468", None, "crate")),
        ("", "cm4ai_mass-spec_KOLF2.zip", ("secms", "KOLF2.1J", None, "package")),
        ("", "cm4ai_apms_MDA-MB-468_vorinostat.zip", ("apms", "MDA-MB-468", "vorinostat", "package")),
        ("", "cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha.zip", ("apms", "MDA-MB-468", "untreated", "tables")),
        ("", "cm4ai_perturb-seq_KOLF2_cell_atlas.zip", ("perturbseq", "KOLF2.1J", None, "package")),
        ("", "cm4ai_perturb-seq_KOLF2_raw_sra.zip", ("perturbseq", "KOLF2.1J", None, "raw_index")),
        ("Perturb-Seq/sra", "ALPHA_BETA_GAMMA_Cellranger_Statistics.tab",
         ("perturbseq", "KOLF2.1J", None, "statistics")),
        ("CRISPR Perturbation Cell Atlas", "ro-crate-metadata.json", ("perturbseq", "KOLF2.1J", None, "crate")),
        ("Protein-protein Interaction SEC-MS", "ro-crate-metadata.json", ("secms", "KOLF2.1J", None, "crate")),
        ("", "release-ro-crate-datasheet.html", ("release", None, None, "datasheet")),
        ("", "cm4ai_release_metadata.zip", ("release", None, None, "crate_bundle")),
    ],
)  # fmt: skip
def test_names(directory: str, name: str, expected: tuple[str | None, ...]) -> None:
    known = recognise(directory, name)
    assert (known.modality, known.cell_line, known.condition, known.role) == expected
    assert known.reason is None


@pytest.mark.parametrize(
    ("name", "treatment", "cell_line"),
    [
        ("cm4ai_ifimages_MDA-MB-468_doxorubicin.zip", "doxorubicin", "MDA-MB-468"),
        ("Images-doxorubicin.zip", "doxorubicin", None),
        ("cm4ai-v0.7-beta-if-images-olaparib.zip", "olaparib", None),
        ("cm4ai_ifimages_U2OS_paclitaxel.zip", "U2OS_paclitaxel", None),
        ("cm4ai_ifimages_MDA-MB-468_untreated_rgb.zip", "untreated_rgb", "MDA-MB-468"),
    ],
)
def test_an_unknown_treatment_is_reported_not_guessed(name: str, treatment: str, cell_line: str | None) -> None:
    known = recognise("", name)
    assert (known.modality, known.role, known.condition, known.cell_line) == ("if", "images", None, cell_line)
    assert known.reason == f"Treatment {treatment!r} is not known."


@pytest.mark.parametrize("name", ["notes.txt", "cm4ai_ifimages.zip", "evil_ifimages_MDA-MB-468_paclitaxel.zip.exe", ""])
def test_an_unknown_name_says_so(name: str) -> None:
    assert recognise("Images", name) == Recognition(reason="No rule knows this directory and name.")


def test_rules_speak_the_vocabulary() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
