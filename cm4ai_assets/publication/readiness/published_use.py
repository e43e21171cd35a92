"""The release as published, graded: sustainability and computability.

Belongs here: where raw data are kept, how parts belong together, what it takes to read and to use them. Does not belong
here: plans, which are texts (`wording`).
"""

from __future__ import annotations

import polars as pl

from cm4ai_assets.publication.readiness import known
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.publication.readiness.published import Published
from cm4ai_assets.vocabulary import Modality

_KIND_OF = {
    Modality.SECMS: "mass spectrometry",
    Modality.APMS: "mass spectrometry",
    Modality.PERTURBSEQ: "sequencing",
}
KEPT = r"long.term|preserv|retention|institutional"
_UNREACHABLE = r"^(?:/|file:|[A-Za-z]:\\)"


def kinds_of(found: Published) -> dict[str, int]:
    """Kinds of data for which there are specialist repositories, with how often the release names a deposit there."""
    kinds = {_KIND_OF[Modality(one)] for one in found.files["modality"].drop_nulls().unique() if one in _KIND_OF}
    by_words = {
        "mass spectrometry": r"(?i)sec-?ms|ap-?ms|mass spec",
        "sequencing": r"(?i)perturb-?seq|sequenc",
    }
    words = found.described.said("abstract") + found.described.said("keywords")
    kinds |= {kind for kind, like in by_words.items() if pl.Series(words, dtype=pl.String).str.contains(like).any()}
    return {kind: found.mentions(kind) for kind in sorted(kinds)}


def persistent(found: Published) -> Grade:
    """5.a: whether raw data will be there to be processed again."""
    kinds = kinds_of(found)
    images = found.files.filter(pl.col("role") == "images").height
    raw = images + sum(kinds.values())
    without = [kind for kind, count in kinds.items() if not count]
    return graded(
        "5.a",
        [Fact(raw > 0, f"{images:,} image archives in the dataset; "
              + "; ".join(f"{count:,} mentions of {kind} deposits" for kind, count in kinds.items()),
              "release_files: role = images; massive_files; sra_runs; crate_entities", "raw data that are kept")],
        [
            Fact(not without, f"kinds of data without a deposit by accession: {', '.join(without) or 'none'}",
                 "massive_files, sra_runs, crate_entities", "accessions of the raw data of every kind"),
            found.described.fact("maintenance", "a commitment to keep them", like=KEPT,
                                 lacking="a commitment to keep the raw data"),
        ],
    )  # fmt: skip


def appropriate(found: Published) -> Grade:
    """5.b: whether the field looks for such data there."""
    dois = " ".join(found.files["doi"].unique())
    prefix = known.prefix_of(dois)
    generalist = known.SUSTAINABLE.get(prefix or "", "")
    kinds = kinds_of(found)
    missing = [kind for kind, count in kinds.items() if not count]
    return graded(
        "5.b",
        [Fact(bool(generalist), f"the dataset is at {generalist or 'no repository that is recognized'}",
              "release_files: prefix of doi", "a recognized repository")],
        [Fact(not missing, "; ".join(f"{kind}: {count:,} mentions of a specialist repository" for kind, count in
              kinds.items()) or "no kind of data that a specialist repository takes",
              "massive_files, sra_runs, crate_entities", f"a specialist repository for {', '.join(missing)}")],
    )  # fmt: skip


def associated(found: Published) -> Grade:
    """5.d: whether a user gets all the parts, and knows that they belong together."""
    entities = found.described.entities
    embargoed = entities.filter("is_embargoed").height
    closed = found.files.filter(pl.col("access") != "public").height
    parts = found.described.edges.filter(pl.col("relation") == "has_part")
    dangling = parts.filter(~pl.col("target_known")).height
    return graded(
        "5.d",
        [
            Fact(entities.height > 0, f"{entities.height:,} entities in the crates", "crate_entities",
                 "a record of what belongs together"),
            Fact(closed + embargoed == 0, f"{closed:,} files at the archive and {embargoed:,} entities in the crates "
                 "are not accessible", "release_files: access; crate_entities: is_embargoed", "access to all parts"),
        ],
        [Fact(parts.height > 0 and dangling == 0, f"{dangling:,} of {parts.height:,} parts are described nowhere in "
              "the release", "crate_edges: relation = has_part, not target_known", "a description of every part")],
    )  # fmt: skip


def standardized(found: Published) -> Grade:
    """6.a: whether a validator accepts it."""
    defects = found.described.entities.filter(pl.col("defects").list.len() > 0).height
    deviations = found.described.statements.filter(
        pl.col("source_kind").is_in(["d4d", "crate_root"]), pl.col("deviations").list.len() > 0).height  # fmt: skip
    declared = found.described.edges.filter(pl.col("relation") == "conforms_to").height
    return graded(
        "6.a",
        [Fact(declared > 0, f"{declared:,} statements of a standard that is met", "crate_edges: relation = conforms_to",
              "a declared standard")],
        [Fact(defects + deviations == 0, f"{defects:,} entities and {deviations:,} statements deviate from their "
              "standard", "crate_entities: defects; release_datasheet: deviations", "crates and datasheets that pass")],
    )  # fmt: skip


def computable(found: Published) -> Grade:
    """6.b: whether a program gets the bytes."""
    public = found.files.filter(pl.col("access") == "public").height
    addresses = found.data.explode("content_urls")["content_urls"].drop_nulls()
    stuck = int(addresses.str.contains(_UNREACHABLE).sum())
    ftp = int(addresses.str.starts_with("ftp:").sum())
    return graded(
        "6.b",
        [Fact(public > 0, f"{public:,} of {found.files.height:,} files can be fetched by id through the archive's API",
              "release_files: access, file_id", "files that a program can fetch")],
        [
            Fact(public == found.files.height, f"{found.files.height - public:,} files cannot be fetched without "
                 "somebody's permission", "release_files: access", "access to all files"),
            Fact(stuck == 0, f"{stuck:,} of {len(addresses):,} addresses in the crates are paths on somebody's disk or "
                 "in a ZIP", "crate_entities: content_urls", "addresses that a program can fetch"),
            Fact(ftp == 0, f"{ftp:,} addresses are FTP", "crate_entities: content_urls", "addresses by HTTPS"),
        ],
    )  # fmt: skip


def portable(found: Published) -> Grade:
    """6.c: what it takes to read it."""
    stated = sorted({*found.data["format"].drop_nulls(), *found.described.fields(r"^evi:formats")})
    vendors = [one for one in stated if known.VENDOR_FORMATS.search(one)]
    software = found.described.of_type("Software", "SoftwareApplication").height
    local = int(found.data.explode("content_urls")["content_urls"].drop_nulls().str.contains(r"^/").sum())
    needs = found.described.said("environment")
    return graded(
        "6.c",
        [
            Fact(bool(stated), f"{len(stated)} formats are stated", "crate_entities: format",
                 "the formats of the data"),
            Fact(local == 0, f"{local:,} addresses are paths on somebody's cluster",
                 "crate_entities: content_urls ~ ^/",
                 "data without hard-coded paths"),
        ],
        [Fact(not vendors or bool(needs), f"formats of vendors: {', '.join(vendors) or 'none'}; {software:,} programs "
              f"and {len(needs):,} statements on what it takes to run them", "crate_entities: format, Software; "
              "release_datasheet: softwareRequirements", "an environment that machines can set up, for these formats")],
    )  # fmt: skip


def contextualized(found: Published) -> Grade:
    """6.d: splits, what is withheld, examples."""
    splits = found.described.fields(r"^(?:splits|rai:dataSplit|subsets.*is_data_split)")
    closed = found.files.filter(pl.col("access") != "public").height
    embargoed = found.described.entities.filter("is_embargoed").height
    stated = found.described.fact("missing", "what is withheld", like=r"embargo|withheld|not (?:yet )?included|redact")
    examples = found.data.filter(pl.col("name").str.contains(r"(?i)\bexample|\bsample data|synthetic|\btoy\b")).height
    splits_fact = Fact(bool(splits), f"{len(splits):,} statements on splits", "release_datasheet: splits",
                       "splits with their method, or that none are needed")  # fmt: skip
    examples_fact = Fact(examples > 0, f"{examples:,} datasets are examples", "crate_entities: name",
                         "machine-readable examples")  # fmt: skip
    some = any(fact.holds for fact in (splits_fact, stated, examples_fact))
    return graded(
        "6.d",
        [Fact(some, "splits, what is withheld, or examples", "as below", "any of them")],
        [splits_fact, stated, examples_fact],
        [Fact(True, f"{closed:,} files and {embargoed:,} entities are not accessible", "release_files: access; "
              "crate_entities: is_embargoed")],
    )  # fmt: skip
