"""A small release with everything the rubric asks for, as published and as delivered; tests take parts of it away."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
import yaml

from cm4ai_assets.crates.datasheet import Document, datasheet_table
from cm4ai_assets.crates.frames import crate_tables
from cm4ai_assets.crates.reader import CrateFile, read_crates
from cm4ai_assets.findings import Finding
from cm4ai_assets.lineage.delivered import Delivered, DeliveredFile
from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.publication.readiness.delivery import Delivery
from cm4ai_assets.publication.readiness.gathering import described_by
from cm4ai_assets.publication.readiness.published import Published
from cm4ai_assets.publication.readiness.summary import ColumnSummary, TableSummary
from cm4ai_assets.references import Kind
from cm4ai_assets.software import Software
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.makings import Input, Making
from cm4ai_assets.tables.images import IF_QUALITY
from cm4ai_assets.tables.integration import SPLITS
from cm4ai_assets_tests.crates.twins import EVI, lock, ref

KEY = "2026-06-v2.0"
DOI = "doi:10.18130/V3/HIGT4C"
ADDRESS = "https://doi.org/10.18130/V3/HIGT4C"
LICENCE = "https://creativecommons.org/licenses/by-nc-sa/4.0/"
PROHIBITED = "These laboratory data are not to be used in clinical decision-making without regulatory approval."
DIGEST = "0123456789abcdef0123456789abcdef"

ROOT_SAYS: dict[str, Any] = {
    "name": "Cells in pictures",
    "description": "Immunofluorescence images of MDA-MB-468 cells, untreated (the control) and with vorinostat; SEC-MS "
    "and raw sequences of the same cells. Each condition has the same number of wells.",
    "keywords": ["cell maps", "imaging"],
    "author": [ref("https://orcid.org/0000-0001-0000-0001")],
    "publisher": "https://dataverse.lib.virginia.edu/",
    "license": LICENCE,
    "identifier": ADDRESS,
    "version": "2.0",
    "about": [ref("https://meshb.nlm.nih.gov/record/ui?ui=D001943")],
    "hasPart": [ref("ark:59852/report"), ref("ark:59852/raw")],
    "conformsTo": ref("https://w3id.org/ro/crate/1.2"),
    "contactEmail": "contact@example.org",
    "conditionsOfAccess": "Attribution is required to the copyright holders and to the authors of the data.",
    "confidentialityLevel": "Unrestricted",
    "humanSubjectResearch": "None: commercially available, de-identified cell lines.",
    "humanSubjectExemption": "Exempt: research with commercially available de-identified cell lines is no research on "
    "human subjects.",
    "ethicalReview": "Reviewed by the ethics module of the project in 2024.",
    "dataGovernanceCommittee": "The governance committee, chaired by A. Person; its data management plan: "
    "https://dmptool.org/plans/1.",
    "prohibitedUses": PROHIBITED,
    "associatedPublication": ["A paper. https://doi.org/10.1101/2024.05.21.589311"],
    "rai:dataBiases": "Images of one cell line, MDA-MB-468: antibodies that failed validation are left out.",
    "rai:dataLimitations": "An interim release: proteins that no antibody binds are not covered by the images.",
    "rai:dataUseCases": "Training of models on the localization of proteins in cells.",
    "rai:dataCollection": "Confocal microscopy of stained cells in plates, one antibody a well, by the imaging centre.",
    "rai:dataPreprocessingProtocol": "Raw images were cut to fields of view, and intensities were left as they were.",
    "rai:dataCollectionMissingData": "Some wells failed quality control and are withheld until 2027. Missing values "
    "are "
    "written as empty cells.",
    "rai:dataQuality": "Quality control of focus and saturation, by the protocol https://www.protocols.io/view/if-1.",
    "rai:dataReleaseMaintenancePlan": "Updated each quarter; long-term preservation in the repository; versions and "
    "errata are kept.",
    "splits": "Train, validation and test by protein, with a fixed seed.",
}  # fmt: skip
ENTITIES: tuple[dict[str, Any], ...] = (
    {"@id": "https://orcid.org/0000-0001-0000-0001", "@type": "Person", "name": "A. Person",
     "affiliation": {"@id": "https://ror.org/0153tk833", "name": "University of Virginia"}},
    {"@id": "https://meshb.nlm.nih.gov/record/ui?ui=D001943", "@type": "DefinedTerm", "name": "Breast Neoplasms",
     "inDefinedTermSet": ref("https://www.nlm.nih.gov/mesh/"), "termCode": "D001943"},
    {"@id": "ark:59852/raw", "@type": f"{EVI}Dataset", "name": "Raw runs", "format": "mzML", "md5": DIGEST,
     "contentUrl": "https://massive.ucsd.edu/MSV000098237/run.mzML", "generatedBy": ref("ark:59852/staining"),
     "hasSummaryStatistics": ref("ark:59852/statistics")},
    {"@id": "ark:59852/report", "@type": f"{EVI}Dataset", "name": "Example report", "format": "tsv", "md5": DIGEST,
     "contentUrl": "https://dataview.ncbi.nlm.nih.gov/object/PRJNA1", "evi:Schema": ref("ark:59852/schema"),
     "generatedBy": ref("ark:59852/computation"), "hasSummaryStatistics": ref("ark:59852/statistics")},
    {"@id": "ark:59852/statistics", "@type": "Statistics", "name": "Statistics"},
    {"@id": "ark:59852/schema", "@type": f"{EVI}Schema", "name": "Schema",
     "properties": {"gene": {"type": "string", "value-url": "https://identifiers.org/ensembl"}}},
    {"@id": "ark:59852/staining", "@type": f"{EVI}Experiment", "name": "Staining",
     "usedSample": ref("ark:59852/sample"), "generated": [ref("ark:59852/raw")]},
    {"@id": "ark:59852/sample", "@type": f"{EVI}Sample", "name": "Cells",
     "identifier": [{"@type": "PropertyValue", "name": "RRID", "value": "RRID:CVCL_0419"}]},
    {"@id": "ark:59852/computation", "@type": f"{EVI}Computation", "name": "Search",
     "usedSoftware": ref("ark:59852/software"), "usedDataset": ref("ark:59852/raw"),
     "generated": [ref("ark:59852/report")]},
    {"@id": "ark:59852/software", "@type": f"{EVI}Software", "name": "Search engine",
     "url": "https://doi.org/10.5281/zenodo.1"},
)  # fmt: skip
PAGE: dict[str, Any] = {
    "@context": "http://schema.org",
    "@type": "Dataset",
    "identifier": ADDRESS,
    "name": "Cells in pictures",
    "license": LICENCE,
    "creator": [{"name": "A. Person", "@id": "https://orcid.org/0000-0001-0000-0001"}],
}


@dataclass
class Release:
    """What a release publishes; change it before `evidence` is asked for."""

    root: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(ROOT_SAYS))
    entities: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {one["@id"].rsplit("/", 1)[-1]: copy.deepcopy(one) for one in ENTITIES}
    )
    page: dict[str, Any] | None = field(default_factory=lambda: copy.deepcopy(PAGE))
    changes: list[pl.Expr] = field(default_factory=list)
    label: str = "release-ro-crate-datasheet.html"
    doi: str = DOI
    lists_files: bool = True
    has_metadata: bool = True
    root_says: bool = True  # the crate's root is a datasheet, too

    def crate(self) -> bytes:
        descriptor = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": ref("ark:59852/root")}
        root = {"@id": "ark:59852/root", "@type": ["Dataset", f"{EVI}ROCrate"], **self.root}
        graph = [descriptor, root, *self.entities.values()]
        return json.dumps({"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": graph}).encode()

    def frames(self) -> dict[str, pl.DataFrame]:
        made = crate_tables(read_crates([CrateFile("release-ro-crate-metadata.json", self.crate())]), release=KEY)
        said = [Document("release-ro-crate-metadata.json", "crate_root", self.crate())] if self.root_says else []
        if self.page is not None:
            said.insert(0, Document("landing page", "landing_page", json.dumps(self.page).encode()))
        files = lock(
            ("Images", "cm4ai_ifimages_MDA-MB-468_untreated.zip", 9, DIGEST),
            ("", self.label, 9, DIGEST),
            release=KEY, doi=self.doi, version="2.0",
        )  # fmt: skip
        if not self.lists_files:
            files = files.clear()
        metadata = {
            "crate_entities": made.entities,
            "crate_edges": made.edges,
            "release_datasheet": datasheet_table(said, release=KEY),
        }
        return {"release_files": files.with_columns(self.changes), **(metadata if self.has_metadata else {})}

    def evidence(self) -> Published:
        return Published.of(self.frames())


SOFTWARE = Software("0.1.0", "c0ffee", False, "3.11.9", "e" * 64, "x86_64", "Linux")
RUN = "11111111-2222-3333-4444-555555555555"
SHA = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("quality", "shard")}
ORIGIN = PublishedFile(
    "dataverse", DOI, "2.0", "104689", "Images/a.zip", 9, "MD5", DIGEST, None, "CC BY-NC-SA 4.0", "public", None
)
D4D = {
    "id": "release", "title": "Cells in pictures", "anomalies": [{"id": "a",
    "description": "Two of 24 fields are out of "
    "focus; the statistics of each field stand in if_quality."}],
    "instances": [{"id": "i", "description": "24 fields of view of three conditions, one of them untreated."}],
}  # fmt: skip


def _making(path: str, digest: str) -> Making:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    inputs = (Input("blobs/sha256/aa/aa", "a" * 64),)
    return Making(path, digest, "if_quality", KEY, "untreated", RUN, "1", at, at, SOFTWARE, inputs)


def items() -> tuple[Delivered, ...]:
    partition, credit = Partition(KEY, "untreated"), {"license": "CC BY-NC-SA 4.0"}
    table, store = "tables/if_quality/data.parquet", "tensors/if_tensors/a.zarr"
    return (
        Delivered(Kind.TABLE, "if_quality", table, partition, "images",
                  (DeliveredFile(table, SHA["quality"], 9),), SHA["quality"], 3, credit, _making(table,
                  SHA["quality"])),
        Delivered(Kind.TENSOR, "if_tensors", store, partition, "images",
                  (DeliveredFile(f"{store}/zarr.json", SHA["shard"], 9),), "f" * 64, None, credit,
                  _making(store, "f" * 64)),
    )  # fmt: skip


@dataclass
class Documents:
    """The documents about a release; change them before `evidence` is asked for."""

    release: Release = field(default_factory=Release)
    croissant: dict[str, Any] = field(default_factory=dict)
    root: dict[str, Any] = field(default_factory=dict)
    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    d4d: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(D4D))
    page: str = "<!DOCTYPE html><html>open_release and mlcroissant; MSV000098237, PRJNA1; nothing under embargo</html>"
    without: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.croissant = {
            "@context": {"@vocab": "https://schema.org/"}, "@type": "sc:Dataset", "name": "Cells in pictures",
            "conformsTo": "http://mlcommons.org/croissant/1.1", "license": LICENCE, "version": "2.0", "url": ADDRESS,
            "distribution": [{"@id": sha, "sha256": sha} for sha in SHA.values()],
            "recordSet": [{"name": "if_quality/untreated", "field": [
                {"name": column.name, "equivalentProperty": "https://identifiers.org/ensembl"}
                for column in IF_QUALITY.columns]}],
        }  # fmt: skip
        self.root = {**copy.deepcopy(ROOT_SAYS), "hasPart": [ref("ark:59852/quality"), ref("ark:59852/shard")]}
        files = {
            name: {"@id": f"ark:59852/{name}", "@type": ["File", f"{EVI}Dataset"], "sha256": sha,
                   "generatedBy": ref(f"ark:59852/{RUN}"), "derivedFrom": ref("https://dataverse/file/104689")}
            for name, sha in SHA.items()
        }  # fmt: skip
        self.entities = {
            **{name: copy.deepcopy(ENTITIES[at]) for at, name in enumerate(("person", "term"))},
            **files,
            "run": {"@id": f"ark:59852/{RUN}", "@type": ["CreateAction", f"{EVI}Computation"], "name": "if_quality",
                    "usedSoftware": ref("ark:59852/software")},
            "software": {"@id": "ark:59852/software", "@type": ["SoftwareApplication", f"{EVI}Software"],
                         "name": "cm4ai_assets", "url": "https://archive.softwareheritage.org/swh:1:rev:c0ffee"},
            "cells": {"@id": "https://identifiers.org/cellosaurus:CVCL_0419", "@type": "BioChemEntity",
            "name": "Cells"},
            "source": {"@id": "https://dataverse/file/104689", "@type": "CreativeWork",
            "name": "a.zip, MSV000098237, PRJNA1"},
        }  # fmt: skip

    def files(self) -> dict[str, Mapping[str, bytes]]:
        descriptor = {"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "about": ref("ark:59852/root")}
        root = {"@id": "ark:59852/root", "@type": ["Dataset", f"{EVI}ROCrate"], **self.root}
        crate = {"@context": "https://w3id.org/ro/crate/1.2/context",
                 "@graph": [descriptor, root, *self.entities.values()]}  # fmt: skip
        every: dict[str, Mapping[str, bytes]] = {
            "croissant": {"croissant.json": json.dumps(self.croissant).encode()},
            "derived_crate": {"ro-crate-metadata.json": json.dumps(crate).encode()},
            "datasheet_report": {"index.html": self.page.encode(), "datasheet.yaml": yaml.safe_dump(self.d4d).encode()},
        }
        return {name: data for name, data in every.items() if name not in self.without}

    def evidence(self, **changes: Any) -> Delivery:
        """The evidence; `changes` replace fields of `Delivery`."""
        files, own = self.files(), items()
        summary = TableSummary("if_quality", str(own[0].partition), 3, (ColumnSummary("mean", "Float64", 3, 0, 0),),
                               ({"mean": 1.0},))  # fmt: skip
        splits = SPLITS.from_rows([{
            "scheme": "protein", "condition": "untreated", "field_id": "a", "antibody_id": "HPA1", "plate": "B2AI_1",
            "well": "A1", "group": "ENSG1", "split": "train", "reason": None, "scheme_version": 1}],
            release=KEY)  # fmt: skip
        made: dict[str, Any] = {
            "published": self.release.evidence(), "items": own, "documents": files,
            "described": described_by(files, KEY), "origins": {one.path: (ORIGIN,) for one in own},
            "differing": {own[0].path: ""}, "summaries": (summary,), "sampled": 2,
            "environments": frozenset({SOFTWARE.environment}), "splits": splits,
            "leaks": Finding("no_leaks", passed=True, summary="No leak."),
        }  # fmt: skip
        return Delivery(**{**made, **changes})
