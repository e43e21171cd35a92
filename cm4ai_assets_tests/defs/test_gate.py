"""What failed a blocking check never stands under a published path, and nothing is made from it."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.images import assets as image_assets
from cm4ai_assets.images import decode
from cm4ai_assets.plain import for_markdown, from_markdown
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import Defect, DefectKind, SandboxServer, write_if_zip
from cm4ai_assets.sandbox.exchange import Answer, Request
from cm4ai_assets.settings import Settings
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

IMAGES = "group:images"
PACLITAXEL = Partition(RELEASE, "paclitaxel")


@pytest.fixture
def own(archive: SandboxServer, tmp_path: Path) -> Workbench:
    settings = Settings.served_by(archive.url, storage=str(tmp_path / "storage"), scratch=tmp_path / "scratch")
    return Workbench(Platform(settings), dg.DagsterInstance.ephemeral())


def published(bench: Workbench) -> set[str]:
    root = Path(bench.platform.store.root)
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] in {"tables", "tensors", "blobs"}
    }


@pytest.mark.parametrize(
    "kind", [DefectKind.PATH_TRAVERSAL, DefectKind.ABSOLUTE_PATH, DefectKind.BOMB, DefectKind.ENCRYPTED]
)
def test_a_hostile_zip_is_refused_and_its_member_named(own: Workbench, tmp_path: Path, kind: DefectKind) -> None:
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8, defects=[Defect(kind, field=2)])
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    before = published(own)
    (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert not outcome.succeeded
    assert outcome.made == ()
    assert published(own) == before
    (failed,) = [check for check in outcome.checks if not check.passed]
    assert (failed.check_name, failed.blocking) == ("zip_safe", True)
    assert ".jpg" in str(failed.description)
    assert "zip_safe" in outcome.failure
    assert "unchanged" in outcome.failure


def test_a_name_in_a_zip_is_text_and_no_markup_wherever_it_is_shown(own: Workbench, tmp_path: Path) -> None:
    """In a description Dagster's UI would ask a picture's address for it."""
    hostile = "../![x](http://evil.example/x.png).jpg"
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8)
    with zipfile.ZipFile(zip_path, "a") as file:
        file.writestr(hostile, b"x")
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    (failed,) = [check for check in outcome.checks if not check.passed]
    assert for_markdown(hostile) in str(failed.description)
    assert hostile in from_markdown(str(failed.description))
    assert hostile in outcome.failure


def test_a_truncated_zip_is_refused(own: Workbench, tmp_path: Path) -> None:
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8, defects=[Defect(DefectKind.TRUNCATED_ZIP)])
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert not outcome.succeeded
    assert not own.platform.store.has_table("if_archive", PACLITAXEL)


def test_bytes_other_than_published_are_never_stored(own: Workbench, archive: SandboxServer) -> None:
    own.register_offered()
    (locked,) = own.run(RELEASE, selection="release_files")
    assert locked.succeeded
    before = published(own)

    def flip_a_bit(request: Request) -> Answer | None:
        if "/access/datafile/" not in request.path:
            return None
        answer = archive.answer(request)
        body = bytearray(b"".join(answer.body))
        body[1000] ^= 1
        answer.body = (bytes(body),)
        return answer

    archive.faults.append(flip_a_bit)
    try:
        (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    finally:
        archive.faults.clear()
    assert not outcome.succeeded
    missed = [check for check in outcome.checks if not check.passed]
    (failed,) = [check for check in missed if check.severity is dg.AssetCheckSeverity.ERROR]
    assert failed.check_name == "digest_and_size"
    others = {check.check_name: check.description for check in missed if check is not failed}
    assert others == dict.fromkeys(("zip_safe", "schema"), "Not evaluated: digest_and_size failed before.")
    assert "paclitaxel.zip" in str(failed.description)
    assert published(own) == before
    assert list((own.platform.settings.scratch / "quarantine").rglob("*.json"))
    (after,) = own.run(RELEASE, "paclitaxel", selection="if_archive")
    assert after.succeeded, after.failure


def test_a_wrong_plane_is_caught_before_anything_is_published_and_the_old_content_stays(
    own: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8)
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    (first,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert first.succeeded, first.failure
    root = Path(own.platform.store.root)
    before = {path: path.read_bytes() for path in root.rglob("*.parquet")}

    other = tmp_path / "other.zip"
    write_if_zip(other, condition=Condition.PACLITAXEL, fields=8, seed=2)
    own.store_as_release(other, Condition.PACLITAXEL)
    monkeypatch.setattr(decode, "PLANES", dict.fromkeys(decode.PLANES, 1))
    (second,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert not second.succeeded
    assert "tensor_matches_images" in second.failure
    of_step = [check for check in second.checks if check.asset_key.to_user_string() in second.unmade]
    outcomes = {(check.asset_key.to_user_string(), check.check_name): check.passed for check in of_step}
    assert outcomes == {
        **{(name, "schema"): True for name in ("if_fields", "if_quality", "if_tensors")},
        ("if_tensors", "tensor_matches_images"): False,
    }
    assert second.unmade == ("if_fields", "if_quality", "if_tensors", "if_cells")
    for name in second.unmade:
        for path in (root / "tables" / name).rglob("*.parquet"):
            assert path.read_bytes() == before[path]
    assert len(list((root / "tensors" / "if_tensors").iterdir())) == 1


def test_a_table_that_breaks_its_schema_is_refused(
    own: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8)
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    rows = image_assets.antibody_rows
    monkeypatch.setattr(
        image_assets, "antibody_rows", lambda manifest: [{**row, "fields": None} for row in rows(manifest)]
    )
    (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert not outcome.succeeded
    assert "fields has" in outcome.failure
    assert outcome.made == ("if_archive", "if_images")
    assert not own.platform.store.has_table("if_antibodies", PACLITAXEL)


def test_an_embargoed_archive_is_a_state_and_not_a_failure(own: Workbench, tmp_path: Path) -> None:
    zip_path = tmp_path / "if.zip"
    write_if_zip(zip_path, condition=Condition.PACLITAXEL, fields=8)
    own.store_as_release(zip_path, Condition.PACLITAXEL)
    lock = own.platform.store.table("release_files", Partition(RELEASE)).collect()
    embargoed = lock.with_columns(
        pl.lit("embargoed").alias("access"),
        pl.lit(date(2999, 1, 1)).alias("available_on"),
        pl.lit("0" * 32).alias("digest"),
    )
    with own.platform.store.stage_table("release_files", Partition(RELEASE), embargoed) as staged:
        own.platform.store.publish_table(staged)
    (outcome,) = own.run(RELEASE, "paclitaxel", selection=IMAGES)
    assert outcome.succeeded, outcome.failure
    assert outcome.made == ()
    told = own.instance.fetch_observations(dg.AssetKey("if_archive"), limit=1).records[0].asset_observation
    assert told is not None
    assert "2999-01-01" in str(told.description)
    assert {check.severity for check in outcome.checks} == {dg.AssetCheckSeverity.WARN}
    assert all(str(check.description).startswith("Not evaluated") for check in outcome.checks)
