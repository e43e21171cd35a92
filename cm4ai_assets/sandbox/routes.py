"""What the archive answers: every path of the native and access API that a reader of releases needs.

Belongs here: paths, parameters, refusals. Does not belong here: the shape of data (`answers`) and sockets (`server`).
Messages and their quirks: protocol reference, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cm4ai_assets.sandbox import figshare_routes, landing, massive_routes, sra_routes
from cm4ai_assets.sandbox.answers import VERSION, View, is_open
from cm4ai_assets.sandbox.catalog import Catalog, Dataset, Version
from cm4ai_assets.sandbox.exchange import Answer, Request, json_answer, slices

_HELP = "Please check your code for typos, or consult our API guide at http://guides.dataverse.org."
_UNKNOWN = f"API endpoint does not exist on this server. {_HELP}"
_FORBIDDEN = f"Not authorized to access this object via this API endpoint. {_HELP}"
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
_RANGE_ERROR = "Error due to Range header: "
_RANGE_FORM = "The format is bytes=<range-start>-<range-end> where start and end are optional."
_ORDERS = {"NameAZ": ("label", False), "NameZA": ("label", True), "Newest": ("creationDate", True),
           "Oldest": ("creationDate", False), "Size": ("filesize", False), "Type": ("contentType", False)}  # fmt: skip
_MAX_PER_PAGE = 1000


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """An answer that ends a request early."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Archive:
    """The archive behind a directory: answers requests, as of `until` where that is set."""

    def __init__(self, directory: Path, *, token: str | None = None) -> None:
        self._directory, self._token = directory, token
        self._catalog = Catalog.load(directory)
        self.until: datetime | None = None

    def answer(self, request: Request, base: str) -> Answer:
        """The answer to a request; `base` is the server's own URL, which some messages repeat."""
        try:
            return (
                massive_routes.answer(request)
                or figshare_routes.answer(request, base)
                or sra_routes.answer(request, base)
                or self._answer(request)
            )
        except Refusal as refusal:
            return refusal.answer
        except (LookupError, ValueError):  # a parameter of the wrong type is answered like an unknown path
            status, message = HTTPStatus.NOT_FOUND, _UNKNOWN
        except PermissionError:
            status, message = HTTPStatus.FORBIDDEN, _FORBIDDEN
        except NotImplementedError:
            status = HTTPStatus.METHOD_NOT_ALLOWED
            message = "API endpoint does not support this method. Consult our API guide at http://guides.dataverse.org."
        url = f"{base}/api/v1{request.path}"
        return json_answer(status, {"status": "ERROR", "code": int(status), "message": message, "requestUrl": url,
                                    "requestMethod": request.method})  # fmt: skip

    def _answer(self, request: Request) -> Answer:
        if request.method not in {"GET", "HEAD"}:
            raise NotImplementedError
        key = request.headers.get("x-dataverse-key")
        if key is not None and key != self._token:
            raise _refusal(HTTPStatus.UNAUTHORIZED, "Bad API key")
        view = View(self._catalog, self.until)
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["info", "version"]:
                return _ok(VERSION)
            case ["dataverses", alias] if alias == view.alias:
                return _ok(view.collection_json())
            case ["dataverses", alias, "contents"] if alias == view.alias:
                return _ok([{**view.dataset_json(dataset), "type": "dataset"} for dataset in view.datasets])
            case ["dataverses", alias, *_]:
                raise _refusal(HTTPStatus.NOT_FOUND, f"Can't find dataverse with identifier='{alias}'")
            case ["search"]:
                return _search(view, request.query)
            case ["datasets", identifier, *rest]:
                return _dataset(view, identifier, rest, request.query)
            case ["access", "datafile", number] if number.isdecimal():
                return self._file(view, int(number), request)
        raise LookupError(request.path)

    def _file(self, view: View, number: int, request: Request) -> Answer:
        found = view.file(number)
        if found is None:
            raise LookupError(number)
        file, label = found
        trusted = self._token is not None and request.headers.get("x-dataverse-key") == self._token
        if not trusted and not is_open(file, self.until or datetime.now(UTC)):
            raise PermissionError(number)
        path = self._directory / file.path
        if not path.is_file():
            raise _refusal(HTTPStatus.NOT_FOUND, f"Datafile {number}: Failed to locate and/or open physical file.", 404)
        name = quote(label)
        headers = {
            "Content-disposition": f'attachment; filename="{name}"',
            "Content-Type": f'{file.content_type}; name="{name}"',
        }
        counted = request.query.get("gbrecs") != "true"
        asked = request.headers.get("range")
        if asked is None:
            # A plain 200 tells neither Accept-Ranges nor a validator.
            return Answer(HTTPStatus.OK, headers, slices(path, 0, file.size), file.size, counted)
        start, stop = _span(asked, file.size)
        headers |= {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{stop - 1}/{file.size}"}
        body = slices(path, start, stop - start)
        return Answer(HTTPStatus.PARTIAL_CONTENT, headers, body, stop - start, counted)


def _span(header: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last, of the single range that the real server takes."""
    if "," in header:
        raise _range_refusal("Only one range is allowed.")
    match = _RANGE.match(header.strip())
    if match is None or match[1] == match[2] == "":
        raise _range_refusal(_RANGE_FORM)
    if match[1]:
        start, stop = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    else:
        start, stop = max(size - int(match[2]), 0), size
    if start >= stop:
        raise _range_refusal("Start is larger than end or size of file.")
    return start, stop


def _dataset(view: View, identifier: str, rest: list[str], query: Mapping[str, str]) -> Answer:
    if identifier == "export":
        return _export(view, query)
    if identifier == ":persistentId":
        doi = query.get("persistentId", "")
        dataset = view.dataset(doi)
        missing = f"Dataset with Persistent ID {doi} not found."
    else:
        dataset = next((d for d in view.datasets if str(d.id) == identifier), None)
        missing = f"Dataset with ID {identifier} not found."
    if dataset is None:
        raise _refusal(HTTPStatus.NOT_FOUND, missing)
    wanted = {"files": query.get("excludeFiles") != "true", "metadata": query.get("excludeMetadataBlocks") != "true"}
    match rest:
        case []:
            latest = view.version_json(dataset, view.versions(dataset)[0], **wanted)
            return _ok({**view.dataset_json(dataset), "latestVersion": latest})
        case ["versions"]:
            every = [view.version_json(dataset, version, **wanted) for version in view.versions(dataset)]
            return _ok(every[_page(query)])
        case ["versions", spec]:
            return _ok(view.version_json(dataset, _version(view, dataset, spec), **wanted))
        case ["versions", spec, "files"]:
            return _files(view, _version(view, dataset, spec), query)
    raise LookupError(rest)


def _export(view: View, query: Mapping[str, str]) -> Answer:
    dataset = view.dataset(query.get("persistentId", ""))
    if dataset is None:
        raise _refusal(HTTPStatus.NOT_FOUND, "A dataset with that persistent identifier could not be found.")
    if query.get("exporter") != "schema.org":
        raise _refusal(HTTPStatus.FORBIDDEN, "Export Failed")
    latest = view.version_json(dataset, view.versions(dataset)[0])
    return json_answer(HTTPStatus.OK, landing.json_ld(dataset.title, latest))


def _version(view: View, dataset: Dataset, spec: str) -> Version:
    if spec == ":draft":
        raise _refusal(HTTPStatus.UNAUTHORIZED, "User :guest is not permitted to perform requested action.")
    version = view.version(dataset, spec)
    if version is None:
        raise _refusal(HTTPStatus.NOT_FOUND, f"Dataset version {spec} of dataset {dataset.id} not found")
    return version


def _files(view: View, version: Version, query: Mapping[str, str]) -> Answer:
    order = query.get("orderCriteria", "NameAZ")
    if order not in _ORDERS:
        raise _refusal(HTTPStatus.BAD_REQUEST, f"Invalid order criteria: {order}")
    key, falling = _ORDERS[order]
    files = sorted(view.files_json(version), key=lambda file: {**file["dataFile"], **file}[key], reverse=falling)
    body = {"status": "OK", "totalCount": len(files), "data": files[_page(query)]}
    return json_answer(HTTPStatus.OK, body)


def _search(view: View, query: Mapping[str, str]) -> Answer:
    if "q" not in query:
        raise _refusal(HTTPStatus.BAD_REQUEST, "q parameter is missing")
    here = query.get("subtree", view.alias) == view.alias and query.get("type", "dataset") == "dataset"
    items = view.found() if here else []
    if query.get("order", "desc") == "asc":
        items.reverse()
    start, size = int(query.get("start", 0)), min(int(query.get("per_page", 10)), _MAX_PER_PAGE)
    shown = items[start : start + size]
    return _ok({"q": query["q"], "total_count": len(items), "start": start, "spelling_alternatives": {}, "items": shown,
                "count_in_response": len(shown)})  # fmt: skip


def _page(query: Mapping[str, str]) -> slice:
    offset = int(query.get("offset", 0))
    return slice(offset, offset + int(query["limit"]) if "limit" in query else None)


def _ok(data: Any) -> Answer:  # noqa: ANN401 - any JSON
    return json_answer(HTTPStatus.OK, {"status": "OK", "data": data})


def _refusal(status: HTTPStatus, message: str, code: int | None = None) -> Refusal:
    stated = {} if code is None else {"code": code}
    return Refusal(json_answer(status, {"status": "ERROR", **stated, "message": message}))


def _range_refusal(reason: str) -> Refusal:
    return _refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, _RANGE_ERROR + reason, 416)
