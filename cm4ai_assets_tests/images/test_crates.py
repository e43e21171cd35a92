from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cm4ai_assets.images.crates import CrateDeviation, crate_deviations
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets_tests.images.archives import CHANNELS, CountedBytes, field_members, zipped

FIELD = "B2AI_1_Paclitaxel_A1_R1_z01"
ROOT = "https://fairscape.net/api/ark:59853/rocrate-paclitaxel-if-data-release"
MD5 = "0d972b80744344ddeede516a0cf6e3d7"


def crate(*entities: dict[str, Any], **root: Any) -> bytes:
    descriptor = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": {"@id": ROOT}}
    return json.dumps({"@graph": [descriptor, {"@id": ROOT, "@type": ["Dataset"], **root}, *entities]}).encode()


def image(channel: str) -> dict[str, Any]:
    return {"@id": f"ark:59853/{FIELD}_{channel}", "contentUrl": f"file:///{channel}/{FIELD}_{channel}.jpg"}


def deviations(metadata: bytes | None) -> list[CrateDeviation]:
    members = field_members(FIELD) | ({} if metadata is None else {"paclitaxel/ro-crate-metadata.json": metadata})
    source = CountedBytes(zipped(members))
    return crate_deviations(source, read_directory(source), md5=MD5)


def test_a_crate_that_is_right_is_left_alone() -> None:
    assert deviations(crate(*map(image, CHANNELS), md5=MD5)) == []
    assert deviations(crate(*({"@id": f"ark:59853/{FIELD}_{channel}"} for channel in CHANNELS))) == []


def test_stale_digest_and_size_are_told() -> None:
    found = deviations(crate(*map(image, CHANNELS), MD5="9422486c80bc9e1d35b2fbbc72a5f043", contentSize="2.6 GB"))
    assert [(each.claim, each.stated) for each in found] == [
        ("md5", "9422486c80bc9e1d35b2fbbc72a5f043"), ("contentSize", "2.6 GB"),
    ]  # fmt: skip
    assert found[0].actual == MD5


def test_images_listed_and_present_are_held_against_each_other() -> None:
    other = {"@id": "ark:59853/x", "contentUrl": ["file:///red/B2AI_1_Paclitaxel_A1_R2_z01_red.jpg", "Embargoed"]}
    assert deviations(crate(image("red"), other)) == [
        CrateDeviation("images", "2 listed", "4 in the ZIP"),
        CrateDeviation("image", "B2AI_1_Paclitaxel_A1_R2_z01_red.jpg", "not in the ZIP"),
        CrateDeviation("image", "not listed", f"{FIELD}_blue.jpg"),
        CrateDeviation("image", "not listed", f"{FIELD}_green.jpg"),
        CrateDeviation("image", "not listed", f"{FIELD}_yellow.jpg"),
    ]


def test_no_crate_is_told() -> None:
    assert deviations(None) == [CrateDeviation("crate", "", "the ZIP has no ro-crate-metadata.json")]


@pytest.mark.parametrize("metadata", [b"", b"{", b"[]", b"{}", b'{"@graph": {}}', b"\xff\xfe", b"[" * 100_000])
def test_a_crate_that_cannot_be_read_is_told(metadata: bytes) -> None:
    ((claim, actual),) = [(each.claim, each.actual) for each in deviations(metadata)]
    assert claim == "crate"
    assert "cannot be read" in actual


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@id", "about", "contentUrl", "contentSize", "md5", "@graph"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_no_crate_is_too_strange(entities: list[Any]) -> None:
    deviations(json.dumps({"@graph": entities}).encode())
    deviations(json.dumps({"@graph": [{"@id": "ro-crate-metadata.json", "about": each} for each in entities]}).encode())
