"""sec.csv and the MSstats table: marks, fractions, runs and replicates, none of them guessed."""

from __future__ import annotations

import io

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import apms, findings
from cm4ai_assets.proteomics.correlation import pairs_of
from cm4ai_assets.proteomics.elution import from_profiles
from cm4ai_assets.proteomics.longtables import read_msstats, read_sec
from cm4ai_assets.proteomics.rows import Replicate, profile_rows, protein_rows
from cm4ai_assets.proteomics.secms import read_condition
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets.tables.proteomics import SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets_tests.proteomics.helpers import report, zipped
from cm4ai_assets_tests.proteomics.test_apms import saint

MSSTATS = "Condition\tRun\tBioReplicate\tProteinName\tIntensity\tSample"
SEC = "sample,treatment,replicate,fraction,protein,intensity"


# --- sec.csv


def sec(*rows: str, columns: str = "interpolated,gene") -> Replicate:
    (one,) = read_sec(io.BytesIO("\n".join([f"{SEC},{columns}", *rows]).encode()), "sec.csv", context="KOLF2")
    return one


def test_one_unreadable_mark_is_unknown_and_the_others_stay() -> None:
    marks = ["TRUE", "maybe", "FALSE"]
    one = sec(*(f"NPC_Rep1,NPC,1,{n},P12345,4,{mark},G" for n, mark in enumerate(marks, start=10)),
              "NPC_Rep1,NPC,1,10,P12346,4,FALSE,G")  # fmt: skip
    assert profile_rows(one.elution)["interpolated"].to_list() == [True, None, False, False, False, False]
    proteins = protein_rows(one)
    assert proteins["defects"].to_list() == [["unreadable_mark"], []]
    assert proteins["quantified_fractions"].to_list() == [2, 1]
    assert [(defect.kind, defect.line) for defect in one.defects] == [("unreadable_mark", 3)]


def test_columns_of_unstated_meaning_are_kept_as_published() -> None:
    columns = "fractionMass,norm.intensity,standardFraction"
    one = sec("NPC_Rep1,NPC,1,10,P12345,4,670.5,0.25,0.12", "NPC_Rep1,NPC,1,11,P12345,4,bad,NA,0.13", columns=columns)
    rows = profile_rows(one.elution)
    assert rows["fraction_mass"].to_list() == [670.5, None]
    assert rows["norm_intensity"].to_list() == [0.25, None]
    assert rows["standard_fraction"].to_list() == [0.12, 0.13]
    assert [(defect.kind, defect.line, defect.column) for defect in one.defects] == [
        ("unreadable_value", 3, "fractionMass")
    ]
    assert profile_rows(read_report(report().encode(), "r.tsv").elution)["fraction_mass"].null_count() == 2


def test_replicate_numbers_that_two_columns_contradict_are_unknown() -> None:
    one = sec("NPC_Rep1,NPC,2,10,P12345,4,FALSE,G")
    assert (one.elution.sample.replicate, one.elution.sample.flags) == (None, ("unknown_replicate", "names_disagree"))


# --- the MSstats table


def msstats(*rows: str) -> list[Replicate]:
    return read_msstats(io.BytesIO("\n".join([MSSTATS, *rows]).encode()), "p.tsv", context="KOLF2")


def test_each_sample_of_one_run_has_its_own_fraction() -> None:
    rows = [f"Cardio\tone_run\t1\tP12345\t{n}\tCardio_Rep1_F{n:02d}" for n in range(1, 33)]
    (one,) = msstats(*rows)
    (other,) = msstats(*reversed(rows))
    for replicate in (one, other):
        profile = profile_rows(replicate.elution)
        assert profile["fraction"].to_list() == list(range(1, 33))
        assert profile["quantity"].to_list() == [float(n) for n in range(1, 33)]
        assert set(profile["run"]) == {"one_run"}
    assert one.elution.replicate_id == "KOLF2.1J_cardiomyocyte_untreated_1"


def test_features_of_one_run_and_fraction_are_summed() -> None:
    (one,) = msstats(*[f"Cardio\tCardio_Rep1_F07\t1\tP12345\t{n}\tCardio_1" for n in (1, 2, 4)])
    assert profile_rows(one.elution)["quantity"].to_list() == [7.0]


def test_a_fraction_that_run_and_sample_contradict_is_not_guessed() -> None:
    good = [f"Cardio\tCardio_Rep1_F{n:02d}\t1\tP12345\t1\tCardio_Rep1_F{n:02d}" for n in (1, 2)]
    (one,) = msstats(*good, "Cardio\tCardio_Rep1_F03\t1\tP12345\t1\tCardio_Rep1_F04")
    assert one.elution.fractions.tolist() == [1, 2]
    assert [(defect.kind, defect.line) for defect in one.defects] == [("fractions_disagree", 4)]
    assert one.defects.lost == 1


def test_two_runs_of_one_fraction_are_told_apart_whatever_their_order() -> None:
    rows = [f"Cardio\tCardio_Rep1_{run}_F07\t1\tP12345\t{n}\tCardio_1" for n, run in enumerate("ab", start=1)]
    for order in (rows, rows[::-1]):
        (one,) = msstats(*order)
        frame = profile_rows(one.elution)
        assert frame.select("occurrence", "quantity", "run").rows() == [(0, 1.0, None), (1, 2.0, None)]
        assert one.defects.counts == {"several_runs": 1}


def test_a_sample_that_contradicts_the_replicate_is_flagged() -> None:
    (one,) = msstats("Cardio\tr_F07\t1\tP12345\t1\tCardio_Rep2")
    assert one.elution.sample.flags == ("unknown_replicate", "names_disagree")


def test_bad_numbers_of_features_flag_their_group() -> None:
    rows = [f"Cardio\tr_F{n:02d}\t1\tP12345\t1\tx" for n in range(1, 90)]
    (one,) = msstats(*rows, "Cardio\tr_F01\t1\tP12346\toops\tx", "Cardio\tr_F01\t1\tP12347\t-5\tx")
    assert protein_rows(one)["defects"].to_list() == [
        [], ["non_numeric_quantity", "never_quantified"], ["negative_quantity"],
    ]  # fmt: skip


def test_two_kinds_of_quantity_share_a_replicate_in_whatever_order() -> None:
    one = f"{SEC}\nNPC_Rep1,NPC,1,10,P12345,4".encode()
    other = f"{MSSTATS}\nNPC\tNPC_Rep1_F10\t1\tP12345\t9\tNPC_1".encode()
    for names in (("a.csv", "b.tsv"), ("b.csv", "a.tsv")):
        files = dict(zip(names, (one, other), strict=True))
        reading = read_condition([zipped("cm4ai_mass-spec_KOLF2.zip", files)], Condition.UNTREATED)
        assert {(r.replicate_id, r.quantity_kind) for r in reading.replicates} == {
            ("KOLF2.1J_npc_untreated_1", "sec_intensity"), ("KOLF2.1J_npc_untreated_1", "feature_intensity_sum"),
        }  # fmt: skip
        for table, frame in ((SECMS_PROFILES, reading.profiles), (SECMS_PROTEINS, reading.proteins)):
            assert table.violations(table.place(frame, release="2026-06-v2.0", condition="untreated")) == []
        assert findings.windows_aligned(reading.proteins).passed
        assert findings.samples_known(reading).passed


def test_pairs_of_two_kinds_of_quantity_are_named_apart() -> None:
    numbers = (1, 2)
    one = "\n".join([SEC, *(f"NPC_Rep{n},NPC,{n},10,P12345,4" for n in numbers)]).encode()
    other = "\n".join([MSSTATS, *(f"NPC\tNPC_Rep{n}_F10\t{n}\tP12345\t9\tNPC_{n}" for n in numbers)]).encode()
    archive = zipped("cm4ai_mass-spec_KOLF2.zip", {"a.csv": one, "b.tsv": other})
    reading = read_condition([archive], Condition.UNTREATED)
    assert len(from_profiles(reading.profiles)) == len(reading.replicates) == 4
    pairs = pairs_of(reading.replicates)
    first = "KOLF2.1J_npc_untreated_1"
    assert [pair.first for pair in pairs] == [f"{first} (sec_intensity)", f"{first} (feature_intensity_sum)"]


def test_which_of_two_claims_is_numbered_does_not_depend_on_their_order() -> None:
    files = {name: report().encode() for name in ("b/x.tsv", "a/x.tsv")}
    reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", files)], Condition.VORINOSTAT)
    ids = dict(zip(reading.proteins["source_file"], reading.proteins["replicate_id"], strict=True))
    assert ids["cm4ai_mass-spec_MDA-MB-468/b/x.tsv"] == ids["cm4ai_mass-spec_MDA-MB-468/a/x.tsv"] + "#2"


def test_rows_name_the_published_file() -> None:
    archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", {"a.tsv": report().encode()})
    reading = read_condition([archive], Condition.VORINOSTAT)
    for frame in (reading.profiles, reading.proteins):
        assert set(frame.select("source_file_id", "source_sha256").rows()) == {(4711, "ab" * 32)}
    pairs = apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": saint({})})], Condition.UNTREATED)
    assert pairs.rows.select("source_file_id", "source_sha256").rows() == [(4711, "ab" * 32)]
