"""What a release delivers: every table, store and document, with its files, digests, licence and the run that made it.

Belongs here: that one inventory, which every description of a release is built from. Does not belong here: what a
release refers to (`references`, which this follows), and the published files behind it (`published`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cm4ai_assets import tables
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.heavy import pa, pq
from cm4ai_assets.references import Kind, Reference, references
from cm4ai_assets.storage import documents, layout
from cm4ai_assets.storage.digests import listing_digest
from cm4ai_assets.storage.file_digests import Files
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Making, Makings
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables import Table

_STORES = {Kind.TENSOR: "if_tensors", Kind.NUCLEI: "if_cells", Kind.PROFILES: "perturb_targets"}
"""Stores that readers open, and the table whose rows lead to each."""

_ORDER = (Kind.TABLE, *_STORES, Kind.DOCUMENT)
_CREDIT = ("doi", "version", "license", "article")


@dataclass(frozen=True)
class DeliveredFile:
    """One file: its path relative to the storage root, its SHA-256 and its bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Delivered:
    """One table, store or document of a release.

    Attributes:
        kind: What it is.
        name: The asset.
        path: Its file or folder, relative to the storage root; of a document the folder of its published version.
        partition: Where it stands: what was made from the same bytes for another release stands under that.
        group: Its group in the catalog.
        files: Its files, sorted, as they were recorded when it was published.
        digest: SHA-256 of the file, or of the folder (`digests.listing_digest`).
        rows: Rows of a table; None otherwise.
        credit: Dataset, version and licence, as the file itself states them (`updates.credit`); those of a store are
            its table's. A document has none.
        making: The run that made it; None where none is recorded.
    """

    kind: Kind
    name: str
    path: str
    partition: Partition
    group: str
    files: tuple[DeliveredFile, ...]
    digest: str
    rows: int | None
    credit: Mapping[str, str]
    making: Making | None

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    @property
    def table(self) -> Table | None:
        """The description of a table; None for a store or document."""
        return tables.table(self.name) if self.kind is Kind.TABLE else None


def delivered(store: Store, release: str) -> tuple[Delivered, ...]:
    """Everything that a release delivers, sorted: tables, then stores, then documents.

    Raises:
        StoredBytesDamagedError: A table or a record is not what was published.
    """
    found = [_delivered(store, one) for one in references(store, release) if one.kind in _ORDER]
    return tuple(sorted(found, key=lambda one: (_ORDER.index(one.kind), one.name, str(one.partition), one.path)))


def _delivered(store: Store, found: Reference) -> Delivered:
    if found.kind is Kind.DOCUMENT:
        return _document(store, found)
    name = _STORES.get(found.kind, found.name)
    files = recorded_files(store, found.path)
    digest = folder_digest(files)
    rows, credit = _footer(store, layout.table_path(tables.table(name), found.partition))
    return Delivered(
        kind=found.kind,
        name=name,
        path=found.path,
        partition=found.partition,
        group=tables.group_of(name),
        files=tuple(_in(found.path, files)),
        digest=digest,
        rows=rows if found.kind is Kind.TABLE else None,
        credit=credit,
        making=Makings(store).of(found.path, digest),
    )


def _document(store: Store, found: Reference) -> Delivered:
    published = documents.read_current(store, found.path)
    return Delivered(
        kind=found.kind,
        name=found.name,
        path=published.folder,
        partition=found.partition,
        group=tables.group_of(found.name),
        files=tuple(DeliveredFile(f"{published.folder}/{n}", f.sha256, f.size) for n, f in published.files.items()),
        digest=published.digest,
        rows=None,
        credit={},
        making=Makings(store).of(found.path, published.digest),
    )


def recorded_files(store: Store, path: str) -> Files:
    """What was recorded of a published file or folder; what stands there where no record decides."""
    recorded = store.digests.read(path)
    return store.digests.present(path) if recorded is None or recorded.before is not None else recorded.files


def folder_digest(files: Files) -> str:
    """The digest of what is recorded of a path: of the file itself, or of the folder."""
    single = files.get("")
    return single.sha256 if single is not None else listing_digest({name: one.sha256 for name, one in files.items()})


def _in(path: str, files: Files) -> Iterator[DeliveredFile]:
    for name, file in sorted(files.items()):
        yield DeliveredFile(f"{path}/{name}".rstrip("/"), file.sha256, file.size)


def _footer(store: Store, path: str) -> tuple[int, Mapping[str, str]]:
    """The number of rows of a table's file, and the dataset, version and licence that it states."""
    try:
        with store.fs.open(store.address(path), "rb") as file:
            footer = pq.read_metadata(file)
    except pa.ArrowInvalid as error:
        raise StoredBytesDamagedError(
            f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}",
            remedy=f"Run `cm4ai withdraw {path}`, then materialize it again.",
        ) from error
    stated = {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}
    return footer.num_rows, {key: stated[key] for key in _CREDIT if key in stated}
