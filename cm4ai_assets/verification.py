"""Re-reading what is stored: every digest, every table, every chunk, against what was recorded when it was published.

Belongs here: one check per kind of stored thing, `cm4ai verify`, and the scrubbing that goes through everything in the
course of time. It repairs nothing that was published: it says what is damaged and what brings it back. Does not belong
here: what a release refers to (`references`).

A fault ends the check of one thing and never that of the next. Digests are held first: what is not what was published
is not parsed, so that damaged files meet no parser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.images.audit import array_problems
from cm4ai_assets.references import OF_RUNS, Kind, Reference, everything, references
from cm4ai_assets.storage import documents, nuclei, profiles
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.file_digests import summary
from cm4ai_assets.storage.layout import Partition, table_path
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.storage.placing import file_size
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.storage.store import Store, in_stretches
from cm4ai_assets.storage.tensors import open_array, read_record, require_complete, tensor_digest, verify_store
from cm4ai_assets.storage.verified_dates import VerifiedDates
from cm4ai_assets.tables.cells import IF_CELLS
from cm4ai_assets.tables.images import CHANNELS, IF_QUALITY
from cm4ai_assets.tables.targets import PERTURB_TARGETS

_NO_DIGEST = "published before digests were recorded: "


@dataclass(frozen=True)
class Verified:
    """One stored thing that was read again.

    Attributes:
        what: What it is, for people.
        detail: How much of it was read, and against what it was held.
        problems: Sentences; empty if it is as it was published.
        size: Bytes that were read of it.
    """

    what: str
    detail: str
    problems: tuple[str, ...]
    size: int = 0


@dataclass(frozen=True)
class _Read:
    """What the check of one kind found."""

    detail: str
    problems: list[str]
    size: int


def verify(store: Store, *, release: str | None = None) -> Iterator[Verified]:
    """Check everything that is stored, or that one release refers to; each result as it is there, each thing once."""
    unknown: list[Reference] = []

    def unreadable(reference: Reference, _: BaseException) -> None:
        unknown.append(reference)

    found = references(store, release, unreadable=unreadable) if release else everything(store, unreadable=unreadable)
    for reference in found:
        yield check(store, reference)
    for reference in dict.fromkeys(unknown):
        problem = "The table cannot be read, so this was not looked at. Bring the table back and verify again."
        yield Verified(f"what {_named(reference)} refers to", "unknown", (problem,))
    if problems := BlobStore(store.fs, store.root).index_problems():
        yield Verified("index of blobs", f"{len(problems)} entries", tuple(problems))


def scrub(store: Store, *, budget: int) -> Iterator[Verified]:
    """Check what was not verified for the longest time, until so many bytes are read; at least one thing.

    What was never verified comes first. Damage is reported at each pass, and does not keep the others waiting.
    """
    dates = VerifiedDates(store.fs, store.root)
    waiting = list(everything(store, unreadable=lambda _, __: None))
    read = 0
    for reference in sorted(waiting, key=lambda one: (dates.last(one.path) or _NEVER, one.path)):
        result = check(store, reference)
        yield result
        read += result.size
        if read >= budget:
            return


_NEVER = datetime.min.replace(tzinfo=UTC)


def check(store: Store, reference: Reference) -> Verified:
    """Read one stored thing again; what was found is noted with its date."""
    what = _named(reference)
    try:
        read = _CHECKS[reference.kind](store, reference)
        if reference.kind in OF_RUNS:
            Makings(store).of(reference.path)  # a record that was altered is an error
    except (KeyboardInterrupt, SystemExit):
        raise
    except Cm4aiError as error:
        read = _Read("unreadable", [str(error)], 0)
    except BaseException as error:  # noqa: BLE001 - whatever damage makes a library raise; polars' panics are no Exception
        cause = (str(error).splitlines() or [""])[0]
        read = _Read("unreadable", [f"{type(error).__name__}: {cause}. {_remedy(reference)}"], 0)
    VerifiedDates(store.fs, store.root).note(reference.path, damaged=bool(read.problems))
    return Verified(what, read.detail, tuple(read.problems), read.size)


def _named(reference: Reference) -> str:
    if reference.kind in {Kind.TABLE, Kind.DOCUMENT}:
        return f"{reference.kind} {reference.name} {reference.partition}"
    if reference.kind is Kind.BLOB:
        return f"{reference.kind} {_sha256(reference)[:12]}… {reference.name}"
    if reference.kind is Kind.RECORD:
        return f"{reference.kind} {reference.name}"
    return f"{reference.kind} {reference.path}"


_ASSETS = {
    Kind.TENSOR: "if_tensors",
    Kind.STATISTICS: "if_tensors",
    Kind.PROFILES: PERTURB_TARGETS.name,
    Kind.NUCLEI: IF_CELLS.name,
}
"""What makes a thing again that is no table."""


def _remedy(reference: Reference) -> str:
    if reference.kind is Kind.LEVEL:
        return f"Run `cm4ai withdraw {reference.path}`; readers average the tensor meanwhile, or store the level again."
    if reference.kind in {Kind.ENVIRONMENT, Kind.SOFTWARE}:
        return f"Run `cm4ai withdraw {reference.path}`; the next run of the same {reference.kind} writes it again."
    asset = _ASSETS.get(reference.kind, reference.name)
    return f"Run `cm4ai withdraw {reference.path}`, then materialize {asset} again."


def _altered(store: Store, reference: Reference) -> list[str]:
    """How the files under a path differ from what was published."""
    problems = store.digests.damage(reference.path)
    return [f"It {summary(problems)}. {_remedy(reference)}"] if problems else []


def _held(store: Store, reference: Reference, detail: str) -> str:
    return detail if store.digests.read(reference.path) is not None else _NO_DIGEST + detail


def _record(store: Store, reference: Reference) -> _Read:
    size = file_size(store.fs, store.address(reference.path)) or 0
    problems = _altered(store, reference)
    if not problems:
        ReleaseRegistry(store).get(reference.name)
    return _Read(_held(store, reference, f"{size:,} bytes"), problems, size)


def _table(store: Store, reference: Reference) -> _Read:
    size = file_size(store.fs, store.address(reference.path)) or 0
    if problems := _altered(store, reference):
        return _Read("not as published", problems, size)
    table = tables.table(reference.name)
    if table.is_long:
        return _long_table(store, reference, table, size)
    frame = store.table(reference.name, reference.partition).collect()
    problems = [f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in table.violations(frame)]
    problems += _misplaced(frame, reference.partition)
    return _Read(_held(store, reference, f"{frame.height:,} rows"), problems, size)


def _long_table(store: Store, reference: Reference, table: tables.Table, size: int) -> _Read:
    """See `_table`, for one that is not read as a whole."""
    rows = store.table(reference.name, reference.partition)
    misplaced: dict[str, None] = {}

    def stretches() -> Iterator[pl.DataFrame]:
        for frame in in_stretches(rows):
            misplaced.update(dict.fromkeys(_misplaced(frame, reference.partition)))
            yield frame

    problems = [f"{v.message} ({v.rows} rows, e.g. {v.sample})" for v in table.violations_in(stretches())]
    height = rows.select(pl.len()).collect().item()
    return _Read(_held(store, reference, f"{height:,} rows"), [*problems, *misplaced], size)


def _misplaced(frame: pl.DataFrame, partition: Partition) -> Iterator[str]:
    """Rows that are about another release or condition than the place in which they stand."""
    for column, wanted in (("release", partition.release), ("condition", partition.condition)):
        if wanted and column in frame.columns and (others := frame.filter(pl.col(column) != wanted)).height:
            yield f"{column} is {others[column][0]!r} in {others.height} rows of a file of {wanted}"


def _document(store: Store, reference: Reference) -> _Read:
    published = documents.read_current(store, reference.path)
    problems = documents.damage(store, published)
    detail = f"{len(published.files)} files"
    remedy = [f"Run `cm4ai withdraw {reference.path}`, then materialize {reference.name} again."] if problems else []
    return _Read(detail, problems + remedy, sum(file.size for file in published.files.values()))


def _blob(store: Store, reference: Reference) -> _Read:
    blobs, sha256 = BlobStore(store.fs, store.root), _sha256(reference)
    had_record = blobs.recorded_blocks(sha256) is not None
    blob = blobs.verify(sha256)
    problems = []
    if not had_record and blobs.needs_record(blob.size):
        problems.append("The record of its blocks was missing or altered. It has been made again: the bytes are whole.")
    return _Read(f"{blob.size:,} bytes", problems, blob.size)


def _sha256(reference: Reference) -> str:
    return reference.path.rsplit("/", 1)[-1]


def _tensor(store: Store, reference: Reference) -> _Read:
    size = store.size(reference.path)
    if problems := _altered(store, reference):
        return _Read("not as published", problems, size)
    address = store.address(reference.path)
    require_complete(store.fs, address)
    record, array = read_record(store.fs, address), open_array(store.fs, address)
    problems = list(array_problems(array, record))
    if damaged := _damaged_tables(store, reference.partition, "if_tensors", "if_quality"):
        return _Read(f"pixels not compared with {damaged}", problems, size)
    planes = _pixel_digests(store, reference.partition)
    problems += [str(found) for found in verify_store(array, planes)]
    whole = tensor_digest(digest for field in planes for digest in field)
    if whole != record.digest:
        problems.append("if_quality and the tensor's own record name different pixels.")
    stated = store.table("if_tensors", reference.partition).collect().row(0, named=True)
    if (stated["digest"], tuple(stated["shape"])) != (whole, tuple(array.shape)):
        problems.append("if_tensors and if_quality name different pixels.")
    if problems:
        problems.append(_remedy(reference))
    return _Read(_held(store, reference, f"{len(planes):,} fields"), problems, size)


def _damaged_tables(store: Store, partition: Partition, *names: str) -> str:
    """Those of some tables that are not what was published: they speak against themselves, and not against others."""
    return ", ".join(name for name in names if store.digests.damage(table_path(tables.table(name), partition)))


def _pixel_digests(store: Store, partition: Partition) -> list[list[str]]:
    """For each field of a tensor the SHA-256 of its planes, as `if_quality` states them."""
    rows = (
        store.table("if_quality", partition)
        .filter(pl.col("tensor_index").is_not_null())
        .with_columns(pl.col("channel").replace_strict({name: n for n, name in enumerate(CHANNELS)}).alias("place"))
        .sort("tensor_index", "place")
        .group_by("tensor_index", maintain_order=True)
        .agg("pixel_sha256")
        .select("pixel_sha256")
    )
    return [list(planes) for (planes,) in rows.collect().iter_rows()]


def _statistics(store: Store, reference: Reference) -> _Read:
    size = file_size(store.fs, store.address(reference.path)) or 0
    if not size:
        return _Read("missing", [f"It is missing. {_remedy(reference)}"], 0)
    if problems := _altered(store, reference):
        return _Read("not as published", problems, size)
    if damaged := _damaged_tables(store, reference.partition, IF_QUALITY.name):
        return _Read(f"not compared with {damaged}", [], size)
    rows = store.statistics(reference.path)
    release, condition = reference.partition.release, reference.partition.treatment
    placed = IF_QUALITY.place(rows, release=release, condition=condition)
    published = store.table(IF_QUALITY.name, reference.partition).collect()
    problems = [] if placed.equals(published) else [f"It is not what if_quality says. {_remedy(reference)}"]
    return _Read(_held(store, reference, f"{rows.height:,} rows"), problems, size)


def _profiles(store: Store, reference: Reference) -> _Read:
    size = store.size(reference.path)
    if problems := _altered(store, reference):
        return _Read("not as published", problems, size)
    address = store.address(reference.path)
    record = profiles.require_complete(store.fs, address)
    whole = profiles.digest_of(store.fs, address)
    problems = [] if whole == record.digest else ["Its profiles are not those that its own record names."]
    if damaged := _damaged_tables(store, reference.partition, PERTURB_TARGETS.name):
        return _Read(f"not compared with {damaged}", problems, size)
    stated = store.table(PERTURB_TARGETS.name, reference.partition).select("digest", "shape").unique().collect()
    if stated.rows() != [(whole, list(record.shape))]:
        problems.append("perturb_targets names other profiles.")
    if problems:
        problems.append(_remedy(reference))
    return _Read(_held(store, reference, f"{record.shape[0]:,} targets"), problems, size)


def _nuclei(store: Store, reference: Reference) -> _Read:
    size = store.size(reference.path)
    if problems := _altered(store, reference):
        return _Read("not as published", problems, size)
    address = store.address(reference.path)
    record = nuclei.require_complete(store.fs, address)
    fields = nuclei.read_file(store.fs, address, nuclei.FIELDS_FILE)
    problems = list(nuclei.labels_problems(nuclei.open_labels(store.fs, address), fields))
    if nuclei.fields_digest(fields) != record.digest:
        problems.append("Its fields and its own record name different labels.")
    if damaged := _damaged_tables(store, reference.partition, IF_CELLS.name):
        return _Read(f"labels not compared with {damaged}", problems, size)
    stated = store.table(IF_CELLS.name, reference.partition).collect()
    cells = nuclei.read_file(store.fs, address, nuclei.CELLS_FILE)
    if not stated.select(cells.columns).equals(cells):
        problems.append("if_cells names other nuclei.")
    if problems:
        problems.append(_remedy(reference))
    return _Read(_held(store, reference, f"{record.nuclei:,} nuclei in {record.n_fields:,} fields"), problems, size)


def _level(store: Store, reference: Reference) -> _Read:
    size = store.size(reference.path)
    if problems := _altered(store, reference):
        return _Read("not as stored", problems, size)
    require_complete(store.fs, store.address(reference.path))
    return _Read(_held(store, reference, f"{size:,} bytes"), [], size)


def _named_by_digest(store: Store, reference: Reference) -> _Read:
    """What runs had installed, or what ran: its name is its digest."""
    data = store.read(reference.path)
    name = reference.path.rsplit("/", 1)[-1].partition(".")[0]
    is_whole = name == hashlib.sha256(data).hexdigest()
    problems = [] if is_whole else [f"It was altered after it was written. {_remedy(reference)}"]
    return _Read(f"{len(data):,} bytes", problems, len(data))


_CHECKS: dict[Kind, Callable[[Store, Reference], _Read]] = {
    Kind.RECORD: _record,
    Kind.TABLE: _table,
    Kind.DOCUMENT: _document,
    Kind.BLOB: _blob,
    Kind.TENSOR: _tensor,
    Kind.STATISTICS: _statistics,
    Kind.PROFILES: _profiles,
    Kind.NUCLEI: _nuclei,
    Kind.LEVEL: _level,
    Kind.ENVIRONMENT: _named_by_digest,
    Kind.SOFTWARE: _named_by_digest,
}
