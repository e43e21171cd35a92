"""The folders of CM4AI's own tools: published bytes, and tables in the tools' words, read as the tools read them."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from cm4ai_assets.access import Release
from cm4ai_assets.conditions import Condition
from cm4ai_assets.errors import StoredBytesDamagedError
from cm4ai_assets.exports.cell_maps import ATTRIBUTES, SAMPLES, UNIQUE, FieldImages, gene_rows
from cm4ai_assets.exports.job import export
from cm4ai_assets.exports.making import Made
from cm4ai_assets.exports.selection import Selection
from cm4ai_assets.images.averaging import area_average
from cm4ai_assets.lineage.trace import trace_thing
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets_tests.exports.releases import EDGE, LICENSE, copied
from cm4ai_assets_tests.shared import SHARED

# cellmaps_utils/constants.py
COLOR_INDEXS = {"red": 0, "green": 1, "blue": 2, "yellow": 0}
WITH_CONTROLS = Selection(with_controls=True)


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


def _published(release: Release, condition: str) -> dict[str, bytes]:
    """Channel and file name to bytes, by the standard library's reader."""
    sha256 = release.table("if_tensors").filter(pl.col("condition") == condition).collect()["source_sha256"].item()
    blobs = BlobStore(release.store.fs, release.store.root)
    with zipfile.ZipFile(Path(release.store.root) / blobs.path(sha256)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        return {name.split("/", 1)[1]: archive.read(name) for name in names}


def test_images_are_the_published_bytes_in_folders_by_colour(images: Release, exported: Callable[..., Made]) -> None:
    folder = exported("cell-maps", selection=WITH_CONTROLS).folder
    for condition in ("untreated", "paclitaxel"):
        published = _published(images, condition)
        found = {path.relative_to(folder / condition).as_posix() for path in (folder / condition).rglob("*.jpg")}
        wanted = images.fields(condition=condition, with_controls=True).height * 4
        assert len(found) == wanted > 0
        assert all((folder / condition / name).read_bytes() == published[name] for name in found)
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_what_the_tool_reads_are_the_planes_of_the_tensor(images: Release, exported: Callable[..., Made]) -> None:
    """As ProteinDataset of cellmaps_image_embedding: ids from the folder `red`, one plane of each image."""
    folder = exported("cell-maps", selection=Selection(conditions=(Condition.PACLITAXEL,))).folder / "paclitaxel"
    ids = sorted({path.name[: path.name.rfind("_")] for path in (folder / "red").glob("*.jpg")})
    fields = {row["field_id"]: row for row in images.fields(condition="paclitaxel").iter_rows(named=True)}
    assert len(ids) == len(fields)
    for image_id in ids[:2]:
        index = fields[image_id.replace("_Paclitaxel_", "_paclitaxel_")]["tensor_index"]
        for number, (colour, plane) in enumerate(COLOR_INDEXS.items()):
            pixels = np.asarray(Image.open(folder / colour / f"{image_id}_{colour}.jpg"))[:, :, plane]
            assert np.array_equal(
                area_average(np.ascontiguousarray(pixels), EDGE), images.tensors("paclitaxel")[index, number]
            )


def test_each_gene_has_one_row_and_its_image_is_there(images: Release, exported: Callable[..., Made]) -> None:
    """As ImageEmbeddingFilterAndNameTranslator: the first file name of each row is mapped to the gene's name."""
    folder = exported("cell-maps").folder / "untreated"
    fields = images.fields(condition="untreated")
    genes = set(fields["genes"].explode().drop_nulls())
    for fold in ("", "1_", "2_"):
        rows = _rows(folder / f"{fold}image_gene_node_attributes.tsv")
        assert tuple(rows[0]) == ATTRIBUTES
        assert {row["represents"] for row in rows} == {f"ensembl:{gene}" for gene in genes}
        assert len(rows) == len(genes)
        for row in rows:
            assert (folder / "red" / f"{row['filename'].split(',')[0]}red.jpg").is_file()
            assert row["imageurl"] == "no image url found"
    samples = _rows(folder / "samplescopy.csv")
    assert tuple(samples[0]) == SAMPLES
    assert len(samples) == fields.height
    assert tuple(_rows(folder / "uniquecopy.csv")[0]) == UNIQUE
    assert {row["antibody"] for row in _rows(folder / "uniquecopy.csv")} == set(fields["antibody_id"].drop_nulls())
    assert json.loads((folder / "provenance.json").read_text())["project-name"] == "Cell Maps for AI"


def _field(image: str, antibody: str, genes: list[str], symbols: list[str], **more: object) -> FieldImages:
    row = {"antibody_id": antibody, "genes": genes, "gene_symbols": symbols, "flags": [], "tensor_index": 0, **more}
    return FieldImages(image, row)


def test_a_row_has_the_antibody_of_one_gene_and_the_soundest_image_first() -> None:
    rows = gene_rows([
        _field("a_", "HPA000895", ["ENSG1", "ENSG2"], ["PLS1", "LCP1"]),
        _field("b_", "HPA000002", ["ENSG1"], ["LCP1"], flags=["empty_green"], tensor_index=1),
        _field("c_", "HPA000002", ["ENSG1"], ["LCP1"], tensor_index=2),
        _field("d_", "HPA000003", [], []),
    ])  # fmt: skip
    assert [(row["name"], row["antibody"], row["images"], row["ambiguous"]) for row in rows] == [
        ("LCP1", "HPA000002", ["c_", "b_"], ""),
        ("ENSG2", "HPA000895", ["a_"], "ENSG1,ENSG2"),
    ]


def test_tables_have_the_columns_of_the_published_examples() -> None:
    examples = SHARED / "data" / "if_images"
    if not examples.is_dir():
        pytest.skip("the published examples are not beside this checkout")
    for name, delimiter, columns in (
        ("legacy_image_gene_node_attributes.tsv", "\t", ATTRIBUTES),
        ("legacy_samplescopy.csv", ",", SAMPLES),
        ("legacy_uniquecopy.csv", ",", UNIQUE),
    ):
        header = next(csv.reader(io.StringIO((examples / name).read_text()), delimiter=delimiter))
        assert tuple(header) == columns


def test_altered_bytes_end_the_export_and_leave_no_image_of_them(
    images: Release, tmp_path: Path, exported: Callable[..., Made]
) -> None:
    release = copied(images, tmp_path)
    sha256 = images.table("if_tensors").collect()["source_sha256"][0]
    blob = Path(release.store.root) / "blobs" / "sha256" / sha256[:2] / sha256
    data = bytearray(blob.read_bytes())
    data[len(data) // 3] ^= 1
    blob.unlink()
    blob.write_bytes(data)
    with pytest.raises(StoredBytesDamagedError):
        export(release, "cell-maps", tmp_path / "out")
    published = _published(images, "untreated") | _published(images, "paclitaxel")
    for path in (tmp_path / "out").rglob("*.jpg"):
        assert path.read_bytes() == published[f"{path.parent.name}/{path.name}"]
    assert not json.loads((tmp_path / "out" / "cm4ai-export.json").read_text())["complete"]


def test_an_exported_image_is_traced_back_to_its_zip(images: Release, exported: Callable[..., Made]) -> None:
    made = exported("cell-maps", selection=Selection(conditions=(Condition.UNTREATED,)))
    image = next(iter((made.folder / "untreated" / "red").iterdir()))
    for place in (made.folder, image):
        trace = trace_thing(images.store, str(place))
        assert [file.path for file in trace.files] == ["Images/cm4ai_ifimages_MDA-MB-468_untreated.zip"]
        assert "not complete" not in str(trace)


def test_the_readme_says_licence_citation_and_origin(images: Release, exported: Callable[..., Made]) -> None:
    made = exported("cell-maps", selection=Selection(conditions=(Condition.UNTREATED,)))
    text = (made.folder / "README.md").read_text()
    assert f"**{LICENSE}** (not for commercial use)" in text
    assert "https://doi.org/10.5072/FK2/TESTED" in text
    record = json.loads((made.folder / "cm4ai-export.json").read_text())
    assert record["complete"]
    assert (record["license"], record["release"], record["doi"]) == (LICENSE, images.key, "doi:10.5072/FK2/TESTED")
    (source,) = record["sources"]
    assert source["label"] == "cm4ai_ifimages_MDA-MB-468_untreated.zip"
    assert len(source["sha256"]) == 64
    assert len(source["digest"]) == 32
