"""Antibody to gene to protein, from the manifest's rows.

Belongs here: splitting the manifest's id lists, the forms of ids, and which ids may be said to belong together. Does
not belong here: reading the manifest (`images.manifest`), or looking ids up anywhere; nothing is asked of a service.

An antibody with several targets has lists of Ensembl ids, accessions, symbols and chromosomes that are not in one
order: HPA000895 lists ENSG00000102024;ENSG00000120756;ENSG00000136167 (PLS3, PLS1, LCP1: sorted by id) beside
P13797;P13796;Q14651 (PLS3, LCP1, PLS1). Pairing by position would give PLS1's gene the protein of LCP1. So nothing is
paired where there is more than one; each id gets a row of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from cm4ai_assets.identifiers import ANTIBODY, ENSEMBL_GENE, UNIPROT
from cm4ai_assets.images.manifest import Manifest, ManifestRow
from cm4ai_assets.suspects import suspects_of

# NEGATIVE in manifests since March 2025, NEGATIVE-CTRL in the tables of 2024 (data reference, section 1.6).
_CONTROL = "NEGATIVE"

_LIST = re.compile(r"[;,\s]+")
# Gene names come as "Q14651,PLS3_LCP1_PLS1": accessions among them, and underscores between symbols.
_GENE_LIST = re.compile(r"[;,_\s]+")


@dataclass(frozen=True, slots=True)
class Targets:
    """The ids one manifest row, or all rows of an antibody, name as its targets; each kind in the order of the file."""

    ensembl: tuple[str, ...]
    genes: tuple[str, ...]
    uniprot: tuple[str, ...]
    chromosomes: tuple[str, ...]

    @property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Column of `if_antibodies` to the ids of that kind."""
        return {
            "ensembl_gene_id": self.ensembl,
            "gene_symbol": self.genes,
            "uniprot_id": self.uniprot,
            "chromosome": self.chromosomes,
        }

    @property
    def pairing(self) -> str:
        """Whether the ids belong together: only if there is no more than one of each kind."""
        most = max(len(ids) for ids in self.kinds.values())
        return ("none", "single")[most] if most <= 1 else "unpaired"


def targets_of(row: ManifestRow) -> Targets:
    """The targets a manifest row names. An accession among the gene names is no symbol."""
    uniprot = _split(_LIST, row.uniprot)
    return Targets(
        ensembl=_split(_LIST, row.ensembl),
        genes=tuple(name for name in _split(_GENE_LIST, row.genes) if name not in uniprot),
        uniprot=uniprot,
        chromosomes=_split(_LIST, row.chromosomes),
    )


def is_control(antibody_id: str) -> bool:
    """Whether the label marks a control, not an antibody."""
    return _CONTROL in antibody_id.upper()


def antibody_rows(manifest: Manifest) -> list[dict[str, object]]:
    """The rows of `if_antibodies`: antibodies in the order of their ids."""
    by_antibody: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    for row in manifest.rows:
        if row.antibody_id:
            by_antibody[row.antibody_id].append(row)
    rows: list[dict[str, object]] = []
    for antibody_id, found in sorted(by_antibody.items()):
        rows += _rows_of(antibody_id, found)
    return rows


def _rows_of(antibody_id: str, rows: list[ManifestRow]) -> list[dict[str, object]]:
    stated = list(dict.fromkeys(targets_of(row) for row in rows))
    targets = _union(stated)
    control = is_control(antibody_id)
    common: dict[str, object] = {
        "antibody_id": antibody_id,
        "is_control": control,
        "pairing": targets.pairing,
        "wells": _wells(rows),
        "fields": len(rows),
    }
    flags = {
        "bad_antibody_id": not control and not ANTIBODY.fits(antibody_id),
        "rows_disagree": len({tuple(map(frozenset, one.kinds.values())) for one in stated}) > 1,
        "no_gene": not control and not (targets.ensembl or targets.genes),
    }
    shared = [flag for flag, holds in flags.items() if holds]
    return [
        common | {"target_index": index} | ids | {"defects": shared + _malformed(ids)}
        for index, ids in enumerate(_id_rows(targets))
    ]


def _id_rows(targets: Targets) -> list[dict[str, str]]:
    """The ids row by row: all in one row for a single target, each in its own for several."""
    if targets.pairing == "unpaired":
        return [{kind: identifier} for kind, ids in targets.kinds.items() for identifier in ids]
    return [{kind: ids[0] for kind, ids in targets.kinds.items() if ids}]


def _malformed(ids: dict[str, str]) -> list[str]:
    forms = {"bad_ensembl_id": ("ensembl_gene_id", ENSEMBL_GENE), "bad_uniprot_id": ("uniprot_id", UNIPROT)}
    suspects = suspects_of(*([ids[kind]] if kind in ids else [] for kind in ("gene_symbol", "uniprot_id")))
    return [flag for flag, (kind, form) in forms.items() if kind in ids and not form.fits(ids[kind])] + suspects


def _wells(rows: list[ManifestRow]) -> list[str]:
    """Plate and well of the rows that do not contradict themselves."""
    return sorted({row.plate_well for row in rows if row.plate_well is not None and not row.conflicts})


def _union(stated: list[Targets]) -> Targets:
    kinds = zip(*(one.kinds.values() for one in stated), strict=True)
    return Targets(*(tuple(dict.fromkeys(identifier for ids in kind for identifier in ids)) for kind in kinds))


def _split(separators: re.Pattern[str], text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for part in separators.split(text) if part))
