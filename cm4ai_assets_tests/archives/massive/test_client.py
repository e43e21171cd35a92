"""MassIVE over HTTP: PROXI and the dataset cache, good and bad answers; rows, and what a pull would take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.archives.massive.client import CACHE_URL, MassiveClient
from cm4ai_assets.archives.massive.inventory import (
    Entry,
    Inventory,
    accessions_of,
    differences,
    from_addresses,
    kind_of,
    rows,
)
from cm4ai_assets.archives.pulling import BudgetExceededError, plan_pull
from cm4ai_assets.errors import ArchiveError, UnsafePathError
from cm4ai_assets.sandbox import massive as sandbox
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.transfer.errors import NotFoundError, ProtocolError, ServerUnavailableError
from cm4ai_assets_tests.shared import PROTOCOL, SHARED, needs_shared
from cm4ai_assets_tests.transfer.bench import FAST
from cm4ai_assets_tests.transfer.server import Server, as_json, body, serving

MDA, KOLF, BEFORE = "MSV000098237", "MSV000100676", "MSV000097606"
PROXI, CACHE = f"/ProteoSAFe/proxi/v0.1/datasets/{MDA}", "/datasette/database/filename.csv"
HTML = body(200, b"<html><h1>Maintenance</h1></html>", Content_Type="text/html")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.on(PROXI, body(200, sandbox.proxi(MDA), Content_Type="application/json"))
        running.on(CACHE, body(200, sandbox.cache_csv(MDA), Content_Type="text/csv"))
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[MassiveClient]:
    with MassiveClient(server.url, retries=FAST) as made:
        yield made


def inventory(*paths: tuple[str, int | None], accession: str = MDA) -> Inventory:
    return Inventory(accession, f"ftp://h/v10/{accession}", tuple(Entry(path, size) for path, size in paths), "ftps")


@needs_shared
def test_recorded_answers_are_read(server: Server, client: MassiveClient) -> None:
    server.on(PROXI, body(200, (PROTOCOL / f"massive_proxi_{MDA}.json").read_bytes()))
    server.on(CACHE, body(200, (PROTOCOL / f"massive_datasetcache_{MDA}.csv").read_bytes()))
    deposit = client.deposit(MDA)
    assert deposit.root == f"ftp://massive-ftp.ucsd.edu/v10/{MDA}"  # stated with the host that no longer answers
    assert (deposit.species, deposit.instruments) == (("Homo sapiens",), ("timsTOF Pro",))
    found = rows(client.inventory(MDA))
    assert found.select("path", "kind", "is_folder", "members", "size").rows() == [
        ("ccms_parameters/params.xml", "parameters", False, 1, 8192),
        ("raw/Biosep_MDAMB468/synthetic_F01.d", "raw_run", True, 2, 52428800 + 1363148800),
        ("search/synthetic_report.tsv", "search_result", False, 1, 73400320),
    ]
    assert found["url"][1] == f"ftp://massive-ftp.ucsd.edu/v10/{MDA}/raw/Biosep_MDAMB468/synthetic_F01.d"
    assert found["modified"][0] == datetime(2025, 6, 20, 10, tzinfo=UTC)


def test_what_is_asked_of_the_cache(server: Server, client: MassiveClient) -> None:
    client.cached_listing(MDA)
    (seen,) = server.asked(CACHE)
    assert (seen.query["dataset__exact"], seen.query["_stream"]) == (MDA, "on")
    assert "x-dataverse-key" not in seen.headers


def test_an_inventory_is_a_table(client: MassiveClient) -> None:
    found = MASSIVE_FILES.place(rows(client.inventory(MDA)), release="2026-06-v2.0")
    assert MASSIVE_FILES.violations(found) == []
    runs = found.filter(pl.col("kind") == "raw_run")
    assert (runs.height, set(runs["members"]), set(runs["is_folder"])) == (9 * 72, {2}, {True})
    assert found["size"].sum() == sum(sandbox.sizes(MDA).values())
    assert set(found["source"]) == {"dataset_cache"}


def test_replaced_accessions_are_linked() -> None:
    old, new = (rows(inventory(("a", 1), accession=one)).row(0, named=True) for one in (BEFORE, KOLF))
    assert (old["replaced_by"], old["replaces"]) == (KOLF, [])
    assert (new["replaced_by"], new["replaces"]) == (None, [BEFORE])
    assert accessions_of([BEFORE, MDA, KOLF]) == [BEFORE, KOLF, MDA]


@pytest.mark.parametrize("answer", [HTML, body(500, b"oops"), body(200, b"{"), as_json([]), as_json({"title": "x"})])
def test_without_proxi_the_cache_is_enough_but_there_is_no_address(
    server: Server, client: MassiveClient, answer: Callable[..., None]
) -> None:
    server.on(PROXI, answer)
    found = client.inventory(MDA)
    assert found.root == ""
    assert found.notes[0].startswith("PROXI: ")
    assert rows(found)["url"].null_count() == rows(found).height
    with pytest.raises(ArchiveError):
        client.deposit(MDA)


def stated(location: str) -> Callable[..., None]:
    answer: dict[str, Any] = json.loads(sandbox.proxi(MDA))
    answer["fullDatasetLinks"] = [*answer.pop("datasetLink")[:1]]
    if location:
        answer["fullDatasetLinks"].append(
            {"accession": "MS:1002852", "name": "Dataset FTP location", "value": location}
        )
    return as_json(answer)


def test_the_specification_s_name_for_links_is_read_too(server: Server, client: MassiveClient) -> None:
    server.on(PROXI, stated(f"ftp://massive.ucsd.edu/v07/{MDA}"))
    assert client.deposit(MDA).root == f"ftp://massive-ftp.ucsd.edu/v07/{MDA}"
    server.on(PROXI, stated(""))
    assert client.deposit(MDA).root == ""


@pytest.mark.parametrize("location", [f"ftp://massive.ucsd.edu/v10/{KOLF}/", f"file:///v10/{MDA}", "nonsense"])
def test_a_root_that_is_not_the_deposit_s_is_refused(server: Server, client: MassiveClient, location: str) -> None:
    server.on(PROXI, stated(location))
    with pytest.raises(ProtocolError, match="FTP location"):
        client.deposit(MDA)


def test_an_unknown_accession_is_not_looked_for_elsewhere(server: Server, client: MassiveClient) -> None:
    server.on(PROXI, body(404, b"{}"))
    with pytest.raises(NotFoundError):
        client.inventory(MDA)
    assert not server.asked(CACHE)
    with pytest.raises(NotFoundError, match="not a MassIVE accession"):
        client.deposit("../etc")


HEAD = b"filepath,size,create_time\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (HTML, "cut off|no column filepath"),
        (body(200, b"<html></html>\n", Content_Type="text/html"), "no column filepath"),
        (body(200, HEAD + b"raw/a.raw,12"), "cut off"),
        (body(200, HEAD + b"raw/a.raw,big,\n"), "without path or size"),
        (body(200, HEAD + b",12,\n"), "without path or size"),
        (body(200, HEAD + b"raw/\xe9,12,\n"), "not UTF-8"),
        (body(200, HEAD + b"a,1,\n" * 50_000), "exactly 50000 rows"),
        (body(200, HEAD + b'"a,1,\n'), "not CSV"),
    ],
)
def test_what_is_no_listing_is_refused(
    server: Server, client: MassiveClient, answer: Callable[..., None], reason: str
) -> None:
    server.on(CACHE, answer)
    with pytest.raises(ProtocolError, match=reason):
        client.cached_listing(MDA)


def test_a_failure_that_passes_is_waited_out(server: Server, client: MassiveClient) -> None:
    good = body(200, sandbox.cache_csv(MDA))
    server.on(CACHE, body(502, b"bad gateway"), good)
    assert len(client.cached_listing(MDA)) == len(sandbox.sizes(MDA))
    server.on(CACHE, body(503, b"down"))
    with pytest.raises(ServerUnavailableError):
        client.cached_listing(MDA)


def test_massive_s_own_server_has_the_cache_elsewhere(server: Server) -> None:
    with MassiveClient() as default, MassiveClient(server.url) as other, MassiveClient(cache_url=server.url) as third:
        assert default._cache.base_url == CACHE_URL
        assert other._cache.base_url == third._cache.base_url == server.url


# --- rows ---


def test_acquisition_folders_are_one_row() -> None:
    found = rows(
        inventory(("raw/x/a.d/analysis.tdf", 3), ("raw/x/a.d/sub/b.d/c", 4), ("raw/x/a.d.txt", 5), ("raw/w.raw/f", 6),
                  ("raw/t.raw", None))
    )  # fmt: skip
    assert found.select("path", "name", "is_folder", "members", "size", "kind").rows() == [
        ("raw/t.raw", "t.raw", False, 1, None, "raw_run"),
        ("raw/w.raw", "w.raw", True, 1, 6, "raw_run"),
        ("raw/x/a.d", "a.d", True, 2, 7, "raw_run"),
        ("raw/x/a.d.txt", "a.d.txt", False, 1, 5, "other"),
    ]


@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "a\\b", "x/CON"])
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(UnsafePathError):
        rows(inventory((path, 1)))


def test_a_path_listed_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="names a twice"):
        rows(inventory(("a", 1), ("a", 2)))


def test_an_empty_deposit_is_an_empty_table() -> None:
    assert rows(inventory()).schema == pl.Schema({c.name: c.dtype for c in MASSIVE_FILES.own_columns})


@needs_shared
def test_every_published_address_is_understood() -> None:
    """The addresses in the June 2026 release's crates: four deposits, 2,130 files."""
    kinds: dict[str, dict[str, int]] = {}
    for name in ("mass-spec_iPSCs", "AP-MS_apms-paclitaxel-rocrate", "AP-MS_apms-vorinostat-rocrate"):
        lines = (SHARED / "data" / "inventories" / f"{name}.datasets.tsv").read_text().splitlines()[1:]
        (found,) = from_addresses(line.split("\t")[2] for line in lines)
        table = rows(found)
        assert table.height == len(lines)
        assert MASSIVE_FILES.violations(MASSIVE_FILES.place(table, release="2026-06-v2.0")) == []
        kinds[found.accession] = dict(table.group_by("kind").len().sort("kind").iter_rows())
    apms = {"document": 1, "metadata": 2, "parameters": 2, "sequence_database": 1}
    assert kinds == {
        KOLF: {"parameters": 1, "quantification": 1, "raw_run": 859, "search_result": 1},
        "MSV000101915": {**apms, "raw_run": 549},
        "MSV000101917": {**apms, "raw_run": 712},
    }
    assert found.root == "ftp://massive-ftp.ucsd.edu/v13/MSV000101917"


def test_addresses_of_other_kinds_are_passed_over() -> None:
    assert from_addresses(["https://example.org/MSV000098237/a", "Embargoed", f"ftp://h/v10/{MDA}/"]) == []
    (one,) = from_addresses([f"ftp://h/v10/{MDA}/raw/a.d/"])
    row = rows(one).row(0, named=True)
    assert (row["path"], row["is_folder"], row["members"], row["size"]) == ("raw/a.d", True, None, None)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("raw/a.d", "raw_run"), ("raw/b.RAW", "raw_run"), ("ccms_peak/a.mzML", "spectra"),
        ("quant/sec.csv", "quantification"),
        ("search/peak_file_kolf2.tsv", "search_result"), ("search/parameters.txt", "parameters"),
        ("search/x.fasta", "sequence_database"), ("ccms_metadata/summary.tsv", "metadata"), ("README.txt", "document"),
        ("methods/anything", "document"), ("other/x.bin", "other"),
    ],
)  # fmt: skip
def test_kinds(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_two_listings_are_held_against_each_other() -> None:
    one, other = inventory(("a", 1), ("b", 2), ("c", 3)), inventory(("a", 1), ("b", 5), ("d", 4))
    found = differences(one, Inventory(MDA, "", other.entries, "dataset_cache"))
    assert found.select("path", "difference").rows() == [
        ("b", "other size"), ("c", "only in ftps"), ("d", "only in dataset_cache"),
    ]  # fmt: skip
    assert differences(one, one).is_empty()


# --- pulls ---


def test_a_pull_within_its_budget_is_planned_smallest_first() -> None:
    files = rows(inventory(("raw/a.d/x", 30), ("raw/a.d/y", 30), ("b", 40)))
    plan = plan_pull(files, 100)
    assert (plan.total_bytes, plan.members, plan.files["path"].to_list()) == (100, 3, ["b", "raw/a.d"])
    with pytest.raises(BudgetExceededError, match="1 bytes more than the budget of 99 bytes"):
        plan_pull(files, 99)


def test_a_pull_over_its_budget_is_refused_as_a_whole() -> None:
    files = rows(inventory(("raw/a.d/x", 3_000_000_000), ("b", 40)))
    with pytest.raises(BudgetExceededError) as caught:
        plan_pull(files, 1_000_000_000)
    assert str(caught.value) == (
        "The 2 chosen files have 3.00 GB, 2.00 GB more than the budget of 1.00 GB. The largest is MSV000098237/raw/a.d "
        "(3.00 GB). Choose fewer files, or allow more bytes. Nothing was pulled."
    )


def test_a_pull_of_unknown_size_is_refused() -> None:
    (crate,) = from_addresses([f"ftp://h/v10/{MDA}/raw/a.d/"])
    with pytest.raises(BudgetExceededError, match=r"1 of 1 .* raw/a\.d"):
        plan_pull(rows(crate), 10**15)


def test_the_whole_of_a_deposit_is_far_over_a_small_budget() -> None:
    entries = tuple(Entry(path, size) for path, size in sandbox.sizes(KOLF).items())
    files = rows(Inventory(KOLF, f"ftp://h/v12/{KOLF}", entries, "dataset_cache"))
    with pytest.raises(BudgetExceededError, match=r"819 chosen files have 835.64 GB"):
        plan_pull(files, 50 * 10**9)
    tables = files.filter(pl.col("kind").is_in(["quantification", "search_result"]))
    assert plan_pull(tables, 10**12).files.height == 2
