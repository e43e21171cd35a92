"""The releases of the sandbox and how they drifted, as data.

Belongs here: which dataset published which file under which name, id and directory, and when. Does not belong here: how
the bytes come about (`content`; the `content` of a file is the name of a recipe there). What happens here happened to
the real releases: data reference, section 5. Ids are the real ones plus 600,000, so that both can be laid side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from cm4ai_assets.conditions import CONDITIONS
from cm4ai_assets.sandbox.ifzip import Cut

AUTHORITY = "10.5072"  # the DOI prefix for tests
ALIAS = "CM4AI"
COLLECTION = "Cell Maps for Artificial Intelligence (synthetic sandbox)"

# The same images, put into ZIPs three times: plain; with composites; and once more with another crate.
CUTS = {
    "plain": Cut(),
    "composites": Cut(composites=True, day=date(2025, 10, 20), part_of=("june-2025", "october-2025")),
    "again": Cut(composites=True, day=date(2026, 7, 14), part_of=("october-2025", "January-2026", "June-2026")),
}

ZIP, HTML, JSON, CSV = "application/zip", "text/html", "application/json", "text/comma-separated-values"
CRATE = (
    'application/ld+json; profile="http://www.w3.org/ns/json-ld#flattened http://www.w3.org/ns/json-ld#compacted '
    'https://w3id.org/ro/crate"'
)


@dataclass(frozen=True)
class File:
    """A file of a version: id, where it stands, the recipe of its bytes, and who may have it."""

    id: int
    label: str
    content: str
    directory: str = ""
    content_type: str = ZIP
    description: str = ""
    restricted: bool = False
    embargo: date | None = None


@dataclass(frozen=True)
class Version:
    """A version: number, when it came out, what it says of itself, and its files."""

    major: int
    minor: int
    released: datetime
    description: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset of the collection; its versions stand oldest first."""

    id: int
    suffix: str
    title: str
    versions: tuple[Version, ...]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dataset_title(month: str) -> str:
    """The title of a month's dataset."""
    return f"Cell Maps for Artificial Intelligence - {month} Data Release (Beta)"


def _if_zips(first_id: int, label: str, cut: str, directory: str = "") -> tuple[File, ...]:
    return tuple(
        File(
            first_id + number,
            label.format(condition),
            f"if:{condition}:{cut}",
            directory,
            description="Synthetic images in the shape of the spatial localization of proteins of interest in cells of "
            f"the breast cancer cell line MDA-MB-468, {condition}.",
        )
        for number, condition in enumerate(sorted(CONDITIONS))
    )


def _pages(subset: str, directory: str, graph: int, crate: int, preview: int) -> tuple[File, ...]:
    """The three files by which the June release describes a modality that is stored elsewhere."""
    return (
        File(graph, f"{subset}-provenance-graph.html", f"graph:{subset}", directory, HTML,
             "The .html provenance graph files require download to view properly."),
        File(crate, f"{subset}-ro-crate-metadata.json", f"crate:{subset}", directory, JSON),
        File(preview, f"{subset}-ro-crate-preview.html", f"preview:{subset}", directory, HTML),
    )  # fmt: skip


_MAY_2024 = (
    File(690101, "cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha.zip", "apms-alpha"),
    File(690102, "readme.txt", "readme", content_type="text/plain"),
)
_NAMESAKES = {  # three files of one name, distinguished by their directory only
    700615: ("CRISPR Perturbation Cell Atlas", "Perturb-Seq-cell-atlas"),
    700616: ("CRISPR Perturbation RNA Sequences - Raw Sequences", "Perturb-Seq-sra"),
    700639: ("Protein-protein Interaction SEC-MS", "mass-spec-iPSCs"),
}
_MARCH_2025 = (
    *(
        File(number, "ro-crate-metadata.json", f"crate:{subset}:draft", directory, JSON)
        for number, (directory, subset) in _NAMESAKES.items()
    ),
    *_if_zips(700636, "cm4ai-v0.6-beta-if-images-{}.zip", "plain", "Protein Localization Subcellular Images"),
)
_JUNE_2025_PAGES = (
    File(702111, "release-ro-crate-datasheet.html", "datasheet:June 2025", content_type=HTML,
         description="HTML datasheet summarizing key release information. "),
    File(702112, "release-ro-crate-metadata.json", "release-crate:June 2025", content_type=CRATE,
         description="Release RO-Crate with pointers to sub ro-crates. "),
    *(
        File(702113 + number, f"Images-{c}-provenance-graph.html", f"graph:Images-{c}", f"Images/{c}", HTML,
             "The .html provenance graph files require download to view properly.")
        for number, c in enumerate(sorted(CONDITIONS))
    ),
    *_pages("mass-spec-cancer-cells", "mass-spec/cancer-cells", 702089, 702103, 702088),
    *_pages("mass-spec-iPSCs", "mass-spec/iPSCs", 702073, 702078, 702072),
    *_pages("Perturb-Seq-cell-atlas", "Perturb-Seq/cell-atlas", 702079, 702080, 702081),
    *_pages("Perturb-Seq-sra", "Perturb-Seq/sra", 702077, 702074, 702075),
    File(702076, "ALPHA_BETA_GAMMA_Cellranger_Statistics.csv", "cellranger", "Perturb-Seq/sra", CSV),
)  # fmt: skip
_JUNE_2025_ZIPS = _if_zips(703725, "cm4ai-ifimages-mda-mb-468-{}.zip", "composites", "Images")
_RENAMED = tuple(
    replace(file, label=f"cm4ai_ifimages_MDA-MB-468_{condition}.zip")
    for file, condition in zip(_JUNE_2025_ZIPS, sorted(CONDITIONS), strict=True)
)
_OCTOBER_2025 = (
    *_if_zips(704689, "cm4ai_ifimages_MDA-MB-468_{}.zip", "composites", "Images"),
    File(703695, "cm4ai_mass-spec_KOLF2.zip", "mass-spec-tables:KOLF2"),
    File(703696, "cm4ai_mass-spec_MDA-MB-468.zip", "mass-spec-tables:MDA-MB-468"),
    File(703698, "cm4ai_perturb-seq_KOLF2_cell_atlas.zip", "metadata:Perturb-Seq-cell-atlas:October 2025"),
)
_OCTOBER_2025_FIRST = (
    File(703699, "cm4ai_perturb-seq_KOLF2_raw_sra.zip", "metadata:Perturb-Seq-sra:October 2025"),
    File(703700, "cm4ai_release_metadata.zip", "release-metadata:October 2025"),
)
_OCTOBER_2025_REPLACED = (
    # An embargo that is over: the archive still states it, and serves the file.
    File(713707, "cm4ai_perturb-seq_KOLF2_raw_sra.zip", "metadata:Perturb-Seq-sra:January 2026",
         embargo=date(2026, 5, 18)),
    File(713708, "cm4ai_release_metadata.zip", "release-metadata:January 2026"),
)  # fmt: skip
_JUNE_2026_REST = (
    File(720752, "cm4ai_apms_MDA-MB-468_paclitaxel.zip", "metadata:apms-paclitaxel:June 2026"),
    File(720746, "cm4ai_apms_MDA-MB-468_vorinostat.zip", "metadata:apms-vorinostat:June 2026"),
    # The names under which October published tables; here they hold metadata only.
    File(720747, "cm4ai_mass-spec_KOLF2.zip", "metadata:mass-spec-iPSCs:June 2026"),
    File(720751, "cm4ai_mass-spec_MDA-MB-468.zip", "metadata:mass-spec-cancer-cells:June 2026"),
    File(
        720749, "cm4ai_perturb-seq_KOLF2_cell_atlas.zip", "metadata:Perturb-Seq-cell-atlas:June 2026", restricted=True
    ),
    File(720748, "cm4ai_perturb-seq_KOLF2_raw_sra.zip", "metadata:Perturb-Seq-sra:June 2026", embargo=date(2028, 1, 1)),
    File(720750, "cm4ai_release_metadata.zip", "release-metadata:June 2026"),
)
_GONE = File(720753, "ALPHA_BETA_GAMMA_Cellranger_Statistics.csv", "cellranger", content_type=CSV)
_FIRST, _SECOND = _at("2025-03-03T15:11:40"), _at("2025-03-20T17:20:03")

DATASETS = (
    Dataset(690001, "DXSBX5", "Cell Maps for Artificial Intelligence - May 2024 Data Release (Alpha)", (
        Version(1, 0, _at("2024-05-21T16:00:00"), "the May 2024 Data Release", _MAY_2024),
    )),
    Dataset(700610, "B3SBXX", dataset_title("March 2025"), (
        Version(1, 0, _FIRST, "the March 2025 Data Release", _MARCH_2025),
        Version(1, 1, _SECOND, "the March 2025 Data Release, with corrected authors", _MARCH_2025),
    )),
    Dataset(702069, "F3SBX5", dataset_title("June 2025"), (
        Version(1, 0, _at("2025-07-01T15:02:11"), "the June 2025 Data Release",
                (*_JUNE_2025_PAGES, *_if_zips(702108, "Images-{}.zip", "plain", "Images"))),
        Version(2, 0, _at("2025-10-22T18:40:05"), "a revision of the June 2025 Data Release, adding RGB "
                "immunofluorescent images", (*_JUNE_2025_PAGES, *_JUNE_2025_ZIPS)),
        Version(2, 1, _at("2025-10-31T14:12:37"), "a revision of the June 2025 Data Release, with changes to naming "
                "conventions", (*_JUNE_2025_PAGES, *_RENAMED)),
    )),
    Dataset(703690, "K7SBXM", dataset_title("October 2025"), (
        Version(1, 0, _at("2025-10-31T18:05:22"), "the October 2025 Data Release",
                (*_OCTOBER_2025, *_OCTOBER_2025_FIRST)),
        Version(1, 1, _at("2026-01-02T16:44:09"), "the October 2025 Data Release, with corrected metadata",
                (*_OCTOBER_2025, *_OCTOBER_2025_REPLACED)),
    )),
    Dataset(720740, "H1SBXC", dataset_title("June 2026"), (
        Version(1, 0, _at("2026-06-17T19:30:51"), "the June 2026 Data Release",
                (*_if_zips(720743, "cm4ai_ifimages_MDA-MB-468_{}.zip", "composites"), *_JUNE_2026_REST, _GONE)),
        Version(2, 0, _at("2026-07-15T20:28:19"), "a revision of the June 2026 Data Release",
                (*_if_zips(720801, "cm4ai_ifimages_MDA-MB-468_{}.zip", "again"), *_JUNE_2026_REST)),
    )),
)  # fmt: skip
