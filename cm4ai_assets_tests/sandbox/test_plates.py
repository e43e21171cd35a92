from __future__ import annotations

import re

import pytest

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.identifiers import UNIPROT
from cm4ai_assets.sandbox import plates, proteins
from cm4ai_assets.sandbox.plates import Appearance, fields_of, layout


def test_the_layout_is_as_large_as_the_real_one() -> None:
    placed = layout()
    labels = {antibody.label for antibody in placed.values()}
    assert len(placed) == 471
    assert [sum(plate == n for plate, _ in placed) for n in range(1, 6)] == [96, 96, 87, 96, 96]
    assert len(labels) == 465  # 464 antibodies and the control
    assert [well for (_, well), antibody in placed.items() if antibody.label == "NEGATIVE"] == ["H12"] * 5


def test_labels_and_identifiers_are_well_formed() -> None:
    for antibody in layout().values():
        if antibody.label == plates.NEGATIVE:
            assert antibody.genes == ()
            continue
        assert re.fullmatch(r"(HPA|CAB)\d{6}", antibody.label)
        for gene in antibody.genes:
            assert re.fullmatch(r"ENSG\d{11}", gene.ensembl)
            assert UNIPROT.fits(gene.uniprot), gene
    assert 0.05 < sum(len(a.genes) > 1 for a in layout().values()) / len(layout()) < 0.2


def test_invented_genes_are_distinct() -> None:
    genes = {gene for antibody in layout().values() for gene in antibody.genes}
    assert len({gene.ensembl for gene in genes}) == len({gene.symbol for gene in genes}) == len(genes)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("count", [8, 9, 24, 100, 4400])
def test_a_condition_has_what_it_promises(condition: Condition, count: int) -> None:
    fields = fields_of(condition, count, 1)
    looks = [field.appearance for field in fields]
    assert len(fields) == len({field.stem for field in fields}) == count
    assert any(field.antibody.label == plates.NEGATIVE for field in fields)
    assert any(len(field.antibody.genes) > 1 for field in fields)
    assert Appearance.NEAR_EMPTY in looks
    first = [field.region for field in fields if (field.plate, field.well) == (1, "H12")]
    assert 2 not in first
    if count >= 24:
        assert {Appearance.OUT_OF_FOCUS, Appearance.SATURATED} <= set(looks)
    regions = {(field.plate, field.well, field.region) for field in fields}
    assert len(regions) == count - (condition is Condition.VORINOSTAT and count >= 24)


def test_every_condition_has_the_same_wells() -> None:
    wells = [{(field.plate, field.well) for field in fields_of(c, 24, 1)} for c in CONDITIONS]
    assert wells[0] == wells[1] == wells[2]


def test_another_seed_takes_other_regions() -> None:
    assert fields_of(Condition.UNTREATED, 24, 1) == fields_of(Condition.UNTREATED, 24, 1)
    assert fields_of(Condition.UNTREATED, 24, 1) != fields_of(Condition.UNTREATED, 24, 2)


@pytest.mark.parametrize("count", [0, 7, 100_000])
def test_a_count_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(ConfigurationError, match="fields of view"):
        fields_of(Condition.UNTREATED, count, 1)


def test_localisations_are_spread_and_some_proteins_move() -> None:
    labels = {antibody.label for antibody in layout().values()} - {plates.NEGATIVE}
    assert len({proteins.localisation(label) for label in labels}) > 8
    moved = [
        proteins.mixture(label, Condition.UNTREATED) != proteins.mixture(label, Condition.PACLITAXEL)
        for label in labels
    ]
    assert 0.2 < sum(moved) / len(moved) < 0.6
