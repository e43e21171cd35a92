"""Small crates, pages and datasheets with the quirks of the published ones, and locks to hold them against."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.crates.frames import CrateTables, crate_tables
from cm4ai_assets.crates.reader import CrateFile, read_crate, read_crates
from cm4ai_assets.tables.release import RELEASE_FILES

EVI = "https://w3id.org/EVI#"
RELEASE = "2025-06-v2.1"
DOI = "doi:10.18130/V3/F3TD5R"
CONTEXT = {"@vocab": "https://schema.org/", "EVI": EVI}
ROOT = "ark:59852/release"
STAMP = {"author": "Twin T; Other, O", "datePublished": "6/23/2025", "version": "1.0"}


def ref(target: str) -> dict[str, str]:
    return {"@id": target}


def crate(*entities: Any, root: str = ROOT, root_says: dict[str, Any] | None = None) -> dict[str, Any]:
    descriptor = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": ref(root)}
    described = {"@id": root, "@type": ["Dataset", f"{EVI}ROCrate"], "name": "Root", **(root_says or {})}
    return {"@context": CONTEXT, "@graph": [descriptor, described, *entities]}


def file(content: Any, name: str = "release-ro-crate-metadata.json") -> CrateFile:
    return CrateFile(name, content if isinstance(content, bytes) else json.dumps(content).encode())


def tables(*contents: Any) -> CrateTables:
    files = [one if isinstance(one, CrateFile) else file(one) for one in contents]
    return crate_tables(read_crates(files), release=RELEASE)


def only(content: dict[str, Any]) -> dict[str, Any]:
    """The row of the one entity of a crate that is neither its descriptor nor its root."""
    return tables(crate(content)).entities.filter(pl.col("position") == 2).row(0, named=True)


def image(name: str = "B2AI_1_Paclitaxel_A1_R1_z01_blue") -> dict[str, Any]:
    """An image of an antibody's experiment, back to its cell line, in the words of 2026."""
    return crate(
        {
            "@id": f"https://fairscape.net/api/ark:59853/{name}",
            "@type": ["prov:Entity", f"{EVI}Dataset"],
            "name": name,
            "contentUrl": f"file:///blue/{name}.jpg",
            "prov:wasGeneratedBy": [ref("ark:59853/experiment")],
            **STAMP,
        },
        {
            "@id": "ark:59853/experiment",
            "@type": f"{EVI}Experiment",
            "name": "Staining",
            "usedSample": [ref("ark:59853/sample")],
            "usedInstrument": [ref("https://fairscape.net/api/ark:59853/microscope")],
            "usedTreatment": [ref("ark:59853/treatment-paclitaxel")],
            "usedStain": [ref("ark:59853/stain-dapi"), ref("ark:59853/b2ai-antibody-HPA000001")],
            "generated": [ref(f"ark:59853/{name}")],
        },
        {"@id": "ark:59853/sample", "@type": f"{EVI}Sample", "cellLineReference": ref("ark:59853/cell-line")},
        {"@id": "ark:59853/microscope", "@type": f"{EVI}Instrument", "name": "Microscope"},
        {"@id": "ark:59853/treatment-paclitaxel", "@type": "BioChemEntity", "name": "Paclitaxel"},
        {"@id": "ark:59853/stain-dapi", "@type": "BioChemEntity", "name": "DAPI"},
        {
            "@id": "ark:59853/b2ai-antibody-HPA000001",
            "@type": "BioChemEntity",
            "name": "HPA000001",
            "identifier": [
                {"@type": "PropertyValue", "name": "HPA Antibody ID", "value": "HPA000001"},
                {"@type": "PropertyValue", "name": "ENSEMBL", "@value": "ENSG00000000001"},
                {"@type": "PropertyValue", "name": "Uniprot", "value": "P63241"},
            ],
        },
        {
            "@id": "ark:59853/cell-line",
            "@type": "BioChemEntity",
            "name": "MDA-MB-468 Cell Line",
            "identifier": [{"@type": "PropertyValue", "value": "RRID:CVCL_0419", "name": "RRID"}],
        },
    )


def page(data: dict[str, Any], *, generation: int) -> bytes:
    text = json.dumps(data)
    if generation == 3:
        script = f"window.__EVIDENCE_GRAPH_DATA__ = {text};\nconst evidenceGraphData = window.__EVIDENCE_GRAPH_DATA__;"
    else:
        script = f"const evidenceGraphData = {text};"
    return f"<html><script>const React = {{}};\n{script}\n</script></html>".encode()


def lock(
    *files: tuple[str, str, int, str | None], release: str = RELEASE, doi: str = DOI, version: str = "2.1"
) -> pl.DataFrame:
    """A lock of files given as directory, label, size and MD5. A file's id is its place in the list, from 1."""
    rows: list[dict[str, object]] = []
    for number, (directory, label, size, md5) in enumerate(files, 1):
        known = recognise(directory, label)
        rows.append(
            {
                "doi": doi,
                "version": version,
                "directory": directory,
                "label": label,
                "file_id": number,
                "size": size,
                "digest_type": "MD5" if md5 else None,
                "digest": md5,
                "content_type": "application/octet-stream",
                "is_ingested": False,
                "access": "public",
                "modality": known.modality,
                "cell_line": known.cell_line,
                "file_condition": known.condition,
                "role": known.role,
                "recognised_by": known.rule,
                "unrecognised_reason": known.reason,
                "license": "CC BY-NC-SA 4.0",
            }
        )
    return RELEASE_FILES.from_rows(rows, release=release)


__all__ = [
    "CONTEXT", "DOI", "EVI", "RELEASE", "ROOT", "crate", "file", "image", "lock", "only", "page", "read_crate", "ref",
    "tables",
]  # fmt: skip
