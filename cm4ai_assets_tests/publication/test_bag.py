"""BagIt around a payload: tag files by the RFC, and damage found by reading."""

import hashlib
from pathlib import Path

import pytest

from cm4ai_assets.publication.bag import damage, manifest, tag_files
from cm4ai_assets.storage.file_digests import FileDigest

CONTENT = {"data/a.txt": b"one", "data/sub/b 100%.txt": b"", "data/zz.bin": bytes(1000)}
FILES = {name: FileDigest(hashlib.sha256(data).hexdigest(), len(data)) for name, data in CONTENT.items()}


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    for name, data in CONTENT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_the_tag_files_count_and_close_the_payload() -> None:
    tags = tag_files(FILES, {"External-Identifier": "doi:10.5072/FK2/X", "External-Description": "word " * 40})
    assert list(tags) == ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
    info = tags["bag-info.txt"].decode()
    assert "Payload-Oxum: 1003.3\n" in info
    assert "External-Identifier: doi:10.5072/FK2/X\n" in info
    assert all(len(line) <= 79 for line in info.splitlines())
    folded = info.split("Payload-Oxum")[0].splitlines()[1:]
    assert all(line.startswith((" ", "External-Description:")) for line in folded)
    listed = dict(line.split("  ", 1)[::-1] for line in tags["tagmanifest-sha256.txt"].decode().splitlines())
    assert listed == {name: hashlib.sha256(tags[name]).hexdigest() for name in list(tags)[:3]}


def test_a_name_with_a_line_break_does_not_break_the_manifest() -> None:
    one = FileDigest("0" * 64, 1)
    assert manifest({"data/a\nb%0A": one}) == f"{'0' * 64}  data/a%0Ab%250A\n".encode()


def test_what_is_whole_has_no_damage_and_each_byte_is_read(bag: Path) -> None:
    read = list[int]()
    assert damage(bag, FILES, read.append) == []
    assert sum(read) == 1003


def test_missing_altered_and_foreign_files_are_named(bag: Path) -> None:
    (bag / "data/a.txt").write_bytes(b"onE")
    (bag / "data/zz.bin").unlink()
    (bag / "data/mine").write_bytes(b"x")
    assert damage(bag, FILES) == [
        "data/zz.bin is missing", "data/mine does not belong to it", "data/a.txt was altered",
    ]  # fmt: skip
