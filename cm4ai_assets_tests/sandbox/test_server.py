from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import pytest

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.sandbox import SandboxServer, serve
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets.sandbox.exchange import Answer, CutConnection, Request

JUNE_2026 = "doi:10.5072/FK2/H1SBXC"
JUNE_2025 = "doi:10.5072/FK2/F3SBX5"
IMAGES, EMBARGOED, RESTRICTED, EMBARGO_OVER = 720801, 720748, 720749, 713707


def _version(client: httpx2.Client, doi: str, spec: str) -> httpx2.Response:
    return client.get(f"/api/datasets/:persistentId/versions/{spec}", params={"persistentId": doi})


def _file(number: int) -> str:
    return f"/api/access/datafile/{number}"


def test_the_collection_lists_every_dataset(client: httpx2.Client) -> None:
    rows = client.get("/api/dataverses/CM4AI/contents").json()["data"]
    assert {row["type"] for row in rows} == {"dataset"}
    assert f"doi:{rows[-1]['authority']}/{rows[-1]['identifier']}" == JUNE_2026
    assert client.get("/api/v1/dataverses/CM4AI/contents").json()["data"] == rows
    assert client.get("/api/dataverses/elsewhere/contents").status_code == 404


@pytest.mark.parametrize(
    ("spec", "found"),
    [("2.1", (2, 1)), ("2", (2, 0)), (":latest", (2, 1)), (":latest-published", (2, 1)), ("1.0", (1, 0))],
)
def test_versions_are_named_as_the_archive_names_them(client: httpx2.Client, spec: str, found: tuple[int, int]) -> None:
    version = _version(client, JUNE_2025, spec).json()["data"]
    assert (version["versionNumber"], version["versionMinorNumber"]) == found


def test_the_list_of_versions_is_newest_first_and_can_be_light(client: httpx2.Client) -> None:
    path = "/api/datasets/:persistentId/versions"
    versions = client.get(path, params={"persistentId": JUNE_2025}).json()["data"]
    assert [(v["versionNumber"], v["versionMinorNumber"]) for v in versions] == [(2, 1), (2, 0), (1, 0)]
    assert all("files" in version and "metadataBlocks" in version for version in versions)
    light = {"persistentId": JUNE_2025, "excludeFiles": "true", "excludeMetadataBlocks": "true"}
    assert all(not {"files", "metadataBlocks"} & v.keys() for v in client.get(path, params=light).json()["data"])


def test_files_can_be_paged(client: httpx2.Client) -> None:
    path = "/api/datasets/:persistentId/versions/2.1/files"
    pages = [
        client.get(path, params={"persistentId": JUNE_2025, "limit": 10, "offset": offset}).json()
        for offset in (0, 10, 20)
    ]
    assert [len(page["data"]) for page in pages] == [10, 10, 1]
    assert {page["totalCount"] for page in pages} == {21}
    labels = [file["label"] for page in pages for file in page["data"]]
    assert labels == sorted(labels)
    wrong = client.get(path, params={"persistentId": JUNE_2025, "orderCriteria": "foo"})
    assert (wrong.status_code, wrong.json()["message"]) == (400, "Invalid order criteria: foo")


def test_search_moves_with_major_versions_only(client: httpx2.Client) -> None:
    found = client.get("/api/search", params={"q": "*", "type": "dataset", "subtree": "CM4AI", "per_page": 3}).json()[
        "data"
    ]
    assert (found["total_count"], found["count_in_response"]) == (5, 3)
    assert found["items"][0]["global_id"] == JUNE_2026
    everything = client.get("/api/search", params={"q": "*"}).json()["data"]["items"]
    june = next(item for item in everything if item["global_id"] == JUNE_2025)
    assert (june["published_at"], june["updatedAt"]) == ("2025-10-22T18:40:05Z", "2025-10-31T14:12:37Z")
    assert client.get("/api/search").json() == {"status": "ERROR", "message": "q parameter is missing"}


def test_a_file_comes_whole_and_verifiable(client: httpx2.Client, catalog: Catalog) -> None:
    file = next(f for f in catalog.files if f.id == IMAGES)
    answer = client.get(_file(IMAGES))
    assert hashlib.md5(answer.content).hexdigest() == file.md5
    assert answer.headers["content-disposition"] == 'attachment; filename="cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"'
    assert answer.headers["content-type"] == 'application/zip; name="cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"'
    assert not {"etag", "last-modified", "accept-ranges", "content-encoding"} & set(answer.headers)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=100-199", (100, 199)),
        ("bytes=1000-", (1000, None)),
        ("bytes=5-999999999999", (5, None)),
        ("bytes=-10", (-10, None)),
    ],
)
def test_a_range(
    client: httpx2.Client, sandbox: Path, catalog: Catalog, header: str, span: tuple[int, int | None]
) -> None:
    file = next(f for f in catalog.files if f.id == IMAGES)
    whole = (sandbox / file.path).read_bytes()
    start = span[0] if span[0] >= 0 else file.size + span[0]
    last = file.size - 1 if span[1] is None else span[1]
    answer = client.get(_file(IMAGES), headers={"Range": header})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {start}-{last}/{file.size}"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.content == whole[start : last + 1]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("bytes={size}-", "Start is larger than end or size of file."),
        ("bytes=9-3", "Start is larger than end or size of file."),
        ("bytes=0-1,5-6", "Only one range is allowed."),
        ("lines=1-2", "The format is bytes=<range-start>-<range-end> where start and end are optional."),
        ("bytes=-", "The format is bytes=<range-start>-<range-end> where start and end are optional."),
    ],
)
def test_a_range_that_cannot_be(client: httpx2.Client, catalog: Catalog, header: str, reason: str) -> None:
    size = next(f for f in catalog.files if f.id == IMAGES).size
    answer = client.get(_file(IMAGES), headers={"Range": header.format(size=size)})
    assert answer.status_code == 416
    assert answer.json() == {"status": "ERROR", "code": 416, "message": f"Error due to Range header: {reason}"}
    assert "content-range" not in answer.headers


def test_access_states(client: httpx2.Client, server: SandboxServer) -> None:
    files = {f["dataFile"]["id"]: f for f in _version(client, JUNE_2026, "2.0").json()["data"]["files"]}
    assert files[RESTRICTED]["restricted"] is True
    assert files[EMBARGOED]["dataFile"]["embargo"]["dateAvailable"] == "2028-01-01"
    for number in (RESTRICTED, EMBARGOED):
        assert client.get(_file(number)).status_code == 403
    assert client.get(_file(EMBARGO_OVER)).status_code == 200
    server.publish_until(datetime(2028, 1, 1, tzinfo=UTC))
    assert client.get(_file(EMBARGOED)).status_code == 200


def test_a_token_opens_what_is_closed_and_a_wrong_one_closes_everything(sandbox: Path) -> None:
    with SandboxServer(sandbox, token="right") as server, httpx2.Client(base_url=server.url) as client:
        assert client.get(_file(RESTRICTED), headers={"X-Dataverse-key": "right"}).status_code == 200
        refused = client.get("/api/info/version", headers={"X-Dataverse-key": "wrong"})
        assert (refused.status_code, refused.json()) == (401, {"status": "ERROR", "message": "Bad API key"})


def test_time_can_be_turned_back(client: httpx2.Client, server: SandboxServer) -> None:
    server.publish_until(datetime(2025, 10, 25, tzinfo=UTC))
    listed = client.get("/api/dataverses/CM4AI/contents").json()["data"]
    assert [row["publicationDate"] for row in listed] == ["2024-05-21", "2025-03-03", "2025-07-01"]
    latest = _version(client, JUNE_2025, ":latest").json()["data"]
    assert (latest["versionNumber"], latest["versionMinorNumber"]) == (2, 0)
    assert _version(client, JUNE_2026, ":latest").status_code == 404
    assert client.get(_file(IMAGES)).status_code == 404
    server.publish_until(None)
    assert _version(client, JUNE_2026, ":latest").status_code == 200


def test_the_log_tells_what_was_asked(client: httpx2.Client, server: SandboxServer) -> None:
    client.get(_file(702111))
    client.get(_file(702111), params={"gbrecs": "true"}, headers={"Range": "bytes=2-5"})
    client.head(_file(702111), headers={"X-Dataverse-key": "secret"})
    first, second, third = server.log
    assert (first.method, first.path, first.status, first.counted) == ("GET", "/access/datafile/702111", 200, True)
    assert (second.range, second.status, second.sent, second.counted) == ("bytes=2-5", 206, 4, False)
    assert (third.method, third.status, third.sent, third.headers["x-dataverse-key"]) == ("HEAD", 401, 0, "secret")
    server.clear_log()
    assert server.log == []


def test_head_runs_the_path_of_get(client: httpx2.Client, server: SandboxServer, catalog: Catalog) -> None:
    answer = client.head(_file(IMAGES))
    assert int(answer.headers["content-length"]) == next(f for f in catalog.files if f.id == IMAGES).size
    assert server.log[0].counted


def test_a_connection_is_kept_and_many_are_served(server: SandboxServer, client: httpx2.Client) -> None:
    kept = HTTPConnection(server.url.removeprefix("http://"))
    ports = set()
    for _ in range(2):
        kept.request("GET", "/api/info/version")
        assert b"6.9" in kept.getresponse().read()
        ports.add(kept.sock.getsockname())
    kept.close()
    assert len(ports) == 1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(_file(702111)).content, range(24)))
    assert len(set(answers)) == 1


def test_a_fault_can_answer_in_place_of_the_archive(client: httpx2.Client, server: SandboxServer) -> None:
    def unavailable(request: Request) -> Answer | None:
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "7"}) if request.path == "/info/version" else None

    server.faults.append(unavailable)
    answer = client.get("/api/info/version")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert client.get("/api/dataverses/CM4AI").status_code == 200


def test_a_fault_can_cut_the_archives_own_answer(client: httpx2.Client, server: SandboxServer) -> None:
    def cut(request: Request) -> Answer | None:
        answer = server.answer(request)
        body = iter(answer.body)

        def some() -> Iterator[bytes]:
            yield next(body)[:1000]
            raise CutConnection

        answer.body = some()
        return answer

    server.faults.append(cut)
    with pytest.raises(httpx2.RemoteProtocolError, match="1000"):
        client.get(_file(IMAGES))
    assert server.log[0].sent == 1000


def test_a_fault_can_redirect_to_a_store(client: httpx2.Client, server: SandboxServer) -> None:
    def store(request: Request) -> Answer | None:
        if request.path.startswith("/access/"):
            return Answer(HTTPStatus.SEE_OTHER, {"Location": f"{server.url}/bucket/key?X-Amz-Expires=3600"})
        if request.path == "/outside/bucket/key":
            return Answer(HTTPStatus.OK, {"Server": "AmazonS3"}, (b"bytes",), 5)
        return None

    server.faults.append(store)
    answer = client.get(_file(IMAGES), follow_redirects=True)
    assert answer.content == b"bytes"
    assert [record.status for record in server.log] == [303, 200]


def test_bytes_that_are_lost(sandbox: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.json").write_bytes((sandbox / "archive.json").read_bytes())
    with SandboxServer(tmp_path) as server:
        answer = httpx2.get(f"{server.url}{_file(IMAGES)}")
    assert answer.status_code == 404
    assert answer.json()["message"] == f"Datafile {IMAGES}: Failed to locate and/or open physical file."


def test_a_taken_port_is_told(sandbox: Path, server: SandboxServer) -> None:
    with pytest.raises(ConfigurationError, match="another port"):
        SandboxServer(sandbox, port=int(server.url.rsplit(":", 1)[1]))


def test_a_client_that_goes_away_is_no_error(server: SandboxServer, capfd: pytest.CaptureFixture[str]) -> None:
    with httpx2.stream("GET", f"{server.url}{_file(IMAGES)}") as answer:
        next(answer.iter_raw(1000))
    assert httpx2.get(f"{server.url}/api/info/version").status_code == 200
    assert capfd.readouterr().err == ""


def test_serving_tells_where(sandbox: Path) -> None:
    asked: list[int] = []

    def ready(url: str) -> None:
        asked.append(int(url.rsplit(":", 1)[1]))
        raise KeyboardInterrupt

    serve(sandbox, ready=ready)
    with SandboxServer(sandbox, port=asked[0]):  # and the port is free again
        assert httpx2.get(f"http://127.0.0.1:{asked[0]}/api/info/version").status_code == 200
