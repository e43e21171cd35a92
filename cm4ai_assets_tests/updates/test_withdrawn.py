"""What the archive takes back: withdrawn versions, closed files, vanished datasets. What is kept stays kept."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import dagster as dg

from cm4ai_assets.sandbox.exchange import Answer, Request, json_answer
from cm4ai_assets_tests.updates.archives import altering, released, withdrawing
from cm4ai_assets_tests.updates.conftest import Daemon, image_runs


def test_a_withdrawn_version_is_told_once_and_everything_is_kept(quarter: Daemon) -> None:
    key, doi = "2025-03-v1.1", "doi:10.5072/FK2/B3SBXX"
    before = {name: quarter.platform.store.partitions(name) for name in ("release_files", "if_archive")}
    link = "https://doi.org/10.5072/FK2/K7SBXM"
    quarter.server.faults.append(withdrawing(quarter.server, doi, "1.1", note="A mistake.", link=link))
    assert quarter.settle() == [f"still_published:{key}"]
    check = quarter.check("release_files", "still_published", key)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert str(check.description) == (
        f"Version 1.1 of {doi} was withdrawn: A mistake. The archive points to {link}. What is stored is kept."
    )
    assert f"{key} is withdrawn: Version 1.1" in quarter.said()
    assert key in quarter.partitions
    assert {name: quarter.platform.store.partitions(name) for name in before} == before
    quarter.server.clear_log()
    for _ in range(6):
        quarter.said()
    # Not at every look, but when its turn comes: the version, and why it is not there.
    assert len([path for path in quarter.questions() if path.endswith("/versions/1.1")]) == 2 * 2
    quarter.server.faults.clear()
    assert quarter.settle() == [f"still_published:{key}"]
    assert quarter.check("release_files", "still_published", key).passed


def test_nothing_is_fetched_of_a_withdrawn_version(quarter: Daemon) -> None:
    quarter.server.publish_until(released(quarter.archive, "F3SBX5", "2.0"))
    for request in quarter.tick().run_requests or ():
        assert quarter.run(request)
    fault = withdrawing(quarter.server, "doi:10.5072/FK2/F3SBX5", "2.0", note="Wrong files.", link="")
    quarter.server.faults.append(fault)
    assert quarter.requests() == ["still_published:2025-06-v2.0", *image_runs("2025-06-v1.0")]


def test_the_evaluation_counts_for_the_lock_that_is_there(daemon: Daemon) -> None:
    daemon.effort = "fetches"
    daemon.server.publish_until(released(daemon.archive, "B3SBXX", "1.1"))
    daemon.settle()
    daemon.server.faults.append(withdrawing(daemon.server, "doi:10.5072/FK2/B3SBXX", "1.1", note="", link=""))
    daemon.settle()
    key = dg.AssetCheckKey(dg.AssetKey("release_files"), "still_published")
    info = {i.partition_key: i for i in daemon.instance.event_log_storage.get_asset_check_partition_info([key])}
    assert {k: (i.is_current, i.latest_execution_status.value) for k, i in info.items()} == {
        "2024-05-v1.0": (True, "SUCCEEDED"),
        "2025-03-v1.0": (True, "SUCCEEDED"),
        "2025-03-v1.1": (True, "FAILED"),
    }


def test_a_file_that_is_embargoed_again_is_told(quarter: Daemon) -> None:
    def close(_: Request, answer: Any) -> Any:
        files = answer["data"].get("files", ()) if isinstance(answer["data"], dict) else ()
        for file in files:
            if "vorinostat" in file["label"]:
                file["dataFile"]["embargo"] = {"dateAvailable": "2099-01-01", "reason": "again"}
        return answer

    quarter.server.faults.append(altering(quarter.server, close))
    runs = [run for _ in range(3) for run in quarter.settle()]  # each locked release has its turn
    assert sorted(runs) == ["still_published:2025-03-v1.0", "still_published:2025-03-v1.1"]
    check = quarter.check("release_files", "still_published", "2025-03-v1.1")
    assert not check.passed
    assert str(check.description) == "1 of 6 files are no longer available as before. What is stored is kept."
    assert "embargoed" in str(check.metadata["offending"].value)


def test_a_dataset_is_gone_only_if_the_collection_agrees(quarter: Daemon) -> None:
    doi = "doi:10.5072/FK2/B3SBXX"

    def unlisted(request: Request, answer: Any) -> Any:
        if request.path.endswith("/contents"):
            answer["data"] = [entry for entry in answer["data"] if "B3SBXX" not in entry["identifier"]]
        return answer

    def unknown(request: Request) -> Answer | None:
        if request.query.get("persistentId") != doi:
            return None
        told = {"status": "ERROR", "message": f"Dataset with Persistent ID {doi} not found."}
        return json_answer(HTTPStatus.NOT_FOUND, told)

    quarter.server.faults.append(unknown)
    assert f"{doi}: The archive does not have it" in quarter.said()
    quarter.server.faults.append(altering(quarter.server, unlisted))
    assert quarter.settle() == ["still_published:2025-03-v1.0", "still_published:2025-03-v1.1"]
    assert "2025-03-v1.0 is gone" in quarter.said()
    assert not quarter.check("release_files", "still_published", "2025-03-v1.0").passed
