"""The roots of crates: what each says of itself, and how one points to another.

Belongs here: descriptor, profile, root, and the stub of a crate within another. Does not belong here: parts
(`entities`).

What the release says of its use and its limits is carried over word for word, in the crate of the release. Nothing of
it is our statement, and nothing is added to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import DATAVERSE
from cm4ai_assets.publication.crate.entities import licences
from cm4ai_assets.publication.crate.facts import Facts
from cm4ai_assets.publication.crate.ids import dataset_page, licence_id
from cm4ai_assets.publication.crate.parties import party_id
from cm4ai_assets.publication.crate.sources import authors
from cm4ai_assets.publication.crate.terms import (
    ANY_RO_CRATE,
    CARRIED,
    EVI_CRATE,
    METADATA,
    PROCESS_RUN,
    RO_CRATE,
    Entity,
    ref,
    refs,
)
from cm4ai_assets.software import NAME

_TYPES = ["Dataset", EVI_CRATE]


def head() -> list[Entity]:
    """What stands first in every crate: the descriptor, and the profile that the crate conforms to."""
    return [
        {"@id": METADATA, "@type": "CreativeWork", "conformsTo": ref(RO_CRATE), "about": ref("./")},
        {"@id": PROCESS_RUN, "@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.5"},
    ]


def root(
    facts: Facts, *, folder: str, title: str, members: Sequence[Delivered], parts: list[str], runs: list[str]
) -> Entity:
    """What a crate says of itself. That of the release names people, and carries over what was published of its use.

    Args:
        facts: Of the release.
        folder: The folder of the crate; empty for that of the release.
        title: What it is about.
        members: What it and the crates within it describe.
        parts: Ids of its parts.
        runs: Ids of the runs that made them.
    """
    page = dataset_page(DATAVERSE, facts.stated.origin.doi)
    return {
        "@id": "./",
        "@type": _TYPES,
        "conformsTo": ref(PROCESS_RUN),
        **_described(facts, title),
        "datePublished": facts.made_on.isoformat() if facts.made_on else "",
        "keywords": list(facts.stated.keywords),
        "license": _licences(facts, members),
        "contentSize": str(sum(one.size for one in members)),
        "isBasedOn": ref(page),
        "citation": ref(page),
        "hasPart": refs(parts),
        "mentions": refs(runs),
        **({} if folder else {**_people(facts), **carried(facts), **_totals(facts)}),
    }


def _described(facts: Facts, title: str) -> Entity:
    origin = facts.stated.origin
    name = f"{origin.title or origin.release}, as delivered by {NAME}"
    text = (
        f"What {NAME} derived from the published dataset {origin.doi}, version {origin.version}: {title} of "
        f"{origin.release}. It is no publication of its own and has no DOI; `datePublished` is the day on which the "
        "last of it was made."
    )
    whole = title == "release"
    return {
        "name": name if whole else f"{name}: {title}",
        "description": text,
        "version": origin.release,
        "author": authors(facts),
    }


def _people(facts: Facts) -> Entity:
    people = refs([party_id(one) for one in facts.stated.creators])
    return {
        **({"author": people} if people else {}),
        **({"about": refs(list(facts.subjects))} if facts.subjects else {}),
        **({"funder": list(facts.stated.funders)} if facts.stated.funders else {}),
    }


def carried(facts: Facts) -> Entity:
    """What the release's crate states about its use and limits, verbatim: one text, or several in their order."""
    found = {}
    for key, title in CARRIED.items():
        old = () if title is None else (f"additionalProperty.{title}", f'additionalProperty["{title}"]')
        values = facts.stated.of_crate(key, *old)
        if values:
            found[key] = values[0] if len(values) == 1 else list(values)
    return found


def _totals(facts: Facts) -> Entity:
    """Totals over all crates of the release, under FAIRSCAPE's keys."""
    runs = {one.making.run_id + one.making.asset + str(one.making.condition) for one in facts.delivery if one.making}
    files = sum(len(one.files) for one in facts.delivery)
    return {
        "evi:datasetCount": files,
        "evi:computationCount": len(runs),
        "evi:totalContentSizeBytes": sum(one.size for one in facts.delivery),
        "evi:entitiesWithChecksums": files,
        "evi:totalEntities": files,
    }


def stub(facts: Facts, folder: str, title: str, members: Sequence[Delivered], data: bytes) -> Iterator[Entity]:
    """A crate within another, and its metadata file (`data`), by which it is described."""
    name = f"{folder}/{METADATA}"
    yield {
        "@id": f"{folder}/",
        "@type": _TYPES,
        "conformsTo": ref(ANY_RO_CRATE),
        **_described(facts, title),
        "keywords": [folder],
        "license": _licences(facts, members),
        "subjectOf": ref(name),
        "ro-crate-metadata": name,
        "hasPart": refs([name]),
    }
    yield {
        "@id": name,
        "@type": ["CreativeWork", "File"],
        "name": f"Crate of the {title}",
        "description": f"RO-Crate 1.2 of the {title}.",
        "encodingFormat": "application/ld+json",
        "contentSize": str(len(data)),
        "sha256": hashlib.sha256(data).hexdigest(),
        "localPath": name,
    }


def _licences(facts: Facts, members: Sequence[Delivered]) -> list[Entity]:
    return refs([licence_id(name) for one in members for name in licences(facts, one)])
