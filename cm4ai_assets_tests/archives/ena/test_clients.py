"""ENA and NCBI: answers in the published shapes, refusals by type, and an allowance that all processes share."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cm4ai_assets.archives.ena import ncbi as ncbi_module
from cm4ai_assets.archives.ena.acquire import acquire
from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.ncbi import NcbiClient, located
from cm4ai_assets.archives.ena.reports import RunFile, RunReport, address
from cm4ai_assets.coordination import Files
from cm4ai_assets.errors import ArchiveError, DigestMismatchError
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.transfer.errors import (
    BlockedByWafError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RedirectRefusedError,
)
from cm4ai_assets.transfer.rate_limit import RateLimit
from cm4ai_assets_tests.shared import PROTOCOL, needs_shared
from cm4ai_assets_tests.transfer.bench import DATA, FAST
from cm4ai_assets_tests.transfer.server import Answer, Server, as_json, body, whole

PROJECT = "PRJNA1173491"
REPORT, SEARCH, FETCH = "/ena/portal/api/filereport", "/entrez/eutils/esearch.fcgi", "/entrez/eutils/efetch.fcgi"
LOCATE = "/sdl/2/retrieve"
ONE, TWO = "a" * 32, "b" * 32
HEADER = (
    "Run,ReleaseDate,LoadDate,spots,bases,Experiment,LibraryName,LibraryStrategy,LibraryLayout,BioProject,BioSample"
)
ROW = f"SRR31012081,2025-02-01 00:00:00,2025-01-30 00:00:00,1000,150000,SRX1,K,RNA-Seq,PAIRED,{PROJECT},SAMN1"


@pytest.fixture
def ena(archive: Server) -> Iterator[EnaClient]:
    with EnaClient(archive.url, retries=FAST) as made:
        yield made


@pytest.fixture
def ncbi(archive: Server) -> Iterator[NcbiClient]:
    with NcbiClient(archive.url, retries=FAST) as made:
        yield made


def row(run: str = "SRR31012081", **others: str) -> dict[str, str]:
    """A row of a file report: every value a text, lists joined by semicolons, no scheme."""
    where = f"ftp.sra.ebi.ac.uk/vol1/fastq/SRR310/081/{run}/{run}"
    return {
        "fastq_md5": f"{ONE};{TWO}", "run_accession": run, "fastq_ftp": f"{where}_1.fastq.gz;{where}_2.fastq.gz",
        "fastq_bytes": "2048;2049", "submitted_ftp": "", "submitted_bytes": "", "submitted_md5": "", "sra_ftp":
        f"ftp.sra.ebi.ac.uk/vol1/srr/SRR310/081/{run}", "sra_bytes": "4096", "sra_md5": "c" * 32,
        "library_name": "KOLF2-ALPHA-GEX-Chip-1-Channel-1", "first_public": "2025-05-26", "read_count": "1000",
        **others,
    }  # fmt: skip


def reported(archive: Server, ena: EnaClient, *rows: dict[str, Any]) -> list[RunReport]:
    archive.on(REPORT, as_json(list(rows)))
    return ena.runs(PROJECT)


# --- ENA


def test_a_run_of_ena_has_its_files_with_sizes_digests_and_a_scheme(archive: Server, ena: EnaClient) -> None:
    (run,) = reported(archive, ena, row())
    assert [(file.name, file.size, file.md5) for file in run.chosen] == [
        ("SRR31012081_1.fastq.gz", 2048, ONE), ("SRR31012081_2.fastq.gz", 2049, TWO),
    ]  # fmt: skip
    assert run.chosen[0].url.startswith("https://ftp.sra.ebi.ac.uk/vol1/fastq/")
    assert (run.public_since, run.spots, run.bases) == (date(2025, 5, 26), 1000, None)
    assert archive.log[0].query["limit"] == "0"


def test_what_was_submitted_is_better_than_what_was_converted(archive: Server, ena: EnaClient) -> None:
    (run,) = reported(
        archive, ena, row(submitted_ftp="ftp://h/x.fastq.gz", submitted_bytes="7", submitted_md5="D" * 32)
    )  # fmt: skip
    assert [(file.kind, file.url, file.md5) for file in run.chosen] == [("submitted", "https://h/x.fastq.gz", "d" * 32)]


@pytest.mark.parametrize(
    ("others", "kind", "defects"),
    [
        ({"fastq_ftp": "", "fastq_bytes": "", "fastq_md5": ""}, "sra", ()),
        ({"fastq_md5": ONE}, "sra", ("unequal_lists",)),
        ({"fastq_bytes": "2048;"}, "sra", ("illegible_list",)),
        ({"fastq_bytes": "2048;-1"}, "sra", ("illegible_list",)),
        ({"fastq_ftp": "a/b;"}, "sra", ("unequal_lists",)),
    ],
)
def test_lists_that_do_not_fit_are_never_guessed(
    archive: Server, ena: EnaClient, others: dict[str, str], kind: str, defects: tuple[str, ...]
) -> None:
    (run,) = reported(archive, ena, row(**others))
    assert ({file.kind for file in run.chosen}, run.defects) == ({kind}, defects)


@pytest.mark.parametrize("answer", [as_json([]), body(204, b"")])
def test_a_project_without_public_runs_has_none(archive: Server, ena: EnaClient, answer: Answer) -> None:
    archive.on(REPORT, answer)
    assert ena.runs(PROJECT) == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (body(200, b""), ProtocolError),  # cut, or none: nothing says which
        (as_json({"message": "Invalid field"}, 400), ProtocolError),
        (as_json({"run_accession": "SRR31012081"}), ProtocolError),
        (as_json([{"run_accession": "KOLF2"}]), ProtocolError),
        (as_json([row(), row(fastq_bytes="1;2")]), ProtocolError),
        (as_json({"message": "No such thing"}, 404), NotFoundError),
        (body(404, b"<html></html>", Content_Type="text/html"), NotFoundError),
        (body(403, b"<html></html>", Content_Type="text/html"), BlockedByWafError),
    ],
)
def test_what_is_no_file_report_is_refused_by_its_type(
    archive: Server, ena: EnaClient, answer: Answer, error: type[ArchiveError]
) -> None:
    archive.on(REPORT, answer)
    with pytest.raises(error) as raised:
        ena.runs(PROJECT)
    assert "DATAVERSE" not in str(raised.value)


def test_addresses_get_the_scheme_of_a_test_archive_only_on_this_machine() -> None:
    assert address("127.0.0.1:80/x", base="http://127.0.0.1:80") == "http://127.0.0.1:80/x"
    assert address("ftp.sra.ebi.ac.uk/x", base="http://127.0.0.1:80") == "https://ftp.sra.ebi.ac.uk/x"
    assert address("127.0.0.1/x", base="https://www.ebi.ac.uk") == "https://127.0.0.1/x"
    assert address("s3://bucket/x", base="https://www.ebi.ac.uk") == "s3://bucket/x"


def run_file(archive: Server, **others: Any) -> RunFile:
    facts = {"kind": "fastq", "name": "SRR1_1.fastq.gz", "url": f"{archive.url}/vol1/x", "size": len(DATA),
             "md5": hashlib.md5(DATA).hexdigest(), **others}  # fmt: skip
    return RunFile(**facts)


def test_a_file_of_a_run_is_verified_by_its_md5_and_stored_once(
    archive: Server, ena: EnaClient, blobs: BlobStore, scratch: Path
) -> None:
    archive.on("/vol1/x", whole(DATA))
    assert acquire(run_file(archive), ena, blobs, scratch).verified == "digest"
    assert acquire(run_file(archive), ena, blobs, scratch).reused
    assert len(archive.log) == 1
    archive.on("/vol1/x", whole(b"?" * len(DATA)))
    with pytest.raises(DigestMismatchError):
        acquire(run_file(archive, md5="0" * 32), ena, blobs, scratch)


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "file:///etc/passwd", "s3://bucket/x"])
def test_an_address_that_a_report_states_leads_nowhere_else(
    archive: Server, ena: EnaClient, blobs: BlobStore, scratch: Path, url: str
) -> None:
    with pytest.raises(RedirectRefusedError):
        acquire(run_file(archive, url=url), ena, blobs, scratch)
    assert archive.log == []


# --- NCBI


def found(count: str = "1", **others: Any) -> Answer:
    return as_json({"header": {}, "esearchresult": {"count": count, "querykey": "1", "webenv": "MCID", **others}})


def test_the_run_table_is_read_with_its_blank_last_line_and_joined_headers(archive: Server, ncbi: NcbiClient) -> None:
    archive.on(SEARCH, found())
    second = ROW.replace("SRR31012081", "SRR31012080")
    archive.on(FETCH, body(200, f"{HEADER}\n{ROW}\n\n{HEADER}\n{second}\n{ROW}\n\n".encode(), Content_Type="text/csv"))
    runs = ncbi.runs(PROJECT)
    assert [run.run for run in runs] == ["SRR31012080", "SRR31012081"]
    assert (runs[1].spots, runs[1].experiment, runs[1].public_since) == (1000, "SRX1", date(2025, 2, 1))
    assert archive.asked(FETCH)[0].query["WebEnv"] == "MCID"


def test_an_unknown_project_is_not_fetched(archive: Server, ncbi: NcbiClient) -> None:
    archive.on(SEARCH, found("0"))
    assert ncbi.runs(PROJECT) == []
    assert archive.asked(FETCH) == []


@pytest.mark.parametrize(
    ("search", "table"),
    [
        (found(ERROR="Invalid db"), f"{HEADER}\n{ROW}\n".encode()),
        (as_json({"header": {}}), b""),
        (found("many"), b""),
        (found(), b"<html>no</html>"),
        (found(), f"{HEADER}\nPRJNA1,x\n".encode()),
        (found(), f'{HEADER}\n"SRR31012081\n'.encode()),
        (found(), f"{HEADER}\nSRR31012081,\xff\n".encode("latin-1")),
    ],
)
def test_what_is_no_run_table_is_refused(archive: Server, ncbi: NcbiClient, search: Answer, table: bytes) -> None:
    archive.on(SEARCH, search)
    archive.on(FETCH, body(200, table))
    with pytest.raises(ProtocolError):
        ncbi.runs(PROJECT)


def location(status: int = 200, *ways: dict[str, Any], run: str = "SRR31012081") -> Answer:
    files = [{"type": "sra", "name": run, "size": 4096, "md5": ONE, "locations": list(ways)}]
    bundle = {"bundle": run, "status": status, "msg": "Cannot resolve accession" if status == 404 else "ok"}
    return as_json({"version": "2", "result": [bundle | ({"files": files} if status == 200 else {})]})


COLD = {"service": "s3", "link": "https://sra-pub-src-1/x", "payRequired": True, "rehydrationRequired": True}
PAID = {"service": "gs", "link": "https://storage.googleapis.com/x", "payRequired": True}
FREE = {"service": "s3", "region": "us-east-1", "link": "https://sra-pub-run-odp.s3.amazonaws.com/sra/x"}


@pytest.mark.parametrize(
    ("ways", "urls"),
    [((COLD, PAID, FREE), [FREE["link"]]), ((COLD, PAID), []), ((), []), (({"link": "s3://bucket/x"},), [])],
)
def test_what_costs_money_or_lies_in_cold_storage_is_never_followed(
    archive: Server, ncbi: NcbiClient, ways: tuple[dict[str, Any], ...], urls: list[str]
) -> None:
    archive.on(LOCATE, location(200, *ways))
    assert [file.url for file in ncbi.located("SRR31012081")] == urls


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (location(404), NotFoundError),
        (location(500), ProtocolError),
        (location(200, FREE, run="SRR99999999"), ProtocolError),
        (as_json({"version": "2"}), ProtocolError),
    ],
)
def test_the_status_inside_an_answer_counts(
    archive: Server, ncbi: NcbiClient, answer: Answer, error: type[ArchiveError]
) -> None:
    archive.on(LOCATE, answer)
    with pytest.raises(error):
        ncbi.located("SRR31012081")


def test_only_runs_that_nobody_else_has_files_of_are_located_and_not_too_many(
    archive: Server, ncbi: NcbiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncbi_module, "LOCATED_AT_MOST", 2)
    archive.on(LOCATE, location(200, FREE, run="SRR31012082"), location(404, run="SRR31012083"))
    runs = [RunReport(f"SRR3101208{n}", "ncbi") for n in range(1, 5)]
    made, notes = located(runs, {"SRR31012081"}, ncbi)
    assert made is not None
    assert [len(report.files) for report in made] == [0, 1, 0, 0]
    assert any("SRR31012083" in note for note in notes)
    assert any("1 are left" in note for note in notes)
    assert located(None, set(), ncbi) == (None, [])


def test_a_rate_limit_in_json_is_obeyed_by_all(archive: Server, tmp_path: Path) -> None:
    limit = {"error": "API rate limit exceeded", "api-key": "127.0.0.1", "count": "4", "limit": "3"}
    archive.on(SEARCH, as_json(limit, 429, Retry_After="2"), found("0"))
    waited: list[float] = []
    with NcbiClient(archive.url, shared=tmp_path, retries=FAST, sleep=waited.append, per_second=1000) as client:
        assert client.runs(PROJECT) == []
    assert max(waited) > 0
    archive.on(SEARCH, as_json(limit, 429))
    with (
        NcbiClient(archive.url, retries=FAST, sleep=lambda _: None) as client,
        pytest.raises(RateLimitedError, match="API rate limit exceeded"),
    ):
        client.runs(PROJECT)


def test_three_requests_a_second_are_those_of_all_processes_together(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from cm4ai_assets.transfer.rate_limit import RateLimit\n"
        "from cm4ai_assets.coordination import Files\n"
        "waits = []\n"
        "limit = RateLimit(Files(pathlib.Path(sys.argv[1]), now=lambda: 1000.0), per_second=3, sleep=waits.append)\n"
        "for _ in range(4): limit.wait('eutils')\n"
        "print(repr(waits))"
    )
    waits: list[float] = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        waits += json.loads(done.stdout)
    assert waits == pytest.approx([n / 3 for n in range(1, 8)], abs=1e-6)
    alone: list[float] = []
    RateLimit(Files(tmp_path, now=lambda: 1000.0), sleep=alone.append).wait("eutils")
    assert alone == []


def test_a_turn_far_in_the_future_holds_nobody_for_ever(tmp_path: Path) -> None:
    (tmp_path / "eutils-turn.json").write_text('{"turn": 1e18}')
    waits: list[float] = []
    RateLimit(Files(tmp_path, now=lambda: 1000.0), retries=FAST, per_second=3, sleep=waits.append).wait("eutils")
    assert waits == pytest.approx([FAST.limited_longest])


# --- bodies that servers sent


@needs_shared
def test_the_recorded_bodies_are_read(archive: Server, ena: EnaClient, ncbi: NcbiClient) -> None:
    def served(path: str, name: str) -> None:
        archive.on(path, body(200, (PROTOCOL / name).read_bytes(), Content_Type="application/json"))

    served(REPORT, "ena_filereport_real_SRR16298157.json")
    (real,) = ena.runs(PROJECT)
    assert [(file.size, file.md5) for file in real.chosen] == [
        (43409, "aaf5b365c1b45083c014baa35657b463"), (42752, "e80f09063bf017fa08b0dd881e840ed9"),
    ]  # fmt: skip
    served(REPORT, "ena_filereport_PRJNA1173491.json")
    assert [len(run.files) for run in ena.runs(PROJECT)] == [3, 0, 3]
    served(REPORT, "ena_filereport_empty.json")
    assert ena.runs(PROJECT) == []
    served(SEARCH, "ncbi_esearch.json")
    served(FETCH, "ncbi_runinfo.csv")
    assert [(run.run, run.strategy, run.spots) for run in ncbi.runs(PROJECT)] == [("SRR31012081", "RNA-Seq", 1000)]
    served(LOCATE, "ncbi_sdl_retrieve.json")
    (file,) = ncbi.located("SRR31012081")
    assert file.url == "https://sra-pub-run-odp.s3.amazonaws.com/sra/SRR31012081/SRR31012081"
    served(LOCATE, "ncbi_sdl_notfound.json")
    with pytest.raises(NotFoundError):
        ncbi.located("SRR00000000")
