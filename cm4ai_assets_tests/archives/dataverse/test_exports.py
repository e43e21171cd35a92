"""A lock in the forms of other tools, tried with those tools where they are at hand, and as a folder of files."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cm4ai_assets.archives.dataverse import exports
from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets_tests.transfer.bench import DATA, FILE, SIZE, files_below, locked, md5, sha256
from cm4ai_assets_tests.transfer.server import Server, whole

ARCHIVE = "https://dataverse.lib.virginia.edu"
PLAIN = locked(directory="Images and more", label="a b's.zip", file_id=1)
TABLE = locked(directory="", label="t.csv", file_id=2, is_ingested=True, digest_type="SHA-1", digest="ab" * 20)
BARE = locked(directory="d", label="bare.bin", file_id=3, digest_type=None, digest=None, size=None)
CLOSED = locked(directory="d", label="closed.bin", file_id=4, access="restricted")
FILES = [PLAIN, TABLE, BARE, CLOSED]


def test_sums_of_one_kind() -> None:
    assert exports.published_sums(FILES, "MD5") == (
        f"{md5(DATA)}  Images and more/a b's.zip\n"
        "# not published: t.csv\n# not published: d/bare.bin\n"
        f"{md5(DATA)}  d/closed.bin\n"
    )


def test_pooch_registry() -> None:
    lines = exports.pooch_registry(FILES, ARCHIVE).splitlines()
    assert [shlex.split(line, comments=True) for line in lines] == [
        ["Images and more/a b's.zip", f"md5:{md5(DATA)}", f"{ARCHIVE}/api/access/datafile/1"],
        ["t.csv", f"sha1:{'ab' * 20}", f"{ARCHIVE}/api/access/datafile/2?format=original"],
        [],
    ]


def test_aria2_input() -> None:
    assert exports.aria2_input(FILES, ARCHIVE) == (
        f"{ARCHIVE}/api/access/datafile/1\n  out=Images and more/a b's.zip\n  checksum=md5={md5(DATA)}\n"
        f"{ARCHIVE}/api/access/datafile/2?format=original\n  out=t.csv\n  checksum=sha-1={'ab' * 20}\n"
        f"{ARCHIVE}/api/access/datafile/3\n  out=d/bare.bin\n"
    )


def test_metalink() -> None:
    root = ET.fromstring(exports.metalink([*FILES, locked(label='<&">.zip', file_id=5)], ARCHIVE))
    ns = f"{{{exports.METALINK}}}"
    assert [entry.get("name") for entry in root] == [
        "Images and more/a b's.zip",
        "t.csv",
        "d/bare.bin",
        'Images/<&">.zip',
    ]
    first = root[0]
    assert first.findtext(f"{ns}size") == str(SIZE)
    assert first.find(f"{ns}hash").attrib == {"type": "md5"}
    assert first.findtext(f"{ns}hash") == md5(DATA)
    assert first.findtext(f"{ns}url") == f"{ARCHIVE}/api/access/datafile/1"


def test_bagit_fetch() -> None:
    assert exports.bagit_fetch([PLAIN, BARE], ARCHIVE) == (
        f"{ARCHIVE}/api/access/datafile/1 {SIZE} data/Images and more/a b's.zip\n"
        f"{ARCHIVE}/api/access/datafile/3 - data/d/bare.bin\n"
    )


def test_42_a_renamed_release_is_linked_without_fetching(
    archive: Server, client: DataverseClient, blobs: BlobStore, scratch: Path, tmp_path: Path
) -> None:
    archive.on(FILE, whole(DATA))
    acquire(locked(), client, blobs, scratch)
    asked = len(archive.log)
    renamed = locked(label="renamed.zip", directory="Other/deep")
    for name, file in (("v2.0", locked()), ("v2.1", renamed)):
        assert exports.link_tree([file, BARE], blobs, tmp_path / name) == [BARE]
    old, new = tmp_path / "v2.0" / locked().path, tmp_path / "v2.1/Other/deep/renamed.zip"
    assert new.read_bytes() == DATA
    assert old.samefile(new)
    assert new.stat().st_mode & 0o222 == 0
    assert len(archive.log) == asked
    # Again changes nothing; other files in the folder stay.
    (tmp_path / "v2.1/own.txt").write_text("mine")
    exports.link_tree([renamed], blobs, tmp_path / "v2.1")
    assert sorted(path.name for path in (tmp_path / "v2.1").rglob("*.*")) == ["own.txt", "renamed.zip"]

    sums = tmp_path / "SHA256SUMS"
    sums.write_text(exports.sha256_sums([renamed, BARE], blobs))
    assert f"{sha256(DATA)}  Other/deep/renamed.zip\n" in sums.read_text()
    checked = subprocess.run(["sha256sum", "-c", sums], cwd=tmp_path / "v2.1", capture_output=True, check=False)
    assert checked.returncode == 0, checked


@pytest.mark.parametrize("other", ["same filesystem but no links", "remote"])
def test_where_bytes_cannot_be_linked_they_are_copied(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blobs: BlobStore
) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    store = BlobStore(MemoryFileSystem(), f"/{tmp_path.name}") if other == "remote" else blobs
    store.add(source, sha256(DATA), {"MD5": md5(DATA)})

    def link(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", link)
    assert exports.link_tree([locked()], store, tmp_path / "tree") == []
    assert (tmp_path / "tree" / locked().path).read_bytes() == DATA
    assert len(list((tmp_path / "tree/Images").iterdir())) == 1


def test_46_odd_names_are_renamed_and_nothing_is_linked_outside_or_twice(blobs: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    blobs.add(source, sha256(DATA), {"MD5": md5(DATA)})
    twins = [locked(), locked(label=locked().label.upper(), file_id=9)]
    odd = [*twins, locked(label="../x", file_id=10), locked(directory="", label="a\n  out=b.csv", file_id=11)]
    assert exports.link_tree(odd, blobs, tmp_path / "tree") == []
    expected = ["renamed/10", "renamed/103725.zip", "renamed/11.csv", "renamed/9.ZIP"]
    assert files_below(tmp_path / "tree") == expected
    lines = exports.aria2_input(odd, "https://a.example").splitlines()
    assert [line.split("out=")[1] for line in lines if "out=" in line] == [
        "renamed/103725.zip", "renamed/9.ZIP", "renamed/10", "renamed/11.csv",
    ]  # fmt: skip
    for text in (
        exports.sha256_sums(odd, blobs), exports.pooch_registry(odd, "https://a.example"),
        exports.metalink(odd, "https://a.example"), exports.bagit_fetch(odd, "https://a.example"),
    ):  # fmt: skip
        assert "renamed/10" in text
        assert ".." not in text
