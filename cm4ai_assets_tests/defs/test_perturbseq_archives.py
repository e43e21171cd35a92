"""The archives of Perturb-seq over a served sandbox: the article's lock, and what stands in for what is absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.archives.figshare.client import FigshareClient
from cm4ai_assets.defs.perturbseq import inputs
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer, figshare
from cm4ai_assets.sandbox.exchange import Answer, Request, json_answer
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

MAY_2024 = "2024-05-v1.0"
PATH = "key:release_files or group:perturbation"
LISTED = "key:release_files or key:figshare_files"


class Impatient(Platform):
    """Gives up on Figshare at once."""

    def figshare(self) -> FigshareClient:
        return FigshareClient(self.settings.figshare_url, retries=RetryPolicy(tries=1, waf_tries=1))


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
    assert "known of the programme" in locked["notes"][0]


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
