from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image

from cm4ai_assets.conditions import CONDITIONS, Condition
from cm4ai_assets.sandbox import Defect, DefectKind, write_if_zip
from cm4ai_assets.sandbox.catalog import Catalog
from cm4ai_assets.sandbox.ifzip import Cut, PaintedCondition
from cm4ai_assets.sandbox.manifest import HEADER
from cm4ai_assets.sandbox.plates import fields_of
from cm4ai_assets.sandbox.zipwriter import ZipWriter, pack

# The expression that matched all 51,436 published names (data reference, section 1.2).
_NAME = re.compile(
    r"^(B2AI_[1-5])_(untreated|Paclitaxel|Vorinostat)_([A-H]\d+)_(R\d+)_(z\d\d)_(blue|red|yellow|green)\.jpg$"
)
_BASELINK = re.compile(
    r"^https://\S+/(?P<heap>[^/]+)/(?P<region>B2AI_\d_\w+_[A-H]\d+_R\d+)/(?P<z>z\d\d)/(?P=region)_(?P=z)$"
)


@pytest.fixture(scope="module")
def zips(sandbox: Path, catalog: Catalog) -> dict[Condition, zipfile.ZipFile]:
    """Those of the sandbox: without composites, but with them for vorinostat."""
    releases = {Condition.UNTREATED: 0, Condition.PACLITAXEL: 0, Condition.VORINOSTAT: 1}
    june = next(dataset for dataset in catalog.datasets if "June 2025" in dataset.title)
    paths = {file.id: file.path for file in catalog.files}
    return {
        condition: zipfile.ZipFile(
            sandbox
            / next(paths[e.file_id] for e in june.versions[number].entries if e.label.endswith(f"{condition}.zip"))
        )
        for condition, number in releases.items()
    }


def _rows(archive: zipfile.ZipFile, condition: Condition) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(f"{condition}/manifest.csv").decode())))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_layout_and_names(zips: dict[Condition, zipfile.ZipFile], condition: Condition) -> None:
    archive = zips[condition]
    assert archive.testzip() is None
    day = (2025, 10, 20) if condition is Condition.VORINOSTAT else (2025, 2, 28)
    for info in archive.infolist():
        assert info.date_time == (*day, 0, 0, 0)
        top, *rest = info.filename.split("/")
        assert top == condition
        if info.filename.endswith(".jpg") and rest[0] != "blue_red_green":
            match = _NAME.match(rest[1])
            assert match is not None
            assert match[6] == rest[0]
            assert info.compress_type == zipfile.ZIP_DEFLATED
    images = [name for name in archive.namelist() if name.endswith(".jpg")]
    assert len(images) == {"untreated": 32, "paclitaxel": 36, "vorinostat": 40}[condition]


def test_paclitaxel_holds_the_stray_field(zips: dict[Condition, zipfile.ZipFile]) -> None:
    stray = [name for name in zips[Condition.PACLITAXEL].namelist() if "_untreated_" in name]
    assert sorted(name.split("/")[1] for name in stray) == ["blue", "green", "red", "yellow"]
    assert all("B2AI_3_untreated_C2_" in name for name in stray)
    for name in stray:  # and it is one of the untreated fields, byte for byte
        own = name.replace("paclitaxel/", "untreated/")
        assert zips[Condition.PACLITAXEL].read(name) == zips[Condition.UNTREATED].read(own)
    assert not any(row["Treatment"] == "untreated" for row in _rows(zips[Condition.PACLITAXEL], Condition.PACLITAXEL))


def test_composites_stand_in_a_folder_of_their_own(zips: dict[Condition, zipfile.ZipFile]) -> None:
    names = [name for name in zips[Condition.VORINOSTAT].namelist() if name.endswith("_blue_red_green.jpg")]
    assert len(names) == 8
    assert all(name.startswith("vorinostat/blue_red_green/B2AI_") for name in names)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_manifest(zips: dict[Condition, zipfile.ZipFile], condition: Condition) -> None:
    text = zips[condition].read(f"{condition}/manifest.csv").decode()
    assert text.startswith(
        ",Plate,Well,Treatment,HPA_Antibody_ID,ENSEMBL ID,Uniprot,Gene_Name_HPA,Chromosome,Baselink\n"
    )
    assert text.splitlines()[0] == ",".join(HEADER)
    rows = _rows(zips[condition], condition)
    assert [row[""] for row in rows] == [str(number) for number in range(8)]
    labels = [row["HPA_Antibody_ID"] for row in rows]
    assert labels == sorted(labels)
    assert labels[-1] == "NEGATIVE"
    stems = {name.rsplit("/", 1)[1].rsplit("_", 1)[0] for name in zips[condition].namelist() if "/green/B2" in name}
    for row in rows:
        match = _BASELINK.match(row["Baselink"])
        assert match is not None
        assert f"{match['region']}_{match['z']}" in stems
        assert match["region"].startswith(f"B2AI_{row['Plate']}_{row['Treatment']}_{row['Well']}_R")
        assert match["heap"].startswith(row["HPA_Antibody_ID"])
        assert (row["HPA_Antibody_ID"] == "NEGATIVE") == (row["ENSEMBL ID"] == "")


def test_the_traps_of_a_multi_gene_row(zips: dict[Condition, zipfile.ZipFile]) -> None:
    row = next(row for row in _rows(zips[Condition.PACLITAXEL], Condition.PACLITAXEL) if ";" in row["ENSEMBL ID"])
    assert (row["ENSEMBL ID"], row["Uniprot"], row["Gene_Name_HPA"], row["Chromosome"]) == (
        "ENSG00000102024;ENSG00000120756;ENSG00000136167",
        "P13797;P13796;Q14651",
        "Q14651,PLS3_LCP1_PLS1",
        "X;13;3",
    )  # the row that is known from a published test table


def test_the_crate_names_every_image_of_its_condition(zips: dict[Condition, zipfile.ZipFile]) -> None:
    archive = zips[Condition.PACLITAXEL]
    graph = json.loads(archive.read("paclitaxel/ro-crate-metadata.json"))["@graph"]
    root = next(entity for entity in graph if "https://w3id.org/EVI#ROCrate" in entity["@type"])
    links = {entity.get("contentUrl", "") for entity in graph}
    own = [name for name in archive.namelist() if name.endswith(".jpg") and "_Paclitaxel_" in name]
    assert all(f"file:///{name.removeprefix('paclitaxel/')}" in links for name in own)
    assert not any("untreated" in link for link in links)
    assert root["contentSize"] == "2.6 GB"
    assert root["MD5"] == "9422486c80bc9e1d35b2fbbc72a5f043"  # of March 2025, stale ever since


_BROKEN = {
    DefectKind.NOT_JPEG: "cannot identify",
    DefectKind.EMPTY_MEMBER: "cannot identify",
    DefectKind.TRUNCATED_JPEG: "truncated",
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[zipfile.ZipFile, dict[DefectKind, str]]:
    """One ZIP with one field per defect of an image; and the green member that each hit."""
    kinds = [
        *_BROKEN, DefectKind.CORRUPT_JPEG, DefectKind.GREY_JPEG, DefectKind.CMYK_JPEG, DefectKind.OTHER_SIZE,
        DefectKind.SIXTEEN_BIT, DefectKind.BAD_CRC, DefectKind.DAMAGED_DEFLATE, DefectKind.ENCRYPTED,
        DefectKind.HIDDEN_BOMB,
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("damaged") / "images.zip"
    defects = [Defect(kind, field=number) for number, kind in enumerate(kinds)]
    written = write_if_zip(path, condition=Condition.UNTREATED, fields=len(kinds), defects=defects)
    members = {kind: f"untreated/green/{written.fields[number].stem}_green.jpg" for number, kind in enumerate(kinds)}
    return zipfile.ZipFile(path), members


@pytest.mark.parametrize(("kind", "message"), _BROKEN.items())
def test_a_spoiled_image(
    damaged: tuple[zipfile.ZipFile, dict[DefectKind, str]], kind: DefectKind, message: str
) -> None:
    archive, members = damaged
    with pytest.raises(OSError, match=message):
        Image.open(io.BytesIO(archive.read(members[kind]))).load()


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (DefectKind.GREY_JPEG, ("JPEG", "L", (2048, 2048))),
        (DefectKind.CMYK_JPEG, ("JPEG", "CMYK", (2048, 2048))),
        (DefectKind.OTHER_SIZE, ("JPEG", "RGB", (1024, 1024))),
        (DefectKind.SIXTEEN_BIT, ("PNG", "I;16", (2048, 2048))),
        (DefectKind.CORRUPT_JPEG, ("JPEG", "RGB", (2048, 2048))),
    ],
)
def test_an_image_of_another_form(
    damaged: tuple[zipfile.ZipFile, dict[DefectKind, str]], kind: DefectKind, form: tuple[object, ...]
) -> None:
    archive, members = damaged
    with Image.open(io.BytesIO(archive.read(members[kind]))) as image:  # the CRC holds: read() checks it
        assert (image.format, image.mode, image.size) == form


@pytest.mark.parametrize("kind", [DefectKind.BAD_CRC, DefectKind.DAMAGED_DEFLATE])
def test_a_member_that_cannot_be_trusted(
    damaged: tuple[zipfile.ZipFile, dict[DefectKind, str]], kind: DefectKind
) -> None:
    archive, members = damaged
    with pytest.raises((zipfile.BadZipFile, zlib.error)):
        archive.read(members[kind])


def test_a_hidden_bomb_inflates_far_beyond_what_it_claims(
    damaged: tuple[zipfile.ZipFile, dict[DefectKind, str]],
) -> None:
    archive, members = damaged
    info = archive.getinfo(members[DefectKind.HIDDEN_BOMB])
    assert info.file_size < 1 << 20
    with Path(str(archive.filename)).open("rb") as file:
        file.seek(info.header_offset + 30 + len(info.filename))
        inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(info.compress_size), 1 << 24)
    assert len(inflated) == 1 << 24  # where reading was stopped


def test_an_encrypted_member(damaged: tuple[zipfile.ZipFile, dict[DefectKind, str]]) -> None:
    archive, members = damaged
    assert archive.getinfo(members[DefectKind.ENCRYPTED]).flag_bits & 1


def test_defects_of_fields_and_of_the_archive(tmp_path: Path) -> None:
    kinds = [
        DefectKind.MISSING_CHANNEL, DefectKind.UNPARSED_NAME, DefectKind.UNKNOWN_TREATMENT, DefectKind.FOLDER_MISMATCH,
        DefectKind.DUPLICATE_MEMBER, DefectKind.DUPLICATE_CHANNEL, DefectKind.MANIFEST_ONLY, DefectKind.IMAGES_ONLY,
        DefectKind.MANIFEST_CONFLICT, DefectKind.PATH_TRAVERSAL, DefectKind.ABSOLUTE_PATH, DefectKind.BOMB,
    ]  # fmt: skip
    defects = [Defect(kind, field=number) for number, kind in enumerate(kinds)]
    written = write_if_zip(tmp_path / "a.zip", condition=Condition.UNTREATED, fields=12, defects=defects)
    stems = {kind: written.fields[number].stem for number, kind in enumerate(kinds)}
    with zipfile.ZipFile(written.path) as archive:
        names, rows = archive.namelist(), _rows(archive, Condition.UNTREATED)
        bomb = archive.getinfo(f"untreated/green/{stems[DefectKind.BOMB]}_green.jpg")
    of = {kind: [name for name in names if stem in name] for kind, stem in stems.items()}
    told = {row["Baselink"].rsplit("/", 1)[1]: row for row in rows}
    assert len(of[DefectKind.MISSING_CHANNEL]) == 3
    assert any(name.endswith("_green (copy).jpg") for name in of[DefectKind.UNPARSED_NAME])
    assert any("_Docetaxel_" in name for name in names)
    assert f"untreated/red/{stems[DefectKind.FOLDER_MISMATCH]}_green.jpg" in names
    assert len(of[DefectKind.DUPLICATE_MEMBER]) == 5 > len(set(of[DefectKind.DUPLICATE_MEMBER]))
    assert len(set(of[DefectKind.DUPLICATE_CHANNEL])) == 5
    assert of[DefectKind.MANIFEST_ONLY] == []
    assert stems[DefectKind.MANIFEST_ONLY] in told
    assert stems[DefectKind.IMAGES_ONLY] not in told
    assert told[stems[DefectKind.MANIFEST_CONFLICT]]["Well"] not in stems[DefectKind.MANIFEST_CONFLICT].split("_")
    assert {"../../outside.jpg", "/outside/outside.jpg"} <= set(names)
    assert bomb.file_size == 1 << 30
    assert bomb.file_size > 900 * bomb.compress_size


def _unpainted(tmp_path: Path, kind: DefectKind) -> Path:
    """A ZIP without its images, with a defect of the archive."""
    fields = fields_of(Condition.UNTREATED, 8, 1)
    with (tmp_path / "scratch").open("w+b") as scratch:
        painted = PaintedCondition(Condition.UNTREATED, fields, (Defect(kind),), scratch)
        return painted.write(tmp_path / "a.zip", Cut()).path


def test_a_truncated_zip_has_no_directory(tmp_path: Path) -> None:
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(_unpainted(tmp_path, DefectKind.TRUNCATED_ZIP))


def test_a_zip_without_a_manifest(tmp_path: Path) -> None:
    with zipfile.ZipFile(_unpainted(tmp_path, DefectKind.NO_MANIFEST)) as archive:
        assert "untreated/manifest.csv" not in archive.namelist()
        assert "untreated/ro-crate-metadata.json" in archive.namelist()


def test_members_beyond_four_gigabytes_use_zip64(tmp_path: Path) -> None:
    """Without four gigabytes on disk: the bytes before are a hole."""
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        writer = ZipWriter(file, stamp=(2025, 10, 20))
        writer.add(pack("first.txt", b"first"))
        writer._offset += 5 << 30
        file.seek(5 << 30, 1)
        writer.add(pack("second.txt", b"second"))
        writer.close()
    with zipfile.ZipFile(path) as archive:
        assert archive.read("second.txt") == b"second"
        assert archive.read("first.txt") == b"first"
        assert archive.getinfo("second.txt").header_offset > 5 << 30
