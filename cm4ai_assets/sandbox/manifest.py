"""manifest.csv of an IF ZIP: its real header, and the real quirks of its cells.

Belongs here: how a field is written down. Does not belong here: which fields there are (`plates`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from cm4ai_assets.sandbox.plates import LABELS, Antibody, Field

# Data reference, section 1.6: the first column has no name, and neither region nor focal plane has a column.
HEADER = ("", "Plate", "Well", "Treatment", "HPA_Antibody_ID", "ENSEMBL ID", "Uniprot", "Gene_Name_HPA", "Chromosome",
          "Baselink")  # fmt: skip
# The published links name a laboratory's file server; these name no server at all.
_LINKS = "https://images.invalid/dav/B2AI/MDA-MB-468"


def manifest(fields: Iterable[Field], *, contradicted: frozenset[Field] = frozenset()) -> bytes:
    """The table, one row per field, by antibody label as published. `contradicted` rows name another well."""
    ordered = sorted(fields, key=lambda f: (f.antibody.label, f.plate, f.well, f.region, f.z))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for number, field in enumerate(ordered):
        well = "B7" if field in contradicted else field.well
        writer.writerow((number, field.plate, well, LABELS[field.condition], *_targets(field.antibody), _link(field)))
    return text.getvalue().encode()


def _targets(antibody: Antibody) -> tuple[str, str, str, str, str]:
    """Label, Ensembl ids, UniProt ids, names, chromosomes.

    The Ensembl ids are sorted, so they are not in the order of the UniProt ids and the names. The names of several
    targets are joined by `_` behind the last UniProt id and a comma: `Q14651,PLS3_LCP1_PLS1` is a published cell.
    """
    genes = antibody.genes
    names = "_".join(gene.symbol for gene in genes)
    return (
        antibody.label,
        ";".join(sorted(gene.ensembl for gene in genes)),
        ";".join(gene.uniprot for gene in genes),
        f"{genes[-1].uniprot},{names}" if len(genes) > 1 else names,
        ";".join(gene.chromosome for gene in genes),
    )


def _link(field: Field) -> str:
    """The only place where the manifest tells the region and the focal plane of a row."""
    heap = "_".join((field.antibody.label, *(gene.symbol for gene in field.antibody.genes)))
    region, plane = field.stem.rsplit("_", 1)
    return f"{_LINKS}/{heap}/{region}/{plane}/{field.stem}"
