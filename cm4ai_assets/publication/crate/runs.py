"""Runs as entities: what one run did for one asset and condition, with which software, on what kind of machine.

Belongs here: from the records of runs to actions, software, its source, and lists of distributions. Does not belong
here: what was made (`entities`) and of what (`sources`). What no run is recorded of gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.publication.crate.ids import content_id, run_id, software_id
from cm4ai_assets.publication.crate.sources import entity_id
from cm4ai_assets.publication.crate.terms import (
    EVI_COMPUTATION,
    EVI_DATASET,
    EVI_SOFTWARE,
    UNKNOWN,
    Entity,
    ref,
    refs,
)
from cm4ai_assets.software import NAME, Software, addresses
from cm4ai_assets.storage.makings import Making

NOT_RECORDED = "not recorded"
ENVIRONMENTS = "environments"
SOURCES = "software"


def environment_name(sha256: str) -> str:
    """The file of the document that lists the distributions of a run."""
    return f"{ENVIRONMENTS}/{sha256}.txt"


def source_name(sha256: str) -> str:
    """The file of the document that holds the source of the software of a run."""
    return f"{SOURCES}/{sha256}.zip"


def run_entities(members: Iterable[Delivered], sources: Mapping[str, list[str]]) -> Iterator[Entity]:
    """An action for each run, asset and condition that made some of these.

    Args:
        members: What a crate describes.
        sources: Path of what is delivered to the ids of what it was made of.
    """
    made: dict[str, list[Delivered]] = {}
    for one in members:
        if one.making is not None:
            made.setdefault(run_id(one.making), []).append(one)
    for entity, products in made.items():
        objects = [source for one in products for source in sources[one.path]]
        yield _run(entity, [one.making for one in products if one.making], [entity_id(p) for p in products], objects)


def _run(entity: str, makings: list[Making], results: list[str], objects: list[str]) -> Entity:
    first = makings[0]
    software, of = ref(software_id(first.software)), f" of {first.condition}" if first.condition else ""
    started = min((one.started for one in makings if one.started), default=None)
    ended = _time(max(one.ended for one in makings))
    own = [one for one in dict.fromkeys(objects) if one not in results]
    return {
        "@id": entity,
        "@type": ["CreateAction", EVI_COMPUTATION],
        "name": f"{first.asset}{of}, {first.release}",
        "description": f"The step of Dagster's run {first.run_id} that made {first.asset}{of} of {first.release}, on "
        f"{first.software.machine}, {first.software.system}. Who started it is not recorded.",
        "instrument": software,
        "object": refs(own),
        "result": refs(results),
        **({"startTime": _time(started)} if started else {}),
        "endTime": ended,
        "usedSoftware": [software],
        "usedDataset": refs(own),
        "generated": refs(results),
        "runBy": NOT_RECORDED,
        "dateCreated": ended,
        "cm4ai:runId": first.run_id,
        **({"cm4ai:codeVersion": first.code_version} if first.code_version else {}),
    }


def software_entity(software: Software, source: str | None) -> Entity:
    """The software of a run: version, commit, source, Python, list of distributions, processor architecture.

    Args:
        software: What ran.
        source: Where its source stands, seen from the crate; None where it is not kept.
    """
    changed = {True: ", with changes that are in no commit", None: ", changed or not", False: ""}[software.modified]
    state = f"of commit {software.commit}{changed}" if software.commit else "an installed package, of no known commit"
    return {
        "@id": software_id(software),
        "@type": ["SoftwareApplication", EVI_SOFTWARE],
        "name": NAME,
        "description": f"{NAME} {software.version}, {state}, on Python {software.python}.",
        "version": software.version,
        "author": NAME,
        "format": "Python package",
        "url": next(iter(addresses()), software_id(software)),
        **({"sameAs": list(addresses())} if addresses() else {}),
        "runtimePlatform": f"Python {software.python}",
        "operatingSystem": software.system,
        "processorRequirements": software.machine,
        "softwareRequirements": ref(_environment_id(software.environment)),
        **({"contentUrl": source} if source else {}),
        **({"cm4ai:source": ref(_source_id(software.source))} if software.source else {}),
        **({"cm4ai:commit": software.commit} if software.commit else {}),
        **({} if software.modified is None else {"cm4ai:modified": software.modified}),
    }


def environment_entity(sha256: str, text: str | None, place: str, *, is_part: bool) -> Entity:
    """The list of distributions that runs had installed.

    Args:
        sha256: Its digest.
        text: The list; None where it is no longer stored, and only its digest is known.
        place: Folder of the document, seen from the crate.
        is_part: The crate that describes it has it as a part.
    """
    size = None if text is None else len(text.encode())
    return {
        **_kept(environment_name(sha256), sha256, size, place, is_part=is_part),
        "name": "Installed distributions",
        "description": "The Python distributions that were installed when the run was made, one a line: name==version."
        + ("" if text is not None else " The list is no longer stored."),
        "keywords": ["lock file"],
        "format": "text/plain",
        "encodingFormat": "text/plain",
    }


def source_entity(sha256: str, data: bytes | None, place: str, *, is_part: bool) -> Entity:
    """The source of the software of runs; see `environment_entity`."""
    size = None if data is None else len(data)
    return {
        **_kept(source_name(sha256), sha256, size, place, is_part=is_part),
        "name": f"Source of {NAME}",
        "description": f"The files of {NAME} as they ran, packed. Whether they are in a commit is said of the software."
        + ("" if data is not None else " They are no longer stored."),
        "keywords": ["source code"],
        "format": "application/zip",
        "encodingFormat": "application/zip",
    }


def _kept(name: str, sha256: str, size: int | None, place: str, *, is_part: bool) -> Entity:
    """A file beside the crates that runs refer to; `size` is None where it is no longer stored."""
    where = f"{place}{name}"
    held = {} if size is None else {"contentSize": str(size), "localPath": where, "contentUrl": where}
    return {
        "@id": content_id(name, sha256),
        "@type": ["File" if is_part and held else "CreativeWork", EVI_DATASET],
        "author": NAME,
        "datePublished": UNKNOWN,
        "version": UNKNOWN,
        "sha256": sha256,
        **held,
    }


def _environment_id(sha256: str) -> str:
    return content_id(environment_name(sha256), sha256)


def _source_id(sha256: str) -> str:
    return content_id(source_name(sha256), sha256)


def _time(moment: datetime) -> str:
    """ISO 8601 with an offset, as the profile of runs wants it: 2026-06-17T01:02:03.004+00:00."""
    return moment.isoformat(timespec="milliseconds")
