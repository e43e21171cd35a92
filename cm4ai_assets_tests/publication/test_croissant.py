"""The Croissant of a release: mlcroissant loads it, and gives the rows of the tables back; what is wrong is named."""

from __future__ import annotations

import copy
import io
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import mlcroissant
import polars as pl
import pytest
from absl import logging as absl_logging
from mlcroissant._src.core.constants import CROISSANT_CACHE
from mlcroissant._src.core.context import Context, CroissantVersion
from mlcroissant._src.core.rdf import make_context

from cm4ai_assets.access import Release
from cm4ai_assets.croissant.reading import CroissantError, _context, load
from cm4ai_assets.croissant.words import CONTEXT, NAME
from cm4ai_assets.publication import croissant_check
from cm4ai_assets.publication.croissant import Described, build, croissant_files, described
from cm4ai_assets.publication.croissant_check import loads, records_agree
from cm4ai_assets.publication.croissant_limits import limits
from cm4ai_assets.storage.layout import Partition, root_from_document
from cm4ai_assets.storage.makings import Making, Software
from cm4ai_assets.tables.publication import CROISSANT
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.images.published import KEY
from cm4ai_assets_tests.operate.documented import PROJECT, blocks
from cm4ai_assets_tests.publication.releases import delivery_of, place

BASE = "../../../../"


@pytest.fixture(scope="module")
def made(release: Release) -> Described:
    return described(release, delivery_of(release))


@pytest.fixture(scope="module")
def document(made: Described) -> dict[str, Any]:
    return build(made, base=BASE)


@pytest.fixture
def own(small: Release, tmp_path: Path) -> Release:
    """The small release over files of its own, to be altered."""
    return copied(small, tmp_path)


def files_of(release: Release) -> dict[str, bytes]:
    return croissant_files(described(release, delivery_of(release)), base=BASE)


def changed(files: dict[str, bytes], change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    content = json.loads(files[NAME])
    change(content)
    return {**files, NAME: json.dumps(content).encode()}


def set_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in document["recordSet"] if one["@id"] == name)
    return found


def field_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for one in set_of(document, name.rpartition("/")[0])["field"] if one["@id"] == name
    )
    return found


def test_the_context_is_the_official_one_of_1_1() -> None:
    official = make_context(Context(conforms_to=CroissantVersion.V_1_1))

    assert {key: CONTEXT.get(key) for key in official} == official
    assert CONTEXT["prov"] == "http://www.w3.org/ns/prov#"


def test_mlcroissant_loads_it_without_errors_or_warnings(document: dict[str, Any]) -> None:
    found = loads(document)

    assert (found.passed, found.counts["warnings"]) == (True, 0), found.summary
    assert document["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"


def test_what_nobody_can_load_is_refused_with_the_reason(small: Release) -> None:
    broken = build(described(small, delivery_of(small)))
    broken["distribution"][0].pop("sha256")
    found = loads(broken)

    assert not found.passed
    assert "sha256" in found.summary


def test_every_file_is_described_by_its_digest_size_format_and_licence(
    release: Release, document: dict[str, Any]
) -> None:
    listed = {one["@id"]: one for one in document["distribution"]}
    delivered = {file.path: file for one in delivery_of(release) for file in one.files}

    for path, file in delivered.items():
        one = listed[path]
        assert (one["sha256"], one["contentSize"]) == (file.sha256, f"{file.size} B")
        assert one["contentUrl"] == f"{BASE}{path}"
    formats = {path: listed[path]["encodingFormat"] for path in delivered}
    assert {kind for path, kind in formats.items() if path.endswith(".parquet")} == {"application/x-parquet"}
    store = {path.rpartition("zarr/")[2]: kind for path, kind in formats.items() if ".zarr/" in path}
    assert store == {"zarr.json": "application/json", "image/c/0/0/0/0": "application/octet-stream"}
    credited = next(path for path in delivered if "/proteins/" in path)
    assert listed[credited]["license"] == "https://creativecommons.org/licenses/by-nc-sa/4.0/"


def test_a_table_is_a_record_set_with_types_units_key_and_references(document: dict[str, Any]) -> None:
    names = {one["@id"] for one in document["recordSet"]}

    assert {"if_fields/untreated", "if_fields/paclitaxel", "proteins", "splits", "guide_library"} <= names
    fields = set_of(document, "if_fields/untreated")
    assert fields["key"] == {"@id": "if_fields/untreated/field_id"}
    assert [one["@id"] for one in set_of(document, "splits")["key"]] == [
        "splits/scheme", "splits/condition", "splits/field_id",
    ]  # fmt: skip
    quality = field_of(document, "if_quality/untreated/field_id")
    assert quality["references"] == {"field": {"@id": "if_fields/untreated/field_id"}}
    size = field_of(document, "release_files/size")
    assert (size["dataType"], size["unitText"]) == ("cr:Int64", "bytes")
    assert size["description"].endswith("Unit: bytes.")
    lists = field_of(document, "if_fields/untreated/gene_symbols")
    assert (lists["dataType"], lists["isArray"], lists["arrayShape"]) == ("sc:Text", True, "-1")
    assert lists["equivalentProperty"] == "http://edamontology.org/data_1026"
    assert "equivalentProperty" not in size
    assert [one["@id"] for one in field_of(document, "guide_library/others")["subField"]] == [
        "guide_library/others/name", "guide_library/others/value",
    ]  # fmt: skip
    assert "One of: MD5, SHA-1" in field_of(document, "release_files/digest_type")["description"]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: whoever asks for one fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("offline")
def test_records_of_every_record_set_are_the_rows_of_the_tables_without_network_or_cache(release: Release) -> None:
    before = sorted(CROISSANT_CACHE.rglob("*")) if CROISSANT_CACHE.exists() else None
    said: list[str] = []
    found = records_agree(release, delivery_of(release), files_of(release), said.append)

    assert found.passed, found.rows.to_dicts()
    rows = sum(one.rows or 0 for one in delivery_of(release))
    sides = release.table("splits").filter(pl.col("split").is_not_null()).collect().height
    assert found.counts["records"] == rows + sides
    total = found.counts["record_sets"]
    assert said[0].startswith(f"10 of {total} record sets")
    assert said[-1].startswith(f"{total} of {total} record sets"), "progress is reported"
    assert len(said) <= total // 10 + 1
    assert (sorted(CROISSANT_CACHE.rglob("*")) if CROISSANT_CACHE.exists() else None) == before


def test_dates_moments_structs_booleans_and_nulls_come_back_as_they_are(small: Release) -> None:
    delivery = delivery_of(small)
    places = {file.path: Path(small.store.root) / file.path for one in delivery for file in one.files}
    loaded = load(build(described(small, delivery)), places)

    locked = list(loaded.records("release_files"))
    assert [one["available_on"] for one in locked] == [None, datetime(2027, 1, 31)]  # noqa: DTZ001 - a date
    assert [one["size"] for one in locked] == [5_000_000_000, 2**53 + 1]
    assert [one["is_ingested"] for one in locked] == [False, False]
    guides = list(loaded.records("guide_library"))
    assert [one["others"] for one in guides] == [[{"name": "x", "value": "1"}, {"name": "y", "value": ""}], []]
    assert [one["is_whitelisted"] for one in guides] == [True, None]
    (deposited,) = loaded.records("massive_files")
    assert deposited["modified"] == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_a_split_is_loaded_by_its_name_with_the_place_of_its_images(release: Release, tmp_path: Path) -> None:
    files = croissant_files(described(release, delivery_of(release)), base=f"{release.store.root}/")
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    dataset = mlcroissant.Dataset(tmp_path / NAME)

    rows = release.table("splits").filter(scheme="protein", split="train").collect()
    records = list(dataset.records("split/protein/train"))
    assert rows.height
    assert {one["split/protein/train/field_id"].decode() for one in records} == set(rows["field_id"])
    assert {one["split/protein/train/split"] for one in records} == {b"train"}
    first = next(one for one in records if one["split/protein/train/condition"] == b"untreated")
    assert first["split/protein/train/path"] == b"tensors/if_tensors/0000000000000000-4-v2.zarr"
    assert first["split/protein/train/tensor_index"] is not None
    sides = {one["split_sides/name"]: one["split_sides/url"] for one in dataset.records("split_sides")}
    assert sides == {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}


def test_every_side_that_has_fields_is_a_record_set_and_no_field_is_lost(
    release: Release, made: Described, document: dict[str, Any]
) -> None:
    placed = release.table("splits").filter(pl.col("split").is_not_null()).collect()

    assert {one.side for one in made.splits} >= {"train", "test"}
    assert {(one.scheme, one.side) for one in made.splits} == set(placed.select("scheme", "split").unique().rows())
    assert sum(one.rows.height for one in made.splits) == placed.height
    assert set_of(document, "split_sides")["dataType"] == "cr:Split"
    for one in made.splits:
        assert field_of(document, f"{one.name}/split")["references"] == {"field": {"@id": "split_sides/name"}}


def test_mlcroissant_gives_the_process_no_handler_of_logs(small: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    records_agree(small, delivery_of(small), files_of(small))

    assert root.handlers == []


def test_a_file_that_was_altered_is_found_by_its_digest(own: Release) -> None:
    files, delivery = files_of(own), delivery_of(own)
    path = next(one.path for one in delivery if one.name == "guide_library")
    _replace(own, path, lambda data: data.replace(b"TP53_1", b"TP53_2"))
    found = records_agree(own, delivery, files)

    assert not found.passed
    (row,) = found.rows.filter(pl.col("record set") == "guide_library").to_dicts()
    assert "Hash of downloaded file" in row["problem"]


def test_of_long_tables_the_ends_are_compared_and_the_whole_file_is_held_against_its_digest(
    own: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(croissant_check, "WHOLE", 4)
    monkeypatch.setattr(croissant_check, "ENDS", 2)
    files, delivery = files_of(own), delivery_of(own)
    found = records_agree(own, delivery, files)

    assert found.passed, found.rows.to_dicts()
    assert "the first and last 2 rows" in found.summary
    rows = {one.name: one.rows for one in delivery if one.rows}
    assert found.counts["records"] < sum(rows.values())
    path = next(
        one.path for one in delivery if one.path.endswith("paclitaxel/data.parquet") and one.name == "if_fields"
    )
    rows_of = own.store.table("if_fields", Partition(KEY, "paclitaxel")).collect()
    _replace(own, path, lambda _: _otherwise_written(rows_of))
    again = records_agree(own, delivery, files)
    assert again.rows.filter(pl.col("record set") == "if_fields/paclitaxel")["problem"].to_list() == [
        "the file is not the one that is described"
    ]


def test_rows_that_are_others_than_described_are_named_with_both_values(own: Release) -> None:
    files = files_of(own)

    def swap(content: dict[str, Any]) -> None:
        field = field_of(content, "guide_library/guide")
        field["source"]["extract"]["column"] = "sequence"

    found = records_agree(own, delivery_of(own), changed(files, swap))
    assert found.rows.to_dicts() == [{
        "record set": "guide_library", "problem": "record 1 differs", "field": "guide",
        "in the table": "TP53_0", "through mlcroissant": "ACGT",
    }]  # fmt: skip


def test_a_record_set_too_few_or_too_many_or_with_other_rows_is_named(own: Release) -> None:
    files = files_of(own)
    locked = own.table("release_files").collect()

    def drop(content: dict[str, Any]) -> None:
        content["recordSet"].remove(set_of(content, "massive_files"))
        set_of(content, "guide_library")["@id"] = "genes"

    found = records_agree(own, delivery_of(own), changed(files, drop)).rows
    assert set(found.select("record set", "problem").rows()) == {
        ("massive_files", "a table without a record set"), ("guide_library", "a table without a record set"),
        ("genes", "a record set without a table"),
    }  # fmt: skip
    place(own, "release_files", locked.head(1))
    stale = records_agree(own, delivery_of(own), files)
    assert "Hash of downloaded file" in stale.rows.filter(pl.col("record set") == "release_files")["problem"][0]


def test_what_mlcroissant_cannot_carry_is_found_and_not_passed_over(own: Release) -> None:
    locked = own.table("release_files").collect()
    odd = pl.Series("size", [None, 2**53 + 1], pl.Int64())
    place(own, "release_files", locked.with_columns(odd))
    found = records_agree(own, delivery_of(own), files_of(own))

    assert found.rows.select("record set", "field", "in the table", "through mlcroissant").rows() == [
        ("release_files", "size", str(2**53 + 1), str(2**53))
    ]


def test_origin_people_licences_and_terms_are_those_published(document: dict[str, Any]) -> None:
    assert document["url"] == "https://doi.org/10.5072/FK2/TESTED"
    assert (document["version"], document["datePublished"]) == ("2.0", "2026-07-15")
    assert document["creator"][0] == {
        "@type": "sc:Person", "@id": "https://orcid.org/0000-0003-4060-7360", "name": "Clark T",
        "url": "https://orcid.org/0000-0003-4060-7360",
        "affiliation": {"@type": "sc:Organization", "@id": "https://ror.org/0153tk833"},
    }  # fmt: skip
    assert document["creator"][3] == {"@type": "sc:Organization", "name": "CM4AI N"}
    assert document["citeAs"].startswith("@dataset{clark2026_")
    assert document["rai:dataBiases"] == "Cell lines only."
    assert document["rai:dataCollectionTimeframe"] == ["9/1/2022", "6/1/2026"]
    assert not {"rai:dataLimitations", "publisher", "dateModified"} & set(document), "nobody states it"
    assert "export --format huggingface" in document["description"]


def test_provenance_leads_to_doi_file_id_and_digest_and_to_the_run(small: Release) -> None:
    software = Software("0.1.0", "c" * 40, modified=False, python="3.11.7", environment="e" * 64,
                        machine="x86_64", system="Linux")  # fmt: skip
    when = datetime(2026, 11, 26, 18, tzinfo=UTC)
    with_runs = [
        replace(one, making=Making(one.path, one.digest, one.name, KEY, one.partition.condition, "run-1", "1.2",
                                   None, when, software, ()))
        for one in delivery_of(small)
    ]  # fmt: skip
    document = build(described(small, with_runs))

    published = {one["@id"]: one for one in document["prov:wasDerivedFrom"]}
    assert published["published/doi:10.5072/FK2/TESTED/7"] == {
        "@id": "published/doi:10.5072/FK2/TESTED/7", "@type": "prov:Entity", "name": "Images/images.zip",
        "identifier": "7", "version": "2.0", "isPartOf": {"@id": "https://doi.org/10.5072/FK2/TESTED"},
        "url": "http://127.0.0.1:9/api/access/datafile/7", "contentSize": "5000000000 B", "md5": "0" * 32,
        "license": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    }  # fmt: skip
    assert published["https://doi.org/10.5072/FK2/TESTED"]["@type"] == "prov:Entity"
    fields = next(one for one in document["distribution"] if "/if_fields/" in one["@id"] and "paclitaxel" in one["@id"])
    assert fields["prov:wasDerivedFrom"] == [{"@id": "published/doi:10.5072/FK2/TESTED/7"}]
    assert fields["prov:wasGeneratedBy"] == {"@id": "run/run-1/if_fields/paclitaxel"}
    runs = {one["@id"]: one for one in document["prov:wasGeneratedBy"]}
    assert runs["run/run-1/if_fields/paclitaxel"]["prov:endedAtTime"] == "2026-11-26T18:00:00+00:00"
    assert "c" * 40 in runs["run/run-1/guide_library"]["prov:wasAssociatedWith"]["prov:label"]
    assert document["dateModified"] == date(2026, 11, 26).isoformat()
    assert loads(document).passed


def test_the_same_release_gives_the_same_bytes_and_only_paths_depend_on_the_place(
    release: Release, made: Described
) -> None:
    assert files_of(release) == croissant_files(made, base=BASE)
    near, far = build(made), build(made, base=BASE)
    for one in far["distribution"]:
        one["contentUrl"] = one["contentUrl"].removeprefix(BASE)
    assert near == far


def test_what_is_not_expressed_is_listed_with_the_reason(made: Described, document: dict[str, Any]) -> None:
    lacking = {path: [one for one in columns if one.name != "license"] for path, columns in made.columns.items()}
    stated = {key: value for key, value in document.items() if key != "creator"}
    found = dict(limits(replace(made, columns=lacking), stated).iter_rows())

    assert found["creator"] == "the release does not state it"
    assert "no loader of Croissant opens Zarr" in found["tensors/if_tensors/0000000000000000-4-v2.zarr: 2 files"]
    assert any(what.endswith("release_files/release=2026-06-v2.0/data.parquet: license") for what in found)
    assert any("release_files.size" in what and "2^53" in why for what, why in found.items())
    assert "splits.field_id" in found


def test_a_record_set_that_is_not_there_is_an_error_of_one_line(small: Release) -> None:
    document = build(described(small, delivery_of(small)))
    with pytest.raises(CroissantError, match="did not find any record set") as caught:
        list(load(document).records("no/such"))
    assert "\n" not in str(caught.value)


def _replace(release: Release, path: str, alter: Callable[[bytes], bytes]) -> None:
    """Alter a published file behind the storage's back."""
    file = Path(release.store.root) / path
    data = file.read_bytes()
    altered = alter(data)
    assert altered != data
    file.unlink()  # a second name of a file that others read
    file.write_bytes(altered)


def _otherwise_written(rows: pl.DataFrame) -> bytes:
    """The same rows in other bytes."""
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="uncompressed")
    return buffer.getvalue()


def test_the_documented_example_loads_a_published_release(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copied(release, tmp_path)
    files = croissant_files(described(own, delivery_of(own)), base=root_from_document(CROISSANT, Partition(KEY)))
    with own.store.stage_document(CROISSANT, Partition(KEY), files) as staged:
        own.store.publish_document(staged)
    monkeypatch.setenv("CM4AI_STORAGE", own.store.root)
    monkeypatch.setenv("CM4AI_SCRATCH", str(tmp_path / "scratch"))
    (example,) = (block for block in blocks(PROJECT / "docs" / "publication.md", "python") if "mlcroissant" in block)
    names: dict[str, Any] = {}
    exec(compile(example, "publication.md", "exec"), names)

    assert len(names["fields"]) == 8
    assert names["store"].startswith(b"tensors/if_tensors/")
    assert isinstance(int(names["row"]), int)


def test_logging_that_is_configured_anew_closes_nobodys_stream(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """absl's handler would close the stream that stood in the place of standard error when mlcroissant came."""
    handler, stream = absl_logging.get_absl_handler().python_handler, io.StringIO()
    monkeypatch.setattr(handler, "stream", stream)
    load(document)
    handler.close()
    assert not stream.closed


def test_what_is_loaded_is_what_mlcroissant_loads_by_itself(small: Release) -> None:
    document = build(described(small, delivery_of(small)))
    for one in (document, document | {"conformsTo": "http://mlcommons.org/croissant/1.0"}):
        theirs = mlcroissant.Dataset(jsonld=copy.deepcopy(one))
        ours = load(one).dataset
        assert ours.metadata.to_json() == theirs.metadata.to_json()
        assert [node.uuid for node in ours.metadata.nodes()] == [node.uuid for node in theirs.metadata.nodes()]
        assert ours.metadata.ctx.is_v0() is theirs.metadata.ctx.is_v0() is False
        assert ours.metadata.ctx.issues.report() == theirs.metadata.ctx.issues.report()
    oldest = mlcroissant.Context(conforms_to="http://mlcommons.org/croissant/0.8")
    assert _context().copy(conforms_to=oldest.conforms_to).is_v0() is oldest.is_v0() is True


def test_what_was_loaded_to_be_checked_is_not_loaded_again_to_be_read(
    small: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = build(described(small, delivery_of(small)))
    made: list[object] = []
    dataset = mlcroissant.Dataset.from_metadata

    def counted(metadata: Any) -> Any:
        made.append(dataset(metadata))
        return made[-1]

    monkeypatch.setattr("mlcroissant.Dataset.from_metadata", counted)
    assert load(document).dataset is load(document, {}).dataset
    assert len(made) == 1
    assert load(document, {}).dataset is made[1]  # what was read from is left to who reads it
    with pytest.raises(CroissantError, match="No file of the description: no/such"):
        load(document, {"no/such": Path("x")})
