"""Figshare: articles page by page, states and refusals, files stored once, and pieces of files where they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from cm4ai_assets.archives.figshare import client as figshare
from cm4ai_assets.archives.figshare.acquire import acquire, by_range
from cm4ai_assets.archives.figshare.client import FigshareClient, article_in
from cm4ai_assets.archives.figshare.lock import lock_frame
from cm4ai_assets.archives.figshare.locked_file import FigshareFile
from cm4ai_assets.archives.figshare.model import Article
from cm4ai_assets.errors import ArchiveError, DigestMismatchError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteFile, CachedBytes
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.transfer.errors import (
    AccessDeniedError,
    BlockedByWafError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    ReplacedError,
    ServerUnavailableError,
)
from cm4ai_assets_tests.transfer.bench import DATA, FAST
from cm4ai_assets_tests.transfer.server import Answer, Exchange, Server, as_json, body, redirect, whole

ARTICLE = "/v2/articles/27261219"
LISTING = f"{ARTICLE}/versions/2/files"
DOWNLOAD = "/v2/file/download/64650261"
DAY = date(2026, 11, 26)
MD5 = hashlib.md5(DATA).hexdigest()


def entry(number: int = 64650261, **others: Any) -> dict[str, Any]:
    """A file as the API gives it."""
    return {
        "id": number, "name": "KOLF_Pan_Genome_QC_Filtered.h5ad", "size": len(DATA), "is_link_only": False,
        "download_url": f"https://ndownloader.figshare.com/files/{number}", "supplied_md5": MD5, "computed_md5": MD5,
        "mimetype": "application/x-hdf", **others,
    }  # fmt: skip


def article(*files: dict[str, Any], **others: Any) -> dict[str, Any]:
    """An article as the API gives it; `status` is a word of its own there, and no envelope."""
    return {
        "id": 27261219, "version": 2, "doi": "10.25452/figshare.plus.27261219.v2", "title": "Perturbation cell atlas",
        "status": "public", "is_public": True, "is_embargoed": False, "embargo_date": None, "embargo_type": None,
        "embargo_reason": "", "is_confidential": False, "is_metadata_record": False, "download_disabled": False,
        "license": {"value": 1, "name": "CC BY 4.0", "url": "https://creativecommons.org/licenses/by/4.0/"},
        "files": list(files)[:10], **others,
    }  # fmt: skip


def offer(server: Server, *files: dict[str, Any], **others: Any) -> None:
    """Have the server list an article, in pages."""
    for path in (ARTICLE, f"{ARTICLE}/versions/2"):
        server.on(path, as_json(article(*files, **others)))

    def listing(exchange: Exchange) -> None:
        page, size = (int(exchange.seen.query[name]) for name in ("page", "page_size"))
        as_json(list(files)[(page - 1) * size : page * size])(exchange)

    server.on(LISTING, listing)


@pytest.fixture
def client(archive: Server) -> Iterator[FigshareClient]:
    with FigshareClient(archive.url, retries=FAST) as made:
        yield made


def locked(**others: Any) -> FigshareFile:
    raw = article(entry(**others))
    row = lock_frame(Article.model_validate(raw), release="2026-06-v2.0", day=DAY, named_by="crate").row(0, named=True)
    return FigshareFile.from_row(row)


# --- articles


@pytest.mark.parametrize(
    ("doi", "means"),
    [
        ("10.25452/figshare.plus.27261219", (27261219, None)),
        ("10.25452/FIGSHARE.PLUS.27261219.v2", (27261219, 2)),
        ("10.6084/m9.figshare.1434614.v12", (1434614, 12)),
        ("10.26181/22202866", (22202866, None)),
    ],
)
def test_a_doi_says_which_article_and_version(doi: str, means: tuple[int, int | None]) -> None:
    assert article_in(doi) == means


@pytest.mark.parametrize("doi", ["10.18130/V3/F3TD5R", "27261219", "10.25452/figshare.plus.", "10.25452/x.1234.v"])
def test_what_is_no_doi_of_figshare_is_refused(doi: str) -> None:
    with pytest.raises(NotFoundError, match="no DOI of Figshare"):
        article_in(doi)


def test_an_article_is_listed_page_by_page_and_not_only_its_first_ten_files(
    archive: Server, client: FigshareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figshare, "PAGE", 5)
    offer(archive, *[entry(1000 + number, name=f"file {number}.csv") for number in range(12)])
    found, _ = client.article(27261219)
    assert [file.id for file in found.files] == list(range(1000, 1012))
    assert len(archive.asked(LISTING)) == 3


def test_a_page_that_is_exactly_full_is_not_taken_for_the_last(
    archive: Server, client: FigshareClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figshare, "PAGE", 2)
    offer(archive, entry(1), entry(2, name="b.h5ad"))
    assert len(client.article(27261219)[0].files) == 2
    assert len(archive.asked(LISTING)) == 2


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        ([entry(1), entry(1)], "twice"),
        ([entry(2)], "its listing does not"),
        ({"message": "no"}, "is no list"),
        ([{"name": "without id"}], "another shape"),
        ([entry(1, size=-4)], "another shape"),
    ],
)
def test_an_unstable_or_shapeless_listing_is_no_lock(
    archive: Server, client: FigshareClient, listing: object, says: str
) -> None:
    offer(archive, entry(1))
    archive.on(LISTING, as_json(listing))
    with pytest.raises(ProtocolError, match=says):
        client.article(27261219)


def test_another_article_or_version_than_was_asked_for_is_refused(archive: Server, client: FigshareClient) -> None:
    archive.on(f"{ARTICLE}/versions/1", as_json(article(entry())))
    with pytest.raises(ProtocolError, match="version 1 was asked for"):
        client.article(27261219, 1)


def test_versions_are_listed_oldest_first(archive: Server, client: FigshareClient) -> None:
    archive.on(f"{ARTICLE}/versions", as_json([{"version": 2, "url": "x"}, {"version": 1, "url": "y"}]))
    assert client.versions(27261219) == [1, 2]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (as_json({"message": "Entity not found: article", "code": "EntityNotFound"}, 404), NotFoundError, "Entity not"),
        (as_json({"message": "You do not have access", "code": "Forbidden"}, 403), AccessDeniedError, "do not have"),
        (as_json({"message": "Bad token", "code": "Unauthorized"}, 401), AccessDeniedError, "Bad token"),
        (body(404, b"<html>nothing</html>", Content_Type="text/html"), NotFoundError, "CM4AI_FIGSHARE_URL"),
        (body(403, b"<html>no</html>", Content_Type="text/html"), BlockedByWafError, "allow the User-Agent"),
        (body(202, b"", x_amzn_waf_action="challenge"), BlockedByWafError, "firewall"),
        (as_json({"message": "slow down", "code": "Limit"}, 429), RateLimitedError, "wait."),
        (as_json({"message": "oops", "code": "Internal"}, 500), ServerUnavailableError, "oops"),
        (body(200, b"<html>sign in</html>", Content_Type="text/html"), ProtocolError, "not JSON"),
    ],
)
def test_every_refusal_has_its_type_and_a_remedy_that_exists(
    archive: Server, client: FigshareClient, answer: Answer, error: type[ArchiveError], says: str
) -> None:
    archive.on(ARTICLE, answer)
    with pytest.raises(error, match=says) as raised:
        client.article(27261219)
    assert "DATAVERSE" not in str(raised.value)


# --- the lock


def rows(raw: dict[str, Any], day: date = DAY) -> list[dict[str, Any]]:
    frame = lock_frame(Article.model_validate(raw), release="2026-06-v2.0", day=day, named_by="programme", note="Why.")
    assert FIGSHARE_FILES.violations(frame) == []
    return frame.rows(named=True)


def test_a_lock_says_what_each_file_is_and_what_it_is_held_against() -> None:
    cells, guides, other = rows(
        article(
            entry(),
            entry(2, name="pan_genome_feature_reference.csv", computed_md5="", supplied_md5="A" * 32),
            entry(3, name="README.md", computed_md5=None, supplied_md5="", download_url=None),
        )
    )
    assert (cells["role"], cells["md5"], cells["doi"]) == ("cells", MD5, "10.25452/figshare.plus.27261219")
    assert (guides["role"], guides["md5"]) == ("guides", "a" * 32)
    assert (other["role"], other["md5"], other["url"]) == ("other", None, None)
    assert cells["notes"] == "Why."
    assert "No reader" in other["notes"]
    assert cells["license"] == "CC BY 4.0"


def test_other_bytes_than_the_depositor_sent_are_held_against_what_figshare_has_and_said() -> None:
    (row,) = rows(article(entry(supplied_md5="b" * 32)))
    assert (row["md5"], row["supplied_md5"]) == (MD5, "b" * 32)
    assert "other bytes" in row["notes"]


@pytest.mark.parametrize(
    ("state", "access", "until", "says"),
    [
        ({"is_embargoed": True, "embargo_date": "2027-10-01", "embargo_type": "file", "embargo_reason": "paper"},
         "embargoed", date(2027, 10, 1), "Embargoed (file) until 2027-10-01: paper."),
        ({"is_embargoed": True, "embargo_date": None}, "embargoed", None, "without a stated end"),
        ({"is_embargoed": True, "embargo_date": "some day"}, "embargoed", None, "without a stated end"),
        ({"is_embargoed": True, "embargo_date": "2026-11-26"}, "public", None, ""),
        ({"is_confidential": True, "confidential_reason": "patients"}, "restricted", None, "patients"),
        ({"is_public": False}, "restricted", None, "not public"),
        ({"download_disabled": True}, "blocked", None, "switched off"),
    ],
)  # fmt: skip
def test_an_embargo_and_its_kin_are_states_with_their_dates(
    state: dict[str, Any], access: str, until: date | None, says: str
) -> None:
    (row,) = rows(article(entry(), **state))
    assert (row["access"], row["embargo_until"]) == (access, until)
    assert says in row["notes"]


def test_a_file_that_is_only_a_link_is_said_to_be_one() -> None:
    (row,) = rows(article(entry(is_link_only=True, size=0, computed_md5="")))
    assert row["access"] == "linked"


# --- files


def test_a_file_is_fetched_by_a_signed_link_verified_by_its_md5_and_stored_once(
    archive: Server, store_host: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on(DOWNLOAD, redirect(lambda: f"{store_host.url}/store/x?X-Amz-Signature=secret", 302))
    store_host.on("/store/x", whole(DATA))
    got = acquire(locked(), client, blobs, scratch)
    assert (got.sha256, got.verified, got.reused) == (hashlib.sha256(DATA).hexdigest(), "digest", False)
    again = acquire(locked(), client, blobs, scratch)
    assert (again.reused, again.requests, len(store_host.log)) == (True, 0, 1)
    assert not {"authorization", "x-dataverse-key", "cookie"} & set(store_host.log[0].headers)


def test_an_expired_link_is_asked_for_anew_and_the_download_goes_on(
    archive: Server, store_host: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    def half(exchange: Exchange) -> None:
        exchange.head(200, Content_Length=str(len(DATA)))
        exchange.write(DATA[: len(DATA) // 2])
        exchange.close()

    expired = body(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                   Content_Type="application/xml")  # fmt: skip
    archive.on(DOWNLOAD, redirect(lambda: f"{store_host.url}/store/x", 302))
    store_host.on("/store/x", half, expired, whole(DATA))
    got = acquire(locked(), client, blobs, scratch)
    assert (got.size, got.fetched_bytes) == (len(DATA), len(DATA))
    assert [seen.range_start for seen in store_host.log] == [None, len(DATA) // 2, len(DATA) // 2]


def test_where_the_api_does_not_serve_files_the_stated_address_is_asked(
    archive: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on(DOWNLOAD, as_json({"message": "Entity not found: file", "code": "EntityNotFound"}, 404))
    archive.on("/files/64650261", whole(DATA))
    assert acquire(locked(download_url=f"{archive.url}/files/64650261"), client, blobs, scratch).size == len(DATA)


def test_the_challenge_before_figshares_other_address_is_no_file(
    archive: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on(DOWNLOAD, body(202, b"", x_amzn_waf_action="challenge"))
    with pytest.raises(BlockedByWafError):
        acquire(locked(), client, blobs, scratch)
    assert list(blobs.all()) == []


def test_other_bytes_than_published_are_refused_twice_and_never_stored(
    archive: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    offer(archive, entry())
    archive.on(DOWNLOAD, whole(b"x" * len(DATA)))
    with pytest.raises(DigestMismatchError, match="MD5"):
        acquire(locked(), client, blobs, scratch)
    assert list(blobs.all()) == []


def test_a_file_that_figshare_replaced_is_said_to_be_replaced(
    archive: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    offer(archive, entry(supplied_md5="c" * 32, computed_md5="c" * 32))
    archive.on(DOWNLOAD, whole(b"x" * len(DATA)))
    with pytest.raises(ReplacedError, match="another size or digest"):
        acquire(locked(), client, blobs, scratch)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"access": "embargoed", "embargo_until": date(2999, 1, 1)}, "embargoed until 2999-01-01"),
        ({"access": "embargoed", "embargo_until": None}, "without a stated end"),
        ({"access": "linked"}, "link to somewhere else"),
        ({"access": "restricted"}, "not public"),
    ],
)
def test_what_is_known_to_be_closed_is_not_even_asked_for(
    archive: Server, client: FigshareClient, tmp_path: Path, state: dict[str, Any], says: str
) -> None:
    blobs = BlobStore(LocalFileSystem(), str(tmp_path / "storage"))
    with pytest.raises(AccessDeniedError, match=says):
        acquire(FigshareFile(**{**vars(locked()), **state}), client, blobs, tmp_path / "scratch")
    assert archive.log == []


def test_a_file_that_was_closed_since_it_was_locked_is_a_state(
    archive: Server, client: FigshareClient, blobs: BlobStore, scratch: Path
) -> None:
    offer(archive, entry(), is_embargoed=True, embargo_date="2999-01-01")
    archive.on(DOWNLOAD, as_json({"message": "No access", "code": "Forbidden"}, 403))
    with pytest.raises(AccessDeniedError, match="2999") as denied:
        acquire(locked(), client, blobs, scratch)
    assert (denied.value.state, denied.value.until) == ("embargoed", date(2999, 1, 1))


# --- pieces


def test_pieces_are_read_where_the_file_is_and_cost_what_is_counted(archive: Server, client: FigshareClient) -> None:
    archive.on(DOWNLOAD, whole(DATA, ETag='"one"'))
    source = by_range(locked(), client)
    with ByteFile(CachedBytes(source, block=1000, blocks=4)) as file:
        file.seek(-10, 2)
        assert file.read() == DATA[-10:]
        file.seek(1500)
        assert file.read(1000) == DATA[1500:2500]
        assert (source.traffic.requests, source.traffic.bytes) == (2, 2000 + (len(DATA) % 1000 or 1000))
        file.seek(2100)
        assert file.read(100) == DATA[2100:2200]
        assert source.traffic.requests == 2


def changes(first: Answer, then: Answer) -> Callable[[Server], None]:
    return lambda server: server.on(DOWNLOAD, first, then)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (changes(whole(DATA, ETag='"one"'), whole(DATA, ETag='"two"')), ReplacedError),
        (changes(whole(DATA), whole(DATA[:-1])), ReplacedError),
        (changes(whole(DATA), body(200, DATA)), ProtocolError),
    ],
)
def test_a_file_that_changed_under_the_reader_gives_no_bytes(
    archive: Server, client: FigshareClient, script: Callable[[Server], None], error: type[ArchiveError]
) -> None:
    script(archive)
    source = by_range(locked(), client)
    assert source.read_at(0, 100) == DATA[:100]
    with pytest.raises(error):
        source.read_at(100, 100)


def test_a_piece_that_breaks_off_is_asked_for_again(archive: Server, client: FigshareClient) -> None:
    def broken(exchange: Exchange) -> None:
        exchange.head(206, Content_Length="100", Content_Range=f"bytes 0-99/{len(DATA)}")
        exchange.write(DATA[:40])
        exchange.close()

    archive.on(DOWNLOAD, broken, whole(DATA))
    assert by_range(locked(), client).read_at(0, 100) == DATA[:100]


def from_the_beginning(exchange: Exchange) -> None:
    """As many bytes as were asked for, of another place: a server that knows no ranges, and a cut."""
    exchange.head(200, Connection="close")
    exchange.write(DATA[:100])
    exchange.close()


def a_shorter_piece(exchange: Exchange) -> None:
    exchange.head(206, Content_Length="40", Content_Range=f"bytes 100-139/{len(DATA)}")
    exchange.write(DATA[100:140])


@pytest.mark.parametrize("answer", [from_the_beginning, a_shorter_piece])
def test_a_piece_of_another_place_or_length_is_none(archive: Server, client: FigshareClient, answer: Answer) -> None:
    archive.on(DOWNLOAD, whole(DATA), answer)
    source = by_range(locked(), client)
    assert source.read_at(0, 50) == DATA[:50]
    with pytest.raises(ProtocolError):
        source.read_at(100, 100)
