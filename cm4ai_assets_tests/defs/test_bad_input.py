"""One bad image never sinks the others: every kind of damage at once, and what each becomes (docs/bad-input.md)."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.defs.launching import Outcome
from cm4ai_assets.platform import Platform
from cm4ai_assets.sandbox import Defect, DefectKind, write_if_zip
from cm4ai_assets.settings import Settings
from cm4ai_assets.tables.images import FIELD_DEFECTS
from cm4ai_assets_tests.defs.conftest import RELEASE, Workbench

FIELDS = 28
# Kind, and what the field must be flagged with (None: the file is flagged instead).
KEPT_OUT = {
    DefectKind.CORRUPT_JPEG: "corrupt_jpeg",
    DefectKind.TRUNCATED_JPEG: "corrupt_jpeg",
    DefectKind.NOT_JPEG: "not_jpeg",
    DefectKind.EMPTY_MEMBER: "suspicious_size",
    DefectKind.GREY_JPEG: "not_rgb",
    DefectKind.CMYK_JPEG: "not_rgb",
    DefectKind.OTHER_SIZE: "other_size",
    DefectKind.SIXTEEN_BIT: "not_jpeg",
    DefectKind.BAD_CRC: "member_unreadable",
    DefectKind.DAMAGED_DEFLATE: "member_unreadable",
    DefectKind.HIDDEN_BOMB: "member_unreadable",
    DefectKind.MISSING_CHANNEL: "missing_channel",
    DefectKind.UNPARSED_NAME: "missing_channel",
    DefectKind.UNKNOWN_TREATMENT: "missing_channel",
    DefectKind.FOLDER_MISMATCH: "folder_mismatch",
    DefectKind.DUPLICATE_MEMBER: "duplicate_channel",
    DefectKind.MANIFEST_ONLY: "no_images",
}
KEPT_IN = {
    DefectKind.IMAGES_ONLY: "not_in_manifest",
    DefectKind.MANIFEST_CONFLICT: "manifest_conflict",
}


def _field_id(stem: str) -> str:
    return stem.replace("Vorinostat", "vorinostat")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workbench, Outcome, dict[DefectKind, str]]:
    folder = tmp_path_factory.mktemp("damaged")
    kinds = [*KEPT_OUT, *KEPT_IN]
    written = write_if_zip(
        folder / "if.zip",
        condition=Condition.VORINOSTAT,
        fields=FIELDS,
        defects=[Defect(kind, field=number) for number, kind in enumerate(kinds)],
    )
    settings = Settings(storage=str(folder / "storage"), scratch=folder / "scratch", tensor_size=256)
    bench = Workbench(Platform(settings), dg.DagsterInstance.ephemeral())
    bench.store_as_release(written.path, Condition.VORINOSTAT)
    (outcome,) = bench.run(RELEASE, "vorinostat", selection="group:images")
    hit = {kind: _field_id(written.fields[number].stem) for number, kind in enumerate(kinds)}
    return bench, outcome, hit


def test_every_good_field_is_in_the_tensor_and_every_bad_one_is_not(
    damaged: tuple[Workbench, Outcome, dict[DefectKind, str]],
) -> None:
    bench, outcome, hit = damaged
    assert outcome.succeeded, outcome.failure
    release = Release(RELEASE, bench.platform.store)
    fields = release.table("if_fields").collect()
    out = {hit[kind] for kind in KEPT_OUT}
    stored = fields.filter(pl.col("tensor_index").is_not_null())
    assert set(fields["field_id"]) - set(stored["field_id"]) == out
    assert stored["tensor_index"].to_list() == list(range(FIELDS - len(out)))
    assert release.tensors("vorinostat").shape[0] == FIELDS - len(out)
    assert release.table("if_quality").collect()["tensor_index"].drop_nulls().n_unique() == FIELDS - len(out)


@pytest.mark.parametrize(("kind", "defect"), [*KEPT_OUT.items(), *KEPT_IN.items()])
def test_each_kind_is_flagged_by_its_name(
    damaged: tuple[Workbench, Outcome, dict[DefectKind, str]], kind: DefectKind, defect: str
) -> None:
    bench, _, hit = damaged
    row = Release(RELEASE, bench.platform.store).table("if_fields").filter(field_id=hit[kind]).collect()
    assert defect in FIELD_DEFECTS
    assert defect in row["defects"].item().to_list()
    if kind in KEPT_IN:
        assert row["antibody_id"].item() is None


def test_the_checks_list_what_was_flagged(damaged: tuple[Workbench, Outcome, dict[DefectKind, str]]) -> None:
    _, outcome, hit = damaged
    failed = {check.check_name: check for check in outcome.checks if not check.passed}
    assert all(check.severity == dg.AssetCheckSeverity.WARN for check in failed.values())
    assert {
        "decodable",
        "fields_complete",
        "manifest_agrees",
        "antibodies_known",
        "members_unique",
        "images_named",
    } <= (failed.keys())
    listed = str(failed["decodable"].metadata["offending"].value)
    assert hit[DefectKind.CORRUPT_JPEG] in listed
    assert "green.jpg" in listed


def test_the_paths_in_the_document_are_the_flags_of_the_code() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "bad-input.md").read_text(encoding="utf-8")
    assert [defect for defect in FIELD_DEFECTS if f"`{defect}`" not in text and defect != "antibody_unknown"] == []
