"""What the sandbox answers where ENA and NCBI would: the file report, the run table, the Data Locator, and files.

Belongs here: paths and parameters (protocol reference, section 5). Does not belong here: which runs there are (`sra`).
"""

from __future__ import annotations

from http import HTTPStatus

from cm4ai_assets.sandbox import sra
from cm4ai_assets.sandbox.exchange import Answer, Request, body_answer, json_answer, piece

_UTILITIES = ("outside", "entrez", "eutils")


def answer(request: Request, base: str) -> Answer | None:
    """The answer to a request for a sequence archive; None for any other."""
    parts, query = [part for part in request.path.split("/") if part], request.query
    match parts:
        case ["outside", "ena", "portal", "api", "filereport"]:
            known = query.get("accession") == sra.PROJECT
            return json_answer(HTTPStatus.OK, sra.file_report(base.partition("://")[2]) if known else [])
        case [*_, "esearch.fcgi"] if tuple(parts[:3]) == _UTILITIES:
            known = query.get("term") == f"{sra.PROJECT}[BioProject]"
            return json_answer(HTTPStatus.OK, _search(sum(1 for _ in sra.public()) if known else 0))
        case [*_, "efetch.fcgi"] if tuple(parts[:3]) == _UTILITIES:
            return body_answer(HTTPStatus.OK, sra.run_info(), "text/csv")
        case ["outside", "sdl", "2", "retrieve"]:
            return json_answer(HTTPStatus.OK, sra.location(query.get("acc", ""), base))
        case ["outside", "vol1", "fastq", _, name] | ["outside", "sra-pub-run-odp", "sra", _, name]:
            content = sra.file(name)
            if content is None:
                return body_answer(HTTPStatus.NOT_FOUND, b"<html><body>Not Found</body></html>", "text/html")
            return piece(content, request.headers.get("range"), {"Content-Type": "application/octet-stream"})
    return None


def _search(count: int) -> dict[str, object]:
    found = {"count": str(count), "retmax": "0", "retstart": "0", "querykey": "1", "webenv": "MCID_sandbox",
             "idlist": [], "translationset": [], "querytranslation": f"{sra.PROJECT}[BioProject]"}  # fmt: skip
    return {"header": {"type": "esearch", "version": "0.3"}, "esearchresult": found}
