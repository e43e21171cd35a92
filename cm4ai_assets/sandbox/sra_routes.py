"""What the sandbox answers where ENA and NCBI would: the file report, the run table, the Data Locator, and files.

Belongs here: paths and parameters (protocol reference, section 5). Does not belong here: which runs there are (`sra`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from cm4ai_assets.sandbox import sra
from cm4ai_assets.sandbox.exchange import Answer, Request, body_answer, json_answer, piece


def answer(request: Request, base: str) -> Answer | None:
    """The answer to a request for a sequence archive; None for any other."""
    parts = [part for part in request.path.split("/") if part]
    match parts:
        case ["outside", "vol1", "fastq", _, name] | ["outside", "sra-pub-run-odp", "sra", _, name]:
            return _file(name, request)
        case ["outside", "entrez", "eutils", "efetch.fcgi"]:
            return body_answer(HTTPStatus.OK, sra.run_info(), "text/csv")
    found = _json(parts, request, base)
    return None if found is None else json_answer(HTTPStatus.OK, found)


def _json(parts: list[str], request: Request, base: str) -> dict[str, Any] | list[dict[str, str]] | None:
    match parts:
        case ["outside", "ena", "portal", "api", "filereport"]:
            known = request.query.get("accession") == sra.PROJECT
            return sra.file_report(base.partition("://")[2]) if known else []
        case ["outside", "entrez", "eutils", "esearch.fcgi"]:
            known = request.query.get("term") == f"{sra.PROJECT}[BioProject]"
            return _search(sum(1 for _ in sra.public()) if known else 0)
        case ["outside", "sdl", "2", "retrieve"]:
            return sra.location(request.query.get("acc", ""), base)
    return None


def _file(name: str, request: Request) -> Answer:
    content = sra.file(name)
    if content is None:
        return body_answer(HTTPStatus.NOT_FOUND, b"<html><body>Not Found</body></html>", "text/html")
    return piece(content, request.headers.get("range"), {"Content-Type": "application/octet-stream"})


def _search(count: int) -> dict[str, Any]:
    found = {"count": str(count), "retmax": "0", "retstart": "0", "querykey": "1", "webenv": "MCID_sandbox",
             "idlist": [], "translationset": [], "querytranslation": f"{sra.PROJECT}[BioProject]"}  # fmt: skip
    return {"header": {"type": "esearch", "version": "0.3"}, "esearchresult": found}
