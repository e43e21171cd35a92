"""A release as published: one that has everything gets all points, and each grade falls with its evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.publication.readiness.cards import as_published, grade_published
from cm4ai_assets.publication.readiness.grading import POINTS
from cm4ai_assets.publication.readiness.published import Published
from cm4ai_assets.publication.readiness.rubric import CRITERIA
from cm4ai_assets_tests.crates.twins import ref
from cm4ai_assets_tests.publication.readiness_twins import Release

Damage = Callable[[Release], Any]


def root(**said: Any) -> Damage:
    return lambda release: release.root.update(said)


def without(*keys: str) -> Damage:
    return lambda release: [release.root.pop(key) for key in keys]


def entity(key: str, /, **said: Any) -> Damage:
    return lambda release: release.entities[key].update(said)


def no_entity(*names: str) -> Damage:
    return lambda release: [release.entities.pop(name) for name in names]


def files(column: str, value: Any) -> Damage:
    """The first file has another value."""
    first = pl.col("file_id") == 1
    return lambda release: release.changes.append(
        pl.when(first).then(pl.lit(value)).otherwise(pl.col(column)).cast(pl.String).alias(column)
    )


def attribute(name: str, value: Any) -> Damage:
    return lambda release: setattr(release, name, value)


def all_of(*damages: Damage) -> Damage:
    return lambda release: [damage(release) for damage in damages]


def every(column: str, value: Any) -> Damage:
    """All files have this value."""
    return lambda release: release.changes.append(pl.lit(value, pl.String).alias(column))


def page_says_all(release: Release) -> None:
    """The landing page says what the crate's root said."""
    release.root_says = False
    release.page = {**release.root, "@context": "http://schema.org", "@type": "Dataset"}


SILENT = attribute("has_metadata", False)
_GENERIC = "These data may contain biases that are not known to the authors of the release."
_EXEMPT = "Exempt: the office of research of the university has decided so."


def plan(text: str) -> Damage:
    return root(**{"rai:dataReleaseMaintenancePlan": text})


DAMAGES: list[tuple[str, str, Damage, int]] = [
    ("0.a", "the DOI is of no repository that lasts", attribute("doi", "doi:10.5072/FK2/HIGT4C"), 1),
    ("0.a", "files of two versions", files("version", "1.0"), 0),
    ("0.b", "no JSON-LD on the page", attribute("page", None), 1),
    ("0.c", "no term of a vocabulary", all_of(
        no_entity("sample", "schema", "ui?ui=D001943", "raw"), entity("report", contentUrl="https://a.org/x")), 1),
    ("0.d", "a file without a licence", files("license", None), 1),
    ("0.d", "a licence in prose", all_of(
        root(license="Ask the authors."), attribute("page", None),
        lambda release: release.changes.append(pl.lit("Ask the authors.").alias("license"))), 1),
    ("1.a", "no deposit of raw data", all_of(
        entity("raw", contentUrl="https://a.org/x"), entity("report", contentUrl="https://a.org/y")), 1),
    ("1.a", "no sample", all_of(no_entity("sample"), entity("staining", usedSample=[])), 1),
    ("1.b", "a computation without its software", entity("computation", usedSoftware=[]), 1),
    ("1.b", "an input that is described nowhere", entity("computation", usedDataset=ref("ark:59852/lost")), 1),
    ("1.b", "no step", no_entity("computation", "staining"), 0),
    ("1.c", "software that is hosted and not archived", entity("software", url="https://github.com/a/b"), 1),
    ("1.c", "software without an address", entity("software", url=None), 0),
    ("1.d", "an author without an ORCID", root(author=["A. Person"]), 1),
    ("1.d", "an organization without a ROR identifier", entity(
        "0000-0001-0000-0001", affiliation={"name": "University of Virginia"}), 1),
    ("1.d", "no author", all_of(without("author"), attribute("page", None)), 0),
    ("2.a", "no subject term", no_entity("ui?ui=D001943"), 1),
    ("2.a", "no keywords", without("keywords"), 0),
    ("2.b", "no statement on missing values", root(**{
        "rai:dataCollectionMissingData": "Some wells failed quality control and are withheld until 2027."}), 0),
    ("2.b", "a dataset without statistics", entity("raw", hasSummaryStatistics=[]), 1),
    ("2.c", "a table without a schema", entity("report", **{"evi:Schema": []}), 0),
    ("2.c", "no schema", no_entity("schema"), 0),
    ("2.c", "no term bound", all_of(no_entity("sample"), entity("schema", properties={})), 1),
    ("2.c", "a format without a schema", entity("raw", format="npy"), 1),
    ("2.d", "biases in general", root(**{"rai:dataBiases": _GENERIC}), 1),
    ("2.d", "no reasons for what is missing", without("rai:dataCollectionMissingData"), 1),
    ("2.d", "no limitations", without("rai:dataLimitations"), 1),
    ("2.d", "no control",
    root(description="Images of MDA-MB-468 cells with vorinostat, and SEC-MS and raw sequences."), 1),
    ("2.d", "no biases", without("rai:dataBiases"), 0),
    ("2.d", "a placeholder", root(**{"rai:dataBiases": "No known biases."}), 0),
    ("2.e", "quality control without a link", root(**{"rai:dataQuality": "Quality control of focus and saturation."}),
    1),
    ("2.e", "no quality control", all_of(without("rai:dataQuality"), root(**{
        "rai:dataCollectionMissingData": "Some wells are withheld until 2027. Missing values are written as "
        "empty."})), 0),
    ("3.a", "no page to read", attribute("label", "other.txt"), 1),
    ("3.a", "nothing on processing", without("rai:dataPreprocessingProtocol"), 1),
    ("3.b", "no prohibited uses", without("prohibitedUses"), 1),
    ("3.b", "no publication", without("associatedPublication"), 1),
    ("3.b", "no uses", without("rai:dataUseCases"), 0),
    ("3.c", "a dataset without a digest", entity("raw", md5=None), 1),
    ("3.c", "a file without a digest", files("digest", None), 1),
    ("3.c", "claims of a few digests", root(**{"evi:entitiesWithChecksums": 8, "evi:totalEntities": 55859}), 1),
    ("4.a", "no ethics review", without("ethicalReview"), 1),
    ("4.a", "no basis", without("humanSubjectExemption"), 1),
    ("4.a", "no data management plan", root(dataGovernanceCommittee="A. Person"), 1),
    ("4.a", "no collection", without("rai:dataCollection"), 1),
    ("4.a", "nothing on acquisition", without(
        "rai:dataCollection", "humanSubjectResearch", "humanSubjectExemption"), 0),
    ("4.b", "no security level", without("confidentialityLevel"), 1),
    ("4.b", "nobody who governs it", without("dataGovernanceCommittee"), 1),
    ("4.b", "no human subjects", without("humanSubjectResearch", "humanSubjectExemption"), 0),
    ("4.c", "no prohibited uses", without("prohibitedUses"), 1),
    ("4.c", "a file that is closed without a day", files("access", "restricted"), 1),
    ("4.c", "no contact", without("contactEmail"), 1),
    ("4.c", "no terms", without("conditionsOfAccess"), 1),
    ("4.d", "a level in prose", root(confidentialityLevel="Anybody may see it."), 1),
    ("4.d", "no level", without("confidentialityLevel"), 0),
    ("5.a", "sequences without a deposit", entity("report", contentUrl="https://a.org/x"), 1),
    ("5.a", "no commitment", root(**{"rai:dataReleaseMaintenancePlan": "Updated each quarter; versions are kept."}), 1),
    ("5.b", "spectra without a deposit", entity("raw", contentUrl="https://a.org/x"), 1),
    ("5.b", "a repository that nobody knows", attribute("doi", "doi:10.5072/FK2/HIGT4C"), 0),
    ("5.c", "no updates", plan("Long-term preservation in the repository; a policy for errata holds."), 1),
    ("5.c", "no plan", without("rai:dataReleaseMaintenancePlan"), 0),
    ("5.d", "a part that is described nowhere", root(hasPart=[ref("ark:59852/lost")]), 1),
    ("5.d", "an embargo", entity("raw", contentUrl="Embargoed"), 0),
    ("5.d", "a file that is closed", files("access", "restricted"), 0),
    ("6.a", "a defect", entity("raw", md5="not a digest"), 1),
    ("6.a", "no standard", without("conformsTo"), 0),
    ("6.b", "a path in somebody's ZIP", entity("raw", contentUrl="file:///blue/a.jpg"), 1),
    ("6.b", "an address by FTP", entity("raw", contentUrl="ftp://massive-ftp.ucsd.edu/v10/MSV000098237/a"), 1),
    ("6.b", "no file that is public", lambda release: release.changes.append(pl.lit("restricted").alias("access")), 0),
    ("6.c", "a format of a vendor", entity("raw", format=".d"), 1),
    ("6.c", "a path on a cluster", entity("raw", contentUrl="/tscc/projects/a"), 0),
    ("6.d", "no splits", without("splits"), 1),
    ("6.d", "no example", entity("report", name="Report"), 1),
    ("6.d", "nothing on what is withheld",
    root(**{"rai:dataCollectionMissingData": "Missing values are shown as empty."}), 1),
    ("0.a", "no version", every("version", ""), 1),
    ("0.b", "no record at the archive", attribute("lists_files", False), 0),
    ("0.c", "no metadata", SILENT, 0),
    ("0.d", "no licence", all_of(without("license"), attribute("page", None), every("license", None)), 0),
    ("1.a", "no source", SILENT, 0),
    ("2.a", "no abstract", without("description"), 0),
    ("3.a", "neither datasheet nor page", all_of(SILENT, attribute("label", "other.txt")), 0),
    ("3.a", "a page, and no datasheet for machines", page_says_all, 1),
    ("3.b", "uses in no field of their own", all_of(without("rai:dataUseCases"), root(additionalProperty=[
        {"@type": "PropertyValue", "name": "Intended Use", "value": "Training of models on proteins in cells."}])), 1),
    ("3.c", "no digest", all_of(every("digest", None), entity("raw", md5=None), entity("report", md5=None)), 0),
    ("4.a", "nothing on the legitimacy", root(
        humanSubjectResearch="None: cells in a dish.", humanSubjectExemption=_EXEMPT), 1),
    ("4.b", "no reason for the security level", root(
        humanSubjectResearch="None: cells in a dish.", humanSubjectExemption=_EXEMPT), 1),
    ("4.c", "neither licence nor terms", all_of(without("conditionsOfAccess"), every("license", None)), 0),
    ("5.a", "no raw data", all_of(every("role", None), entity("raw", contentUrl="https://a.org/x"), entity(
        "report", contentUrl="https://a.org/y")), 0),
    ("5.c", "no stewardship", plan("Updated each quarter; versions and errata are listed for all of them."), 1),
    ("5.c", "no changes", plan("Updated each quarter; long-term preservation in a repository of the university."), 1),
    ("5.d", "no record of parts", SILENT, 0),
    ("6.b", "a file that is closed", files("access", "restricted"), 1),
    ("6.c", "no formats", all_of(entity("raw", format=None), entity("report", format=None)), 0),
    ("6.d", "nothing", all_of(without("splits"), entity("report", name="Report"), without(
        "rai:dataCollectionMissingData")), 0),
]  # fmt: skip


def test_a_release_that_has_everything_has_all_points() -> None:
    card = as_published(Release().evidence())
    assert {key: (grade.score, grade.missing) for key, grade in card.grades.items() if grade.score < 2} == {}
    assert (card.points, card.overall, card.closed) == (POINTS, 100, ())


@pytest.mark.parametrize(("criterion", "what", "damage", "left"), DAMAGES, ids=[f"{a}-{b}" for a, b, *_ in DAMAGES])
def test_a_grade_falls_with_its_evidence(criterion: str, what: str, damage: Damage, left: int) -> None:
    release = Release()
    damage(release)
    grade = grade_published(criterion, release.evidence())
    assert grade.uncapped == left, what
    assert grade.missing, what


def test_every_criterion_loses_points_here() -> None:
    assert {criterion for criterion, *_ in DAMAGES} == {one.id for one in CRITERIA}


def test_of_a_release_without_crates_nothing_is_guessed() -> None:
    bare = as_published(Published.of({"release_files": Release().frames()["release_files"]}))
    assert bare.limits == (
        "crate_entities is not made for this release.", "release_datasheet is not made for this release.",
    )  # fmt: skip
    assert {gate.criterion.id for gate in bare.closed} >= {"0.c", "1.b", "2.c", "4.a", "4.d"}
    assert bare.grades["3.c"].score == 2


def test_crates_that_were_not_read_are_named() -> None:
    release = Release()
    release.entities["stub"] = {"@id": "ark:59852/stub", "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"]}
    assert "ark:59852/stub" in as_published(release.evidence()).limits[0]
