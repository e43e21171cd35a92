from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.crates import claims, datasheet_claims
from cm4ai_assets.crates.antibodies import antibodies_agree, crate_antibodies
from cm4ai_assets.crates.claims import Claims, Published
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.crates.datasheet_claims import Statements, license_name
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import read_crates
from cm4ai_assets.findings import Finding
from cm4ai_assets.releases import ReleaseRecord
from cm4ai_assets.tables.images import IF_ANTIBODIES
from cm4ai_assets_tests.crates import published
from cm4ai_assets_tests.crates.twins import EVI, RELEASE, crate, image, lock, ref, tables

OLD, NEW, OTHER = "a" * 32, "b" * 32, "c" * 32
ZIP = "cm4ai_ifimages_MDA-MB-468_paclitaxel.zip"
HERE = lock(
    ("Images", ZIP, 4_067_695_317, NEW),
    ("", "mass-spec-iPSCs-ro-crate-metadata.json", 395_980, None),
    ("", "release-ro-crate-metadata.json", 35_868, None),
)
BEFORE = lock(
    ("", "cm4ai-v0.6-beta-if-images-paclitaxel.zip", 2_777_891_100, OLD),
    ("CRISPR Perturbation Cell Atlas", "ro-crate-metadata.json", 31_852, OTHER),
    release="2025-03-v1.4",
    doi="doi:10.18130/V3/B35XWX",
    version="1.4",
)


def stub(name: str, pointer: str, **says: Any) -> dict[str, Any]:
    return {
        "@id": f"ark:59852/{name}", "@type": ["Dataset", f"{EVI}ROCrate"], "name": name, "ro-crate-metadata": pointer,
        **says,
    }  # fmt: skip


def found(*entities: dict[str, Any], **root: Any) -> dict[str, Finding]:
    parts = [ref(one["@id"]) for one in entities]
    made = tables(crate(*entities, root_says={"hasPart": parts, **root}))
    subject = Claims(made.entities, made.edges, Published(HERE), [Published(BEFORE)])
    return {one.check: one for one in claims.contradictions(subject)}


def actual(finding: Finding) -> list[str]:
    return finding.rows["actual"].to_list()


def test_stale_swapped_and_unknown_digests() -> None:
    said = found(
        stub("images", "Images/paclitaxel/ro-crate-metadata.json", MD5=OLD),
        stub("sequences", "Perturb-Seq/sra/ro-crate-metadata.json", MD5=OTHER),
        stub("atlas", "Perturb-Seq/cell-atlas/ro-crate-metadata.json", MD5=OTHER),
        stub("current", "Images/paclitaxel/ro-crate-metadata.json", MD5=NEW),
        stub("nobody's", "mass-spec/iPSCs/ro-crate-metadata.json", MD5="d" * 32),
        {"@id": "ark:59852/elsewhere", "@type": f"{EVI}Dataset", "md5": "e" * 32},
    )
    assert actual(said["crate_digests"]) == [
        "of cm4ai-v0.6-beta-if-images-paclitaxel.zip in 2025-03-v1.4, since replaced",
        "of CRISPR Perturbation Cell Atlas/ro-crate-metadata.json in 2025-03-v1.4, which is something else",
        "of CRISPR Perturbation Cell Atlas/ro-crate-metadata.json in 2025-03-v1.4, since replaced",
        "of no file of any known release",
    ]
    assert "1 others are of files kept elsewhere" in said["crate_digests"].summary
    assert actual(said["crate_digests_distinct"]) == ["also of ark:59852/atlas"]


def test_dois_version_sizes_and_pointers() -> None:
    said = found(
        stub("images", "Images/paclitaxel/ro-crate-metadata.json", contentSize="2.6 GB"),
        stub("cells", "mass-spec/iPSCs/ro-crate-metadata.json", identifier="https://doi.org/doi:10.25345/C5348GV4S"),
        identifier="https://doi.org/10.18130/V3/B35XWX",
        citation='Clark T, 2025, "March", https://doi.org/10.18130/V3/B35XWX , V1',
        version="1.0",
    )
    assert said["crate_dois"].rows.select("claim", "actual").rows() == [
        ("identifier", "10.18130/V3/F3TD5R"),
        ("citation", "10.18130/V3/F3TD5R"),
        ("identifier", "should be https://doi.org/10.25345/C5348GV4S"),
    ]
    assert said["crate_version"].rows.select("stated", "actual").rows() == [("1.0", "2.1")]
    assert actual(said["crate_sizes"]) == [f"4,067,695,317 bytes (Images/{ZIP})"]
    assert actual(said["crate_files"]) == [
        "no such file is published", "published as mass-spec-iPSCs-ro-crate-metadata.json",
    ]  # fmt: skip


def test_a_crate_that_is_no_part_and_makers_that_disagree() -> None:
    made = tables(
        crate(
            stub("hidden", "x/ro-crate-metadata.json"),
            {"@id": "ark:59852/raw", "@type": "Dataset", "generatedBy": ref("ark:59852/one")},
            {"@id": "ark:59852/one", "@type": "Experiment", "generated": ref("ark:59852/raw")},
            {"@id": "ark:59852/two", "@type": "Experiment", "generated": ref("ark:59852/raw")},
        )
    )
    said = {one.check: one for one in claims.contradictions(Claims(made.entities, made.edges, Published(HERE)))}
    assert said["crate_parts"].rows["about"].to_list() == ["ark:59852/hidden"]
    assert said["crate_inverses"].rows.select("about", "stated").rows() == [("ark:59852/raw", "ark:59852/one")]
    assert actual(said["crate_inverses"]) == ["ark:59852/two claims to have generated it"]


def test_dangling_and_malformed_ids() -> None:
    antibody = {
        "@id": "ark:59852/antibody", "@type": "BioChemEntity", "usedDataset": ref("ark:59852/nowhere"),
        "isPartOf": ref("ark:59852/June-2026-data-release,"),
        "identifier": [
            {"@type": "PropertyValue", "name": "HPA Antibody ID", "value": "HPA45"},
            {"@type": "PropertyValue", "name": "ENSEMBL", "value": "ENSG00000102024;ENSG00000120756"},
            {"@type": "PropertyValue", "name": "Uniprot", "value": "EIF5A"},
            {"@type": "PropertyValue", "name": "RRID", "value": "CVCL-0419"},
            {"@type": "PropertyValue", "name": "RRID", "value": "RRID:AB_2716367"},
        ],
    }  # fmt: skip
    said = found(antibody)
    assert said["crate_targets"].rows.select("about", "claim").rows() == [("ark:59852/nowhere", "used_dataset")]
    assert said["crate_identifiers"].rows["stated"].to_list() == [
        "HPA45", "EIF5A", "CVCL-0419", "ark:59852/June-2026-data-release,",
    ]  # fmt: skip


def test_a_sound_crate_passes_every_check() -> None:
    made = tables(image())
    findings = claims.contradictions(Claims(made.entities, made.edges, Published(HERE)))
    assert [(one.check, one.summary) for one in findings if not one.passed] == []
    assert all(check.__doc__ and "Protects" in check.__doc__ for check in claims.CHECKS)


def test_dois_of_others_are_no_claim_about_the_release() -> None:
    preprint = "https://doi.org/10.1101/2024.05.21.589311"
    said = found(stub("part", "mass-spec-iPSCs-ro-crate-metadata.json", identifier=preprint))
    assert said["crate_dois"].passed


def test_a_crate_of_one_part_is_no_release_crate() -> None:
    part = stub("part", "mass-spec-iPSCs-ro-crate-metadata.json")
    assert found(part, version="1.0")["crate_version"].passed
    assert not found(part, stub("other", "x-ro-crate-metadata.json"), version="1.0")["crate_version"].passed


def test_antibodies_of_crates_and_manifests() -> None:
    entities = tables(image()).entities
    assert crate_antibodies(entities).select("antibody_id", "kind", "id").rows() == [
        ("HPA000001", "ensembl_gene_id", "ENSG00000000001"), ("HPA000001", "uniprot_id", "P63241"),
    ]  # fmt: skip
    row = {
        "antibody_id": "HPA000001", "target_index": 0, "is_control": False, "ensembl_gene_id": "ENSG00000000001",
        "uniprot_id": "P99999", "pairing": "single", "wells": [], "fields": 1, "defects": [],
    }  # fmt: skip
    manifest = IF_ANTIBODIES.from_rows([row], release=RELEASE, condition="paclitaxel")
    assert antibodies_agree(entities, manifest).rows.select("stated", "actual").rows() == [
        ("P63241", "not in the manifest"), ("P99999", "not in the crates"),
    ]  # fmt: skip
    agreeing = manifest.with_columns(uniprot_id=pl.lit("P63241"))
    assert antibodies_agree(entities, agreeing).passed
    # Controls have no target, and antibodies that the crates do not describe are not compared.
    control = manifest.with_columns(is_control=pl.lit(value=True))
    assert antibodies_agree(entities, pl.concat([agreeing, control])).passed
    unknown = manifest.with_columns(antibody_id=pl.lit("HPA000009"))
    assert antibodies_agree(entities, pl.concat([agreeing, unknown])).passed


DATASHEET = f"""\
id: x
version: "2.0"
license: CC BY 4.0
subsets:
  - {{id: a, name: cm4ai-ifimages-mda-mb-468-paclitaxel.zip, md5: {NEW}}}
  - {{id: b, name: mass-spec-iPSCs-ro-crate-metadata.json, media_type: text/html}}
  - {{id: c, name: gone.csv}}
"""


def test_a_datasheet_of_another_version() -> None:
    earlier = lock(
        ("Images", "cm4ai-ifimages-mda-mb-468-paclitaxel.zip", 1, NEW), release="2025-06-v2.0", version="2.0"
    )

    def record(key: str, day: int) -> ReleaseRecord:
        released = datetime(2025, 10, day, tzinfo=UTC)
        return ReleaseRecord(key, "", 2, 0, "", date(2025, 7, 1), released, "")

    datasheet = datasheet_table([Document("d4d.yaml", "d4d", DATASHEET.encode())], release=RELEASE)
    subject = Statements(
        datasheet, Published(HERE, record(RELEASE, 31)), [Published(earlier, record("2025-06-v2.0", 22))]
    )
    said = {one.check: one for one in datasheet_claims.contradictions(subject)}
    assert "d4d.yaml lists 2 of 3 files" in said["datasheet_files"].summary
    assert said["datasheet_files"].rows.select("source", "about", "claim", "actual").rows() == [
        ("d4d.yaml, line 5", ZIP, "name", f"{ZIP}; so named in 2025-06-v2.0, for 9 days, until 2025-06-v2.1"),
        ("d4d.yaml, line 6", "mass-spec-iPSCs-ro-crate-metadata.json", "media_type", "application/octet-stream"),
        ("d4d.yaml, line 7", "gone.csv", "listed", "no such file in this release"),
        ("d4d.yaml", "release-ro-crate-metadata.json", "listed", "file 3 of the release"),
    ]
    assert said["datasheet_version"].rows["source"].to_list() == ["d4d.yaml, line 2"]
    assert said["datasheet_license"].rows.select("stated", "actual").rows() == [("CC BY 4.0", "CC BY-NC-SA 4.0")]
    assert said["datasheet_doi"].passed


def of_files(listed: str, *, sha256: dict[int, str] | None = None) -> list[tuple[Any, ...]]:
    """About, claim, stated and actual of what does not hold of listed files of `HERE`, missing ones left out."""
    text = "id: x\nsubsets:\n" + "".join(f"  - {{{one}}}\n" for one in listed.split("\n"))
    datasheet = datasheet_table([Document("d4d.yaml", "d4d", text.encode())], release=RELEASE)
    found = datasheet_claims.datasheet_files(Statements(datasheet, Published(HERE), sha256=sha256 or {}))
    rows = found.rows.select("about", "claim", "stated", "actual").rows()
    return [row for row in rows if row[2] != "not listed"]


SHA = "5" * 64


@pytest.mark.parametrize(
    ("listed", "rows"),
    [
        (f"path: Images/{ZIP}, name: {ZIP}, md5: {NEW}", []),
        (f"path: ./Images/{ZIP}, name: Images of a condition", []),
        (f"name: {ZIP}", []),
        (f"path: Pictures/{ZIP}, md5: {NEW}", [(ZIP, "directory", "Pictures", "Images")]),
        (f"path: {ZIP}, md5: {NEW}", [(ZIP, "directory", "none", "Images")]),
        (f"path: Images/{ZIP}, name: other.zip", [(ZIP, "name", "other.zip", f"{ZIP}; so named in no known release")]),
        (f"path: Images/{ZIP}, md5: {NEW[:-1]}", [(ZIP, "md5", NEW[:-1], "no MD5: 31 characters")]),
        (f"path: Images/{ZIP}, md5: pending", [(ZIP, "md5", "pending", "no MD5: 7 characters")]),
        (f"path: Images/{ZIP}, sha256: {NEW}", [(ZIP, "sha256", NEW, "no SHA-256: 32 characters")]),
        (f"path: Images/{ZIP}, sha256: {SHA}", []),
        (f"path: Images/{ZIP}, sha256: {'6' * 64}", [(ZIP, "sha256", "6" * 64, SHA)]),
        (f"path: Images/{ZIP}, hash: {'6' * 64}", [(ZIP, "sha256", "6" * 64, SHA)]),
        (f"name: renamed.zip, sha256: {SHA}", [(ZIP, "name", "renamed.zip", f"{ZIP}; so named in no known release")]),
        (f"path: Images/{ZIP}, bytes: 7 GB", [(ZIP, "size", "7 GB", "4,067,695,317")]),
        (f"path: Images/{ZIP}, bytes: 3.8 GB", []),
        (f"name: {ZIP}\nname: {ZIP}", [(ZIP, "listed", "listed again", "file 1 of the release")]),
        ("name: gone.csv, md5: short", [
            ("gone.csv", "listed", "gone.csv", "no such file in this release"),
            ("gone.csv", "md5", "short", "no MD5: 5 characters"),
        ]),
    ],
)  # fmt: skip
def test_every_statement_about_a_listed_file_is_compared(listed: str, rows: list[tuple[str, ...]]) -> None:
    assert of_files(listed, sha256={1: SHA}) == rows


def test_a_sha256_of_bytes_that_are_not_here_is_counted_as_not_compared() -> None:
    text = f"id: x\nsubsets:\n  - {{path: Images/{ZIP}, sha256: {SHA}}}\n"
    datasheet = datasheet_table([Document("d4d.yaml", "d4d", text.encode())], release=RELEASE)
    found = datasheet_claims.datasheet_files(Statements(datasheet, Published(HERE)))
    assert found.summary.endswith("1 SHA-256 not compared, since the files are not stored")
    of_archive = HERE.with_columns(digest_type=pl.lit("SHA-256"), digest=pl.lit("7" * 64))
    found = datasheet_claims.datasheet_files(Statements(datasheet, Published(of_archive)))
    assert ("sha256", SHA, "7" * 64) in found.rows.select("claim", "stated", "actual").rows()


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    twins = lock(("a", "x.json", 1, OLD), ("b", "x.json", 2, NEW))
    text = "id: x\nsubsets:\n  - {path: b/x.json}\n  - {path: a/x.json}\n"
    datasheet = datasheet_table([Document("d4d.yaml", "d4d", text.encode())], release=RELEASE)
    assert datasheet_claims.datasheet_files(Statements(datasheet, Published(twins))).passed


def test_a_name_is_followed_back_through_all_versions() -> None:
    def version(number: str, label: str, day: int) -> Published:
        key = f"2025-06-v{number}"
        record = ReleaseRecord(key, "", 2, 0, "", date(2025, 7, 1), datetime(2025, 10, day, tzinfo=UTC), "")
        return Published(lock(("Images", label, 1, NEW), release=key, version=number), record)

    text = f"id: x\nsubsets:\n  - {{path: Images/first.zip, md5: {NEW}}}\n"
    datasheet = datasheet_table([Document("d4d.yaml", "d4d", text.encode())], release=RELEASE)
    earlier = [version("2.0", "second.zip", 20), version("1.0", "first.zip", 3)]
    found = datasheet_claims.datasheet_files(Statements(datasheet, version("2.1", ZIP, 31), earlier))
    assert found.rows["actual"].to_list() == [f"{ZIP}; so named in 2025-06-v1.0, for 17 days, until 2025-06-v2.0"]


def test_what_crates_state_of_their_version_is_not_held_against_the_datasheets() -> None:
    said = json.dumps(crate(root_says={"version": "1.0", "identifier": "https://doi.org/10.18130/V3/OTHERX"}))
    datasheet = datasheet_table([Document("crate", "crate_root", said.encode())], release=RELEASE)
    subject = Statements(datasheet, Published(HERE))
    assert datasheet_claims.datasheet_version(subject).passed
    assert datasheet_claims.datasheet_doi(subject).passed


def test_licences_have_one_name() -> None:
    assert license_name("http://creativecommons.org/licenses/by-nc-sa/4.0") == "CC BY-NC-SA 4.0"
    assert license_name("License: CC BY-NC-SA 4.0. Community norms") == "CC BY-NC-SA 4.0"
    assert license_name("https://creativecommons.org/publicdomain/zero/1.0/") == "CC0 1.0"
    assert license_name("CC0 1.0") == "CC0 1.0"
    assert license_name("ask us") is None


def counts(findings: list[Finding]) -> dict[str, int]:
    return {one.check: one.counts["rows"] for one in findings}


def test_contradictions_of_june_2025(shared: Path) -> None:
    made = crate_tables(read_crates(published.release_2025(shared)), release="2025-06-v2.1")
    earlier = [published.published(shared, key) for key in ("2025-06-v2.0", "2025-03-v1.4")]
    findings = claims.contradictions(
        Claims(made.entities, made.edges, published.published(shared, "2025-06-v2.1"), earlier)
    )
    assert counts(findings) == {
        "crate_digests": 4, "crate_digests_distinct": 2, "crate_dois": 4, "crate_version": 1, "crate_sizes": 3,
        "crate_files": 7, "crate_parts": 1, "crate_inverses": 2, "crate_targets": 8, "crate_identifiers": 0,
    }  # fmt: skip
    told = "\n".join(_lines(findings))
    # Both mass-spec stubs carry the digest of March's crate of the undifferentiated cells.
    assert told.count("md5: cb67e7749b15ce87b9042a9feba9d032") == 4
    assert "rocrate-data-from-treated-human-cancer-cells | hasPart: not among the parts of the root" in told


def test_contradictions_of_june_2026(shared: Path) -> None:
    made = crate_tables(read_crates(published.release_2026(shared)), release="2026-06-v2.0")
    earlier = [published.published(shared, key) for key in ("2025-10-v2.1", "2025-06-v2.1", "2025-03-v1.4")]
    findings = claims.contradictions(
        Claims(made.entities, made.edges, published.published(shared, "2026-06-v2.0"), earlier)
    )
    digests = findings[0].rows
    assert digests["actual"].str.contains("2025-03-v1.4").sum() == 6
    swapped = digests.filter(pl.col("actual").str.contains("which is something else"))
    assert [about.rsplit("/", 1)[-1][:30] for about in swapped["about"]] == [
        "rocrate-data-from-treated-huma", "rocrate-sra-data-for-perturbat", "rocrate-a-perturbation-cell-at",
    ]  # fmt: skip
    assert counts(findings)["crate_dois"] == 10
    assert counts(findings)["crate_identifiers"] == 3


def test_the_seed_against_the_archive(shared: Path) -> None:
    data = shared / "data"
    documents = [
        Document("d4d.yaml", "d4d", (data / "seed" / "000_61b72f2c4c8e90b0.txt").read_bytes()),
        Document("page", "landing_page", (data / "dataverse" / "jsonld" / "F3TD5R_v2.1.jsonld.json").read_bytes()),
    ]
    datasheet = datasheet_table(documents, release="2025-06-v2.1")
    release, earlier = (published.published(shared, f"2025-06-v{version}") for version in ("2.1", "2.0"))
    said = {one.check: one for one in datasheet_claims.contradictions(Statements(datasheet, release, [earlier]))}
    files = said["datasheet_files"]
    assert files.summary == "d4d.yaml lists 10 of 21 files; 15 statements about files do not hold"
    names = files.rows.filter(pl.col("claim") == "name")["actual"]
    assert names.str.contains("so named in 2025-06-v2.0, for 9 days, until 2025-06-v2.1").sum() == 3
    assert files.rows.filter(pl.col("claim") == "format").rows() == [
        ("d4d.yaml, line 256", "release-ro-crate-datasheet.html", "format", "JSON", "text/html")
    ]
    assert said["datasheet_version"].rows.rows() == [("d4d.yaml, line 11", "version", "version", "2.0", "2.1")]


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    """What each check says, and its rows."""
    for finding in findings:
        yield f"{finding.check}: {finding.summary}"
        for source, about, claim, stated, actual in finding.rows.iter_rows():
            yield f"    {source} | {about} | {claim}: {stated} | {actual}"
