"""The crates of a release of 57,000 entities: JSON in, two Parquet files out.

    python benchmarks/crates.py [--runs N]

The June 2026 release has 56,986 entities, nearly all in its three image crates (18,627, 16,847 and 18,791), and a
release crate of 12 MB that lists them. The crates built here have those numbers and the keys that FAIRSCAPE 1.1.3
writes. Each run is a fresh process, so that its peak memory is its own. Target: under 2 s on two cores.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import CrateFile, read_crates

RELEASE = "2026-06-v2.0"
PREFIX = "https://fairscape.net/api/ark:59853"
IMAGE_CRATES = {"paclitaxel": 18_627, "untreated": 16_847, "vorinostat": 18_791}
OTHER_ENTITIES = 2_718  # mass spectrometry and sequencing, 56,986 in all with the image crates
ANTIBODIES = 464
CHANNELS = ("blue", "red", "yellow", "green")
DESCRIPTOR = {
    "@id": "ro-crate-metadata.json",
    "@type": "CreativeWork",
    "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"},
}


def dataset(name: str, maker: str) -> dict[str, object]:
    """An image as a crate of 2026 describes it."""
    return {
        "@id": f"{PREFIX}/{name}",
        "@type": ["prov:Entity", "https://w3id.org/EVI#Dataset"],
        "name": f"B2AI IF Image {name}",
        "additionalType": "Dataset",
        "author": ["Hansen JN", "Axelsson U", "Johannesson A", "Fall J", "Ballllosera Navarro F", "Lundberg E"],
        "datePublished": "02/28/2025",
        "version": "0.1.0",
        "description": f"Immunofluorescence image of {name}, MDA-MB-468 cells, one channel of one field of view.",
        "keywords": ["IF microscopy", "MDA-MB-468", "CM4AI"],
        "associatedPublication": "",
        "additionalDocumentation": None,
        "format": "image/jpeg",
        "evi:Schema": None,
        "generatedBy": [{"@id": maker}],
        "derivedFrom": [],
        "usedByComputation": [],
        "contentUrl": f"file:///{name.rsplit('_', 1)[-1]}/{name}.jpg",
        "fairscapeVersion": "1.1.3",
        "prov:wasGeneratedBy": [{"@id": maker}],
        "prov:wasDerivedFrom": [],
        "prov:wasAttributedTo": ["Hansen JN et al."],
        "isPartOf": [{"@id": f"{PREFIX}/rocrate-if-data-release"}],
    }


def image_crate(condition: str, entities: int) -> list[dict[str, object]]:
    """A crate of one condition: antibodies, one experiment for each, and images enough to make up the number."""
    antibodies = [f"{PREFIX}/b2ai-antibody-HPA{number:06d}" for number in range(1, ANTIBODIES + 1)]
    makers = [
        f"{PREFIX}/Experiment_cell-line-MDA-MB-468_{a.rsplit('/', 1)[-1]}_treatment-{condition}" for a in antibodies
    ]
    images = [
        f"B2AI_{1 + i // 4000}_{condition}_A{i // 4 % 12 + 1}_R{i // 48}_z01_{CHANNELS[i % 4]}"
        for i in range(entities - 2 - 2 * ANTIBODIES)
    ]
    root: dict[str, object] = {
        "@id": f"{PREFIX}/rocrate-{condition}-if-data-release",
        "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"],
        "name": f"{condition} IF Images",
        "hasPart": [{"@id": f"{PREFIX}/{name}"} for name in images],
    }
    graph: list[dict[str, object]] = [{**DESCRIPTOR, "about": {"@id": root["@id"]}}, root]
    for number, (antibody, maker) in enumerate(zip(antibodies, makers, strict=True)):
        graph += [
            {
                "@id": antibody,
                "@type": "BioChemEntity",
                "name": f"HPA{number + 1:06d}",
                "identifier": [
                    {"@type": "PropertyValue", "name": "HPA Antibody ID", "value": f"HPA{number + 1:06d}"},
                    {"@type": "PropertyValue", "name": "ENSEMBL", "value": f"ENSG{number:011d}"},
                ],
            },
            {
                "@id": maker,
                "@type": ["prov:Activity", "https://w3id.org/EVI#Experiment"],
                "name": maker.rsplit("/", 1)[-1],
                "experimentType": "Immunofluorescence Imaging",
                "runBy": "Hansen JN et al.",
                "datePerformed": "2025-02-28",
                "usedSample": [{"@id": f"{PREFIX}/sample-mda-mb-468"}],
                "usedStain": [{"@id": f"{PREFIX}/stain-dapi"}, {"@id": antibody}],
                "usedTreatment": [{"@id": f"{PREFIX}/treatment-{condition}"}],
                "generated": [{"@id": f"{PREFIX}/{name}"} for name in images[number::ANTIBODIES]],
            },
        ]
    graph += [dataset(name, makers[index % ANTIBODIES]) for index, name in enumerate(images)]
    return graph


def write_release(folder: Path) -> None:
    """The crate files of a release, in the folder."""
    stubs = []
    for condition, entities in IMAGE_CRATES.items():
        graph = image_crate(condition, entities)
        (folder / f"{condition}-ro-crate-metadata.json").write_text(json.dumps({"@context": {}, "@graph": graph}))
        outputs = [{"@id": entity["@id"]} for entity in graph if "format" in entity]
        stubs.append({**graph[1], "https://w3id.org/EVI#outputs": outputs})
    others = [dataset(f"dataset-msv-{number}", f"{PREFIX}/experiment-msv") for number in range(OTHER_ENTITIES - 2)]
    root: dict[str, object] = {
        "@id": f"{PREFIX}/rocrate-release",
        "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"],
        "name": "Release",
    }
    graph = [{**DESCRIPTOR, "about": {"@id": root["@id"]}}, root, *others, *stubs]
    (folder / "ro-crate-metadata.json").write_text(json.dumps({"@context": {}, "@graph": graph}))


def measure(folder: Path) -> None:
    """One run in this process; prints its numbers as JSON."""
    small = CrateFile("small", json.dumps({"@graph": image_crate("untreated", 1_000)}).encode())
    crate_tables(
        read_crates([small]), release=RELEASE
    )  # the libraries' own start, which a running platform has behind it
    files = [CrateFile(path.name, path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    begin_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    begin, begin_cpu = time.perf_counter(), time.process_time()
    tables = crate_tables(read_crates(files), release=RELEASE)
    read = time.perf_counter() - begin
    for name, frame in (("entities", tables.entities), ("edges", tables.edges)):
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=3, row_group_size=65_536)
    total = time.perf_counter() - begin
    print(
        json.dumps(
            {
                "entities": tables.entities.height,
                "edges": tables.edges.height,
                "json_mb": round(sum(len(file.data) for file in files) / 1e6, 1),
                "read_s": round(read, 3),
                "read_and_write_s": round(total, 3),
                "cpu_s": round(time.process_time() - begin_cpu, 3),
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "before_mb": begin_memory,
                "parquet_kb": sum(path.stat().st_size for path in folder.glob("*.parquet")) // 1024,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as name:
        write_release(Path(name))
        runs = []
        for _ in range(arguments.runs):
            command = [sys.executable, __file__, "--measure", name]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            print(runs[-1])
    print("median", statistics.median(run["read_and_write_s"] for run in runs), "s, target 2 s")


if __name__ == "__main__":
    main()
