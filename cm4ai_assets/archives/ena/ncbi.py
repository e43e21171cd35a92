"""NCBI: the runs of a project (E-utilities), and where the files of one run are (SRA Data Locator).

Belongs here: these calls, and whether their answers are some. Does not belong here: what a report means (`reports`).

NCBI grants three requests a second to each address, so all processes of this machine share them. What costs money or
has to be brought back from cold storage first is never followed (protocol reference, section 5).
"""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cm4ai_assets.archives.ena.reports import RunFile, RunReport, day_in, whole_number
from cm4ai_assets.coordination import among
from cm4ai_assets.errors import ArchiveError
from cm4ai_assets.identifiers import SRA_RUN
from cm4ai_assets.settings import NCBI_URL
from cm4ai_assets.transfer.api_client import ApiClient
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError
from cm4ai_assets.transfer.http import HttpClient, Timeouts
from cm4ai_assets.transfer.origins import is_loopback_http
from cm4ai_assets.transfer.rate_limit import RateLimit
from cm4ai_assets.transfer.refusals import Service
from cm4ai_assets.transfer.retries import RetryPolicy

LOCATOR_URL = "https://locate.ncbi.nlm.nih.gov"
PER_SECOND = 3.0
LOCATED_AT_MOST = 300
"""Runs whose files are looked up one by one in one step: some two minutes."""

_SERVICE = Service("CM4AI_NCBI_URL", refusal=("error",))
_UTILITIES = "/entrez/eutils"
_COLUMNS = ("Run", "ReleaseDate", "spots", "bases", "Experiment", "LibraryName", "LibraryStrategy", "LibraryLayout")
_MD5 = re.compile("[0-9a-f]{32}")
_FOUND, _ABSENT = 200, 404


class NcbiClient(ApiClient):
    """Asks NCBI, anonymously.

    Args:
        base_url: The server of the E-utilities; with another one than NCBI's own, that of the Data Locator too.
        shared: Folder by which processes share NCBI's allowance, if no database does; None for one that is alone.
        retries: Retry policy.
        timeouts: Seconds to wait for a connection and for the next bytes.
        sleep: What to wait with.
        per_second: Requests a second.
    """

    def __init__(
        self,
        base_url: str = NCBI_URL,
        *,
        shared: Path | None = None,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
        per_second: float = PER_SECOND,
    ) -> None:
        limit = RateLimit(among(shared), per_second=per_second, retries=retries, sleep=sleep) if shared else None
        locator = LOCATOR_URL if base_url.rstrip("/") == NCBI_URL else base_url
        self._utilities, self._locator = (
            HttpClient(url, rate_limit=limit, retries=retries, timeouts=timeouts, sleep=sleep, service=_SERVICE)
            for url in (base_url, locator)
        )
        super().__init__(self._utilities, self._locator)

    def runs(self, project: str) -> list[RunReport]:
        """The runs of a project that are public, sorted by accession, without files; none of an unknown project.

        Raises:
            ProtocolError: An answer is not what was asked for.
            ArchiveError: NCBI could not be asked.
        """
        term = {"db": "sra", "term": f"{project}[BioProject]", "retmode": "json", "usehistory": "y", "retmax": "0"}
        body = self._utilities.json(f"{_UTILITIES}/esearch.fcgi", term).body
        result = body.get("esearchresult") if isinstance(body, dict) else None
        if not isinstance(result, dict) or "ERROR" in result or whole_number(str(result.get("count", ""))) is None:
            raise ProtocolError(f"NCBI's search for {project} gave no result: {result}.")
        if int(result["count"]) == 0:
            return []
        history = {"db": "sra", "query_key": str(result.get("querykey", "")), "WebEnv": str(result.get("webenv", "")),
                   "rettype": "runinfo", "retmode": "text"}  # fmt: skip
        text = self._utilities.text(f"{_UTILITIES}/efetch.fcgi", history)
        return sorted(_run_info(text, project), key=lambda report: report.run)

    def located(self, run: str) -> tuple[RunFile, ...]:
        """The files of a run that can be fetched for nothing; none where there are some at cost only.

        Raises:
            NotFoundError: NCBI does not know the run, or it is not public.
            ProtocolError: The answer is not what was asked for.
            ArchiveError: NCBI could not be asked.
        """
        params = {"acc": run, "accept-alternate-locations": "yes"}
        body = self._locator.json("/sdl/2/retrieve", params).body
        bundles = body.get("result") if isinstance(body, dict) else None
        own = (
            [one for one in bundles if isinstance(one, dict) and one.get("bundle") == run]
            if isinstance(bundles, list)
            else []
        )
        if len(own) != 1:
            raise ProtocolError(f"The SRA Data Locator's answer for {run} does not describe it.")
        status = own[0].get("status")
        if status == _ABSENT:
            raise NotFoundError(f"The SRA Data Locator does not have {run}: {own[0].get('msg', 'no message')}")
        if status != _FOUND:
            raise ProtocolError(f"The SRA Data Locator answered {status} for {run}: {own[0].get('msg', 'no message')}")
        return tuple(_located(own[0].get("files"), run))


def located(
    reports: Sequence[RunReport] | None, with_files: Container[str], client: NcbiClient
) -> tuple[list[RunReport] | None, list[str]]:
    """NCBI's reports with the files of those runs of which nobody else has any, and what is to be known of the others.

    Args:
        reports: What NCBI lists; None where it could not be asked.
        with_files: Runs whose files are known from elsewhere.
        client: NCBI.
    """
    found, notes = [], []
    wanted = [report.run for report in reports or () if report.run not in with_files]
    for report in reports or ():
        files: tuple[RunFile, ...] = ()
        if report.run in wanted[:LOCATED_AT_MOST]:
            try:
                files = client.located(report.run)
                notes += [] if files else [f"NCBI offers {report.run} at cost only, which is never followed."]
            except ArchiveError as error:
                notes.append(f"The files of {report.run} are not known: {error}")
        found.append(replace(report, files=files))
    if len(wanted) > LOCATED_AT_MOST:
        notes.append(
            f"NCBI was asked for the files of {LOCATED_AT_MOST} runs; {len(wanted) - LOCATED_AT_MOST} are left."
        )
    return (None if reports is None else found), notes


def _run_info(text: str, project: str) -> Iterator[RunReport]:
    """The rows of a runinfo table, which ends with blank lines and repeats its header where answers were joined."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if absent := [name for name in _COLUMNS if name not in (reader.fieldnames or ())]:
        raise ProtocolError(f"NCBI's run table of {project} has no column {absent[0]}.")
    seen = set()
    try:
        for row in reader:
            run = (row["Run"] or "").strip()
            if not run or run == "Run" or run in seen:
                continue
            if not SRA_RUN.fits(run):
                raise ProtocolError(f"NCBI's run table of {project} has {run!r} in the place of a run.")
            seen.add(run)
            yield _report(run, row)
    except csv.Error as error:
        raise ProtocolError(f"NCBI's run table of {project} is not CSV: {error}.") from error


def _report(run: str, row: Mapping[str, str]) -> RunReport:
    return RunReport(
        run=run,
        archive="ncbi",
        experiment=row.get("Experiment") or "",
        sample=row.get("BioSample") or row.get("Sample") or "",
        names=tuple(row[name] for name in ("LibraryName", "SampleName") if row.get(name)),
        strategy=row.get("LibraryStrategy") or "",
        layout=row.get("LibraryLayout") or "",
        spots=whole_number(row.get("spots")),
        bases=whole_number(row.get("bases")),
        public_since=day_in(row.get("ReleaseDate")),
    )


def _located(files: object, run: str) -> Iterator[RunFile]:
    for file in files if isinstance(files, list) else []:
        if not isinstance(file, dict):
            raise ProtocolError(f"The SRA Data Locator's files of {run} are of another shape.")
        link = next((way["link"] for way in file.get("locations") or [] if _is_free(way)), None)
        size, md5 = whole_number(str(file.get("size", ""))), str(file.get("md5") or "").lower()
        if link is not None:
            yield RunFile("sra", str(file.get("name") or run), link, size, md5 if _MD5.fullmatch(md5) else None)


def _is_free(way: Any) -> bool:  # noqa: ANN401 - whatever was sent
    """Whether a location is an address that answers at once, to anybody, for nothing."""
    if not isinstance(way, dict) or way.get("payRequired") or way.get("rehydrationRequired"):
        return False
    link = str(way.get("link", ""))
    return link.startswith("https://") or is_loopback_http(link)
