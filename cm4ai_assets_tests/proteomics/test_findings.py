"""Comparing replicates, and what the checks say about good and bad ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from cm4ai_assets.conditions import Condition
from cm4ai_assets.proteomics import apms_findings, findings
from cm4ai_assets.proteomics.correlation import as_frame, compare, correlations, pairs_of
from cm4ai_assets.proteomics.elution import Elution
from cm4ai_assets.proteomics.secms import Reading, read_condition
from cm4ai_assets.sandbox import proteomics as sandbox
from cm4ai_assets_tests.proteomics.helpers import zipped


@pytest.fixture(scope="module")
def reading() -> Reading:
    archive = zipped("cm4ai_mass-spec_MDA-MB-468.zip", sandbox.mda_reports(groups=60))
    return read_condition([archive], Condition.UNTREATED)


def renumbered(one: Elution, by: int) -> Elution:
    return replace(one, fractions=(one.fractions + by).astype(np.int16))


def test_correlation_is_that_of_numpy() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random((5, 20)), rng.random((5, 20))
    one[3] = 1.0  # does not vary
    expected = [np.corrcoef(one[row], other[row])[0, 1] for row in (0, 1, 2, 4)]
    np.testing.assert_allclose(correlations(one, other), expected)


def test_replicates_are_compared_on_common_fractions(reading: Reading) -> None:
    pairs = pairs_of(reading.replicates)
    assert [(pair.fractions, pair.shift) for pair in pairs] == [(71, 0), (68, 0), (67, 0)]
    assert all(pair.median is not None and pair.median > 0.9 for pair in pairs)
    assert findings.replicates_correlate(pairs).passed
    assert findings.elution_aligned(pairs).passed


def test_positions_taken_for_fractions_are_seen(reading: Reading) -> None:
    """Both replicates numbered from 1, as renaming by position does: the profiles agree only when shifted."""
    first, _, last = reading.replicates
    pair = compare(renumbered(first, 1 - int(first.fractions[0])), renumbered(last, 1 - int(last.fractions[0])))
    assert pair.shift == int(last.fractions[0]) - int(first.fractions[0]) == -4
    assert pair.median is not None
    assert pair.shifted_median is not None
    assert pair.shifted_median > 0.9
    assert pair.median < 0.5
    assert not findings.elution_aligned([pair]).passed
    assert not findings.replicates_correlate([pair]).passed


def test_a_shuffled_replicate_does_not_correlate(reading: Reading) -> None:
    first, second, _ = reading.replicates
    order = np.random.default_rng(0).permutation(len(second.quantities))
    finding = findings.replicates_correlate([compare(first, replace(second, quantities=second.quantities[order]))])
    assert not finding.passed
    assert finding.counts == {"pairs": 1, "uncorrelated": 1}


def test_too_little_in_common_is_not_a_correlation(reading: Reading) -> None:
    first, second, _ = reading.replicates
    few = replace(second, groups=second.groups.head(3), quantities=second.quantities[:3])
    pair = compare(first, few)
    assert (pair.groups, pair.median, pair.shift) == (3, None, 0)
    assert not findings.replicates_correlate([pair]).passed
    assert as_frame([pair])["median"].to_list() == [None]


def test_replicates_of_other_cells_are_not_compared(reading: Reading) -> None:
    first, second, _ = reading.replicates
    other = replace(second, sample=replace(second.sample, cell_line="KOLF2.1J"))
    assert pairs_of([first, other]) == []
    assert findings.replicates_correlate([]).passed


def test_misaligned_windows_are_told_with_what_position_would_do(reading: Reading) -> None:
    finding = findings.windows_aligned(reading.proteins)
    assert not finding.passed
    assert finding.summary == "MDA-MB-468 (cancer): 3 windows, which share F12 to F78."
    assert finding.rows["shift_by_position"].to_list() == [0, 1, -4]
    same = reading.proteins.filter(pl.col("replicate_id") == "MDA-MB-468_untreated_1")
    assert findings.windows_aligned(same).passed
    two = reading.proteins.filter(pl.col("replicate") < 4)
    assert findings.windows_aligned(two).counts == {"windows": 2, "cells_with_several": 1, "replicates_with_gaps": 0}
    assert not findings.windows_aligned(two).passed


def test_a_fraction_that_is_missing_within_the_window_is_told(reading: Reading) -> None:
    gap = reading.proteins.filter(pl.col("replicate") == 1).with_columns(pl.col("measured_fractions") - 1)
    finding = findings.windows_aligned(gap)
    assert (finding.passed, finding.counts["replicates_with_gaps"]) == (False, 1)


def test_other_units_are_seen_within_and_between_releases(reading: Reading) -> None:
    quantities = ("apex_quantity", "total")
    second = pl.col("replicate") == 2
    logarithms = reading.proteins.with_columns(
        pl.when(second).then(pl.col(name).log(2)).otherwise(pl.col(name)).alias(name) for name in quantities
    )
    assert findings.scale_consistent(reading.proteins).passed
    finding = findings.scale_consistent(logarithms)
    assert (finding.passed, finding.counts) == (False, {"replicates": 3, "off": 1})
    assert findings.scale_unchanged(reading.proteins, reading.proteins).passed
    scaled = reading.proteins.with_columns(pl.col(name) / 1000 for name in quantities)
    assert findings.scale_consistent(scaled).passed
    assert findings.scale_unchanged(reading.proteins, scaled).counts == {"replicates": 3, "off": 3}


def test_duplicated_groups_are_told() -> None:
    name = "Biosep_MDAMB468_PTXL_3_Report.tsv"
    data = sandbox.mda_reports(groups=20)[name]
    data += data.splitlines(keepends=True)[1]
    reading = read_condition([zipped("cm4ai_mass-spec_MDA-MB-468.zip", {name: data})], Condition.PACLITAXEL)
    finding = findings.groups_unique(reading.proteins)
    assert (finding.passed, finding.counts["repeated"]) == (False, 1)
    assert finding.rows["source_line"].to_list() == [reading.proteins.height + 1]
    assert findings.quantities_sound(reading.proteins).passed


def test_every_finding_says_what_it_protects_from() -> None:
    named = [apms_findings.pairs_placed, apms_findings.treatments_known, findings.ids_sound, findings.rows_kept,
             findings.tables_recognised, findings.tables_present, findings.tables_usable, findings.samples_known,
             findings.text_sound,
             findings.windows_aligned, findings.elution_aligned, findings.replicates_correlate, findings.groups_unique,
             findings.quantities_sound, findings.scale_consistent, findings.scale_unchanged,
             apms_findings.interactions_sound, apms_findings.runs_sound, apms_findings.runs_deposited]  # fmt: skip
    assert all("Protects" in (function.__doc__ or "") for function in named)
