"""Whatever a file holds: a report, never a crash, and nothing lost without a word."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cm4ai_assets.crates import claims, vocabulary
from cm4ai_assets.crates.claims import Claims, Published
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.crates.decoding import Described
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.lineage import provenance_of
from cm4ai_assets.crates.loose_yaml import read_yaml
from cm4ai_assets.crates.provenance import read_graph
from cm4ai_assets.crates.reader import CrateFile, read_crates
from cm4ai_assets.tables.crates import CRATE_EDGES, CRATE_ENTITIES, RELEASE_DATASHEET
from cm4ai_assets_tests.crates.twins import RELEASE, lock, page

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
text = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
words = st.sampled_from([
    "ark:59852/a", "ark:59853/b/", "https://fairscape.net/api/ark:59853/b,", "Embargoed", "2.6 GB", "6/23/2025", "md5",
    "a" * 32, "EVI:Schema", "Dataset", "https://w3id.org/EVI#ROCrate",
])  # fmt: skip
known_keys = [
    *vocabulary.RELATIONS, *vocabulary.CARRIED, "@id", "@type", "name", "description", "contentUrl", "url", "md5",
    "MD5",
    "hash", "contentSize", "datePublished", "identifier", "author", "license", "ro-crate-metadata", "metadataType",
]  # fmt: skip
values = st.recursive(
    scalars | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("@id") | text, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
entities = st.dictionaries(st.sampled_from(known_keys) | text, values, max_size=8)


def rows_of(data: bytes) -> tuple[int, int, int]:
    """Entities, edges and problems; everything in between is run as well."""
    found = crate_tables(read_crates([CrateFile("fuzz.json", data)]), release=RELEASE)
    assert CRATE_ENTITIES.violations(found.entities) == []
    assert CRATE_EDGES.violations(found.edges) == []
    findings = claims.contradictions(Claims(found.entities, found.edges, Published(lock(("", "x.zip", 1, "a" * 32)))))
    assert all(one.summary for one in findings)
    provenance_of(found.entities, found.edges, "ark:59852/a").collect()
    return found.entities.height, found.edges.height, len(found.problems)


def test_every_key_the_decoder_knows_is_fuzzed() -> None:
    assert len(Described.__struct_fields__) == 28  # a new field belongs into `known_keys`


@quick
@given(st.lists(entities | values, max_size=6))
def test_as_many_rows_as_elements(graph: list[Any]) -> None:
    data = json.dumps({"@context": {}, "@graph": graph}).encode()
    assert rows_of(data)[0] == len(graph)


@quick
@given(st.lists(entities, min_size=1, max_size=3))
def test_no_key_of_an_entity_vanishes(graph: list[dict[str, Any]]) -> None:
    graph = [{**one, "unheard-of": number} for number, one in enumerate(graph)]
    data = json.dumps({"@graph": graph}).encode()
    found = crate_tables(read_crates([CrateFile("fuzz.json", data)]), release=RELEASE)
    edge_keys = set(found.edges.select("position", "key").iter_rows())
    for position, (row, stated) in enumerate(zip(found.entities.iter_rows(named=True), graph, strict=True)):
        kept = json.loads(row["extra"])
        assert row["extra_keys"] == len(kept)
        for key, value in stated.items():
            if key in kept or value in (None, "", []):
                continue
            if key in vocabulary.RELATIONS:
                assert (position, key) in edge_keys or not _targets(value)
            else:
                assert key in known_keys


def _targets(value: Any) -> list[Any]:
    """What a reference refers to; empty ids refer to nothing."""
    items = value if isinstance(value, list) else [value]
    return [one for one in items if one not in ("", {"@id": ""})]


@quick
@given(st.binary(max_size=200))
def test_any_bytes_as_a_crate(data: bytes) -> None:
    entities_found, _, problems = rows_of(data)
    assert entities_found or problems or data.strip() in (b"{}", b"[]")


@quick
@given(st.data())
def test_a_crate_damaged_anywhere(data: st.DataObject) -> None:
    sound = json.dumps({"@graph": [{"@id": f"ark:59852/{n}", "@type": "Dataset", "x": "y"} for n in range(3)]}).encode()
    start = data.draw(st.integers(0, len(sound) - 1))
    end = data.draw(st.integers(start, min(len(sound), start + 8)))
    damaged = sound[:start] + data.draw(st.binary(max_size=4)) + sound[end:]
    entities_found, _, problems = rows_of(damaged)
    assert entities_found >= 3 or problems or entities_found > 0


lines = st.sampled_from([
    "- X: y; z: w", "  - Foo: bar.", "a: 1", "b: c: d", "subsets:", "  - name: x", "    md5: y", "'", '"', "{", "]",
    "&a *a", "? x", "=== Banner ===", "is_tabular: no", "\tindent: 1", "- - - x", "a: |", "  > text", "<<: *a", "--- ",
    "...", "%TAG",
    "key: [1, 2", "é: ü", "#c",
])  # fmt: skip


@quick
@given(st.lists(lines | text, max_size=12).map("\n".join))
def test_any_lines_as_a_datasheet(content: str) -> None:
    frame = datasheet_table([Document("fuzz", "d4d", content.encode(errors="replace"))], release=RELEASE)
    assert RELEASE_DATASHEET.violations(frame) == []


@quick
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=9))
)
def test_what_is_sound_yaml_is_read_as_it_is(said: dict[str, str]) -> None:
    root, notes = read_yaml(yaml.safe_dump(said, allow_unicode=True).encode())
    assert not notes
    assert {key: child.text for key, child in root.children.items()} == said if root else not said


@quick
@given(st.lists(lines, min_size=1, max_size=10))
def test_no_line_of_a_datasheet_vanishes(content: list[str]) -> None:
    """Each word of it stands in a path, in a value, or in a note."""
    root, notes = read_yaml("\n".join(content).encode())
    told = " ".join(
        [*(note.text or "" for note in notes), *(f"{s.path} {s.text}" for s in (root.walk() if root else ()))]
    )
    for word in ("Foo", "bar", "md5", "Banner", "w"):
        if any(word in line.split("#")[0] for line in content):
            assert word in told


@quick
@given(values)
def test_any_graph_in_a_page(graph: Any) -> None:
    data = page({"owner": "ark:59852/a", "@graph": graph}, generation=2)
    assert read_graph(data, source="fuzz").source == "fuzz"


@quick
@given(st.sampled_from(["crate_root", "landing_page"]), values | st.binary(max_size=60))
def test_any_json_as_a_datasheet(kind: str, content: Any) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    frame = datasheet_table([Document("fuzz", kind, data)], release=RELEASE)
    assert RELEASE_DATASHEET.violations(frame) == []
