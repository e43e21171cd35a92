"""Bad text: every defect is told with file, line and column, and nothing is lost in silence."""

from __future__ import annotations

import gzip
import io
import pickle

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm4ai_assets.proteomics.columns import read_columns
from cm4ai_assets.proteomics.problems import TableDamagedError
from cm4ai_assets.proteomics.rows import profile_rows, protein_rows
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets.proteomics.text import read_blocks, read_text
from cm4ai_assets_tests.proteomics.helpers import small_report

F07, F08 = "[1] R_MDAMB468_Ctrl_R1_F07_1_1_1.d.PG.Quantity", "[2] R_MDAMB468_Ctrl_R1_F08_1_1_2.d.PG.Quantity"
BOTH = f"{F07}\t{F08}"


def told(data: bytes) -> list[tuple[str, int, str]]:
    return [(defect.kind, defect.line, defect.column) for defect in read_report(data, "r.tsv").defects]


def quantities(data: bytes) -> list[float | None]:
    return profile_rows(read_report(data, "r.tsv").elution)["quantity"].to_list()


def test_missing_is_null_and_zero_is_zero() -> None:
    cells = ["", "NaN", "NA", "Filtered", "0", "0.0", "12.5", "1E3"]
    data = small_report(*(f"P{n}\tG\t{cell}" for n, cell in enumerate(cells)))
    assert told(data) == []
    assert quantities(data) == [
        None, None, None, None, 0.0, 0.0, 12.5, 1000.0,
    ]  # fmt: skip


def test_nan_is_missing_however_it_is_written() -> None:
    assert quantities(small_report("P1\tG\t NaN ", "P2\tG\t 5 ", *(f"Q{n}\tG\t1" for n in range(5))))[:2] == [None, 5.0]


def test_a_quantity_that_is_no_number_is_missing_and_told() -> None:
    rows = [f"P{n:05d}\tG\t1\t2" for n in range(200)]
    rows[41] = "P00041\tG\t1\tabc"
    data = small_report(*rows, columns=BOTH)
    assert told(data) == [("non_numeric_quantity", 43, F08)]
    replicate = read_report(data, "r.tsv")
    assert str(replicate.defects[0]) == f"r.tsv, line 43, column {F08!r}: 'abc' is not a number; missing"
    proteins = protein_rows(replicate)
    assert proteins.filter(pl.col("defects").list.len() > 0).select(
        "protein_group", "defects", "source_line"
    ).rows() == [("P00041", ["non_numeric_quantity"], 43)]
    assert proteins["total"].to_list()[41] == 1.0


def test_many_such_quantities_are_another_format() -> None:
    with pytest.raises(TableDamagedError, match=r"r\.tsv, line 2, column '.*F07.*': .*'1.234,5'"):
        read_report(small_report("P1\tG\t1.234,5\t2,5", "P2\tG\t3,5\t4", columns=BOTH), "r.tsv")


def test_infinite_and_negative_quantities_are_told() -> None:
    data = small_report("P1\tG\tinf\t-3", "P2\tG\t1\t2", columns=BOTH)
    assert told(data) == [("non_numeric_quantity", 2, F07), ("negative_quantity", 2, F08)]
    assert quantities(data) == [None, -3.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("line", "column", "detail"),
    [("P2\tG\t5", F07, "3 fields where the header has 4"), ("P2\tG\t5\t6\t7", F08, "5 fields where the header has 4")],
)
def test_a_ragged_line_is_left_out_and_told(line: str, column: str, detail: str) -> None:
    data = small_report("P1\tG\t1\t2", line, "P3\tG\t3\t4", columns=BOTH)
    replicate = read_report(data, "r.tsv")
    assert told(data) == [("ragged_line", 3, column)]
    assert detail in str(replicate.defects[0])
    assert protein_rows(replicate).select("protein_group", "source_line").rows() == [("P1", 2), ("P3", 4)]


def test_blank_lines_are_no_rows_and_keep_line_numbers() -> None:
    data = small_report("P1\tG\t1\t2", "", "P3\tG\tx\t4", *(f"Q{n}\tG\t1\t1" for n in range(100)), "", columns=BOTH)
    assert told(data) == [("non_numeric_quantity", 4, F07)]


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(TableDamagedError, match=r"r\.tsv, line 1, column '\[1\] .*F07.*': .*at 3, 4") as caught:
        read_report(small_report("P1\tG\t1\t2", columns=f"{F07}\t{F07}"), "r.tsv")
    assert caught.value.defect.line == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)


def test_two_runs_of_one_fraction_are_refused() -> None:
    other = F07.replace("[1]", "[2]").replace("_1_1_1.d", "_1_2_9.d")
    with pytest.raises(TableDamagedError, match="fraction 7 is also that of column"):
        read_report(small_report("P1\tG\t1\t2", columns=f"{F07}\t{other}"), "r.tsv")


def test_byte_order_mark_and_carriage_returns_do_no_harm() -> None:
    plain = small_report("P1\tG\t1\t2", "P2\tG\tNaN\t0", columns=BOTH)
    dressed = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
    assert quantities(dressed) == quantities(plain)
    assert [kind for kind, _, _ in told(dressed)] == ["byte_order_mark", "carriage_returns"]


def test_latin_1_is_read_and_told_with_its_place() -> None:
    data = small_report("P1\tG\t1\t2", "P2\té\t3\t4", columns=BOTH).decode().encode("latin-1")
    assert told(data) == [("not_utf8", 3, "PG.Genes")]
    assert protein_rows(read_report(data, "r.tsv"))["gene_symbols"].to_list() == [["G"], ["é"]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"\n\nx\n", "there is no header"),
        ("a\tb\n".encode("utf-16")[:-1], "UTF-16"),
        (gzip.compress(b"a\tb\n1\t2\n", mtime=0)[:-9], "decompress"),
        (b"PG.ProteinGroups\tx\nP1\t\0\n", "NUL"),
        (b"a\tb\n1\t2\n", "PG.ProteinGroups"),
        (b"PG.ProteinGroups\tPG.Genes\nP1\tG\n", "no column is a run's PG.Quantity"),
        (b"PG.ProteinGroups\t[1] r_F07.d.PG.IBAQ\nP1\t1\n", "only PG.IBAQ"),
        (b"PG.ProteinGroups\t[1] run.d.PG.Quantity\nP1\t1\n", "states a fraction"),
        (b"PG.ProteinGroups\t[1] r_F07.d.PG.Quantity\n", "no row has a protein group"),
    ],
)
def test_what_is_no_report_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(TableDamagedError, match=reason):
        read_report(data, "r.tsv")


def test_a_column_without_a_fraction_and_another_quantity_are_left_out_and_told() -> None:
    columns = f"{F07}\t[9] Library.d.PG.Quantity\t[1] R_MDAMB468_Ctrl_R1_F07_1_1_1.d.PG.NrOfPeptides"
    data = small_report("P1\tG\t1\t2\t3", columns=columns)
    assert [(kind, column) for kind, _, column in told(data)] == [
        ("no_fraction", "[9] Library.d.PG.Quantity"),
        ("other_quantity", "[1] R_MDAMB468_Ctrl_R1_F07_1_1_1.d.PG.NrOfPeptides"),
    ]
    assert quantities(data) == [1.0]


def test_a_row_without_a_group_is_left_out_and_told() -> None:
    data = small_report("P1\tG\t1\t2", "\tG\t1\t2", ";\tG\t1\t2", columns=BOTH)
    assert told(data) == [("no_protein_group", 3, "PG.ProteinGroups"), ("no_protein_group", 4, "PG.ProteinGroups")]


def test_quotes_span_lines_in_csv_and_are_text_in_tsv() -> None:
    text = read_text(b'"a","b"\n"x,\ny","1"\nz,2\n', "t.csv")
    frame, _ = read_columns(text, ["a"], ["b"])
    assert frame.rows() == [("x,\ny", 1.0), ("z", 2.0)]
    assert text.line_numbers.tolist() == [2, 4]
    frame, _ = read_columns(read_text(b'a\tb\n5"-x\t1\n', "t.tsv"), ["a"], ["b"])
    assert frame.rows() == [('5"-x', 1.0)]


def test_an_open_quote_is_refused() -> None:
    with pytest.raises(TableDamagedError, match="never closed"):
        read_text(b'a,b\n"x,1\ny,2\n', "t.csv")


CELLS = st.text(st.characters(exclude_characters='\t\r\n",', exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=30), st.integers(1, 40))
def test_blocks_say_the_same_as_the_whole(rows: list[tuple[str, str]], size: int) -> None:
    data = b"a,b\n" + "".join(f'"{one}\n{one}",{other}\n' for one, other in rows).encode()
    whole = read_text(data, "t.csv")
    parts = list(read_blocks(io.BytesIO(data), "t.csv", size=size))
    assert [line for part in parts for line in part.line_numbers.tolist()] == whole.line_numbers.tolist()
    assert b"".join(part.data[4:] for part in parts) == whole.data[4:]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        text = read_text(b"a\tb\n" + data, "t.tsv")
        frame, _ = read_columns(text, list(text.header), [])
    except TableDamagedError:
        return
    assert frame.height == text.rows
