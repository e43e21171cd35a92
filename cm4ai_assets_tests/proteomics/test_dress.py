"""Small tables in every dress that people give them: what is unambiguous is read, the rest is a finding."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import apms, findings
from cm4ai_assets.proteomics.longtables import read_sec
from cm4ai_assets.proteomics.packages import Archive
from cm4ai_assets.proteomics.problems import EXAMPLES, NoTablesError, TableDamagedError
from cm4ai_assets.proteomics.rows import protein_rows
from cm4ai_assets.proteomics.secms import read_condition
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets_tests.proteomics.helpers import ROWS, report, zipped
from cm4ai_assets_tests.proteomics.test_apms import HEADER, saint
from cm4ai_assets_tests.shared import SHARED, needs_shared

MSSTATS = "Condition\tRun\tBioReplicate\tProteinName\tIntensity\tSample"
SEC = "sample,treatment,replicate,fraction,protein,intensity"


def package(**members: bytes) -> Archive:
    return zipped("cm4ai_mass-spec_MDA-MB-468.zip", {"a.tsv": report().encode(), **members})


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
        ("b.tsv.gz", gzip.compress(OTHER.encode(), mtime=0)),
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
def test_the_cases_kept_beside_the_project() -> None:
    folder = SHARED / "cases"
    for case in ("-utf16.tsv", "-semicolon.csv", "-comment-first.tsv"):
        names = ("secms-report.tsv", f"secms-report{case}")
        archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", {name: (folder / name).read_bytes() for name in names})
        one, other = read_condition([archive], Condition.VORINOSTAT).replicates
        np.testing.assert_array_equal(one.quantities, other.quantities)


@pytest.mark.parametrize("numbers", ["1,234\t2,345", "1.234,5\t2.345,5", "1.5\t2,75"])
def test_a_comma_that_may_be_of_thousands_is_not_taken_for_a_decimal_one(numbers: str) -> None:
    with pytest.raises(TableDamagedError, match="not numbers"):
        read_report(report(rows=[f"P{n}2345\tA\t{numbers}" for n in (1, 2)]).encode(), "r.tsv")


@pytest.mark.parametrize(("bad", "used"), [(2, True), (3, False)])
def test_more_than_a_hundredth_of_unreadable_numbers_is_another_format(bad: int, *, used: bool) -> None:
    rows = [f"P{n:04d}5\tA\t1\t{'many' if n < bad else 2}" for n in range(100)]
    try:
        one = read_report(report(rows=rows).encode(), "r.tsv")
    except TableDamagedError:
        assert not used
    else:
        assert (used, one.defects.counts["non_numeric_quantity"]) == (True, bad)


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
def test_the_saint_cases_kept_beside_the_project() -> None:
    for case in ("saint-row-names.tsv", "saint-trailing-tab.tsv"):
        table = apms.read_interactions((SHARED / "cases" / case).read_bytes(), "apms.tsv")
        assert table.rows["bait_symbol"].to_list() == ["AAA"] * 5, case
        assert table.defects.lost == 0, case


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
