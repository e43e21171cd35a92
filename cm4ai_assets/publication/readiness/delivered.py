"""The release as it is delivered here, graded: FAIRness and provenance.

Whatever is graded is held against what was recorded when it was published: a document that says other digests, other
columns or another licence than the files have counts for less, not for more.

Belongs here: those two domains. Does not belong here: the evidence (`delivery`), the other domains
(`delivered_content`, `delivered_use`), and criteria about texts (`wording`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cm4ai_assets.publication.readiness import known
from cm4ai_assets.publication.readiness.delivery import Delivery
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded
from cm4ai_assets.updates.credit import NOT_STATED, licence_name

_NUMBER = re.compile(r"(?<![^\s/=:#\"])\d+(?![^\s/&#?\"])")
_STEPS = ("CreateAction", "Computation")
_OF_THE_ARCHIVE = ("release_files", "release_changes")
"""Tables that are the archive's own record, and what changed in it: their source is the dataset itself."""


def findable(found: Delivery) -> Grade:
    """0.a: the documents lead to the version that it is made from."""
    doi, version = found.identity
    bare = doi.removeprefix("doi:").lower()
    naming = {name: bool(bare) and bare in text.lower() for name, text in _texts(found).items()}
    prefix = known.prefix_of(doi)
    repository = known.SUSTAINABLE.get(prefix or "", "")
    versions = {name: _states_version(document, version) for name, document in
                (("croissant.json", found.croissant), ("ro-crate-metadata.json", found.crate))}  # fmt: skip
    return graded(
        "0.a",
        [Fact(any(naming.values()), f"{sum(naming.values())} of {len(naming)} documents name {doi or 'the DOI'}",
              "croissant.json, ro-crate-metadata.json: the DOI of release_files",
              "the release's DOI in the documents")],
        [
            Fact(all(naming.values()), f"documents without the DOI: {_listed(naming)}", "as above",
                 "the DOI in both documents"),
            Fact(bool(version) and all(versions.values()), f"documents that do not say version {version}: "
                 f"{_listed(versions)}", "croissant.json, ro-crate-metadata.json: version", "the version in both"),
            Fact(bool(repository), f"the DOI is of {repository or 'no repository that is known to last'}",
                 "release_files: prefix of doi", "a release in a sustainable repository"),
        ],
        [Fact(True, "what is made here has no identifier of its own until it is deposited", "none")],
    )  # fmt: skip


def _texts(found: Delivery) -> dict[str, str]:
    return {"croissant.json": found.croissant_text, "ro-crate-metadata.json": found.crate_text}


def _listed(by_name: Mapping[str, bool]) -> str:
    return ", ".join(name for name, holds in by_name.items() if not holds) or "none"


def _states_version(document: Mapping[str, Any], version: str) -> bool:
    """A document says the version of the release: as a value, or in a sentence about it."""
    root = {key: value for key, value in document.items() if key not in {"recordSet", "distribution", "@context"}}
    return bool(version) and re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)", json.dumps(root)) is not None


def accessible(found: Delivery) -> Grade:
    """0.b: metadata in files of their own."""
    there = {name: bool(text) for name, text in _texts(found).items()}
    standard = {
        "croissant.json": "mlcommons.org/croissant" in json.dumps(found.croissant.get("conformsTo", "")),
        "ro-crate-metadata.json": "w3id.org/ro/crate" in json.dumps(found.crate.get("@context", "")),
    }
    page = found.published.described.statements.filter(source_kind="landing_page").height
    return graded(
        "0.b",
        [Fact(any(there.values()), f"{sum(there.values())} of 2 documents can be read without the data",
              "documents croissant, derived_crate", "metadata in files of their own")],
        [
            Fact(all(standard.values()), f"documents in no standard vocabulary: {_listed(standard)}",
                 "croissant.json: conformsTo; ro-crate-metadata.json: @context", "both in schema.org's vocabulary"),
            Fact(page > 0, f"the landing page of the DOI makes {page:,} statements", "release_datasheet: "
                 "source_kind = landing_page", "metadata under the DOI that do not need the data"),
        ],
    )  # fmt: skip


def interoperable(found: Delivery) -> Grade:
    """0.c: schemas and vocabularies."""
    tables = [one for one in found.items if one.table is not None]
    typed = [one for one in tables if not found.differing.get(one.path, "")]
    crate_terms = found.described.naming(known.VOCABULARY)
    croissant_terms = len(set(known.VOCABULARY.findall(found.croissant_text)))
    linked = sum(bool(text) for text in _texts(found).values())
    return graded(
        "0.c",
        [Fact(0 < len(tables) == len(typed), f"{len(typed):,} of {len(tables):,} tables have the schema that is "
              "described", "Parquet footers against docs/data-dictionary.md", "a schema in every file")],
        [
            Fact(linked == len(_texts(found)), f"{linked} of 2 documents are JSON-LD", "croissant, derived_crate",
                 "metadata in JSON-LD"),
            Fact(crate_terms + croissant_terms > 0, f"{crate_terms:,} entities in the crates and {croissant_terms:,} "
                 "terms in Croissant are of a standard vocabulary or reference database",
                 "ro-crate-metadata.json, croissant.json: ids in MeSH, OBO, UniProt, Ensembl, Cellosaurus",
                 "terms of a standard vocabulary"),
        ],
    )  # fmt: skip


def reusable(found: Delivery) -> Grade:
    """0.d: the licences of the published files, on everything made from them."""
    without = [one for one in found.items if one.credit.get("license", NOT_STATED) == NOT_STATED]
    said = {name: _licences_in(document) for name, document in
            (("croissant.json", found.croissant), ("ro-crate-metadata.json", found.crate))}  # fmt: skip
    other = {name: not (found.licences - {NOT_STATED}) - stated for name, stated in said.items()}
    named = ", ".join(sorted(found.licences))
    return graded(
        "0.d",
        [Fact(bool(found.items) and found.licences != {NOT_STATED}, f"licences of what is delivered: {named}",
              "the licence in each table's file", "a licence")],
        [
            Fact(not without, f"{len(without):,} of {len(found.items):,} tables and stores state none",
                 "as above", "a licence of everything"),
            Fact(all(other.values()), f"documents that leave out a licence of the files: {_listed(other)}",
                 "license of the documents against the licences in the files", "every licence carried over"),
        ],
    )  # fmt: skip


def _licences_in(document: Mapping[str, Any]) -> frozenset[str]:
    """Every licence that a document states, by name."""
    found: set[str] = set()

    def walk(value: object, key: str = "") -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                walk(part, key if name in {"@id", "url", "name"} else name)
            if "creativecommons.org" in str(value.get("@id", "")):
                found.add(licence_name(str(value["@id"])))
        elif isinstance(value, list):
            for part in value:
                walk(part, key)
        elif isinstance(value, str) and key in {"license", "sc:license"}:
            found.update(licence_name(part) for part in value.split(", "))

    walk({key: value for key, value in document.items() if key != "@context"})
    return frozenset(found)


def transparent(found: Delivery) -> Grade:
    """1.a: the published file behind everything."""
    reached = [one for one in found.items if one.path in _reaching(found)]
    files = {file for origins in found.origins.values() for file in origins}
    ids = {file.file_id for file in files if file.file_id}
    named = _named_ids(found)
    return graded(
        "1.a",
        [Fact(bool(reached), f"{len(reached):,} of {len(found.items):,} tables and stores lead to published files",
              "lineage of each: published_inputs, and the tables that it is made of", "a published file behind it")],
        [
            Fact(len(reached) == len(found.items), f"{len(found.items) - len(reached):,} lead to none",
                 "as above", "a published file behind everything"),
            Fact(bool(ids) and ids <= named, f"{len(ids & named):,} of {len(ids):,} published files are named by id in "
                 "the crates", "ro-crate-metadata.json: ids of release_files and figshare_files",
                 "the id of every published file in the crates"),
        ],
        [Fact(True, f"{sum(file.digest is not None for file in files):,} of {len(files):,} published files have a "
              "published digest", "release_files, figshare_files: digest")],
    )  # fmt: skip


def _named_ids(found: Delivery) -> frozenset[str]:
    """Numbers that entities of the crates state as an id: alone, or at the end of a part of an address."""
    return frozenset(_NUMBER.findall(" ".join(found.described.texts["text"])))


def _reaching(found: Delivery) -> frozenset[str]:
    """Paths of what leads to published files, itself or by what it was made of."""
    reached = {one.path for one in found.items if found.origins.get(one.path) or one.name in _OF_THE_ARCHIVE}
    reached |= {
        one.path for one in found.items if one.making and any(i.path.startswith("blobs/") for i in one.making.inputs)
    }
    while True:
        more = {one.path for one in found.items if one.path not in reached and one.making
                and any(step.path in reached for step in one.making.inputs)}  # fmt: skip
        if not more:
            return frozenset(reached)
        reached |= more


def traceable(found: Delivery) -> Grade:
    """1.b: the run behind everything, in the storage and in the crates."""
    made = [one.making for one in found.items if one.making is not None]
    runs = {one.run_id for one in made}
    in_crate = {run for run in runs if run in found.crate_text}
    steps = found.described.of_type(*_STEPS)
    with_software = found.described.related(steps, "used_software")
    return graded(
        "1.b",
        [Fact(bool(made), f"the run of {len(made):,} of {len(found.items):,} tables and stores is recorded",
              "registry/makings", "a record of the runs")],
        [
            Fact(0 < len(found.items) == len(made), f"of {len(found.items) - len(made):,} it is not known",
                 "registry/makings", "the run of everything; materialize again what has none"),
            Fact(bool(runs) and runs == in_crate,
                 f"{len(in_crate):,} of {len(runs):,} runs are described in the crates",
                 "ro-crate-metadata.json: ids of runs", "every run in the crates"),
            Fact(0 < steps.height == with_software, f"{with_software:,} of {steps.height:,} steps in the crates name "
                 "their software", "ro-crate-metadata.json: CreateAction, usedSoftware", "software of every step"),
        ],
    )  # fmt: skip


def interpretable(found: Delivery) -> Grade:
    """1.c: the software of the runs."""
    programs, available, archived = found.described.programs()
    commits = {one.making.software.commit for one in found.items if one.making}
    ran = {one.making.software.source for one in found.items if one.making}
    kept = {one for one in ran if one is not None and one in found.software}
    source = "ro-crate-metadata.json: SoftwareApplication"
    return graded(
        "1.c",
        [Fact(available > 0 or 0 < len(ran) == len(kept), f"{available:,} of {programs:,} programs have an address; "
              f"the source of {len(kept):,} of {len(ran):,} that ran is in the derived crate", f"{source}, software/",
              "an address of the software, or its source")],
        [Fact(0 < programs == archived, f"{archived:,} of {programs:,} programs are archived under a "
              "persistent identifier", source,
              "the version of the software archived (Zenodo, Software Heritage), and its "
              "identifier in the crates")],
        [Fact(True, f"commits of the software: {', '.join(sorted(one or 'not known' for one in commits)) or 'none'}",
              "registry/makings: software.commit")],
    )  # fmt: skip
