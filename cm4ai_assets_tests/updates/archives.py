"""Archives that differ from the embedded one: with further versions, other access, or versions that were withdrawn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.catalog import Catalog, DataFile, Dataset, Entry, Version
from cm4ai_assets.sandbox.exchange import Answer, Fault, Request, json_answer

Entries = Callable[[tuple[Entry, ...]], Iterable[Entry]]


def with_version(
    archive: Path, folder: Path, dataset_version: str, entries: Entries, files: Iterable[DataFile] = ()
) -> Path:
    """A copy of an archive in which a dataset has one more version (`B3SBXX 1.2`), a day after its last."""
    catalog = Catalog.load(archive)
    suffix, number = dataset_version.split()
    major, minor = map(int, number.split("."))
    datasets = []
    for dataset in catalog.datasets:
        last = dataset.versions[-1]
        if dataset.identifier.endswith(suffix):
            more = Version(
                id=last.id + 1, major=major, minor=minor, created=last.created,
                released=last.released + timedelta(days=1), description=last.description,
                entries=tuple(entries(last.entries)),
            )  # fmt: skip
            datasets.append(dataset.model_copy(update={"versions": (*dataset.versions, more)}))
        else:
            datasets.append(dataset)
    return _saved(catalog, archive, folder, datasets, files)


def _saved(catalog: Catalog, archive: Path, folder: Path, datasets: list[Dataset], files: Iterable[DataFile]) -> Path:
    folder.mkdir()
    (folder / "files").symlink_to(archive / "files")
    new = {file.id: file for file in files}
    kept = tuple(file for file in catalog.files if file.id not in new)
    catalog.model_copy(update={"datasets": tuple(datasets), "files": (*kept, *new.values())}).save(folder)
    return folder


def file_of(archive: Path, number: int) -> DataFile:
    """A file of an archive."""
    return next(file for file in Catalog.load(archive).files if file.id == number)


def released(archive: Path, suffix: str, number: str) -> datetime:
    """When a version came out."""
    return next(
        version.released
        for dataset in Catalog.load(archive).datasets
        for version in dataset.versions
        if dataset.identifier.endswith(suffix) and f"{version.major}.{version.minor}" == number
    )


def altering(server: SandboxServer, change: Callable[[Request, Any], Any]) -> Fault:
    """A fault that lets the archive answer and changes the JSON; None from `change` leaves the answer as it is."""

    def fault(request: Request) -> Answer | None:
        if request.path.startswith("/access/"):
            return None
        answer = server.answer(request)
        if answer.status != HTTPStatus.OK:
            return None
        changed = change(request, json.loads(b"".join(answer.body)))
        return None if changed is None else json_answer(HTTPStatus.OK, changed)

    return fault


def withdrawing(server: SandboxServer, doi: str, number: str, *, note: str, link: str) -> Fault:
    """A version that was deaccessioned: not listed, not found, and explained to who asks for such versions."""
    major, minor = map(int, number.split("."))

    def fault(request: Request) -> Answer | None:
        if request.query.get("persistentId") != doi:
            return None
        if request.path.endswith("/versions"):
            listed = json.loads(b"".join(server.answer(request).body))
            listed["data"] = [
                version
                for version in listed["data"]
                if (version["versionNumber"], version["versionMinorNumber"]) != (major, minor)
            ]
            return json_answer(HTTPStatus.OK, listed)
        if not request.path.endswith(f"/versions/{number}"):
            return None
        if request.query.get("includeDeaccessioned") != "true":
            told = {"status": "ERROR", "message": f"Dataset version {number} of dataset 1 not found"}
            return json_answer(HTTPStatus.NOT_FOUND, told)
        version = json.loads(b"".join(server.answer(request).body))
        version["data"] |= {"versionState": "DEACCESSIONED", "deaccessionNote": note, "deaccessionLink": link}
        version["data"].pop("files", None)
        return json_answer(HTTPStatus.OK, version)

    return fault
