"""The proteomics path through Dagster: every published shape, what is not there told as such, outages and pulls."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets import cli
from cm4ai_assets.access import Release
from cm4ai_assets.archives.massive.client import MassiveClient
from cm4ai_assets.conditions import Condition
from cm4ai_assets.definitions import defs
from cm4ai_assets.defs import acquisition
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.defs.partitions import partition_key
from cm4ai_assets.defs.proteomics import inputs
from cm4ai_assets.defs.proteomics.deposits import DEPOSITS
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.platform import Platform
from cm4ai_assets.proteomics.apms_forms import Reading
from cm4ai_assets.proteomics.names import quantity_column
from cm4ai_assets.proteomics.problems import Tally
from cm4ai_assets.sandbox import SandboxServer, crates
from cm4ai_assets.sandbox import massive as sandbox_massive
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.settings import Settings, service_variables
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.transfer.retries import RetryPolicy
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.ticks import tick_of

MAY_2024, JUNE_2025, OCTOBER = "2024-05-v1.0", "2025-06-v2.1", "2025-10-v1.1"
PATH = "key:release_files or group:proteomics"
KOLF = "MSV000100676"


class Impatient(Platform):
    """Gives up on MassIVE at once."""

    def massive(self) -> MassiveClient:
        return MassiveClient(self.settings.massive_url, retries=RetryPolicy(tries=1, waf_tries=1))


def bench_over(archive: SandboxServer, folder: Path) -> Workbench:
    settings = Settings.served_by(
        archive.url,
        storage=str(folder / "storage"),
        scratch=folder / "scratch",
    )
    made = Workbench(Impatient(settings), dg.DagsterInstance.ephemeral())
    made.register_offered()
    return made


@pytest.fixture
def own(archive: SandboxServer, tmp_path: Path) -> Workbench:
    archive.faults.clear()
    return bench_over(archive, tmp_path)


@pytest.fixture(scope="module")
def made(archive: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """The releases of May 2024, October 2025 and June 2026, as far as proteomics goes."""
    return bench_over(archive, tmp_path_factory.mktemp("proteomics"))


@pytest.fixture(scope="module")
def runs(made: Workbench) -> dict[str, dict[str, Outcome]]:
    """The outcomes by release and condition; "" for the release's own run."""
    return {
        release: {outcome.partition.condition or "": outcome for outcome in made.run(release, selection=PATH)}
        for release in (MAY_2024, OCTOBER, RELEASE)
    }


def metadata(bench: Workbench, asset: str, partition: str) -> dict[str, Any]:
    filters = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    (record, *_) = bench.instance.fetch_materializations(filters, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def reasons(bench: Workbench, asset: str) -> list[str]:
    records = bench.instance.fetch_observations(dg.AssetKey(asset), limit=20).records
    return [record.asset_observation.description or "" for record in records if record.asset_observation]


# --- what was published


def test_every_run_succeeds(runs: dict[str, dict[str, Outcome]]) -> None:
    assert [o.failure for of_release in runs.values() for o in of_release.values() if not o.succeeded] == []


def test_october_has_tables_of_all_conditions(made: Workbench, runs: dict[str, dict[str, Outcome]]) -> None:
    proteins = Release(OCTOBER, made.platform.store).table("secms_proteins").collect()
    per_condition = proteins.group_by("condition", maintain_order=True).agg(
        pl.col("replicate_id").n_unique(), pl.col("cell_type").unique().sort()
    )
    assert dict(per_condition.select("condition", "replicate_id").iter_rows()) == {
        "untreated": 3 + 11, "paclitaxel": 3, "vorinostat": 3,
    }  # fmt: skip
    assert per_condition.filter(condition="untreated")["cell_type"].item().to_list() == [
        "cancer", "cardiomyocyte", "ipsc", "neuron", "npc",
    ]  # fmt: skip
    assert set(proteins["release"]) == {OCTOBER}


def test_profiles_are_the_published_numbers_at_the_fractions_of_the_header(
    made: Workbench, runs: dict[str, dict[str, Outcome]]
) -> None:
    report = sandbox.mda_reports()["Biosep_MDAMB468_VRST_2_Report.tsv"].decode()
    rows = list(csv.reader(io.StringIO(report), delimiter="\t"))
    columns = {at: column for at, name in enumerate(rows[0]) if (column := quantity_column(name))}
    assert columns[min(columns)].fraction == 78  # the last fraction stands first
    expected = {
        (row[0], column.fraction): None if row[at] == "NaN" else float(row[at])
        for row in rows[1:]
        for at, column in columns.items()
    }
    profiles = Release(OCTOBER, made.platform.store).table("secms_profiles").collect()
    own = profiles.filter(replicate_id="MDA-MB-468_vorinostat_2")
    found = dict(zip(own.select("protein_group", "fraction").iter_rows(), own["quantity"], strict=True))
    assert found == expected
    assert None in expected.values()


def test_checks_tell_what_is_odd(runs: dict[str, dict[str, Outcome]]) -> None:
    checks = {check.check_name: check for check in runs[OCTOBER]["untreated"].checks}
    assert {"tables_present", "tables_usable", "samples_known", "text_sound", "elution_aligned", "replicates_correlate",
            "groups_unique", "quantities_sound", "scale_consistent", "scale_unchanged"} <= {
        name for name, check in checks.items() if check.passed}  # fmt: skip
    assert not checks["windows_aligned"].passed
    assert "share F12 to F78" in str(checks["windows_aligned"].description)


def test_pages_show_pictures_of_at_most_30_kilobytes(made: Workbench, runs: dict[str, dict[str, Outcome]]) -> None:
    told = metadata(made, "secms_profiles", f"untreated|{OCTOBER}")
    pictures = {name: str(value) for name, value in told.items() if str(value).startswith("![")}
    assert {"elution_MDA_MB_468_cancer", "elution_KOLF2_1J_npc", "replicate_correlation"} <= set(pictures)
    pictures["windows"] = str(metadata(made, "secms_proteins", f"untreated|{OCTOBER}")["windows"])
    assert all("data:image/png;base64," in picture for picture in pictures.values())
    assert max(len(picture) for picture in pictures.values()) < 30_000 * 4 / 3 + 200
    assert told["doi"] == "doi:10.5072/FK2/K7SBXM"


def test_may_2024_has_scored_pairs_of_untreated_cells(made: Workbench, runs: dict[str, dict[str, Outcome]]) -> None:
    assert runs[MAY_2024]["untreated"].made == ("apms_interactions",)
    pairs = Release(MAY_2024, made.platform.store).table("apms_interactions").collect()
    assert pairs.height == len(sandbox.BAITS) * 12
    assert set(pairs["bait_symbol"]) == set(sandbox.BAITS)
    assert pairs["spectral_counts"].dtype == pl.List(pl.Int32)
    assert pairs["prey_uniprot_id"].null_count() == 0


def test_june_2026_has_annotated_runs_from_the_deposits(made: Workbench, runs: dict[str, dict[str, Outcome]]) -> None:
    annotated = Release(RELEASE, made.platform.store).table("apms_runs").collect()
    per_condition = annotated.group_by("condition").len().sort("condition")
    assert per_condition.rows() == [("paclitaxel", 20), ("untreated", 40), ("vorinostat", 20)]
    untreated = annotated.filter(condition="untreated")
    assert set(untreated["accession"]) == {"MSV000101915", "MSV000101917"}  # DMSO in the deposits of both drugs
    assert metadata(made, "apms_runs", f"untreated|{RELEASE}")["license"] == "CC0 1.0"
    (deposited,) = [c for c in runs[RELEASE]["paclitaxel"].checks if c.check_name == "runs_deposited"]
    assert deposited.passed, deposited.description


def test_a_check_reads_what_is_stored_and_asks_no_archive(
    made: Workbench, runs: dict[str, dict[str, Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        pytest.fail("a check asked MassIVE")

    monkeypatch.setattr(made.platform, "massive", asked)
    lock = inputs.lock_of(made.platform, RELEASE)
    assert inputs.read_runs(made.platform, RELEASE, lock)
    with monkeypatch.context() as patched:
        patched.setattr(made.platform.blobs, "has", lambda _: False)
        with pytest.raises(NotMaterializedError, match="Materialize apms_runs again"):
            inputs.read_runs(made.platform, RELEASE, lock)


def test_deposits_are_listed_and_linked_to_what_replaces_them(
    made: Workbench, runs: dict[str, dict[str, Outcome]]
) -> None:
    files = Release(OCTOBER, made.platform.store).table("massive_files").collect()
    assert set(files["accession"]) == {"MSV000098237", "MSV000097606", KOLF}
    assert set(files.filter(accession="MSV000097606")["replaced_by"]) == {KOLF}
    assert set(files.filter(accession=KOLF)["replaces"].list.first()) == {"MSV000097606"}
    raw = files.filter(kind="raw_run", accession="MSV000098237")
    assert (raw.height, set(raw["members"]), raw["is_folder"].all()) == (9 * 72, {2}, True)
    listed = sum(sum(sandbox_massive.sizes(one).values()) for one in set(files["accession"]))
    assert metadata(made, "massive_files", OCTOBER)["total_bytes"] == files["size"].sum() == listed
    licences = dict(files.select("accession", "license").unique().iter_rows())
    # The crates of this release do not name the deposit that replaces one of theirs.
    assert licences == {"MSV000098237": crates.LICENSE, "MSV000097606": crates.LICENSE, KOLF: None}
    assert metadata(made, "massive_files", OCTOBER)["license"] == "CC BY-NC-SA 4.0, not stated"
    (seen, *_) = reasons(made, "MSV000098237")
    assert seen == f"{len(sandbox_massive.sizes('MSV000098237')):,} files listed."


# --- what was not


def test_zips_of_the_same_names_without_tables_are_no_empty_success(
    made: Workbench, runs: dict[str, dict[str, Outcome]]
) -> None:
    outcome = runs[RELEASE]["paclitaxel"]
    assert {"secms_profiles", "secms_proteins", "apms_interactions"} <= set(outcome.unmade)
    assert not made.platform.store.has_table("secms_profiles", Partition(RELEASE, "paclitaxel"))
    (why, *_) = [reason for reason in reasons(made, "secms_proteins") if "of the 6 files" in reason]
    assert "cm4ai_mass-spec_KOLF2.zip" in why
    assert "MSV000098237, MSV000100676 of MassIVE" in why
    assert outcome.observed["secms_profiles"] == why
    assert {check.asset_key.path[0] for check in outcome.checks} == {"apms_runs"}, "a check of nothing has no outcome"


def test_a_release_without_such_files_says_so(made: Workbench, runs: dict[str, dict[str, Outcome]]) -> None:
    assert f"Release {MAY_2024} has no SEC-MS archive." in reasons(made, "secms_profiles")
    assert f"Release {OCTOBER} has no AP-MS archive of paclitaxel." in reasons(made, "apms_interactions")
    assert any("metadata name no deposit" in reason for reason in reasons(made, "massive_files"))
    assert any("neither its archives nor the deposits" in reason for reason in reasons(made, "apms_runs"))


def test_an_embargo_is_a_state(own: Workbench) -> None:
    own.run(OCTOBER, selection="release_files")
    store = own.platform.store
    lock = store.table("release_files", Partition(OCTOBER)).collect()
    closed = lock.with_columns(pl.lit("embargoed").alias("access"), pl.lit(date(2099, 1, 1)).alias("available_on"))
    with store.stage_table(RELEASE_FILES.name, Partition(OCTOBER), closed) as staged:
        store.publish_table(staged)
    (outcome,) = own.run(OCTOBER, "paclitaxel", selection="key:secms_*")
    assert outcome.succeeded
    assert outcome.made == ()
    assert any("embargoed until 2099-01-01" in reason for reason in reasons(own, "secms_profiles"))


def test_bytes_other_than_published_are_refused(own: Workbench, archive: SandboxServer) -> None:
    def flip_a_bit(request: Request) -> Answer | None:
        if "/access/datafile/703696" not in request.path:
            return None
        answer = archive.answer(request)
        body = bytearray(b"".join(answer.body))
        body[len(body) // 2] ^= 1
        return Answer(answer.status, answer.headers, (bytes(body),), len(body))

    own.run(OCTOBER, selection="release_files")
    archive.faults.append(flip_a_bit)
    (outcome,) = own.run(OCTOBER, "vorinostat", selection="key:secms_*")
    archive.faults.clear()
    assert not outcome.succeeded
    assert "cm4ai_mass-spec_MDA-MB-468.zip" in outcome.failure
    assert own.platform.store.partitions("secms_profiles") == []


def test_a_table_that_lost_rows_never_takes_the_place_of_what_was_published(
    own: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, *outcomes) = own.run(MAY_2024, "untreated", selection="key:release_files or key:apms_interactions")
    assert all(outcome.succeeded for outcome in outcomes)
    partition = Partition(MAY_2024, "untreated")
    before = own.platform.store.table("apms_interactions", partition).collect()
    whole = inputs.read_interactions

    def half(*args: Any) -> Reading:
        return replace(
            whole(*args), rows=before.head(0).drop("release", "condition"), tallies=(Tally("apms.tsv", 48, 48),)
        )

    monkeypatch.setattr(inputs, "read_interactions", half)
    (outcome,) = own.run(MAY_2024, "untreated", selection="apms_interactions")
    assert not outcome.succeeded
    assert "apms_interactions.rows_kept: 48 of 48 lines of apms.tsv were left out" in outcome.failure
    assert own.platform.store.table("apms_interactions", partition).collect().equals(before)


# --- a service that is down


def down(request: Request) -> Answer | None:
    outside = request.path.startswith("/outside/")
    return Answer(500, {"Content-Type": "text/html"}, (b"oops",), 4) if outside else None  # type: ignore[arg-type]


def test_no_inventory_is_made_while_nobody_lists_and_the_rest_is(
    own: Workbench, archive: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acquisition, "RETRIES", 1)
    monkeypatch.setattr(acquisition, "RETRY_SECONDS", 0)
    archive.faults.append(down)
    listing, tables = own.run(OCTOBER, "paclitaxel", selection=PATH)
    archive.faults.clear()
    assert not listing.succeeded
    assert "Nobody lists MSV000097606" in listing.failure
    assert own.platform.store.partitions("massive_files") == []
    assert set(tables.made) == {"secms_profiles", "secms_proteins"}


def test_without_proxi_the_listing_has_no_addresses(own: Workbench, archive: SandboxServer) -> None:
    archive.faults.append(lambda request: down(request) if "proxi" in request.path else None)
    (listing,) = own.run(JUNE_2025, selection="key:release_files or key:massive_files")
    archive.faults.clear()
    assert listing.succeeded, listing.failure
    files = own.platform.store.table("massive_files", Partition(JUNE_2025)).collect()
    assert files["url"].null_count() == files.height
    assert "PROXI" in str(metadata(own, "massive_files", JUNE_2025)["notes"])


# --- pulled on request


@pytest.fixture
def pulling(own: Workbench, archive: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    settings = own.platform.settings
    for name, value in {
        **service_variables(archive.url), "CM4AI_STORAGE": settings.storage,
        "CM4AI_SCRATCH": str(settings.scratch),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    own.run(RELEASE, selection="key:release_files or key:massive_files")
    return own


def test_a_pull_keeps_to_its_budget(pulling: Workbench, archive: SandboxServer, capsys: Any) -> None:
    archive.clear_log()
    assert cli.main(["pull", f"{KOLF}/*", "--budget", "1GB"]) == cli.FAILED
    assert "835.64 GB" in capsys.readouterr().err
    assert cli.main(["pull", "nothing/*", "--budget", "1GB"]) == cli.FAILED
    assert archive.log == []


def test_pulled_tables_are_read_and_their_digests_kept(
    pulling: Workbench, archive: SandboxServer, tmp_path: Path, capsys: Any
) -> None:
    words = ["pull", f"{KOLF}/quant/*", f"{KOLF}/*/Cardio_Rep1_F07.d", "--budget", "1MB", "--to", str(tmp_path / "raw")]
    assert cli.main(words) == cli.DONE
    assert (tmp_path / "raw" / KOLF / "quant" / "sec.csv").read_bytes() == sandbox.sec_csv()
    assert len(list((tmp_path / "raw" / KOLF / "raw" / "KOLF2_final" / "Cardio_Rep1_F07.d").iterdir())) == 2
    told = dict(line.split("  ")[::-1] for line in capsys.readouterr().out.splitlines() if "  " in line)
    archive.clear_log()
    assert cli.main(words) == cli.DONE
    assert [record for record in archive.log if "DownloadResultFile" in record.path] == []

    outcomes = pulling.run(RELEASE, "untreated", "paclitaxel", selection="key:massive_files or key:secms_*")
    files = pulling.platform.store.table("massive_files", Partition(RELEASE)).collect().drop_nulls("sha256")
    assert {f"{a}/{p}": d for a, p, d in files.select("accession", "path", "sha256").iter_rows()} == told
    assert set(outcomes[1].made) == {"secms_profiles", "secms_proteins"}
    assert outcomes[2].made == ()
    proteins = pulling.platform.store.table("secms_proteins", Partition(RELEASE, "untreated")).collect()
    assert set(proteins["quantity_kind"]) == {"sec_intensity"}
    assert proteins["replicate_id"].n_unique() == 11


def test_other_bytes_than_the_first_time_are_refused(pulling: Workbench, archive: SandboxServer, capsys: Any) -> None:
    words = ["pull", "MSV000101915/metadata/*", "--budget", "1MB"]
    assert cli.main(words) == cli.DONE
    sha256 = capsys.readouterr().out.splitlines()[1].split()[0]
    pulling.platform.blobs.withdraw(sha256)
    size = sandbox_massive.sizes("MSV000101915")["metadata/APMS_Paclitaxel_Sample_Annotation.tsv"]
    archive.faults.append(
        lambda request: Answer(200, {}, (b"x" * size,), size) if "Download" in request.path else None  # type: ignore[arg-type]
    )
    assert cli.main(words) == cli.FAILED
    archive.faults.clear()
    assert "as when it was first stored" in capsys.readouterr().err
    assert not pulling.platform.blobs.has(sha256)


# --- in the graph


def test_one_of_two_tables_is_made_alone_and_a_schema_check_by_itself_publishes_nothing(
    made: Workbench, runs: dict[str, dict[str, Outcome]]
) -> None:
    store, partition = made.platform.store, Partition(OCTOBER, "paclitaxel")
    job = made.defs.resolve_implicit_global_asset_job_def()
    alone = job.execute_in_process(  # as the UI allows it; `--select` takes both
        instance=made.instance, asset_selection=[dg.AssetKey("secms_proteins")], partition_key=partition_key(partition)
    )
    assert alone.success
    assert [one.asset_key.path[-1] for one in alone.get_asset_materialization_events()] == ["secms_proteins"]
    store.remove("tables/secms_proteins/release=2025-10-v1.1/condition=paclitaxel/data.parquet")
    schema = dg.AssetCheckKey(dg.AssetKey("secms_proteins"), "schema")
    result = job.get_subset(asset_selection=set(), asset_check_selection={schema}).execute_in_process(
        instance=made.instance, tags={"dagster/partition": str(partition)}, raise_on_error=False
    )
    (check,) = result.get_asset_check_evaluations()
    assert (result.success, check.passed, check.check_name) == (True, True, "schema")
    assert not store.has_table("secms_proteins", partition)


def test_deposits_stand_in_the_lineage() -> None:
    graph = defs.resolve_asset_graph()
    assert {spec.key for spec in DEPOSITS} <= graph.external_asset_keys
    assert {spec.key for spec in DEPOSITS} < graph.get(dg.AssetKey("massive_files")).parent_keys
    for name in ("secms_profiles", "secms_proteins", "apms_runs"):
        assert dg.AssetKey("massive_files") in graph.get(dg.AssetKey(name)).parent_keys


def test_runs_follow_the_inventory(own: Workbench) -> None:
    state = tick_of(own.defs, own.instance)
    own.run(RELEASE, selection="release_files")
    state = tick_of(own.defs, own.instance, cursor=state.cursor)
    assert state.get_num_requested(dg.AssetKey("apms_runs")) == 0
    own.run(RELEASE, selection="massive_files")
    state = tick_of(own.defs, own.instance, cursor=state.cursor)
    assert state.get_requested_partitions(dg.AssetKey("apms_runs")) == {f"{c}|{RELEASE}" for c in Condition}
