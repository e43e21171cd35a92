"""A locked file becomes a stored blob: fetched once, verified, found again without asking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.software import package_version
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.download import Progress
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    BytesLostError,
    DeaccessionedError,
    GuestbookRequiredError,
    NotFoundError,
    OfflineError,
    ReplacedError,
    UnverifiableError,
)
from cm4ai_assets_tests.fixtures.protocol import DOI, WITHDRAWN
from cm4ai_assets_tests.fixtures.refusals import GUESTBOOK_ID
from cm4ai_assets_tests.transfer.bench import DATA, FILE, Bench, files_below, locked, md5, sha256
from cm4ai_assets_tests.transfer.server import Answer, Server, as_json, body, cut, fixture, refused, whole

BLOB = f"blobs/sha256/{sha256(DATA)[:2]}/{sha256(DATA)}"
INDEX = [
    f"blobs/index/md5/{md5(DATA)[:2]}/{md5(DATA)}.json",
    f"blobs/index/sha256/{sha256(DATA)[:2]}/{sha256(DATA)}.json",
    f"blobs/blocks/{sha256(DATA)[:2]}/{sha256(DATA)}",
    f"registry/verified/{BLOB}.json",
]


def test_file_is_fetched_verified_and_stored_by_content(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, tmp_path: Path
) -> None:
    archive.on(FILE, whole(DATA))
    told: list[Progress] = []
    acquired = acquire(locked(), client, blobs, scratch, progress=told.append)

    assert acquired.sha256 == sha256(DATA)
    assert acquired.path == BLOB
    assert (acquired.verified, acquired.size, acquired.fetched_bytes) == ("digest", len(DATA), len(DATA))
    assert (acquired.requests, acquired.reused) == (1, False)
    stored = tmp_path / "storage" / BLOB
    assert stored.read_bytes() == DATA
    assert stored.stat().st_mode & 0o222 == 0
    assert files_below(tmp_path / "storage") == sorted([BLOB, *INDEX])
    assert json.loads((tmp_path / "storage" / INDEX[0]).read_text()) == {"sha256": sha256(DATA), "size": len(DATA)}
    assert files_below(scratch) == []
    assert told[-1].done == told[-1].total == len(DATA)
    assert [seen.query for seen in archive.log] == [{}]
    assert archive.log[0].headers["accept-encoding"] == "identity"
    assert archive.log[0].headers["user-agent"].startswith(f"cm4ai-assets/{package_version()} (")


def test_same_bytes_under_another_name_id_and_release_are_not_asked_for(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on(FILE, whole(DATA))
    first = acquire(locked(), client, blobs, scratch)
    asked = len(archive.log)
    renamed = locked(doi="doi:10.18130/V3/K7TGEM", file_id=104689, label="renamed.zip", directory="")
    again = acquire(renamed, client, blobs, scratch)
    assert len(archive.log) == asked
    assert (again.sha256, again.fetched_bytes, again.requests, again.reused) == (first.sha256, 0, 0, True)


def test_offline_needs_no_client(archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path) -> None:
    archive.on(FILE, whole(DATA))
    with pytest.raises(OfflineError, match="is not stored, and no archive may be asked"):
        acquire(locked(), None, blobs, scratch)
    acquire(locked(), client, blobs, scratch)
    assert acquire(locked(), None, blobs, scratch).reused


def test_empty_file(client: DataverseClient, archive: Server, blobs: BlobStore, scratch: Path, tmp_path: Path) -> None:
    acquired = acquire(locked(b""), client, blobs, scratch)
    assert (tmp_path / "storage" / acquired.path).read_bytes() == b""
    assert (acquired.size, acquired.verified) == (0, "digest")


def test_wrong_bytes_twice_are_kept_aside_and_never_stored(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, tmp_path: Path
) -> None:
    wrong = DATA[:1000] + bytes([DATA[1000] ^ 1]) + DATA[1001:]
    archive.on(FILE, whole(wrong))
    with pytest.raises(DigestMismatchError, match=f"has the MD5 {md5(wrong)}, not {md5(DATA)} as published") as caught:
        acquire(locked(), client, blobs, scratch)
    assert "Nothing was stored" in caught.value.remedy
    assert files_below(tmp_path / "storage") == []
    assert [seen.query for seen in archive.asked(FILE)] == [{}, {"gbrecs": "true"}]
    evidence = next((scratch / "quarantine").glob("*.json"))
    assert str(evidence) in caught.value.remedy
    report = json.loads(evidence.read_text())
    assert report["arrived"]["digests"] == {"MD5": md5(wrong), "SHA-256": sha256(wrong)}
    assert report["wanted"]["digest"] == md5(DATA)
    assert report["url"].endswith(f"{FILE}?gbrecs=true")
    assert bytes.fromhex(report["first_bytes"]["hex"]) == wrong[:512]
    assert (evidence.parent / report["bytes"]).read_bytes() == wrong


def test_what_may_not_be_had_is_not_even_asked_for(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path
) -> None:
    day = date(2999, 1, 1)
    for state, until, told in (
        ("restricted", None, "is restricted"),
        ("embargoed", day, "is embargoed until 2999-01-01"),
        ("embargoed", None, "is embargoed without a stated end"),
        ("retention_expired", None, "is past its retention period"),
    ):
        with pytest.raises(AccessDeniedError, match=told) as caught:
            acquire(locked(access=state, available_on=until), client, blobs, scratch)
        assert (caught.value.state, caught.value.until, caught.value.retryable) == (state, until, False)
    assert archive.log == []


def test_an_embargo_that_has_ended_is_tried(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on(FILE, whole(DATA))
    assert (
        acquire(locked(access="embargoed", available_on=date(2020, 1, 1)), client, blobs, scratch).verified == "digest"
    )


def test_with_a_token_the_archive_decides(
    archive: Server, make_client: Callable[..., DataverseClient], blobs: BlobStore, scratch: Path
) -> None:
    archive.on(FILE, refused("error_403_file_access.json", 403), whole(DATA))
    with pytest.raises(AccessDeniedError):
        acquire(locked(access="restricted"), make_client(token="abc"), blobs, scratch)
    assert acquire(locked(access="restricted"), make_client(token="abc"), blobs, scratch).size == len(DATA)


def test_a_file_without_a_digest_is_verified_by_size_and_then_by_its_first_use(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, tmp_path: Path
) -> None:
    archive.on(FILE, whole(DATA))
    bare = locked(digest_type=None, digest=None)
    first = acquire(bare, client, blobs, scratch)
    assert (first.verified, first.requests) == ("size", 1)
    assert acquire(bare, client, blobs, scratch).reused

    blobs.withdraw(first.sha256)
    archive.on(FILE, whole(b"x" * len(DATA)))
    with pytest.raises(DigestMismatchError, match=f"not {sha256(DATA)} as when it was first stored"):
        acquire(bare, client, blobs, scratch)


def digests_of_bytes(data: bytes) -> dict[str, str]:
    kinds = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
    return {kind: hashlib.new(name, data).hexdigest() for kind, name in kinds.items()}


# --- what a refusal means for this file: 19, 20, 22, 23, 39, 42, 43 of the fault list ---

LISTING = "/api/datasets/:persistentId/versions/2.1"


def relisted(**data_file: object) -> Answer:
    """The version with the file of these tests in it, as it is now."""
    own = {"id": 103725, "filesize": len(DATA), "md5": md5(DATA), "contentType": "application/zip", **data_file}
    file = {"label": "x.zip", "restricted": own.pop("restricted", False), "dataFile": own}
    version = {"versionNumber": 2, "versionMinorNumber": 1, "datasetPersistentId": DOI, "versionState": "RELEASED"}
    return as_json({"status": "OK", "data": {**version, "files": [file]}}, Date="Fri, 02 Jan 2026 00:00:00 GMT")


@pytest.mark.parametrize(
    ("now", "state", "until", "told"),
    [
        ({"restricted": True}, "restricted", None, "is restricted"),
        ({"embargo": {"dateAvailable": "2026-01-03"}}, "embargoed", date(2026, 1, 3), "is embargoed until 2026-01-03"),
        ({"retention": {"dateUnavailable": "2026-01-02"}}, "retention_expired", None, "past its retention period"),
        ({}, "blocked", None, "is public by the archive's listing and refused by its download"),
        ({"id": 1}, "gone", None, "is no longer in this version"),
    ],
)
def test_19_20_a_refusal_is_looked_up_once(
    bench: Bench, now: dict[str, object], state: str, until: date, told: str
) -> None:
    bench.archive.on(LISTING, relisted(**now))
    with pytest.raises(AccessDeniedError, match=told) as caught:
        bench.fetch(refused("error_403_file_access.json", 403))
    assert (caught.value.state, caught.value.until) == (state, until)
    assert [seen.path for seen in bench.archive.log] == [FILE, LISTING]


def test_20_if_the_listing_fails_too_the_refusal_stands(bench: Bench) -> None:
    bench.archive.on(LISTING, refused("error_503_blocked_endpoint.json", 503))
    with pytest.raises(AccessDeniedError, match="Access is not permitted"):
        bench.fetch(refused("error_403_file_access.json", 403))


def test_22_a_guestbook_is_a_state_not_a_failure(bench: Bench) -> None:
    with pytest.raises(GuestbookRequiredError, match=f"wants guestbook {GUESTBOOK_ID} filled in first") as caught:
        bench.fetch(refused("error_400_guestbook_required_6.10.json", 400))
    assert (caught.value.state, caught.value.guestbook_id) == ("guestbook_required", GUESTBOOK_ID)
    assert "Fill it in on the archive's page" in caught.value.remedy
    assert len(bench.archive.log) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("error_404_datafile_unknown.json", 404), NotFoundError),
        (refused("error_404_datafile_missing_bytes.json", 404), BytesLostError),
        (body(404, b"<html>Not Found</html>"), NotFoundError),
    ],
    ids=["unknown id", "bytes lost", "web server"],
)
def test_23_what_is_not_there_is_not_asked_for_again(bench: Bench, answer: Answer, kind: type[ArchiveError]) -> None:
    bench.archive.on(LISTING, relisted())
    with pytest.raises(kind) as caught:
        bench.fetch(answer)
    assert type(caught.value) is kind
    assert len(bench.archive.asked(FILE)) == 1


def test_43_a_withdrawn_version_keeps_what_is_stored_and_says_why(bench: Bench) -> None:
    bench.fetch(whole(DATA))
    bench.archive.on(LISTING, refused("error_404_version.json", 404), body(200, fixture("version_deaccessioned.json")))
    assert acquire(locked(), bench.client, bench.blobs, bench.scratch).reused
    bench.archive.on(FILE, refused("error_404_datafile_unknown.json", 404))
    with pytest.raises(DeaccessionedError, match=f"was withdrawn: {WITHDRAWN}") as caught:
        acquire(locked(digest="0" * 32), bench.client, bench.blobs, bench.scratch)
    assert caught.value.link == "https://doi.org/10.5072/FK2/TWIN26"


@pytest.mark.parametrize(
    "now", [{"md5": "0" * 32}, {"filesize": 7}, {"checksum": {"type": "SHA-1", "value": "a" * 40}}]
)
def test_a_file_that_was_published_anew_is_told_apart_from_a_damaged_one(bench: Bench, now: dict[str, object]) -> None:
    bench.archive.on(LISTING, relisted(**now))
    with pytest.raises(ReplacedError, match=r"now states another size or digest .* than when it was locked"):
        bench.fetch(whole(b"x" * len(DATA)))
    bench.archive.on(LISTING, relisted())
    with pytest.raises(DigestMismatchError, match=r"not .* as published") as caught:
        bench.fetch(whole(b"x" * len(DATA)))
    assert not isinstance(caught.value, ReplacedError)


def test_38_other_kinds_of_digest_are_held_against(bench: Bench) -> None:
    for kind, digest in digests_of_bytes(DATA).items():
        acquired = bench.fetch(whole(DATA), digest_type=kind, digest=digest)
        assert (acquired.verified, acquired.sha256) == ("digest", sha256(DATA))
        bench.blobs.withdraw(acquired.sha256)
    assert len(bench.archive.log) == 4


def test_39_of_an_ingested_table_the_original_is_fetched(bench: Bench) -> None:
    bench.assert_stored(bench.fetch(cut(DATA, 1000), whole(DATA), is_ingested=True))
    assert [seen.query for seen in bench.archive.log] == [
        {"format": "original"},
        {"gbrecs": "true", "format": "original"},
    ]


def test_nothing_is_fetched_that_could_not_be_verified(bench: Bench) -> None:
    with pytest.raises(UnverifiableError, match="does not state the size"):
        bench.fetch(whole(DATA), size=None)
    assert bench.archive.log == []


def test_bytes_of_another_size_are_not_taken_for_the_file_whatever_the_index_says(bench: Bench) -> None:
    bench.fetch(whole(DATA))
    with pytest.raises(SizeMismatchError):
        bench.fetch(whole(DATA), size=len(DATA) + 1)


def test_uncounted_downloads_are_never_counted(bench: Bench) -> None:
    bench.archive.on(FILE, whole(DATA))
    acquire(locked(), bench.client, bench.blobs, bench.scratch, counted=False)
    assert [seen.query for seen in bench.archive.log] == [{"gbrecs": "true"}]
