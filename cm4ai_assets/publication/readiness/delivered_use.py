"""The release as it is delivered here, graded: sustainability and computability.

Belongs here: where raw data are kept, how parts belong together, what validates, what it takes to read and to train.
Does not belong here: plans, which are texts (`wording`).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import polars as pl

from cm4ai_assets.publication.readiness import known, published_use
from cm4ai_assets.publication.readiness.delivered_content import tables_of
from cm4ai_assets.publication.readiness.delivery import Delivery, is_copy
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.tables.publication import CROISSANT, DERIVED_CRATE

_OPEN_FORMATS = {".parquet", ".json", ".jsonld", ".yaml", ".html", ".cff", ".bib", ""}
_ACCESS = "datasheet_report: index.html"
_EMBARGO = r"embargo|withheld|restricted"


def persistent(found: Delivery) -> Grade:
    """5.a: the raw data behind it, where they are kept, and whether the documents say so."""
    behind = {file for files in found.origins.values() for file in files}
    kinds = published_use.kinds_of(found.published)
    without = [kind for kind, count in kinds.items() if not count]
    text = found.crate_text + found.page + found.datasheet
    unsaid = [kind for kind in kinds if not known.SPECIALISTS[kind].search(text)]
    archives = sorted({f"{file.archive} {file.dataset}" for file in behind})
    return graded(
        "5.a",
        [Fact(bool(behind), f"{len(behind):,} published files behind it, of {', '.join(archives) or 'no archive'}",
              "lineage: published_inputs", "published files behind what is delivered")],
        [
            Fact(not without, f"kinds of data without a deposit by accession: {', '.join(without) or 'none'}",
                 "massive_files, sra_runs, crate_entities", "accessions of the raw data of every kind"),
            Fact(not unsaid, f"kinds of data whose deposits the documents do not name: {', '.join(unsaid) or 'none'}",
                 f"ro-crate-metadata.json, datasheet.yaml, {_ACCESS}", "the accessions in the documents"),
            found.described.fact("maintenance", "a commitment to keep them", like=published_use.KEPT,
                                 lacking="a commitment to keep the raw data"),
        ],
    )  # fmt: skip


def appropriate(found: Delivery) -> Grade:
    """5.b: the repositories of what it is made from, which the documents lead to."""
    own = published_use.appropriate(found.published)
    doi = found.identity[0].removeprefix("doi:").lower()
    named = bool(doi) and doi in found.crate_text.lower()
    return graded(
        "5.b",
        [*own.one, Fact(named, f"the crates {'name' if named else 'do not name'} the DOI of the dataset",
                        "ro-crate-metadata.json", "the dataset's DOI in the crates")],
        own.two,
    )  # fmt: skip


def associated(found: Delivery) -> Grade:
    """5.d: all parts in one record, and nothing in it that is not there."""
    listed = [one for one in found.items if found.recorded(one, found.crate_digests)]
    parts = found.described.edges.filter(pl.col("relation") == "has_part")
    dangling = parts.filter(~pl.col("target_known"))
    crates = [
        name
        for name in found.documents.get(DERIVED_CRATE.name, {})
        if name.endswith("metadata.json") and not is_copy(name)
    ]
    return graded(
        "5.d",
        [
            Fact(bool(listed), f"{len(listed):,} of {len(found.items):,} tables and stores are parts of the crates",
                 "ro-crate-metadata.json: sha256", "the parts in the crates"),
            Fact(not found.altered,
                 f"{len(found.altered):,} of {found.sampled:,} files that were read again are missing "
                 "or altered", "the stored bytes against registry/sha256", "all parts, as they were published"),
        ],
        [
            Fact(0 < len(found.items) == len(listed), f"{len(found.items) - len(listed):,} are not", "as above",
                 "every table and store in the crates"),
            Fact(parts.height > 0 and dangling.is_empty(), f"{dangling.height:,} of {parts.height:,} parts are "
                 f"described in none of {len(crates)} crates", "ro-crate-metadata.json: hasPart",
                 "a description of every part"),
        ],
    )  # fmt: skip


def standardized(found: Delivery) -> Grade:
    """6.a: what validators say."""
    tables = [one for one in found.items if one.table is not None]
    differing = [path for path, how in found.differing.items() if how]
    sets = tables_of(found)
    wrong = [one for one in found.summaries if not {column.name for column in one.columns} <= sets.get(one.name, set())]
    defects = found.described.entities.filter(pl.col("defects").list.len() > 0).height
    deviations = found.described.statements.filter(
        pl.col("source_kind") == "d4d", pl.col("deviations").list.len() > 0).height  # fmt: skip
    conforms = [name for name, document in ((CROISSANT.entry, found.croissant),) if document.get("conformsTo")]
    return graded(
        "6.a",
        [Fact(bool(tables) and not differing, f"{len(differing):,} Parquet files differ from their schema",
              "Parquet footers", "files that meet their schema")],
        [
            Fact(bool(sets) and bool(tables) and not wrong,
                 f"{len(found.summaries) - len(wrong):,} of {len(found.summaries):,} tables are record sets of "
                 "Croissant with all their columns", "croissant.json: recordSet; asset checks of croissant",
                 "a record set of every table"),
            Fact(found.described.entities.height > 0 and defects == 0, f"{defects:,} of "
                 f"{found.described.entities.height:,} entities in the crates are defective",
                 "ro-crate-metadata.json; asset checks of derived_crate", "crates without defects"),
            Fact(found.described.statements.filter(source_kind="d4d").height > 0 and deviations == 0,
                 f"{deviations:,} statements of the datasheet deviate from D4D", "datasheet.yaml against its schema",
                 "a datasheet that is valid"),
            Fact(bool(conforms), f"{len(conforms)} of 1 Croissant documents name the version they conform to",
                 "croissant.json: conformsTo", "the declared standard"),
        ],
    )  # fmt: skip


def computable(found: Delivery) -> Grade:
    """6.b: loaders of others, and ours."""
    listed = [one for one in found.items if found.recorded(one, found.croissant_digests)]
    sets = tables_of(found)
    described = {word for word in ("open_release", "mlcroissant") if word in found.page}
    return graded(
        "6.b",
        [Fact(bool(listed), f"{len(listed):,} of {len(found.items):,} tables and stores are file objects of Croissant",
              "croissant.json: distribution, sha256", "file objects in Croissant")],
        [
            Fact(0 < len(found.items) == len(listed), f"{len(found.items) - len(listed):,} are not", "as above",
                 "everything in Croissant"),
            Fact(bool(sets), f"{len(sets):,} record sets for loaders that read Croissant", "croissant.json: recordSet",
                 "record sets"),
            Fact(bool(described), f"the page shows how to load with {', '.join(sorted(described)) or 'nothing'}",
                 _ACCESS,
                 "how to load it, in the report"),
        ],
    )  # fmt: skip


def portable(found: Delivery) -> Grade:
    """6.c: open formats, and the environment that made them."""
    files = [file.path for one in found.items for file in one.files]
    foreign = sorted({PurePosixPath(path).suffix for path in files if not _is_open(path)})
    made = [one.making for one in found.items if one.making is not None]
    locked = [one for one in made if one.software.environment in found.environments]
    return graded(
        "6.c",
        [Fact(bool(files) and not foreign, f"{len(files):,} files; formats that are not open: "
              f"{', '.join(foreign) or 'none'}", "paths of the files", "open formats")],
        [
            Fact(0 < len(found.items) == len(locked), f"for {len(locked):,} of {len(found.items):,} tables and stores "
                 "the list of installed distributions is stored", "registry/environments",
                 "the environment of everything"),
            Fact(all(one.software.python and one.software.machine for one in made) and bool(made),
                 f"Python and machine of {len(made):,} runs", "registry/makings: software", "Python and machine"),
        ],
    )  # fmt: skip


def _is_open(path: str) -> bool:
    return ".zarr/" in path or PurePosixPath(path).suffix in _OPEN_FORMATS


def contextualized(found: Delivery) -> Grade:
    """6.d: splits with their proof, what is withheld, and rows to try code on."""
    schemes = found.splits["scheme"].n_unique() if found.splits.height else 0
    proven = found.leaks is not None and found.leaks.passed
    closed = found.published.files.filter(pl.col("access") != "public")
    text = found.page + found.crate_text
    withheld = [one for one in closed["label"] if one not in text]
    embargoed = found.published.described.entities.filter("is_embargoed").height
    said = bool(re.search(_EMBARGO, text, re.IGNORECASE)) or (closed.is_empty() and not embargoed)
    examples = [one for one in found.summaries if one.examples or not one.rows]
    split = Fact(schemes > 0 and proven, f"{schemes} schemes of splits, version "
                 f"{found.splits['scheme_version'][0] if schemes else 'none'}; "
                 f"{found.leaks.summary if found.leaks else 'no proof'}", "splits; asset check no_leaks",
                 "splits without a leak")  # fmt: skip
    missing = Fact(bool(text) and said and not withheld,
    f"{closed.height:,} published files and {embargoed:,} entities "
                   f"are not accessible; of the files the documents leave out {len(withheld):,}",
                   f"release_files: access; {_ACCESS}", "everything that is withheld, in the documents")  # fmt: skip
    example = Fact(0 < len(found.summaries) == len(examples), f"example rows of {len(examples):,} of "
                   f"{len(found.summaries):,} tables", "summary.json: examples",
                   "example rows of every table")  # fmt: skip
    return graded(
        "6.d",
        [Fact(split.holds or missing.holds or example.holds, "splits, what is withheld, or examples", "as below",
              "any of them")],
        [split, missing, example],
    )  # fmt: skip
