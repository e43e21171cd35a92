"""Synthetic sequencing runs: the samples of the Perturb-seq experiment, as crates, ENA and NCBI list them.

Belongs here: which runs there are and what each archive says of them. Does not belong here: serving them
(`sra_routes`), and the statistics of the channels (`sequencing`). ALPHA is public; BETA and GAMMA are embargoed, which
the archives show by not listing them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from csv import writer
from dataclasses import dataclass
from functools import cache
from typing import Any

from cm4ai_assets.sandbox import seeds
from cm4ai_assets.sandbox.perturbseq import CHANNELS

PROJECT = "PRJNA1173491"
# The day of release that the crates state; that of ALPHA is over.
_DAYS = {"ALPHA": "2025-05-25", "BETA": "2027-10-01", "GAMMA": "2028-01-01"}
_FIRST_RUN = 91012081
_HEADER = (
    "Run,ReleaseDate,LoadDate,spots,bases,spots_with_mates,avgLength,size_MB,AssemblyName,download_path,Experiment,"
    "LibraryName,LibraryStrategy,LibrarySelection,LibrarySource,LibraryLayout,InsertSize,InsertDev,Platform,Model,"
    "SRAStudy,BioProject,Study_Pubmed_id,ProjectID,Sample,BioSample,SampleType,TaxID,ScientificName,SampleName,"
    "g1k_pop_code,source,g1k_analysis_group,Subject_ID,Sex,Disease,Tumor,Affection_Status,Analyte_Type,"
    "Histological_Type,Body_Site,CenterName,Submission,dbgap_study_accession,Consent,RunHash,ReadHash"
)


@dataclass(frozen=True)
class Sample:
    """A library of a channel: its batch, and the accessions of its runs."""

    name: str
    batch: str
    runs: tuple[str, ...]

    @property
    def number(self) -> int:
        """What its experiment and sample are numbered by."""
        return int(self.runs[0].removeprefix("SRR"))


@cache
def samples() -> tuple[Sample, ...]:
    """96 channels in two libraries each: two runs of the transcripts, one of the guides."""
    found, number = [], _FIRST_RUN
    for batch in _DAYS:
        for chip in (1, 2):
            for channel in range(1, 17):
                for library, runs in (("GEX", 2), ("CRISPR", 1)):
                    name = f"KOLF2-{batch}-{library}-Chip-{chip}-Channel-{channel}"
                    found.append(Sample(name, batch, tuple(f"SRR{number + one}" for one in range(runs))))
                    number += runs
    return tuple(found)


def public() -> Iterator[tuple[Sample, str]]:
    """The runs that the archives list, with their samples."""
    return ((sample, run) for sample in samples() if sample.batch == "ALPHA" for run in sample.runs)


# Of the first run ENA has no files, and NCBI does; of the second there are some at cost only.
AT_NCBI, AT_COST = (run for _, run in list(public())[:2])
# The crate names an object of this sample, as published, and no run.
UNNAMED = "KOLF2-ALPHA-CRISPR-Chip-1-Channel-1"


def crate_entities(ark: str) -> Iterator[dict[str, Any]]:
    """The data sets of the crate: reads of each sample, and the molecule files of the channels that were counted."""
    for sample in samples():
        objects = ("53424698",) if sample.name == UNNAMED else sample.runs
        yield {
            "@id": f"{ark}/dataset-sra-data-{sample.name.lower()}",
            "@type": "https://w3id.org/EVI#Dataset",
            "name": f"SRA Data-{sample.name}",
            "datePublished": _DAYS[sample.batch],
            "format": "fastq.gz",
            "contentUrl": [f"https://dataview.ncbi.nlm.nih.gov/object/{one}" for one in objects],
        }
    for channel, day in _counted():
        yield {
            "@id": f"{ark}/dataset-molecule-data-{channel.lower()}",
            "@type": "https://w3id.org/EVI#Dataset",
            "name": f"Molecule Data-{channel}",
            "datePublished": day,
            "format": "h5",
            "contentUrl": "Embargoed",
        }


def preview_rows() -> list[tuple[str, str, str, str]]:
    """Name, description, access and day of the same data sets, as the page of the crate shows them."""
    reads = [
        (f"SRA Data-{one.name}", f"Synthetic reads of {one.name}", "Embargoed", _DAYS[one.batch]) for one in samples()
    ]
    counted = [(f"Molecule Data-{channel}", f"Molecule h5 data for {channel}", "Embargoed", day)
               for channel, day in _counted()]  # fmt: skip
    return [*reads, *counted]


def _counted() -> Iterator[tuple[str, str]]:
    for sample in samples():
        if "-GEX-" in sample.name:
            channel = sample.name.removeprefix("KOLF2-").replace("-GEX-", "-")
            if channel in CHANNELS:
                yield channel, _DAYS[sample.batch]


def file(name: str) -> bytes | None:
    """The bytes of a file of a run, such as SRR91012083_1.fastq.gz; None for one that is not there."""
    run = name.split("_", 1)[0]
    names = {n for _, one in public() if one == run for n in _names(run)} | {AT_NCBI}
    return seeds.generator("reads", name).bytes(600 + seeds.number("reads", name) % 400) if name in names else None


def _names(run: str) -> tuple[str, ...]:
    return () if run in {AT_NCBI, AT_COST} else (f"{run}_1.fastq.gz", f"{run}_2.fastq.gz")


@cache
def _size_and_md5(name: str) -> tuple[int, str]:
    body = file(name) or b""
    return len(body), hashlib.md5(body, usedforsecurity=False).hexdigest()


@cache
def file_report(host: str) -> list[dict[str, str]]:
    """ENA's file report of the project: every value a text, addresses without a scheme. `host` may carry a port."""
    rows = []
    for sample, run in public():
        names = _names(run)
        facts = [_size_and_md5(name) for name in names]
        rows.append({
            "run_accession": run, "experiment_accession": f"SRX{sample.number}", "sample_accession":
            f"SAMN{sample.number}", "library_strategy": "RNA-Seq", "library_layout": "PAIRED", "read_count": "1000",
            "base_count": "150000", "first_public": "2025-05-26", "library_name": sample.name, "sample_alias": "",
            "sample_title": "", "experiment_title": "Illumina NovaSeq X paired end sequencing",
            "fastq_ftp": ";".join(f"{host}/vol1/fastq/{run}/{name}" for name in names),
            "fastq_bytes": ";".join(str(size) for size, _ in facts),
            "fastq_md5": ";".join(md5 for _, md5 in facts),
            **{f"{kind}_{what}": "" for kind in ("submitted", "sra") for what in ("ftp", "bytes", "md5")},
        })  # fmt: skip
    return rows


def run_info() -> bytes:
    """NCBI's run table of the project, with its blank last line."""
    text = io.StringIO()
    rows, columns = writer(text, lineterminator="\n"), _HEADER.split(",")
    rows.writerow(columns)
    for sample, run in public():
        facts = {
            "Run": run, "ReleaseDate": "2025-05-26 00:01:02", "LoadDate": "2025-01-30 10:11:12", "spots": "1000",
            "bases": "150000", "Experiment": f"SRX{sample.number}", "LibraryName": sample.name, "LibraryStrategy":
            "RNA-Seq", "LibraryLayout": "PAIRED", "BioProject": PROJECT, "BioSample": f"SAMN{sample.number}",
            "SampleName": sample.name, "Consent": "public",
        }  # fmt: skip
        rows.writerow([facts.get(column, "") for column in columns])
    return f"{text.getvalue()}\n".encode()


def location(run: str, base: str) -> dict[str, Any]:
    """What the SRA Data Locator says of a run, whose status stands inside an answer that is always 200."""
    if run not in {AT_NCBI, AT_COST}:
        return {"version": "2", "result": [{"bundle": run, "status": 404, "msg": "Cannot resolve accession"}]}
    size, md5 = _size_and_md5(AT_NCBI)
    cold = {"service": "s3", "region": "us-east-1", "link": f"s3://sra-pub-src-1/{run}/synthetic_R1.fastq.gz.1",
            "payRequired": True, "rehydrationRequired": True}  # fmt: skip
    free = {"service": "s3", "region": "us-east-1", "link": f"{base}/sra-pub-run-odp/sra/{run}/{run}"}
    ways = [cold] if run == AT_COST else [cold, free]
    one = {"object": f"srapub_files|{run}", "accession": run, "type": "sra", "name": run, "size": size, "md5": md5,
           "modificationDate": "2025-01-30T00:00:00Z", "noqual": False, "locations": ways}  # fmt: skip
    return {"version": "2", "result": [{"bundle": run, "status": 200, "msg": "ok", "files": [one]}]}
