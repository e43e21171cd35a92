from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cm4ai_assets.crates.iris import last_segment, normalize_id, without_query
from cm4ai_assets_tests.crates.twins import crate, ref, tables

BASE = "https://example.org/crate/"


@pytest.mark.parametrize(
    ("stated", "normal"),
    [
        ("ark:59852/x", "ark:59852/x"),
        ("ark:/59852/x", "ark:59852/x"),
        ("ARK:/59852/X", "ark:59852/X"),  # the scheme knows no case, the name does
        ("ark:59852/rocrate-of-2025/", "ark:59852/rocrate-of-2025"),
        ("ark:59852/a%2Db%7eC", "ark:59852/a-b~C"),
        ("https://fairscape.net/ark:59852/x", "ark:59852/x"),
        ("https://n2t.net/ARK:/59852/x", "ark:59852/x"),
        ("https://fairscape.net/api/ark:59853/January-2026-data-release,", "ark:59853/January-2026-data-release"),
        ("ark:/Ideker_Lab/CM4AI", "ark:/Ideker_Lab/CM4AI"),  # no naming authority: not an ARK that can be compared
        ("ro-crate-metadata.json", "ro-crate-metadata.json"),
        ("  https://orcid.org/0000-0003-4060-7360 ", "https://orcid.org/0000-0003-4060-7360"),
        ("urn:uuid:F81D", "urn:uuid:F81D"),
        ("_:b0", "_:b0"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_an_id_has_one_form(stated: str, normal: str) -> None:
    assert normalize_id(stated) == normal
    assert normalize_id(normal) == normal


@pytest.mark.parametrize(
    "stated",
    [
        "https://doi.org/10.18130/V3/F3TD5R", "http://dx.doi.org/10.18130/v3/f3td5r", "doi:10.18130/V3/F3TD5R",
        "DOI:10.18130/V3/F3TD5R", "https://doi.org/doi:10.18130/V3/F3TD5R", "doi.org/10.18130/V3/F3TD5R",
        "10.18130/V3/F3TD5R", "https://www.doi.org/10.18130/V3/F3TD5R", "https://doi.org/10.18130%2FV3%2ff3td5r",
        "https://doi.org/10.18130/V3/F3TD5R/",
    ],
)  # fmt: skip
def test_a_doi_is_one_id_in_every_form(stated: str) -> None:
    assert normalize_id(stated) == "https://doi.org/10.18130/v3/f3td5r"


@pytest.mark.parametrize(
    ("spellings", "normal"),
    [
        (["./", ".", "", "./.", "./#", "a/.."], "./"),
        (["data", "./data", "data/", "./x/../data/"], "data"),
        (["a b.csv", "a%20b.csv", "./a%20b.csv"], "a%20b.csv"),
        (["r%c3%a9sum%C3%A9", "résumé"], "résumé"),
        (["a%2Fb", "a%2fb"], "a%2Fb"),  # an escaped slash is no slash
        (["x%ff"], "x%FF"),
        (["#p", "./#p"], "#p"),
        (["../x", "./../x"], "../x"),
        (["HTTPS://Example.org:443/a/./b/", "https://example.org/a/c/../b"], "https://example.org/a/b"),
        (["https://example.org/%7Ea?q=%2f#f"], "https://example.org/~a?q=%2F#f"),
        (["file:///blue/x.jpg"], "file:///blue/x.jpg"),
    ],
)
def test_spellings_of_one_iri(spellings: list[str], normal: str) -> None:
    assert {normalize_id(one) for one in spellings} == {normal}
    assert normalize_id(normal) == normal


@pytest.mark.parametrize(
    ("stated", "normal"),
    [
        ("./", "https://example.org/crate"),
        ("data/x.csv", "https://example.org/crate/data/x.csv"),
        ("#p", "https://example.org/crate#p"),
        ("../other/x", "https://example.org/other/x"),
        ("ark:59853/x", "ark:59853/x"),
        ("https://example.com/x", "https://example.com/x"),
        ("_:b0", "_:b0"),
    ],
)
def test_relative_ids_are_resolved_against_a_base(stated: str, normal: str) -> None:
    assert normalize_id(stated, BASE) == normal


def test_parts_of_an_iri() -> None:
    assert without_query("https://e.org/a?b#c") == "https://e.org/a"
    assert last_segment("https://e.org/x/ro-crate-metadata.json?version=1#top") == "ro-crate-metadata.json"


@example("2,?", None)
@example("2,/", None)
@example("//[", BASE)
@given(st.text(alphabet="aA/.:%?#[]é 2fF\n,_~", max_size=20), st.sampled_from([None, BASE]))
def test_any_text_has_a_normal_form_that_stays(text: str, base: str | None) -> None:
    normal = normalize_id(text, base)
    assert normalize_id(normal) == normal


def test_edges_meet_the_entities_they_name_however_both_are_spelled() -> None:
    found = tables(
        crate(
            {"@id": "data/a%20file.csv", "@type": "File", "derivedFrom": [ref("./folder")]},
            {"@id": "folder/", "@type": "Dataset", "isPartOf": ref("doi:10.18130/V3/F3TD5R")},
            {"@id": "https://doi.org/10.18130/v3/f3td5r", "@type": "Dataset", "hasPart": ref("./data/a file.csv")},
            root_says={"hasPart": [ref("ARK:/59852/release/")]},
        )
    )
    assert found.edges["target_known"].to_list() == [True] * found.edges.height
    assert found.edges.height == 5
