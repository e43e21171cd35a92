"""The derived release as it is cited: what is published stands there, nothing else does, and no text can break out."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.exports.provenance import Origin
from cm4ai_assets.publication.citation import bibtex, citation_cff, message, name_parts, plain_yaml, sentence
from cm4ai_assets.publication.stated import Party, Stated, stated_in
from cm4ai_assets_tests.validators.python import cff_problems

# As Dataverse writes it: "Clark T" with the given name Clark, a person without ORCID, an affiliation as ROR address.
PAGE: dict[str, Any] = {
    "@type": "Dataset",
    "name": "June 2026 Data Release",
    "creator": [
        {"@type": "Person", "givenName": "Clark", "familyName": "T", "name": "Clark T",
         "@id": "https://orcid.org/0000-0003-4060-7360",
         "affiliation": {"@type": "Organization", "name": "https://ror.org/0153tk833"}},
        {"@type": "Person", "name": "Axelsson U", "affiliation": {"@type": "Organization", "name": "KTH"}},
        {"@type": "Person", "name": "Sandbox Painter"},
        {"@type": "Organization", "name": "CM4AI N"},
    ],
    "publisher": {"@type": "Organization", "name": "University of Virginia Dataverse"},
    "keywords": ["AI", "SEC-MS"],
    "funder": [{"@type": "Organization", "name": "National Institutes of Health"}],
    "description": ["Images of: cells"],
}  # fmt: skip
CRATE = {
    "@graph": [
        {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": "ark:59853/r"}},
        {"@id": "ark:59853/r", "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"], "name": "R",
         "author": "Clark T; Parker J", "rai:dataCollectionTimeframe": ["9/1/2022", "6/1/2026"],
         "rai:dataBiases": "Cell lines only."},
    ],
}  # fmt: skip
HOSTILE = 'A "B" {C} \\input{/etc/passwd} & 100% $x$ #1 a_b ^ ~ @misc: - [!!python/object]\n- n: yes\x1b[31m'


def origin(**changed: str) -> Origin:
    known = {"release": "2026-06-v2.0", "doi": "doi:10.5072/FK2/TESTED", "version": "2.0", "title": "June 2026",
            "citation": "Clark T, 2026.", "license": "CC BY-NC-SA 4.0"}  # fmt: skip
    return Origin(**{**known, **changed})


def stated(*documents: tuple[str, Any], **changed: str) -> Stated:
    rows = [Document(f"{kind}.json", kind, json.dumps(content).encode()) for kind, content in documents]
    return stated_in(datasheet_table(rows, release="2026-06-v2.0"), origin(**changed), date(2026, 7, 15))


def test_people_are_those_of_the_landing_page_in_its_order_with_what_it_says_of_them() -> None:
    page = stated(("landing_page", PAGE), ("crate_root", CRATE))

    assert page.creators == (
        Party("Clark T", orcid="0000-0003-4060-7360", ror="https://ror.org/0153tk833"),
        Party("Axelsson U", affiliation="KTH"),
        Party("Sandbox Painter"),
        Party("CM4AI N", is_organization=True),
    )
    assert (page.publisher, page.keywords) == ("University of Virginia Dataverse", ("AI", "SEC-MS"))
    assert (page.funders, page.description) == (("National Institutes of Health",), "Images of: cells")


def test_without_a_page_the_crate_names_the_authors_and_keeps_what_it_states_verbatim() -> None:
    crate = stated(("crate_root", CRATE))

    assert crate.creators == (Party("Clark T"), Party("Parker J"))
    assert crate.of_crate("rai:dataCollectionTimeframe") == ("9/1/2022", "6/1/2026")
    assert crate.of_crate("rai:dataBiases", "rai:dataLimitations") == ("Cell lines only.",)


def test_of_several_crates_none_of_which_knows_the_others_none_speaks_for_the_release() -> None:
    rows = [Document(f"{name}.json", "crate_root", json.dumps(CRATE).encode()) for name in ("a", "b")]
    found = stated_in(datasheet_table(rows, release="r"), origin())

    assert (found.crate, found.creators) == ({}, ())


def test_a_name_is_taken_apart_only_where_its_form_says_how() -> None:
    names = ("Clark T", "Bélisle-Pipon JC", "Axelsson, Ulrika", "Park, S", "Sandbox Painter", "CM4AI")

    assert [name_parts(Party(name)) for name in names] == [
        ("Clark", "T"), ("Bélisle-Pipon", "JC"), ("Axelsson", "Ulrika"), ("Park", "S"), None, None,
    ]  # fmt: skip
    assert name_parts(Party("CM4AI N", is_organization=True)) is None


def test_cff_asks_to_cite_the_published_dataset_and_says_that_this_is_derived() -> None:
    content = yaml.safe_load(citation_cff(stated(("landing_page", PAGE))))

    assert (content["cff-version"], content["type"]) == ("1.2.0", "dataset")
    assert "derived from it by cm4ai_assets" in content["message"]
    assert "doi" not in content, "the derived release has none"
    assert content["authors"][0] == {
        "family-names": "Clark", "given-names": "T", "orcid": "https://orcid.org/0000-0003-4060-7360"
    }  # fmt: skip
    assert content["authors"][1:] == [
        {"family-names": "Axelsson", "given-names": "U", "affiliation": "KTH"},
        {"name": "Sandbox Painter"}, {"name": "CM4AI N"},
    ]  # fmt: skip
    cited = content["preferred-citation"]
    assert (cited["doi"], cited["version"], cited["date-released"]) == ("10.5072/FK2/TESTED", "2.0", "2026-07-15")
    assert (cited["license"], cited["license-url"]) == (
        "CC-BY-NC-SA-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    )  # fmt: skip
    assert cited["publisher"] == {"name": "University of Virginia Dataverse"}


def test_several_licences_are_named_in_words_and_never_as_a_choice() -> None:
    content = yaml.safe_load(citation_cff(stated(license="CC BY-NC-SA 4.0, CC0 1.0")))

    assert "license" not in content
    assert "license" not in content["preferred-citation"]
    assert "CC BY-NC-SA 4.0, CC0 1.0" in content["message"]


def test_what_is_not_known_is_not_there() -> None:
    unknown = stated_in(datasheet_table([], release="r"), origin(version="not stated", license="not stated"))
    content = yaml.safe_load(citation_cff(unknown))

    assert content["authors"] == [{"name": "The authors of 10.5072/FK2/TESTED"}]
    assert set(content["preferred-citation"]) == {"type", "title", "authors", "doi", "url"}
    assert not re.search(r"author|year|publisher|version +=", bibtex(unknown).decode())


def test_bibtex_names_every_author_and_the_source() -> None:
    text = bibtex(stated(("landing_page", PAGE))).decode()

    assert text.startswith("@dataset{clark2026_2026_06_v2_0,\n")
    assert "author    = {{Clark}, {T} and {Axelsson}, {U} and {Sandbox Painter} and {CM4AI N}}" in text
    assert "doi       = {10.5072/FK2/TESTED}" in text
    assert "derived by cm4ai\\_assets" in text


def test_hostile_text_stays_text_in_all_three_forms() -> None:
    page = {**PAGE, "creator": [{"@type": "Person", "name": HOSTILE}], "keywords": [HOSTILE]}
    found = stated(("landing_page", page), title=HOSTILE, citation=HOSTILE, license=HOSTILE)

    content = yaml.safe_load(citation_cff(found))
    assert content["authors"] == [{"name": content["keywords"][0]}]
    assert content["keywords"][0].startswith('A "B" {C} \\input{/etc/passwd} & 100%')
    assert "\x1b" not in citation_cff(found).decode() + bibtex(found).decode() + sentence(found)
    assert "\n" not in sentence(found)
    assert message(found).startswith("If you use these data, cite")
    body = re.sub(r"\\(?:text\w+\{\}|symbol\{64\}|[{}$&%#_])", "", bibtex(found).decode())
    assert not re.search(r"[\\$&%#^~]", body)
    assert body.count("@") == 1
    assert _is_balanced(body)


def _is_balanced(text: str) -> bool:
    depth = 0
    for one in text:
        depth += {"{": 1, "}": -1}.get(one, 0)
        if depth < 0:
            return False
    return depth == 0


@pytest.mark.parametrize(
    "text", ["N", "y", "no", "Off", "2026-06-17", "1.0", "null", "~", "a: b", "- a", "#x", "=", "0x1"]
)
def test_yaml_keeps_texts_that_look_like_something_else(text: str) -> None:
    data = plain_yaml({"given-names": text})

    assert yaml.safe_load(data) == {"given-names": text}
    if re.fullmatch(r"[ny]|no|off", text, re.IGNORECASE):
        assert f"'{text}'".encode() in data


def test_the_same_release_gives_the_same_bytes() -> None:
    first, second = stated(("landing_page", PAGE)), stated(("landing_page", PAGE))

    assert (citation_cff(first), bibtex(first)) == (citation_cff(second), bibtex(second))
    assert b"&id" not in citation_cff(first)


def test_the_schema_of_cff_accepts_it_whatever_the_archive_states(tmp_path: Path) -> None:
    path = tmp_path / "CITATION.cff"
    hostile = {**PAGE, "creator": [{"@type": "Person", "name": HOSTILE}, *PAGE["creator"]], "keywords": [HOSTILE]}
    for page, changed in ((PAGE, {}), (hostile, {"title": HOSTILE, "doi": f"doi:10.5072/{HOSTILE}"})):
        path.write_bytes(citation_cff(stated(("landing_page", page), **changed)))
        assert cff_problems(path) == []
