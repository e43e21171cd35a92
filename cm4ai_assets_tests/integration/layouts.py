"""Small plates for the tests of splits: who stands where, as rows of `if_fields` and `if_antibodies`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from cm4ai_assets.integration.mapping import Gene, GeneMapping

CONDITIONS = ("untreated", "paclitaxel", "vorinostat")
FIELDS = pl.Schema({
    "condition": pl.String(), "field_id": pl.String(), "plate": pl.String(), "well": pl.String(),
    "antibody_id": pl.String(), "is_control": pl.Boolean(),
})  # fmt: skip
ANTIBODIES = pl.Schema({
    "antibody_id": pl.String(), "is_control": pl.Boolean(), "ensembl_gene_id": pl.String(),
    "gene_symbol": pl.String(), "uniprot_id": pl.String(),
})  # fmt: skip
NO_MAPPING = GeneMapping([])


def gene_id(number: int) -> str:
    """An Ensembl id in a range that Ensembl does not use."""
    return f"ENSG00009{number:06d}"


def known(number: int, symbol: str, *uniprot: str, previous: Sequence[str] = (), alias: Sequence[str] = ()) -> Gene:
    """A gene of a mapping."""
    key = gene_id(number)
    return Gene(key, f"HGNC:{number}", symbol, key, uniprot, tuple(previous), tuple(alias), "gene with protein product")


@dataclass(frozen=True)
class Layout:
    """Frames of fields and antibodies."""

    fields: pl.DataFrame
    antibodies: pl.DataFrame


def layout(
    genes: Mapping[str, Sequence[int]],
    *,
    conditions: Sequence[str] = CONDITIONS,
    regions: int = 2,
    per_plate: int = 25,
    also: Mapping[str, tuple[str, str]] | None = None,
) -> Layout:
    """Antibodies, each in a well of its own under every condition, and a control on every plate.

    Args:
        genes: Antibody to the numbers of its genes.
        conditions: Conditions, all of one layout.
        regions: Fields of a well.
        per_plate: Wells of antibodies on a plate.
        also: Antibody to a second place: plate and well.
    """
    places = [(name, f"P{n // per_plate + 1}", f"A{n % per_plate + 1}") for n, name in enumerate(genes)]
    places += [(name, *place) for name, place in (also or {}).items()]
    places += [("NEGATIVE", plate, "H12") for plate in sorted({plate for _, plate, _ in places})]
    fields = [
        (condition, f"{plate}_{condition}_{well}_R{region}", plate, well, name, name == "NEGATIVE")
        for condition in conditions
        for name, plate, well in places
        for region in range(1, regions + 1)
    ]
    rows: list[tuple[object, ...]] = [
        (name, False, gene_id(n), None, None) for name, numbers in genes.items() for n in numbers
    ]
    rows += [(name, False, None, None, None) for name, numbers in genes.items() if not numbers]
    rows.append(("NEGATIVE", True, None, None, None))
    antibodies = pl.DataFrame(rows, schema=ANTIBODIES, orient="row").with_columns(
        pairing=pl.when(pl.len().over("antibody_id") > 1).then(pl.lit("unpaired")).otherwise(pl.lit("single"))
    )
    return Layout(pl.DataFrame(fields, schema=FIELDS, orient="row"), antibodies)


def stating(ids: Mapping[str, Sequence[tuple[str | None, str | None, str | None]]]) -> Layout:
    """Antibodies whose rows state these ids: Ensembl id, symbol and accession, one triple a row."""
    made = layout(dict.fromkeys(ids, ()), conditions=["untreated"], regions=1)
    rows = [(name, False, *row, "single") for name, listed in ids.items() for row in listed]
    antibodies = pl.DataFrame(rows, schema=made.antibodies.schema, orient="row")
    return Layout(made.fields, pl.concat([made.antibodies.filter("is_control"), antibodies]))
