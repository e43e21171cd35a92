"""Matrices held against what PCprophet and CCprofiler ask; both are read as their own sources read them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import ConfigurationError, NotMaterializedError, SelectionError, UnknownTreatmentError
from cm4ai_assets.exports import elution
from cm4ai_assets.exports.elution import Elution
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.secms_matrix import fraction_annotation
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.images.published import publish

EXPERIMENT = "MDA-MB-468_cancer_protein_group_quantity"
SAMPLES = "sample_ids.txt"
CONTROL, TREATED = "MDA-MB-468_untreated_1", "MDA-MB-468_vorinostat_2"


@pytest.fixture
def matrices(secms: Release, tmp_path: Path) -> Path:
    return export(secms, "secms-matrix", tmp_path / "out").folder / EXPERIMENT


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(newline=""), delimiter="\t"))


def _pcprophet_accepts(path: Path, genes: str, proteins: str) -> list[dict[str, str]]:
    """`InputTester` of PCprophet/validate_input.py, file type `in`: columns, no gene twice, no empty cell."""
    rows = _rows(path)
    assert [genes, proteins] == list(rows[0])[:2]
    names = [row[genes].upper() for row in rows]
    assert len(set(names)) == len(names)
    assert all(value != "" for row in rows for value in row.values())
    for row in rows:
        assert all(float(row[name]) >= 0 for name in list(row)[2:])
    return rows


def _imported_by_ccprofiler(matrix: Path, annotation: Path) -> dict[str, dict[int, float]]:
    """`importPCPdata` of CCprofiler: file names are found in column names by `grep`, rows and fractions in order."""
    rows, files = _rows(matrix), _rows(annotation)
    assert list(files[0]) == ["filename", "fraction_number"]
    columns = [name for name in rows[0] if name not in {"protein_id", "peptide_id"}]
    assert len(columns) == len(files)
    numbers: dict[str, int] = {}
    for file in files:
        for column in columns:
            if file["filename"] in column:
                assert column not in numbers, "a file name is found within another"
                numbers[column] = int(file["fraction_number"])
    names = [row["protein_id"] for row in rows]
    assert len(set(names)) == len(names)
    assert names == sorted(names, key=str.encode), "setkey() sorts by bytes, and the rows have to be in that order"
    assert list(numbers.values()) == sorted(numbers.values())
    return {row["protein_id"]: {numbers[name]: float(row[name]) for name in columns} for row in rows}


def test_pcprophet_gets_what_it_accepts_in_the_fractions_that_all_have(matrices: Path) -> None:
    for suffix, columns in (("", ("GN", "ID")), ("_gene_name", ("gene_name", "protein_id"))):
        samples = _rows(matrices / f"sample_ids{suffix}.txt")
        assert list(samples[0]) == ["Sample", "cond", "group", "short_id", "repl", "fr"]
        assert len({(row["repl"], row["short_id"]) for row in samples}) == len(samples) == 2
        assert [(row["cond"], row["group"], row["repl"], row["fr"]) for row in samples] == [
            ("Ctrl", "1", "1", "4"), ("Treat2", "2", "2", "4"),
        ]  # fmt: skip
        for sample in samples:
            rows = _pcprophet_accepts(matrices / sample["Sample"], *columns)
            assert list(rows[0])[2:] == ["9", "10", "11", "12"] == list(rows[0])[2:][: int(sample["fr"])]
        assert len({Path(row["Sample"]).stem for row in samples}) == 2, "its folder for each is named by the file"


def test_values_stand_under_the_number_of_their_run(matrices: Path, secms: Release) -> None:
    (row,) = [row for row in _rows(matrices / CONTROL / f"{CONTROL}_pcprophet.txt") if row["ID"] == "P04637"]
    assert row == {"GN": "TP53", "ID": "P04637", "9": "3.0", "10": "4.0", "11": "0.0", "12": "0.0"}
    imported = _imported_by_ccprofiler(
        matrices / CONTROL / f"{CONTROL}_ccprofiler.tsv", matrices / CONTROL / f"{CONTROL}_ccprofiler_fractions.tsv"
    )
    assert imported["P04637"] == {7: 1.0, 8: 2.0, 9: 3.0, 10: 4.0, 11: 0.0, 12: 0.0}
    treated = _imported_by_ccprofiler(
        matrices / TREATED / f"{TREATED}_ccprofiler.tsv", matrices / TREATED / f"{TREATED}_ccprofiler_fractions.tsv"
    )
    assert list(treated["P04637"]) == [9, 10, 11, 12, 13, 14]
    profiles = secms.table("secms_profiles").filter(pl.col("replicate_id") == TREATED, occurrence=0).collect()
    for group, fraction, quantity in profiles.select("protein_group", "fraction", "quantity").iter_rows():
        assert treated[group][fraction] == (quantity or 0.0)


def test_the_commands_of_readme_name_files_that_are_there_and_the_database_of_the_tool(matrices: Path) -> None:
    text = (matrices.parent / "README.md").read_text()
    (command,) = [line.split() for line in text.splitlines() if "main.py" in line and line.startswith("    ")]
    assert command[:2] == ["cd", EXPERIMENT]
    assert (matrices / command[command.index("-sid") + 1]).is_file()
    assert command[command.index("-db") + 1].startswith("PCPROPHET/"), "by itself it looks into the working folder"
    named = re.findall(rf'"({EXPERIMENT}/[^"]+)"', text)
    assert len(named) == 2
    assert all((matrices.parent / name).is_file() for name in named)


def test_missing_and_zero_are_counted_before_they_become_one(matrices: Path) -> None:
    stated = json.loads((matrices / CONTROL / f"{CONTROL}.json").read_text())
    assert (stated["missing"], stated["zero"]) == (1 + 4 + 6, 1)
    assert stated["fractions"] == [7, 8, 9, 10, 11, 12]
    assert stated["fractions_for_pcprophet"] == [9, 10, 11, 12]


def test_rows_that_the_tools_refuse_are_left_out_and_named(matrices: Path) -> None:
    stated = json.loads((matrices / CONTROL / f"{CONTROL}.json").read_text())
    assert stated["left_out"] == [
        {"protein_group": "P00533", "occurrence": 1, "gene_name": "EGFR", "instead": "P00533"},
        {"protein_group": "P04637-2", "occurrence": 0, "gene_name": "tp53", "instead": "P04637"},
    ]
    genes = {row["ID"]: row["GN"] for row in _rows(matrices / CONTROL / f"{CONTROL}_pcprophet.txt")}
    assert genes == {"P04637": "TP53", "P00533": "EGFR", "P13796;P13797": "LCP1;PLS3", "Q99999": "Q99999"}


def test_no_file_name_of_a_fraction_is_found_within_another() -> None:
    fractions = pl.DataFrame({"fraction": [1, 2, 10, 12, 100]})
    names = fraction_annotation(Elution(pl.DataFrame(), fractions, np.zeros((0, 5)), None))["filename"].to_list()
    assert [sum(name in other for other in names) for name in names] == [1] * 5


def test_only_what_was_asked_for_is_exported(secms: Release, tmp_path: Path, exported: Callable[..., Made]) -> None:
    only = Selection(conditions=(Condition.VORINOSTAT,))
    folder = export(secms, "secms-matrix", tmp_path / "one", selection=only).folder / EXPERIMENT
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {TREATED}
    (sample,) = _rows(folder / "sample_ids.txt")
    assert (sample["cond"], sample["group"], sample["fr"]) == ("Treat2", "2", "6")
    refused: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"conditions": (Condition.PACLITAXEL,)}, NotMaterializedError, "paclitaxel"),
        ({"genes": ("TP53",)}, ConfigurationError, "genes chooses images"),
        ({"with_controls": True}, ConfigurationError, "with controls chooses images"),
    ]
    for choice, error, text in refused:
        with pytest.raises(error, match=text):
            export(secms, "secms-matrix", tmp_path / "two", selection=Selection(**choice))
    with pytest.raises(NotMaterializedError, match="secms_proteins"):
        exported("secms-matrix")


def _with_profiles(release: Release, folder: Path, condition: str, *where: pl.Expr, **changed: pl.Expr) -> Release:
    """The same release, of which a condition has other rows of `secms_profiles`."""
    copy = copied(release, folder)
    rows = release.table("secms_profiles").filter(pl.col("condition") == condition, *where).with_columns(**changed)
    publish(copy.store, "secms_profiles", rows.drop("release", "condition").collect().to_dicts(), condition)
    return copy


@pytest.mark.parametrize("lost", ["_pcprophet_gene_name.txt", "_ccprofiler_fractions.tsv", ".json"])
def test_a_replicate_that_lost_a_file_is_written_again(secms: Release, tmp_path: Path, lost: str) -> None:
    made = export(secms, "secms-matrix", tmp_path / "out")
    path = made.folder / EXPERIMENT / CONTROL / f"{CONTROL}{lost}"
    whole = path.read_bytes()
    path.unlink()
    export(secms, "secms-matrix", tmp_path / "out")
    assert path.read_bytes() == whole


@pytest.mark.parametrize("form", ["secms-matrix", "anndata", "mudata"])
def test_a_condition_of_which_half_is_there_is_refused_and_no_empty_matrix(
    both: Release, tmp_path: Path, form: str
) -> None:
    release = copied(both, tmp_path / "copy")
    for path in (tmp_path / "copy" / "storage" / "tables" / "secms_profiles").rglob("condition=vorinostat"):
        shutil.rmtree(path)
    for chosen in ((), (Condition.VORINOSTAT,)):
        with pytest.raises(NotMaterializedError, match=r"secms_profiles of vorinostat .* --select \+secms_profiles`"):
            export(release, form, tmp_path / "out", selection=Selection(conditions=chosen))
    assert not (tmp_path / "out").exists()
    export(release, form, tmp_path / "out", selection=Selection(conditions=(Condition.UNTREATED,)))


@pytest.mark.parametrize(("table", "other"), [elution.TABLES, elution.TABLES[::-1]])
def test_a_replicate_that_one_table_has_alone_is_refused(
    secms: Release, tmp_path: Path, table: str, other: str
) -> None:
    release = copied(secms, tmp_path / "copy")
    rows = secms.table(table).filter(condition="vorinostat").collect()
    more = pl.concat([rows, rows.with_columns(replicate_id=pl.lit("another"))])
    publish(release.store, table, more.drop("release", "condition").to_dicts(), "vorinostat")
    match = rf"another of vorinostat .* rows in {table}, and none in {other}\. Run .* --select \+{other}`"
    for form in ("secms-matrix", "anndata"):
        with pytest.raises(NotMaterializedError, match=match):
            export(release, form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_replicates_without_a_common_fraction_are_refused_where_they_would_be_compared(
    secms: Release, tmp_path: Path
) -> None:
    release = _with_profiles(secms, tmp_path / "copy", "vorinostat", fraction=pl.col("fraction") + 20)
    with pytest.raises(SelectionError, match=f"{EXPERIMENT} have no fraction in common.* take the format anndata"):
        export(release, "secms-matrix", tmp_path / "out")
    only = Selection(conditions=(Condition.VORINOSTAT,))
    (sample,) = _rows(export(release, "secms-matrix", tmp_path / "out", selection=only).folder / EXPERIMENT / SAMPLES)
    assert sample["fr"] == "6"


def test_a_condition_may_be_spelled_in_any_way_and_a_scheme_chooses_images(secms: Release, tmp_path: Path) -> None:
    spelled, usual = (Selection(conditions=(word,)) for word in ("Vorinostat", Condition.VORINOSTAT))  # type: ignore[arg-type]
    assert spelled == usual
    folder = export(secms, "secms-matrix", tmp_path / "out", selection=spelled).folder / EXPERIMENT
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {TREATED}
    with pytest.raises(UnknownTreatmentError, match="'aspirin'"):
        Selection(conditions=("aspirin",))  # type: ignore[arg-type]
    for form in ("secms-matrix", "anndata"):
        with pytest.raises(ConfigurationError, match="scheme chooses images"):
            export(secms, form, tmp_path / "two", selection=Selection(scheme="plate"))


def test_a_replicate_with_a_hostile_name_stays_in_the_folder(secms: Release, tmp_path: Path) -> None:
    hostile = "../../evil\n\t"
    release = copied(secms, tmp_path / "copy")
    for table in ("secms_profiles", "secms_proteins"):
        rows = release.store.table(table, Partition(release.key, "untreated")).collect()
        publish(
            release.store,
            table,
            rows.drop("release", "condition").with_columns(replicate_id=pl.lit(hostile)).to_dicts(),
            "untreated",
        )
    for name in ("secms-matrix", "anndata", "mudata"):
        folder = export(release, name, tmp_path / "exports" / name).folder
        assert {path.name for path in (tmp_path / "exports").iterdir()} <= {"secms-matrix", "anndata", "mudata"}
        assert not [path for path in folder.rglob("*") if "evil" in path.name]
    (tmp_path / "exports" / "secms-matrix" / EXPERIMENT / "renamed-0" / "renamed-0_pcprophet.txt").stat()
    samples = (tmp_path / "exports" / "secms-matrix" / EXPERIMENT / "sample_ids.txt").read_text()
    assert "evil" not in samples
