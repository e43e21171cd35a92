from __future__ import annotations

from typing import Any

import pytest

from cm4ai_assets.crates import mermaid
from cm4ai_assets.crates.lineage import provenance_of
from cm4ai_assets.crates.provenance import disagreements, is_graph_name, read_graph
from cm4ai_assets_tests.crates.twins import EVI, crate, image, page, ref, tables

IMAGE = "ark:59853/B2AI_1_Paclitaxel_A1_R1_z01_blue"
NAME = "B2AI_1_Paclitaxel_A1_R1_z01_blue"


def tree() -> dict[str, Any]:
    """A page's data of 2025: one nested tree, repeated nodes as bare references, empty objects for what is unknown."""
    sample = {"@id": "ark:59853/sample", "@type": f"{EVI}Sample"}
    experiment = {
        "@id": "ark:59853/experiment", "@type": f"{EVI}Experiment", "name": "Staining", "usedSample": [sample],
        "usedInstrument": [{"@id": "ark:59853/microscope", "@type": f"{EVI}Instrument", "name": "Microscope"}],
        "usedStain": [ref("ark:59853/stain-dapi"), ref("ark:59853/b2ai-antibody-HPA000001")],
        "usedTreatment": [ref("ark:59853/treatment-paclitaxel")], "generatedBy": {},
    }  # fmt: skip
    return {
        "@type": "evi:EvidenceGraph",
        "@id": f"{IMAGE}-evidence-graph",
        "owner": IMAGE,
        "@graph": {"@id": IMAGE, "@type": f"{EVI}Dataset", "name": NAME, "generatedBy": experiment},
    }


def keyed(**nodes: dict[str, Any]) -> dict[str, Any]:
    """A page's data of 2026: nodes by id, with the statistics of their condensation."""
    graph = {node["@id"]: node for node in nodes.values()}
    return {"owner": IMAGE, "@graph": graph, "condensation_stats": {"condensed": False, "originalEntityCount": 4}}


@pytest.mark.parametrize("generation", [1, 2, 3])
def test_all_generations_say_the_same(generation: int) -> None:
    data = tree()
    if generation > 1:
        experiment = data["@graph"]["generatedBy"]
        sample, microscope = experiment["usedSample"][0], experiment["usedInstrument"][0]
        data = keyed(
            image={**data["@graph"], "generatedBy": [ref("ark:59853/experiment")]},
            experiment={**experiment, "usedSample": [ref(sample["@id"])], "usedInstrument": [ref(microscope["@id"])]},
            sample=sample,
            microscope=microscope,
        )
    graph = read_graph(page(data, generation=generation), source="x-provenance-graph.html")
    assert (graph.generation, graph.owner, graph.problems) == (generation, IMAGE, [])
    assert set(graph.nodes) == {
        IMAGE, "ark:59853/experiment", "ark:59853/sample", "ark:59853/microscope", "ark:59853/stain-dapi",
        "ark:59853/b2ai-antibody-HPA000001", "ark:59853/treatment-paclitaxel",
    }  # fmt: skip
    assert graph.nodes["ark:59853/microscope"].name == "Microscope"
    assert len(graph.links) == 6
    found = tables(image())
    assert disagreements([graph], found.entities, found.edges).passed


def test_disagreements_are_told() -> None:
    data = tree()
    data["@graph"]["name"] = "Another name"
    data["@graph"]["generatedBy"]["usedSample"] = [ref("ark:59853/microscope"), ref("ark:59853/unheard-of")]
    found = tables(image())
    told = disagreements([read_graph(page(data, generation=1), source="p")], found.entities, found.edges)
    assert {(about, claim, actual) for _, about, claim, _, actual in told.rows.iter_rows()} == {
        (IMAGE, "name", f"in the crates: {NAME}"),
        ("ark:59853/unheard-of", "node", "unknown to the crates"),
        ("ark:59853/experiment", "used_sample", "unknown to the crates"),
        ("ark:59853/experiment", "used_sample", "ark:59853/sample"),
    }


def test_a_maker_that_names_what_it_generated_says_the_same_as_the_product() -> None:
    run = {"@id": "ark:59853/run", "@type": f"{EVI}Computation", "generated": [ref("ark:59853/made")]}
    made = {"@id": "ark:59853/made", "@type": f"{EVI}Dataset"}
    found = tables(crate({**made, "generatedBy": ref("ark:59853/run")}, {**run, "generated": []}))
    graph = read_graph(page(keyed(run=run, made=made), generation=2), source="p")
    assert disagreements([graph], found.entities, found.edges).passed


def test_a_link_that_a_page_states_twice_is_one() -> None:
    run = {"@id": "ark:59853/run", "usedDataset": [ref("ark:59853/a"), ref("ark:59853/a")]}
    assert len(read_graph(page(keyed(run=run), generation=2), source="p").links) == 1


def test_groups_stand_for_their_members() -> None:
    members = [f"ark:59853/raw-{number}" for number in range(3)]
    run = {"@id": "ark:59853/run", "@type": f"{EVI}Computation", "usedDataset": [ref(one) for one in members]}
    found = tables(crate(run, *({"@id": one, "@type": f"{EVI}Dataset"} for one in members)))
    group = {
        "@id": "ark:group/run-inputs", "@type": ["prov:Entity", f"{EVI}DatasetGroup"], "name": "raw-0 (and 2 similar)",
        "evi:memberCount": 3, "evi:memberIds": members,
    }  # fmt: skip
    drawn = {"@id": "ark:59853/run", "@type": f"{EVI}Computation", "usedDataset": [ref("ark:group/run-inputs")]}
    graph = read_graph(page(keyed(run=drawn, group=group), generation=2), source="p")
    assert disagreements([graph], found.entities, found.edges).passed
    group["evi:memberIds"] = [*members, "ark:59853/raw-99"]
    graph = read_graph(page(keyed(run=drawn, group=group), generation=2), source="p")
    told = disagreements([graph], found.entities, found.edges)
    assert told.rows["stated"].to_list() == ["1, e.g. ark:59853/raw-99"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>no graph here</html>",
        b'const evidenceGraphData = {"@graph": ',
        b"const evidenceGraphData = " + b'{"a":' * 100_000,
        b'const evidenceGraphData = {"@graph": 7}',
        b'const evidenceGraphData = {"@graph": ["text", {"name": "no id"}]}',
        b'\xff\xfeconst evidenceGraphData = {"@graph": {"x": {"@id": "x", "odd": {"@id": "y"}}}}',
    ],
)
def test_pages_without_a_readable_graph(data: bytes) -> None:
    graph = read_graph(data, source="page.html")
    assert graph.problems
    assert "page.html" in str(graph.problems[0])


def test_a_tree_as_deep_as_a_pipeline() -> None:
    node: dict[str, Any] = {"@id": "ark:59853/0", "@type": "Dataset"}
    for number in range(1, 300):
        node = {"@id": f"ark:59853/{number}", "@type": "Dataset", "derivedFrom": [node]}
    graph = read_graph(page({"owner": "ark:59853/299", "@graph": node}, generation=1), source="p")
    assert (len(graph.nodes), len(graph.links)) == (300, 299)


def test_names_of_pages() -> None:
    assert is_graph_name("Images/paclitaxel/Images-paclitaxel-provenance-graph.html")
    assert is_graph_name("AP-MS/x/ro-crate-prov-graph.html")
    assert not is_graph_name("ro-crate-preview.html")


def test_a_drawing_is_bounded_and_safe() -> None:
    hostile = '"]; click n0 "javascript:alert(1)" %%{init}%% <img src=x> `x`\n#1;'
    data = tree()
    data["@graph"]["name"] = hostile
    text = mermaid.of_graph(read_graph(page(data, generation=1), source="p"), limit=4)
    first = text.splitlines()[1]
    label = first.removeprefix('    n0["').removesuffix('"]')
    assert not set(label) & set('"[]{}<>`\n;|') - {";"}
    assert "script" not in label or "#34;" in label
    assert len(text.splitlines()) == 1 + 4 + 4 - 1 + 1 or text.count('["') == 5
    assert "and 3 more" in text
    assert text.startswith("flowchart LR\n")


def test_a_drawing_of_lineage() -> None:
    found = tables(image())
    provenance = provenance_of(found.entities, found.edges, IMAGE).collect()
    text = mermaid.of_provenance(provenance, IMAGE)
    assert 'n1["Staining (Experiment)"]' in text
    assert "n0 -->|generated by| n1" in text
    assert text.count("-->") == 7
