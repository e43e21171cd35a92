"""The folder to deposit: whole, sound for BagIt's own library, and never of damaged or outdated content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from cm4ai_assets import cli, open_release
from cm4ai_assets.access import Release
from cm4ai_assets.errors import ConfigurationError, NotMaterializedError, StoredBytesDamagedError
from cm4ai_assets.lineage.delivered import Delivered, delivered
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.publication.crate.reading import damaged
from cm4ai_assets.publication.folder import publish
from cm4ai_assets.references import Kind
from cm4ai_assets.software import environment, running
from cm4ai_assets.storage.layout import Partition, document_folder
from cm4ai_assets.storage.makings import Input, Making, Makings
from cm4ai_assets.tables.publication import AI_READINESS, CROISSANT, DATASHEET_REPORT, DERIVED_CRATE, DOCUMENTS
from cm4ai_assets_tests.exports.releases import copied
from cm4ai_assets_tests.images.published import publish as publish_rows
from cm4ai_assets_tests.publication.releases import CREDIT, LICENSE
from cm4ai_assets_tests.validators.python import bagit_problems

PAGE = b"<!doctype html><html lang='en'><title>x</title></html>"


def document_again(release: Release, name: str, found: Sequence[Delivered], *others: Input) -> None:
    """Publish a document, as a run would that found these tables, and other things."""
    document = next(one for one in DOCUMENTS if one.name == name)
    files = {document.entry: PAGE if document.entry.endswith(".html") else b"{}"}
    beside = {"CITATION.cff": b"cff-version: 1.2.0\n", "datasheet.yaml": b"id: x\n"}
    files |= beside if document is DATASHEET_REPORT else {}
    partition = Partition(release.key)
    with release.store.stage_document(document, partition, files) as staged:
        published = release.store.publish_document(staged)
    tables = (Input(one.path, one.digest) for one in found if one.kind is Kind.TABLE)
    path, inputs, now = document_folder(document, partition), (*tables, *others), datetime.now(UTC)
    making = Making(path, published.digest, name, release.key, None, "run", "1", now, now, running(), inputs)
    Makings(release.store).note(making, environment())


def credited(release: Release, name: str, condition: str | None, credit: Mapping[str, str]) -> None:
    """Publish a table again, with what it says of its origin."""
    partition = Partition(release.key, condition)
    rows = release.store.table(name, partition).collect()
    with release.store.stage_table(name, partition, rows, credit=credit) as staged:
        release.store.publish_table(staged)


@pytest.fixture
def made(small: Release, tmp_path: Path) -> Release:
    """A release with its four descriptions."""
    release = copied(small, tmp_path)
    credited(release, "if_fields", "paclitaxel", CREDIT)
    credited(release, "guide_library", None, {**CREDIT, "license": "CC BY 4.0"})
    tables = delivered(release.store, release.key)
    for document in DOCUMENTS:
        document_again(release, document.name, tables)
    return release


def test_the_folder_is_a_sound_bag_that_opens_as_a_storage(made: Release, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = publish(made, folder)
    assert result.license == f"CC BY 4.0, {LICENSE}"
    assert bagit_problems(folder) == []
    payload = folder / "data"
    kept = [one for one in delivered(made.store, made.key) if one.name != DERIVED_CRATE.name]
    for one in kept:
        for file in one.files:
            assert (payload / file.path).read_bytes() == made.store.read(file.path)
    at_the_top = {"datasheet.html", "datasheet.yaml", "ai-readiness.html", "CITATION.cff", "README.md"}
    for name in (*at_the_top, "croissant.json", "ro-crate-metadata.json"):
        assert (payload / name).stat().st_size, name
    opened = open_release(made.key, storage=str(payload))
    for name in ("if_fields", "release_files"):
        assert opened.table(name).collect().equals(made.table(name).collect())
    assert delivered(opened.store, made.key) == tuple(kept)
    inside = str(payload / next(file.path for one in kept if one.name == "if_fields" for file in one.files))
    traced = trace_thing(made.store, inside)  # by the records in the folder
    assert [file.dataset for file in traced.files] == ["doi:10.5072/FK2/TESTED"]
    makings = [one.making for one in delivered(opened.store, made.key) if one.kind is Kind.DOCUMENT]
    assert {making.run_id for making in makings if making} == {"run"}
    readme = (payload / "README.md").read_text()
    assert f"| {LICENSE} | if_fields |" in readme
    assert "| CC BY 4.0 | guide_library |" in readme
    assert 'r.table("if_fields")' in readme
    assert "contrast-stretched" in readme
    info = (folder / "bag-info.txt").read_text()
    assert "External-Identifier: doi:10.5072/FK2/TESTED" in info


def test_the_descriptions_name_files_from_the_top_of_the_payload(made: Release, tmp_path: Path) -> None:
    publish(made, tmp_path / "out")
    payload = tmp_path / "out" / "data"
    croissant = json.loads((payload / "croissant.json").read_text())
    for file in croissant["distribution"]:
        assert (payload / file["contentUrl"]).is_file(), file
    assert damaged(payload) == []
    fields = next(path for path in payload.rglob("*.parquet") if "if_fields" in path.parts)
    fields.write_bytes(fields.read_bytes()[:-1] + b"X")
    assert any("if_fields" in problem for problem in damaged(payload))
    assert any("if_fields" in problem for problem in bagit_problems(tmp_path / "out"))


def test_a_description_that_is_missing_or_of_other_content_is_refused(made: Release, tmp_path: Path) -> None:
    made.store.remove(document_folder(DATASHEET_REPORT, Partition(made.key)))
    with pytest.raises(NotMaterializedError, match=r"datasheet_report .* not materialized.*--select datasheet_report"):
        publish(made, tmp_path / "out")
    document_again(made, "datasheet_report", delivered(made.store, made.key))
    rows = made.table("if_fields").drop("release", "condition").collect().to_dicts()
    publish_rows(made.store, "if_fields", rows[:-1], "paclitaxel")
    with pytest.raises(NotMaterializedError, match="other content: if_fields of paclitaxel"):
        publish(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for document in DOCUMENTS:
        document_again(made, document.name, delivered(made.store, made.key))
    publish(made, tmp_path / "out")


def test_a_description_of_what_is_gone_or_of_another_description_is_refused(made: Release, tmp_path: Path) -> None:
    every = delivered(made.store, made.key)
    (gone,) = (one for one in every if one.name == "guide_library")
    made.store.remove(gone.path)
    with pytest.raises(NotMaterializedError, match=r"other content: tables/guide_library/\S+ changed since"):
        publish(made, tmp_path / "out")
    left = delivered(made.store, made.key)
    croissant = Input(document_folder(CROISSANT, Partition(made.key)), "f" * 64)
    for document in DOCUMENTS:
        document_again(made, document.name, left, *([croissant] if document is AI_READINESS else []))
    with pytest.raises(NotMaterializedError, match=r"ai_readiness .* other content: croissant of"):
        publish(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_bytes_are_not_passed_on(made: Release, tmp_path: Path) -> None:
    found = next(one for one in delivered(made.store, made.key) if one.name == "guide_library")
    path = Path(made.store.address(found.path))
    data = path.read_bytes()
    path.unlink()  # a second name of the shared one
    path.write_bytes(data[:100] + bytes(8) + data[108:])
    with pytest.raises(StoredBytesDamagedError, match=r"guide_library.*not what was published"):
        publish(made, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest-sha256.txt").exists()
    path.write_bytes(data)
    publish(made, tmp_path / "out")
    assert bagit_problems(tmp_path / "out") == []


def test_an_interrupted_folder_is_gone_on_with_and_a_kept_file_is_read_again(made: Release, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    publish(made, folder)
    (folder / "data" / "CITATION.cff").unlink()
    again = publish(made, folder)
    assert (again.parts - again.kept) == 1
    readme = folder / "data" / "README.md"
    readme.write_text(readme.read_text().replace("Parquet", "parquet"))
    with pytest.raises(StoredBytesDamagedError, match=r"README.md was altered.*Remove what is named"):
        publish(made, folder)
    readme.unlink()
    publish(made, folder)
    (folder / "data" / "mine.txt").write_text("mine")
    with pytest.raises(StoredBytesDamagedError, match=r"mine.txt does not belong"):
        publish(made, folder)


def test_a_folder_of_something_else_is_left_alone(made: Release, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"Nothing was written.*DIR"):
        publish(made, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_command_says_what_it_wrote(
    made: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CM4AI_STORAGE", made.store.root)
    assert cli.main(["publish", str(tmp_path / "out"), "--release", "latest"]) == cli.DONE
    shown = capsys.readouterr()
    assert "All were read again." in shown.out
    assert "MiB" in shown.err
    assert cli.main(["publish", str(tmp_path / "out"), "--release", "2030-01-v1.0"]) == cli.WRONG_USE
    assert isinstance(made.table("if_fields"), pl.LazyFrame)
