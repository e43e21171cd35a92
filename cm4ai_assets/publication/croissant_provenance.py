"""Where the files of a release come from, in PROV-O: published files by DOI, id and digest, and the runs.

Belongs here: the PROV part of Croissant. Does not belong here: which files stand behind a table (`lineage.published`),
and the record of a run (`storage.makings`).

Entities and activities are written once, at the head, and referred to by their ids. No activity refers to a file that
refers to an activity: mlcroissant follows every reference, and would follow a circle for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cm4ai_assets.access import Release
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.lineage.published import PublishedFile, PublishedFiles
from cm4ai_assets.storage.makings import Making
from cm4ai_assets.updates.credit import licence_address


@dataclass(frozen=True)
class Provenance:
    """The provenance of a release.

    Attributes:
        published: Datasets and files of the archives, as entities.
        activities: The runs, as activities.
        by_path: Path of a table or store to the ids of the published files behind it, and that of the run.
        last_made: Day on which the last of it was made; None where no run is recorded.
    """

    published: list[dict[str, Any]]
    activities: list[dict[str, Any]]
    by_path: Mapping[str, tuple[tuple[str, ...], str | None]]
    last_made: str | None

    def of(self, one: Delivered) -> dict[str, Any]:
        """The properties of a file: what it was derived from, and what made it."""
        sources, run = self.by_path.get(one.path, ((), None))
        return {
            "prov:wasDerivedFrom": [{"@id": source} for source in sources],
            "prov:wasGeneratedBy": {"@id": run} if run else None,
        }


def provenance_of(release: Release, delivery: Sequence[Delivered]) -> Provenance:
    """The provenance of what a release delivers.

    Args:
        release: The release.
        delivery: Its tables and stores.
    """
    published = PublishedFiles(release.store)
    files = {one.path: _files(published, one, delivery) for one in delivery}
    every = {_id(file): file for found in files.values() for file in found}
    makings = [one.making for one in delivery if one.making is not None]
    datasets = dict.fromkeys(_dataset_id(file.dataset) for file in every.values())
    return Provenance(
        published=[*({"@id": name, "@type": "prov:Entity"} for name in datasets),
                   *(_entity(name, every[name]) for name in sorted(every))],
        activities=list({_run(one): _activity(one) for one in makings}.values()),
        by_path={one.path: (tuple(dict.fromkeys(map(_id, files[one.path]))), _run(one.making) if one.making else None)
                 for one in delivery},
        last_made=max(one.ended for one in makings).date().isoformat() if makings else None,
    )  # fmt: skip


def _files(published: PublishedFiles, one: Delivered, delivery: Iterable[Delivered]) -> tuple[PublishedFile, ...]:
    """The published files behind a table or store; of a table made of tables those behind these."""
    own = published.inputs(one.partition.release, one.name, one.partition.condition)
    if own or one.making is None:
        return own
    upstream = {other.path: other for other in delivery}
    found = [upstream[each.path] for each in one.making.inputs if each.path in upstream and each.path != one.path]
    behind = [
        file
        for other in found
        for file in published.inputs(other.partition.release, other.name, other.partition.condition)
    ]
    return tuple(dict.fromkeys(behind))


def _dataset_id(dataset: str) -> str:
    bare = dataset.removeprefix("doi:")
    return f"https://doi.org/{bare}" if bare.startswith("10.") else f"published/{bare}"


def _id(file: PublishedFile) -> str:
    """The address of a file, without what has no place in an id; else a name under its dataset."""
    return f"published/{file.dataset}/{file.file_id or file.path}".replace(" ", "%20")


def _entity(name: str, file: PublishedFile) -> dict[str, Any]:
    md5 = file.digest if file.digest_type == "MD5" else None
    stated = {
        "@id": name,
        "@type": "prov:Entity",
        "name": file.path,
        "identifier": file.file_id,
        "version": file.version,
        "isPartOf": {"@id": _dataset_id(file.dataset)},
        "url": file.url,
        "contentSize": f"{file.size} B" if file.size is not None else None,
        "md5": md5,
        "sha256": file.sha256,
        "license": (licence_address(file.license) or file.license) if file.license else None,
    }
    return {key: value for key, value in stated.items() if value}


def _run(making: Making) -> str:
    of = "/".join(filter(None, (making.asset, making.condition)))
    return f"run/{making.run_id}/{of}".replace(" ", "%20")


def _activity(making: Making) -> dict[str, Any]:
    software = making.software
    stated = {
        "@id": _run(making),
        "@type": "prov:Activity",
        "prov:label": f"{making.asset}, code version {making.code_version}" if making.code_version else making.asset,
        "prov:startedAtTime": making.started.isoformat() if making.started else None,
        "prov:endedAtTime": making.ended.isoformat(),
        "prov:wasAssociatedWith": {
            "@id": f"software/cm4ai_assets/{software.version}/{software.commit or software.environment}",
            "@type": "prov:SoftwareAgent",
            "prov:label": f"cm4ai_assets {software.version}, commit {software.commit or 'not known'}, Python "
            f"{software.python} on {software.system} {software.machine}",
        },
    }
    return {key: value for key, value in stated.items() if value}
