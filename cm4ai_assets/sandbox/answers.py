"""The JSON of the Dataverse native API, made from a catalog as a guest of a 6.9 installation sees it.

Belongs here: shapes of answers. Does not belong here: HTTP (`server`). Shapes: protocol reference, sections 2 and 3;
like the real server, keys without a value are left out, so nothing here writes null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cm4ai_assets.sandbox.catalog import Catalog, DataFile, Dataset, Entry, Version

Json = dict[str, Any]

VERSION = {"version": "6.9", "build": "2027-e2021d3"}
PUBLISHER = "CM4AI Sandbox Dataverse"
_LICENSE = {
    "name": "CC BY-NC-SA 4.0",
    "uri": "http://creativecommons.org/licenses/by-nc-sa/4.0",
    "iconUri": "https://licensebuttons.net/l/by-nc-sa/4.0/88x31.png",
    "rightsIdentifier": "CC-BY-NC-SA-4.0",
    "rightsIdentifierScheme": "SPDX",
    "schemeUri": "https://spdx.org/licenses/",
    "languageCode": "en",
}
_FRIENDLY = {
    "application/zip": "ZIP Archive",
    "text/html": "HTML",
    "application/json": "JSON",
    "text/plain": "Plain Text",
    "text/comma-separated-values": "Comma Separated Values",
}


class View:
    """A catalog at a moment: versions released later do not exist yet."""

    def __init__(self, catalog: Catalog, until: datetime | None) -> None:
        self._catalog, self._until = catalog, until
        self._files = {file.id: file for file in catalog.files}
        self.alias, self.collection = catalog.alias, catalog.collection
        self.datasets = [dataset for dataset in catalog.datasets if self.versions(dataset)]

    def versions(self, dataset: Dataset) -> list[Version]:
        """The released versions, newest first."""
        return [v for v in reversed(dataset.versions) if self._until is None or v.released <= self._until]

    def dataset(self, doi: str) -> Dataset | None:
        """The dataset with that persistent id."""
        return next((dataset for dataset in self.datasets if dataset.doi == doi), None)

    def version(self, dataset: Dataset, spec: str) -> Version | None:
        """The version meant by `:latest`, `:latest-published`, `x.y` or `x` (which is `x.0`)."""
        if spec in {":latest", ":latest-published"}:
            return self.versions(dataset)[0]
        wanted = spec if "." in spec else f"{spec}.0"
        return next((v for v in self.versions(dataset) if f"{v.major}.{v.minor}" == wanted), None)

    def file(self, number: int) -> tuple[DataFile, str] | None:
        """A published file and its latest name, which is the one in download headers."""
        for dataset in self.datasets:
            for version in self.versions(dataset):
                for entry in version.entries:
                    if entry.file_id == number:
                        return self._files[number], entry.label
        return None

    def dataset_json(self, dataset: Dataset) -> Json:
        """A dataset without `latestVersion`; with a type, it is a row of a collection's contents."""
        return {
            "id": dataset.id,
            "identifier": dataset.identifier,
            "persistentUrl": _url(dataset),
            "protocol": "doi",
            "authority": dataset.authority,
            "separator": "/",
            "publisher": PUBLISHER,
            "publicationDate": dataset.published.isoformat(),
            "storageIdentifier": f"file://{dataset.authority}/{dataset.identifier}",
            "datasetType": "dataset",
        }

    def version_json(self, dataset: Dataset, version: Version, *, files: bool = True, metadata: bool = True) -> Json:
        """`GET /datasets/:persistentId/versions/{spec}`."""
        shown: Json = {
            "id": version.id,
            "datasetId": dataset.id,
            "datasetPersistentId": dataset.doi,
            "storageIdentifier": f"file://{dataset.authority}/{dataset.identifier}",
            "versionNumber": version.major,
            "versionMinorNumber": version.minor,
            "versionState": "RELEASED",
            "latestVersionPublishingState": "RELEASED",
            "lastUpdateTime": _time(version.released),
            "releaseTime": _time(version.released),
            "createTime": _time(version.created),
            "publicationDate": dataset.published.isoformat(),
            "citationDate": dataset.published.isoformat(),
            "license": _LICENSE,
            "fileAccessRequest": True,
            "internalVersionNumber": 4,
            "datasetType": "dataset",
        }
        if metadata:
            shown["metadataBlocks"] = {"citation": _citation(dataset, version)}
        if files:
            shown["files"] = self.files_json(version)
        return shown

    def files_json(self, version: Version) -> list[Json]:
        """The files of a version, by name as the server sorts them."""
        ordered = sorted(version.entries, key=lambda entry: (entry.directory, entry.label))
        return [_file(entry, self._files[entry.file_id], version) for entry in ordered]

    def found(self) -> list[Json]:
        """What a search for datasets finds, the latest major version first: the index does not move for minor ones."""
        items = [self._item(dataset) for dataset in self.datasets]
        return sorted(items, key=lambda item: str(item["published_at"]), reverse=True)

    def _item(self, dataset: Dataset) -> Json:
        latest = self.versions(dataset)[0]
        major = min((v for v in self.versions(dataset) if v.major == latest.major), key=lambda v: v.minor)
        cited = f'Painter S, {dataset.published.year}, "{dataset.title}", {_url(dataset)}, {PUBLISHER}, V{latest.major}'
        return {
            "name": dataset.title,
            "type": "dataset",
            "url": _url(dataset),
            "global_id": dataset.doi,
            "description": latest.description,
            "published_at": _time(major.released),
            "publisher": self.collection,
            "citationHtml": cited,
            "identifier_of_dataverse": self.alias,
            "name_of_dataverse": self.collection,
            "citation": cited,
            "publicationStatuses": ["Published"],
            "storageIdentifier": f"file://{dataset.authority}/{dataset.identifier}",
            "keywords": ["CM4AI"],
            "subjects": ["Medicine, Health and Life Sciences"],
            "fileCount": len(latest.entries),
            "versionId": latest.id,
            "versionState": "RELEASED",
            "majorVersion": latest.major,
            "minorVersion": latest.minor,
            "createdAt": _time(dataset.versions[0].created),
            "updatedAt": _time(latest.released),
            "contacts": [{"name": "Sandbox A", "affiliation": "Synthetic"}],
            "authors": ["Painter S"],
        }

    def collection_json(self) -> Json:
        """`GET /dataverses/{alias}`."""
        return {
            "id": 4242,
            "alias": self.alias,
            "name": self.collection,
            "dataverseContacts": [{"displayOrder": 0, "contactEmail": "sandbox@example.org"}],
            "permissionRoot": True,
            "dataverseType": "RESEARCH_PROJECTS",
            "isMetadataBlockRoot": False,
            "isFacetRoot": False,
            "ownerId": 77,
            "creationDate": "2024-05-01T12:00:00Z",
            "isReleased": True,
        }


def is_open(file: DataFile, now: datetime) -> bool:
    """Whether a guest may have the bytes: not restricted, and not under an embargo that still runs."""
    return not file.restricted and (file.embargo is None or file.embargo.available <= now.date())


def _file(entry: Entry, file: DataFile, version: Version) -> Json:
    shown: Json = {"description": entry.description} if entry.description else {}
    shown |= {"label": entry.label, "restricted": file.restricted}
    if entry.directory:
        shown["directoryLabel"] = entry.directory
    shown |= {"version": 1, "datasetVersionId": version.id}
    data: Json = {
        "id": file.id,
        "persistentId": "",
        "filename": entry.label,
        "contentType": file.content_type,
        "friendlyType": _FRIENDLY.get(file.content_type, "RO-Crate metadata"),
        "filesize": file.size,
        **({"description": entry.description} if entry.description else {}),
        "storageIdentifier": f"file://19a{file.id:09x}-{file.md5[:12]}",
        "rootDataFileId": -1,
        "md5": file.md5,
        "checksum": {"type": "MD5", "value": file.md5},
        "tabularData": False,
        "creationDate": file.created.isoformat(),
        "publicationDate": file.published.isoformat(),
        "fileAccessRequest": True,
    }
    if entry.directory:
        data["directoryLabel"] = entry.directory
    data["lastUpdateTime"] = _time(version.released)
    if file.embargo:
        data["embargo"] = {"dateAvailable": file.embargo.available.isoformat(), "reason": file.embargo.reason}
    return {**shown, "dataFile": data}


def _citation(dataset: Dataset, version: Version) -> Json:
    return {
        "displayName": "Citation Metadata",
        "name": "citation",
        "fields": [
            _field("title", dataset.title),
            _compounds("author", [{"authorName": "Painter S", "authorAffiliation": "Synthetic"}]),
            _compounds("datasetContact", [{"datasetContactName": "Sandbox A", "datasetContactAffiliation": "None"}]),
            _compounds("dsDescription", [{"dsDescriptionValue": version.description}]),
            {"typeName": "subject", "multiple": True, "typeClass": "controlledVocabulary",
             "value": ["Medicine, Health and Life Sciences"]},
            _compounds("keyword", [{"keywordValue": word} for word in ("AI", "CM4AI", "MDA-MB-468", "SEC-MS")]),
            _compounds("grantNumber", [{"grantNumberAgency": "None", "grantNumberValue": "synthetic"}]),
            _field("dateOfDeposit", dataset.published.isoformat()),
        ],
    }  # fmt: skip


def _field(name: str, value: str) -> Json:
    return {"typeName": name, "multiple": False, "typeClass": "primitive", "value": value}


def _compounds(name: str, values: Iterable[Mapping[str, str]]) -> Json:
    filled = [{key: _field(key, text) for key, text in value.items()} for value in values]
    return {"typeName": name, "multiple": True, "typeClass": "compound", "value": filled}


def _url(dataset: Dataset) -> str:
    return f"https://doi.org/{dataset.authority}/{dataset.identifier}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
