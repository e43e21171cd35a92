"""The folders that CM4AI's own embedding tools take (cellmaps_image_embedding), one for each condition.

    {condition}/{red,green,blue,yellow}/{image}_{channel}.jpg    the published JPEGs, byte for byte
    {condition}/image_gene_node_attributes.tsv                   a row a gene, with all of its images
    {condition}/{1,2}_image_gene_node_attributes.tsv             a row a gene, with one image: folds 1 and 2
    {condition}/samplescopy.csv, uniquecopy.csv                  every image, every antibody
    {condition}/provenance.json                                  for the tool's option `--provenance`

Columns and forms are those of cellmaps_imagedownloader (`gene.py`, docs/outputs.rst) and of the published examples. The
tool takes plane 0, 1, 2 or 0 of an RGB image, so it needs the painted JPEGs, not our grey planes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from cm4ai_assets.exports.job import Job
from cm4ai_assets.exports.parts import Part, Plan, Tick, Write, as_json, of_bytes, sentences
from cm4ai_assets.exports.provenance import credits_of
from cm4ai_assets.exports.published import PublishedImage, PublishedImages
from cm4ai_assets.exports.selection import chosen_fields, fields_digest, left_out
from cm4ai_assets.exports.sharing import image_sources
from cm4ai_assets.vocabulary import CellLine

ATTRIBUTES: Final = ("name", "represents", "ambiguous", "antibody", "filename", "imageurl")
SAMPLES: Final = (
    "filename", "if_plate_id", "position", "sample", "locations", "antibody", "ensembl_ids", "gene_names",
)  # fmt: skip
UNIQUE: Final = ("antibody", "ensembl_ids", "gene_names", "atlas_name", "locations", "n_location")
FOLDS: Final = (1, 2)
_TABLE: Final = "image_gene_node_attributes.tsv"
_NO_URL: Final = "no image url found"
_READ: Final = """## How to read it
Each folder is one condition. The embedding tool takes it as it is, fold by fold:

    cellmaps_image_embeddingcmd.py OUTPUT --inputdir paclitaxel --provenance paclitaxel/provenance.json --fold 1
"""
_NOTES: Final = """
The images are the published JPEGs, byte for byte: 2048 x 2048, RGB, painted in the colour of their channel. Take plane
0 of red and yellow, 1 of green, 2 of blue; a conversion to grey shrinks the range of values.
A gene has one row, with the images of one antibody: one that is against this gene alone, where there is one. Images
without a flag (empty, saturated, blurred) come first; fold 2 is the second image, or the first again.
The name of a gene is its symbol where the antibody is against one gene, else its Ensembl id: for antibodies with
several genes the published lists of symbols and ids are not in one order. `ambiguous` lists all of them.
Antibodies without a gene and second antibodies of a gene have images and stand in samplescopy.csv only.
"""


@dataclass(frozen=True)
class FieldImages:
    """A field as the tables need it. `image` is the file name without its channel, closed by `_` as in the tools.

    `row` is one of the frame `Release.fields`.
    """

    image: str
    row: Mapping[str, Any]

    @property
    def genes(self) -> list[str]:
        """Ensembl ids of its antibody."""
        return list(self.row["genes"])


def plan(job: Job) -> Plan:
    """The export of a selection: see the module."""
    fields = chosen_fields(job.release, job.selection)
    conditions = list(fields["condition"].unique(maintain_order=True))
    images = PublishedImages(job.release, conditions, job.opened)
    sources = image_sources(job.release, fields, "published file")
    parts, tables, counts = list[Part](), list[Part](), dict[str, int]()
    for condition in conditions:
        own = [
            FieldImages(f"{images.of(condition, row['field_id'])['red'].stem}_", row)
            for row in fields.filter(pl.col("condition") == condition).iter_rows(named=True)
        ]
        for one in own:
            parts += _images(condition, one, images.of(condition, one.row["field_id"]))
        genes = gene_rows(own)
        tables += _tables(condition, own, genes, job.release.key)
        counts |= {f"genes_{condition}": len(genes), f"fields_{condition}": len(own)}
    return Plan(
        identity={
            "format": "cell-maps", "format_version": 1, "release": job.release.key, "selection": job.selection.stated(),
            "zips": {source["condition"]: source["sha256"] for source in sources},
            "fields": fields_digest(fields),
        },
        parts=parts,
        closing=tables,
        unit="images",
        sources=sources,
        counts={**counts, "left_out": left_out(job.release, fields)},
        credits=credits_of(job.release, "if_tensors", fields["condition"].unique().sort()),
        how_to_read=_READ,
        notes=sentences(_NOTES),
        room=sum(part.size or 0 for part in parts),
    )  # fmt: skip


def _images(condition: str, field: FieldImages, channels: Mapping[str, PublishedImage]) -> Iterator[Part]:
    for channel, image in channels.items():
        name = f"{condition}/{channel}/{field.image}{channel}.jpg"
        yield Part(name, _writer(image), ticks=1, size=image.size)


def _writer(image: PublishedImage) -> Write:
    def write(path: Path, tick: Tick) -> None:
        path.write_bytes(image.read())
        tick()

    return write


def gene_rows(fields: Sequence[FieldImages]) -> list[dict[str, Any]]:
    """A row a gene: its name, the antibody that shows it best, and that antibody's images, the best first."""
    by_gene: dict[str, dict[str, list[FieldImages]]] = {}
    for field in fields:
        for gene in field.genes:
            by_gene.setdefault(gene, {}).setdefault(field.row["antibody_id"], []).append(field)
    rows = []
    for gene in sorted(by_gene):
        _, antibody = min((len(shown[0].genes), name) for name, shown in by_gene[gene].items())
        shown = sorted(by_gene[gene][antibody], key=lambda field: (len(field.row["flags"]), field.row["tensor_index"]))
        genes, symbols = shown[0].genes, shown[0].row["gene_symbols"]
        rows.append({
            "name": symbols[0] if len(genes) == len(symbols) == 1 else gene,
            "represents": f"ensembl:{gene}",
            "ambiguous": ",".join(genes) if len(genes) > 1 else "",
            "antibody": antibody,
            "images": [field.image for field in shown],
            "imageurl": _NO_URL,
        })  # fmt: skip
    return rows


def _tables(
    condition: str, fields: Sequence[FieldImages], genes: Sequence[Mapping[str, Any]], release: str
) -> list[Part]:
    folds = {"": [{**row, "filename": ",".join(row["images"])} for row in genes]}
    for fold in FOLDS:
        chosen = [row["images"][min(fold, len(row["images"])) - 1] for row in genes]
        folds[f"{fold}_"] = [{**row, "filename": image} for row, image in zip(genes, chosen, strict=True)]
    samples = [_sample(field) for field in fields]
    unique = {row["antibody"]: row for row in reversed(samples)}
    atlas = {"atlas_name": str(CellLine.MDA_MB_468), "n_location": 0}
    return [
        *(
            of_bytes(f"{condition}/{fold}{_TABLE}", _delimited(ATTRIBUTES, rows, delimiter="\t"))
            for fold, rows in folds.items()
        ),
        of_bytes(f"{condition}/samplescopy.csv", _delimited(SAMPLES, samples)),
        of_bytes(f"{condition}/uniquecopy.csv", _delimited(UNIQUE, ({**unique[n], **atlas} for n in sorted(unique)))),
        of_bytes(f"{condition}/provenance.json", _for_the_tool(condition, release)),
    ]


def _sample(field: FieldImages) -> dict[str, str]:
    row = field.row
    plate, _, rest = field.image.rpartition(f"_{row['well']}_")
    return {
        "filename": field.image,
        "if_plate_id": plate,
        "position": row["well"],
        "sample": rest.rstrip("_"),  # the region, and the focal plane where the name has one
        "locations": "",
        "antibody": row["antibody_id"] or "",
        "ensembl_ids": ",".join(row["genes"]),
        "gene_names": ",".join(row["gene_symbols"]),
    }


def _delimited(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, delimiter: str = ",") -> bytes:
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, columns, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode()


def _for_the_tool(condition: str, release: str) -> bytes:
    stated = {
        "name": f"Immunofluorescence images of {CellLine.MDA_MB_468}, {condition}, {release}",
        "organization-name": "CM4AI",
        "project-name": "Cell Maps for AI",
        "keywords": ["IF microscopy", str(CellLine.MDA_MB_468), condition],
        "description": f"Published immunofluorescence images of {CellLine.MDA_MB_468}, {condition}, release {release}",
    }
    return as_json(stated)
