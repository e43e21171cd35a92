from __future__ import annotations

import polars as pl

from cm4ai_assets.crates.lineage import provenance_of
from cm4ai_assets_tests.crates.twins import EVI, crate, image, ref, tables

IMAGE = "ark:59853/B2AI_1_Paclitaxel_A1_R1_z01_blue"


def test_antibody_treatment_instrument_and_cell_line_of_an_image_in_one_query() -> None:
    found = tables(image())
    answer = provenance_of(found.entities.lazy(), found.edges.lazy(), f"https://fairscape.net/{IMAGE}")
    assert isinstance(answer, pl.LazyFrame)
    rows = answer.select("step", "relation", "name").collect().rows()
    assert rows == [
        (1, "generated_by", "Staining"),
        (2, "stained_with", "HPA000001"),
        (2, "stained_with", "DAPI"),
        (2, "used_instrument", "Microscope"),
        (2, "used_sample", None),
        (2, "used_treatment", "Paclitaxel"),
        (3, "cell_line", "MDA-MB-468 Cell Line"),
    ]


def test_software_behind_a_report_across_crates() -> None:
    report = crate(
        {"@id": "ark:59852/report", "@type": f"{EVI}Dataset"},
        {
            "@id": "ark:59852/run",
            "@type": f"{EVI}Computation",
            "usedSoftware": ["ark:59852/spectronaut"],
            "usedDataset": [ref("ark:59852/raw")],
            "generated": ["ark:59852/report"],  # said by the maker only
        },
    )
    raw = crate({"@id": "ark:59852/raw", "@type": f"{EVI}Dataset", "derivedFrom": [ref("ark:59852/reads")]})
    found = tables(report, raw)
    rows = provenance_of(found.entities, found.edges, "ark:59852/report").collect()
    assert rows.select("step", "relation", "entity_id", "is_described").rows() == [
        (1, "generated_by", "ark:59852/run", True),
        (2, "used_dataset", "ark:59852/raw", True),
        (2, "used_software", "ark:59852/spectronaut", False),
        (3, "derived_from", "ark:59852/reads", False),
    ]


def test_loops_end() -> None:
    loop = crate(
        {"@id": "ark:59852/a", "@type": "Dataset", "derivedFrom": ref("ark:59852/b")},
        {"@id": "ark:59852/b", "@type": "Dataset", "derivedFrom": ref("ark:59852/a")},
    )
    found = tables(loop)
    assert provenance_of(found.entities, found.edges, "ark:59852/a").collect()["entity_id"].to_list() == ["ark:59852/b"]


def test_an_unknown_entity_has_no_provenance() -> None:
    found = tables(image())
    assert provenance_of(found.entities, found.edges, "ark:59852/nothing").collect().is_empty()


def test_images_that_name_their_stain_themselves() -> None:
    """The form of early 2025: no experiment between an image and what it was made with."""
    stated = {
        "@id": IMAGE, "@type": "EVI:Dataset", "usedCellLine": ref("ark:59853/cell-line"),
        "usedStain": ref("ark:59853/b2ai-antibody-HPA000001"), "usedTreatment": ref("ark:59853/treatment-paclitaxel"),
    }  # fmt: skip
    found = tables(crate(stated))
    assert provenance_of(found.entities, found.edges, IMAGE).collect()["relation"].to_list() == [
        "cell_line", "stained_with", "used_treatment",
    ]  # fmt: skip


def chain(length: int) -> list[dict[str, object]]:
    return [
        {"@id": f"ark:59852/{number}", "@type": "Dataset", "derivedFrom": ref(f"ark:59852/{number + 1}")}
        for number in range(length)
    ]


def test_a_walk_goes_as_many_steps_as_asked_and_no_further() -> None:
    found = tables(crate(*chain(6)))
    reached = provenance_of(found.entities, found.edges, "ark:59852/0", steps=3).collect()
    assert reached["entity_id"].to_list() == [f"ark:59852/{number}" for number in (1, 2, 3)]
    assert reached["step"].to_list() == [1, 2, 3]


def test_every_branch_is_walked() -> None:
    both = {"@id": "ark:59852/x", "@type": "Dataset", "derivedFrom": [ref("ark:59852/0"), ref("ark:59852/9")]}
    other = {"@id": "ark:59852/9", "@type": "Dataset", "derivedFrom": ref("ark:59852/99")}
    found = tables(crate(both, other, *chain(1)))
    reached = provenance_of(found.entities, found.edges, "ark:59852/x").collect()
    assert set(reached["entity_id"]) == {f"ark:59852/{name}" for name in ("0", "1", "9", "99")}


def test_of_several_descriptions_the_fullest_is_shown() -> None:
    made = {"@id": "ark:59852/x", "@type": "Dataset", "derivedFrom": ref("ark:59852/y")}
    poor = {"@id": "ark:59852/y", "@type": "Dataset", "name": "poor"}
    rich = {"@id": "ark:59852/y", "@type": "Dataset", "name": "rich", "rowCount": 1, "columnCount": 2}
    for entities in ((made, poor, rich), (made, rich, poor)):
        found = tables(crate(*entities))
        assert provenance_of(found.entities, found.edges, "ark:59852/x").collect()["name"].to_list() == ["rich"]
