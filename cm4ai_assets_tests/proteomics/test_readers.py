"""Small tables in every dress that people give them: what is unambiguous is read, the rest is a finding."""

from __future__ import annotations

import gzip
import io

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import apms, apms_findings, findings
from cm4ai_assets.proteomics.longtables import read_msstats, read_sec
from cm4ai_assets.proteomics.packages import Archive
from cm4ai_assets.proteomics.problems import EXAMPLES, NoTablesError, TableDamagedError
from cm4ai_assets.proteomics.rows import Replicate, profile_rows, protein_rows
from cm4ai_assets.proteomics.secms import Reading, read_condition
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets.tables.proteomics import SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets_tests.proteomics.helpers import zipped
from cm4ai_assets_tests.proteomics.test_apms import HEADER, ROW, saint
from cm4ai_assets_tests.shared import SHARED, needs_shared

RUN = "[{0}] Biosep_MDAMB468_VRST_{1}_F0{0}_1_1_9.d.PG.Quantity"
ROWS = ["P12345\tAAA\t1.5\t2.5"]
MSSTATS = "Condition\tRun\tBioReplicate\tProteinName\tIntensity\tSample"
SEC = "sample,treatment,replicate,fraction,protein,intensity"


def report(series: str = "121221", rows: list[str] = ROWS) -> str:
    header = "\t".join(["PG.ProteinGroups", "PG.Genes", RUN.format(1, series), RUN.format(2, series)])
    return "\n".join([header, *rows, ""])


def package(**members: bytes) -> Archive:
    return zipped("cm4ai_mass-spec_MDA-MB-468.zip", {"a.tsv": report().encode(), **members})


def vorinostat(**members: bytes) -> Reading:
    return read_condition([package(**{name.replace("__", "."): data for name, data in members.items()})],
                          Condition.VORINOSTAT)  # fmt: skip


OTHER = report("121222")
SEMICOLON = OTHER.replace("\t", ";").replace("1.5", "1,5").replace("2.5", "2,5")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("b.tsv", OTHER.encode("utf-16")),
        ("b.tsv", OTHER.encode("utf-16-le")),
        ("b.tsv", b"\xef\xbb\xbf" + OTHER.encode()),
        ("b.csv", SEMICOLON.encode()),
        ("b.tsv", OTHER.replace("1.5", "1,5").replace("2.5", "2,25").encode()),
        ("b.tsv", f"# exported by a tool\n# twice\n{OTHER}".encode()),
        ("b.tsv.gz", gzip.compress(OTHER.encode())),
        ("b.tsv", OTHER.replace("\n", "\r").encode()),
        ("b.txt", OTHER.replace("\n", "\r\n").encode()),
        ("b.tsv", OTHER.replace("\t2.5\n", "\t2.5\t\n").encode()),
    ],
)
def test_a_table_in_another_dress_is_read_beside_a_plain_one(name: str, data: bytes) -> None:
    reading = read_condition([package(**{name: data})], Condition.VORINOSTAT)
    assert len(reading.replicates) == 2
    np.testing.assert_array_equal(reading.replicates[1].quantities >= 1.5, [[True, True]])
    assert findings.tables_recognised(reading.packages).passed
    assert findings.rows_kept(reading).passed
    assert findings.text_sound(reading).passed


@needs_shared
@pytest.mark.parametrize("case", ["-utf16.tsv", "-semicolon.csv", "-comment-first.tsv"])
def test_the_cases_kept_beside_the_project(case: str) -> None:
    folder = SHARED / "cases"
    names = ("secms-report.tsv", f"secms-report{case}")
    archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", {name: (folder / name).read_bytes() for name in names})
    one, other = read_condition([archive], Condition.VORINOSTAT).replicates
    np.testing.assert_array_equal(one.quantities, other.quantities)


@pytest.mark.parametrize("numbers", ["1,234\t2,345", "1.234,5\t2.345,5"])
def test_a_comma_that_may_be_of_thousands_is_not_taken_for_a_decimal_one(numbers: str) -> None:
    with pytest.raises(TableDamagedError, match="not numbers"):
        read_report(report(rows=[f"P12345\tA\t{numbers}"]).encode(), "r.tsv")


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (
            "report.tsv",
            b"Protein.Group\tPrecursor.Id\tRun\nP12345\tA1\tr\n",
            "of DIA-NN; it begins with 'Protein.Group",
        ),
        ("proteinGroups.txt", b"Protein IDs\tMajority protein IDs\tLFQ\nP12345\tP12345\t1\n", "of MaxQuant"),
        ("t.tsv", b"Proteins\tGenes\tF07\nP1\tG\t1\n", "it begins with 'Proteins"),
        ("t.xlsx", b"PK\x03\x04", "a xlsx file, which is not read"),
    ],
)
def test_a_table_of_no_known_form_is_a_finding_with_its_first_line(name: str, data: bytes, told: str) -> None:
    reading = read_condition([package(**{name: data})], Condition.VORINOSTAT)
    found = findings.tables_recognised(reading.packages)
    assert (found.passed, found.counts) == (False, {"unrecognised": 1})
    assert told in found.rows["detail"][0]
    assert found.rows["file"][0].endswith(name)
    archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", {name: data})
    with pytest.raises(NoTablesError) as caught:
        read_condition([archive], Condition.VORINOSTAT)
    assert told in str(caught.value)
    assert "October" not in str(caught.value), "another release cannot help with a table of this one"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("notes.txt", b"Made by us,\rwith care, and commas,\rand old line ends\r"),
        ("__MACOSX/._a.tsv", b"\0\5\x16\7"),
        ("deep/._b.tsv", b"\0\5\x16\7"),
        ("readme.txt", b"x" * 300_000),
    ],
)
def test_a_bystander_is_no_table_and_fails_nothing(name: str, data: bytes) -> None:
    reading = read_condition([package(**{name: data})], Condition.VORINOSTAT)
    assert len(reading.replicates) == 1
    assert findings.tables_recognised(reading.packages).passed
    archive = zipped("cm4ai_apms_MDA-MB-468_untreated.zip", {"apms.tsv": saint({}), name: data})
    assert apms.interactions_of([archive], Condition.UNTREATED).rows.height == 1


def test_a_damaged_member_is_left_out_for_every_modality() -> None:
    broken = gzip.compress(report().encode())[:-12]
    reading = read_condition([package(**{"b.tsv.gz": broken})], Condition.VORINOSTAT)
    assert "does not decompress" in findings.tables_usable(reading).summary
    archive = zipped("cm4ai_apms_MDA-MB-468_untreated.zip", {"apms.tsv": saint({}), "b.tsv.gz": broken})
    pairs = apms.interactions_of([archive], Condition.UNTREATED)
    assert "does not decompress" in findings.tables_usable(pairs).summary
    assert findings.tables_usable(pairs).counts == {"unusable": 1}


def test_where_every_table_is_damaged_nothing_passes_for_absent() -> None:
    bad = saint({}, header=[name for name in HEADER if name != "ctrlCounts"])
    with pytest.raises(TableDamagedError, match="none of the 1 AP-MS tables can be used"):
        apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": bad})], Condition.UNTREATED)
    with pytest.raises(TableDamagedError, match="none of the 1 SEC-MS tables can be used"):
        read_condition([zipped("x.zip", {"a.tsv": report(rows=[]).encode()})], Condition.VORINOSTAT)


# --- quotes, row names, trailing separators


def test_minimal_quotes_of_a_tsv_are_syntax() -> None:
    header = "PG.ProteinGroups\tPG.Genes\tPG.ProteinNames\t[1] MDAMB468_VRST_1_F01_x.d.PG.Quantity"
    data = f'{header}\nP12345\tAAA\t"protein ""a"""\t1.5\nQ12345\t"B\tC"\tx\t2.5\n'.encode()
    rows = protein_rows(read_report(data, "r.tsv"))
    assert rows["protein_names"].to_list() == [['protein "a"'], ["x"]]
    assert rows["gene_symbols"].to_list() == [["AAA"], ["B\tC"]]
    assert rows["total"].to_list() == [1.5, 2.5]


@pytest.mark.parametrize("gene", ['5"-x', '"open', 'closed"'])
def test_a_lone_quote_of_a_tsv_is_text(gene: str) -> None:
    rows = protein_rows(read_report(report(rows=[f"P12345\t{gene}\t1\t2", "Q12345\tB\t1\t2"]).encode(), "r.tsv"))
    assert rows["gene_symbols"].to_list() == [[gene], ["B"]]
    assert rows.height == 2


def test_quotes_that_cannot_be_syntax_are_taken_off_ids_and_flagged() -> None:
    rows = protein_rows(read_report(report(rows=['"P12345"\t5"-x\t1\t2']).encode(), "r.tsv"))
    assert rows["members"].to_list() == [["P12345"]]
    assert rows["defects"].to_list() == [["quoted_id"]]


def dressed(kind: str, rows: int = 5) -> bytes:
    header, *lines = saint(*[{"Prey": f"P1234{n}", "boosted_by": ""} for n in range(rows)]).decode().splitlines()
    ends = {"row_names": lambda n, line: f"{n}\t{line}", "trailing_separator": lambda _, line: f"{line}\t"}
    return "\n".join([header, *(ends[kind](n, line) for n, line in enumerate(lines, start=1)), ""]).encode()


@pytest.mark.parametrize("kind", ["row_names", "trailing_separator"])
def test_rows_of_one_field_more_than_the_header_are_read(kind: str) -> None:
    table = apms.read_interactions(dressed(kind), "apms.tsv")
    assert table.rows["prey"].to_list() == [f"P1234{n}" for n in range(5)]
    assert set(table.rows["bfdr"]) == {0.0}
    assert list(table.defects.counts) == [kind]
    assert not table.defects.harmful


@needs_shared
@pytest.mark.parametrize("case", ["saint-row-names.tsv", "saint-trailing-tab.tsv"])
def test_the_saint_cases_kept_beside_the_project(case: str) -> None:
    table = apms.read_interactions((SHARED / "cases" / case).read_bytes(), "apms.tsv")
    assert table.rows["bait_symbol"].to_list() == ["AAA"] * 5
    assert table.defects.lost == 0


def test_one_field_more_in_some_rows_only_is_no_row_name() -> None:
    header, *lines = saint(*[{"Prey": f"P1234{n}"} for n in range(5)]).decode().splitlines()
    table = apms.read_interactions(
        "\n".join([header, lines[0], *(f"{n}\t{x}" for n, x in enumerate(lines[1:]))]).encode(), "a"
    )
    assert (table.rows.height, table.defects.counts["ragged_line"], table.defects.lost) == (1, 4, 4)


# --- lost rows


@pytest.mark.parametrize(
    ("bad", "good", "passes"), [(1, 20, True), (2, 20, False), (2, 198, True), (3, 198, False), (1, 0, False)]
)
def test_a_share_of_lost_rows_blocks(bad: int, good: int, *, passes: bool) -> None:
    lines = saint(*[{"Prey": f"P1{n:03d}5"} for n in range(good)]).decode().splitlines()
    data = "\n".join([*lines, *["HDAC2\tshort"] * bad, ""]).encode()
    reading = apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": data})], Condition.UNTREATED)
    found = findings.rows_kept(reading)
    assert found.passed is passes
    assert found.counts == {"lines": bad + good, "left_out": bad}
    assert passes or f"{bad} of {bad + good} lines of x_untreated/apms.tsv were left out, the first" in found.summary
    assert not findings.text_sound(reading).passed


def test_a_lost_row_is_counted_once_whatever_is_wrong_with_it() -> None:
    rows = [f"NPC_Rep1,NPC,1,{n},P12345,4" for n in range(1, 50)]
    data = "\n".join([SEC, *rows, "NPC_Rep1,NPC,1,x,,4", "NPC_Rep1,NPC,1,x,P12345,4", ""]).encode()
    (one,) = read_sec(io.BytesIO(data), "sec.csv", context="KOLF2")
    assert (one.defects.rows, one.defects.lost) == (51, 2)
    assert one.defects.counts == {"no_protein_group": 1, "no_fraction": 1}


def test_a_table_of_a_header_alone_is_damaged() -> None:
    for data in (SEC, f"{SEC}\n"):
        with pytest.raises(TableDamagedError, match="no row"):
            read_sec(io.BytesIO(data.encode()), "sec.csv")


# --- a display limit decides nothing


def test_all_defects_flag_their_rows_and_count() -> None:
    rows = [f"Q{n % 10}{n // 10:04d}"[:6] for n in range(1500)]
    good = [f"{name[:5]}{n % 10}\tA\t1\t2" for n, name in enumerate(rows)]
    negative = [f"P{n:04d}5\tA\t-1\t2" for n in range(1500)]
    one = read_report(report(rows=[*good, *negative]).encode(), "r.tsv")
    flagged = protein_rows(one)["defects"].list.contains("negative_quantity")
    assert (flagged.sum(), one.defects.counts["negative_quantity"]) == (1500, 1500)
    assert len(list(one.defects)) == EXAMPLES


def test_all_ragged_lines_count() -> None:
    one = read_report(report(rows=ROWS + ["P1\tA"] * 1500).encode(), "r.tsv")
    assert (one.defects.counts["ragged_line"], one.defects.lost, one.defects.rows) == (1500, 1500, 1501)


def test_all_lines_without_a_fraction_count() -> None:
    rows = [f"NPC_Rep1,NPC,1,{fraction},P12345,4" for fraction in [*range(1, 51), *["x"] * 1500]]
    (one,) = read_sec(io.BytesIO("\n".join([SEC, *rows]).encode()), "sec.csv", context="KOLF2")
    assert (one.defects.counts["no_fraction"], one.defects.lost) == (1500, 1500)


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


def test_which_of_two_claims_is_numbered_does_not_depend_on_their_order() -> None:
    files = {name: report().encode() for name in ("b/x.tsv", "a/x.tsv")}
    reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", files)], Condition.VORINOSTAT)
    ids = dict(zip(reading.proteins["source_file"], reading.proteins["replicate_id"], strict=True))
    assert ids["cm4ai_mass-spec_MDA-MB-468/b/x.tsv"] == ids["cm4ai_mass-spec_MDA-MB-468/a/x.tsv"] + "#2"


def test_rows_name_the_published_file() -> None:
    reading = vorinostat()
    for frame in (reading.profiles, reading.proteins):
        assert set(frame.select("source_file_id", "source_sha256").rows()) == {(4711, "ab" * 32)}
    pairs = apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": saint({})})], Condition.UNTREATED)
    assert pairs.rows.select("source_file_id", "source_sha256").rows() == [(4711, "ab" * 32)]


# --- ids


@pytest.mark.parametrize(
    ("group", "members", "alternatives", "flags"),
    [
        ("sp|P12345|NAME_HUMAN", ["P12345"], 1, []),
        ("sp|P12345-2|NAME_HUMAN;tr|A0A024R161|X_HUMAN", ["P12345-2", "A0A024R161"], 1, []),
        ("sp|P12345|NAME_HUMAN|Q12345", ["P12345", "Q12345"], 2, []),
        ("P12345;Q12345|O12345", ["P12345", "Q12345", "O12345"], 2, []),
        ("CON__P00761", ["CON__P00761"], 1, ["contaminant"]),
        ("P12345;Cont_P00761", ["P12345", "Cont_P00761"], 1, ["contaminant"]),
        ("REV__P12345", ["REV__P12345"], 1, ["decoy"]),
        ("rev_sp|P12345|NAME_HUMAN", ["rev_P12345"], 1, ["decoy"]),
        ("Biognosys|iRT-Kit_WR_fusion", ["Biognosys_iRT-Kit_WR_fusion"], 1, ["irt_standard"]),
        ("NOT1", ["NOT1"], 1, ["malformed_id"]),
    ],
)
def test_protein_groups(group: str, members: list[str], alternatives: int, flags: list[str]) -> None:
    row = protein_rows(read_report(report(rows=[f"{group}\tA\t1\t2"]).encode(), "r.tsv")).row(0, named=True)
    assert (row["protein_group"], row["members"], row["alternatives"], row["defects"]) == (
        group, members, alternatives, flags,
    )  # fmt: skip


@pytest.mark.parametrize(
    "symbol", ["2-Sep", "Mar-01", "1.Mrz", "43709", "2023-09-02", "#NAME?", "2.31E+13", "09/02/2023"]
)
def test_symbols_that_a_spreadsheet_damaged_are_flagged_in_every_modality(symbol: str) -> None:
    proteins = protein_rows(read_report(report(rows=[f"P12345\t{symbol}\t1\t2"]).encode(), "r.tsv"))
    assert proteins["defects"].to_list() == [["spreadsheet_damage"]]
    assert findings.ids_sound(proteins).counts["spreadsheet_damage"] == 1
    assert not findings.ids_sound(proteins).passed
    pairs = apms.read_interactions(saint({"PreyGene": symbol}, {"Bait": symbol}), "apms.tsv").rows
    assert [("spreadsheet_damage" in flags) for flags in pairs["defects"]] == [True, True]


@pytest.mark.parametrize("symbol", ["SEPTIN2", "MARCHF1", "H2AC11", "DEC1", "OCT4", "HLA-A", "C1orf112"])
def test_real_symbols_are_no_damage(symbol: str) -> None:
    proteins = protein_rows(read_report(report(rows=[f"P12345\t{symbol}\t1\t2"]).encode(), "r.tsv"))
    assert proteins["defects"].to_list() == [[]]


def test_preys_have_their_symbol_where_the_table_states_one() -> None:
    rows = apms.read_interactions(
        saint({"PreyGene": "SAP18"}, {"PreyGene": "SAP18_HUMAN", "Prey": "O00422"}, {"Prey": "sp|O00423|X_HUMAN"}),
        "a.tsv",
    ).rows
    assert rows["prey_gene_symbol"].to_list() == ["SAP18", None, None]
    assert rows["prey_entry_name"].to_list() == [None, "SAP18_HUMAN", ROW["PreyGene"]]
    assert rows["prey_uniprot_id"].to_list() == [ROW["Prey"], "O00422", "O00423"]


# --- AP-MS: numbers and treatments


@pytest.mark.parametrize(("value", "stored"), [("31.6", None), ("31.0", 31), ("31", 31), ("3000000000", None)])
def test_a_sum_of_counts_is_whole_or_missing(value: str, stored: int | None) -> None:
    row = apms.read_interactions(saint({"Spec": "31", "SpecSum": value}), "apms.tsv").rows.row(0, named=True)
    assert row["spectral_count_sum"] == stored
    assert ("bad_number" in row["defects"]) is (stored is None)


def pairs_of(
    data: bytes, archive: str = "cm4ai_apms_MDA-MB-468_paclitaxel.zip", name: str = "apms.tsv"
) -> pl.DataFrame:
    return apms.interactions_of([zipped(archive, {name: data})], Condition.PACLITAXEL).rows


def test_a_row_of_another_treatment_is_flagged() -> None:
    data = saint({}, {"Bait": "HDAC2_VRST"}, {"Bait": "PTX3"}, {"Bait": "HDAC2_PTXL"})
    flagged = ["other_treatment" in flags for flags in pairs_of(data)["defects"]]
    assert flagged == [False, True, False, False]
    header = [*HEADER, "Treatment"]
    rows = pairs_of(saint({"Treatment": "Paclitaxel"}, {"Treatment": "DMSO"}, {"Treatment": ""}, header=header))
    assert ["other_treatment" in flags for flags in rows["defects"]] == [False, True, False]
    nameless = pairs_of(saint({"Bait": "HDAC2_VRST"}), archive="apms.zip")
    assert "other_treatment" in nameless["defects"][0]


def test_a_table_whose_name_denies_its_archive_is_left_out_and_told() -> None:
    files = {"apms.tsv": saint({}), "apms_vorinostat.tsv": saint({})}
    archive = zipped("cm4ai_apms_MDA-MB-468_paclitaxel.zip", files)
    reading = apms.interactions_of([archive], Condition.PACLITAXEL)
    assert reading.rows.height == 1
    found = apms_findings.pairs_placed(reading.unplaced)
    assert (found.passed, found.counts) == (False, {"unplaced": 1})
    assert "apms_vorinostat.tsv" in found.summary


def test_bad_rows_of_pairs_and_runs_reach_a_check() -> None:
    data = saint({}, {"Bait": ""}, {"Prey": ""}, *[{"Prey": f"P1{n:03d}5"} for n in range(300)])
    reading = apms.interactions_of([zipped("x_untreated.zip", {"apms.tsv": data})], Condition.UNTREATED)
    assert findings.rows_kept(reading).passed
    found = findings.text_sound(reading)
    assert (found.passed, found.counts) == (False, {"no_bait_or_prey": 2})
    assert found.rows["line"].to_list() == [3, 4]
