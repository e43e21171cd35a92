"""The archives of Perturb-seq over a served sandbox: the article's lock, and what stands in for what is absent."""

from __future__ import annotations

import hashlib
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets import cli
from cm4ai_assets.archives.ena.ena import EnaClient
from cm4ai_assets.archives.ena.ncbi import NcbiClient
from cm4ai_assets.archives.figshare.client import FigshareClient
from cm4ai_assets.archives.pulling import Holdings
from cm4ai_assets.defs.perturbseq import inputs
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.platform import Platform
from cm4ai_assets.references import Kind, references
from cm4ai_assets.sandbox import SandboxServer, figshare, sra
from cm4ai_assets.sandbox.exchange import Answer, Request, json_answer
from cm4ai_assets.settings import Settings, service_variables
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

MAY_2024, JUNE_2025 = "2024-05-v1.0", "2025-06-v2.1"
PATH = "key:release_files or group:perturbation"
LISTED = "key:release_files or key:figshare_files"


AT_ONCE = RetryPolicy(tries=1, waf_tries=1)


class Impatient(Platform):
    """Gives up on the archives at once, and keeps no pace."""

    def ena(self) -> EnaClient:
        return EnaClient(self.settings.ena_url, retries=AT_ONCE)

    def ncbi(self) -> NcbiClient:
        return NcbiClient(self.settings.ncbi_url, retries=AT_ONCE)

    def figshare(self) -> FigshareClient:
        return FigshareClient(self.settings.figshare_url, retries=AT_ONCE)


def bench_over(archive: SandboxServer, folder: Path, **others: Any) -> Workbench:
    settings = Settings.served_by(
        archive.url, storage=str(folder / "storage"), scratch=folder / "scratch", **others
    )  # fmt: skip
    made = Workbench(Impatient(settings), dg.DagsterInstance.ephemeral())
    made.register_offered()
    return made


@pytest.fixture
def own(archive: SandboxServer, tmp_path: Path) -> Workbench:
    archive.faults.clear()
    return bench_over(archive, tmp_path)


def files(bench: Workbench, release: str = RELEASE) -> pl.DataFrame:
    return bench.platform.store.table("figshare_files", Partition(release)).collect()


def absence(bench: Workbench, name: str, release: str = RELEASE) -> str:
    found = bench.platform.absences.find(name, Partition(release))
    assert found is not None
    return found.reason


def only(bench: Workbench, release: str, selection: str) -> None:
    failures = [outcome.failure for outcome in bench.run(release, selection=selection) if not outcome.succeeded]
    assert failures == []


def test_the_article_of_a_release_is_locked(own: Workbench) -> None:
    only(own, RELEASE, LISTED)
    locked = files(own)
    assert set(locked["article_version"]) == {max(figshare.VERSIONS)}
    assert locked["file_id"].to_list() == sorted(file.id for file in figshare.FILES)
    assert locked.select("access", "named_by").unique().rows() == [("public", "programme")]
    assert all(len(row["md5"]) == 32 and row["sha256"] is None for row in locked.rows(named=True))
    assert "name a private link only" in locked["notes"][0]


def test_a_release_without_perturb_seq_has_no_article_and_says_so(own: Workbench) -> None:
    only(own, MAY_2024, LISTED)
    assert absence(own, "figshare_files", MAY_2024) == "Release 2024-05-v1.0 publishes nothing of Perturb-seq."


def test_an_embargoed_article_is_a_state_with_its_date(own: Workbench, archive: SandboxServer) -> None:
    def embargoed(request: Request) -> Answer | None:
        if "/v2/articles/" not in request.path:
            return None
        if request.path.endswith("/files"):
            return json_answer(archive.answer(request).status, [])
        raw = figshare.article_json(2, archive.url)
        embargo = {"is_embargoed": True, "embargo_date": "2999-01-01", "embargo_type": "article", "files": []}
        return json_answer(archive.answer(request).status, {**raw, **embargo})

    archive.faults.append(embargoed)
    only(own, RELEASE, LISTED)
    assert "Embargoed (article) until 2999-01-01" in absence(own, "figshare_files")


def test_a_step_fetches_what_is_small_and_names_the_way_to_the_rest(own: Workbench, archive: SandboxServer) -> None:
    only(own, RELEASE, LISTED)
    context = dg.build_asset_context(partition_key=RELEASE)
    assert inputs.fetch_small(context, own.platform, RELEASE, "other") == []
    none = Platform(Settings.served_by(archive.url, storage=own.platform.settings.storage, perturbseq_bytes=10))
    archive.clear_log()
    assert inputs.fetch_small(context, none, RELEASE, "other") == []  # stored by now
    assert archive.log == []
    only(own, RELEASE, LISTED)
    assert files(own)["sha256"].null_count() == files(own).height - 1


def test_an_h5ad_that_is_not_there_is_named(archive: SandboxServer, tmp_path: Path) -> None:
    own_file = Platform(Settings.served_by(archive.url, storage=str(tmp_path / "storage"), h5ad=tmp_path / "none.h5ad"))
    with pytest.raises(ConfigurationError, match="CM4AI_H5AD"):
        inputs.near_matrix(own_file, RELEASE)


def test_the_cells_of_the_sandbox_are_read_by_range_stored_or_from_a_copy(
    own: Workbench, archive: SandboxServer, tmp_path: Path
) -> None:
    only(own, RELEASE, LISTED)
    where = {"storage": own.platform.settings.storage, "scratch": own.platform.settings.scratch}
    far = inputs.matrix(own.platform, RELEASE)
    assert far is not None
    assert (far.place, far.is_near, inputs.near_matrix(own.platform, RELEASE)) == (inputs.Place.RANGE, False, None)
    (published,) = (file for file in figshare.FILES if file.name == far.label)
    content = figshare.content(published.id)
    assert content is not None
    with far.open() as stream:
        stream.seek(-100, 2)
        assert stream.read() == content[-100:]
    assert (far.traffic.requests, far.size, far.md5) == (1, len(content), figshare.md5(published.id))
    copy = tmp_path / "copies"
    copy.mkdir()
    (copy / far.label).write_bytes(content)
    local = inputs.matrix(Platform(Settings.served_by(archive.url, **where, h5ad=copy)), RELEASE)
    assert local is not None
    assert (local.place, local.verified) == (inputs.Place.LOCAL, "size and published MD5, all of it")
    (copy / far.label).write_bytes(content[:-1] + b"?")
    with pytest.raises(ConfigurationError, match="MD5"):
        inputs.near_matrix(Platform(Settings.served_by(archive.url, **where, h5ad=copy)), RELEASE)
    (copy / far.label).write_bytes(content[:-1])
    with pytest.raises(ConfigurationError, match="bytes"):
        inputs.near_matrix(Platform(Settings.served_by(archive.url, **where, h5ad=copy / far.label)), RELEASE)
    tiny = Platform(Settings.served_by(archive.url, **where, perturbseq_bytes=1000))
    context = dg.build_asset_context(partition_key=RELEASE)
    (left,) = inputs.fetch_small(context, tiny, RELEASE, "cells")
    assert f"cm4ai pull '{figshare.ARTICLE}/{far.label}' --budget 1GB" in left
    assert inputs.fetch_small(context, own.platform, RELEASE, "cells", "guides") == []
    near = inputs.near_matrix(own.platform, RELEASE)
    guides = inputs.near_guides(own.platform, RELEASE)
    assert near is not None
    assert guides is not None
    with near.open() as stream, guides.open() as library:
        assert stream.read(10) == content[:10]
        assert library.read(5) == b"name,"


# --- sequencing runs


def runs(bench: Workbench, release: str = RELEASE) -> pl.DataFrame:
    return bench.platform.store.table("sra_runs", Partition(release)).collect()


SEQUENCED = "key:release_files or key:sra_runs"


def test_runs_are_those_of_the_crates_beside_what_the_archives_hold(own: Workbench) -> None:
    only(own, JUNE_2025, SEQUENCED)
    made = runs(own, JUNE_2025)
    assert made["sample"].n_unique() == 192
    assert dict(made["access"].value_counts().iter_rows()) == {"public": 95, "no_files": 1, "embargoed": 192}
    assert made.filter(run=sra.AT_NCBI)["files_kind"].to_list() == ["sra"]
    assert made.filter(run=sra.AT_COST).select("access", "listed_by").row(0) == ("no_files", ["crate", "ena", "ncbi"])
    embargoed = made.filter(access="embargoed")
    assert sorted(set(embargoed["embargo_until"])) == [date(2027, 10, 1), date(2028, 1, 1)]
    assert embargoed["listed_by"].to_list() == [["crate"]] * 192
    assert made.filter(~pl.col("is_counted"))["gem_channel"].n_unique() == 6
    unnamed = made.filter(sample=sra.UNNAMED).select("listed_by", "defects")
    assert unnamed.rows() == [(["ena", "ncbi"], ["run_not_named"])]
    assert set(made.filter(access="public", files_kind="fastq")["file_names"].list.len()) == {2}


def test_where_the_crate_is_embargoed_its_page_names_the_samples(own: Workbench) -> None:
    only(own, RELEASE, SEQUENCED)
    made = runs(own)
    assert made["sample"].n_unique() == 192
    without = made.filter(pl.col("run").is_null())
    assert without["listed_by"].to_list() == [["preview"]] * 128
    assert set(without["access"]) == {"embargoed"}
    assert made["run"].count() == 96


def test_archives_that_do_not_answer_leave_their_side_open(own: Workbench, archive: SandboxServer) -> None:
    def silent(request: Request) -> Answer | None:
        closed = ("/ena/", "/entrez/", "/sdl/")
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE) if any(one in request.path for one in closed) else None

    archive.faults.append(silent)
    only(own, JUNE_2025, SEQUENCED)
    made = runs(own, JUNE_2025)
    assert set(made.filter(batch="ALPHA")["access"]) == {"unknown"}
    assert set(made.filter(batch="BETA")["access"]) == {"embargoed"}
    assert made["bioproject"].null_count() == made.height


# --- pulled on request


@pytest.fixture
def pulling(own: Workbench, archive: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    settings = own.platform.settings
    where = {"CM4AI_STORAGE": settings.storage, "CM4AI_SCRATCH": str(settings.scratch)}
    for name, value in {**service_variables(archive.url), **where}.items():
        monkeypatch.setenv(name, value)
    only(own, RELEASE, LISTS)
    return own


LISTS = "key:release_files or key:figshare_files or key:sra_runs"


def test_a_pull_reaches_the_article_and_the_runs_under_one_budget(
    pulling: Workbench, archive: SandboxServer, tmp_path: Path, capsys: Any
) -> None:
    words = ["pull", f"{figshare.ARTICLE}/*.h5ad", f"{sra.AT_NCBI}/*", "*_1.fastq.gz", "--to", str(tmp_path / "raw")]
    assert cli.main([*words, "--budget", "100kB"]) == cli.FAILED
    assert f"The largest is {figshare.ARTICLE}/KOLF_Pan_Genome_QC_Filtered.h5ad" in capsys.readouterr().err
    before = set(pulling.platform.blobs.all())
    assert cli.main([*words, "--budget", "10MB"]) == cli.DONE
    printed, hints = capsys.readouterr()
    assert f"{figshare.ARTICLE}/KOLF_Pan_Genome_QC_Filtered.h5ad" in printed
    assert "key:figshare_files+ or key:sra_runs" in hints
    stored = set(pulling.platform.blobs.all()) - before
    assert len(stored) == 1 + 1 + 94
    pulled = tmp_path / "raw" / str(figshare.ARTICLE) / "KOLF_Pan_Genome_QC_Filtered.h5ad"
    assert hashlib.md5(pulled.read_bytes()).hexdigest() == figshare.md5(figshare.FILES[1].id)
    assert (tmp_path / "raw" / sra.AT_NCBI / sra.AT_NCBI).read_bytes() == sra.file(sra.AT_NCBI)
    archive.clear_log()
    assert cli.main([*words, "--budget", "10MB"]) == cli.DONE
    assert archive.log == []  # each is stored once
    only(pulling, RELEASE, "key:figshare_files or key:sra_runs")
    assert files(pulling).filter(role="cells")["sha256"].null_count() == 0
    assert runs(pulling).filter(run=sra.AT_NCBI)["file_sha256s"].to_list()[0][0] in stored
    held = {one.path for one in references(pulling.platform.store, RELEASE) if one.kind is Kind.BLOB}
    assert {pulling.platform.blobs.path(sha256) for sha256 in stored} <= held


def test_other_bytes_than_an_archive_published_are_refused(
    pulling: Workbench, archive: SandboxServer, capsys: Any
) -> None:
    def altered(request: Request) -> Answer | None:
        answer = archive.answer(request)
        if "/vol1/" not in request.path:
            return None
        answer.body = (b"?" * (answer.length or 0),)
        return answer

    archive.faults.append(altered)
    before = set(pulling.platform.blobs.all())
    assert cli.main(["pull", "*_2.fastq.gz", "--budget", "1MB"]) == cli.FAILED
    assert "MD5" in capsys.readouterr().err
    assert set(pulling.platform.blobs.all()) == before


def test_what_is_closed_is_not_pulled_in_part(pulling: Workbench, capsys: Any) -> None:
    locked = files(pulling).with_columns(
        access=pl.when(pl.col("role") == "cells").then(pl.lit("embargoed")).otherwise("access"),
        embargo_until=pl.when(pl.col("role") == "cells").then(date(2999, 1, 1)),
        notes=pl.lit("Embargoed until 2999-01-01."),
    )
    store, partition = pulling.platform.store, Partition(RELEASE)
    with store.stage_table("figshare_files", partition, locked) as staged:
        store.publish_table(staged)
    assert cli.main(["pull", f"{figshare.ARTICLE}/*", "--budget", "1GB"]) == cli.FAILED
    assert "Embargoed until 2999-01-01" in capsys.readouterr().err
    run = runs(pulling).filter(access="embargoed").row(0, named=True)
    assert cli.main(["pull", f"{run['run'] or run['sample']}/*", "--budget", "1GB"]) == cli.FAILED
    assert f"it is embargoed until {run['embargo_until']}" in capsys.readouterr().err


def entries_of(*rows: dict[str, Any]) -> pl.DataFrame:
    row = {"article_id": 1, "file_id": 2, "label": "a.h5ad", "size": 1, "access": "public", "notes": "Why."}
    made = pl.DataFrame([{**row, **more} for more in rows])
    return Holdings(figshare=pl.concat([FIGSHARE_FILES.empty(), made], how="diagonal_relaxed")).entries()


def test_two_files_of_one_name_are_told_apart_by_their_ids() -> None:
    assert entries_of({}, {"file_id": 3})["path"].to_list() == ["2/a.h5ad", "3/a.h5ad"]
    assert entries_of({})["path"].to_list() == ["a.h5ad"]


@pytest.mark.parametrize(
    ("state", "closed"),
    [
        ({}, None),
        ({"access": "embargoed", "embargo_until": date(2020, 1, 1)}, None),
        ({"access": "embargoed", "embargo_until": date(2999, 1, 1)}, "embargoed Why."),
        ({"access": "embargoed", "embargo_until": None}, "embargoed Why."),
        ({"access": "linked"}, "linked Why."),
    ],
)
def test_an_embargo_that_is_over_closes_nothing(state: dict[str, Any], closed: str | None) -> None:
    assert entries_of(state)["closed"].to_list() == [closed]


def checks(bench: Workbench, asset: str, release: str) -> dict[str, bool]:
    found = {}
    for key in bench.defs.resolve_asset_graph().asset_check_keys:
        if key.asset_key == dg.AssetKey(asset):
            history = bench.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
            for one in history:
                assert one.event is not None
                event = one.event.dagster_event
                assert event is not None
                assert event.partition in {None, release}
                found[key.name] = event.asset_check_evaluation_data.passed
    return found


def test_the_checks_run_with_their_assets_and_warn_for_what_the_sandbox_has(own: Workbench) -> None:
    only(own, JUNE_2025, LISTS)
    assert {name for name, passed in checks(own, "figshare_files", JUNE_2025).items() if not passed} == {
        "article_named"
    }
    of_runs = checks(own, "sra_runs", JUNE_2025)
    assert len(of_runs) == 6
    # Six channels have no molecule file, as published.
    assert {name for name, passed in of_runs.items() if not passed} == {"channels_complete"}
