"""What a report says of rights and duties: access, licences, terms that are carried on, citation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import polars as pl

from cm4ai_assets.publication.blocks import Block, Bullets, Code, Mono, Section, Table, Text, table_of
from cm4ai_assets.publication.citation import BIBTEX_NAME, CFF_NAME
from cm4ai_assets.publication.report.subject import Subject
from cm4ai_assets.references import Kind
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES, SRA_RUNS
from cm4ai_assets.tables.proteomics import MASSIVE_FILES
from cm4ai_assets.tables.release import RELEASE_FILES
from cm4ai_assets.updates.credit import NOT_STATED

_ROWS = 40
_ELSEWHERE = ((FIGSHARE_FILES, "label", "Figshare files"), (SRA_RUNS, "run", "Sequencing runs"))


def embargoes(subject: Subject) -> Section:
    """Files that are not public, until when, and what the release says of embargoes."""
    files = subject.frame(RELEASE_FILES.name)
    blocks: list[Block] = []
    if files is None:
        blocks.append(Text(subject.why_not(RELEASE_FILES.name)))
    else:
        closed = files.filter(pl.col("access") != "public").sort("available_on", "label", nulls_last=True)
        shown = closed.select("label", "size", "access", "available_on", "unavailable_from", "file_condition")
        none = f"All {files.height:,} files of the release were public when it was locked."
        table = table_of(shown, f"Files that are not public, of {files.height:,}", shown=_ROWS, absent="-")
        blocks.append(table if closed.height else Text(none))
    for table_there, unit, label in _ELSEWHERE:
        rows = subject.frame(table_there.name)
        if rows is not None and (closed := rows.filter(pl.col("access") != "public")).height:
            counts = closed.group_by("access", "embargo_until").agg(pl.col(unit).len().alias("number"))
            ordered = counts.sort("access", "embargo_until", nulls_last=True)
            blocks.append(table_of(ordered, f"{label} that are not public", shown=_ROWS))
    said = subject.stated["embargo"]
    if said:
        blocks += [Text("The release's own datasheets say:"), Bullets(said)]
    return Section("Embargoes and access", tuple(blocks))


def licences(subject: Subject) -> Section:
    """Each licence and what it covers: what is delivered here, and what is published."""
    delivered: dict[str, list[str]] = defaultdict(list)
    for one in subject.delivery:
        if one.kind is Kind.TABLE:
            delivered[one.credit.get("license", NOT_STATED)].append(one.name)
    rows = [(name, ", ".join(sorted(set(covered)))) for name, covered in sorted(delivered.items())]
    intro = (
        "A licence is what the archive states for the files that a table is made of; a table of several sources has "
        "all of their licences. Parts keep their own licence: none is extended to the rest."
    )
    blocks: list[Block] = [Text(intro), Table("Licences of what is delivered here", ["licence", "covers"], rows)]
    for source, label in ((RELEASE_FILES, "Dataverse"), (FIGSHARE_FILES, "Figshare"), (MASSIVE_FILES, "MassIVE")):
        frame = subject.frame(source.name)
        if frame is not None and frame.height:
            by = frame.group_by("license").agg(pl.len().alias("files"), pl.col("size").sum())
            ordered = by.rename({"license": "licence"}).sort("files", descending=True)
            blocks.append(table_of(ordered, f"Licences of files published at {label}", shown=_ROWS))
    return Section("Licences", tuple(blocks))


def terms(subject: Subject) -> Section:
    """What the release's datasheets state that must be carried on with the data."""
    labels = {"prohibited_use": "Prohibited uses", "terms": "Terms of access", "contact": "Contact"}
    parts = [
        Section(label, (Bullets(subject.stated[topic]),)) for topic, label in labels.items() if subject.stated[topic]
    ]
    silent = [label.lower() for topic, label in labels.items() if not subject.stated[topic]]
    blocks: list[Block] = [Text("These statements are the release's own, word for word. Whoever passes data on passes "
                                "them on.")]  # fmt: skip
    if silent:
        blocks.append(Text(f"No datasheet that was read states anything on: {', '.join(silent)}."))
    return Section("Prohibited uses and terms", (*blocks, *parts))


def citation(subject: Subject, beside: Mapping[str, bytes]) -> Section:
    """How to cite, for people and for programs."""
    blocks: list[Block] = [Text(subject.origin.citation)]
    more = [one for one in subject.stated["citation"] if one != subject.origin.citation]
    if more:
        blocks += [Text("The release's datasheets also name:"), Bullets(more)]
    for name, label in ((BIBTEX_NAME, "BibTeX"), (CFF_NAME, "Citation File Format")):
        if name in beside:
            code = Code(beside[name].decode().rstrip(), f"{label} of the release")
            blocks.append(Section(label, (Text(["In the file ", Mono(name), " beside this page:"]), code)))
    return Section("How to cite", tuple(blocks))
