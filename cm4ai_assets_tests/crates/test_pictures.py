"""Graphs as pictures: bounded, small, and safe whatever the names are."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cm4ai_assets.crates import pictures
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.lineage import outputs, provenance_of
from cm4ai_assets.crates.pictures import Thing
from cm4ai_assets.crates.provenance import read_graph
from cm4ai_assets.crates.reader import read_crates
from cm4ai_assets.drawing import LIMIT
from cm4ai_assets_tests.crates import published
from cm4ai_assets_tests.crates.twins import image, tables


def size_of(data: bytes) -> tuple[int, int]:
    assert len(data) <= LIMIT
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        return opened.size


names = st.text(max_size=40)


@settings(max_examples=30, deadline=None)
@given(
    things=st.dictionaries(names, st.builds(Thing, names, st.none() | names), max_size=12),
    links=st.lists(st.tuples(names, names, names), max_size=12),
    first=st.none() | names,
)
def test_any_graph_gives_a_picture(
    things: dict[str, Thing], links: list[tuple[str, str, str]], first: str | None
) -> None:
    width, height = size_of(pictures.picture(things, links, first=first))
    assert width < 1_400
    assert height < 600


def test_a_large_graph_stays_a_small_picture_and_loops_end() -> None:
    things = {str(number): Thing(f"Dataset {number} with a name that is rather long, number {number}", "Dataset")
              for number in range(2_000)}  # fmt: skip
    links = [("0", "used_dataset", str(number)) for number in range(1, 1_000)]
    links += [(str(number), "derived_from", str(number + 1)) for number in range(1_998)] + [("5", "used_by", "0")]
    width, height = size_of(pictures.picture(things, links, first="0"))
    assert width < 1_400
    assert height < 600


def test_examples_are_final_products_with_most_behind_them() -> None:
    made = tables(image())
    (example,) = outputs(made.edges, 3)
    assert example == "ark:59853/B2AI_1_Paclitaxel_A1_R1_z01_blue"
    lineage = provenance_of(made.entities, made.edges, example).collect()
    assert size_of(pictures.of_provenance(lineage, made.entities, example))[0] > 300
    assert outputs(made.edges.filter(pl.lit(value=False)), 3) == []


def test_the_real_graphs(shared: Path) -> None:
    made = crate_tables(read_crates(published.release_2025(shared)), release="2025-06-v2.1")
    for example in outputs(made.edges, 3):
        lineage = provenance_of(made.entities, made.edges, example).collect()
        size_of(pictures.of_provenance(lineage, made.entities, example))
    page = shared / "data" / "dataverse" / "june2025_F3TD5R" / "mass-spec-cancer-cells-provenance-graph.html"
    size_of(pictures.of_graph(read_graph(page.read_bytes(), source=page.name)))
