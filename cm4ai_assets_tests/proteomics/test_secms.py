"""A release's SEC-MS tables from its archives: all published shapes, and archives that hold none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.errors import ArchiveDamagedError
from cm4ai_assets.proteomics import findings
from cm4ai_assets.proteomics.packages import Archive, LooseTable, archive_of
from cm4ai_assets.proteomics.problems import NoTablesError, TableDamagedError
from cm4ai_assets.proteomics.secms import Reading, read_condition, read_table, survey
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets.tables.proteomics import SECMS_PROFILES, SECMS_PROTEINS
from cm4ai_assets_tests.proteomics.helpers import MemoryBytes, zipped

CRATE = {"ro-crate-metadata.json": b'{"contentUrl": "ftp://massive-ftp.ucsd.edu/v12/MSV000100676/quant/sec.csv"}'}


@pytest.fixture(scope="module")
def october() -> list[Archive]:
    """The two ZIPs of October 2025."""
    return [
        zipped("cm4ai_mass-spec_MDA-MB-468.zip", sandbox.mda_reports(groups=20) | CRATE),
        zipped("cm4ai_mass-spec_KOLF2.zip", sandbox.kolf2_reports(groups=20) | CRATE),
    ]


@pytest.fixture(scope="module")
def readings(october: list[Archive]) -> dict[Condition, Reading]:
    return {condition: read_condition(october, condition) for condition in CONDITIONS}


def loose(name: str, data: bytes, context: str = "MSV000100676") -> LooseTable:
    return LooseTable(name, lambda: io.BytesIO(data), context)


def test_each_condition_has_its_replicates(readings: dict[Condition, Reading]) -> None:
    kolf = [f"KOLF2.1J_{kind}_untreated_{n}" for kind, count in
            (("ipsc", 4), ("npc", 2), ("neuron", 3), ("cardiomyocyte", 2)) for n in range(1, count + 1)]  # fmt: skip
    found = {condition: [one.replicate_id for one in reading.replicates] for condition, reading in readings.items()}
    assert found == {
        Condition.UNTREATED: [f"MDA-MB-468_untreated_{n}" for n in (1, 2, 4)] + kolf,
        Condition.PACLITAXEL: [f"MDA-MB-468_paclitaxel_{n}" for n in (1, 2, 3)],
        Condition.VORINOSTAT: [f"MDA-MB-468_vorinostat_{n}" for n in (1, 2, 3)],
    }


def test_tables_hold_their_schemas_and_fit_together(readings: dict[Condition, Reading]) -> None:
    for condition, reading in readings.items():
        for table, frame in ((SECMS_PROFILES, reading.profiles), (SECMS_PROTEINS, reading.proteins)):
            assert table.violations(table.place(frame, release="2025-10-v2.1", condition=condition)) == []
        keys = ["replicate_id", "quantity_kind", "protein_group", "occurrence"]
        totals = reading.profiles.group_by(keys, maintain_order=True).agg(
            pl.len(), pl.col("quantity").count().alias("n"), pl.col("quantity").sum()
        )
        assert totals["len"].to_list() == reading.proteins["measured_fractions"].to_list()
        assert totals["n"].to_list() == reading.proteins["quantified_fractions"].to_list()
        np.testing.assert_allclose(totals["quantity"], reading.proteins["total"].fill_null(0.0))


def test_the_same_bytes_give_the_same_tables(october: list[Archive], readings: dict[Condition, Reading]) -> None:
    again = read_condition(october, Condition.PACLITAXEL)
    assert again.profiles.equals(readings[Condition.PACLITAXEL].profiles)
    assert again.proteins.equals(readings[Condition.PACLITAXEL].proteins)


def test_an_archive_of_metadata_is_no_empty_success() -> None:
    june = [zipped("cm4ai_mass-spec_KOLF2.zip", CRATE | {"ro-crate-preview.html": b"<html/>"})]
    with pytest.raises(NoTablesError, match=r"2 files in cm4ai_mass-spec_KOLF2\.zip .* MSV000100676") as caught:
        read_condition(june, Condition.UNTREATED)
    assert "October 2025" in caught.value.remedy
    finding = findings.tables_present([survey(source) for source in june])
    assert (finding.passed, finding.counts["tables"]) == (False, 0)
    assert "2 files and no table, and names MSV000100676" in finding.summary


def test_tables_of_other_conditions_only_are_no_success_either(october: list[Archive]) -> None:
    with pytest.raises(NoTablesError, match="None of the 11 SEC-MS tables"):
        read_condition(october[1:], Condition.VORINOSTAT)


def test_no_archive_at_all() -> None:
    with pytest.raises(NoTablesError, match="no archive"):
        read_condition([], Condition.UNTREATED)


def test_one_bad_table_does_not_sink_the_others() -> None:
    reports = sandbox.mda_reports(groups=20)
    bad = "Biosep_MDAMB468_CTRL_2_Report.tsv"
    header, _, rest = reports[bad].partition(b"\n")
    columns = header.split(b"\t")
    reports[bad] = b"\t".join([*columns[:-1], columns[-2]]) + b"\n" + rest
    reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", reports)], Condition.UNTREATED)
    assert [one.replicate_id for one in reading.replicates] == ["MDA-MB-468_untreated_1", "MDA-MB-468_untreated_4"]
    finding = findings.tables_usable(reading)
    assert not finding.passed
    assert bad in finding.summary
    assert finding.rows["line"].to_list() == [1]


def test_a_table_of_unknown_treatment_belongs_nowhere_and_is_told() -> None:
    reports = sandbox.mda_reports(groups=20)
    name = "Biosep_MDAMB468_XYZ_1_Report.tsv"
    reports[name] = reports["Biosep_MDAMB468_PTXL_3_Report.tsv"].replace(b"PTXL_R3", b"XYZ")
    reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", reports)], Condition.PACLITAXEL)
    assert len(reading.replicates) == 3
    finding = findings.samples_known(reading)
    assert finding.rows.rows() == [(f"cm4ai_mass-spec_MDA-MB-468/{name}", "unknown_condition")]


def test_unknown_cells_of_a_kolf2_archive_are_kept_under_the_files_name_or_flagged() -> None:
    one = sandbox.KOLF2_REPLICATES[0]
    data = sandbox.report(one, groups=20).replace(b"Parental_Rep1", b"Mystery")
    reading = read_condition([zipped("cm4ai_mass-spec_KOLF2.zip", {"table.tsv": data})], Condition.UNTREATED)
    (elution,) = reading.replicates
    assert (elution.replicate_id, elution.sample.cell_line, elution.sample.cell_type) == ("table", "KOLF2.1J", None)
    assert findings.samples_known(reading).rows["unknown"].to_list() == ["unknown_cell_type, unknown_replicate"]


def test_a_replicate_of_unknown_cells_does_not_pass_for_another() -> None:
    one = sandbox.KOLF2_REPLICATES[0]
    files = {f"table_{n}.tsv": sandbox.report(one, groups=20).replace(b"Parental", name)
             for n, name in enumerate((b"Mystery", b"Riddle"))}  # fmt: skip
    reading = read_condition([zipped("cm4ai_mass-spec_KOLF2.zip", files)], Condition.UNTREATED)
    assert [one.replicate_id for one in reading.replicates] == ["table_0", "table_1"]


def test_two_tables_that_claim_to_be_the_same_replicate_are_told_apart() -> None:
    reports = sandbox.mda_reports(groups=20)
    data = reports["Biosep_MDAMB468_PTXL_1_Report.tsv"]
    archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", reports | {"copy/Biosep_MDAMB468_PTXL_1_Report.tsv": data})
    reading = read_condition([archive], Condition.PACLITAXEL)
    assert [one.replicate_id for one in reading.replicates][-1] == "MDA-MB-468_paclitaxel_1#2"
    assert not findings.samples_known(reading).passed
    frame = SECMS_PROFILES.place(reading.profiles, release="2025-10-v2.1", condition="paclitaxel")
    assert SECMS_PROFILES.violations(frame) == []


def test_what_is_no_zip_is_refused() -> None:
    with pytest.raises(ArchiveDamagedError):
        survey(archive_of(MemoryBytes("x.zip", b"no zip")))


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [("sec.csv", sandbox.sec_csv, "sec_intensity"),
     ("peak_file_kolf2.tsv", sandbox.msstats_features, "feature_intensity_sum")],
)  # fmt: skip
def test_long_tables_say_what_the_reports_say(
    name: str, make: Callable[..., bytes], kind: str, readings: dict[Condition, Reading]
) -> None:
    """The sandbox writes one measurement in three shapes."""
    reading = read_condition([], Condition.UNTREATED, loose=[loose(name, make(groups=20))])
    wide = readings[Condition.UNTREATED].profiles.filter(pl.col("cell_line") == "KOLF2.1J")
    assert set(reading.profiles["quantity_kind"]) == {kind}
    assert not reading.defects
    for table, frame in ((SECMS_PROFILES, reading.profiles), (SECMS_PROTEINS, reading.proteins)):
        assert table.violations(table.place(frame, release="2026-06-v2.0", condition="untreated")) == []
    keys = ["replicate_id", "protein_group", "fraction"]
    joined = wide.drop_nulls("quantity").join(reading.profiles, on=keys, how="left", suffix="_long")
    np.testing.assert_allclose(joined["quantity_long"], joined["quantity"], atol=2e-4)
    extra = reading.profiles.drop_nulls("quantity").join(wide.drop_nulls("quantity"), on=keys, how="anti")
    assert extra.filter(~pl.col("interpolated").fill_null(value=False)).is_empty()
    assert bool(extra.height) == (name == "sec.csv")


def test_interpolated_values_are_kept_and_not_counted_as_measured() -> None:
    rows = ["sample,treatment,replicate,fraction,protein,intensity,interpolated,gene",
            "NPC_Rep1,NPC,1,10,P1,4,FALSE,G1", "NPC_Rep1,NPC,1,11,P1,6,TRUE,G1", "NPC_Rep1,NPC,1,12,P1,8,FALSE,G1",
            "NPC_Rep1,NPC,1,12,P2,NA,FALSE,G2"]  # fmt: skip
    reading = read_condition([], Condition.UNTREATED, loose=[loose("sec.csv", "\n".join(rows).encode())])
    one = reading.proteins.row(0, named=True)
    assert (one["quantified_fractions"], one["total"], one["gene_symbols"]) == (2, 18.0, ["G1"])
    assert reading.profiles["quantity"].to_list() == [4.0, 6.0, 8.0, None, None, None]
    assert reading.profiles["interpolated"].to_list() == [False, True, False, False, False, False]


def test_bad_rows_of_long_tables_are_told_with_their_lines() -> None:
    rows = ["sample,treatment,replicate,fraction,protein,intensity",
            *(f"NPC_Rep1,NPC,1,{n},P1,4" for n in range(1, 201)),
            "NPC_Rep1,NPC,1,x,P1,4", "NPC_Rep1,NPC,1,3,,4", "NPC_Rep1,NPC,1,3,P2,many",
            "NPC_Rep1,NPC,1,3", "NPC_Rep1,NPC,1,2.5,P1,4", "NPC_Rep1,NPC,1,201.0,P1,4", ""]  # fmt: skip
    reading = read_condition([], Condition.UNTREATED, loose=[loose("sec.csv", "\n".join(rows).encode())])
    assert sorted((d.kind, d.line, d.column) for d in reading.defects) == [
        ("no_fraction", 202, "fraction"), ("no_fraction", 206, "fraction"), ("no_protein_group", 203, "protein"),
        ("non_numeric_quantity", 204, "intensity"), ("ragged_line", 205, "fraction"),
    ]  # fmt: skip
    assert not findings.text_sound(reading).passed
    assert reading.proteins["measured_fractions"].to_list() == [201, 201]


def test_missing_and_zero_features_in_the_msstats_table() -> None:
    header = "Condition\tRun\tBioReplicate\tProteinName\tPeptideSequence\tFragmentIon\tIntensity"
    cells = [("P1", "F10", "NA"), ("P1", "F10", "5"), ("P1", "F11", "NA"), ("P1", "F12", "0"), ("P1", "F12", "NA")]
    rows = [f"Cardio\tCardio_Rep2_{f}\t2\t{p}\tPEP\ty{n}\t{i}" for n, (p, f, i) in enumerate(cells)]
    reading = read_condition([], Condition.UNTREATED, loose=[loose("p.tsv", "\n".join([header, *rows]).encode())])
    assert reading.profiles.select("replicate_id", "fraction", "quantity").rows() == [
        ("KOLF2.1J_cardiomyocyte_untreated_2", 10, 5.0),
        ("KOLF2.1J_cardiomyocyte_untreated_2", 11, None),
        ("KOLF2.1J_cardiomyocyte_untreated_2", 12, 0.0),
    ]


def test_long_tables_that_name_no_cells_stay_unknown() -> None:
    rows = b"sample,treatment,replicate,fraction,protein,intensity\nA,B,1,3,P1,4\n"
    with pytest.raises(NoTablesError, match="None of the 1") as caught:
        read_condition([], Condition.UNTREATED, loose=[loose("sec.csv", rows, context="")])
    assert "condition not known" in caught.value.message


def test_a_table_of_no_known_shape() -> None:
    with pytest.raises(TableDamagedError, match="no known table: a, b"):
        read_table(loose("t.tsv", b"a\tb\n1\t2\n"))
