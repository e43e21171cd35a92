from __future__ import annotations

import json
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.crates import vocabulary
from cm4ai_assets.crates.frame import OUTER
from cm4ai_assets.crates.reader import crates_in_zip, read_crate
from cm4ai_assets.storage.bytes import LocalBytes
from cm4ai_assets.tables import crates as schemas
from cm4ai_assets_tests.crates.twins import EVI, ROOT, crate, file, image, only, ref, tables


def test_tables_are_as_declared() -> None:
    found = tables(image())
    assert schemas.CRATE_ENTITIES.violations(found.entities) == []
    assert schemas.CRATE_EDGES.violations(found.edges) == []
    assert not found.problems
    empty = tables()
    assert schemas.CRATE_ENTITIES.violations(empty.entities) == []
    assert schemas.CRATE_EDGES.violations(empty.edges) == []


def test_every_relation_of_the_vocabulary_is_in_the_table() -> None:
    assert set(vocabulary.RELATIONS.values()) == set(schemas.RELATION_NAMES)
    assert set(vocabulary.MADE_WITH) <= set(schemas.RELATION_NAMES)
    assert not set(vocabulary.CARRIED) & set(vocabulary.RELATIONS)


def test_an_entity_is_normalized_and_keeps_what_was_stated() -> None:
    row = only(
        {
            "@id": "https://fairscape.net/api/ark:59853/x/",
            "@type": ["prov:Entity", f"{EVI}Dataset"],
            "metadataType": f"{EVI}Dataset",
            "additionalType": "Dataset",
            "name": "X",
            "description": ["one", "two"],
            "author": ["A; B", ref("https://orcid.org/0000-0001"), "Muralidharan, M"],
            "keywords": ["k"],
            "license": ref("https://creativecommons.org/licenses/by/4.0/"),
            "version": 2,
            "contentSize": "16.7TB",
            "contentUrl": ["ftp://host/a", "/tscc/projects/b"],
            "datePublished": "02/28/2025",
            "datePerformed": "2024-07-04",
            "MD5": "CB67E7749B15CE87B9042A9FEBA9D032",
            "ro-crate-metadata": "mass-spec/iPSCs/ro-crate-metadata.json",
        }
    )
    assert (row["entity_id"], row["stated_id"]) == ("ark:59853/x", "https://fairscape.net/api/ark:59853/x/")
    assert (row["entity_type"], row["types"]) == ("Dataset", ["Entity", "Dataset"])
    assert row["stated_types"] == ["prov:Entity", f"{EVI}Dataset"]
    assert row["additional_types"] == ["Dataset", f"{EVI}Dataset"]
    assert row["description"] == "one\ntwo"
    assert row["authors"] == ["A", "B", "https://orcid.org/0000-0001", "Muralidharan, M"]
    assert (row["license"], row["version"]) == ("https://creativecommons.org/licenses/by/4.0/", "2")
    assert (row["content_size"], row["stated_content_size"]) == (int(16.7 * 2**40), "16.7TB")
    assert row["content_urls"] == ["ftp://host/a", "/tscc/projects/b"]
    assert (row["date_published"], row["stated_date_published"]) == (date(2025, 2, 28), "02/28/2025")
    assert row["date_created"] == date(2024, 7, 4)
    assert row["md5"] == "cb67e7749b15ce87b9042a9feba9d032"
    assert row["metadata_file"] == "mass-spec/iPSCs/ro-crate-metadata.json"
    assert (row["defects"], row["extra"], row["extra_keys"]) == ([], None, 0)


@pytest.mark.parametrize(
    ("says", "place", "urls"),
    [
        ({"contentUrl": "Embargoed"}, "contentUrl", []),
        ({"contentUrl": ["https://a/b", "Embargoed"]}, "contentUrl", ["https://a/b"]),
        ({"url": "Embargoed"}, "url", []),
        ({"description": "Raw reads, embargoed."}, "description", []),
    ],
)
def test_embargoes_are_found_wherever_they_are_stated(says: dict[str, Any], place: str, urls: list[str]) -> None:
    row = only({"@id": "ark:59852/x", "@type": "Dataset", **says})
    assert (row["is_embargoed"], row["embargo_stated_in"], row["content_urls"]) == (True, [place], urls)


@pytest.mark.parametrize(
    ("says", "md5", "sha256", "defects"),
    [
        ({"md5": "a" * 32}, "a" * 32, None, []),
        ({"sha-256": "B" * 64}, None, "b" * 64, []),
        ({"hash": "c" * 64}, None, "c" * 64, []),
        ({"hash": "c" * 32, "md5": "c" * 32}, "c" * 32, None, []),
        ({"md5": "a" * 32, "MD5": "b" * 32}, "a" * 32, None, ["digests_differ"]),
        ({"md5": "pending"}, None, None, ["bad_digest"]),
    ],
)
def test_digests_under_all_their_keys(
    says: dict[str, Any], md5: str | None, sha256: str | None, defects: list[str]
) -> None:
    row = only({"@id": "ark:59852/x", "@type": "Dataset", **says})
    assert (row["md5"], row["sha256"], row["defects"]) == (md5, sha256, defects)
    if defects:  # what is not in a column is in `extra`
        assert set(json.loads(row["extra"]).values()) <= set(says.values())


def test_what_is_not_understood_is_kept_and_counted() -> None:
    properties = {"PG.Genes": {"index": 0, "type": "string"}}
    row = only(
        {
            "@id": "ark:59852/x",
            "@type": "EVI:Schema",
            "properties": properties,
            "contentSize": ["a", "b"],
            "conditionsOfAccess": "cite",
            "datePublished": "soon",
            "schema": {},
        }
    )
    assert json.loads(row["extra"]) == {
        "properties": properties, "contentSize": ["a", "b"], "conditionsOfAccess": "cite", "schema": {},
    }  # fmt: skip
    assert row["extra_keys"] == 4
    assert set(row["defects"]) == {"unexpected_form", "bad_date"}
    assert row["stated_date_published"] == "soon"


def test_inline_objects_give_their_id_and_are_kept_whole() -> None:
    part_of = [{"@id": "ark:/Ideker_Lab", "@type": "Organization", "name": "Ideker Lab"}]
    found = tables(crate({"@id": "ark:59852/x", "@type": "Dataset", "isPartOf": part_of}))
    edge = found.edges.filter(pl.col("relation") == "part_of").row(0, named=True)
    assert edge["target_id"] == "ark:/Ideker_Lab"
    row = found.entities.filter(pl.col("position") == 2).row(0, named=True)
    assert json.loads(row["extra"]) == {"isPartOf": part_of}
    assert row["defects"] == []


@pytest.mark.parametrize(
    ("value", "targets", "whole"),
    [
        ([ref("a"), "b", {"@id": "c", "name": "C"}, ref("d")], ["a", "b", "c", "d"], True),
        ([ref("a"), 5, {"@id": "c", "name": "C"}], ["a", "c"], False),
        ([ref("a"), {"name": "without id"}, "b"], ["a", "b"], False),
        ([ref("a"), {"@id": 7}, "b"], ["a", "b"], False),
        ([ref("a"), None, {}, [], ""], ["a"], True),
        ([[ref("a"), "b"], [["c"]]], ["a", "b", "c"], True),
        ({"@list": [ref("a"), ref("b")]}, ["a", "b"], True),
        ({"@set": ["a", {"@list": ["b"]}]}, ["a", "b"], True),
        ([{"@value": "a"}, ref("b")], ["a", "b"], True),
        (5, [], False),
        (False, [], False),
    ],
)
def test_every_reference_of_a_mixed_list_is_an_edge_and_what_is_none_is_a_defect(
    value: Any, targets: list[str], *, whole: bool
) -> None:
    found = tables(crate({"@id": "ark:59852/x", "@type": "Dataset", "usedDataset": value}))
    edges = found.edges.filter(relation="used_dataset")
    assert edges["target_id"].to_list() == targets
    assert edges["target_index"].to_list() == list(range(len(targets)))
    row = found.entities.filter(pl.col("position") == 2).row(0, named=True)
    assert row["defects"] == ([] if whole else ["unexpected_form"])
    assert json.loads(row["extra"]) == {"usedDataset": value}


def test_a_defect_is_noted_once() -> None:
    row = only({"@id": "ark:59852/x", "@type": "Dataset", "usedDataset": 5, "generatedBy": 5, "name": {}})
    assert row["defects"] == ["unexpected_form"]


def test_authors_without_an_id_are_a_defect() -> None:
    row = only({"@id": "ark:59852/x", "@type": "Dataset", "author": [ref("a"), {"@type": "Person", "name": "B"}]})
    assert (row["authors"], row["defects"]) == (["a"], ["unexpected_form"])


def test_identifiers_as_property_values_or_text() -> None:
    row = only({"@id": "ark:59852/x", "@type": "BioChemEntity", "identifier": "https://doi.org/10.1/x"})
    assert row["identifiers"] == [{"name": None, "value": "https://doi.org/10.1/x"}]
    stated = [{"@type": "PropertyValue", "@value": "RRID:CVCL_B5P3", "name": "RRID"}]
    row = only({"@id": "ark:59852/x", "@type": "BioChemEntity", "identifier": stated})
    assert row["identifiers"] == [{"name": "RRID", "value": "RRID:CVCL_B5P3"}]


@pytest.mark.parametrize("key", sorted(vocabulary.RELATIONS))
@pytest.mark.parametrize("form", [ref("ark:59852/t/"), "ark:59852/t/", [ref("ark:59852/t/")], ["ark:59852/t/"]])
def test_references_in_every_form(key: str, form: Any) -> None:
    edges = tables(crate({"@id": "ark:59852/x", "@type": "Dataset", key: form})).edges
    edge = edges.filter(pl.col("position") == 2).row(0, named=True)
    assert (edge["source_id"], edge["target_id"], edge["stated_target"]) == (
        "ark:59852/x", "ark:59852/t", "ark:59852/t/",
    )  # fmt: skip
    assert (edge["key"], edge["relation"], edge["target_known"]) == (key, vocabulary.RELATIONS[key], False)


@pytest.mark.parametrize("empty", [[], None, "", {}])
def test_empty_references_are_no_edges(empty: Any) -> None:
    edges = tables(crate({"@id": "ark:59852/x", "@type": "Dataset", "generatedBy": empty})).edges
    assert edges.filter(pl.col("position") == 2).is_empty()


def test_targets_are_known_across_crates_and_spellings() -> None:
    one = crate({"@id": "ark:59853/a", "@type": "Dataset", "usedDataset": [ref("ark:59853/b")]})
    other = crate({"@id": "https://fairscape.net/api/ark:59853/b", "@type": "Dataset"}, root="ark:59853/other/")
    edges = tables(file(one, "one.json"), file(other, "other.json")).edges
    assert edges.filter(pl.col("relation") == "used_dataset")["target_known"].to_list() == [True]


def test_stubs_are_found_by_type_and_the_root_by_the_descriptor() -> None:
    stub = {"@id": "ark:59852/stub/", "@type": ["Dataset", f"{EVI}ROCrate"]}
    entities = tables(crate(stub)).entities
    assert entities.filter("is_root")["entity_id"].to_list() == [ROOT]
    assert entities.filter("is_crate")["entity_id"].to_list() == [ROOT, "ark:59852/stub"]
    assert entities["crate_id"].unique().to_list() == [ROOT]


def test_the_outer_object_of_2024_is_the_root() -> None:
    old = {
        "@id": "https://fairscape.net/ark:59852/rocrate-old",
        "@context": {},
        "@type": "Dataset",
        "version": "0.5alpha",
        "@graph": [{"@id": "ark:59852/a", "@type": "EVI:Dataset", "generatedBy": "ark:59852/c"}],
    }
    found = tables(file(old, "ro-crate-metadata.json"))
    assert found.entities["position"].to_list() == [0, OUTER]
    root = found.entities.filter("is_root").row(0, named=True)
    assert (root["entity_id"], root["version"], root["defects"]) == (
        "ark:59852/rocrate-old", "0.5alpha", ["outside_graph"],
    )  # fmt: skip
    assert found.edges["target_id"].to_list() == ["ark:59852/c"]


def test_ids_given_twice_are_flagged_on_both() -> None:
    entities = tables(crate({"@id": "ark:59852/x", "@type": "A"}, {"@id": "ark:59852/x", "@type": "B"})).entities
    assert entities.filter(pl.col("defects").list.contains("duplicate_id"))["position"].to_list() == [2, 3]


def test_elements_that_are_no_entities_have_rows_too() -> None:
    found = tables(crate("text", 7, None, ["x"], {"name": "nameless"}))
    flagged = found.entities.filter(pl.col("position") >= 2)
    assert flagged["extra"].to_list() == ['{"":"text"}', '{"":7}', '{"":null}', '{"":["x"]}', None]
    assert [set(one) for one in flagged["defects"].to_list()[:4]] == [{"not_an_object", "no_id", "no_type"}] * 4
    assert schemas.CRATE_ENTITIES.violations(found.entities) == []


@pytest.mark.parametrize(
    ("data", "entities", "told"),
    [
        (b'\xef\xbb\xbf{"@graph": [{"@id": "a", "@type": "T"}]}', 1, "encoded as utf-8-sig"),
        (b'{"@graph": [{"@id": "a", "@type": "T"},]}', 1, "comma before a closing bracket"),
        (b'{"@graph": [{"@id": "a", "@type": "T", "x": NaN}]}', 1, "NaN"),
        ('{"@graph": [{"@id": "a", "@type": "T"}]}'.encode("utf-16"), 1, "encoded as utf-16"),
        (b'{"@graph": [{"@id": "a"', 0, "not JSON"),
        (b"<html>", 0, "not JSON"),
        (b"", 0, "not JSON"),
        (b"[" * 100_000, 0, "not JSON"),
    ],
)
def test_files_that_are_no_sound_json(data: bytes, entities: int, told: str) -> None:
    found = tables(file(data, "broken.json"))
    assert found.entities.height == entities
    assert any(told in str(problem) and "broken.json" in str(problem) for problem in found.problems)


@pytest.mark.parametrize(
    "raw", [b'{"@id": "ark:59852/x", "name": "\\ud800"}', b'{"@id": "ark:59852/x", "name": "a\xffb"}']
)
def test_broken_characters_are_mended_and_told(raw: bytes) -> None:
    found = tables(file(b'{"@graph": [' + raw + b"]}"))
    row = found.entities.row(0, named=True)
    assert "\ufffd" in row["name"]
    assert "json_mended" in row["defects"] or any("surrogate" in str(problem) for problem in found.problems)


def test_a_syntax_error_is_told_with_its_place() -> None:
    problem = read_crate(file(b'{\n  "@graph": [\n    {"@id" "x"}\n  ]\n}')).problems[0]
    assert problem.place == "line 3, column 12"


def test_crates_in_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "metadata.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/ro-crate-metadata.json", json.dumps(image()))
        archive.writestr("a/ro-crate-preview.html", "<html>")
        archive.writestr("b/ro-crate-metadata.json", "{}")
    damaged = bytearray(path.read_bytes())
    with LocalBytes(path) as source:
        files, problems = crates_in_zip(source)
    assert [one.name for one in files] == [
        "metadata.zip!a/ro-crate-metadata.json", "metadata.zip!b/ro-crate-metadata.json",
    ]  # fmt: skip
    assert not problems
    damaged[damaged.index(b"@context") + 1] ^= 1
    path.write_bytes(bytes(damaged))
    with LocalBytes(path) as source:
        files, problems = crates_in_zip(source)
    assert len(files) == 1
    assert "CRC" in str(problems[0])
    path.write_bytes(b"no zip")
    with LocalBytes(path) as source:
        assert crates_in_zip(source)[1]
