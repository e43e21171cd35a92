"""The release as published, graded: the archive's record, the release's crates and datasheets, inventories of deposits.

Belongs here: the evidence, FAIRness and provenance. Does not belong here: the other domains (`published_content`), and
criteria about texts (`wording`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from cm4ai_assets import tables
from cm4ai_assets.publication.readiness import known
from cm4ai_assets.publication.readiness.described import Described
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.updates.credit import licence_name

READS = ("release_files", "crate_entities", "crate_edges", "release_datasheet", "massive_files", "figshare_files",
         "sra_runs")  # fmt: skip
"""Tables that say how a release was published. Only the first is in every release."""
_DATA = ("Dataset", "File", "ROCrate")
_STEPS = ("Computation", "Experiment", "CreateAction")


@dataclass(frozen=True)
class Published:
    """What there is of a release as its archives published it; a table that is not made has no rows."""

    files: pl.DataFrame
    described: Described
    deposits: pl.DataFrame
    articles: pl.DataFrame
    runs: pl.DataFrame

    @classmethod
    def of(cls, frames: dict[str, pl.DataFrame]) -> Published:
        """The evidence in these tables; others are empty."""
        files, entities, edges, datasheet, deposits, articles, runs = (
            frames.get(name, tables.table(name).empty()) for name in READS
        )
        described = Described(datasheet, entities, edges, "release_datasheet", "crate_entities")
        return cls(files, described, deposits, articles, runs)

    @cached_property
    def data(self) -> pl.DataFrame:
        """Entities that are data: datasets and files that are no crates themselves."""
        return self.described.of_type(*_DATA).filter(~pl.col("is_crate"))

    @cached_property
    def unread(self) -> list[str]:
        """Crates of which the release describes a stub, and whose own crate was not read."""
        crates = self.described.entities.filter("is_crate")
        roots = crates.filter("is_root")["entity_id"]
        return crates.filter(~pl.col("is_root"), ~pl.col("entity_id").is_in(roots.implode()))[
            "entity_id"
        ].drop_nulls().unique().sort().to_list()  # fmt: skip

    @property
    def limits(self) -> Sequence[str]:
        """What could not be seen."""
        return (
            *([(f"{len(self.unread)} crates that the release describes were not read: {', '.join(self.unread)}. What "
               "stands in them is not counted.")] if self.unread else []),
            *(f"{name} is not made for this release." for name, frame in (
                ("crate_entities", self.described.entities), ("release_datasheet", self.described.statements))
              if frame.is_empty()),
        )  # fmt: skip

    def mentions(self, kind: str) -> int:
        """How many rows and entities name a deposit in a specialist repository for a kind of data."""
        own = {"mass spectrometry": self.deposits.height, "sequencing": self.runs.height}
        return own[kind] + self.described.naming(known.SPECIALISTS[kind])


def findable(found: Published) -> Grade:
    """0.a: one version, under an identifier that stays."""
    named = found.files.select("doi", "version").unique().rows()
    doi, version = named[0] if len(named) == 1 else ("", "")
    prefix = known.prefix_of(doi)
    repository = known.SUSTAINABLE.get(prefix or "", "")
    return graded(
        "0.a",
        [Fact(prefix is not None, f"the archive's record names {doi or 'no DOI'}", "release_files: doi",
              "a persistent identifier")],
        [
            Fact(bool(repository), f"the DOI is of {repository or 'no repository that is known to last'}",
                 "release_files: prefix of doi", "a deposit in a sustainable repository"),
            Fact(bool(version), f"the record is of version {version or 'unknown'} alone", "release_files: version",
                 "one version of one dataset"),
        ],
    )  # fmt: skip


def accessible(found: Published) -> Grade:
    """0.b: metadata that are there without the data."""
    page = found.described.statements.filter(source_kind="landing_page")
    standard = page.filter(
        pl.col("field").str.contains(r"^(?:@context|@type|conformsTo)"),
        pl.col("value").str.contains(f"(?i){known.SCHEMA_ORG.pattern}"),
    )
    return graded(
        "0.b",
        [Fact(found.files.height > 0, f"the archive's record lists {found.files.height:,} files", "release_files",
              "a record of the dataset at an archive")],
        [Fact(standard.height > 0, f"the landing page has {page.height:,} statements as schema.org JSON-LD",
              "release_datasheet: source_kind = landing_page, @context", "JSON-LD on the landing page")],
    )  # fmt: skip


def interoperable(found: Published) -> Grade:
    """0.c: metadata that machines read, and that mean the same elsewhere."""
    terms = found.described.naming(known.VOCABULARY)
    machine = found.described.entities.height + found.described.statements.height
    return graded(
        "0.c",
        [Fact(machine > 0, f"{found.described.entities.height:,} entities in crates and "
              f"{found.described.statements.height:,} statements in datasheets", "crate_entities, release_datasheet",
              "metadata for machines")],
        [Fact(terms > 0, f"{terms:,} entities name a term of a standard vocabulary or reference database",
              "crate_entities: entity_id, identifiers, urls, extra", "terms of a standard vocabulary")],
    )  # fmt: skip


def reusable(found: Published) -> Grade:
    """0.d: a licence that machines read."""
    stated = {*found.files["license"].drop_nulls(), *found.described.said("license")}
    open_ones = sorted({one for text in stated if (one := licence_name(text)).startswith("CC")})
    without = found.files["license"].null_count()
    return graded(
        "0.d",
        [Fact(bool(stated), f"{len(stated)} licences are stated", "release_files: license; release_datasheet: license",
              "a licence")],
        [
            Fact(bool(open_ones), f"licences that machines read: {', '.join(open_ones) or 'none'}",
                 "release_files: license", "a licence with an address or a standard name"),
            Fact(without == 0, f"{without:,} of {found.files.height:,} files have no licence",
                 "release_files: license is null", "a licence of every file"),
        ],
    )  # fmt: skip


def transparent(found: Published) -> Grade:
    """1.a: the exact data and samples that it was taken from."""
    deposits = sum(found.mentions(kind) for kind in known.SPECIALISTS)
    samples = found.described.of_type("Sample").height
    referred = found.described.edges.filter(
        (pl.col("relation") == "used_sample") | pl.col("target_id").str.contains("(?i)/sample-|/instrument-")
    )
    people = found.described.said("people")
    return graded(
        "1.a",
        [Fact(bool(people) or samples > 0, f"{len(people):,} statements on who made it, {samples:,} samples",
              "release_datasheet: creator, author; crate_entities: Sample", "a source that is named")],
        [
            Fact(deposits > 0, f"{deposits:,} entities and rows name a deposit of raw data by accession or address",
                 "crate_entities: identifiers, content_urls; massive_files; sra_runs", "accessions of raw data"),
            Fact(referred.height > 0, f"{referred.height:,} references to samples and instruments",
                 "crate_edges: relation = used_sample, or target_id", "samples and instruments that are referred to"),
        ],
    )  # fmt: skip


def traceable(found: Published) -> Grade:
    """1.b: what was done, with which software, and which parts of the record are missing."""
    steps = found.described.of_type(*_STEPS)
    computed = found.described.of_type("Computation", "CreateAction")
    with_software = found.described.related(computed, "used_software")
    dangling = found.described.edges.filter(~pl.col("target_known"), pl.col("relation").is_in(
        ("generated_by", "derived_from", "used_dataset", "used_sample", "used_software", "input",
        "output")))  # fmt: skip
    return graded(
        "1.b",
        [Fact(steps.height > 0, f"{steps.height:,} experiments and computations", "crate_entities: Experiment, "
              "Computation", "steps from samples to data")],
        [
            Fact(0 < computed.height == with_software, f"{with_software:,} of {computed.height:,} computations name "
                 "their software", "crate_edges: relation = used_software", "software of every computation"),
            Fact(dangling.is_empty(), f"{dangling.height:,} references of the provenance lead to nothing that is "
                 "described, and nothing says so", "crate_edges: not target_known",
                 "the missing part of the provenance, or a statement that it is missing"),
        ],
    )  # fmt: skip


def interpretable(found: Published) -> Grade:
    """1.c: software that will still be there."""
    programs, available, archived = found.described.programs()
    claimed = "".join(found.described.fields(r"^evi:softwareCount$")[:1])
    source = "crate_entities: entity_type = Software, urls, identifiers"
    return graded(
        "1.c",
        [Fact(available > 0, f"{available:,} of {programs:,} programs have an address", source,
              "an address of the software")],
        [Fact(0 < programs == archived, f"{archived:,} of {programs:,} programs are archived under a "
              "persistent identifier", source, "an archived version of each program (Zenodo, Software Heritage)")],
        [Fact(True, f"the crates claim {claimed} programs", "release_datasheet: evi:softwareCount")] if claimed else [],
    )  # fmt: skip
