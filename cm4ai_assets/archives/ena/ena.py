"""The European Nucleotide Archive: the file report of a project.

Belongs here: that one call, and whether its answer is one. Does not belong here: what a report means (`reports`), and
transferring files (`acquire`). All values of the answer are texts, and the order of columns is not promised (protocol
reference, section 5).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from cm4ai_assets.archives.ena.reports import KINDS, RunFile, RunReport, day_in, files_of, whole_number
from cm4ai_assets.identifiers import SRA_RUN
from cm4ai_assets.settings import ENA_URL
from cm4ai_assets.transfer.api_client import ApiClient
from cm4ai_assets.transfer.errors import ProtocolError
from cm4ai_assets.transfer.http import HttpClient, Timeouts
from cm4ai_assets.transfer.pieces import HttpFile
from cm4ai_assets.transfer.refusals import Service
from cm4ai_assets.transfer.retries import RetryPolicy

_SERVICE = Service("CM4AI_ENA_URL")
_NAMES = ("library_name", "sample_alias", "sample_title", "experiment_title")
_FIELDS = (
    "run_accession", "experiment_accession", "sample_accession", "library_strategy", "library_layout", "read_count",
    "base_count", "first_public", *_NAMES, *(f"{kind}_{what}" for kind in KINDS for what in ("ftp", "bytes", "md5")),
)  # fmt: skip
MAX_RUNS = 100_000


class EnaClient(ApiClient):
    """Asks ENA, anonymously.

    Args:
        base_url: The server of its portal.
        retries: Retry policy.
        timeouts: Seconds to wait for a connection and for the next bytes.
        sleep: What to wait with.
    """

    def __init__(
        self,
        base_url: str = ENA_URL,
        *,
        retries: RetryPolicy | None = None,
        timeouts: Timeouts | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.retries = retries
        self._http = HttpClient(base_url, retries=retries, timeouts=timeouts, sleep=sleep, service=_SERVICE)
        super().__init__(self._http)

    def runs(self, project: str) -> list[RunReport]:
        """The runs of a project that are public, sorted by accession; none of an embargoed or unknown one.

        Args:
            project: Accession of the BioProject.

        Raises:
            ProtocolError: The answer is no file report.
            ArchiveError: ENA could not be asked.
        """
        params = {"accession": project, "result": "read_run", "fields": ",".join(_FIELDS), "format": "json",
                  "limit": "0"}  # fmt: skip
        body = self._http.json("/ena/portal/api/filereport", params).body
        if body is None:  # older versions say so that there are none
            return []
        if not isinstance(body, list) or len(body) > MAX_RUNS:
            raise ProtocolError(f"ENA's file report of {project} is no list of runs.")
        found: dict[str, RunReport] = {}
        for report in self._reports(body, project):
            if found.setdefault(report.run, report) != report:
                raise ProtocolError(f"ENA's file report of {project} has {report.run} twice, with different files.")
        return [found[run] for run in sorted(found)]

    def _reports(self, body: list[object], project: str) -> Iterator[RunReport]:
        for entry in body:
            row = (
                {str(name): str(value) for name, value in entry.items() if value is not None}
                if isinstance(entry, dict)
                else {}
            )
            run = row.get("run_accession", "")
            if not SRA_RUN.fits(run):
                raise ProtocolError(f"ENA's file report of {project} has a row without the accession of a run.")
            files: list[RunFile] = []
            defects: list[str] = []
            for kind in KINDS:
                own, defect = files_of(row, kind, base=self._http.base_url)
                files += own
                defects += [defect] if defect else []
            yield RunReport(
                run=run,
                archive="ena",
                experiment=row.get("experiment_accession", ""),
                sample=row.get("sample_accession", ""),
                names=tuple(row[name] for name in _NAMES if row.get(name)),
                strategy=row.get("library_strategy", ""),
                layout=row.get("library_layout", ""),
                spots=whole_number(row.get("read_count")),
                bases=whole_number(row.get("base_count")),
                public_since=day_in(row.get("first_public")),
                files=tuple(files),
                defects=tuple(dict.fromkeys(defects)),
            )

    def file(self, url: str, name: str) -> HttpFile:
        """A file of a run by HTTPS."""
        return HttpFile(self._http, url, name)
