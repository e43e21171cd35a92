"""The client against the archive's answers, and against answers that are none. Faults 35 to 46, 59 of the reference."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.model import Version
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.transfer.errors import (
    DeaccessionedError,
    NotFoundError,
    ProtocolError,
)
from cm4ai_assets.updates.watch import Watched, observe
from cm4ai_assets_tests.fixtures import protocol
from cm4ai_assets_tests.fixtures.protocol import DOI, TITLE
from cm4ai_assets_tests.transfer.bench import FAST
from cm4ai_assets_tests.transfer.server import Exchange, Server, as_json, body, cut, fixture, refused

CONTENTS = "/api/dataverses/CM4AI/contents"
VERSIONS = "/api/datasets/:persistentId/versions"
VERSION = f"{VERSIONS}/2.1"
INFO = "/api/info/version"


def recorded(name: str) -> Any:
    return json.loads(fixture(name))


def altered(name: str, **changes: object) -> Any:
    answer = recorded(name)
    answer["data"] |= changes
    return answer


# --- what the archive says ---


def test_version_of_the_server(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, body(200, fixture("info_version_6.6.json")), body(200, fixture("info_version_nobuild.json")))
    assert client.server_version() == "6.6"
    # 59: asked anew each time, so an upgrade between two ticks is seen.
    assert client.server_version() == "6.10"


def test_datasets_of_a_collection(archive: Server, client: DataverseClient) -> None:
    archive.on(CONTENTS, body(200, fixture("collection_CM4AI_contents.json")))
    datasets = client.datasets("CM4AI")
    assert [dataset.doi for dataset in datasets] == [f"doi:10.5072/FK2/TWIN{year}" for year in (24, 25, 26)]
    assert datasets[1].publication_date == date(2025, 7, 2)


def test_collections_among_the_contents_are_not_datasets(archive: Server, client: DataverseClient) -> None:
    archive.on("/api/dataverses/som/contents", body(200, fixture("collection_som_contents_mixed.json")))
    assert [dataset.doi for dataset in client.datasets("som")] == ["doi:10.5072/FK2/MIXED0"]


def entry(**more: object) -> dict[str, object]:
    named = {"type": "dataset", "protocol": "doi", "authority": "10.5072", "identifier": "FK2/ONE"}
    return {**named, "publicationDate": "2025-07-02", **more}


@pytest.mark.parametrize(
    ("separator", "doi"),
    [("", "perma:LTRANSIT"), ("-", "perma:LTR-ANSIT"), ("/", "perma:LTR/ANSIT"), (None, "perma:LTR/ANSIT")],
)
def test_a_permalink_is_named_as_the_server_writes_it(
    archive: Server, client: DataverseClient, separator: str | None, doi: str
) -> None:
    stated = {} if separator is None else {"separator": separator}
    one = entry(protocol="perma", authority="LTR", identifier="ANSIT", **stated)
    archive.on(CONTENTS, as_json({"status": "OK", "data": [one]}))
    assert [dataset.doi for dataset in client.datasets("CM4AI")] == [doi]


ODD = [
    {"type": "dataset"}, entry(authority=None), entry(identifier=None), entry(id=-5), entry(id=10**30), 7, None, [],
    entry(identifier={"x": 1}),
]  # fmt: skip


def test_odd_entries_of_a_collection_are_reported_and_the_others_listed(
    archive: Server, client: DataverseClient
) -> None:
    archive.on(CONTENTS, as_json({"status": "OK", "data": [*ODD, entry()]}))
    listing = client.listing("CM4AI")
    assert [dataset.doi for dataset in listing.datasets] == ["doi:10.5072/FK2/ONE"]
    assert len(listing.problems) == len(ODD)
    assert all(f"Entry {number} of collection CM4AI" in str(p) for number, p in enumerate(listing.problems, 1))
    archive.on(CONTENTS, as_json({"status": "OK", "data": ODD[:1]}))
    with pytest.raises(ProtocolError, match="Entry 1 of collection CM4AI has no persistent id"):
        client.listing("CM4AI")


def one_version(**more: object) -> dict[str, object]:
    return {"versionNumber": 1, "versionMinorNumber": 0, "versionState": "RELEASED", **more}


BAD_VERSIONS = [
    [one_version(versionNumber=-1)], [one_version(versionMinorNumber=-3)], [one_version(versionNumber=10**40)],
    [one_version(versionNumber="x")], {"not": "a list"}, [7], [one_version(datasetPersistentId="doi:10.5072/OTHER")],
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_VERSIONS, ids=range(len(BAD_VERSIONS)))
def test_one_dataset_that_cannot_be_read_takes_no_other_down(
    archive: Server, client: DataverseClient, bad: object
) -> None:
    good = one_version(datasetPersistentId="doi:10.5072/FK2/TWO")
    archive.on(CONTENTS, as_json({"status": "OK", "data": [entry(), entry(identifier="FK2/TWO")]}))

    def versions(exchange: Exchange) -> None:
        is_bad = exchange.seen.query["persistentId"].endswith("ONE")
        as_json({"status": "OK", "data": bad if is_bad else [good]})(exchange)

    archive.on(VERSIONS, versions)
    assert [record.doi for record in client.releases("CM4AI")] == ["doi:10.5072/FK2/TWO"]
    watched = Watched("CM4AI", [], lambda _: None, [], frozenset(), None)
    seen = observe(lambda: DataverseClient(archive.url, retries=FAST), watched)
    assert ([record.doi for record in seen.found], set(seen.problems)) == (
        ["doi:10.5072/FK2/TWO"], {"doi:10.5072/FK2/ONE"},
    )  # fmt: skip
    assert seen.stopped is None


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "99999-01-01", "\ud800"])
def test_times_that_no_clock_shows_are_none(archive: Server, client: DataverseClient, time: str) -> None:
    odd = one_version(releaseTime=time, publicationDate=time, datasetPersistentId="doi:10.5072/FK2/ONE")
    archive.on(CONTENTS, as_json({"status": "OK", "data": [entry()]}, Date="Mon, 01 Jan 99999999999 00:00:00 GMT"))
    archive.on(VERSIONS, as_json({"status": "OK", "data": [odd]}, Date="Mon, 01 Jan 0001 00:00:00 +1400"))
    (record,) = client.releases("CM4AI")
    assert (record.released, record.published) == (None, date(2025, 7, 2))


def test_values_that_nobody_foresaw_are_one_datasets_problem(
    archive: Server, client: DataverseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.on(CONTENTS, as_json({"status": "OK", "data": [entry(), entry(identifier="FK2/TWO")]}))
    archive.on(VERSIONS, as_json({"status": "OK", "data": []}))
    read = DataverseClient.versions

    def failing(self: DataverseClient, doi: str) -> list[Version]:
        if doi.endswith("ONE"):
            raise OverflowError("date value out of range")
        return read(self, doi)

    monkeypatch.setattr(DataverseClient, "versions", failing)
    seen = observe(lambda: client, Watched("CM4AI", [], lambda _: None, [], frozenset(), None))
    assert "OverflowError date value out of range" in str(seen.problems["doi:10.5072/FK2/ONE"])
    assert seen.read == {"doi:10.5072/FK2/TWO"}


def test_versions_newest_first_without_files(archive: Server, client: DataverseClient) -> None:
    archive.on(VERSIONS, body(200, fixture("versions_TWIN25_6.6.json")))
    versions = client.versions(DOI)
    assert [version.number for version in versions] == ["2.1", "2.0", "1.0"]
    assert versions[0].title == TITLE
    assert archive.log[0].query == {"persistentId": DOI, "excludeFiles": "true"}


def test_drafts_have_no_number_and_are_left_out(archive: Server, client: DataverseClient) -> None:
    draft = {"id": 9, "versionState": "DRAFT", "datasetPersistentId": DOI}
    released = recorded("versions_TWIN25_excludeFiles_6.6.json")
    archive.on(VERSIONS, as_json({**released, "data": [draft, *released["data"]]}))
    assert [version.number for version in client.versions(DOI)] == ["2.1", "2.0", "1.0"]


def test_a_version_with_its_files(archive: Server, client: DataverseClient) -> None:
    archive.on(VERSION, body(200, fixture("version_2.1_TWIN25_6.6.json"), Date="Sun, 23 Nov 2025 10:00:00 GMT"))
    version = client.version(DOI, "2.1")
    assert (version.number, version.doi, len(version.files or ())) == ("2.1", DOI, len(protocol.FILES))
    assert version.seen_on == date(2025, 11, 23)
    assert version.license_text == "CC BY-NC-SA 4.0"
    assert archive.log[0].query == {"persistentId": DOI, "excludeFiles": "false"}
    assert client.drift == frozenset()


def test_a_version_that_does_not_name_its_dataset_is_of_the_one_asked_for(
    archive: Server, client: DataverseClient
) -> None:
    archive.on(VERSION, as_json(altered("version_2.1_TWIN25_6.6.json", datasetPersistentId=None)))
    assert client.version(DOI, "2.1").doi == DOI


def test_41_only_a_pinned_version_is_asked_for(client: DataverseClient, archive: Server) -> None:
    for number in (":latest", ":latest-published", "2", ":draft", "2.1/../1.0"):
        with pytest.raises(ProtocolError, match="is not a pinned version"):
            client.version(DOI, number)
    assert archive.log == []


def test_releases_have_all_that_a_key_is_made_of(archive: Server, client: DataverseClient) -> None:
    contents = recorded("collection_CM4AI_contents.json")
    contents["data"] = [entry for entry in contents["data"] if entry["identifier"] in {"FK2/TWIN25", "FK2/TWIN26"}]
    archive.on(CONTENTS, as_json(contents))
    archive.on(
        VERSIONS,
        body(200, fixture("versions_TWIN25_6.6.json")),
        as_json({"status": "OK", "data": [recorded("version_latest_published_TWIN26_6.9.json")["data"]]}),
    )
    releases = client.releases("CM4AI")
    assert [(release.doi[-6:], release.version) for release in releases] == [
        ("TWIN25", "1.0"), ("TWIN25", "2.0"), ("TWIN25", "2.1"), ("TWIN26", "2.0"),
    ]  # fmt: skip
    assert releases[2].released == datetime(2025, 10, 30, 10, 20, 40, tzinfo=UTC)
    assert (releases[2].published, releases[2].archive) == (date(2025, 7, 2), archive.url)
    assert releases[2].title == TITLE
    assert len(archive.log) == 3


def test_43_a_dataset_that_vanishes_between_two_calls_is_left_out(
    archive: Server, client: DataverseClient, caplog: pytest.LogCaptureFixture
) -> None:
    archive.on(CONTENTS, body(200, fixture("collection_CM4AI_contents.json")))
    archive.on(VERSIONS, refused("error_404_dataset.json", 404))
    assert client.releases("CM4AI") == []
    assert "doi:10.5072/FK2/TWIN24 is listed in CM4AI but cannot be read" in caplog.text


def test_43_a_withdrawn_version_says_why_and_where_to_go(archive: Server, client: DataverseClient) -> None:
    archive.on(VERSION, refused("error_404_version.json", 404), body(200, fixture("version_deaccessioned.json")))
    with pytest.raises(DeaccessionedError, match=rf"2\.1 of {DOI} was withdrawn: {protocol.WITHDRAWN}") as caught:
        client.version(DOI, "2.1")
    assert caught.value.link == "https://doi.org/10.5072/FK2/TWIN26"
    assert "What is stored is kept" in caught.value.remedy
    archive.on(VERSION, refused("error_404_version.json", 404))
    with pytest.raises(NotFoundError, match=f"Dataset version 7.3 of dataset {protocol.DATASET_ID} not found"):
        client.version(DOI, "2.1")


def test_44_the_search_index_is_not_asked(archive: Server, client: DataverseClient) -> None:
    archive.on("/api/search", refused("error_500_incident.json", 500))
    archive.on(CONTENTS, body(200, fixture("collection_CM4AI_contents.json")))
    assert len(client.datasets("CM4AI")) == 3
    assert archive.asked("/api/search") == []


# --- 35 to 37: answers that are none, and answers that are new ---


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"{", b"<html>Sign in</html>", b'{"status": "OK", "data": {"versio', b"\xff\xfe\x00", b"[" * 100_000,
        '{"status":"OK","data":"é"}'.encode("latin-1"), b"null", b"[]", b'"x"', b"NaN", b'{"status":"OK"}',
        b'{"status":"OK","data":null}', b'{"status":"OK","data":[]}', b'{"status":"OK","data":{"version":7}}',
        b'{"status":"ERROR","message":"no"}', b'{"status":"error","message":"no"}',
    ],
)  # fmt: skip
def test_35_36_what_is_no_answer_is_a_protocol_error(archive: Server, client: DataverseClient, bad: bytes) -> None:
    archive.on(INFO, body(200, bad, Content_Type="text/html"))
    with pytest.raises(ProtocolError):
        client.server_version()
    assert len(archive.log) <= 2


@pytest.mark.parametrize("bad", [b"{", b"<html>", b'{"status":"ERROR","message":"busy"}'])
def test_35_a_garbled_answer_is_asked_for_once_more(archive: Server, client: DataverseClient, bad: bytes) -> None:
    archive.on(INFO, body(200, bad), body(200, fixture("info_version_6.9.json")))
    assert client.server_version() == "6.9"
    assert len(archive.log) == 2


def test_35_a_byte_order_mark_is_no_fault(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, body(200, b"\xef\xbb\xbf" + fixture("info_version_6.9.json"), Content_Type="text/plain"))
    assert client.server_version() == "6.9"


def test_35_an_answer_cut_short_is_asked_for_again(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, cut(fixture("info_version_6.9.json"), 20), body(200, fixture("info_version_6.9.json")))
    assert client.server_version() == "6.9"


def test_36_an_error_with_status_200_is_told(archive: Server, client: DataverseClient) -> None:
    archive.on(INFO, as_json({"status": "error", "message": "Endpoint asleep."}))
    with pytest.raises(ProtocolError, match=r"answered with an error .*Endpoint asleep\."):
        client.server_version()


def test_37_fields_missing_null_new_and_of_older_shapes(
    archive: Server, client: DataverseClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = altered(
        "version_2.1_TWIN25_6.6.json", license="CC0", brandNew={"x": 1}, releaseTime="garbage", versionNote=None
    )
    file = answer["data"]["files"][0]
    file["dataFile"] |= {"filesize": "9007199254740993", "alsoNew": True, "checksum": None}
    del file["restricted"]
    archive.on(VERSION, as_json(answer))
    for _ in range(2):
        version = client.version(DOI, "2.1")
    files = version.files or []
    assert version.license_text == "CC0"
    assert version.release_time is None
    assert files[0].data_file.filesize == 2**53 + 1
    assert client.drift == {"Version.brandNew", "DataFile.alsoNew"}
    assert caplog.text.count("sends fields that no known version does: DataFile.alsoNew, Version.brandNew") == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"versionNumber": 3}, {"datasetPersistentId": "doi:10.18130/V3/OTHER"}, {"files": None}, {"files": "none"},
        {"files": [{"label": "a"}]}, {"files": [{"dataFile": {"id": 1}}, {"dataFile": {"id": 1}}]},
        {"files": [{"dataFile": {"id": 1, "filesize": "many"}}]},
    ],
    ids=["other version", "other dataset", "no files", "files no list", "no id", "id twice", "size no number"],
)  # fmt: skip
def test_40_a_version_that_is_not_the_one_asked_for(
    archive: Server, client: DataverseClient, changes: dict[str, object]
) -> None:
    archive.on(VERSION, as_json(altered("version_2.1_TWIN25_6.6.json", **changes)))
    with pytest.raises(ProtocolError):
        client.version(DOI, "2.1")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([
    "versionNumber", "versionMinorNumber", "versionState", "releaseTime", "publicationDate", "license", "files",
    "metadataBlocks", "datasetPersistentId", "termsOfUse",
])  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.dictionaries(FIELDS, JUNK, max_size=4))
def test_37_any_junk_in_a_version_is_a_protocol_error_or_harmless(
    archive: Server, client: DataverseClient, changes: dict[str, object]
) -> None:
    archive.on(VERSION, as_json(altered("version_2.1_TWIN25_6.6.json", **changes)))
    try:
        version = client.version(DOI, "2.1")
    except ArchiveError:
        return
    assert isinstance(version.title, str | None)
    assert isinstance(version.license_text, str | None)
