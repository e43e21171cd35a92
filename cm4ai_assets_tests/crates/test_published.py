"""Every real crate and provenance page in ../shared: what is read against what is there and what is stated."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import polars as pl
import pytest

from cm4ai_assets.crates.frames import CrateTables, crate_tables
from cm4ai_assets.crates.lineage import provenance_of
from cm4ai_assets.crates.provenance import disagreements, is_graph_name, read_graph
from cm4ai_assets.crates.reader import CrateFile, read_crates
from cm4ai_assets.tables import crates as metadata
from cm4ai_assets_tests.crates import published

# Entities by type as metadata reference, section 1.1 and 1.2, states them.
STATED = {
    "rocrate/june2025_mass-spec_cancer-cells.json": {
        "Dataset": 18, "Experiment": 9, "Computation": 9, "Schema": 9, "BioChemEntity": 3, "Instrument": 1, "Sample": 1,
        "Software": 1, "MedicalCondition": 1, "ROCrate": 1, "CreativeWork": 1,
    },
    "dataverse/june2025_F3TD5R/release-ro-crate-metadata.json": {"ROCrate": 8, "CreativeWork": 1},
    "rocrate/march2025_sra.json": {
        "Dataset": 282, "Sample": 192, "Experiment": 192, "Computation": 90, "ROCrate": 1, "CreativeWork": 1,
        "Schema": 1, "Instrument": 1, "BioChemEntity": 1,
    },
    "cm4ai_release_metadata.zip!cm4ai_release_metadata/ro-crate-metadata.json": {
        "Person": 38, "DefinedTerm": 13, "ROCrate": 10, "CreativeWork": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def files(shared: Path) -> list[CrateFile]:
    return published.crate_files(shared)


@pytest.fixture(scope="module")
def everything(files: list[CrateFile]) -> CrateTables:
    return crate_tables(read_crates(files), release="2026-06-v2.0")


def of(found: CrateTables, name: str) -> pl.DataFrame:
    return found.entities.filter(pl.col("crate_file") == name)


def elements(file: CrateFile) -> list[dict[str, Any]]:
    """What a JSON parser finds, with the outer object of 2024 behind the graph."""
    parsed = json.loads(file.data)
    graph: list[dict[str, Any]] = parsed.pop("@graph")
    parsed.pop("@context", None)
    return graph + ([parsed] if parsed else [])


def test_no_entity_is_lost_and_nothing_is_raised(files: list[CrateFile], everything: CrateTables) -> None:
    assert len(files) >= 31
    assert everything.problems == ()
    for file in files:
        rows = of(everything, file.name)
        there = elements(file)
        assert rows["stated_id"].to_list() == [one["@id"] for one in there], file.name
        last = [one["@type"][-1] if isinstance(one["@type"], list) else one["@type"] for one in there]
        assert [types[-1] for types in rows["stated_types"].to_list()] == last, file.name
    assert metadata.CRATE_ENTITIES.violations(everything.entities) == []
    assert metadata.CRATE_EDGES.violations(everything.edges) == []


def test_no_key_is_lost(files: list[CrateFile], everything: CrateTables) -> None:
    """Each key of each entity has a column, an edge, or a place in `extra`; or it says nothing."""
    columns = {
        "@id", "@type", "metadataType", "additionalType", "name", "description", "version", "license", "keywords",
        "author", "runBy", "command", "contentUrl", "url", "contentSize", "format", "encodingFormat", "md5", "MD5",
        "sha256", "datePublished", "dateCreated", "datePerformed", "dateModified", "identifier", "ro-crate-metadata",
    }  # fmt: skip
    edges = {
        (source, position, key)
        for source, position, key in everything.edges.select("crate_file", "position", "key").unique().iter_rows()
    }
    for file in files:
        for row, stated in zip(of(everything, file.name).iter_rows(named=True), elements(file), strict=True):
            kept = json.loads(row["extra"]) if row["extra"] else {}
            for key, value in stated.items():
                if key in kept:
                    assert kept[key] == value
                elif key not in columns and value not in (None, [], ""):
                    assert (file.name, row["position"], key) in edges, (file.name, stated["@id"], key)


def test_entities_are_as_many_as_stated(everything: CrateTables) -> None:
    assert {name: Counter(of(everything, name)["entity_type"].to_list()) for name in STATED} == STATED


def test_every_file_has_its_root(files: list[CrateFile], everything: CrateTables) -> None:
    roots = everything.entities.filter("is_root")
    assert roots["crate_file"].to_list() == [file.name for file in files]
    assert roots["crate_id"].str.contains(r"^ark:\d{5}/").all()


def test_addresses_embargoes_and_digests_are_as_many_as_stated(everything: CrateTables) -> None:
    cancer = of(everything, "rocrate/june2025_mass-spec_cancer-cells.json")
    ftp = cancer["content_urls"].explode().str.starts_with("ftp://massive-ftp.ucsd.edu/v10/MSV000098237/")
    assert ftp.sum() == 688  # the root's own among them
    atlas = of(everything, "rocrate/june2025_perturbseq_cell-atlas.json")
    assert atlas.height == 18
    with_address = atlas.filter((pl.col("content_urls").list.len() > 0) | pl.col("is_embargoed"))
    assert (with_address["is_embargoed"].sum(), with_address.height) == (11, 12)
    assert atlas.filter(pl.col("md5").is_not_null())["entity_type"].value_counts().sort("count").rows() == [
        ("ROCrate", 1), ("Dataset", 3), ("Software", 4),
    ]  # fmt: skip
    sra = of(everything, "rocrate/march2025_sra.json")
    assert sra.height == 761
    assert sra["content_urls"].explode().str.starts_with("https://dataview.ncbi.nlm.nih.gov").sum() == 1_988
    clusters = sra.filter(pl.col("content_urls").list.eval(pl.element().str.starts_with("/tscc/")).list.any())
    assert clusters.height == 90


def test_edges_across_crates_are_known(everything: CrateTables) -> None:
    atlas = everything.edges.filter(
        (pl.col("crate_file") == "rocrate/june2025_perturbseq_cell-atlas.json") & (pl.col("relation") == "used_dataset")
    )
    assert (atlas.height, atlas["target_known"].sum()) == (90, 90)


def test_old_ids_and_two_authorities(everything: CrateTables) -> None:
    ids = everything.entities["entity_id"].drop_nulls()
    assert set(ids.str.extract(r"^ark:(\d{5})/").drop_nulls()) == {"59852", "59853"}
    assert not ids.str.contains("fairscape.net").any()
    assert not everything.edges["target_id"].str.contains(",$").any()
    twice = everything.entities.filter(pl.col("defects").list.contains("duplicate_id"))
    assert twice.height == 4  # two crates of 2024 give one id to two datasets


def test_the_12_mb_crate_lists_its_parts(everything: CrateTables) -> None:
    name = "cm4ai_release_metadata.zip!cm4ai_release_metadata/ro-crate-metadata.json"
    edges = everything.edges.filter(pl.col("crate_file") == name)
    parts = edges.filter(pl.col("relation") == "has_part").group_by("source_id").len().rows()
    assert dict(parts)["ark:59853/rocrate-paclitaxel-if-data-release"] == 18_625
    outputs = edges.filter(pl.col("relation") == "output").group_by("source_id").len().rows()
    assert dict(outputs)["ark:59853/rocrate-untreated-if-data-release"] == 15_905


def test_what_made_a_report(shared: Path) -> None:
    found = crate_tables(read_crates(published.release_2025(shared)), release="2025-06-v2.1")
    rows = provenance_of(found.entities, found.edges, "ark:59852/dataset-control-1-report").collect()
    assert rows.select("step", "relation", "name").rows() == [
        (1, "generated_by", "Generation of Biosep_MDAMB468_CTRL_1_Report.tsv"),
        (2, "used_dataset", "Control Experiment 1: SEC-MS Raw Data (.d group)"),
        (2, "used_software", "Spectronaut"),
        (3, "generated_by", "Control Experiment 1: SEC-MS of MDA-MB468 following no treatment"),
        (4, "used_instrument", "timsTOF Pro 2"),
        (4, "used_sample", "MDA-MB-468 Cell Line Mass Spec Sample"),
        (5, "cell_line", "MDA-MB-468 Cell Line"),
    ]


def test_the_provenance_pages(shared: Path) -> None:
    page = shared / "data" / "dataverse" / "june2025_F3TD5R" / "mass-spec-cancer-cells-provenance-graph.html"
    graph = read_graph(page.read_bytes(), source=page.name)
    assert (graph.generation, len(graph.nodes), len(graph.links), graph.problems) == (1, 7, 6, [])
    assert graph.owner == "ark:59852/dataset-vorinostat-3-report"
    with ZipFile(published.bundle_2026(shared)) as bundle:
        graphs = [read_graph(bundle.read(name), source=name) for name in bundle.namelist() if is_graph_name(name)]
    assert len(graphs) == 9
    assert {graph.generation for graph in graphs} == {2}
    assert [problem for graph in graphs for problem in graph.problems] == []
    sizes = {
        re.sub(r"^[^/]*/|/[^/]*$", "", graph.source): (len(graph.nodes), graph.stated_entities) for graph in graphs
    }
    assert sizes["mass-spec/iPSCs"] == (11, 879)
    assert [sizes[f"Images/{one}"] for one in ("paclitaxel", "untreated", "vorinostat")] == [(1, 1)] * 3


def test_the_page_of_june_2025_and_its_crate_disagree_on_one_experiment(shared: Path) -> None:
    """Experiments vorinostat-1 and -3 each claim the other's raw data; the page follows the data's own word."""
    page = shared / "data" / "dataverse" / "june2025_F3TD5R" / "mass-spec-cancer-cells-provenance-graph.html"
    found = crate_tables(read_crates(published.release_2025(shared)), release="2025-06-v2.1")
    told = disagreements([read_graph(page.read_bytes(), source=page.name)], found.entities, found.edges)
    assert told.rows.select("about", "claim", "actual").rows() == [
        (
            "ark:59852/dataset-vorinostat-3-sec-ms-mda-mb468",
            "generated_by",
            "ark:59852/experiment-vorinostat-1-sec-ms-mda-mb468",
        ),
        ("ark:59852/experiment-vorinostat-1-sec-ms-mda-mb468", "used_treatment", "ark:59852/treatment-vorinostat"),
    ]
