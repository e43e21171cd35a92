"""Which entity is the root, in every way that crates say it; and where they do not, a problem."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cm4ai_assets.crates.frame import OUTER, frame_of, is_crate_name
from cm4ai_assets.crates.reader import read_crate
from cm4ai_assets_tests.crates.twins import CONTEXT, EVI, file, ref, tables

BASE = "https://example.org/crate/"


def graph(
    about: Any, root: str = "./", descriptor: str = "ro-crate-metadata.json", context: Any = CONTEXT, *others: Any
) -> dict[str, Any]:
    return {
        "@context": context,
        "@graph": [
            *others,
            {"@id": "aside", "@type": f"{EVI}ROCrate"},
            {"@id": descriptor, "@type": "CreativeWork", "about": about},
            {"@id": root, "@type": "Dataset", "name": "the root"},
        ],
    }


def root_of(content: Any) -> tuple[str | None, list[str]]:
    found = frame_of(json.dumps(content).encode())
    entities = dict(found.elements)
    position = found.root_position
    name = None if position is None else json.loads(bytes(entities[position])).get("name")
    return name, list(found.problems)


@pytest.mark.parametrize(
    "content",
    [
        graph(ref("./")),
        graph([ref("./")]),
        graph("./"),
        graph(["./"]),
        graph(ref(".")),
        graph(ref("")) | {"@graph": [{"@id": "./", "name": "the root"}]},
        graph(ref("./"), root="."),
        graph([ref("gone"), ref("./")]),
        graph(ref(BASE), root="./", context={"@base": BASE}),
        graph(ref("./"), root=BASE, context=["https://w3id.org/ro/crate/1.1/context", {"@base": BASE}]),
        graph(ref("./"), descriptor="ro-crate-metadata.jsonld"),
        graph(ref("./"), descriptor="./ro-crate-metadata.json"),
        graph(ref("./"), descriptor="https://example.org/crate/ro-crate-metadata.json"),
        graph(ref("./"), descriptor="ro-crate-metadata.json?format=json"),
        graph(ref("./"), descriptor="ro-crate-metadata.json#"),
        graph(ref("ark:/59852/x/"), root="https://fairscape.net/api/ark:59852/x"),
        graph(ref("https://Example.org/crate/"), root="https://example.org/crate"),
        graph(
            ref("./"), "./", "ro-crate-metadata.json", CONTEXT,
            {"@id": "nested/ro-crate-metadata.json", "about": ref("aside")},
        ),
        graph(
            ref("./"), "./", BASE + "ro-crate-metadata.json", {"@base": BASE},
            {"@id": "nested/ro-crate-metadata.json", "about": ref("aside")},
        ),
        {"@graph": [{"@id": "a", "@type": "ROCrate"}, {"@id": "./", "name": "the root"}]},
        {"@graph": [{"@id": "a"}, {"@id": "ark:59852/x", "@type": [f"{EVI}ROCrate"], "name": "the root"}]},
        {"@id": "ark:59852/x", "name": "the root", "@graph": [{"@id": "a", "@type": "ROCrate"}]},
        {
            "@graph": [
                {"@id": "#d", "about": ref("b"), "conformsTo": [ref("https://w3id.org/ro/crate/1.2")]},
                {"@id": "b", "name": "the root"},
            ]
        },
    ],
)  # fmt: skip
def test_the_root_is_found_without_a_doubt(content: dict[str, Any]) -> None:
    assert root_of(content) == ("the root", [])


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        (graph(ref(f"{BASE}?v=2"), root=BASE), "the root", "differs from the root in query or fragment"),
        (graph(ref("nowhere")), None, "names nowhere, which is not described here"),
        (graph(None), "the root", "the descriptor names no root; ./ is taken for it"),
        (graph([]) | {"@graph": [{"@id": "a"}]}, None, "no root: no descriptor names one"),
        (graph(ref("./"), context={"@base": "crate/"}), "the root", "@base is no address"),
        (graph(ref("./"), context={"@base": 5}), "the root", "@base is no address"),
    ],
)
def test_a_doubt_about_the_root_is_a_problem(content: dict[str, Any], name: str | None, problem: str) -> None:
    found, problems = root_of(content)
    assert found == name
    assert len(problems) == 1
    assert problem in problems[0]
    assert [str(one) for one in read_crate(file(content)).problems] == [
        f"release-ro-crate-metadata.json: {problems[0]}"
    ]


def test_ids_are_resolved_against_the_base_in_both_tables() -> None:
    part = {"@id": "data/x.csv", "@type": "File", "isPartOf": ref("./")}
    found = tables(graph(ref("./"), "./", "ro-crate-metadata.json", {"@base": BASE}, part))
    row = found.entities.row(0, named=True)
    assert (row["entity_id"], row["stated_id"]) == (f"{BASE}data/x.csv", "data/x.csv")
    assert row["crate_id"] == "https://example.org/crate"
    edge = found.edges.filter(relation="part_of").row(0, named=True)
    assert (edge["source_id"], edge["target_id"], edge["target_known"]) == (
        f"{BASE}data/x.csv", "https://example.org/crate", True,
    )  # fmt: skip


def test_the_last_base_counts_and_a_descriptor_of_1_0_is_one() -> None:
    contexts = [{"@base": "https://example.com/"}, {"@base": BASE}]
    assert frame_of(json.dumps({"@context": contexts, "@graph": []}).encode()).base == BASE
    assert root_of(graph(ref("of-1.0"), "of-1.0", "ro-crate-metadata.jsonld")) == ("the root", [])
    assert is_crate_name("x/ro-crate-metadata.jsonld")


def test_the_outer_object_keeps_its_place() -> None:
    outer = {"@id": "ark:59852/x", "name": "the root", "@graph": [{"@id": "./"}, {"@id": "a", "@type": "ROCrate"}]}
    assert root_of(outer) == ("the root", [])
    assert frame_of(b'{"@id": "ark:59852/x", "@graph": []}').root_position == OUTER
    assert frame_of(b'{"@context": {"@base": null}, "@graph": []}').base is None
