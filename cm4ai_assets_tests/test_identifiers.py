from __future__ import annotations

import ast
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cm4ai_assets
from cm4ai_assets import identifiers
from cm4ai_assets.identifiers import FORMS, Form, doi_in, is_size, same_doi, stated_size

CASES: tuple[tuple[Form, list[str], list[str]], ...] = (
    (
        identifiers.UNIPROT,
        ["P63241", "Q14651", "A0A024RBG1", "P63241-2", "P04637-12"],
        ["P6324", "EIF5A", "63241P", "P63241-", "P63241-x", "sp|P63241|EIF5A", "p63241", "P٦3241", "CON__P00761"],
    ),
    (
        identifiers.ENSEMBL_GENE,
        ["ENSG00000132507", "ENSG00000132507.12"],
        ["ENSG1325", "ENST00000132507", "", "ENSG00000132507.", "ENSG00000132507.x"],
    ),
    (identifiers.ANTIBODY, ["HPA045064", "CAB005042"], ["HPA45064", "NEGATIVE", "hpa045064"]),
    (identifiers.GENE_SYMBOL, ["EIF5A", "H2AC11", "HLA-A", "C1orf112"], ["", "2-Sep", "43709", "#NAME?", "A B"]),
    (identifiers.CELLOSAURUS, ["CVCL_0419", "RRID:CVCL_B5P3"], ["CVCL-0419", "0419", "CVCL_04199"]),
    (identifiers.MASSIVE, ["MSV000098237"], ["MSV00009823", "MSV0000982370", "PXD000001"]),
    (identifiers.SRA_RUN, ["SRR31012081", "ERR1234567"], ["SRX31012081", "SRR310", "srr31012081", "53424698"]),
    (identifiers.ARK, ["ark:59853/x", "ark:/59852/x/y"], ["ark:598/x", "ark:59853/", "ark:59853/a b"]),
    (identifiers.DOI, ["10.18130/V3/F3TD5R"], ["doi:10.18130/V3/F3TD5R", "10.18/x", "10.18130/", "10.18130/a b"]),
    (identifiers.ORCID, ["0000-0003-4060-7360", "0000-0002-1694-233X"], ["0000-0003-4060-736", "0000-0003-4060-73600"]),
)


@pytest.mark.parametrize(("form", "good", "bad"), CASES, ids=[form.kind for form, _, _ in CASES])
def test_a_form_holds_for_the_whole_text_and_is_the_same_in_frames(form: Form, good: list[str], bad: list[str]) -> None:
    around = [f"{good[0]}\n", f" {good[0]}", f"{good[0]} ", f"{good[0]};{good[0]}\n"]
    texts = [*good, form.example, *bad, *around]
    verdicts = [*[True] * (len(good) + 1), *[False] * (len(bad) + len(around))]
    assert [form.fits(text) for text in texts] == verdicts
    frame = pl.DataFrame({"text": [*texts, None]})
    assert frame.select(form.fits_column("text"))["text"].to_list() == [*verdicts, None]


def test_every_form_is_tried() -> None:
    assert [form for form, _, _ in CASES] == list(FORMS)


def test_ids_are_found_as_words_of_their_own() -> None:
    text = "MSV000098237, ftp://h/v10/MSV000100676/x; XMSV000000001 MSV0000000012 (MSV000000003)"
    expected = ["MSV000098237", "MSV000100676", "MSV000000003"]
    assert identifiers.MASSIVE.found_in(text) == expected
    assert identifiers.MASSIVE.found_in(text.encode()) == expected


def test_dois() -> None:
    citation = '(Beta)", https://doi.org/10.18130/V3/B35XWX , https://dataverse.lib.virginia.edu/, V1'
    assert doi_in(citation) == "10.18130/V3/B35XWX"
    assert doi_in("see https://doi.org/10.18130/V3/B35XWX.") == "10.18130/V3/B35XWX"
    assert same_doi("doi:10.18130/V3/F3TD5R", "https://doi.org/10.18130/v3/f3td5r")
    assert not same_doi("none", "none either")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2.6 GB", int(2.6 * 2**30)),
        ("16.7TB", int(16.7 * 2**40)),
        ("19.9 TB", 21_880_281_392_742),  # what the June 2026 release itself makes of it
        ("195.97 GB", int(195.97 * 2**30)),
        ("20G", 20 * 2**30),
        ("2354", 2354),
        (" 2354 B\n", 2354),
        ("1,234 bytes", 1234),
        ("1 byte", 1),
        ("", None),
        ("large", None),
        ("-1 GB", None),
        ("1,23 GB", None),
        ("2.6 GB or so", None),
        ("1 \N{KELVIN SIGN}B", None),
        ("9" * 400, None),
        ("99999999999 PB", None),
    ],
)
def test_sizes_in_bytes(text: str, size: int | None) -> None:
    stated = stated_size(text)
    assert (None if stated is None else stated.in_bytes()) == size


def test_units_of_1000_are_for_who_asks_so() -> None:
    for text, size in (("20GB", 20 * 1000**3), ("1.5 kB", 1500), ("4 MiB", 4 * 2**20)):
        stated = stated_size(text)
        assert stated is not None
        assert stated.in_bytes(base=1000) == size


@pytest.mark.parametrize(
    ("stated", "size", "holds"),
    [
        ("2.6 GB", 2_777_891_100, True),  # the published claim of March 2025, in powers of 1024
        ("2.8 GB", 2_777_891_100, True),
        ("2.8 GiB", 2_777_891_100, False),
        ("2.6 GB", 4_067_695_317, False),
        ("3.8 GB", 4_067_695_317, True),
        ("2777891100", 2_777_891_100, True),
        ("2,777,891,100 bytes", 2_777_891_100, True),
        ("2777891101 B", 2_777_891_100, False),
        ("900719925474099301", 900_719_925_474_099_300, False),
        ("441.2 KiB", 451_789, True),
        ("large", 1, False),
        ("", 0, False),
    ],
)
def test_sizes_as_people_write_them(stated: str, size: int, *, holds: bool) -> None:
    assert is_size(stated, size) is holds


@given(st.integers(0, 1 << 50), st.sampled_from(["", "K", "M", "G", "T"]), st.integers(0, 3))
def test_a_rounded_size_is_of_what_it_was_rounded_from(size: int, unit: str, digits: int) -> None:
    power = ("", "K", "M", "G", "T").index(unit)
    text = str(size) if not power else f"{size / 1024**power:.{digits}f} {unit}iB"
    assert is_size(text, size)


STEMS = (r"ENSG[", r"ENSG\d", "[OPQ]", "CVCL_[", r"MSV\d", "MSV[", r"10\.\d", r"10\.[", "(?:HPA|CAB)", r"\d{4}-\d{4}-")


def test_no_other_module_states_a_form() -> None:
    """A second grammar of an id drifts from the first: texts that begin like one stand in `identifiers` alone."""
    root = Path(cm4ai_assets.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and any(stem in str(node.value).replace("\\\\", "\\") for stem in STEMS)
    }
    assert found == {"identifiers.py", "crates/iris.py"}  # there, what a DOI written as an IRI begins with
