"""What the tests of this room share: byte sources and ZIPs in memory."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass

from cm4ai_assets.proteomics.packages import Archive, archive_of
from cm4ai_assets.sandbox.proteomics import mda_reports
from cm4ai_assets.tables import Table
from cm4ai_assets_tests.shared import SHARED

HEADERS = SHARED / "data" / "secms" / "headers"
REPORTS = ("CTRL_1", "CTRL_2", "CTRL_4", "PTXL_1", "PTXL_2", "PTXL_3", "VRST_1", "VRST_2", "VRST_3")


@dataclass
class MemoryBytes:
    """A byte source in memory."""

    name: str
    data: bytes

    def __post_init__(self) -> None:
        self.size = len(self.data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def zipped(name: str, files: dict[str, bytes]) -> Archive:
    """Files below one folder of the archive's stem, as published."""
    target, top = io.BytesIO(), name.removesuffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(f"{top}/{path}", data)
    return archive_of(MemoryBytes(name, target.getvalue()), file_id=4711, sha256="ab" * 32)


def published_header(report: str) -> str:
    return (HEADERS / f"Biosep_MDAMB468_{report}_Report.header.tsv").read_text().rstrip("\n")


def header_of(report: str) -> str:
    """The published header line; where it is not beside the checkout the sandbox's, which has the same columns."""
    if HEADERS.is_dir():
        return published_header(report)
    return mda_reports(groups=1)[f"Biosep_MDAMB468_{report}_Report.tsv"].decode().split("\n", 1)[0]


def own_columns(table: Table) -> dict[str, object]:
    return {column.name: column.dtype for column in table.own_columns}


def small_report(*rows: str, columns: str = "[1] R_MDAMB468_Ctrl_R1_F07_1_1_1.d.PG.Quantity") -> bytes:
    """A report of a few lines: group, gene, then what `columns` (tab separated) name."""
    return "\n".join([f"PG.ProteinGroups\tPG.Genes\t{columns}", *rows, ""]).encode()


RUN = "[{0}] Biosep_MDAMB468_VRST_{1}_F0{0}_1_1_9.d.PG.Quantity"
ROWS = ["P12345\tAAA\t1.5\t2.5"]


def report(series: str = "121221", rows: list[str] = ROWS) -> str:
    """A report of two fractions of one replicate of vorinostat-treated cells."""
    header = "\t".join(["PG.ProteinGroups", "PG.Genes", RUN.format(1, series), RUN.format(2, series)])
    return "\n".join([header, *rows, ""])
