"""`python -m benchmarks.crates`: the crates of a release of 57,000 entities: JSON in, two Parquet files out.

The June 2026 release has 56,986 entities, nearly all in its three image crates (18,627, 16,847 and 18,791), and a
release crate of 12 MB that lists them. The crates built here have those numbers and the keys that FAIRSCAPE 1.1.3
writes. What it costs is held against what `json.loads` takes for the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.ratios import Findings, arguments, at_least, parsed
from benchmarks.turns import child, in_turn, memory_mb

RELEASE = "2026-06-v2.0"
PREFIX = "https://fairscape.net/api/ark:59853"
IMAGE_CRATES = {"paclitaxel": 18_627, "untreated": 16_847, "vorinostat": 18_791}
OTHER_ENTITIES = 2_718  # mass spectrometry and sequencing, 56,986 in all with the image crates
ENTITIES = 56_986
ANTIBODIES = 464
CPU = at_least(0.25)
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


def write_release(folder: Path, total: int) -> None:
    """The crate files of a release of so many entities, in the folder."""
    stubs = []
    for condition, published in IMAGE_CRATES.items():
        entities = published * total // ENTITIES
        graph = image_crate(condition, entities)
        (folder / f"{condition}-ro-crate-metadata.json").write_text(json.dumps({"@context": {}, "@graph": graph}))
        outputs = [{"@id": entity["@id"]} for entity in graph if "format" in entity]
        stubs.append({**graph[1], "https://w3id.org/EVI#outputs": outputs})
    others = [
        dataset(f"dataset-msv-{number}", f"{PREFIX}/experiment-msv")
        for number in range(OTHER_ENTITIES * total // ENTITIES - 2)
    ]
    root: dict[str, object] = {
        "@id": f"{PREFIX}/rocrate-release",
        "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"],
        "name": "Release",
    }
    graph = [{**DESCRIPTOR, "about": {"@id": root["@id"]}}, root, *others, *stubs]
    (folder / "ro-crate-metadata.json").write_text(json.dumps({"@context": {}, "@graph": graph}))


def ours(folder: Path) -> dict[str, object]:
    """Both tables of a release, written."""
    from cm4ai_assets.crates.frames import crate_tables
    from cm4ai_assets.crates.reader import CrateFile, read_crates

    small = CrateFile("small", json.dumps({"@graph": image_crate("untreated", 1_000)}).encode())
    crate_tables(
        read_crates([small]), release=RELEASE
    )  # the libraries' own start, which a running platform has behind it
    files = [CrateFile(path.name, path.read_bytes()) for path in sorted(folder.glob("*.json"))]
    begin, begin_cpu, before = time.perf_counter(), time.process_time(), memory_mb()
    tables = crate_tables(read_crates(files), release=RELEASE)
    for name, frame in (("entities", tables.entities), ("edges", tables.edges)):
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", compression_level=3, row_group_size=65_536)
    note = f"{tables.entities.height:,} entities, {tables.edges.height:,} edges, {memory_mb() - before:.0f} MB more"
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu, "note": note}


def parsing(folder: Path) -> dict[str, object]:
    """The standard library's parser over the same bytes, and nothing made of them."""
    files = [path.read_bytes() for path in sorted(folder.glob("*.json"))]
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for data in files:
        json.loads(data)
    note = f"{sum(map(len, files)) / 1e6:.1f} MB"
    return {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu, "note": note}


SIDES = {"ours": ours, "json.loads": parsing}


def main() -> int:
    options = _options()
    if options.child:
        print(json.dumps(SIDES[options.child](options.folder)))
        return 0
    findings = Findings(f"generated crates of {options.entities:,} entities")
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        write_release(Path(folder), options.entities)
        sides = {side: partial(child, "crates", "--child", side, "--folder", folder) for side in SIDES}
        turns = in_turn(sides, options.rounds, lambda run: f"{run['seconds']:6.2f} s  {run['note']}")
    turns.compare(findings, "ours / json.loads", ("ours", "json.loads"), lambda run: 1 / run["seconds"])
    turns.compare(findings, "ours / json.loads, CPU time", ("ours", "json.loads"), lambda run: 1 / run["cpu"], CPU)
    if runs := turns.runs.get("ours"):
        findings.fact("read and written", f"{min(run['seconds'] for run in runs):.2f} s; 2 s are wanted on two cores")
    return findings.finish(options)


def _options() -> argparse.Namespace:
    parser = arguments("crates", __doc__, rounds=5)
    parser.add_argument("--entities", type=int, default=ENTITIES)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parsed(parser, entities=12_000, rounds=2)


if __name__ == "__main__":
    sys.exit(main())
