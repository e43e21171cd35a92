"""The archive's answers as types: dataset, version, file.

Every field is optional, because the server leaves out what is null and what its version does not know; unknown fields
are kept, and named by `unknown_fields` so that drift of the server is seen. Does not belong here: asking (`dataverse`),
and what a file means (`recognition`, `lock`). Source: protocol reference, sections 2.1 to 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _lenient_date(value: object) -> date | None:
    """A day, or None where the text is not one: a malformed date must not hide that there is an embargo."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value[:10])
        except ValueError:
            return None
    return value if isinstance(value, date) else None


def _lenient_time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        except (ValueError, OverflowError):  # the year 1 or 9999 has no other zone's time
            return None
    return value if isinstance(value, datetime) else None


Day = Annotated[date | None, BeforeValidator(_lenient_date)]
Time = Annotated[datetime | None, BeforeValidator(_lenient_time)]


Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A number that a table can hold. A negative size, id or version is no answer of this protocol."""


class _Answer(BaseModel):
    model_config = ConfigDict(
        extra="allow", frozen=True, populate_by_name=True, coerce_numbers_to_str=True, defer_build=True
    )


class Checksum(_Answer):
    """A digest and its algorithm, as written by the archive ("MD5", "SHA-1", "SHA-256", "SHA-512")."""

    type: str | None = None
    value: str | None = None


class Embargo(_Answer):
    """Not accessible before `date_available`."""

    date_available: Day = Field(default=None, alias="dateAvailable")
    reason: str | None = None


class Retention(_Answer):
    """Not accessible from `date_unavailable` on."""

    date_unavailable: Day = Field(default=None, alias="dateUnavailable")
    reason: str | None = None


class License(_Answer):
    """A licence chosen from the archive's list."""

    name: str | None = None
    uri: str | None = None


class DataFile(_Answer):
    """The bytes: id, size, digest, and the original upload where the archive made a tabular derivative of it."""

    id: Count | None = None
    filename: str | None = None
    content_type: str | None = Field(default=None, alias="contentType")
    filesize: Count | None = None
    description: str | None = None
    embargo: Embargo | None = None
    retention: Retention | None = None
    md5: str | None = None
    checksum: Checksum | None = None
    tabular_data: bool | None = Field(default=None, alias="tabularData")
    original_file_format: str | None = Field(default=None, alias="originalFileFormat")
    original_file_size: Count | None = Field(default=None, alias="originalFileSize")
    original_file_name: str | None = Field(default=None, alias="originalFileName")
    creation_date: Day = Field(default=None, alias="creationDate")


class File(_Answer):
    """A file's place in one version: its name, directory and access, and the bytes."""

    label: str | None = None
    directory_label: str | None = Field(default=None, alias="directoryLabel")
    description: str | None = None
    restricted: bool | None = None
    data_file: DataFile = Field(default=DataFile(), alias="dataFile")


class Version(_Answer):
    """One version of a dataset, with or without its files.

    `seen_on` is the archive's own day when it answered, set by the client: embargoes are compared with it, not with the
    clock of this machine.
    """

    id: Count | None = None
    dataset_id: Count | None = Field(default=None, alias="datasetId")
    dataset_persistent_id: str | None = Field(default=None, alias="datasetPersistentId")
    version_number: Count | None = Field(default=None, alias="versionNumber")
    version_minor_number: Count | None = Field(default=None, alias="versionMinorNumber")
    version_state: str | None = Field(default=None, alias="versionState")
    release_time: Time = Field(default=None, alias="releaseTime")
    last_update_time: Time = Field(default=None, alias="lastUpdateTime")
    publication_date: Day = Field(default=None, alias="publicationDate")
    version_note: str | None = Field(default=None, alias="versionNote")
    archive_note: str | None = Field(default=None, alias="archiveNote")
    deaccession_note: str | None = Field(default=None, alias="deaccessionNote")
    deaccession_link: str | None = Field(default=None, alias="deaccessionLink")
    license: License | str | None = None
    terms_of_use: str | None = Field(default=None, alias="termsOfUse")
    metadata_blocks: dict[str, Any] | None = Field(default=None, alias="metadataBlocks")
    files: list[File] | None = None
    seen_on: date | None = None

    @property
    def doi(self) -> str | None:
        """The dataset's persistent id with its scheme: "doi:10.18130/V3/F3TD5R"."""
        return self.dataset_persistent_id

    @property
    def number(self) -> str | None:
        """The version as people write it, "2.1"; None for a draft, which has no number."""
        if self.version_number is None:
            return None
        return f"{self.version_number}.{self.version_minor_number or 0}"

    @property
    def title(self) -> str | None:
        """The title in this version's citation metadata; None where the metadata was left out."""
        block = (self.metadata_blocks or {}).get("citation")
        fields = block.get("fields") if isinstance(block, dict) else None
        for field in fields if isinstance(fields, list) else []:
            if isinstance(field, dict) and field.get("typeName") == "title" and isinstance(field.get("value"), str):
                return str(field["value"])
        return None

    @property
    def license_text(self) -> str | None:
        """The licence's name (a string before 5.10, an object since), else the custom terms."""
        stated = self.license.name or self.license.uri if isinstance(self.license, License) else self.license
        return stated or self.terms_of_use

    @property
    def withdrawal(self) -> tuple[str | None, str | None]:
        """Why a deaccessioned version was withdrawn, and where to go instead; renamed in 6.6."""
        return self.deaccession_note or self.version_note, self.deaccession_link or self.archive_note


class Dataset(_Answer):
    """A dataset as a collection lists it: one DOI, published release after release."""

    id: Count | None = None
    type: str | None = None
    protocol: str | None = None
    authority: str | None = None
    separator: str | None = None
    identifier: str | None = None
    persistent_url: str | None = Field(default=None, alias="persistentUrl")
    publication_date: Day = Field(default=None, alias="publicationDate")
    dataset_type: str | None = Field(default=None, alias="datasetType")

    @property
    def doi(self) -> str | None:
        """The persistent id with its scheme, from its parts, else from the persistent URL."""
        if self.protocol and self.authority and self.identifier:
            # A PermaLink may have another separator, or none at all: "".
            separator = "/" if self.separator is None else self.separator
            return f"{self.protocol}:{self.authority}{separator}{self.identifier}"
        if self.persistent_url and "doi.org/" in self.persistent_url:
            return "doi:" + self.persistent_url.split("doi.org/", 1)[1]
        return None


# What servers 6.6 to 6.10 are known to send beside the fields read above; anything else is drift.
_KNOWN_UNREAD: dict[type[BaseModel], frozenset[str]] = {
    Dataset: frozenset({
        "publisher", "storageIdentifier", "metadataLanguage", "isPartOf", "latestVersion", "image_url", "guestbookId",
        "locks", "effectiveDatasetFileCountLimit",
    }),
    Version: frozenset({
        "storageIdentifier", "latestVersionPublishingState", "distributionDate", "productionDate", "UNF", "archiveTime",
        "createTime", "alternativePersistentId", "citationDate", "confidentialityDeclaration", "specialPermissions",
        "restrictions", "citationRequirements", "depositorRequirements", "conditions", "disclaimer", "termsOfAccess",
        "dataAccessPlace", "originalArchive", "availabilityStatus", "contactForAccess", "sizeOfCollection",
        "studyCompletion", "fileAccessRequest", "internalVersionNumber", "datasetType", "guestbookId", "isPartOf",
    }),
    File: frozenset({"version", "datasetVersionId", "categories"}),
    DataFile: frozenset({
        "persistentId", "pidURL", "friendlyType", "categories", "storageIdentifier", "originalFormatLabel", "UNF",
        "rootDataFileId", "previousDataFileId", "tabularTags", "publicationDate", "directoryLabel",
        "lastUpdateTime", "fileAccessRequest", "fileMetadataId", "varGroups",
    }),
    Checksum: frozenset(), Embargo: frozenset(), Retention: frozenset(),
    License: frozenset({"iconUri", "rightsIdentifier", "rightsIdentifierScheme", "schemeUri", "languageCode"}),
}  # fmt: skip


def unknown_fields(answer: BaseModel) -> Iterator[str]:
    """The fields of an answer that no known server sends, as "DataFile.name": a sign that the archive was upgraded."""
    known = _KNOWN_UNREAD.get(type(answer), frozenset())
    for name in sorted((answer.model_extra or {}).keys() - known):
        yield f"{type(answer).__name__}.{name}"
    for name in type(answer).model_fields:
        value = getattr(answer, name)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                yield from unknown_fields(part)
