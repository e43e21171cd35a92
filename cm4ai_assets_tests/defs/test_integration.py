"""Coverage and splits through Dagster: of what is published, refused where they are wrong, absent with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.integration import assets
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.integration.proteins import protein_rows
from cm4ai_assets.integration.splits import split_rows
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables import table
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.integration.layouts import CONDITIONS, Layout, layout


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A platform of one release and no archive."""
    settings = Settings.served_by(
        "http://127.0.0.1:9", storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch"
    )  # nothing is fetched
    record = ReleaseRecord(
        key="", doi="doi:10.5072/FK2/TESTED", major=2, minor=0, title="June 2026 Data Release",
        published=date(2026, 6, 17), released=None, archive="http://127.0.0.1:9",
    )  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workbench(Platform(settings), instance)
        made.platform.registry.register([record])
        sync_partitions(instance, made.platform.registry)
        yield made


def put(bench: Workbench, name: str, rows: pl.DataFrame, condition: str | None = None) -> None:
    """Publish rows as a table, with what they leave out empty."""
    described = table(name)
    defaults = {
        column.name: pl.lit([], column.dtype)
        if isinstance(column.dtype, pl.List)
        else pl.lit(None, column.dtype).alias(column.name)
        for column in described.own_columns
        if column.name not in rows.columns
    }
    frame = described.place(rows.with_columns(**defaults), release=RELEASE, condition=condition)
    frame = frame.select(pl.col(column.name).cast(column.dtype) for column in described.columns)
    with bench.platform.store.stage_table(name, Partition(RELEASE, condition), frame) as staged:
        bench.platform.store.publish_table(staged)


def put_fields(bench: Workbench, made: Layout) -> None:
    for (condition,), fields in made.fields.group_by("condition"):
        put(bench, "if_fields", fields.drop("condition"), str(condition))
        put(bench, "if_antibodies", made.antibodies, str(condition))


def run(bench: Workbench, selection: str) -> Outcome:
    (outcome,) = bench.run(RELEASE, selection=selection)
    return outcome


def test_splits_of_the_conditions_that_are_published(bench: Workbench) -> None:
    put_fields(bench, layout({f"HPA{n:06d}": [n] for n in range(40)}, conditions=["untreated", "paclitaxel"]))
    outcome = run(bench, "splits")
    assert outcome.succeeded, outcome.failure
    assert {check.check_name for check in outcome.checks} == {
        "schema", "no_leaks", "sides_balanced", "fields_placed", "wells_agree",
    }  # fmt: skip
    rows = Release(RELEASE, bench.platform.store).table("splits").filter(scheme="protein").collect()
    assert rows.group_by("condition").len().sort("condition").rows() == [("paclitaxel", 84), ("untreated", 84)]
    page = bench.instance.fetch_materializations(dg.AssetKey("splits"), limit=1).records[0].asset_materialization
    assert page is not None
    shown = {name: str(value.value) for name, value in page.metadata.items()}
    assert "if_fields of vorinostat" in shown["left_out"]
    assert "condition-paclitaxel" in shown["schemes"]
    assert shown["by_plate"].startswith("![sides of the scheme protein, by plate](data:image/png;base64,")
    assert shown["mapping"].startswith("HGNC 2026-06-25")


def test_a_table_that_leaks_is_never_published(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_fields(bench, layout({f"HPA{n:06d}": [n] for n in range(40)}))
    assert run(bench, "splits").succeeded
    before = Release(RELEASE, bench.platform.store).table("splits").collect()

    def leaking(*frames: object) -> pl.DataFrame:
        own = pl.col("field_id") == "P1_paclitaxel_A1_R1"
        return split_rows(*frames).with_columns(  # type: ignore[arg-type]
            split=pl.when(own).then(pl.lit("test")).otherwise("split"),
            group=pl.when(own).then(pl.lit("elsewhere")).otherwise("group"),
        )

    monkeypatch.setattr(assets, "split_rows", leaking)
    outcome = run(bench, "splits")
    assert not outcome.succeeded
    assert "splits.no_leaks" in outcome.failure
    assert "HPA000000" in str([check.metadata for check in outcome.checks if check.check_name == "no_leaks"])
    assert Release(RELEASE, bench.platform.store).table("splits").collect().equals(before)


def test_a_release_without_fields_has_no_splits_and_says_so(bench: Workbench) -> None:
    outcome = run(bench, "splits")
    assert outcome.succeeded
    assert outcome.made == ()
    assert "There are no fields of view to split. if_antibodies of any condition" in outcome.observed["splits"]
    with pytest.raises(NotMaterializedError, match="was not made: There are no fields of view to split"):
        Release(RELEASE, bench.platform.store).table("splits")


def test_coverage_of_the_modalities_that_are_published(bench: Workbench) -> None:
    put_fields(bench, layout({"HPA000001": [1], "HPA000002": [2]}, conditions=["untreated"]))
    pairs = pl.DataFrame({"bait_symbol": ["TP53"], "prey": ["P63241"], "prey_uniprot_id": ["P63241"]})
    put(bench, "apms_interactions", pairs, "untreated")
    outcome = run(bench, "proteins")
    assert outcome.succeeded, outcome.failure
    passed = {check.check_name: check.passed for check in outcome.checks}
    assert passed == {
        "schema": True, "ids_kept": True, "ids_mapped": False, "modalities_there": False, "antibody_ids_agree": True,
    }  # fmt: skip
    rows = Release(RELEASE, bench.platform.store).table("proteins").collect()
    assert rows.filter("has_apms")["symbol"].to_list() == ["EIF5A", "TP53"]
    assert rows.filter("has_if")["if_fields_untreated"].to_list() == [2, 2]
    assert rows["has_secms"].null_count() == rows.height == 4
    page = bench.instance.fetch_materializations(dg.AssetKey("proteins"), limit=1).records[0].asset_materialization
    assert page is not None
    shown = {name: str(value.value) for name, value in page.metadata.items()}
    assert shown["overlap"].startswith("![genes by the modalities that measure them](data:image/png;base64,")
    assert "secms\\_proteins of any condition" in shown["left_out"] or "secms_proteins" in shown["left_out"]
    assert "2 genes, median 2" in shown["coverage"]


def test_a_table_that_lost_a_gene_is_never_published(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    put_fields(bench, layout({"HPA000001": [1], "HPA000002": [2]}))
    monkeypatch.setattr(assets, "protein_rows", lambda *frames: protein_rows(*frames).head(1))
    outcome = run(bench, "proteins")
    assert not outcome.succeeded
    assert "proteins.ids_kept: 1 published ids are in no row" in outcome.failure
    assert not bench.platform.store.has_table("proteins", Partition(RELEASE))


def test_a_release_without_any_table_has_no_coverage_and_says_so(bench: Workbench) -> None:
    outcome = run(bench, "proteins")
    assert (outcome.succeeded, outcome.made) == (True, ())
    assert "There is nothing to count. if_antibodies of any condition" in outcome.observed["proteins"]


def test_a_version_that_only_renames_is_counted_from_the_tables_of_the_one_before(bench: Workbench) -> None:
    """Its images are made nowhere under its own key: the same bytes have been read before."""
    put_fields(bench, layout({"HPA000001": [1], "HPA000002": [2]}))
    lock = [
        {
            "doi": "doi:10.5072/FK2/TESTED", "directory": "", "file_id": number, "digest_type": "MD5", "size": 1,
            "digest": f"{number:032x}", "is_ingested": False, "access": "public", "modality": "if", "role": "images",
            "file_condition": condition, "recognised_by": "test",
        }
        for number, condition in enumerate(CONDITIONS)
    ]  # fmt: skip
    later = "2026-06-v2.1"
    record = bench.platform.registry.get(RELEASE)
    bench.platform.registry.register([replace(record, key="", minor=1)])
    sync_partitions(bench.instance, bench.platform.registry)
    for release in (RELEASE, later):
        rows = [row | {"version": release[-3:], "label": f"{release}-{row['file_id']}.zip"} for row in lock]
        frame = table("release_files").from_rows(rows, release=release)
        with bench.platform.store.stage_table("release_files", Partition(release), frame) as staged:
            bench.platform.store.publish_table(staged)
    for condition in CONDITIONS:
        put(bench, "if_tensors", pl.DataFrame({"path": ["tensors/x"]}), condition)
    outcomes = bench.run(later, selection="proteins, splits")
    assert [outcome.succeeded for outcome in outcomes] == [True]
    opened = Release(later, bench.platform.store)
    assert opened.table("splits").select("release").unique().collect().item() == later
    assert opened.table("proteins").filter("has_if").collect().height == 2
