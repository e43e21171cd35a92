"""What the crates say of antibodies, held against what the manifests say.

Belongs here: antibody, gene and protein ids from crate entities, and their comparison with `if_antibodies`. Does not
belong here: the manifest itself and the forms of its ids (`images.antibodies`).
"""

from __future__ import annotations

import re

import polars as pl

from cm4ai_assets.crates.claims import Row, finding
from cm4ai_assets.findings import Finding

# Names of the identifiers of a `BioChemEntity` in the image crates, lower case.
_SCHEMES = {"hpa antibody id": "antibody_id", "ensembl": "ensembl_gene_id", "uniprot": "uniprot_id"}
_KINDS = ("ensembl_gene_id", "uniprot_id")
_SEPARATORS = re.compile(r"[;,\s]+")


def crate_antibodies(entities: pl.DataFrame) -> pl.DataFrame:
    """The ids of the crates' antibodies, long form; `kind` is the column of `if_antibodies` where such ids stand."""
    rows: list[tuple[str, str, str, str]] = []
    with_ids = entities.filter(pl.col("identifiers").list.len() > 0)
    for source, identifiers in with_ids.select("crate_file", "identifiers").iter_rows():
        named = [(_SCHEMES.get((one["name"] or "").lower()), one["value"]) for one in identifiers]
        antibody = next((value.strip() for kind, value in named if kind == "antibody_id"), None)
        if antibody is not None:
            rows += [
                (antibody, kind, part, source)
                for kind, value in named
                if kind in _KINDS
                for part in _SEPARATORS.split(value)
                if part
            ]
    schema = dict.fromkeys(("antibody_id", "kind", "id", "crate_file"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row").unique(maintain_order=True)


def antibodies_agree(entities: pl.DataFrame, if_antibodies: pl.DataFrame) -> Finding:
    """Crates and manifests name the same targets of an antibody. Protects from images labelled with another protein."""
    claimed = crate_antibodies(entities)
    manifest = (
        if_antibodies.filter(~pl.col("is_control"))
        .unpivot(on=list(_KINDS), index="antibody_id", variable_name="kind", value_name="id")
        .drop_nulls("id")
        .unique(maintain_order=True)
    )
    both = claimed.select("antibody_id").unique().join(manifest.select("antibody_id").unique(), on="antibody_id")
    keys = ["antibody_id", "kind", "id"]
    crate_only = claimed.join(both, on="antibody_id", how="semi").join(manifest, on=keys, how="anti")
    manifest_only = manifest.join(both, on="antibody_id", how="semi").join(claimed, on=keys, how="anti")
    rows: list[Row] = [
        (source, antibody, kind, identifier, "not in the manifest")
        for antibody, kind, identifier, source in crate_only.iter_rows()
    ]
    rows += [
        ("manifest.csv", antibody, kind, identifier, "not in the crates")
        for antibody, kind, identifier in manifest_only.select(keys).iter_rows()
    ]
    summary = f"{len(rows)} ids of {both.height} antibodies stand in the crates or the manifests only"
    return finding("antibodies_agree", sorted(rows, key=lambda row: row[1:]), summary)
