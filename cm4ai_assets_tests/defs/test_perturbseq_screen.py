"""Guides, cells and sequencing statistics through Dagster, over a served sandbox: near, far, and not there."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import h5py
import polars as pl
import pytest

from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.defs.perturbseq import inputs
from cm4ai_assets.defs.perturbseq import tables as assets
from cm4ai_assets.identifiers import stated_size
from cm4ai_assets.perturbseq import cells as cells_module
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import SandboxServer, figshare
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.sandbox.h5ad import write_h5ad
from cm4ai_assets.sandbox.perturbseq import Experiment, control_whitelist, guide_library
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage import store
from cm4ai_assets.storage.bytes import CachedBytes
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import Table, Violation
from cm4ai_assets.tables.screen import PERTURB_CELLS
from cm4ai_assets.updates.credit import credit
from cm4ai_assets.verification import verify
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench, together
from cm4ai_assets_tests.defs.test_perturbseq_archives import MAY_2024, absence, bench_over

TABLES = ("guide_library", "perturb_cells", "cellranger_metrics")
SCREEN = " or ".join(f"key:{name}" for name in ("release_files", "figshare_files", *TABLES))
JUNE_2025 = "2025-06-v2.1"
LABEL = "KOLF_Pan_Genome_QC_Filtered.h5ad"


@pytest.fixture(scope="module")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    archive.faults.clear()
    return bench_over(archive, tmp_path_factory.mktemp("screen"))


@pytest.fixture(scope="module")
def outcome(made: Workbench) -> Outcome:
    return together(made.run(RELEASE, selection=SCREEN))


@pytest.fixture
def own(archive: SandboxServer, tmp_path: Path) -> Workbench:
    archive.faults.clear()
    return bench_over(archive, tmp_path)


def table(bench: Workbench, name: str, release: str = RELEASE) -> pl.DataFrame:
    return bench.platform.store.table(name, Partition(release)).collect()


def shown(bench: Workbench, name: str) -> dict[str, Any]:
    event = bench.instance.get_latest_materialization_event(dg.AssetKey(name))
    assert event is not None
    assert event.asset_materialization is not None
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


@pytest.fixture(scope="module")
def statistics(made: Workbench) -> Outcome:
    (outcome,) = made.run(JUNE_2025, selection="key:release_files or key:cellranger_metrics")
    return outcome


def test_the_sandbox_gives_all_three_tables_and_every_check_passes(
    made: Workbench, outcome: Outcome, statistics: Outcome
) -> None:
    assert outcome.succeeded, outcome.failure
    assert statistics.succeeded, statistics.failure
    assert set(TABLES) - {"cellranger_metrics"} <= set(outcome.made)
    experiment = Experiment()
    assert table(made, "guide_library").height == len(experiment.guides)
    assert table(made, "perturb_cells").height == experiment.cells
    assert table(made, "cellranger_metrics", JUNE_2025)["sample"].n_unique() == 96
    for one in (outcome, statistics):
        mine = [check for check in one.checks if check.asset_key.to_user_string() in TABLES]
        assert len(mine) > 3
        assert {check.check_name: check.description for check in mine if not check.passed} == {}
    # The statistics were published in June 2025 alone.
    assert absence(made, "cellranger_metrics") == f"Release {RELEASE} publishes no sequencing statistics."


def test_the_pages_show_counts_and_pictures(made: Workbench, outcome: Outcome, statistics: Outcome) -> None:
    assert outcome.succeeded
    assert statistics.succeeded
    cells = shown(made, "perturb_cells")
    assert (cells["cells"], cells["place"], cells["columns_missing"]) == (600, "stored", "none")
    names = ("guides_per_cell", "cells_per_target", "cells_per_channel", "counts_per_channel", "controls_per_batch")
    pictures = [cells[name] for name in names]
    assert all(text.startswith("![") and "data:image/png;base64," in text for text in pictures)
    assert all(len(text) < 45_000 for text in pictures)
    assert "data:image/png" in shown(made, "guide_library")["guides_per_gene"]
    # What is made of the article has the article's licence, whatever that of the release is.
    (licence,) = set(table(made, "figshare_files")["license"])
    for name in ("guide_library", "perturb_cells"):
        assert (shown(made, name)["license"], shown(made, name)["article"]) == (licence, figshare.DOI)
    assert "Valid Barcodes" in shown(made, "cellranger_metrics")["ranges"]


def test_what_the_article_does_not_have_is_not_under_its_licence(made: Workbench, outcome: Outcome) -> None:
    assert outcome.succeeded
    own = credit(made.platform.store, "perturb_cells", Partition(RELEASE), sources=("own.h5ad",))
    assert own["license"] == "not stated"
    assert "article" not in own
    assert credit(made.platform.store, "perturb_cells", Partition(RELEASE), sources=(LABEL,))["article"] == figshare.DOI


def test_a_library_beside_the_operators_matrix_is_read_where_the_article_has_none(tmp_path: Path) -> None:
    (tmp_path / "pan_genome_feature_reference.csv").write_bytes(guide_library(Experiment()))
    (tmp_path / "NTC_sgRNA_whitelist.txt").write_bytes(control_whitelist(Experiment()))
    (tmp_path / "notes.csv").write_bytes(b"a,b\n")
    settings = Settings(storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch", h5ad=tmp_path)
    library = assets.library_of(Platform(settings), RELEASE)
    assert library is not None
    assert library.rows.height == len(Experiment().guides)
    assert library.has_whitelist
    assert library.rows["source_sha256"].unique().to_list() == [hashlib.sha256(guide_library(Experiment())).hexdigest()]
    (tmp_path / "pan_genome_feature_reference.csv").unlink()
    assert assets.library_of(Platform(settings), RELEASE) is None


def test_the_checks_of_the_cells_show_their_pictures(made: Workbench, outcome: Outcome) -> None:
    with_picture = {
        check.check_name
        for check in outcome.checks
        for value in check.metadata.values()
        if "data:image/png" in str(value.value)
    }
    assert {"guides_called", "targets_known", "controls_present", "channels_known", "counts_plausible"} <= with_picture


def test_verify_reads_the_cells_in_stretches(
    made: Workbench, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outcome.succeeded
    sizes: list[int] = []
    whole = PERTURB_CELLS.violations

    def noted(self: Table, frame: pl.DataFrame) -> list[Violation]:
        sizes.append(frame.height)
        return whole(frame) if self.name == "perturb_cells" else []

    monkeypatch.setattr(Table, "violations", noted)
    monkeypatch.setattr(store.in_stretches, "__defaults__", (256,))
    results = {one.what: one for one in verify(made.platform.store, release=RELEASE)}
    (cells,) = [one for what, one in results.items() if "perturb_cells" in what]
    assert cells.problems == ()
    assert "600 rows" in cells.detail
    assert {256, 88} <= set(sizes)
    assert 600 not in sizes


def test_a_large_matrix_is_read_by_range_and_its_cost_is_shown(archive: SandboxServer, tmp_path: Path) -> None:
    bench = bench_over(archive, tmp_path, perturbseq_bytes=100_000)
    outcome = together(bench.run(RELEASE, selection=SCREEN))
    assert outcome.succeeded, outcome.failure
    cells = shown(bench, "perturb_cells")
    assert cells["place"] == "range"
    assert 0 < cells["requests"] < 20
    fetched, size = stated_size(cells["bytes_fetched"]), stated_size(cells["size"])
    assert fetched is not None
    assert size is not None
    assert 0 < (fetched.in_bytes(1000) or 0) <= (size.in_bytes(1000) or 0)
    assert LABEL in cells["notes"]
    stored = bench.platform.store.table("perturb_cells", Partition(RELEASE)).collect()
    assert stored.height == 600
    assert inputs.near_matrix(bench.platform, RELEASE) is None


def test_nothing_is_fetched_where_the_operator_says_so(archive: SandboxServer, tmp_path: Path) -> None:
    bench = bench_over(archive, tmp_path, perturbseq_bytes=0)
    archive.clear_log()
    outcome = together(bench.run(RELEASE, selection=SCREEN))
    assert outcome.succeeded, outcome.failure
    assert not bench.platform.store.has_table("perturb_cells", Partition(RELEASE))
    assert not [line for line in archive.log if str(figshare.FILES[1].id) in line.target]


def test_a_local_copy_is_read_in_its_place(archive: SandboxServer, tmp_path: Path) -> None:
    content = figshare.content(next(file.id for file in figshare.FILES if file.name == LABEL))
    assert content is not None
    (tmp_path / LABEL).write_bytes(content)
    bench = bench_over(archive, tmp_path / "bench", h5ad=tmp_path)
    outcome = together(bench.run(RELEASE, selection=SCREEN))
    assert outcome.succeeded, outcome.failure
    assert shown(bench, "perturb_cells")["place"] == "local"


def test_a_release_without_perturb_seq_says_so_for_each_table(own: Workbench) -> None:
    outcome = together(own.run(MAY_2024, selection=SCREEN))
    assert outcome.succeeded, outcome.failure
    assert set(outcome.made) == {"release_files"}
    assert "nothing of Perturb-seq" in absence(own, "figshare_files", MAY_2024)
    assert "no sequencing statistics" in absence(own, "cellranger_metrics", MAY_2024)


def _own_file(tmp_path: Path, change: Callable[[h5py.File], None]) -> Path:
    path = tmp_path / "own.h5ad"
    write_h5ad(path, Experiment())
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def _last_cell_breaks(file: h5py.File) -> None:
    file["obs/treatment/codes"][599] = 100


def test_a_damaged_column_fails_the_step_and_nothing_half_made_is_published(
    archive: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells_module, "ROWS", 64)
    path = _own_file(tmp_path, _last_cell_breaks)
    bench = bench_over(archive, tmp_path / "bench", h5ad=path, perturbseq_bytes=100_000)
    outcome = together(bench.run(RELEASE, selection=SCREEN))
    assert not outcome.succeeded
    assert "own.h5ad: column treatment refers to categories that are not there." in outcome.failure
    assert not bench.platform.store.has_table("perturb_cells", Partition(RELEASE))
    assert bench.platform.store.has_table("guide_library", Partition(RELEASE))


def test_lost_cells_block(own: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_stretch(*given: Any, **more: Any) -> Iterator[pl.DataFrame]:
        return itertools.islice(cells_module.read_cells(*given, **more, rows=64), 1)

    monkeypatch.setattr(assets, "read_cells", first_stretch)
    outcome = together(own.run(RELEASE, selection=SCREEN))
    assert not outcome.succeeded
    assert "perturb_cells.cells_kept: 64 of 600 cells are rows." in outcome.failure
    assert not own.platform.store.has_table("perturb_cells", Partition(RELEASE))


def test_an_outage_in_the_middle_publishes_nothing(
    archive: SandboxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cm4ai_assets.defs.acquisition.RETRIES", 0)
    bench = bench_over(archive, tmp_path, perturbseq_bytes=100_000)
    monkeypatch.setattr(inputs, "cached", lambda source: CachedBytes(source, block=16_384, blocks=64))
    asked: list[str] = []

    def outage(request: Request) -> Answer | None:
        if "figshare-store/65250261" not in request.path:
            return None
        asked.append(request.path)
        return Answer(503) if len(asked) > 5 else None

    archive.faults.append(outage)
    try:
        outcome = together(bench.run(RELEASE, selection=SCREEN))
    finally:
        archive.faults.clear()
    assert len(asked) > 5
    assert not outcome.succeeded
    assert not bench.platform.store.has_table("perturb_cells", Partition(RELEASE))


def test_lost_guides_block(own: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    read = assets.read_library
    monkeypatch.setattr(assets, "read_library", lambda data, *names, **more: read(data + b"cut,line\n", *names, **more))
    outcome = together(own.run(RELEASE, selection=SCREEN))
    assert not outcome.succeeded
    assert "guide_library.guides_kept" in outcome.failure
    assert not own.platform.store.has_table("guide_library", Partition(RELEASE))
