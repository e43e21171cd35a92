"""The crates of a release: every file once, every origin stated, nothing made up, damage found by their digests."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from cm4ai_assets.access import Release
from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import CrateFile, read_crates
from cm4ai_assets.lineage.delivered import Delivered, DeliveredFile
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.publication.crate import Facts, build, content_id, findings, graphs
from cm4ai_assets.publication.crate.building import LARGEST
from cm4ai_assets.publication.crate.facts import StoredArray
from cm4ai_assets.publication.crate.forms import values_of
from cm4ai_assets.publication.crate.ids import published_id
from cm4ai_assets.publication.crate.runs import software_entity
from cm4ai_assets.publication.stated import stated_in
from cm4ai_assets.references import Kind
from cm4ai_assets.software import Software
from cm4ai_assets_tests.publication import makings
from cm4ai_assets_tests.publication.releases import DOI

Graph = dict[str, dict[str, Any]]


def graph(files: dict[str, bytes], crate: str = "") -> Graph:
    return {one["@id"]: one for one in graphs(files)[f"{crate}/ro-crate-metadata.json".lstrip("/")]}


def described(files: dict[str, bytes], name: str, group: str = "images") -> dict[str, Any]:
    (found,) = (one for one in graph(files, group).values() if one.get("name") == name and "derivedFrom" in one)
    return found


def test_every_file_is_in_one_crate_with_its_recorded_digest(facts: Facts, files: dict[str, bytes]) -> None:
    found = findings.each_file_once(files, facts.delivery, "")

    assert found.passed, found.summary
    assert found.counts["files"] == sum(len(one.files) for one in facts.delivery)
    assert list(graphs(files)) == [
        "ro-crate-metadata.json",
        *(f"{group}/ro-crate-metadata.json" for group in
          ("release", "metadata", "images", "proteomics", "perturbation", "integration")),
    ]  # fmt: skip
    assert findings.no_dangling(files).passed


@pytest.mark.parametrize("change", ["lost", "twice", "altered", "foreign"])
def test_a_file_too_few_twice_altered_or_of_nobody_is_found(facts: Facts, files: dict[str, bytes], change: str) -> None:
    name = "integration/ro-crate-metadata.json"
    content = json.loads(files[name])
    (at,) = (n for n, one in enumerate(content["@graph"]) if one.get("name") == "splits")
    entity = content["@graph"][at]
    if change == "lost":
        del content["@graph"][at]
    elif change == "altered":
        entity["sha256"] = "0" * 64
    else:
        other = {**entity, "localPath": "../else.parquet"} if change == "foreign" else dict(entity)
        content["@graph"].append(other)

    found = findings.each_file_once({**files, name: json.dumps(content).encode()}, facts.delivery, "")

    assert not found.passed
    assert {"lost": "in no crate", "twice": "in 2 crates", "altered": "in no crate", "foreign": "not delivered"}[
        change
    ] in found.summary


def test_a_reference_to_nowhere_is_found(files: dict[str, bytes]) -> None:
    name = "images/ro-crate-metadata.json"
    content = json.loads(files[name])
    content["@graph"] = [one for one in content["@graph"] if "SoftwareApplication" not in one["@type"]]

    found = findings.no_dangling({**files, name: json.dumps(content).encode()})

    assert not found.passed
    assert f"{name}: https://cm4ai-assets.invalid/software/" in found.summary


def test_a_file_names_the_run_that_made_it_and_the_software_the_lock_and_the_machine(files: dict[str, bytes]) -> None:
    table = described(files, "if_fields of untreated")
    every = graph(files, "images")
    run = every[table["generatedBy"]["@id"]]

    assert run["@id"] == f"https://cm4ai-assets.invalid/runs/{makings.RUN}/if_fields/untreated"
    assert run["@type"] == ["CreateAction", "https://w3id.org/EVI#Computation"]
    assert (run["cm4ai:runId"], run["cm4ai:codeVersion"], run["runBy"]) == (makings.RUN, "2", "not recorded")
    assert (run["startTime"], run["endTime"]) == ("2026-07-20T01:02:03.456+00:00", "2026-07-20T01:02:08.456+00:00")
    assert run["result"] == run["generated"] == {"@id": table["@id"]}
    software = every[run["instrument"]["@id"]]
    assert (software["version"], software["cm4ai:commit"], software["cm4ai:modified"]) == (
        "0.1.0",
        makings.COMMIT,
        False,
    )
    assert (software["processorRequirements"], software["runtimePlatform"]) == ("x86_64", "Python 3.11.9")
    lock = every[software["softwareRequirements"]["@id"]]
    assert lock["sha256"] == makings.SOFTWARE.environment
    assert lock["localPath"] == f"../environments/{lock['sha256']}.txt"
    assert files[lock["localPath"].removeprefix("../")] == makings.LOCK.encode()
    whole = graph(files)[lock["@id"]]
    assert whole["@type"][0] == "File", "in the release's crate it is a part"
    source = every[software["cm4ai:source"]["@id"]]
    assert software["contentUrl"] == source["localPath"] == f"../software/{makings.SOFTWARE.source}.zip"
    assert files[source["localPath"].removeprefix("../")] == makings.SOURCE
    assert graph(files)[source["@id"]]["@type"][0] == "File"


def test_a_source_that_is_no_longer_stored_is_named_by_its_digest_alone(facts: Facts) -> None:
    crates = build(replace(facts, software={}))
    assert not [name for name in crates if name.startswith("software/")]
    (source,) = (one for one in graph(crates).values() if one.get("sha256") == makings.SOFTWARE.source)
    assert "localPath" not in source
    assert "no longer stored" in source["description"]
    software = next(one for one in graph(crates, "images").values() if "SoftwareApplication" in one["@type"])
    assert "contentUrl" not in software


def test_software_without_a_commit_says_so(facts: Facts) -> None:
    unknown = replace(makings.SOFTWARE, commit=None, modified=None)
    changed = replace(makings.SOFTWARE, modified=True)
    for software, says in ((unknown, "of no known commit"), (changed, "changes that are in no commit")):
        delivery = tuple(
            replace(one, making=one.making and replace(one.making, software=software)) for one in facts.delivery
        )
        found = [one for one in graph(build(replace(facts, delivery=delivery)), "images").values()
                 if "SoftwareApplication" in one["@type"]]  # fmt: skip
        assert [says in one["description"] for one in found] == [True]
        assert ("cm4ai:commit" in found[0]) == (software is changed)


def test_software_is_where_its_package_says_and_nowhere_if_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = Software("0.1.0", None, None, "3.11.9", "e" * 64, "x86_64", "Linux")
    stated = Message()
    monkeypatch.setattr("cm4ai_assets.software.metadata", lambda _: stated)
    assert software_entity(ran, None)["url"].startswith("https://cm4ai-assets.invalid/")
    assert "sameAs" not in software_entity(ran, None)

    stated["Project-URL"] = "Archive, https://doi.org/10.5281/zenodo.1"
    stated["Home-page"] = "https://example.org/cm4ai_assets"
    found = software_entity(ran, None)
    assert found["url"] == "https://doi.org/10.5281/zenodo.1"
    assert found["sameAs"] == ["https://doi.org/10.5281/zenodo.1", "https://example.org/cm4ai_assets"]


def test_what_was_made_before_runs_were_recorded_gets_no_run_and_is_named(files: dict[str, bytes]) -> None:
    splits = described(files, "splits", "integration")

    assert "generatedBy" not in splits
    assert splits["description"].endswith("Made before runs were recorded: which run made it is not known.")
    assert "datePublished" not in splits
    assert not any("/splits" in one for one in graph(files, "integration") if "/runs/" in one)
    found = findings.runs_known(files)
    assert not found.passed
    assert found.rows["what"].to_list() == ["tables/splits/release=2026-06-v2.0/data.parquet"]


def test_inputs_are_published_files_with_id_dataset_version_and_digest(files: dict[str, bytes]) -> None:
    every = graph(files, "images")
    sources = [every[one["@id"]] for one in values_of(described(files, "if_fields of paclitaxel"), "derivedFrom")]
    (file,) = (one for one in sources if one["name"] == "Images/images.zip")

    assert file["@id"] == "http://127.0.0.1:9/api/access/datafile/7"
    assert (file["identifier"], file["version"], file["md5"]) == ("7", "2.0", "0" * 32)
    assert (file["contentSize"], file["license"]["@id"]) == (
        "5000000000", "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    )  # fmt: skip
    assert file["@type"] == ["CreativeWork", "https://w3id.org/EVI#Dataset"], "an input is no part of the crate"
    dataset = every[file["isPartOf"]["@id"]]
    assert (dataset["identifier"], dataset["version"], dataset["datePublished"]) == (DOI, "2.0", "2026-07-15")
    assert [one for one in sources if one["name"] == "release_files"], "and the table that the run has read"
    lock = described(files, "release_files", "release")
    assert lock["derivedFrom"] == {"@id": "https://doi.org/10.5072/FK2/TESTED"}


@pytest.mark.parametrize(("url", "id_"), [
    ("https://a.org/f/1?x=%20&y=1", "https://a.org/f/1?x=%20&y=1"),
    ("https://a.org/a b.zip", "https://a.org/a%20b.zip"),
    ("ftp://massive/a b.raw", "https://identifiers.org/massive:MSV000000001#raw/a%20b.raw"),
    (None, "https://identifiers.org/massive:MSV000000001#raw/a%20b.raw"),
])  # fmt: skip
def test_a_published_file_is_named_by_its_address_or_its_place_in_its_dataset(url: str | None, id_: str) -> None:
    file = PublishedFile(
        archive="massive", dataset="MSV000000001", version=None, file_id=None, path="raw/a b.raw", size=1,
        digest_type=None, digest=None, sha256=None, license=None, access="public", url=url,
    )  # fmt: skip

    assert published_id(file) == id_


def test_what_has_lost_its_origin_is_named(files: dict[str, bytes]) -> None:
    found = findings.reaches_published(files)

    assert not found.passed
    lost = {one.split("/")[1] for one in found.rows["what"]}
    assert {"proteins", "splits"} <= lost
    assert lost.isdisjoint({"if_fields", "release_files", "if_tensors"})
    gone = graph(files, "integration")
    (entity,) = (one for one in gone.values() if one.get("sha256") == makings.GONE)
    assert "where it came from is not known" in entity["description"]


def test_the_schema_of_each_table_is_that_of_its_footer(made: Release, facts: Facts, files: dict[str, bytes]) -> None:
    schemas = {one["@id"]: one for group in graphs(files).values() for one in group if one["@type"] == "EVI:Schema"}
    entities = {one["@id"]: one for group in graphs(files).values() for one in group if "evi:Schema" in one}
    seen = 0
    for one in facts.delivery:
        if one.table is None:
            continue
        footer = pq.read_schema(Path(made.store.root) / one.path)
        schema = schemas[entities[content_id(one.path, one.digest)]["evi:Schema"]["@id"]]
        columns = schema["properties"]["@value"]
        assert [(name, column["arrow-type"]) for name, column in columns.items()] == [
            (field.name, str(field.type)) for field in footer
        ]
        assert [column["index"] for column in columns.values()] == list(range(len(footer)))
        for declared in one.table.columns:
            column = columns[declared.name]
            assert (column["description"], column.get("unit")) == (declared.description, declared.unit)
            assert (declared.name in schema["required"]) == (not declared.nullable)
        seen += 1
    assert seen > 8
    genes = next(one for one in schemas.values() if one["name"] == "Schema of if_fields")["properties"]["@value"]
    assert genes["ensembl_gene_ids"]["value-url"] == "http://edamontology.org/data_1033"
    assert "value-url" not in genes["field_id"]
    assert any(column.get("unit") for one in schemas.values() for column in one["properties"]["@value"].values())


def test_people_and_organizations_are_those_that_are_published(files: dict[str, bytes]) -> None:
    every = graph(files)
    people = [every[one["@id"]] for one in every["./"]["author"]]

    assert [(one["@id"], one["name"]) for one in people] == [
        ("https://orcid.org/0000-0003-4060-7360", "Clark T"), ("#person-Axelsson-U", "Axelsson U"),
        ("#person-Sandbox-Painter", "Sandbox Painter"), ("#organization-CM4AI-N", "CM4AI N"),
    ]  # fmt: skip
    assert every[people[0]["affiliation"]["@id"]]["identifier"] == "https://ror.org/0153tk833"
    assert every[people[1]["affiliation"]["@id"]]["name"] == "KTH"
    assert "affiliation" not in people[2]
    assert [one.get("identifier") for one in people[1:]] == [None] * 3
    assert every["./"]["funder"] == "National Institutes of Health"


def test_subject_terms_are_carried_over_with_their_vocabulary(facts: Facts) -> None:
    mesh = "https://www.nlm.nih.gov/mesh/"
    term = "https://meshb.nlm.nih.gov/record/ui?ui=D001943"
    said = {"name": "Breast Neoplasms", "termCode": "D001943", "vocabulary": mesh, "vocabulary_name": "MeSH"}
    every = graph(build(replace(facts, subjects={term: said, "https://a.org/b": {}})))

    assert every["./"]["about"] == [{"@id": term}, {"@id": "https://a.org/b"}]
    assert every[term] == {"@id": term, "@type": "DefinedTerm", "name": "Breast Neoplasms", "termCode": "D001943",
                           "inDefinedTermSet": {"@id": mesh}}  # fmt: skip
    assert every[mesh] == {"@id": mesh, "@type": "DefinedTermSet", "name": "MeSH"}
    assert "about" not in graph(build(facts))["./"], "nothing is made up"


def test_an_orcid_alone_gets_the_name_that_the_crates_state_of_it(facts: Facts) -> None:
    bare = {"@graph": [{"@id": "./", "name": "R", "author": ["https://orcid.org/0000-0003-4060-7360",
                                                           "https://orcid.org/0000-0003-4535-3486"]}]}  # fmt: skip
    rows = datasheet_table([Document("c.json", "crate_root", json.dumps(bare).encode())], release="r")
    found = graph(build(replace(facts, stated=stated_in(rows, facts.stated.origin, facts.stated.released))))

    assert found["https://orcid.org/0000-0003-4060-7360"]["name"] == "T Clark"
    assert found["https://orcid.org/0000-0003-4535-3486"]["name"] == "https://orcid.org/0000-0003-4535-3486"


def test_licences_are_kept_apart_for_each_file(files: dict[str, bytes]) -> None:
    found = {
        name: described(files, title, group)["license"]["@id"]
        for name, title, group in (
            ("fields", "if_fields of untreated", "images"), ("deposit", "massive_files", "proteomics"),
            ("guides", "guide_library", "perturbation"), ("antibodies", "if_antibodies of untreated", "images"),
        )
    }  # fmt: skip

    assert found == {
        "fields": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
        "deposit": "https://creativecommons.org/publicdomain/zero/1.0/",
        "guides": "https://creativecommons.org/licenses/by/4.0/",
        "antibodies": "https://cm4ai-assets.invalid/licences/not%20stated",
    }
    named = {one["name"] for one in graph(files).values() if "WebPage" in one["@type"]}
    assert {"CC BY-NC-SA 4.0", "CC0 1.0", "CC BY 4.0"} <= named


def test_what_is_said_of_use_and_limits_is_carried_over_word_for_word(facts: Facts) -> None:
    said = {"Prohibited Uses": "None: really.", "Limitations": "Interim.", "FDA Regulated": "No",
            "De-identified Samples": "Mostly", "Other": "x"}  # fmt: skip
    old = {
        "@id": "ark:59852/r", "@type": ["Dataset", "https://w3id.org/EVI#ROCrate"], "name": "R",
        "usageInfo": " Not for clinics. ", "ethicalReview": ["A", "B"],
        "additionalProperty": [{"@type": "PropertyValue", "name": k, "value": v} for k, v in said.items()],
    }  # fmt: skip
    rows = datasheet_table([Document("c.json", "crate_root", json.dumps({"@graph": [old]}).encode())], release="r")
    files = build(replace(facts, stated=stated_in(rows, facts.stated.origin, facts.stated.released)))
    root = graph(files)["./"]

    assert (root["prohibitedUses"], root["rai:dataLimitations"]) == ("None: really.", "Interim.")
    assert (root["usageInfo"], root["ethicalReview"], root["fdaRegulated"]) == (" Not for clinics. ", ["A", "B"], "No")
    assert "rai:dataBiases" not in root
    assert "prohibitedUses" not in graph(files, "images")["./"]
    other = json.loads(files["fairscape/ro-crate-metadata.json"])["@graph"][2]
    assert other["prohibitedUses"] == "None: really."
    assert "deidentified" not in other, "FAIRSCAPE has yes or no there, and 'Mostly' is neither"


def test_ids_are_digests_below_a_name_that_never_resolves_and_no_persistent_identifier_is_made_up(
    files: dict[str, bytes],
) -> None:
    for name, entities in graphs(files).items():
        for entity in entities:
            assert not entity["@id"].startswith(("ark:", "doi:", "urn:")), name
            if "File" in entity["@type"] and "derivedFrom" in entity:
                assert entity["@id"].startswith(f"https://cm4ai-assets.invalid/sha256/{entity['sha256']}/")


def test_our_own_reader_of_crates_finds_no_defect_in_them(files: dict[str, bytes]) -> None:
    read = crate_tables(read_crates([CrateFile(name, files[name]) for name in graphs(files)]), release="r")

    assert read.problems == ()
    assert read.entities.filter(pl.col("defects").list.len() > 0)["defects"].to_list() == []
    assert read.edges.filter(pl.col("relation") == "has_part")["target_known"].all()


def test_a_store_of_many_files_has_crates_of_its_own(facts: Facts) -> None:
    (store,) = (one for one in facts.delivery if one.kind is Kind.TENSOR)
    shards = tuple(DeliveredFile(f"{store.path}/image/c/{n}/0/0/0", f"{n:064x}", n) for n in range(LARGEST + 3))
    large: Delivered = replace(store, files=shards)
    delivery = tuple(large if one is store else one for one in facts.delivery)
    array = StoredArray("image", "uint8", (4, 4, 8, 8), ("field", "channel", "y", "x"))
    files = build(replace(facts, delivery=delivery, arrays={store.path: (array,)}))
    name = f"images/if_tensors-{'0' * 16}-4-v2"

    assert findings.each_file_once(files, delivery, "").passed
    assert findings.no_dangling(files).passed
    pointed = {"images": name, name: f"{name}/part-1"}
    for outer, inner in pointed.items():
        stub = graph(files, outer)[f"{inner.removeprefix(f'{outer}/')}/"]
        pointer, own = graph(files, outer)[stub["ro-crate-metadata"]], files[f"{inner}/ro-crate-metadata.json"]
        assert (pointer["sha256"], pointer["contentSize"]) == (hashlib.sha256(own).hexdigest(), str(len(own)))
        assert stub["license"] == graph(files, inner)["./"]["license"]
    parts = [graph(files, f"{name}/part-{n}") for n in (1, 2)]
    assert [sum("File" in one["@type"] for one in part.values()) for part in parts] == [LARGEST, 3]
    for part in parts:
        (folder,) = (
            one for one in part.values() if one.get("name") == "store of if_tensors of untreated" and "hasPart" in one
        )
        assert folder["contentSize"] == str(large.size)
        assert part[folder["evi:Schema"]["@id"]]["properties"]["@value"]["image"]["shape"] == [4, 4, 8, 8]
        assert {one["generatedBy"]["@id"] for one in part.values() if "generatedBy" in one} == {
            f"https://cm4ai-assets.invalid/runs/{makings.RUN}/if_tensors/untreated"
        }
    assert graph(files, name)["./"]["contentSize"] == str(large.size)


def test_the_same_release_gives_the_same_bytes(made: Release, facts: Facts, files: dict[str, bytes]) -> None:
    assert build(replace(facts, delivery=tuple(facts.delivery))) == files
    assert not re.search(rb"\b20(?!26-0[67]-)\d\d-\d\d-\d\dT", b"".join(files.values())), "no time but those of runs"
