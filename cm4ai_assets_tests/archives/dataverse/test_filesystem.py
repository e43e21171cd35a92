"""Published files through fsspec: listed, read in parts, fetched whole, never written."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest

from cm4ai_assets.archives.dataverse.filesystem import DataverseFileSystem
from cm4ai_assets.errors import DigestMismatchError
from cm4ai_assets.storage.bytes import RemoteBytes
from cm4ai_assets.storage.zips import read_directory
from cm4ai_assets.transfer.errors import AccessDeniedError, NotFoundError, ProtocolError, RangeError
from cm4ai_assets_tests.fixtures.protocol import DOI, IMAGES, TOTAL_SIZE
from cm4ai_assets_tests.fixtures.protocol import FILES as PUBLISHED
from cm4ai_assets_tests.storage.largezip import IMAGE, LargeZip
from cm4ai_assets_tests.transfer.bench import DATA, bytes_of, md5
from cm4ai_assets_tests.transfer.server import Server, as_json, body, cut, fixture, ignoring_range, refused, whole

VERSIONS = "/api/datasets/:persistentId/versions"
MEMBERS = {
    f"paclitaxel/{channel}/B2AI_1_Paclitaxel_A{well}_R1_z01_{channel}.jpg": bytes_of(10_000, well)
    for channel in ("blue", "green")
    for well in range(1, 40)
}


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return buffer.getvalue()


ZIP = zipped()


def published(file_id: int, path: str, data: bytes, **more: Any) -> dict[str, Any]:
    directory, _, label = path.rpartition("/")
    own = {"id": file_id, "filesize": len(data), "md5": md5(data), "contentType": "application/zip",
           "creationDate": "2025-10-20", **more}  # fmt: skip
    return {
        "label": label,
        "directoryLabel": directory or None,
        "restricted": own.pop("restricted", False),
        "dataFile": own,
    }


FILES = [
    published(1, "Images/cm4ai_ifimages_MDA-MB-468_paclitaxel.zip", ZIP),
    published(2, "Images/deep/notes with blanks.txt", DATA),
    published(3, "cm4ai_release_metadata.zip", DATA, embargo={"dateAvailable": "2999-01-01"}),
]
NAME = "Images/cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for protocol in DataverseFileSystem.protocol:
        fsspec.register_implementation(protocol, DataverseFileSystem, clobber=True)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    yield
    DataverseFileSystem.clear_instance_cache()


@pytest.fixture
def served(archive: Server) -> Server:
    version = {"versionNumber": 2, "versionMinorNumber": 1, "datasetPersistentId": DOI, "versionState": "RELEASED"}
    archive.on(f"{VERSIONS}/2.1", as_json({"status": "OK", "data": {**version, "files": FILES}}))
    archive.on(VERSIONS, as_json({"status": "OK", "data": [version]}))
    archive.on("/api/access/datafile/1", whole(ZIP))
    archive.on("/api/access/datafile/2", whole(DATA))
    archive.on("/api/access/datafile/3", refused("error_403_file_access.json", 403))
    return archive


def url(server: Server, path: str = NAME, version: str | None = "2.1") -> str:
    pinned = f"&version={version}" if version else ""
    return f"dataverse://{server.url.removeprefix('http://')}/{path}?persistentId={DOI}{pinned}"


def opened(server: Server) -> DataverseFileSystem:
    return fsspec.core.url_to_fs(url(server))[0]


def test_listing(served: Server) -> None:
    fs = opened(served)
    assert fs.find("") == [NAME, "Images/deep/notes with blanks.txt", "cm4ai_release_metadata.zip"]
    assert fs.ls("", detail=False) == ["Images", "cm4ai_release_metadata.zip"]
    assert fs.ls("Images", detail=False) == [NAME, "Images/deep"]
    assert fs.ls(NAME, detail=False) == [NAME]
    assert fs.isdir("Images/deep")
    assert not fs.exists("Images/other")
    assert fs.glob("Images/*.zip") == [NAME]
    with pytest.raises(FileNotFoundError):
        fs.ls("nothing")
    assert len(served.log) == 1


def test_info(served: Server) -> None:
    fs = opened(served)
    assert fs.info(NAME) == {
        "name": NAME, "size": len(ZIP), "type": "file", "checksum": ("MD5", md5(ZIP)), "file_id": 1, "access": "public",
        "content_type": "application/zip", "created": datetime(2025, 10, 20, tzinfo=UTC),
    }  # fmt: skip
    assert fs.info("cm4ai_release_metadata.zip")["access"] == "embargoed"
    assert fs.ukey(NAME) == f"MD5:{md5(ZIP)}"
    assert isinstance(fs.checksum(NAME), int)
    assert fs.created(NAME) == fs.modified(NAME) == datetime(2025, 10, 20, tzinfo=UTC)


def test_a_part_is_read_by_one_request_for_just_that_part(served: Server) -> None:
    fs = opened(served)
    assert fs.cat_file(NAME, 100, 200) == ZIP[100:200]
    assert fs.cat_file(NAME, -100) == ZIP[-100:]
    assert fs.cat_file(NAME, 50, 50) == b""
    assert fs.cat_file(NAME) == ZIP
    assert [(seen.headers["range"], seen.query) for seen in served.asked("/api/access/datafile/1")] == [
        (f"bytes={start}-{end}", {"gbrecs": "true"})
        for start, end in ((100, 199), (len(ZIP) - 100, len(ZIP) - 1), (0, len(ZIP) - 1))
    ]


def test_a_zip_is_listed_and_a_member_read_by_a_few_requests(served: Server) -> None:
    with RemoteBytes(opened(served), NAME) as source:
        members = {member.name for member in read_directory(source).members}
    assert members == set(MEMBERS)
    asked = served.asked("/api/access/datafile/1")
    assert len(asked) <= 3
    assert sum(seen.range_end - seen.range_start for seen in asked) < len(ZIP) / 4


def test_a_member_of_a_zip_has_a_url_of_its_own(served: Server) -> None:
    name, data = next(iter(MEMBERS.items()))
    with fsspec.open(f"zip://{name}::{url(served)}") as file:
        assert file.read() == data
    assert len(fsspec.core.url_to_fs(f"zip://::{url(served)}")[0].find("")) == len(MEMBERS)
    assert len(served.asked("/api/access/datafile/1")) <= 2


def test_a_field_of_a_zip_of_the_published_size_moves_little_more_than_its_own_bytes(served: Server) -> None:
    channels = ("red", "green", "blue", "yellow")
    fields = [f"B2AI_{plate}_Paclitaxel_A1_R{region}_z01" for plate in range(1, 6) for region in range(884)]
    large = LargeZip(f"paclitaxel/{colour}/{field}_{colour}.jpg" for colour in channels for field in fields)
    assert len(large) > 4.9e9
    version = {"versionNumber": 2, "versionMinorNumber": 1, "datasetPersistentId": DOI, "versionState": "RELEASED"}
    files = [published(1, NAME, ZIP, filesize=len(large))]
    served.on(f"{VERSIONS}/2.1", as_json({"status": "OK", "data": {**version, "files": files}}))
    served.on("/api/access/datafile/1", whole(large))

    def read(field: str) -> tuple[int, int]:
        before = len(served.asked("/api/access/datafile/1"))
        for colour in channels:
            with fsspec.open(f"zip://paclitaxel/{colour}/{field}_{colour}.jpg::{url(served)}") as file:
                assert file.read() == IMAGE
        asked = served.asked("/api/access/datafile/1")[before:]
        return len(asked), sum(seen.range_end - seen.range_start for seen in asked)

    requests, moved = read(fields[2000])
    assert requests <= 6, "end, directory, four images"
    assert moved < large.directory_size + 66 * 1024 + 4 * (len(IMAGE) + 200)
    requests, moved = read(fields[77])
    assert requests == 4
    assert moved < 1.13e6, "one field is 1.12 MB"


def test_files_read_like_files(served: Server) -> None:
    with fsspec.open(url(served, "Images/deep/notes%20with%20blanks.txt"), "rb", block_size=10_000) as file:
        file.seek(250_000)
        assert file.read(20_000) == DATA[250_000:270_000]
        assert file.read() == DATA[270_000:]
        file.seek(0)
        assert file.read() == DATA


def test_a_file_is_fetched_whole_and_verified(served: Server, tmp_path: Path) -> None:
    target = tmp_path / "there" / "x.zip"
    opened(served).get(NAME, str(target))
    assert target.read_bytes() == ZIP
    assert served.asked("/api/access/datafile/1")[0].query == {}
    assert [path.name for path in target.parent.iterdir()] == ["x.zip"]
    assert not list((tmp_path / "scratch").glob("*.*"))


def test_a_folder_is_fetched_with_what_is_in_it(served: Server, tmp_path: Path) -> None:
    opened(served).get("Images", str(tmp_path / "images"), recursive=True)
    assert (tmp_path / "images/deep/notes with blanks.txt").read_bytes() == DATA


def test_wrong_bytes_do_not_get_their_name(served: Server, tmp_path: Path) -> None:
    served.on("/api/access/datafile/1", whole(b"x" * len(ZIP)))
    with pytest.raises(DigestMismatchError):
        opened(served).get_file(NAME, str(tmp_path / "x.zip"))
    assert not (tmp_path / "x.zip").exists()


def test_what_may_not_be_had_says_why(served: Server, tmp_path: Path) -> None:
    fs = opened(served)
    with pytest.raises(AccessDeniedError, match="embargoed until 2999-01-01"):
        fs.get_file("cm4ai_release_metadata.zip", str(tmp_path / "x"))
    for read in (lambda path: fs.cat_file(path, 0, 10), fs.open):
        with pytest.raises(AccessDeniedError, match="embargoed until 2999-01-01"):
            read("cm4ai_release_metadata.zip")
    assert not served.asked("/api/access/datafile/3"), "what is known to be refused is not asked for"
    served.on("/api/access/datafile/1", refused("error_403_file_access.json", 403))
    with pytest.raises(AccessDeniedError, match="public by the archive's listing and refused by its download"):
        fs.cat_file(NAME, 0, 10)


def test_a_cut_read_is_asked_for_again(served: Server) -> None:
    served.on("/api/access/datafile/1", cut(ZIP, 100), whole(ZIP))
    assert opened(served).cat_file(NAME, 0, 2000) == ZIP[:2000]


def test_a_server_without_ranges_says_so(served: Server) -> None:
    served.on("/api/access/datafile/1", ignoring_range(ZIP))
    with pytest.raises(RangeError, match="cannot be read in parts"):
        opened(served).cat_file(NAME, 100, 200)


def test_the_latest_version_is_pinned_once(served: Server) -> None:
    fs, path = fsspec.core.url_to_fs(url(served, version=None))
    assert fs.version == "2.1"
    assert fs.unstrip_protocol(path) == url(served)
    served.on(VERSIONS, as_json({"status": "OK", "data": []}))
    assert pickle.loads(pickle.dumps(fs)).version == "2.1"
    with pytest.raises(NotFoundError, match="has no released version"):
        DataverseFileSystem(served.url.removeprefix("http://"), DOI, skip_instance_cache=True)


def test_one_instance_per_dataset_and_version(served: Server) -> None:
    assert opened(served) is opened(served)
    assert opened(served) is not fsspec.core.url_to_fs(url(served, version=None))[0]
    assert fsspec.core.url_to_fs(f"cm4ai+{url(served)}")[1] == NAME


@pytest.mark.parametrize(
    "bad", ["dataverse://host/x", "dataverse:///x?persistentId=doi:1", "dataverse://u:p@h/x?persistentId=1"]
)
def test_urls_that_name_nothing(bad: str) -> None:
    with pytest.raises(ProtocolError, match="does not name a file of a Dataverse"):
        fsspec.core.url_to_fs(bad)


def test_nothing_is_written(served: Server, tmp_path: Path) -> None:
    fs = opened(served)
    (tmp_path / "x").write_bytes(b"x")
    for write in (
        lambda: fs.open(NAME, "wb"), lambda: fs.pipe_file("a", b""), lambda: fs.rm(NAME), lambda: fs.mkdir("a"),
        lambda: fs.makedirs("a"), lambda: fs.put_file(str(tmp_path / "x"), "a"), lambda: fs.mv(NAME, "a"),
        lambda: fs.touch("a"), lambda: fs.cp_file(NAME, "a"), lambda: fs.rmdir("Images"),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError, match="can only be read"):
            write()
    assert {seen.method for seen in served.log} <= {"GET"}


def test_the_token_of_another_archive_is_not_used(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAVERSE_API_TOKEN", "s3cret")
    opened(served).cat_file(NAME, 0, 1)
    assert "x-dataverse-key" not in served.log[-1].headers
    monkeypatch.setenv("CM4AI_DATAVERSE_URL", served.url)
    DataverseFileSystem.clear_instance_cache()
    fs = opened(served)
    fs.cat_file(NAME, 0, 1)
    assert served.log[-1].headers["x-dataverse-key"] == "s3cret"
    assert b"s3cret" not in pickle.dumps(fs)
    assert "s3cret" not in f"{fs!r} {fs.to_json()} {json.dumps(fs.storage_options)}"


def test_a_whole_release_lists(archive: Server) -> None:
    archive.on(f"{VERSIONS}/2.1", body(200, fixture("version_2.1_TWIN25_6.6.json")))
    fs = opened(archive)
    assert len(fs.find("")) == len(PUBLISHED)
    assert fs.du("") == TOTAL_SIZE
    assert fs.info("Images/cm4ai_ifimages_MDA-MB-468_untreated.zip")["size"] == IMAGES[1].size


def test_46_odd_names_stand_under_safe_ones_and_a_copy_stays_in_its_folder(archive: Server, tmp_path: Path) -> None:
    odd = [published(4, "a/..", DATA), published(5, "Data.csv", DATA), published(6, "data.csv", DATA)]
    version = {"versionNumber": 3, "versionMinorNumber": 0, "versionState": "RELEASED", "files": odd}
    archive.on(f"{VERSIONS}/3.0", as_json({"status": "OK", "data": version}))
    for number in (4, 5, 6):
        archive.on(f"/api/access/datafile/{number}", whole(DATA))
    host = archive.url.removeprefix("http://")
    fs = fsspec.filesystem("dataverse", host=host, persistent_id=DOI, version="3.0")
    assert sorted(fs.find("")) == ["renamed/4", "renamed/5.csv", "renamed/6.csv"]
    fs.get("renamed/4", str(tmp_path / "out" / "renamed" / "4"))
    assert (tmp_path / "out" / "renamed" / "4").read_bytes() == DATA
