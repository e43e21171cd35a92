"""Where something comes from: the one way in, for `Release.trace` and `cm4ai trace`.

Belongs here: which of the ways a question takes: a row, a field of a tensor, a path, an export, a published file. Does
not belong here: walking them (`rules`, `products`, `made_from`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.errors import SelectionError, nearest
from cm4ai_assets.lineage import exported, paths
from cm4ai_assets.lineage.chain import Chain, with_notes
from cm4ai_assets.lineage.finding import RowLike, differing, find_row, number_of, published_places, table_named
from cm4ai_assets.lineage.held import held
from cm4ai_assets.lineage.listing import Listed, by_name, by_sha256, names, same_file
from cm4ai_assets.lineage.made_from import made_from
from cm4ai_assets.lineage.products import blob_step, table_step
from cm4ai_assets.lineage.rules import RULES
from cm4ai_assets.lineage.rules.images import planes
from cm4ai_assets.lineage.steps import Step, StepKind
from cm4ai_assets.lineage.traces import Trace
from cm4ai_assets.storage.addresses import path_within
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.images import IF_TENSORS

_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")


def trace_table(
    store: Store, release: str, name: str, row: RowLike | None = None, *, condition: str | None = None,
    verify: bool = False,
) -> Trace:  # fmt: skip
    """Where a row of a table of a release comes from; without a row, the table.

    Args:
        store: The storage.
        release: Release key.
        name: Name of the table.
        row: Its number, from 0, in the file of its partition; the value of its key, where that is one column; or
            values by column, as `frame.row(n, named=True)` gives them. Of `if_tensors` a number is a field of the
            tensor.
        condition: The condition, where the table has several.
        verify: Also read every stored thing of the chain again and hold it against its digest.

    Raises:
        SelectionError: There is no such table or row.
        UnknownTreatmentError: No such condition.
        NotMaterializedError: The table is not published for the release.
    """
    chain, table = Chain(store, RULES, release), table_named(name)
    if row is None:
        subject = _table(chain, table, condition)
    elif name == IF_TENSORS.name and (index := number_of(row)) is not None:
        subject = _planes(chain, index, condition)
    else:
        found = find_row(chain, table, row, condition)
        subject = chain.rows(found)
        if changed := differing(found, row):
            subject = with_notes(
                subject, f"The row that was given has other values than this one: {', '.join(changed)}."
            )
        subject = with_notes(subject, *_shared(chain, found.partition.release))
    return _finished(chain, Trace(subject), verify=verify)


def _table(chain: Chain, table: tables.Table, condition: str | None) -> Step:
    places = published_places(chain, table, condition)
    if len(places) > 1:
        named = ", ".join(str(place.condition) for place in places)
        raise SelectionError(f"{table.name} has a file for each condition: {named}.", remedy="Name one: --condition.")
    return with_notes(table_step(chain, table.name, places[0]), *_shared(chain, places[0].release))


def _planes(chain: Chain, index: int, condition: str | None) -> Step:
    """One field of a tensor."""
    places = published_places(chain, IF_TENSORS, condition)
    if len(places) > 1:
        named = ", ".join(str(place.condition) for place in places)
        raise SelectionError(f"There is a tensor for each condition: {named}.", remedy="Name one: --condition.")
    fields = chain.table(IF_TENSORS.name, places[0]).select(pl.col("shape").list.first()).collect().item()
    if not 0 <= index < fields:
        raise SelectionError(
            f"There is no field {index} in the tensor of {places[0]}: it has {fields:,}, 0 to {fields - 1:,}.",
            remedy="`tensor_index` of if_fields says which field is where.",
        )
    (step,) = planes(chain, places[0], [index])
    return with_notes(step, *_shared(chain, places[0].release))


def _shared(chain: Chain, stands_in: str) -> list[str]:
    if not stands_in or stands_in == chain.release:
        return []
    return [f"It was made for release {stands_in}, from the same published bytes as {chain.release} has."]


def trace_thing(
    store: Store, thing: str, *, release: str | None = None, verify: bool = False, cwd: Path | None = None
) -> Trace:
    """Where what stands under a path comes from, or what was made of a published file.

    Args:
        store: The storage.
        thing: A path or address in the storage; a file of an exported folder; or a published file: its name, path, id,
            accession, or digest.
        release: Only files that this release lists, where several have the name.
        verify: See `trace_table`.
        cwd: The folder that relative paths outside the storage start from.

    Raises:
        SelectionError: Nothing is known under that.
    """
    chain = Chain(store, RULES, release)
    if (path := path_within(store, thing)) is not None:
        at = paths.step_at(chain, path)
        trace = Trace(at) if isinstance(at, Step) else _published(chain, by_sha256(store, at), thing, at)
        return _finished(chain, trace, verify=verify)
    place = (cwd or Path.cwd()) / thing
    if place.exists() and (payload := exported.payload_above(place.resolve())) is not None:
        return _in_payload(payload, place.resolve(), verify=verify)
    if place.exists() and (record := exported.record_above(place)) is not None:
        return _finished(chain, Trace(exported.export_step(chain, place, record)), verify=verify)
    return _finished(chain, _published(chain, _listed(chain, thing, release), thing), verify=verify)


def _in_payload(payload: Path, place: Path, *, verify: bool) -> Trace:
    """What stands in a published folder, by the records that were published with it."""
    if not place.is_relative_to(payload) or place == payload:
        raise SelectionError(
            f"{place} is no part of what {payload.parent} delivers.", remedy=f"Name a table or store below {payload}."
        )
    found = trace_thing(Store(str(payload), scratch=payload), place.relative_to(payload).as_posix(), verify=verify)
    note = f"It stands in the published folder {payload.parent}, and is traced by the records in there."
    return replace(found, subject=with_notes(found.subject, note))


def _listed(chain: Chain, thing: str, release: str | None) -> list[Listed]:
    """The published files that a text means."""
    found = by_name(chain.store, thing)
    if _SHA256.fullmatch(thing):
        found = list(dict.fromkeys([*found, *by_sha256(chain.store, thing.lower())]))
    mine = [one for one in found if release in {None, one.release}]
    if mine or _is_blob(chain, thing):
        return mine
    if found:
        where = ", ".join(dict.fromkeys(one.release for one in found))
        raise SelectionError(f"Release {release} lists no file {thing}.", remedy=f"It is listed by {where}.")
    raise _unknown(chain, thing)


def _is_blob(chain: Chain, thing: str) -> bool:
    return _SHA256.fullmatch(thing) is not None and chain.blobs.has(thing.lower())


def _unknown(chain: Chain, thing: str) -> SelectionError:
    if "/" in thing or Path(thing).exists():
        known = names(chain.store)
        return SelectionError(
            f"{thing} is nothing that stands in {chain.store.location('')}, no published file that its tables list, "
            "and in no exported folder.",
            remedy=nearest(thing.rsplit("/", 1)[-1], known, heading="Published files") if known else
            "Nothing is published here: run `cm4ai materialize --release latest`.",
        )  # fmt: skip
    known = [*(table.name for table in tables.ALL), *names(chain.store)]
    return SelectionError(f"There is no table and no published file {thing!r} here.", remedy=nearest(thing, known))


def _published(chain: Chain, found: Sequence[Listed], thing: str, sha256: str | None = None) -> Trace:
    """Published files, and what was made of them."""
    if not found:
        return Trace(blob_step(chain, (sha256 or thing).lower()))
    files = list(dict.fromkeys(one.file for one in found))
    steps = tuple(chain.file(file, notes=[_where(found, file)]) for file in files)
    made = made_from(chain, files)
    nothing = () if made else ("Nothing that is published here was made of it.",)
    if len(steps) == 1:
        return Trace(with_notes(steps[0], *nothing), made=made)
    alike = all(same_file(files[0], other) for other in files)
    name = f"{len(files)} entries of {thing}, {'all with the same bytes' if alike else 'not all with the same bytes'}"
    return Trace(Step(StepKind.FILE, name, notes=nothing, origins=steps), made=made)


def _where(found: Sequence[Listed], file: object) -> str:
    return f"Listed by {', '.join(sorted({one.release for one in found if one.file == file}))}."


def _finished(chain: Chain, trace: Trace, *, verify: bool) -> Trace:
    return replace(trace, held=held(chain, trace)) if verify else trace
