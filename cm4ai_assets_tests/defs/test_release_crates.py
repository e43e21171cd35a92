"""A release's own metadata through Dagster: over the sandbox, and over the real crates that lie in ../shared."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.archives.dataverse.recognition import recognise
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.defs.selection import waves
from cm4ai_assets.errors import NotMaterializedError, ReleaseKeyError
from cm4ai_assets.partitioning import Partitioning
from cm4ai_assets.platform import Platform
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.sandbox.build import DATASHEETS
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.store import Store
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.inputs import FEEDS
from cm4ai_assets.updates.needs import plan
from cm4ai_assets_tests.crates import published
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

MARCH, JUNE_2025 = "2025-03-v1.1", "2025-06-v2.1"
TABLES = "key:crate_entities or key:crate_edges or key:release_datasheet"
PATH = f"key:release_files or {TABLES}"
NOBODY = "http://127.0.0.1:9"


def bench_over(url: str, folder: Path) -> Workbench:
    settings = Settings.served_by(
        url,
        storage=str(folder / "storage"),
        scratch=folder / "scratch",
    )
    return Workbench(Platform(settings), dg.DagsterInstance.ephemeral())


def metadata(bench: Workbench, asset: str, release: str) -> dict[str, Any]:
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[release])
    (record, *_) = bench.instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def findings(outcome: Outcome) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in outcome.checks if check.asset_key.to_user_string() in TABLES}


def offending(check: dg.AssetCheckEvaluation) -> str:
    return str(check.metadata["offending"].value)


def table(bench: Workbench, name: str, release: str) -> pl.DataFrame:
    return bench.platform.store.table(name, Partition(release)).collect()


# --- the sandbox


@pytest.fixture(scope="module")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    archive.faults.clear()
    bench = bench_over(archive.url, tmp_path_factory.mktemp("metadata"))
    bench.register_offered()
    return bench


@pytest.fixture(scope="module")
def june_2026(made: Workbench) -> list[Outcome]:
    return made.run(RELEASE, selection=f"{PATH} or key:if_archive or key:if_antibodies")


def test_what_may_not_be_had_is_left_out_and_told(made: Workbench, june_2026: list[Outcome]) -> None:
    assert [outcome.failure for outcome in june_2026 if not outcome.succeeded] == []
    told = metadata(made, "crate_entities", RELEASE)
    assert "cell_atlas.zip (file 720749" in told["left_out"]
    assert "embargoed until 2028-01-01" in told["left_out"]
    assert "cm4ai_release_metadata.zip" in told["files_read"]
    assert told["problems"] == "none"


def test_crates_inside_stored_image_zips_are_read_after_them(made: Workbench, june_2026: list[Outcome]) -> None:
    assert set(june_2026[-1].made) == {"crate_entities", "crate_edges", "release_datasheet"}
    files = set(table(made, "crate_entities", RELEASE)["crate_file"])
    assert len([name for name in files if "ifimages" in name]) == 3
    antibodies = findings(june_2026[-1])["antibodies_agree"]
    assert "not compared" not in str(antibodies.description)


def test_image_zips_are_not_fetched_for_their_metadata(made: Workbench) -> None:
    assert all(outcome.succeeded for outcome in made.run(MARCH, selection=PATH))
    left_out = metadata(made, "crate_entities", MARCH)["left_out"]
    assert left_out.count("is not stored; its metadata is read once it is.") == 3
    # Three files of one name, told apart by their directories.
    assert set(table(made, "crate_entities", MARCH)["crate_file"]) == {
        "CRISPR Perturbation Cell Atlas/ro-crate-metadata.json",
        "CRISPR Perturbation RNA Sequences - Raw Sequences/ro-crate-metadata.json",
        "Protein-protein Interaction SEC-MS/ro-crate-metadata.json",
    }


def test_graphs_are_shown_as_pictures_and_text(made: Workbench, june_2026: list[Outcome]) -> None:
    told = metadata(made, "crate_edges", RELEASE)
    shown = {name: value for name, value in told.items() if str(value).startswith("![")}
    assert {"published_graph_1", "provenance_1"} <= set(shown)
    for value in shown.values():
        match = re.fullmatch(r"!\[[^\]]*\]\(data:image/png;base64,([^)]+)\)", value)
        assert match is not None
        data = base64.b64decode(match[1])
        assert data.startswith(b"\x89PNG")
        assert len(data) <= 30_000
    assert told["published_graph_1_mermaid"].startswith("```mermaid\nflowchart LR\n")
    # Words in a picture cannot be searched: each has its caption as text.
    assert {f"{name}_caption" for name in shown} <= told.keys()
    assert told["published_graph_1_caption"].startswith("As published in cm4ai_")


def test_the_page_of_a_lock_states_embargoes_and_sizes_in_words(made: Workbench, june_2026: list[Outcome]) -> None:
    told = metadata(made, "release_files", RELEASE)
    head = told["files"].splitlines()[0]
    assert "| available_on |" in head
    (row,) = [line for line in told["files"].splitlines() if "KOLF2_raw_sra" in line]
    assert "| embargoed | 2028-01-01 |" in row
    assert re.search(r"\| [\d.,]+ (?:bytes|kB|MB) \|", row)
    assert re.fullmatch(r"[\d.]+ MB", told["total_size"])
    assert told["total_bytes"] > 10**6


def test_what_has_to_survive_is_on_the_page_of_the_datasheet(made: Workbench, june_2026: list[Outcome]) -> None:
    told = metadata(made, "release_datasheet", RELEASE)
    assert "creativecommons.org/licenses/by-nc-sa/4.0" in told["stated_license"]
    assert "https://doi.org/10.5072/FK2/H1SBXC" in told["stated_citation"]
    assert "landing-page.jsonld" in told["sources"]
    assert "sandbox@example.org" in told["stated_contact"]
    assert "Embargoed" in told["stated_embargo"]
    assert {"stated_prohibited_use", "stated_terms"} <= told.keys()
    assert told["license"] == "CC BY-NC-SA 4.0"  # of the files it is made from, as on every page


def test_the_landing_page_is_kept_when_the_archive_does_not_describe_this_version_any_more(
    archive: SandboxServer, tmp_path: Path
) -> None:
    bench = bench_over(archive.url, tmp_path)
    bench.register_offered()
    assert bench.run("2026-06-v1.0", selection=PATH)[-1].succeeded
    assert "describes 2026-06-v2.0 by now" in metadata(bench, "release_datasheet", "2026-06-v1.0")["left_out"]
    kept = table(bench, "release_datasheet", "2026-06-v1.0")
    said = Document("landing-page.jsonld", "landing_page", b'{"name": "as it was"}')
    both = pl.concat([datasheet_table([said], release="2026-06-v1.0"), kept])
    with bench.platform.store.stage_table("release_datasheet", Partition("2026-06-v1.0"), both) as staged:
        bench.platform.store.publish_table(staged)
    assert bench.run("2026-06-v1.0", selection="key:release_datasheet")[-1].succeeded
    assert table(bench, "release_datasheet", "2026-06-v1.0").height == kept.height + 1


def test_an_operator_adds_the_datasheet_that_the_archive_does_not_carry(
    archive: SandboxServer, sandbox: Path, tmp_path: Path
) -> None:
    settings = replace(bench_over(archive.url, tmp_path).platform.settings, datasheets=str(sandbox / DATASHEETS))
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    bench.register_offered()
    outcome = bench.run(JUNE_2025, selection=PATH)[-1]
    assert outcome.succeeded, outcome.failure
    added = table(bench, "release_datasheet", JUNE_2025).filter(source=f"added/{JUNE_2025}.yaml")
    assert added.height > 150
    assert set(added["source_kind"]) == {"d4d"}
    assert f"added/{JUNE_2025}.yaml" in metadata(bench, "release_datasheet", JUNE_2025)["sources"]
    rows = findings(outcome)["datasheet_files"]
    assert "lists 10 of 21 files" in str(rows.description)
    for claim in ("| md5 |", "| directory |", "| format |", "so named in no known release", "no MD5: 31 characters"):
        assert claim in offending(rows)
    assert not findings(outcome)["datasheets_conform"].passed


def test_an_added_datasheet_that_cannot_be_read_is_left_out_and_named(archive: SandboxServer, tmp_path: Path) -> None:
    settings = replace(bench_over(archive.url, tmp_path).platform.settings, datasheets=str(tmp_path / "missing"))
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    bench.register_offered()
    assert bench.run(JUNE_2025, selection=PATH)[-1].succeeded
    assert "is no folder" in metadata(bench, "release_datasheet", JUNE_2025)["left_out"]


def test_claims_are_reported_and_never_block(june_2026: list[Outcome]) -> None:
    checks = findings(june_2026[-1])
    assert "9422486c80bc9e1d35b2fbbc72a5f043" in offending(checks["crate_digests"])
    assert not checks["crate_version"].passed
    blocking = {name for name, check in checks.items() if check.blocking}
    assert blocking <= {"schema"}
    assert all(check.passed or check.severity is dg.AssetCheckSeverity.WARN for check in checks.values())


def test_a_release_of_which_nothing_may_be_read_is_told(tmp_path: Path) -> None:
    bench = bench_over(NOBODY, tmp_path)
    lock_release(bench, "2026-06-v2.0", {"cm4ai_release_metadata.zip": b"closed"}, access="restricted")
    (outcome,) = bench.run("2026-06-v2.0", selection=TABLES)
    assert outcome.succeeded
    assert set(outcome.unmade) == {"crate_entities", "crate_edges", "release_datasheet"}
    assert "is restricted" in outcome.observed["crate_entities"]


@pytest.mark.parametrize(("closed", "needed"), [(0, True), (1, True), (2, False)])
def test_a_release_is_read_as_far_as_it_is_open(tmp_path: Path, closed: int, *, needed: bool) -> None:
    bench = bench_over(NOBODY, tmp_path)
    lock_release(
        bench, RELEASE, {"cm4ai_release_metadata.zip": b"bundle", "cm4ai_mass-spec_KOLF2.zip": b"package"},
        access="restricted",
    )  # fmt: skip
    lock = table(bench, RELEASE_FILES.name, RELEASE)
    access = pl.Series("access", ["restricted"] * closed + ["public"] * (2 - closed))
    publish(bench, RELEASE, lock.with_columns(access))
    feed = next(feed for feed in FEEDS if feed.job == "release_metadata")
    found = plan(
        bench.platform.registry.all(), bench.platform.store, today=date(2026, 8, 1), offered={RELEASE}, feeds=[feed]
    )
    assert ("release_metadata" in {need.job for need in found.needs}) is needed
    assert (("release_metadata", Partition(RELEASE)) in found.waiting) is not needed


# --- usage


def test_usage_is_noted_each_month_whatever_the_services_say(made: Workbench) -> None:
    for _ in range(2):  # the second snapshot of a month stands in the place of the first
        (outcome,) = made.run(RELEASE, selection="key:usage_metrics")
        assert outcome.succeeded, outcome.failure
    assert outcome.partition == Partition()
    usage = made.platform.store.table("usage_metrics", Partition()).collect()
    assert set(usage["doi"]) == {record.doi for record in made.platform.registry.all()}
    assert usage.height == 10 * usage["doi"].n_unique()
    assert usage["detail"].null_count() == usage["value"].is_not_null().sum()
    assert Release(RELEASE, made.platform.store).table("usage_metrics").collect().equals(usage)
    assert made.platform.store.partitions("usage_metrics") == [Partition()]


def test_what_knows_no_release_is_made_once_and_last(made: Workbench) -> None:
    found = waves(made.defs, "key:usage_metrics or key:release_files or key:if_archive")
    assert [wave.partitioning for wave in found] == list(Partitioning)
    assert found[-1].partitions(RELEASE, ["paclitaxel", "untreated"]) == [Partition()]
    with pytest.raises(ReleaseKeyError, match="no releases"):
        made.platform.store.has_table("usage_metrics", Partition(RELEASE))
    with pytest.raises(NotMaterializedError, match="--release latest"):
        Store("memory://nothing-here", scratch=Path("unused")).table("usage_metrics", Partition())


def test_services_that_are_down_fail_nothing(tmp_path: Path) -> None:
    bench = bench_over(NOBODY, tmp_path)
    lock_release(bench, RELEASE, {"cm4ai_release_metadata.zip": b"closed"}, access="restricted")
    (outcome,) = bench.run(RELEASE, selection="key:usage_metrics")
    assert outcome.succeeded, outcome.failure
    assert set(bench.platform.store.table("usage_metrics", Partition()).collect()["status"]) == {"unavailable"}


# --- the real crates


def lock_release(bench: Workbench, key: str, files: dict[str, bytes], *, access: str = "public") -> None:
    """A release with these files, stored where they may be had."""
    version = key.rsplit("-v", 1)[1]
    rows = []
    for number, (path, data) in enumerate(files.items(), 1):
        directory, _, label = path.rpartition("/")
        known = recognise(directory, label)
        md5, sha256 = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
        if access == "public":
            source = bench.platform.settings.scratch / sha256
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(data)
            bench.platform.blobs.add(source, sha256, {"MD5": md5})
        rows.append({
            "doi": "doi:10.18130/V3/F3TD5R" if key == JUNE_2025 else "doi:10.18130/V3/HIGT4C", "version": version,
            "directory": directory, "label": label, "file_id": number, "size": len(data), "digest_type": "MD5",
            "digest": md5, "is_ingested": False, "access": access, "modality": known.modality,
            "cell_line": known.cell_line, "file_condition": known.condition, "role": known.role,
            "recognised_by": known.rule, "license": "CC BY-NC-SA 4.0",
        })  # fmt: skip
    publish(bench, key, RELEASE_FILES.from_rows(rows, release=key))


def publish(bench: Workbench, key: str, lock: pl.DataFrame) -> None:
    major, minor = key.rsplit("-v", 1)[1].split(".")
    month = datetime.strptime(key[:7], "%Y-%m").replace(tzinfo=UTC)
    record = ReleaseRecord(
        key="", doi=str(lock["doi"][0]), major=int(major), minor=int(minor), title=f"{month:%B %Y} Data Release",
        published=date(month.year, month.month, 28), released=None, archive=NOBODY,
    )  # fmt: skip
    bench.platform.registry.register([record])
    sync_partitions(bench.instance, bench.platform.registry)
    with bench.platform.store.stage_table(RELEASE_FILES.name, Partition(key), lock) as staged:
        bench.platform.store.publish_table(staged)


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workbench, dict[str, Outcome]]:
    bench = bench_over(NOBODY, tmp_path_factory.mktemp("real"))
    page = "mass-spec-cancer-cells-provenance-graph.html"
    crates = {file.name: file.data for file in published.release_2025(shared)}
    graph = (shared / "data" / "dataverse" / "june2025_F3TD5R" / page).read_bytes()
    publish(bench, "2025-03-v1.4", published.published(shared, "2025-03-v1.4").files)
    lock_release(bench, JUNE_2025, {**crates, f"mass-spec/cancer-cells/{page}": graph})
    lock_release(bench, RELEASE, {"cm4ai_release_metadata.zip": published.bundle_2026(shared).read_bytes()})
    return bench, {key: bench.run(key, selection=TABLES)[-1] for key in (JUNE_2025, RELEASE)}


def test_the_bundle_of_june_2026(real: tuple[Workbench, dict[str, Outcome]]) -> None:
    bench, outcomes = real
    assert outcomes[RELEASE].succeeded, outcomes[RELEASE].failure
    entities = table(bench, "crate_entities", RELEASE)
    counts = dict(entities["entity_type"].value_counts().iter_rows())
    assert counts == {"Person": 38, "DefinedTerm": 13, "ROCrate": 10, "CreativeWork": 1}
    assert table(bench, "crate_edges", RELEASE).height > 50_000
    told = metadata(bench, "crate_edges", RELEASE)
    assert told["published_graphs"].count("ro-crate-prov-graph.html") == 9
    assert str(told["published_graph_1"]).startswith("![")
    checks = findings(outcomes[RELEASE])
    assert offending(checks["crate_digests"]).count("2025-03-v1.4") == 6
    assert checks["crate_dois"].metadata["counts"].value == "rows 10"
    assert checks["crate_identifiers"].metadata["counts"].value == "rows 3"
    assert checks["crates_readable"].passed
    datasheet = metadata(bench, "release_datasheet", RELEASE)
    assert "d4d" in datasheet["sources"]
    assert (
        "prohibited" in datasheet["stated_prohibited_use"].lower()
        or "not" in datasheet["stated_prohibited_use"].lower()
    )


def test_the_crates_of_june_2025(real: tuple[Workbench, dict[str, Outcome]]) -> None:
    bench, outcomes = real
    assert outcomes[JUNE_2025].succeeded, outcomes[JUNE_2025].failure
    entities = table(bench, "crate_entities", JUNE_2025)
    counts = dict(entities["crate_file"].value_counts().iter_rows())
    # With the descriptor, which the reference does not count for the cancer cells.
    assert counts["mass-spec-cancer-cells-ro-crate-metadata.json"] in {54, 55}
    assert counts["Perturb-Seq-sra-ro-crate-metadata.json"] == 761
    checks = findings(outcomes[JUNE_2025])
    assert "not among the parts of the root" in offending(checks["crate_parts"])
    assert checks["crate_inverses"].metadata["counts"].value == "rows 2"
    told = offending(checks["provenance_agrees"])
    assert "experiment-vorinostat-1-sec-ms-mda-mb468" in told
    # Both mass-spec stubs carry the digest of March's crate, and so does one's own root.
    assert offending(checks["crate_digests"]).count("cb67e7749b15ce87b9042a9feba9d032") == 3
    assert "V3/B35XWX" in offending(checks["crate_dois"])
