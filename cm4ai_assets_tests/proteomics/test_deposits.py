"""Deposits that crates name, and the licence that they state of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cm4ai_assets.proteomics.deposits import named_in

ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"
BY = "https://creativecommons.org/licenses/by/4.0/"


def crate(*entities: object) -> bytes:
    return json.dumps({"@graph": entities}).encode()


def test_a_deposit_has_the_licence_of_the_entity_that_names_it() -> None:
    text = crate(
        {"@id": "./", "license": BY},
        {"license": ZERO, "sameAs": "https://massive.ucsd.edu/ProteoSAFe/QueryMSV?id=MSV000101915"},
        {"contentUrl": "ftp://massive-ftp.ucsd.edu/v09/MSV000097606/raw/a.d"},
    )
    assert named_in([text]).licences == {"MSV000101915": (ZERO,)}  # two are stated: which is the other's is unknown


def test_the_only_licence_of_a_crate_holds_for_all_that_it_names() -> None:
    text = crate({"@id": "./", "license": BY}, {"contentUrl": "ftp://massive-ftp.ucsd.edu/v09/MSV000097606/raw/a.d"})
    assert named_in([text]).licences == {"MSV000097606": (BY,)}


def test_what_crates_contradict_each_other_in_is_kept() -> None:
    texts = [crate({"license": one, "sameAs": "MSV000097606"}) for one in (ZERO, BY)]
    assert named_in(texts).licences == {"MSV000097606": (BY, ZERO)}


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"@graph": 1}', b'{"@graph": [1, {"license": 2}]}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_crate_names_deposits_all_the_same(text: bytes) -> None:
    named = named_in([text + b" MSV000097606"])
    assert (named.accessions, named.licences) == (("MSV000097606",), {})


def test_the_real_crate_of_june_2026_states_cc0_of_three_deposits(shared: Path) -> None:
    named = named_in([(shared / "data/rocrate/june2026_release_trimmed.json").read_bytes()])
    assert {accession for accession, licences in named.licences.items() if licences == (ZERO,)} == {
        "MSV000101915", "MSV000101917", "MSV000100676",
    }  # fmt: skip
    assert named.licences["MSV000098237"] == ("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.en",)
