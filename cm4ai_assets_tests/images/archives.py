"""Small ZIPs in the published layout, and byte sources that count what is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping

from cm4ai_assets.errors import ArchiveDamagedError

CHANNELS = ("red", "green", "blue", "yellow")
HEADER = ",Plate,Well,Treatment,HPA_Antibody_ID,ENSEMBL ID,Uniprot,Gene_Name_HPA,Chromosome,Baselink"
# The two published rows that are known (data reference, section 1.6).
REAL_MANIFEST = f"""{HEADER}
0,3,C2,Paclitaxel,CAB005042,ENSG00000132507,P63241,EIF5A,17,https://ell-vault.stanford.edu/dav/jnhansen/www/B2AI/MDA-MB-468/CAB005042_EIF5A/B2AI_3_Paclitaxel_C2_R1/z02/B2AI_3_Paclitaxel_C2_R1_z02
1,3,D1,Paclitaxel,HPA000895,ENSG00000102024;ENSG00000120756;ENSG00000136167,P13797;P13796;Q14651,"Q14651,PLS3_LCP1_PLS1",X;13;3,https://ell-vault.stanford.edu/dav/jnhansen/www/B2AI/MDA-MB-468/HPA000895_PLS3_LCP1_PLS1/B2AI_3_Paclitaxel_D1_R1/z00/B2AI_3_Paclitaxel_D1_R1_z00
"""


class CountedBytes:
    """Bytes in memory as a byte source."""

    def __init__(self, data: bytes, *, name: str = "images.zip") -> None:
        self.name, self.size, self.reads = name, len(data), 0
        self._data = data

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads += 1
        data = self._data[offset : offset + length]
        if offset < 0 or len(data) != length:
            raise ArchiveDamagedError(f"{self.name} ends early")
        return data


def zipped(members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these members; the same name may occur twice."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, data)
    return target.getvalue()


def field_members(name: str, *, top: str = "paclitaxel", channels: Iterable[str] = CHANNELS) -> dict[str, bytes]:
    """The four files of a field, where the published ZIPs have them."""
    return {f"{top}/{channel}/{name}_{channel}.jpg": f"{name} {channel}".encode() for channel in channels}


def manifest_row(
    field: str, *, antibody: str = "HPA000001", plate: str = "1", well: str = "A1", treatment: str = "Paclitaxel"
) -> str:
    """A line of manifest.csv about a field; the columns are those of a single-target antibody."""
    ids = "ENSG00000132507,P63241,EIF5A,17"
    return f"0,{plate},{well},{treatment},{antibody},{ids},https://example.org/B2AI/{antibody}/{field}"


def manifest_text(*rows: str) -> str:
    return "\n".join((HEADER, *rows, ""))
