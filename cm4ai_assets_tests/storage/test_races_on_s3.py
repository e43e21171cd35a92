"""Two writers of the same thing at once, on an object store: for every kind of thing that is published.

What docs/decisions/0039 says of each kind: a conditional write, or the last object completes it. Both writers are held
at the decisive request until the other has come to it, too.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import DigestMismatchError
from cm4ai_assets.software import Software
from cm4ai_assets.storage import documents, layout
from cm4ai_assets.storage.absences import Absences
from cm4ai_assets.storage.blob_index import Blob
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.file_digests import FileDigest, Recorded
from cm4ai_assets.storage.identity import ensure_storage_id, storage_id
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.storage.verified_dates import VerifiedDates
from cm4ai_assets.tables import Document
from cm4ai_assets_tests.storage.s3 import Fault, WatchedServer, before, watched_s3_server

pytest.importorskip("moto", reason="moto[server] is not installed (extra: dev)")
pytest.importorskip("s3fs", reason="s3fs is not installed (extra: s3)")

RELEASE = Partition("2025-06-v2.1")
CELLS = Partition("2025-06-v2.1", Condition.UNTREATED)
TABLE = f"tables/if_fields/release={RELEASE.release}/condition=untreated/data.parquet"
PAGE = Document("page", "A page.", entry="a.txt")
ENVIRONMENT, SOURCE = b"numpy==2.1\n", b"a ZIP"
WRITERS = ("one", "other")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, WatchedServer]]:
    with watched_s3_server() as (url, server):
        yield url, server


@pytest.fixture
def server(served: tuple[str, WatchedServer]) -> Iterator[WatchedServer]:
    yield served[1]
    served[1].faults.clear()


@pytest.fixture
def store(served: tuple[str, WatchedServer], tmp_path: Path) -> Store:
    return another(f"{served[0]}/{tmp_path.name}", tmp_path)


def another(url: str, folder: Path) -> Store:
    return Store(url, scratch=folder / "scratch")


def meeting(where: str) -> Fault:
    """Both writers' first request that matches waits for the other's, or a moment."""
    barrier = threading.Barrier(2)

    def wait() -> None:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(1)

    first, second = before(wait, where=where, number=1), before(wait, where=where, number=2)

    def fault(*request: object) -> None:
        first(*request)  # type: ignore[arg-type]
        second(*request)  # type: ignore[arg-type]

    return fault


def source(store: Store, data: bytes) -> Path:
    """A file with these bytes, beside the store's scratch folder."""
    path = Path(store.staging._base).parent.parent / f"{hashlib.sha256(data).hexdigest()[:8]}-{threading.get_ident()}"
    path.write_bytes(data)
    return path


@dataclass(frozen=True)
class Kind:
    """A kind of published thing: where its writers meet, how one writes, what is wrong then."""

    meets: str
    write: Callable[[Store, str], object]
    problems: Callable[[Store], list[str]]


def tree(path: str) -> Kind:
    """A store of shards: of both writers the same, but for what the metadata say of their origin."""

    def write(store: Store, text: str) -> None:
        with store.staging.folder() as folder:
            (folder / "made" / "image" / "c").mkdir(parents=True)
            (folder / "made" / "image" / "c" / "0").write_bytes(b"a shard")
            (folder / "made" / "zarr.json").write_text(json.dumps({"first_published_in": text}))
            store.publish_tree(folder / "made", path, last="zarr.json")

    def problems(store: Store) -> list[str]:
        stated = json.loads(store.read(f"{path}/zarr.json"))["first_published_in"]
        absent = [] if store.read(f"{path}/image/c/0") == b"a shard" and stated in WRITERS else ["it is not whole"]
        return absent + store.digests.damage(path)

    return Kind(f"PUT .*{path}/zarr.json", write, problems)


def file(path: str) -> Kind:
    """One file, whose writers may have made different ones."""

    def write(store: Store, text: str) -> None:
        store.publish_file(source(store, text.encode()), path)

    def problems(store: Store) -> list[str]:
        is_whole = store.read(path) in {text.encode() for text in WRITERS}
        return ([] if is_whole else ["it is not whole"]) + store.digests.damage(path)

    return Kind(f"PUT .*/{path}$", write, problems)


def _blob(store: Store, _: str) -> None:
    data = b"published bytes" * 10_000
    blobs = BlobStore(store.fs, store.root)
    blobs.add(source(store, data), hashlib.sha256(data).hexdigest(), {"MD5": hashlib.md5(data).hexdigest()})


def _blob_problems(store: Store) -> list[str]:
    blobs = BlobStore(store.fs, store.root)
    (sha256,) = blobs.all()
    return blobs.index_problems() + ([] if blobs.verify(sha256) and blobs.recorded_blocks(sha256) else ["no blocks"])


def _document(store: Store, text: str) -> None:
    with store.stage_document(PAGE, RELEASE, {"a.txt": text.encode(), "b.txt": b"the same"}) as staged:
        store.publish_document(staged)


def _document_problems(store: Store) -> list[str]:
    return documents.damage(store, store.document(PAGE, RELEASE))


def _making(store: Store, text: str) -> None:
    now = datetime.now(UTC)
    ran = Software("1", None, None, "3.11", _digest(ENVIRONMENT).sha256, "x86_64", "Linux", _digest(SOURCE).sha256)
    making = Making(TABLE, "d" * 64, "if_fields", RELEASE.release, None, text, "1", now, now, ran, ())
    Makings(store).note(making, ENVIRONMENT.decode(), SOURCE)


def _making_problems(store: Store) -> list[str]:
    making = Makings(store).of(TABLE)
    kept = making is not None and Makings(store).environment(making.software.environment) == ENVIRONMENT.decode()
    return [] if kept and making is not None and making.run_id in WRITERS else ["the record is not whole"]


KINDS = {
    "blob": Kind("PUT .*blobs/sha256/", _blob, _blob_problems),
    "blob index": Kind("PUT .*blobs/index/md5/", _blob, _blob_problems),
    "blob blocks": Kind("PUT .*blobs/blocks/", _blob, _blob_problems),
    "tensor": tree(layout.tensor_path("ab-1024-v2")),
    "nuclei": tree(layout.nuclei_path("ab-1024-v2-s1")),
    "profiles": tree(layout.profiles_path("ab-v1")),
    "level": tree(layout.level_path("ab-1024-v2", 256)),
    "statistics": file(layout.statistics_path("ab-1024-v2")),
    "table": file(TABLE),
    "document": Kind("PUT .*/CURRENT", _document, _document_problems),
    "making": Kind("PUT .*registry/makings", _making, _making_problems),
    "environment": Kind("PUT .*registry/environments", _making, _making_problems),
    "software": Kind("PUT .*registry/software", _making, _making_problems),
    "absence": Kind(
        "PUT .*registry/absences",
        lambda store, text: Absences(store).note("if_fields", CELLS, text),
        lambda s: [] if (a := Absences(s).find("if_fields", CELLS)) and a.reason in WRITERS else ["not whole"],
    ),
    "verified date": Kind(
        "PUT .*registry/verified",
        lambda store, _: VerifiedDates(store.fs, store.root).note(TABLE),
        lambda store: [] if VerifiedDates(store.fs, store.root).last(TABLE) else ["not whole"],
    ),
}
"""Of these the last writer may win; of `CREATED` the first one does."""


@pytest.mark.parametrize("name", KINDS)
def test_what_two_write_at_once_is_whole(store: Store, server: WatchedServer, tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    server.faults.append(meeting(kind.meets))
    stores = [another(store.url, tmp_path) for _ in WRITERS]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(kind.write, stores, WRITERS))
    assert kind.problems(store) == []
    assert store.fs.list_multipart_uploads(store.root.split("/")[0]) == []


def _created(store: Store, text: str) -> str:
    store.create(text.encode(), layout.release_path("2025-06-v2.1"))
    return text


def _first_used(store: Store, text: str) -> str:
    blob = Blob(hashlib.sha256(text.encode()).hexdigest(), len(text))
    BlobStore(store.fs, store.root).index.note_first_use("doi:x 1", blob, locks=Path(store.staging._base))
    return text


CREATED: dict[str, tuple[str, Callable[[Store, str], str], Callable[[Store, str], bool]]] = {
    "release record": (
        "PUT .*registry/releases",
        _created,
        lambda store, text: store.read(layout.release_path("2025-06-v2.1")) == text.encode(),
    ),
    "first use": (
        "PUT .*blobs/index/first_use",
        _first_used,
        lambda store, text: (
            (blob := BlobStore(store.fs, store.root).index.first_use("doi:x 1")) is not None
            and blob.sha256 == hashlib.sha256(text.encode()).hexdigest()
        ),
    ),
}


@pytest.mark.parametrize("name", CREATED)
def test_of_two_that_create_at_once_one_does(store: Store, server: WatchedServer, tmp_path: Path, name: str) -> None:
    meets, create, stands = CREATED[name]
    server.faults.append(meeting(meets))
    stores = [another(store.url, tmp_path) for _ in WRITERS]
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(create, *writer) for writer in zip(stores, WRITERS, strict=True)]
        errors = [one.exception() for one in done]
    refused = [error for error in errors if error is not None]
    assert [type(error) for error in refused] in ([FileExistsError], [DigestMismatchError])
    (winner,) = [text for text, error in zip(WRITERS, errors, strict=True) if error is None]
    assert stands(store, winner)


def test_a_storage_gets_one_id(store: Store, server: WatchedServer, tmp_path: Path) -> None:
    server.faults.append(meeting("PUT .*storage.json"))
    stores = [another(store.url, tmp_path) for _ in WRITERS]
    with ThreadPoolExecutor(2) as threads:
        assert set(threads.map(ensure_storage_id, stores)) == {storage_id(store)}


def test_a_record_that_is_late_does_not_cover_anothers(store: Store, server: WatchedServer, tmp_path: Path) -> None:
    """The other publishes wholly between this one's file and the last word of its record."""
    kind, other = KINDS["table"], another(store.url, tmp_path)
    server.faults.append(before(lambda: kind.write(other, "other"), where="PUT .*registry/sha256/tables", number=2))
    kind.write(store, "one")
    assert store.read(TABLE) == b"other"
    assert store.digests.damage(TABLE) == []
    assert store.digests.read(TABLE) == Recorded({"": _digest(b"other")})


def test_what_another_has_begun_stays_in_the_record(store: Store, server: WatchedServer, tmp_path: Path) -> None:
    """The other has recorded what it is about to place, and places it after this one is done, or dies before."""
    kind, other = KINDS["table"], another(store.url, tmp_path)
    begun = Recorded({"": _digest(b"other")}, {})
    server.faults.append(before(lambda: other.digests._write(TABLE, begun), where="PUT .*registry/sha256", number=2))
    kind.write(store, "one")
    assert store.digests.read(TABLE) == replace(begun, before={"": _digest(b"one")})
    assert store.digests.damage(TABLE) == []
    other.staging.publish_bytes(b"other", TABLE)
    assert store.digests.damage(TABLE) == []


def test_a_version_that_another_has_just_published_is_not_cleared_away(
    store: Store, server: WatchedServer, tmp_path: Path
) -> None:
    other = another(store.url, tmp_path)
    listing = f"LIST .*{PAGE.name}/release={RELEASE.release}$"
    server.faults.append(before(lambda: _document(other, "other"), where=listing))
    _document(store, "one")
    assert store.read(store.document(PAGE, RELEASE).entry) == b"other"
    assert _document_problems(store) == []


def test_a_store_that_lost_a_part_is_mended_while_another_mends_it(
    store: Store, server: WatchedServer, tmp_path: Path
) -> None:
    """Neither takes away what the other has uploaded: readers find a whole store from the first that is done."""
    path = layout.tensor_path("ab-1024-v2")
    kind = tree(path)
    kind.write(store, "one")
    store.fs.rm_file(store.address(f"{path}/image/c/0"))
    store.staging.publish_bytes(b"stray", f"{path}/image/c/1")

    def mend(into: Store) -> None:
        made = tmp_path / f"made-{id(into)}"
        (made / "image" / "c").mkdir(parents=True)
        (made / "image" / "c" / "0").write_bytes(b"a shard")
        (made / "zarr.json").write_text(json.dumps({"first_published_in": "one"}))
        into.publish_tree(made, path, last="zarr.json", replace=True)
        assert kind.problems(into) == []

    seen: list[list[str]] = []

    def look() -> None:
        try:
            seen.append(kind.problems(store))
        except FileNotFoundError as error:
            seen.append([str(error)])

    other = another(store.url, tmp_path)
    # The other is done before this one changes anything, and a reader comes when this one uploads its first shard.
    server.faults += [
        before(lambda: mend(other), where="(DELETE|PUT) "),
        before(look, where=f"PUT .*{path}/image/c/0", number=2),
    ]
    mend(store)
    assert seen == [[]]
    assert kind.problems(store) == []


def _digest(data: bytes) -> FileDigest:
    return FileDigest(hashlib.sha256(data).hexdigest(), len(data))
