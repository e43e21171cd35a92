"""A release as delivered: one that has everything gets all points, and each grade falls with its evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from cm4ai_assets.findings import Finding
from cm4ai_assets.publication.readiness.cards import as_delivered, grade_delivered
from cm4ai_assets.publication.readiness.gathering import described_by
from cm4ai_assets.publication.readiness.grading import POINTS
from cm4ai_assets.publication.readiness.rubric import CRITERIA
from cm4ai_assets.publication.readiness.summary import ColumnSummary, TableSummary
from cm4ai_assets.publication.readiness.wording import key_actors
from cm4ai_assets.tables.publication import DATASHEET_REPORT
from cm4ai_assets_tests.crates.twins import ref
from cm4ai_assets_tests.publication.readiness_twins import D4D, KEY, ORIGIN, SHA, Documents, items

Damage = Callable[[Documents], Any]

TABLE, STORE = items()
assert STORE.making is not None
_OTHER = "0" * 64


def no_document(*names: str) -> Damage:
    return lambda about: about.without.update(names)


def root(**said: Any) -> Damage:
    return lambda about: about.root.update(said)


def without(*keys: str) -> Damage:
    return lambda about: [about.root.pop(key) for key in keys]


def entity(key: str, /, **said: Any) -> Damage:
    return lambda about: about.entities[key].update(said)


def no_entity(*keys: str) -> Damage:
    return lambda about: [about.entities.pop(key) for key in keys]


def croissant(**said: Any) -> Damage:
    return lambda about: about.croissant.update(said)


def page(text: str) -> Damage:
    return lambda about: setattr(about, "page", f"<!DOCTYPE html><html>{text}</html>")


def closed_file(about: Documents) -> None:
    """A published file is under embargo, and no document names it."""
    first = pl.col("file_id") == 1
    about.release.changes.append(pl.when(first).then(pl.lit("embargoed")).otherwise(pl.col("access")).alias("access"))


def another_run(about: Documents) -> None:
    about.entities["run"]["@id"] = "ark:59852/another-run"
    for name in SHA:
        about.entities[name]["generatedBy"] = ref("ark:59852/another-run")


def all_of(*damages: Damage) -> Damage:
    return lambda about: [damage(about) for damage in damages]


DOCUMENTS: list[tuple[str, str, Damage, int]] = [
    ("0.a", "no Croissant", no_document("croissant"), 1),
    ("0.a", "another version in the crate", root(version="1.0", associatedPublication=[], identifier=[
        "https://doi.org/10.18130/V3/HIGT4C"], **{"rai:dataCollection": "x", "ethicalReview": "x", "splits": "x"}), 1),
    ("0.a", "another DOI in Croissant", croissant(url="https://doi.org/10.18130/V3/F3TD5R"), 1),
    ("0.a", "no document with the DOI", no_document("croissant", "derived_crate"), 0),
    ("0.b", "Croissant that conforms to nothing", croissant(conformsTo=""), 1),
    ("0.b", "no page under the DOI", lambda about: setattr(about.release, "page", None), 1),
    ("0.b", "no document", no_document("croissant", "derived_crate"), 0),
    ("0.c", "no term of a vocabulary", all_of(no_entity("term", "cells"), croissant(recordSet=[])), 1),
    ("0.c", "no crate", no_document("derived_crate"), 1),
    ("0.d", "another licence in Croissant", croissant(license="https://creativecommons.org/licenses/by/4.0/"), 1),
    ("0.d", "no licence in the crate", without("license"), 1),
    ("1.a", "a published file that the crates do not name", entity(
        "source", **{"@id": "https://dataverse/file/104690"}), 1),
    ("1.b", "a run that the crates do not describe", all_of(
        no_entity("run"), entity("quality", generatedBy=[]), entity("shard", generatedBy=[])), 1),
    ("1.b", "a step without software", entity("run", usedSoftware=[]), 1),
    ("1.c", "software that is hosted and not archived", entity("software", url="https://github.com/a/b"), 1),
    ("1.c", "software without an address", entity("software", url=None), 0),
    ("1.c", "an address that is no place", entity("software", url="https://cm4ai-assets.invalid/software/a"), 0),
    ("1.d", "an author without an ORCID", root(author=["A. Person"]), 1),
    ("2.a", "no subject term", no_entity("term"), 1),
    ("2.c", "columns that are bound to nothing", croissant(recordSet=[{"name": "if_quality",
    "field": [{"name": "a"}]}]), 1),
    ("2.d", "no reasons for what is missing", without("rai:dataCollectionMissingData"), 1),
    ("2.e", "no quality control in the datasheet", all_of(without("rai:dataQuality"), lambda about: about.d4d.pop(
        "anomalies")), 1),
    ("3.a", "no report", no_document("datasheet_report"), 0),
    ("3.a", "half a page", lambda about: setattr(about, "page", "<!DOCTYPE html><html>"), 1),
    ("3.a", "nothing on processing", without("rai:dataPreprocessingProtocol"), 1),
    ("3.b", "other words on prohibited uses", root(prohibitedUses="Anything that is not research on these cells."), 1),
    ("3.c", "another digest in the crate", entity("quality", sha256=_OTHER), 1),
    ("3.c", "no digest anywhere", all_of(entity("quality", sha256=None), entity("shard", sha256=None), croissant(
        distribution=[])), 0),
    ("4.a", "no ethics review", without("ethicalReview"), 1),
    ("4.b", "no security level", without("confidentialityLevel"), 1),
    ("4.c", "an embargo that no document names", closed_file, 1),
    ("4.c", "other words on prohibited uses", root(prohibitedUses="Anything that is not research on these cells."), 1),
    ("4.c", "no contact", without("contactEmail"), 1),
    ("4.c", "no licence", all_of(without("license"), croissant(license=None)), 0),
    ("4.d", "no security level", without("confidentialityLevel"), 0),
    ("5.a", "deposits that no document names", all_of(page("open_release"), entity("source", name="a.zip")), 1),
    ("5.a", "no commitment", root(**{"rai:dataReleaseMaintenancePlan": "Updated each quarter, with versions kept."}),
    1),
    ("5.b", "no DOI in the crates", root(identifier="none", associatedPublication=[]), 0),
    ("5.c", "no plan", without("rai:dataReleaseMaintenancePlan"), 0),
    ("5.d", "a store that is in no crate", all_of(no_entity("shard"), root(hasPart=[ref("ark:59852/quality")])), 1),
    ("5.d", "a part that is described nowhere", root(hasPart=[ref("ark:59852/lost")]), 1),
    ("5.d", "no crate", no_document("derived_crate"), 0),
    ("6.a", "a record set without its columns", croissant(recordSet=[{"name": "if_quality",
    "field": [{"name": "a"}]}]), 1),
    ("6.a", "a datasheet that deviates", lambda about: about.d4d.update(colour="red"), 1),
    ("6.a", "an entity that is defective", entity("quality", md5="not a digest"), 1),
    ("6.a", "no datasheet", no_document("datasheet_report"), 1),
    ("6.b", "a store that is not in Croissant", croissant(distribution=[{"sha256": SHA["quality"]}]), 1),
    ("6.b", "no record sets", croissant(recordSet=[]), 1),
    ("6.b", "nothing on loading", page("nothing"), 1),
    ("6.b", "no Croissant", no_document("croissant"), 0),
    ("6.d", "an embargo that no document names", closed_file, 1),
    ("0.a", "a DOI of no repository that lasts", all_of(
        lambda about: setattr(about.release, "doi", "doi:10.5072/FK2/HIGT4C"),
        croissant(url="https://doi.org/10.5072/FK2/HIGT4C"), root(identifier="https://doi.org/10.5072/FK2/HIGT4C")), 1),
    ("1.b", "another run than the recorded one", another_run, 1),
    ("4.c", "no prohibited uses, neither published nor here", all_of(
        without("prohibitedUses"), lambda about: about.release.root.pop("prohibitedUses")), 1),
    ("4.c", "no terms", without("conditionsOfAccess"), 1),
    ("5.a", "sequences without a deposit", lambda about: about.release.entities["report"].update(
        contentUrl="https://a.org/x"), 1),
    ("6.a", "Croissant of no version", croissant(conformsTo=""), 1),
]  # fmt: skip
EVIDENCE: list[tuple[str, str, dict[str, Any], int]] = [
    ("0.c", "a file that differs from its schema", {"differing": {TABLE.path: "mean"}}, 0),
    ("0.d", "a table without a licence", {"items": (replace(TABLE, credit={}), STORE)}, 1),
    ("0.d", "no licence", {"items": (replace(TABLE, credit={}), replace(STORE, credit={}))}, 0),
    ("1.a", "nothing leads anywhere", {
        "origins": {}, "items": (replace(TABLE, making=None), replace(STORE, making=None))}, 0),
    ("1.b", "a store whose run is not known", {"items": (TABLE, replace(STORE, making=None))}, 1),
    ("1.b", "no run", {"items": (replace(TABLE, making=None), replace(STORE, making=None))}, 0),
    ("2.b", "a table without statistics", {"summaries": ()}, 1),
    ("2.b", "another way to write a missing value", {"summaries": (
        TableSummary("if_quality", str(TABLE.partition), 3, (ColumnSummary("mean", "Float64", 3, 0, 1),), ()),)}, 0),
    ("2.c", "a file that differs from its schema", {"differing": {TABLE.path: "mean"}}, 0),
    ("2.c", "a store without Zarr metadata", {"items": (TABLE, replace(STORE, files=()))}, 0),
    ("2.e", "images without quality control", {"items": (STORE,)}, 0),
    ("2.e", "quality control by unknown software", {"items": (replace(TABLE, making=None), STORE)}, 1),
    ("3.c", "a file that was altered", {"altered": (TABLE.path,)}, 1),
    ("3.c", "a store of which one file is in no crate", {"items": (TABLE, replace(STORE, files=(
        *STORE.files, replace(STORE.files[0], sha256=_OTHER))))}, 1),
    ("3.c", "nothing that was read again", {"sampled": 0}, 1),
    ("5.a", "no published file behind it", {"origins": {}}, 0),
    ("5.d", "a file that is gone", {"altered": (TABLE.path,)}, 0),
    ("6.a", "a file that differs from its schema", {"differing": {TABLE.path: "mean"}}, 0),
    ("6.c", "no list of distributions", {"environments": frozenset()}, 1),
    ("6.c", "a format that is not open", {"items": (TABLE, replace(STORE, files=(
        replace(STORE.files[0], path="tensors/a.pkl"),)))}, 0),
    ("6.d", "a leak", {"leaks": Finding("no_leaks", passed=False, summary="1 leak.")}, 1),
    ("6.d", "no splits", {"splits": pl.DataFrame()}, 1),
    ("6.d", "no example rows", {"summaries": (TableSummary("if_quality", str(TABLE.partition), 3, (), ()),)}, 1),
    ("1.a", "a store that leads to nothing", {
        "origins": {TABLE.path: (ORIGIN,)}, "items": (TABLE, replace(STORE, making=None))}, 1),
    ("2.b", "no table", {"items": (STORE,), "summaries": ()}, 0),
    ("2.e", "proteomics without quality control", {"items": (TABLE, STORE, replace(
        TABLE, name="massive_files", group="proteomics"))}, 1),
    ("6.c", "a Python that is not recorded", {"items": (TABLE, replace(STORE, making=replace(
        STORE.making, software=replace(STORE.making.software, python=""))))}, 1),
    ("6.d", "nothing", {"splits": pl.DataFrame(), "documents": {}, "summaries": ()}, 0),
]  # fmt: skip


def test_a_release_that_has_everything_has_all_points() -> None:
    card = as_delivered(Documents().evidence())
    assert {key: (grade.score, grade.missing) for key, grade in card.grades.items() if grade.score < 2} == {}
    assert (card.points, card.closed) == (POINTS, ())


@pytest.mark.parametrize(("criterion", "what", "damage", "left"), DOCUMENTS, ids=[f"{a}-{b}" for a, b, *_ in DOCUMENTS])
def test_a_grade_falls_with_what_the_documents_say(criterion: str, what: str, damage: Damage, left: int) -> None:
    about = Documents()
    damage(about)
    assert grade_delivered(criterion, about.evidence()).uncapped == left, what


@pytest.mark.parametrize(("criterion", "what", "changed", "left"), EVIDENCE, ids=[f"{a}-{b}" for a, b, *_ in EVIDENCE])
def test_a_grade_falls_with_what_is_stored(criterion: str, what: str, changed: dict[str, Any], left: int) -> None:
    assert grade_delivered(criterion, Documents().evidence(**changed)).uncapped == left, what


def test_software_without_an_address_is_available_if_its_source_is_in_the_crate() -> None:
    source = b"PK, and the files"
    own = tuple(replace(one, making=replace(one.making, software=replace(
        one.making.software, source=hashlib.sha256(source).hexdigest()))) for one in items() if one.making)  # fmt: skip
    about = Documents()
    about.entities["software"]["url"] = None
    files = about.files()
    files = {**files, "derived_crate": {**files["derived_crate"], "software/a.zip": source}}
    kept = about.evidence(items=own, documents=files)
    assert grade_delivered("1.c", kept).uncapped == 1
    other = {**files, "derived_crate": {**files["derived_crate"], "software/a.zip": b"other bytes"}}
    assert grade_delivered("1.c", about.evidence(items=own, documents=other)).uncapped == 0
    mixed = (own[0], replace(own[1], making=items()[1].making))
    assert grade_delivered("1.c", about.evidence(items=mixed, documents=files)).uncapped == 0


def test_every_criterion_loses_points_here() -> None:
    assert {criterion for criterion, *_ in [*DOCUMENTS, *EVIDENCE]} == {one.id for one in CRITERIA}


def test_without_documents_a_column_says_what_is_missing() -> None:
    card = as_delivered(Documents(without={"croissant", "derived_crate", "datasheet_report"}).evidence())
    assert [limit.split(" ")[0] for limit in card.limits[1:]] == ["croissant", "derived_crate", "datasheet_report"]
    assert {gate.criterion.id for gate in card.closed} >= {"0.a", "0.b", "1.d", "4.a", "4.c", "4.d"}


def test_what_is_made_of_what_leads_to_a_published_file_leads_there_too() -> None:
    made = replace(STORE.making, inputs=(replace(STORE.making.inputs[0], path=TABLE.path),)) if STORE.making else None
    found = Documents().evidence(items=(TABLE, replace(STORE, making=made)), origins={})
    assert grade_delivered("1.a", found).one[0].text.startswith("2 of 2")


def test_the_list_of_files_in_the_datasheet_is_not_read_as_statements() -> None:
    files = [{"id": "f", "resources": [{"id": str(n), "path": f"a/{n}"} for n in range(3)]}]
    about = Documents(d4d={**D4D, "file_collections": files, "known_biases": [{"id": "b", "description": "A bias."}]})
    fields = about.evidence().described.statements.filter(source_kind="d4d")["field"].to_list()
    assert not [one for one in fields if one.startswith("file_collections")]
    assert "known_biases[0].description" in fields


def test_people_are_the_authors_of_the_crate_that_describes_the_others() -> None:
    about = Documents()
    about.entities["group"] = {"@id": "images/", "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"], "name": "Images"}
    files = about.files()
    group = json.loads(files["derived_crate"]["ro-crate-metadata.json"])
    group["@graph"] = [one for one in group["@graph"] if one["@id"] != "images/"]
    group["@graph"][1] |= {"@id": "ark:59852/images", "author": "The authors of the release"}
    group["@graph"][0]["about"] = ref("ark:59852/images")
    crates = {**files["derived_crate"], "images/ro-crate-metadata.json": json.dumps(group).encode()}
    said = described_by({**files, "derived_crate": crates}, KEY)
    assert said.entities.filter("is_root").height == 2
    assert key_actors(said).two[0].text == "1 of 1 people have an ORCID"


def test_a_picture_of_the_report_names_no_accession() -> None:
    page = b'<p>MSV000098237</p><img src="data:image/webp;base64,UklGRk/MSV000099999/SRR1234567+AA=="></html>'
    found = Documents().evidence(documents={DATASHEET_REPORT.name: {DATASHEET_REPORT.entry: page}})
    assert found.page == '<p>MSV000098237</p><img src=""></html>'
