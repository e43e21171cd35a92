"""Names: fractions, samples, and what stays unknown."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics.names import fraction_of, labelled_sample, quantity_column, sample_of
from cm4ai_assets_tests.shared import SHARED, needs_shared

WORDS = st.text("ABCDEGHabcdefgh0123456789", min_size=1, max_size=8).filter(lambda word: not word.startswith("F"))
WELLS = st.builds(lambda row, column: f"{row}{column}", st.sampled_from("ABCDEFGH"), st.integers(1, 12))


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5), st.integers(1, 99), WELLS, st.integers(0, 99999), st.integers(1, 999))
def test_the_fraction_is_the_first_one_whatever_the_well(
    words: list[str], fraction: int, well: str, serial: int, index: int
) -> None:
    run = f"{'_'.join(words)}_F{fraction:02d}_{well}_1_{serial}.d"
    column = quantity_column(f"[{index}] {run}.PG.Quantity")
    assert column is not None
    assert (column.run, column.run_index, column.fraction, column.quantity) == (run, index, fraction, "PG.Quantity")
    assert fraction_of(run.removesuffix(".d")) == fraction


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_name_breaks_the_grammar(name: str) -> None:
    column = quantity_column(name)
    assert column is None or (name.endswith(column.quantity) and column.run in name)
    sample_of(name, [name], name)


@pytest.mark.parametrize(
    ("name", "fraction"),
    [
        ("Parental_Rep1_F07.d", 7),
        ("Parental_Rep3_F84", 84),
        ("BiosepMDA_MB468_Ctrl_070424_F63_F10_1_6112.d", 63),
        ("Lib_KOLF2_Neu_1_6_V2_1_7687.d", None),
        ("X_F00_1.d", None),
        ("XF07.d", None),
    ],
)
def test_fractions_of_published_forms(name: str, fraction: int | None) -> None:
    assert fraction_of(name) == fraction


@needs_shared
def test_every_raw_run_of_the_ipsc_deposit_is_known() -> None:
    lines = (SHARED / "data" / "inventories" / "mass-spec_iPSCs.datasets.tsv").read_text().splitlines()[1:]
    runs = [line.split("\t")[0] for line in lines if line.split("\t")[0].endswith(".d")]
    profiles = [run for run in runs if not run.startswith("Lib_")]
    samples = {sample_of("", [run], "MSV000100676") for run in profiles}
    assert len(runs) == 859
    assert all(fraction_of(run) for run in profiles)
    assert {(s.cell_line, s.cell_type, s.condition, s.flags) for s in samples} == {
        ("KOLF2.1J", kind, Condition.UNTREATED, ()) for kind in ("ipsc", "npc", "neuron", "cardiomyocyte")
    }
    assert {(s.cell_type, s.replicate) for s in samples} == {
        *(("ipsc", n) for n in range(1, 5)), *(("npc", n) for n in (1, 2)), *(("neuron", n) for n in (1, 2, 3)),
        *(("cardiomyocyte", n) for n in (1, 2)),
    }  # fmt: skip


def test_what_no_name_tells_stays_unknown() -> None:
    sample = sample_of("table_Report.tsv", ["run_F07_1"])
    assert (sample.cell_line, sample.cell_type, sample.condition, sample.replicate) == (None, None, None, None)
    assert set(sample.flags) == {"unknown_cell_line", "unknown_cell_type", "unknown_condition", "unknown_replicate"}
    assert sample.identity("folder/table_Report.tsv") == "table_Report"


def test_a_treatment_is_not_guessed_for_cancer_cells() -> None:
    sample = sample_of("Biosep_MDAMB468_XYZ_1_Report.tsv", ["Biosep_MDAMB468_XYZ_F07_1"])
    assert (sample.condition, sample.flags) == (None, ("unknown_condition",))


def test_names_that_contradict_each_other_decide_nothing() -> None:
    sample = sample_of("Biosep_MDAMB468_CTRL_1_Report.tsv", ["Biosep_MDAMB468_PTXL_R3_F07_1"])
    assert sample.condition is None
    assert "names_disagree" in sample.flags


def test_the_archive_names_the_cells_only_where_nothing_else_does() -> None:
    assert sample_of("NPC_2_Report.tsv", ["NPC_Rep2_F07"], "cm4ai_mass-spec_KOLF2.zip").cell_line == "KOLF2.1J"
    assert sample_of("Biosep_MDAMB468_CTRL_1_Report.tsv", [], "cm4ai_mass-spec_KOLF2.zip").cell_line == "MDA-MB-468"


def test_labels_of_long_tables() -> None:
    sample = labelled_sample(["Neuron_Rep3", "Neuron"], 3, "MSV000100676 sec.csv")
    assert (sample.cell_line, sample.cell_type, sample.condition, sample.replicate) == (
        "KOLF2.1J", "neuron", Condition.UNTREATED, 3,
    )  # fmt: skip
    assert sample.identity("sec.csv") == "KOLF2.1J_neuron_untreated_3"
