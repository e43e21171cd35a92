"""A synthetic MassIVE: what its deposits hold, and what PROXI and the dataset cache say of them.

Belongs here: deposits under the accessions that the releases name, in the published folders; raw runs have sizes only.
Does not belong here: serving them (`massive_routes`), and the tables in them (`proteomics`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cm4ai_assets.conditions import Condition
from cm4ai_assets.sandbox import proteomics, seeds

# A name that never resolves: nobody shall ask the real MassIVE for what only the sandbox has.
_HOST = "massive.invalid"
_STAMP = "2025-06-20 10:00:00"
_CACHE_COLUMNS = (
    "usi", "filepath", "dataset", "collection", "is_update", "update_name", "create_time", "size", "size_mb",
    "sample_type", "spectra_ms1", "spectra_ms2", "instrument_vendor", "instrument_model", "file_processed",
)  # fmt: skip
_SMALL_RUN = "/Cardio_Rep1_F07.d/"  # the one acquisition that can be pulled
_SEC_CSV, _FEATURES = "quant/sec.csv", "search/peak_file_kolf2.tsv"


@dataclass(frozen=True)
class Deposit:
    """A deposit: its volume, which does not follow from its accession, its title, instrument and files."""

    accession: str
    volume: str
    title: str
    instrument: str
    files: Callable[[], list[str]]

    @property
    def root(self) -> str:
        """Its folder by FTP. Nobody serves it."""
        return f"ftp://{_HOST}/{self.volume}/{self.accession}"


def _acquisitions(folder: str, replicates: tuple[proteomics.Replicate, ...]) -> list[str]:
    members = ("analysis.tdf", "analysis.tdf_bin")
    return [f"{folder}/{run}/{member}" for one in replicates for run in proteomics.raw_runs(one) for member in members]


def _mda() -> list[str]:
    reports = [f"search/{one.file}" for one in proteomics.MDA_REPLICATES]
    return [*reports, *_acquisitions("Biosep_MDAMB468", proteomics.MDA_REPLICATES), "ccms_parameters/params.xml"]


def _kolf2() -> list[str]:
    raw = _acquisitions("raw/KOLF2_final", proteomics.KOLF2_REPLICATES)
    return [_SEC_CSV, _FEATURES, "ccms_parameters/params.xml", *raw]


def _kolf2_before() -> list[str]:
    return [*_acquisitions("raw", proteomics.KOLF2_REPLICATES), "ccms_parameters/params.xml"]


def _apms(condition: Condition) -> list[str]:
    annotation = proteomics.run_annotation(condition).decode().splitlines()[1:]
    # Two of the batches' folders of the vorinostat deposit differ by an underscore.
    joint = "__" if condition is Condition.VORINOSTAT else "_"
    raw = [line.split("\t") for line in annotation]
    return [
        f"metadata/APMS_{condition.capitalize()}_Sample_Annotation.tsv",
        "ccms_metadata/summary.tsv",
        "ccms_parameters/params.xml",
        f"methods/README_MassIVEdatarelease_{condition.capitalize()}_APMS.pdf",
        "search/parameters.txt",
        "search/202209_uniprot_human_reviewed_Original_one.fasta",
        *(f"raw/APMS_RawFiles/{r[5]}{joint if r[5] == 'Batch02' else '_'}RawFiles/{r[0]}" for r in raw),
    ]


DEPOSITS = {
    deposit.accession: deposit
    for deposit in (
        Deposit("MSV000098237", "v10", "SEC-MS of MDA-MB-468 (synthetic)", "timsTOF Pro 2", _mda),
        Deposit("MSV000097606", "v09", "SEC-MS of KOLF2.1J (synthetic)", "timsTOF Pro 2", _kolf2_before),
        Deposit("MSV000100676", "v12", "SEC-MS of KOLF2.1J (synthetic)", "timsTOF Pro 2", _kolf2),
        Deposit("MSV000101915", "v13", "AP-MS of MDA-MB-468, paclitaxel (synthetic)", "Orbitrap Exploris 480",
                lambda: _apms(Condition.PACLITAXEL)),
        Deposit("MSV000101917", "v13", "AP-MS of MDA-MB-468, vorinostat (synthetic)", "Orbitrap Exploris 480",
                lambda: _apms(Condition.VORINOSTAT)),
    )
}  # fmt: skip


def sizes(accession: str) -> dict[str, int]:
    """The files of a deposit with their sizes: those of acquisitions invented, as nobody will transfer them."""
    return {path: _size(accession, path) for path in DEPOSITS[accession].files()}


def proxi(accession: str, *, host: str = _HOST) -> bytes:
    """PROXI's answer for a deposit, in the shape MassIVE gives it; `host` may carry a port."""
    deposit = DEPOSITS[accession]
    page = f"https://massive.ucsd.edu/ProteoSAFe/dataset.jsp?accession={accession}"
    answer = {
        "accession": [_term("MS:1002487", "MassIVE dataset identifier", accession)],
        "title": deposit.title,
        "summary": "Synthetic data of the CM4AI sandbox.",
        "species": [[_term("MS:1001469", "taxonomy: scientific name", "Homo sapiens")]],
        "instruments": [{"accession": "MS:1003005", "name": deposit.instrument}],
        "modifications": [],
        "contacts": [[_term("MS:1000586", "contact name", "synthetic")]],
        "publications": [[{"accession": "MS:1002858", "name": "Dataset with its publication pending"}]],
        "keywords": [],
        "datasetLink": [
            _term("MS:1002488", "MassIVE dataset URI", page),
            _term("MS:1002852", "Dataset FTP location", f"ftp://{host}/{deposit.volume}/{accession}/"),
        ],
    }
    return json.dumps(answer, indent=1).encode()


def cache_csv(accession: str) -> bytes:
    """The dataset cache's answer for a deposit; only the header for one that it does not know."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CACHE_COLUMNS)
    for path, size in sizes(accession).items() if accession in DEPOSITS else ():
        collection = path.split("/", 1)[0]
        writer.writerow([
            f"mzspec:{accession}:{path}", path, accession, collection, 0, "", _STAMP, size, size // 1_000_000, "GNPS",
            0, 0, "", "", "No",
        ])  # fmt: skip
    return text.getvalue().encode()


def content(accession: str, path: str, *, groups: int = 24) -> bytes | None:
    """The bytes of a table in a deposit, or of its one small acquisition; None for what is listed only.

    `groups` is the number of protein groups, which the size of a long table follows.
    """
    if path == _SEC_CSV:
        return proteomics.sec_csv(groups=groups)
    if path == _FEATURES:
        return proteomics.msstats_features(groups=groups)
    if path.endswith("_Sample_Annotation.tsv"):
        vorinostat = accession == "MSV000101917"
        return proteomics.run_annotation(Condition.VORINOSTAT if vorinostat else Condition.PACLITAXEL)
    for one in proteomics.MDA_REPLICATES:
        if path == f"search/{one.file}":
            return proteomics.report(one, groups=groups)
    if _SMALL_RUN in path:
        return seeds.generator("run", accession, path).bytes(4096)
    return None


@cache
def _size(accession: str, path: str) -> int:
    if (body := content(accession, path)) is not None:
        return len(body)
    largest = 2_000_000_000 if path.endswith((".tdf_bin", ".raw")) else 60_000_000
    return 1_000 + seeds.number("massive", accession, path) % largest


def _term(accession: str, name: str, value: str) -> dict[str, str]:
    return {"accession": accession, "name": name, "value": value}
