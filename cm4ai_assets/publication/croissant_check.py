"""Whether a release's Croissant says what the tables hold: records read back through mlcroissant, value by value.

Belongs here: those checks, bounded in time and memory. Does not belong here: what mlcroissant does to values
(`croissant.reading`), and how checks are shown (`defs.publication.croissant`).

mlcroissant goes through pandas, a whole file at a time, and takes some milliseconds for a record. So a short table is
read as it stands, which holds its digest against its bytes; of a long one its first and last rows are written to a file
of their own, which mlcroissant reads by the same description, and the digest of the whole file is held here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.croissant.reading import CroissantError, Loaded, comparable, load
from cm4ai_assets.croissant.words import NAME
from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.publication.croissant import record_set_of
from cm4ai_assets.publication.croissant_splits import splits_of
from cm4ai_assets.references import Kind

WHOLE: Final = 60
"""Rows up to which a table is read back whole."""
ENDS: Final = 20
"""First rows, and last rows, that are read back of a longer one."""
_SHOWN: Final = 200  # characters of a value

_NAMED: Final = 5
_EACH: Final = 10  # record sets between two lines of progress
_COLUMNS: Final = ("record set", "problem", "field", "in the table", "through mlcroissant")

Row = dict[str, str]
Progress = Callable[[str], None]
"""Called with a sentence of what was done."""


@dataclass(frozen=True)
class _Source:
    """What a record set should give.

    Attributes:
        file: Id of the file in the description.
        place: The file that mlcroissant reads.
        rows: The rows that it should give.
        whole: SHA-256 of the whole file, where `place` holds its first and last rows; else None.
    """

    file: str
    place: Path
    rows: pl.DataFrame
    whole: str | None = None


def loads(document: Mapping[str, Any]) -> Finding:
    """Loaded by mlcroissant without an error.

    Protects those who load the data with any tool that reads Croissant. Blocking: a description that nobody can load is
    never published.
    """
    try:
        loaded = load(document)
    except CroissantError as error:
        return Finding("loads", passed=False, summary=str(error))
    summary = f"{len(loaded.record_sets)} record sets, no errors."
    warned = pl.DataFrame({"warning": loaded.warnings}, schema={"warning": pl.String()})
    if loaded.warnings:
        summary = f"{summary} {len(loaded.warnings)} warnings of mlcroissant."
    counts = {"record_sets": len(loaded.record_sets), "warnings": len(loaded.warnings)}
    return Finding("loads", passed=True, summary=summary, rows=warned, counts=counts)


def records_agree(
    release: Release, delivery: Sequence[Delivered], files: Mapping[str, bytes], progress: Progress = lambda _: None
) -> Finding:
    """Records of every record set, read back through mlcroissant, are the rows of the tables, value by value.

    Each table's file has to be the one that is described, too. Protects from a description that was right when it was
    written and is not any more. It warns: what reads back is a matter of mlcroissant's version, and of the tables as
    they stand now; what is wrong with the description itself, `loads` says.
    """
    document = json.loads(files[NAME])
    with release.store.staging.folder() as folder:
        sources = dict(_sources(release, delivery, files, folder))
        wrong = [*_other_files(document, sources), *_other_sets(document, sources)]
        read = [one for one in sources.values() if one.file in _listed(document)]
        ends = {one.file: _digest(one.place) for one in read if one.whole is not None}
        try:
            loaded = load(document, {one.file: one.place for one in read}, ends)
        except CroissantError as error:
            return Finding("records_agree", passed=False, summary=str(error))
        compared = [name for name in loaded.record_sets if name in sources]
        for number, name in enumerate(compared, 1):
            wrong += _differences(loaded, name, sources[name].rows)
            if number % _EACH == 0 or number == len(compared):
                progress(f"{number} of {len(compared)} record sets are read back and compared; the last was {name}.")
    return _finding(wrong, sources)


def _listed(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["@id"]: one for one in document["distribution"]}


def _other_files(document: Mapping[str, Any], sources: Mapping[str, _Source]) -> Iterator[Row]:
    """Long tables whose file is not the one described. Of the file of their ends mlcroissant knows the digest."""
    listed = _listed(document)
    for name, source in sources.items():
        stated = listed.get(source.file)
        if stated is None or source.whole is None:
            continue
        if stated["sha256"] != source.whole:
            yield _row(name, "the file is not the one that is described", "", source.whole, stated["sha256"])


def _digest(place: Path) -> str:
    return hashlib.sha256(place.read_bytes()).hexdigest()


def _other_sets(document: Mapping[str, Any], sources: Mapping[str, _Source]) -> Iterator[Row]:
    """Tables without a record set, and the reverse; those whose records stand in the description itself left out."""
    described = {one["@id"] for one in document["recordSet"] if "data" not in one}
    for name in sorted(set(sources) - described):
        yield _row(name, "a table without a record set")
    for name in sorted(described - set(sources)):
        yield _row(name, "a record set without a table")


def _differences(loaded: Loaded, name: str, rows: pl.DataFrame) -> Iterator[Row]:
    """The first difference of each field, and a number of records that is another."""
    seen, wanted, found = set[str](), rows.iter_rows(named=True), 0
    try:
        for record in loaded.records(name):
            found += 1
            for field, in_table, read in _unequal(next(wanted, None), record):
                if field not in seen:
                    seen.add(field)
                    yield _row(name, f"record {found} differs", field, in_table, read)
    except CroissantError as error:
        yield _row(name, str(error))
        return
    if found != rows.height:
        yield _row(name, "another number of records", "", rows.height, found)


def _unequal(row: Mapping[str, object] | None, record: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """The fields that differ; none where the table has no such row, which its number of records says."""
    for field in (row.keys() | record.keys()) if row is not None else ():
        in_table = comparable(row[field]) if row is not None and field in row else None
        if row is None or field not in row or field not in record or in_table != record[field]:
            yield field, in_table, record.get(field)


def _finding(wrong: list[Row], sources: Mapping[str, _Source]) -> Finding:
    names = list(dict.fromkeys(str(one["record set"]) for one in wrong))
    compared, long = (
        sum(one.rows.height for one in sources.values()),
        sum(one.whole is not None for one in sources.values()),
    )
    ends = f" Of {long} long tables the first and last {ENDS} rows." if long else ""
    what = f"{len(names)} record sets differ: {', '.join(names[:_NAMED])}" if names else "All agree"
    return Finding(
        "records_agree",
        passed=not wrong,
        summary=f"{what}. {len(sources)} record sets, {compared:,} records compared.{ends}",
        rows=pl.DataFrame(wrong[:ROWS_SHOWN], schema=dict.fromkeys(_COLUMNS, pl.String())),
        counts={"record_sets": len(sources), "records": compared, "differences": len(wrong)},
    )


def _row(record_set: str, problem: str, field: str = "", wanted: object = "", found: object = "") -> Row:
    shown = (str(value)[:_SHOWN] for value in (record_set, problem, field, wanted, found))
    return dict(zip(_COLUMNS, shown, strict=True))


def _sources(
    release: Release, delivery: Sequence[Delivered], files: Mapping[str, bytes], folder: Path
) -> Iterator[tuple[str, _Source]]:
    """Every record set that there should be: tables as they stand in the storage, and sides of splits."""
    store = release.store
    tables = [one for one in delivery if one.kind is Kind.TABLE]
    for number, one in enumerate(tables):
        place = Path(store.address(one.path)) if store.is_local else folder / f"{number}.parquet"
        rows = store.table(one.name, one.partition)
        if _height(rows) > WHOLE:
            whole = store.digests.present(one.path)[""].sha256
            yield record_set_of(one), _by_ends(one.path, rows, folder / f"{number}.parquet", whole)
            continue
        if not store.is_local:
            store.fs.get(store.address(one.path), str(place))
        yield record_set_of(one), _Source(one.path, place, rows.collect())
    for split in splits_of(release, {one.name for one in tables}):
        place, data = folder / split.name.replace("/", "-"), files.get(split.file, b"")
        place.write_bytes(data)
        if split.rows.height > WHOLE:
            yield split.name, _by_ends(split.file, split.rows.lazy(), place, hashlib.sha256(data).hexdigest())
        else:
            yield split.name, _Source(split.file, place, split.rows)


def _by_ends(file: str, rows: pl.LazyFrame, place: Path, whole: str) -> _Source:
    ends = pl.concat([rows.head(ENDS).collect(), rows.slice(_height(rows) - ENDS, ENDS).collect()])
    ends.write_parquet(place)
    return _Source(file, place, ends, whole)


def _height(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())
