"""The recipes: from the name of a content in the history to its bytes.

Belongs here: everything but the IF ZIPs, which are made from painted fields (`ifzip`). Does not belong here: where a
file stands in a release (`history`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import date

from cm4ai_assets.sandbox import graphs, proteomics, sequencing, subsets
from cm4ai_assets.sandbox.crates import ARK
from cm4ai_assets.sandbox.subsets import SUBSETS
from cm4ai_assets.sandbox.zipwriter import ZipWriter, folder, pack

_DAYS = {
    "March 2025": date(2025, 2, 28),
    "October 2025": date(2025, 10, 20),
    "January 2026": date(2025, 12, 19),
    "June 2026": date(2026, 6, 10),
}


def make(content: str) -> bytes:
    """The bytes of a content, e.g. `crate:mass-spec-iPSCs` or `metadata:Perturb-Seq-sra:June 2026`."""
    recipe, *arguments = content.split(":")
    return _RECIPES[recipe](*arguments)


def _zip(files: Mapping[str, bytes], day: date) -> bytes:
    """A ZIP with entries for its folders, like those of the archive."""
    names = {name.rsplit("/", depth)[0] + "/" for name in files for depth in range(1, name.count("/") + 1)}
    out = io.BytesIO()
    with ZipWriter(out, stamp=(day.year, day.month, day.day)) as archive:
        for name in sorted(names | files.keys()):
            archive.add(folder(name) if name.endswith("/") else pack(name, files[name]))
    return out.getvalue()


def _crate(subset: str, form: str = "") -> bytes:
    return subsets.subset_crate(subset, draft=form == "draft")


def _preview(subset: str) -> bytes:
    return subsets.preview(subset)


def _graph(subset: str) -> bytes:
    return graphs.graph_page(subset, keyed=False)


def _datasheet(month: str) -> bytes:
    parts = [subsets.root_of(subset) for subset in subsets.parts_of(month)]
    return subsets.page("Datasheet", f"Cell Maps for Artificial Intelligence - {month} Data Release (Beta)", parts)


def _metadata(subset: str, month: str) -> bytes:
    """A ZIP that is named like data and holds metadata only."""
    top = f"{subset}-rocrate"
    files = {
        f"{top}/ro-crate-metadata.json": subsets.subset_crate(subset, ark=ARK, month=month),
        f"{top}/ro-crate-preview.html": _preview(subset),
        f"{top}/ro-crate-prov-graph.html": graphs.graph_page(subset, keyed=True),
    }
    return _zip(files, _DAYS[month])


def _release_metadata(month: str) -> bytes:
    """The bundle of a release: its crate, and previews of the parts, but not the parts' own crates."""
    top = "cm4ai_release_metadata"
    files = {
        f"{top}/ro-crate-metadata.json": subsets.release_crate(month),
        f"{top}/ro-crate-datasheet.html": _datasheet(month),
        f"{top}/ai_ready_score.json": b'{"fairness": {"findable": {"has_content": true}}, "synthetic": true}\n',
        f"{top}/ro-crate-linkml.yaml": b"name: cm4ai_release\ndescription: Synthetic sandbox release\n",
    }
    for subset in subsets.parts_of(month):
        files[f"{top}/{SUBSETS[subset].folder}/ro-crate-preview.html"] = _preview(subset)
        files[f"{top}/{SUBSETS[subset].folder}/ro-crate-prov-graph.html"] = graphs.graph_page(subset, keyed=True)
    return _zip(files, _DAYS[month])


def _mass_spec_tables(line: str) -> bytes:
    """October 2025: the report tables themselves, in a folder named as the ZIP."""
    cancer = line == "MDA-MB-468"
    reports = proteomics.mda_reports() if cancer else proteomics.kolf2_reports()
    subset, top = ("mass-spec-cancer-cells" if cancer else "mass-spec-iPSCs"), f"cm4ai_mass-spec_{line}"
    files = {f"{top}/{name}": table for name, table in reports.items()}
    files[f"{top}/ro-crate-metadata.json"] = subsets.subset_crate(subset, ark=ARK)
    return _zip(files, _DAYS["October 2025"])


def _apms_alpha() -> bytes:
    top = "cm4ai_chromatin_mda-mb-468_untreated_apms_0.1_alpha"
    files = {
        f"{top}/apms.tsv": proteomics.saint_table(),
        f"{top}/dataset_info.json": b'{"name": "cm4ai_chromatin_mda-mb-468_untreated_apms", "version": "0.1 alpha"}\n',
        f"{top}/readme.txt": _readme(),
        f"{top}/ro-crate-metadata.json": subsets.subset_crate("apms-paclitaxel", draft=True),
    }
    return _zip(files, date(2024, 5, 20))


def _readme() -> bytes:
    return b"Synthetic data of the CM4AI sandbox archive. Nothing in it was measured.\n"


_RECIPES: Mapping[str, Callable[..., bytes]] = {
    "crate": _crate,
    "preview": _preview,
    "graph": _graph,
    "datasheet": _datasheet,
    "release-crate": subsets.release_crate,
    "metadata": _metadata,
    "release-metadata": _release_metadata,
    "mass-spec-tables": _mass_spec_tables,
    "cellranger": sequencing.cellranger_statistics,
    "apms-alpha": _apms_alpha,
    "readme": _readme,
}
