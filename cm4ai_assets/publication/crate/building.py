"""The crates of a release: one for the release, one a group, and several for a store of very many files.

    ro-crate-metadata.json                      the release: people, licences, its use and limits, the groups
    {group}/ro-crate-metadata.json              tables, small stores and documents of a group
    {group}/{store}/part-1/ro-crate-metadata.json   of a store of more than `LARGEST` files, so many in each part
    environments/{sha256}.txt                   what runs had installed
    software/{sha256}.zip                       the source of what ran
    fairscape/…                                 the same crates in the form that FAIRSCAPE's models take

A validator needs a tenth of a second for each entity, so no crate has hundreds. Every file is in exactly one of them;
the folder of a large store is described in each of its parts, with the files that stand there.

Belongs here: which crate describes what, and its root. Does not belong here: what is said of a file (`entities`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final

from cm4ai_assets import tables
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.publication.crate import forms, roots
from cm4ai_assets.publication.crate.entities import licences, member_entities, schema_entity
from cm4ai_assets.publication.crate.facts import Facts, is_store
from cm4ai_assets.publication.crate.parties import (
    licence_entities,
    licences_of,
    party_entities,
    publisher_entity,
    subject_entities,
)
from cm4ai_assets.publication.crate.runs import (
    environment_entity,
    environment_name,
    run_entities,
    software_entity,
    source_entity,
    source_name,
)
from cm4ai_assets.publication.crate.sources import Sources, container_entity, dataset_entity
from cm4ai_assets.publication.crate.terms import METADATA, Entity
from cm4ai_assets.software import Software
from cm4ai_assets.tables.publication import GROUP

LARGEST: Final = 64
FAIRSCAPE: Final = "fairscape"


@dataclass(frozen=True)
class Crate:
    """One crate: its folder below the release's ("" for that itself), what it describes, and the crates within it."""

    folder: str
    title: str
    members: tuple[Delivered, ...] = ()
    within: tuple[Crate, ...] = ()

    @property
    def every(self) -> tuple[Delivered, ...]:
        """What it describes, and what the crates within it do."""
        return (*self.members, *(one for crate in self.within for one in crate.every))


def crates_of(delivery: Sequence[Delivered]) -> Crate:
    """Which crate describes what, from that of the release down."""
    order = (*tables.GROUPS, GROUP)
    groups = [(group, [one for one in delivery if one.group == group]) for group in order]
    return Crate("", "release", within=tuple(_group(group, members) for group, members in groups if members))


def _group(group: str, members: Sequence[Delivered]) -> Crate:
    apart = [one for one in members if is_store(one) and len(one.files) > LARGEST]
    stores = (_store(f"{group}/{_folder(one)}", one) for one in apart)
    return Crate(group, f"group {group}", tuple(one for one in members if one not in apart), tuple(stores))


def _store(folder: str, one: Delivered) -> Crate:
    title, starts = f"store {_folder(one)}", range(0, len(one.files), LARGEST)
    parts = (
        Crate(
            f"{folder}/part-{n}",
            f"{title}, part {n} of {len(starts)}",
            (replace(one, files=one.files[at : at + LARGEST]),),
        )
        for n, at in enumerate(starts, 1)
    )
    return Crate(folder, title, within=tuple(parts))


def _folder(one: Delivered) -> str:
    return f"{one.name}-{one.path.rsplit('/', 1)[-1].removesuffix('.zarr')}"


def build(facts: Facts, *, base: str = "") -> dict[str, bytes]:
    """The files of the document: name to bytes, the same for the same facts.

    Args:
        facts: Of the release.
        base: The storage root, or a folder laid out like it, seen from the document's folder; with a slash at its end.
    """
    tree = crates_of(facts.delivery)
    lists = {environment_name(sha256): text.encode() for sha256, text in facts.environments.items()}
    lists |= {source_name(sha256): data for sha256, data in facts.software.items()}
    plain = _Builder(facts, base, "", forms.ro_crate).files(tree)
    fairscape = _Builder(facts, f"../{base}", "../", forms.fairscape).files(tree)
    return {**plain, **{f"{FAIRSCAPE}/{name}": data for name, data in fairscape.items()}, **lists}


@dataclass(frozen=True)
class _Builder:
    """Builds crates in one form; `base` and `document` are the storage root and the document, seen from the first."""

    facts: Facts
    base: str
    document: str
    form: forms.Form
    sources: Sources = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", Sources(self.facts))

    def files(self, crate: Crate) -> dict[str, bytes]:
        """The files of a crate and of those within it."""
        below = [self.files(one) for one in crate.within]
        files = {name: data for found in below for name, data in found.items()}
        name = f"{crate.folder}/{METADATA}".lstrip("/")
        return {name: self.form(self._graph(crate, files)), **files}

    def _graph(self, crate: Crate, below: Mapping[str, bytes]) -> list[Entity]:
        up = "../" * (crate.folder.count("/") + bool(crate.folder))
        made_of = {one.path: self.sources.of(one) for one in crate.members}
        ids = {path: [entity["@id"] for entity in found] for path, found in made_of.items()}
        own = [e for m in crate.members for e in member_entities(self.facts, m, ids[m.path], f"{up}{self.base}")]
        stubs = list(self._within(crate, below))
        lists = list(self._lists(crate, f"{up}{self.document}"))
        runs = list(run_entities(crate.members, ids))
        # Each file stands in the root's parts, too, and not in its folder's alone: ro-crate-py looks nowhere else.
        parts = [one["@id"] for one in (*own, *stubs, *lists) if {"File", "Dataset"} & set(one["@type"])]
        root = roots.root(
            self.facts,
            folder=crate.folder,
            title=crate.title,
            members=crate.every,
            parts=parts,
            runs=[run["@id"] for run in runs],
        )
        others = (own, stubs, lists, runs, self._about(crate, f"{up}{self.document}"), *made_of.values())
        described = {one["@id"]: one for one in reversed(list(chain.from_iterable(others)))}
        return [*roots.head(), root, *(described[entity] for entity in sorted(described))]

    def _within(self, crate: Crate, below: Mapping[str, bytes]) -> Iterator[Entity]:
        """The crates within, each with a pointer to its own file."""
        for one in crate.within:
            data = below[f"{one.folder}/{METADATA}"]
            folder = one.folder.removeprefix(f"{crate.folder}/")
            yield from roots.stub(self.facts, folder, one.title, one.every, data)

    def _lists(self, crate: Crate, place: str) -> Iterator[Entity]:
        """Sources and lists of distributions: parts of the release's crate, and referred to in the others."""
        every, is_part = self.facts.delivery if not crate.folder else crate.members, not crate.folder
        software = [one.making.software for one in every if one.making]
        for sha256 in dict.fromkeys(one.environment for one in software):
            yield environment_entity(sha256, self.facts.environments.get(sha256), place, is_part=is_part)
        for sha256 in dict.fromkeys(one.source for one in software if one.source):
            yield source_entity(sha256, self.facts.software.get(sha256), place, is_part=is_part)

    def _about(self, crate: Crate, place: str) -> Iterator[Entity]:
        """All that is referred to and no part: schemas, licences, people, software, published datasets."""
        for one in crate.members:
            schema = schema_entity(self.facts, one)
            if schema is not None:
                yield schema
            if one.making is not None:
                yield self._software(one.making.software, place)
            for file in self.facts.published[one.path]:
                yield container_entity(self.facts, file)
                yield from licence_entities(licences_of(file.license))
        for one in crate.every:
            yield from licence_entities(licences(self.facts, one))
        yield dataset_entity(self.facts)
        publisher = publisher_entity(self.facts)
        if publisher is not None:
            yield publisher
        if not crate.folder:
            yield from party_entities(self.facts)
            yield from subject_entities(self.facts)

    def _software(self, software: Software, place: str) -> Entity:
        is_kept = software.source in self.facts.software
        return software_entity(software, f"{place}{source_name(software.source or '')}" if is_kept else None)


def graphs(files: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The graphs of the crates among a document's files, in RO-Crate's own form: name to entities."""
    return {
        name: forms.graph_of(data)
        for name, data in files.items()
        if name.rsplit("/", 1)[-1] == METADATA and not name.startswith(f"{FAIRSCAPE}/")
    }
