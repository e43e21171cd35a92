"""Peaks and the numbers of a profile, held against slow and obvious versions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cm4ai_assets.proteomics.elution import Elution, from_profiles, peaks, smoothed
from cm4ai_assets.proteomics.rows import profile_rows, protein_rows
from cm4ai_assets.proteomics.spectronaut import read_report
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets_tests.proteomics.helpers import small_report

X = np.arange(72.0)


def bell(at: float, height: float = 1.0, width: float = 2.0) -> NDArray[np.float64]:
    return height * np.exp(-(((X - at) / width) ** 2))


def found(profile: NDArray[np.float64]) -> list[int]:
    return np.flatnonzero(peaks(profile[None])[0]).tolist()


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (bell(20), [20]),
        (bell(20) + bell(50, 0.4), [20, 50]),
        (bell(20, 0.4) + bell(50), [20, 50]),
        (bell(20) + bell(50, 0.05), [20]),  # below a tenth of the highest
        (bell(20) + bell(23, 0.9), [21]),  # no valley to half between them: one peak
        (bell(0) + bell(71), [0, 71]),
        (np.zeros(72), []),
        (np.full(72, np.nan), []),
        (np.where(X == 30, 5.0, np.nan), [29]),  # a single quantity, spread by the mean over three
        (np.ones(72), [0]),
        (np.repeat([10.0, 5.5, 10.0], 5), [0]),  # the valley is above half
        (np.repeat([10.0, 5.0, 10.0], 5), [0, 11]),  # it is half exactly
        (np.repeat([10.0, 0.0, 1.0], 5), [0, 11]),  # a tenth of the highest exactly
    ],
)
def test_peaks_are_where_the_definition_puts_them(profile: NDArray[np.float64], expected: list[int]) -> None:
    assert found(profile) == expected


def test_a_missing_fraction_does_not_split_a_peak() -> None:
    profile = bell(30, width=4)
    profile[30] = np.nan
    assert len(found(profile)) == 1


PROFILES = arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.one_of(st.just(np.nan), st.floats(0, 1e6))
)


@settings(max_examples=150, deadline=None)
@given(PROFILES)
def test_peaks_keep_to_their_definition(quantities: NDArray[np.float64]) -> None:
    shape, marks = smoothed(quantities), peaks(quantities)
    for profile, at in zip(shape, map(np.flatnonzero, marks), strict=True):
        assert bool(len(at)) == (profile.max() > 0)
        assert all(profile[at] >= 0.1 * profile.max())
        if len(at):
            assert profile[at].max() == profile.max()
        for one, other in pairwise(at):
            assert profile[one : other + 1].min() <= 0.5 * min(profile[one], profile[other]) * (1 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(PROFILES)
def test_smoothing_is_the_mean_of_three(quantities: NDArray[np.float64]) -> None:
    filled = np.nan_to_num(quantities)
    width = filled.shape[1]
    expected = [[row[max(at - 1, 0) : at + 2].mean() for at in range(width)] for row in filled]
    np.testing.assert_allclose(smoothed(quantities), expected)


def test_the_numbers_of_a_profile() -> None:
    columns = "\t".join(f"[{n}] R_MDAMB468_Ctrl_R1_F{n:02d}_1_1_{n}.d.PG.Quantity" for n in range(7, 12))
    data = small_report("P00001;P00002|P00003\tG1;G2;G3\t0\tNaN\t4\t8\t2", "P00004\tG4\tNaN\tNaN\tNaN\tNaN\tNaN",
                        "P00005\tG\t0\t0\t0\t0\t0", "P00001;P00002|P00003\tG1;G2\t1\t1\t1\t1\t1",
                        columns=columns)  # fmt: skip
    rows = protein_rows(read_report(data, "Biosep_MDAMB468_CTRL_1_Report.tsv"))
    one = rows.row(0, named=True)
    assert (one["members"], one["alternatives"], one["is_ambiguous"]) == (["P00001", "P00002", "P00003"], 2, True)
    assert (one["first_fraction"], one["last_fraction"], one["measured_fractions"]) == (7, 11, 5)
    assert (one["quantified_fractions"], one["zero_fractions"]) == (4, 1)
    assert one["coverage"] == pytest.approx(0.8)
    assert (one["total"], one["apex_fraction"], one["apex_quantity"]) == (14.0, 10, 8.0)
    assert (one["gene_symbols"], one["accessions"], one["group_label"]) == (["G1", "G2", "G3"], None, None)
    assert rows["total"].to_list() == [14.0, None, 0.0, 5.0]
    assert rows["apex_fraction"].to_list() == [10, None, None, 7]
    assert rows["peak_count"].to_list() == [1, 0, 0, 1]
    assert rows["occurrence"].to_list() == [0, 0, 0, 1]
    assert rows["defects"].to_list() == [[], ["never_quantified"], [], ["duplicate_group", "id_count_mismatch"]]


def test_profiles_can_be_read_back() -> None:
    for name in ("Biosep_MDAMB468_VRST_2_Report.tsv", "Biosep_MDAMB468_CTRL_1_Report.tsv"):
        one = next(r for r in sandbox.MDA_REPLICATES if r.file == name)
        elution = read_report(sandbox.report(one, groups=20), name).elution
        (again,) = from_profiles(
            profile_rows(elution).with_columns(pl.lit(str(elution.sample.condition)).alias("condition"))
        )
        assert_equal(again, elution)


def assert_equal(one: Elution, other: Elution) -> None:
    np.testing.assert_array_equal(one.quantities, other.quantities)
    np.testing.assert_array_equal(one.fractions, other.fractions)
    assert one.groups.equals(other.groups)
    assert (one.replicate_id, one.runs, one.family) == (other.replicate_id, other.runs, other.family)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5, 14)), st.data())
def test_the_order_of_columns_changes_nothing(order: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.sampled_from(["NaN", "0", "1.5", "20"]), min_size=9, max_size=9))
    by_fraction = dict(zip(range(5, 14), values, strict=True))

    def made(fractions: list[int]) -> pl.DataFrame:
        columns = "\t".join(f"[{n}] R_F{f:02d}_1_1_{f}.d.PG.Quantity" for n, f in enumerate(fractions))
        cells = "\t".join(by_fraction[f] for f in fractions)
        return profile_rows(read_report(small_report(f"P1\tG\t{cells}", columns=columns), "r.tsv").elution)

    assert made(order).equals(made(sorted(order)))
