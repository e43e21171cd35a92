"""Checks of a release's crates: before they are published, and of the published ones over the storage.

Belongs here: what is checked, and the sentences. Does not belong here: how checks are run and shown (`defs`).
"""

from __future__ import annotations

import posixpath
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.plain import size_in_words
from cm4ai_assets.publication.crate.building import graphs
from cm4ai_assets.publication.crate.forms import values_of
from cm4ai_assets.publication.crate.ids import NOWHERE
from cm4ai_assets.publication.crate.reading import Listed, Opened, damage, listed
from cm4ai_assets.publication.crate.terms import ANY_RO_CRATE, EVI_DATASET, RO_CRATE, Entity

READ_AT_ONCE = 4 * 2**30

_STORED = "the/document/stands/here"  # as deep as a document's folder in the storage: paths climb out of it
Graphs = Mapping[str, Sequence[Entity]]


def each_file_once(files: Mapping[str, bytes], delivery: Sequence[Delivered], folder: str = _STORED) -> Finding:
    """Every delivered file stands in exactly one crate, with its recorded digest and size, and no crate lists another.

    Protects from files that are sent without a digest, and from descriptions of
    what is not there. Blocking: such crates are never published.
    """
    own = {posixpath.join(folder, name) for name in files}
    found = Counter((one.path, one.sha256, one.size) for one in listed(files, folder) if one.path not in own)
    wanted = {(file.path, file.sha256, file.size) for one in delivery for file in one.files}
    problems = [
        *((path, "in no crate with its digest and size") for path, *_ in sorted(wanted - found.keys())),
        *((path, "not delivered with this digest and size") for path, *_ in sorted(found.keys() - wanted)),
        *((path, f"in {count} crates") for (path, *_), count in sorted(found.items()) if count > 1),
    ]
    summary = f"{len(wanted):,} files, each in one crate" if not problems else _named(problems)
    return _finding("each_file_once", problems, summary, {"files": len(wanted)})


def no_dangling(files: Mapping[str, bytes]) -> Finding:
    """Every id that a crate refers to is described in that crate.

    Protects readers, and tools that walk the graph, from
    references to nowhere. Blocking: such crates are never published.
    """
    problems = [
        (f"{crate}: {target}", "referred to and not described")
        for crate, graph in graphs(files).items()
        for target in sorted(_references(graph) - {entity["@id"] for entity in graph} - {RO_CRATE, ANY_RO_CRATE})
    ]
    return _finding("no_dangling", problems, "none" if not problems else _named(problems), {})


def runs_known(files: Mapping[str, bytes]) -> Finding:
    """Everything that is delivered names the run that made it.

    Warns of what was made before runs were recorded: make
    it again if its origin has to be provable.
    """
    members = _members(graphs(files))
    problems = [(name, "no run is recorded") for name, entity in members if "generatedBy" not in entity]
    known = f"the run of all {len(members):,} files and folders is known"
    return _finding("runs_known", problems, known if not problems else _named(problems), {"described": len(members)})


def reaches_published(files: Mapping[str, bytes]) -> Finding:
    """From everything that is delivered a way leads over what it was made of to a published file or dataset.

    Warns of
    what has lost its origin: inputs that were made again since, or are no longer stored.
    """
    known = graphs(files)
    sources = {entity["@id"]: _ids(entity, "derivedFrom") for entity in _entities(known) if "derivedFrom" in entity}
    members = _members(known)
    problems = [(name, "no way to a published file") for name, entity in members if not _arrives(entity, sources)]
    summary = f"all {len(members):,} arrive" if not problems else _named(problems)
    return _finding("reaches_published", problems, summary, {"described": len(members)})


def crate_digests(
    files: Mapping[str, bytes], folder: str, opened: Opened, *, day: int, at_once: int = READ_AT_ONCE
) -> Finding:
    """The files that the crates list have the digests that the crates state, by reading them again.

    All of them are read, or where they are more than 4 GiB as many as that, others each day. Warns of files that were
    altered or lost since.
    """
    every = listed(files, folder)
    chosen = _chosen(every, day, at_once)
    problems = [(sentence.split(" ", 1)[0], sentence) for sentence in damage(chosen, opened)]
    size = size_in_words(sum(one.size for one in chosen))
    read = f"{len(chosen):,} of {len(every):,} files read ({size})"
    summary = f"{read}, none damaged" if not problems else f"{read}. {_named(problems)}"
    return _finding("crate_digests", problems, summary, {"files": len(every), "files read": len(chosen)})


def _chosen(every: Sequence[Listed], day: int, at_once: int) -> list[Listed]:
    """All files, or as many as may be read at once, by a draw of the day."""
    if sum(one.size for one in every) <= at_once:
        return list(every)
    drawn, left = list(every), at_once
    chosen: list[Listed] = []
    random.Random(day).shuffle(drawn)  # noqa: S311 - a sample, no secret
    for one in drawn:
        if one.size <= left or not chosen:
            chosen.append(one)
            left -= one.size
    return chosen


def _members(known: Graphs) -> list[tuple[str, Entity]]:
    """What is delivered, by path or name; the files of crates and lists of distributions are not."""
    return [
        (str(entity.get("localPath", entity["name"])).lstrip("./"), entity)
        for entity in _entities(known)
        if {"File", "Dataset"} & set(entity["@type"]) and EVI_DATASET in entity["@type"] and "derivedFrom" in entity
    ]


def _entities(known: Graphs) -> Iterator[Entity]:
    for graph in known.values():
        yield from graph


def _arrives(entity: Entity, sources: Mapping[str, list[str]]) -> bool:
    """A walk over `derivedFrom` from one entity meets something that an archive has published."""
    seen, waiting = set[str](), [entity["@id"]]
    while waiting:
        one = waiting.pop()
        if not one.startswith(NOWHERE):
            return True
        if one not in seen:
            seen.add(one)
            waiting += sources.get(one, [])
    return False


def _references(graph: Iterable[Entity]) -> set[str]:
    return {
        value["@id"]
        for entity in graph
        for key in entity
        for value in values_of(entity, key)
        if isinstance(value, dict) and "@id" in value
    }


def _ids(entity: Entity, key: str) -> list[str]:
    return [one["@id"] for one in values_of(entity, key)]


def _named(problems: Sequence[tuple[str, str]]) -> str:
    first = "; ".join(f"{name}: {problem}" for name, problem in problems[:3])
    return f"{len(problems):,} of them: {first}" + (" …" if len(problems) > 3 else "")  # noqa: PLR2004 - as named


def _finding(check: str, problems: Sequence[tuple[str, str]], summary: str, counts: Mapping[str, int]) -> Finding:
    rows = pl.DataFrame(
        {"what": [one for one, _ in problems[:ROWS_SHOWN]], "problem": [said for _, said in problems[:ROWS_SHOWN]]},
        schema={"what": pl.String, "problem": pl.String},
    )
    return Finding(check, not problems, summary, rows, {**counts, "problems": len(problems)})
