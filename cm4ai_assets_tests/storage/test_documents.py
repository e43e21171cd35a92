"""Documents are published as tables are: staged, audited, switched in one step, on any filesystem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cm4ai_assets.errors import DocumentError, NotMaterializedError, ReleaseKeyError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.storage import documents
from cm4ai_assets.storage.documents import PublishedDocument, problems_of
from cm4ai_assets.storage.layout import CURRENT, Partition, document_folder, document_partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Document
from cm4ai_assets_tests.storage.filesystems import PlainRemote

WHERE = Partition("2025-06-v2.1")
REPORT = Document("report", "A report.", entry="index.html")
PAGE = b'<!DOCTYPE html><html><img src="figures/a.svg"><a href="https://example.org/x">x</a><a href="#top">y</a></html>'
FILES = {"index.html": PAGE, "figures/a.svg": b"<svg/>", "about.json": b"{}"}
OTHER = {**FILES, "figures/a.svg": b"<svg>new</svg>", "more.txt": b"more"}


@pytest.fixture(params=["local", "memory", "plainremote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = str(tmp_path / "storage") if request.param == "local" else f"{request.param}://{tmp_path.name}"
    PlainRemote.reset()
    yield Store(url, scratch=tmp_path / "scratch")
    PlainRemote.reset()


def publish(store: Store, files: dict[str, bytes]) -> PublishedDocument:
    with store.stage_document(REPORT, WHERE, files) as staged:
        return store.publish_document(staged)


def read(store: Store) -> dict[str, bytes]:
    published = store.document(REPORT, WHERE)
    return {name: store.read(f"{published.folder}/{name}") for name in published.files}


def test_what_was_published_is_read_back(store: Store) -> None:
    assert not store.has_document(REPORT, WHERE)
    with pytest.raises(NotMaterializedError, match=r"report is not materialized for 2025-06-v2\.1"):
        store.document(REPORT, WHERE)
    published = publish(store, FILES)
    assert published.entry.startswith("documents/report/release=2025-06-v2.1/")
    assert published.entry.endswith("/index.html")
    assert store.document(REPORT, WHERE) == published
    assert read(store) == FILES
    assert store.published_documents() == [("report", WHERE)]
    assert documents.damage(store, published) == []


def test_a_staged_document_is_invisible_and_gone_if_not_published(store: Store) -> None:
    publish(store, FILES)
    before = store.find("documents")
    with store.stage_document(REPORT, WHERE, OTHER):
        assert read(store) == FILES
        assert store.find("documents") == before
    assert read(store) == FILES


def test_a_replaced_document_is_all_new_and_the_version_before_stays_for_its_readers(store: Store) -> None:
    first = publish(store, FILES)
    second = publish(store, OTHER)
    assert read(store) == OTHER
    assert store.read(first.entry) == PAGE
    publish(store, {"index.html": PAGE.replace(b"figures/a.svg", b"a.svg"), "a.svg": b"<svg/>"})
    with pytest.raises(FileNotFoundError):
        store.read(first.entry)
    assert store.read(second.entry) == PAGE
    assert len(store.children(document_folder(REPORT, WHERE))) == 3


def test_the_same_files_are_the_same_version(store: Store) -> None:
    first = publish(store, FILES)
    assert publish(store, FILES) == first
    assert len(store.find("documents")) == 1 + len(FILES)


@pytest.mark.parametrize("uploads", [0, 1, 2])
def test_an_interrupted_upload_leaves_the_old_version_and_the_next_run_clears_up(tmp_path: Path, uploads: int) -> None:
    store = Store(f"plainremote://{tmp_path.name}", scratch=tmp_path / "scratch")
    publish(store, FILES)
    PlainRemote.reset(fail_after=uploads)
    with pytest.raises(OSError, match="broke off"):
        publish(store, OTHER)
    PlainRemote.reset()
    assert read(store) == FILES
    publish(store, OTHER)
    assert read(store) == OTHER
    publish(store, {**FILES, "more.txt": b"yet another"})
    assert len(store.children(document_folder(REPORT, WHERE))) == 3


def test_an_interruption_before_the_switch_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(store, FILES)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store.staging, "publish_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(store, OTHER)
    assert read(store) == FILES


def test_damage_is_found_and_mended_by_publishing_again(store: Store) -> None:
    published = publish(store, FILES)
    store.fs.pipe_file(store.address(f"{published.folder}/about.json"), b"[]")
    store.remove(f"{published.folder}/figures/a.svg")
    assert documents.damage(store, published) == [
        "about.json was altered after it was published",
        "figures/a.svg is missing",
    ]
    publish(store, FILES)
    assert read(store) == FILES


@pytest.mark.parametrize("junk", [b"", b"[]", b'{"version": 1}', b"\xff"])
def test_a_damaged_record_is_an_error_with_a_remedy_and_can_be_replaced(store: Store, junk: bytes) -> None:
    publish(store, FILES)
    store.fs.pipe_file(store.address(f"{document_folder(REPORT, WHERE)}/{CURRENT}"), junk)
    with pytest.raises(DocumentError, match="Materialize it again"):
        store.document(REPORT, WHERE)
    publish(store, FILES)
    assert read(store) == FILES


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", ".x", "a//b", "a\\b", "", "a\n", CURRENT])
def test_hostile_names_make_no_path(store: Store, name: str) -> None:
    with pytest.raises(DocumentError), store.stage_document(REPORT, WHERE, {name: b"x"}):
        pytest.fail("staged")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"other.html": PAGE}, "there is no index.html"),
        ({**FILES, "about.json": b""}, "about.json: is empty"),
        ({**FILES, "about.json": b'{"a": '}, "about.json: cannot be read"),
        ({**FILES, "about.jsonld": b"{'a': 1}"}, "about.jsonld: cannot be read"),
        ({**FILES, "index.html": PAGE[:-7]}, "index.html: is cut"),
        ({**FILES, "index.html": b"\xff" + PAGE}, "index.html: cannot be read"),
        ({**FILES, "index.html": PAGE[15:]}, "index.html: has no <!doctype html>"),
        ({"index.html": PAGE}, "index.html: links to figures/a.svg, which is not there"),
    ],
)
def test_each_kind_of_unsound_document_is_named(files: dict[str, bytes], problem: str) -> None:
    assert any(found.startswith(problem) for found in problems_of(REPORT, files))


def test_a_sound_document_has_no_problems() -> None:
    assert problems_of(REPORT, FILES) == []
    nested = {"index.html": PAGE, "figures/a.svg": b"<svg/>", "more/b.html": PAGE, "more/figures/a.svg": b"<svg/>"}
    assert problems_of(REPORT, nested) == []


def test_paths_and_partitions_are_inverse() -> None:
    assert document_partition(f"/root/{document_folder(REPORT, WHERE)}/{CURRENT}") == ("report", WHERE)
    alone = Document("page", "A page.", entry="index.html", partitioning=Partitioning.NONE)
    assert document_partition(f"{document_folder(alone, Partition())}/{CURRENT}") == ("page", Partition())
    with pytest.raises(ReleaseKeyError):
        document_folder(REPORT, Partition(".."))
