"""What the quality checks say about the guide library, as plain data: one function per check.

Does not belong here: reading the library (`guides`), and Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cm4ai_assets.findings import ROWS_SHOWN, Finding
from cm4ai_assets.perturbseq.guides import PER_GENE, Library

_SHOWN = ("guide", "published_id", "symbol", "sequence", "source_line", "defects")


def with_defects(rows: pl.DataFrame, *defects: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows that have any of some defects, and how many have each."""
    has = {defect: pl.col("defects").list.contains(defect) for defect in defects}
    counts = {defect: int(rows.select(one.sum()).item()) for defect, one in has.items()}
    return rows.filter(pl.any_horizontal(has.values())), counts


def in_words(counts: dict[str, int]) -> str:
    """Defects with how often they occur; those that do not are left out.

    >>> in_words({"bad_barcode": 2, "duplicate_cell": 0})
    '2 bad_barcode'
    """
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "none"


def guides_kept(library: Library) -> Finding:
    """Every line of the feature reference is a row, and there are some.

    Protects from a library that lacks guides without a word. Blocking: one that lost lines is never published.
    """
    lost = len(library.left_out)
    return Finding(
        "guides_kept",
        passed=lost == 0 and library.rows.height > 0,
        summary=f"{library.rows.height:,} of {library.lines:,} lines are guides; {lost} have another number of fields."
        + (f" The first is line {library.left_out[0]}." if lost else ""),
        counts={"lines": library.lines, "left_out": lost},
    )


def _finding(check: str, library: Library, defects: Sequence[str], what: str) -> Finding:
    bad, counts = with_defects(library.rows, *defects)
    return Finding(
        check,
        passed=bad.is_empty(),
        summary=f"{bad.height:,} of {library.rows.height:,} guides {what}: {in_words(counts)}.",
        rows=bad.select(_SHOWN).head(ROWS_SHOWN),
        counts={"guides": library.rows.height, **counts},
    )


def guides_unique(library: Library) -> Finding:
    """Each guide and each sequence stands once. Protects from cells that are given to one of two guides by chance."""
    return _finding("guides_unique", library, ("duplicate_guide", "duplicate_sequence"), "are there more than once")


def guides_named(library: Library) -> Finding:
    """Id, name and target of a guide say the same: A1BG-1 and A1BG_1 are one guide, of A1BG.

    Protects from guides that are joined to other guides, or to another gene, by their name.
    """
    defects = ("bad_guide_name", "name_disagrees", "target_disagrees", "no_target")
    return _finding("guides_named", library, defects, "have a name that does not fit")


def sequences_sound(library: Library) -> Finding:
    """Sequences are 20 bases of A, C, G, T, of CRISPR guide capture. Protects from guides that no read can match."""
    defects = ("bad_sequence", "other_length", "other_feature_type")
    return _finding("sequences_sound", library, defects, "have another sequence or type")


def genes_identified(library: Library) -> Finding:
    """Each guide against a gene states an Ensembl id, the same for each symbol.

    Protects joins with other modalities.
    """
    bad, counts = with_defects(library.rows, "bad_gene_id", "gene_id_disagrees")
    genes = library.rows.filter(~pl.col("is_control"))
    n_genes, n_symbols = genes["ensembl_gene"].n_unique(), genes["symbol"].n_unique()
    return Finding(
        "genes_identified",
        passed=bad.is_empty(),
        summary=f"{n_symbols:,} symbols and {n_genes:,} Ensembl ids; {bad.height:,} guides do not fit: "
        f"{in_words(counts)}.",
        rows=bad.select(_SHOWN).head(ROWS_SHOWN),
        counts={"symbols": n_symbols, "ids": n_genes, **counts},
    )


def controls_listed(library: Library) -> Finding:
    """There are non-targeting controls, and the library has each control of the whitelist.

    Protects from a screen without the cells that every other cell is compared with.
    """
    controls = library.rows.filter("is_control")
    listed = int(controls["is_whitelisted"].sum())
    absent = library.not_in_library
    whitelist = (
        f"the whitelist has {listed + len(absent):,}, of which the library lacks {len(absent)}"
        if library.has_whitelist
        else "no whitelist is published with it"
    )
    return Finding(
        "controls_listed",
        passed=controls.height > 0 and not absent,
        summary=f"{controls.height:,} of {library.rows.height:,} guides are non-targeting controls; {whitelist}.",
        rows=pl.DataFrame({"whitelisted": list(absent)}).head(ROWS_SHOWN) if absent else pl.DataFrame(),
        counts={"controls": controls.height, "whitelisted": listed, "absent": len(absent)},
    )


def three_per_gene(library: Library) -> Finding:
    """Each gene has three guides. Protects from calls on a gene that rest on one guide, whose agreement nobody sees."""
    genes = library.rows.filter(~pl.col("is_control")).unique("symbol", maintain_order=True)
    bad = genes.filter(pl.col("guides_of_target") != PER_GENE)
    numbers = bad.group_by("guides_of_target").len().sort("guides_of_target")
    which = ", ".join(f"{count:,} have {number}" for number, count in numbers.iter_rows()) or "none has another number"
    return Finding(
        "three_per_gene",
        passed=bad.is_empty(),
        summary=f"{genes.height - bad.height:,} of {genes.height:,} genes have {PER_GENE} guides; {which}.",
        rows=bad.select("symbol", "ensembl_gene", "guides_of_target").head(ROWS_SHOWN),
        counts={"genes": genes.height, "other_number": bad.height},
    )
