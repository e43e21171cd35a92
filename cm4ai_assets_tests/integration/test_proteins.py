"""Coverage of genes and proteins: identities over all forms of ids, counts, and what is missing or unknown."""

from __future__ import annotations

import io
from collections.abc import Iterable

import polars as pl
import pytest
from PIL import Image, ImageDraw

from cm4ai_assets import tables
from cm4ai_assets.integration.coverage_findings import antibody_ids_agree, ids_kept, ids_mapped, modalities_there
from cm4ai_assets.integration.identity import Identities, Identity
from cm4ai_assets.integration.mapping import GeneMapping
from cm4ai_assets.integration.pictures import upset
from cm4ai_assets.integration.proteins import SOURCES, protein_rows
from cm4ai_assets.integration.summaries import overlaps
from cm4ai_assets.tables.integration import PROTEINS
from cm4ai_assets_tests.integration.layouts import gene_id, known

EIF5A, TP53, H4A, H4B, CALM, TUBB3 = (gene_id(n) for n in range(1, 7))
MAPPING = GeneMapping([
    known(1, "EIF5A", "P63241"), known(2, "TP53", "P04637", alias=["p53"]), known(3, "H4C1", "P62805"),
    known(4, "H4C2", "P62805"), known(5, "CALM1", "P0DP23", previous=["CAM1"]), known(6, "TUBB3", "Q13509"),
])  # fmt: skip
STRANGE = gene_id(700)


def frame(name: str, rows: Iterable[dict[str, object]]) -> pl.DataFrame:
    """Rows of a table of which only some columns matter."""
    schema = tables.table(name).polars_schema
    filled = [{key: [] if isinstance(kind, pl.List) else None for key, kind in schema.items()} | row for row in rows]
    return pl.DataFrame(filled, schema=schema, orient="row")


def antibody(
    name: str, ensembl: str | None = None, uniprot: str | None = None, symbol: str | None = None,
    *, pairing: str = "single", condition: str = "untreated",
) -> dict[str, object]:  # fmt: skip
    return {
        "condition": condition, "antibody_id": name, "is_control": name == "NEGATIVE", "ensembl_gene_id": ensembl,
        "uniprot_id": uniprot, "gene_symbol": symbol, "pairing": pairing,
    }  # fmt: skip


def field(
    name: str, well: str, condition: str = "untreated", index: int | None = 0, plate: str = "P1"
) -> dict[str, object]:
    return {
        "condition": condition, "antibody_id": name, "is_control": name == "NEGATIVE", "plate": plate, "well": well,
        "field_id": f"{plate}_{well}_{condition}", "tensor_index": index,
    }  # fmt: skip


def group(
    members: str, symbols: str | None = None, *, replicate: str = "R1", fractions: int = 9, uniprot: str | None = None
) -> dict[str, object]:
    return {
        "condition": "untreated",
        "replicate_id": replicate,
        "cell_type": "cancer",
        "protein_group": members,
        "members": members.split(";"),
        "gene_symbols": symbols and symbols.split(";"),
        "uniprot_ids": uniprot and uniprot.split(";"),
        "quantified_fractions": fractions,
    }


def guide(name: str, ensembl: str | None = None) -> dict[str, object]:
    return {"guide": name, "symbol": name.partition("_")[0], "ensembl_gene": ensembl, "is_control": False}


def target(name: str, cells: int, ensembl: str | None = None) -> dict[str, object]:
    return {"target": name, "gene": name, "gene_id": ensembl, "n_cells": cells, "is_control": name == "NTC"}


def pair(bait: str, prey: str) -> dict[str, object]:
    return {"condition": "untreated", "bait_symbol": bait, "prey": prey, "prey_uniprot_id": prey}


def covered(**frames: list[dict[str, object]]) -> pl.DataFrame:
    """The rows of `proteins` for some tables; of the table's form, and with nothing lost."""
    made = {name: frame(name, rows) for name, rows in frames.items()}
    rows = PROTEINS.place(protein_rows(made, MAPPING), release="2026-06-v2.0")
    assert PROTEINS.validated(rows) is rows
    found = ids_kept(rows, made)
    assert found.passed, found.rows
    return rows


def of(rows: pl.DataFrame, gene: str) -> dict[str, object]:
    return rows.row(by_predicate=pl.col("gene") == gene, named=True)


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    """EIF5A in every modality, under another kind of id in each."""
    return covered(
        if_antibodies=[antibody("CAB1", EIF5A, "P63241", "EIF5A"), antibody("CAB1", EIF5A, condition="paclitaxel"),
                       antibody("HPA2", TP53, "P04637", "TP53"), antibody("NEGATIVE", pairing="none")],
        if_fields=[field("CAB1", "A1"), field("CAB1", "A1", index=None), field("CAB1", "B1", plate="P2"),
                   field("CAB1", "A1", "paclitaxel"), field("HPA2", "A2", "paclitaxel"), field("NEGATIVE", "H12")],
        secms_proteins=[group("P63241-2;P63241"), group("P63241", replicate="R2", fractions=20),
                        group("P04637", fractions=0)],
        apms_interactions=[pair("TP53", "P63241"), pair("EIF5A", "P04637"), pair("EIF5A", "P0DP23")],
        apms_runs=[{"condition": "vorinostat", "bait_symbol": symbol} for symbol in ("EIF5A", None)],
        guide_library=[guide("EIF5A_1", EIF5A), guide("EIF5A_2", EIF5A), {"guide": "NTC_1", "is_control": True}],
        perturb_targets=[target("EIF5A", 31, f"{EIF5A}.4"), target("TP53", 0), target("NTC", 99)],
    )  # fmt: skip


def test_one_row_for_a_gene_under_all_its_names(whole: pl.DataFrame) -> None:
    row = of(whole, EIF5A)
    assert row["symbol"] == "EIF5A"
    assert row["uniprot_ids"] == ["P63241"]
    assert row["isoforms"] == ["P63241-2"]
    assert row["published_ids"] == ["EIF5A", EIF5A, f"{EIF5A}.4", "P63241", "P63241-2"]
    assert row["antibodies"] == ["CAB1"]
    assert row["guides"] == ["EIF5A_1", "EIF5A_2"]
    assert row["identified_by"] == ["ensembl", "symbol", "uniprot"]
    assert row["flags"] == []
    assert whole["gene"].to_list() == [EIF5A, TP53, CALM]


def test_every_count_stands_where_it_was_counted(whole: pl.DataFrame) -> None:
    row = of(whole, EIF5A)
    counts = {name: row[name] for name in row if name.startswith(("if_", "secms_", "apms_", "perturb_"))}
    assert {name: count for name, count in counts.items() if count not in (0, None)} == {
        "if_fields_untreated": 3, "if_in_tensor_untreated": 2, "if_wells_untreated": 2, "if_plates_untreated": 2,
        "if_antibodies_untreated": 1, "if_fields_paclitaxel": 1, "if_in_tensor_paclitaxel": 1, "if_wells_paclitaxel": 1,
        "if_plates_paclitaxel": 1, "if_antibodies_paclitaxel": 1, "secms_replicates_untreated": 2,
        "secms_fractions_untreated": 20, "secms_groups_untreated": 2, "apms_as_bait_untreated": 2,
        "apms_as_prey_untreated": 1, "apms_bait_runs_vorinostat": 1, "perturb_guides": 2, "perturb_cells": 31,
        "secms_cell_types": ["cancer"],
    }  # fmt: skip
    assert counts["if_fields_vorinostat"] is None, "no fields of that condition are published"
    assert counts["apms_bait_runs_untreated"] is None
    assert of(whole, CALM)["if_fields_untreated"] == 0, "there are fields, and none of it"


def test_what_is_missing_is_named(whole: pl.DataFrame) -> None:
    assert of(whole, EIF5A)["missing"] == []
    row = of(whole, TP53)
    assert [row[f"has_{one}"] for one in ("if", "secms", "apms", "perturbseq")] == [True, False, True, False]
    assert row["missing"] == ["secms", "perturbseq"], "a group without a quantity and a target without cells are none"
    assert modalities_there(whole).passed


def test_a_row_of_the_manifest_without_an_image_is_no_field_of_its_gene() -> None:
    named = field("HPA2", "A2", index=None) | {"defects": ["no_images"]}
    partly = field("CAB1", "A3", index=None) | {"defects": ["missing_channel"]}
    rows = covered(
        if_antibodies=[antibody("CAB1", EIF5A), antibody("HPA2", TP53)],
        if_fields=[field("CAB1", "A1"), partly, named | {"antibody_id": "CAB1"}, named],
    )
    counted = ("if_fields", "if_in_tensor", "if_wells", "if_plates", "if_antibodies")
    assert [of(rows, EIF5A)[f"{one}_untreated"] for one in counted] == [2, 1, 2, 1, 1]
    row = of(rows, TP53)
    assert [row[f"{one}_untreated"] for one in counted] == [0] * 5
    assert (row["has_if"], row["missing"], row["antibodies"]) == (False, ["if"], ["HPA2"])


def test_a_modality_that_is_not_published_is_unknown_and_not_missing() -> None:
    rows = covered(if_antibodies=[antibody("CAB1", EIF5A)], if_fields=[field("CAB1", "A1")])
    row = of(rows, EIF5A)
    assert (row["has_if"], row["has_secms"], row["has_apms"], row["has_perturbseq"]) == (True, None, None, None)
    assert (row["missing"], row["perturb_cells"], row["secms_groups_untreated"]) == ([], None, None)
    found = modalities_there(rows)
    assert not found.passed
    assert found.rows["modality"].to_list() == ["secms", "apms", "perturbseq"]
    assert covered().is_empty()


def test_what_is_not_published_is_said_to_be_so_and_not_counted_as_none(
    whole: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = covered(if_antibodies=[antibody("CAB1", EIF5A)], if_fields=[field("CAB1", "A1")])
    assert overlaps(rows).rows() == [(True, "not published", "not published", "not published", 1)]
    assert overlaps(rows.clear()).is_empty()
    assert "not published" not in str(overlaps(whole))
    drawn: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda *arguments, **_: drawn.append(arguments[2]))
    dots: list[object] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "ellipse", lambda *arguments, **_: dots.append(arguments[1]))
    upset(rows)
    assert len(dots) == 1, "one bar, and nothing is drawn of what is not known"
    assert {"IF 1", "SEC-MS not published", "AP-MS not published", "Perturb-seq not published"} <= set(drawn)
    drawn.clear()
    upset(whole)
    assert {"IF 2", "SEC-MS 1", "AP-MS 3", "Perturb-seq 1"} <= set(drawn)


def test_a_pair_that_is_stated_twice_is_one_pair() -> None:
    twice = [pair("TP53", "P63241") | {"occurrence": number} for number in range(2)]
    named = pair("TP53", "P63241") | {"occurrence": 2, "prey_uniprot_id": None, "prey_gene_symbol": "TUBB3"}
    rows = covered(
        apms_interactions=[
            *twice,
            named,
            pair("TP53", "P0DP23"),
            pair("CALM1", "P63241"),
            {**twice[0], "condition": "paclitaxel"},
        ]
    )
    assert [of(rows, TP53)[f"apms_as_bait_{one}"] for one in ("untreated", "paclitaxel")] == [2, 1]
    assert [of(rows, EIF5A)[f"apms_as_prey_{one}"] for one in ("untreated", "paclitaxel")] == [2, 1]
    assert of(rows, TUBB3)["apms_as_prey_untreated"] == 1, "a repetition that names another gene is not lost"


def test_guides_say_that_a_gene_is_covered_where_cells_are_not_known() -> None:
    rows = covered(guide_library=[guide("EIF5A_1", EIF5A)])
    assert of(rows, EIF5A)["has_perturbseq"] is True
    assert of(rows, EIF5A)["perturb_cells"] is None


def test_genes_of_one_antibody_are_each_counted_and_flagged() -> None:
    """Their lists are not in one order: nothing is paired, and the accessions name nobody else."""
    rows = covered(
        if_antibodies=[antibody("HPA1", one, pairing="unpaired") for one in (EIF5A, TP53)]
        + [antibody("HPA1", uniprot=one, pairing="unpaired") for one in ("P04637", "Q9XYZ1")]
        + [antibody("HPA2", TP53, "P04637", "TP53")],
        if_fields=[field("HPA1", "A1"), field("HPA2", "A2")],
    )
    assert rows["gene"].to_list() == [EIF5A, TP53]
    assert rows["if_fields_untreated"].to_list() == [1, 2]
    assert rows["flags"].to_list() == [["only_shared_antibodies"], []]


@pytest.mark.parametrize(
    ("ids", "identity"),
    [
        ((f"{EIF5A}.3", None, "anything"), Identity(EIF5A, "ensembl")),
        ((STRANGE, "Q13509", "TUBB3"), Identity(TUBB3, "uniprot", note="old_ensembl_id")),
        ((STRANGE, None, "TUBB3"), Identity(TUBB3, "symbol", note="old_ensembl_id")),
        ((STRANGE, None, None), Identity(STRANGE, "ensembl", note="unmapped")),
        ((None, "P0DP23-1", None), Identity(CALM, "uniprot")),
        ((None, "P62805", "H4C1"), Identity("uniprot:P62805", "nothing", (H4A, H4B), "ambiguous")),
        ((None, "A0A024R1R8", "CAM1"), Identity(CALM, "previous_symbol")),
        ((None, "Q9XYZ1", None), Identity("uniprot:Q9XYZ1", "nothing", note="unmapped")),
        ((None, "CON__P00761", "TP53"), Identity("id:CON__P00761", "nothing", note="unmapped")),
        ((None, "iRT-Kit_WR_fusion", "TP53"), Identity("id:iRT-Kit_WR_fusion", "nothing", note="unmapped")),
        ((None, "-", "TP53"), Identity(TP53, "symbol")),
        (("-", "n/a", "cam1"), Identity(CALM, "previous_symbol")),
        ((None, "sp|P04637", "SBZ"), Identity("symbol:SBZ", "nothing", note="unmapped")),
        ((None, "X1", "-"), Identity("id:X1", "nothing", note="unmapped")),
        ((None, None, "cam1"), Identity(CALM, "previous_symbol")),
        ((None, None, "p53"), Identity("symbol:P53", "nothing", (TP53,), "alias_only")),
        ((None, None, "2-Sep"), Identity("symbol:2-SEP", "nothing", note="unmapped")),
        ((None, "Q9STA1", None), Identity(gene_id(800), "release", note="unmapped")),
        ((None, None, "sbx"), Identity(gene_id(800), "release", note="unmapped")),
        ((None, "Q9TWO2", None), Identity("uniprot:Q9TWO2", "nothing", (gene_id(800), gene_id(801)), "ambiguous")),
    ],
)  # fmt: skip
def test_what_ids_mean(ids: tuple[str | None, str | None, str | None], identity: Identity) -> None:
    stated = [(gene_id(800), "Q9STA1", "SBX"), (gene_id(800), "Q9TWO2", None), (gene_id(801), "Q9TWO2", "SBY")]
    assert Identities(MAPPING, stated).of(ids) == identity


def test_what_stands_for_no_accession_makes_one_row_of_no_two_genes() -> None:
    rows = covered(
        if_antibodies=[antibody("HPA1", None, "-", "TP53"), antibody("HPA2", None, "-", "EIF5A")],
        if_fields=[field("HPA1", "A1"), field("HPA2", "A2")],
    )
    assert rows["gene"].to_list() == [EIF5A, TP53]
    assert rows["published_ids"].to_list() == [["-", "EIF5A"], ["-", "TP53"]]
    assert rows["flags"].to_list() == [[], []]


def test_the_mapping_goes_before_what_the_release_states() -> None:
    assert Identities(MAPPING, [(TP53, "P63241", "EIF5A")]).of((None, "P63241", None)).gene == EIF5A


def test_what_a_release_states_joins_modalities_that_the_mapping_does_not() -> None:
    rows = covered(
        if_antibodies=[antibody("HPA1", gene_id(800), "Q9STA1", "SBX")], if_fields=[field("HPA1", "A1")],
        secms_proteins=[group("Q9STA1")],
        apms_runs=[{"condition": "untreated", "bait_symbol": "SBX"}],
    )  # fmt: skip
    row = of(rows, gene_id(800))
    assert (rows.height, row["missing"], row["symbol"]) == (1, [], "SBX")
    assert row["flags"] == ["unmapped", "stated_by_release"]
    assert not ids_mapped(rows).passed


def test_members_of_a_group_are_counted_and_never_taken_for_each_other() -> None:
    rows = covered(
        secms_proteins=[
            group("P63241;P04637", "EIF5A;TP53"),
            group("P0DP23", fractions=30),
            group("Q9OLD1;P0DP23", "CALM1;CALM1;TP53"),  # a list in no order
            group("CON__P02768", "ALB"),
            group("sp|Q13509|TBB3_HUMAN", "TUBB3", uniprot="Q13509"),
        ],
    )
    assert rows["gene"].to_list() == [EIF5A, TP53, CALM, TUBB3, "id:CON__P02768", "uniprot:Q9OLD1"]
    assert of(rows, EIF5A)["flags"] == of(rows, TP53)["flags"] == ["only_shared_groups"]
    assert of(rows, CALM)["flags"] == []
    assert of(rows, "id:CON__P02768")["flags"] == ["unmapped", "contaminant"]
    assert ids_mapped(rows).counts["rows"] == 5, "a contaminant is no gene that ought to be known"


@pytest.mark.parametrize("mark", ["CON__", "REV__", "iRT-"])
def test_a_protein_that_is_marked_as_foreign_is_not_the_one_whose_accession_stands_beside_it(mark: str) -> None:
    """A keratin of the bench is not one of the cells: it counts for no gene, and keeps its mark."""
    rows = covered(
        secms_proteins=[group(f"{mark}P04637", "TP53", uniprot="P04637"), group("P63241"),
                        group(f"{mark}P0DP23;P63241", "CALM1;EIF5A", uniprot="P0DP23;P63241")],
        apms_interactions=[pair("EIF5A", f"{mark}P04637") | {"prey_uniprot_id": None, "prey_gene_symbol": "TP53"}],
    )  # fmt: skip
    foreign = [f"id:{mark}P04637", f"id:{mark}P0DP23"]
    assert set(rows["gene"]) == {EIF5A, *foreign}
    flag = {"CON__": "contaminant", "REV__": "decoy", "iRT-": "irt_standard"}[mark]
    assert all(flag in of(rows, one)["flags"] for one in foreign)
    assert of(rows, EIF5A)["flags"] == []
    assert rows["apms_as_prey_untreated"].sum() == of(rows, foreign[0])["apms_as_prey_untreated"] == 1


def test_quotes_around_an_id_make_it_no_other_protein() -> None:
    rows = covered(secms_proteins=[group('"P04637"', "TP53", uniprot="P04637")])
    assert rows["gene"].to_list() == [TP53]


def test_a_lost_id_is_found_by_kind() -> None:
    made = {
        "if_antibodies": frame("if_antibodies", [antibody("HPA1", EIF5A)]),
        "secms_proteins": frame("secms_proteins", [group("P04637;P62805")]),
        "apms_interactions": frame("apms_interactions", [pair("EIF5A", "P0DP23")]),
        "guide_library": frame("guide_library", [guide("TUBB3_1")]),
    }  # fmt: skip
    rows = protein_rows(made, MAPPING)
    assert ids_kept(rows, made).passed
    lost = ids_kept(rows.clear(), made)
    assert not lost.passed
    assert lost.rows.select("kind", "id").rows() == [
        ("antibody", "HPA1"), ("bait", "EIF5A"), ("guide", "TUBB3_1"), ("prey", "P0DP23"),
        ("protein group", "P04637;P62805"),
    ]  # fmt: skip


def test_ids_of_an_antibody_that_mean_different_genes_are_found() -> None:
    made = frame("if_antibodies", [
        antibody("GOOD", EIF5A, "P63241"), antibody("BAD", EIF5A, "P04637"), antibody("H4", H4B, "P62805"),
        antibody("UNKNOWN", EIF5A, "Q9XYZ1"), antibody("FEWER", TP53, pairing="unpaired"),
        antibody("FEWER", EIF5A, pairing="unpaired"), antibody("FEWER", None, "P04637", pairing="unpaired"),
    ])  # fmt: skip
    found = antibody_ids_agree(made, MAPPING)
    assert (found.passed, found.counts["compared"]) == (False, 4)
    assert found.rows.rows() == [("BAD", [EIF5A], [TP53])]


def test_the_picture_has_a_bar_for_each_combination(whole: pl.DataFrame) -> None:
    wide = [Image.open(io.BytesIO(upset(rows))).width for rows in (whole, whole.clear())]
    assert wide[0] > wide[1]


def test_sources_are_all_that_is_read() -> None:
    assert {measure.source for measure in tables.integration.MEASURES} | {"if_antibodies"} == set(SOURCES)
