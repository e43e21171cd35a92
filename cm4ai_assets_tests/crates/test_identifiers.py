from __future__ import annotations

from datetime import date

import pytest

from cm4ai_assets.crates import identifiers, values


@pytest.mark.parametrize(
    ("stated", "normal"),
    [
        ("ark:59852/x", "ark:59852/x"),
        ("ark:/59852/x", "ark:59852/x"),
        ("ark:59852/rocrate-of-2025/", "ark:59852/rocrate-of-2025"),
        ("https://fairscape.net/ark:59852/x", "ark:59852/x"),
        ("https://fairscape.net/api/ark:59853/January-2026-data-release,", "ark:59853/January-2026-data-release"),
        ("ark:/Ideker_Lab/CM4AI", "ark:/Ideker_Lab/CM4AI"),  # no naming authority: not an ARK that can be compared
        ("https://doi.org/doi:10.25345/C5348GV4S", "https://doi.org/10.25345/C5348GV4S"),
        ("http://dx.doi.org/10.1101/2024.05.21.589311", "https://doi.org/10.1101/2024.05.21.589311"),
        ("ro-crate-metadata.json", "ro-crate-metadata.json"),
        ("  https://orcid.org/0000-0003-4060-7360 ", "https://orcid.org/0000-0003-4060-7360"),
    ],
)
def test_an_id_has_one_form(stated: str, normal: str) -> None:
    assert identifiers.normalize_id(stated) == normal
    assert identifiers.normalize_id(normal) == normal


def test_types_lose_the_namespaces_in_use_and_no_others() -> None:
    stated = ["EVI:Schema", "evi:Schema", "https://w3id.org/EVI#Dataset", "prov:Entity", "https://schema.org/Patient"]
    assert [identifiers.normalize_type(one) for one in stated] == ["Schema", "Schema", "Dataset", "Entity", "Patient"]
    assert identifiers.normalize_type("https://other.org/x#Y") == "https://other.org/x#Y"


def test_dois() -> None:
    citation = '(Beta)", https://doi.org/10.18130/V3/B35XWX , https://dataverse.lib.virginia.edu/, V1'
    assert identifiers.doi_in(citation) == "10.18130/V3/B35XWX"
    assert identifiers.same_doi("doi:10.18130/V3/F3TD5R", "https://doi.org/10.18130/v3/f3td5r")
    assert not identifiers.same_doi("none", "none either")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            identifiers.is_ensembl_gene_id,
            ["ENSG00000132507", "ENSG00000132507.12"],
            ["ENSG1325", "ENST00000132507", ""],
        ),
        (
            identifiers.is_uniprot_accession,
            ["P63241", "Q14651", "A0A024RBG1", "P63241-2"],
            ["P6324", "EIF5A", "63241P"],
        ),
        (identifiers.is_antibody_id, ["HPA045064", "CAB005042"], ["HPA45064", "NEGATIVE", "hpa045064"]),
        (identifiers.is_cellosaurus_id, ["CVCL_0419", "RRID:CVCL_B5P3"], ["CVCL-0419", "0419"]),
    ],
)
def test_forms_of_database_ids(check: object, good: list[str], bad: list[str]) -> None:
    assert callable(check)
    assert all(check(one) for one in good)
    assert not any(check(one) for one in bad)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2.6 GB", int(2.6 * 2**30)),
        ("16.7TB", int(16.7 * 2**40)),
        ("19.9 TB", 21_880_281_392_742),  # what the release itself makes of it
        ("195.97 GB", int(195.97 * 2**30)),
        ("2354", 2354),
        ("1,234 bytes", 1234),
        ("", None),
        ("large", None),
        ("9" * 400, None),
        ("99999999999 PB", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert values.size_in_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2025-06-28", date(2025, 6, 28)),
        ("2026-05-22T13:23:35.699025+00:00", date(2026, 5, 22)),
        ("02/28/2025", date(2025, 2, 28)),
        ("6/23/2025", date(2025, 6, 23)),
        ("10/13/25", date(2025, 10, 13)),
        ("08-31-2023", date(2023, 8, 31)),
        ("31/08/2023", None),
        ("2025-02-30", None),
        ("٢٠٢٥-٠٦-٢٨", None),
        ("soon", None),
    ],
)
def test_dates(text: str, day: date | None) -> None:
    assert values.date_of(text) == day


def test_embargo_markers() -> None:
    assert values.is_embargo_marker("Embargoed")
    assert values.is_embargo_marker(" embargoed until 2027")
    assert not values.is_embargo_marker("https://host/embargoed.csv")
    assert values.tells_embargo("Sequences, embargoed until publication.")
    assert not values.tells_embargo("Some data of the release are under embargo.")
