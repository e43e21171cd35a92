"""The crates through Dagster: behind the gate, taken by every validator as they stand there, and damage named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.defs.checks import STEPS
from cm4ai_assets.defs.instance import sync_partitions
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.platform import Platform
from cm4ai_assets.publication.crate import facts_of, findings
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Makings
from cm4ai_assets.tables.publication import DERIVED_CRATE
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench
from cm4ai_assets_tests.publication import makings
from cm4ai_assets_tests.publication.releases import delivery_of, described
from cm4ai_assets_tests.validators.python import (
    PROCESS_RUN,
    RO_CRATE,
    fairscape_classes,
    fairscape_problems,
    ro_crate_py_problems,
    run_roc_validator,
)

GROUPS = ("images", "integration", "metadata", "perturbation", "proteomics", "release")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A release whose runs are recorded, but for one table, and no archive that could be asked."""
    folder = tmp_path_factory.mktemp("crate")
    makings.note_runs(described(folder), without=["splits"])
    settings = Settings.served_by("http://127.0.0.1:9", storage=str(folder / "storage"), scratch=folder / "scratch")
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workbench(Platform(settings), instance)
        sync_partitions(instance, made.platform.registry)
        yield made


@pytest.fixture(scope="module")
def outcome(bench: Workbench) -> Outcome:
    (found,) = bench.run(RELEASE, selection="derived_crate")
    assert found.succeeded, found.failure
    return found


def document(bench: Workbench) -> Path:
    """The folder of what is published."""
    return Path(bench.platform.store.root) / bench.platform.store.document(DERIVED_CRATE, Partition(RELEASE)).folder


def checks(outcome: Outcome) -> dict[str, tuple[bool, str]]:
    return {one.check_name: (one.passed, one.description or "") for one in outcome.checks}


def test_it_is_published_with_its_checks(bench: Workbench, outcome: Outcome) -> None:
    found = checks(outcome)

    assert {name: passed for name, (passed, _) in found.items()} == {
        "well_formed": True, "each_file_once": True, "no_dangling": True, "crate_digests": True,
        "runs_known": False, "reaches_published": False,
    }  # fmt: skip
    assert "splits" in found["runs_known"][1]
    record = bench.instance.fetch_materializations(dg.AssetKey("derived_crate"), limit=1).records[0]
    assert record.asset_materialization is not None
    shown = {name: value.value for name, value in record.asset_materialization.metadata.items()}
    assert shown["runs"] == makings.RUN
    assert shown["without_run"] == 1
    assert "images/ro-crate-metadata.json" in str(shown["crates"])
    making = Makings(bench.platform.store).of(document(bench).parent.relative_to(bench.platform.store.root).as_posix())
    assert making is not None, "its own run is recorded, too"
    assert any(one.path.endswith("splits/release=2026-06-v2.0/data.parquet") for one in making.inputs)


def test_what_stands_there_lists_every_file_below_the_storage(bench: Workbench, outcome: Outcome) -> None:
    folder = document(bench)
    names = set(bench.platform.store.document(DERIVED_CRATE, Partition(RELEASE)).files)
    files = {name: (folder / name).read_bytes() for name in names}
    delivery = [one for one in delivery_of(Release(RELEASE, bench.platform.store)) if one.name != "derived_crate"]

    assert findings.each_file_once(files, delivery).passed
    every = facts_of(Release(RELEASE, bench.platform.store), delivery_of(Release(RELEASE, bench.platform.store)))
    assert list(every.delivery) == delivery, "a crate does not list crates: none can state its own digest"
    for one in findings.listed(files, folder.relative_to(bench.platform.store.root).as_posix()):
        assert (Path(bench.platform.store.root) / one.path).stat().st_size == one.size


@pytest.mark.timeout(900)
def test_roc_validator_has_nothing_required_against_any_of_them(bench: Workbench, outcome: Outcome) -> None:
    folders = [document(bench), *(document(bench) / group for group in GROUPS)]
    assert all((folder / "ro-crate-metadata.json").is_file() for folder in folders)

    assert run_roc_validator(folders, RO_CRATE) == []
    # The profile of runs asks about runs: of the release none, of images all, of integration all but one are known.
    of_runs = [document(bench), *(document(bench) / group for group in ("images", "integration"))]
    assert run_roc_validator(of_runs, PROCESS_RUN) == []


@pytest.mark.timeout(900)
def test_fairscape_takes_them_for_what_they_are_and_ro_crate_py_opens_them(bench: Workbench, outcome: Outcome) -> None:
    folder = document(bench)
    names = ("ro-crate-metadata.json", *(f"{group}/ro-crate-metadata.json" for group in GROUPS))
    assert fairscape_problems([folder / "fairscape" / name for name in names]) == []
    classes = fairscape_classes(folder / "fairscape" / "images" / "ro-crate-metadata.json")
    plain = json.loads((folder / "images" / "ro-crate-metadata.json").read_text())["@graph"]
    assert classes["Dataset"] == sum("https://w3id.org/EVI#Dataset" in one["@type"] for one in plain) > 5
    assert classes["Computation"] == sum("CreateAction" in one["@type"] for one in plain) == 7
    assert classes["Schema"] == sum(one["@type"] == "EVI:Schema" for one in plain) == 4
    assert ro_crate_py_problems([folder, *(folder / group for group in GROUPS)]) == []


def test_made_again_it_is_the_same_document(bench: Workbench, outcome: Outcome) -> None:
    before = document(bench)
    bench.run(RELEASE, selection="derived_crate")

    assert document(bench) == before


def test_a_tampered_file_is_named_by_the_check(bench: Workbench, outcome: Outcome) -> None:
    path = Path(bench.platform.store.root) / "tables/splits" / f"release={RELEASE}" / "data.parquet"
    whole = path.read_bytes()
    (step,) = (step for step in STEPS if step.about is DERIVED_CRATE)
    path.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    try:
        found = {one.check: one for one in step.findings_of(bench.platform, Partition(RELEASE))}
    finally:
        path.write_bytes(whole)

    assert not found["crate_digests"].passed
    assert found["crate_digests"].rows["what"].to_list() == [f"tables/splits/release={RELEASE}/data.parquet"]
    assert "was altered: SHA-256" in found["crate_digests"].summary
