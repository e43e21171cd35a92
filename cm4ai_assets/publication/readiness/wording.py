"""Criteria that are graded on what metadata say, by one rule for the published and the delivered form of a release.

What machines see of a text is that it is there, in sentences, and speaks of what the rubric lists. Whether it is right
and enough is for a person: such criteria carry the question (`Criterion.judge`).

Belongs here: those criteria. Does not belong here: criteria about files, digests, runs and schemas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from cm4ai_assets.publication.readiness import known
from cm4ai_assets.publication.readiness.described import Described
from cm4ai_assets.publication.readiness.grading import Fact, Grade, graded

_SUBJECT = re.compile(
    r"perturb|sec-?ms|ap-?ms|image|imaging|stain|antibod|mda-?mb|kolf|cell lines?|protein|guide|donor|sex|ancestry",
    re.IGNORECASE,
)
_CONTROL = r"control|untreated|non-?targeting|presence and absence|baseline|vehicle|dmso"
_PLAN = r"data management(?: and sharing)? plan|\bDM(?:S)?P\b|dmptool"
_LEGITIMATE = r"commercial|repository of cell lines|consent|de-?identified|\bATCC\b|institutional review|\bIRB\b"
_STEWARDSHIP = r"preserv|retention|long.term|archiv"
_UPDATES = r"updat|quarterly|augment|maintain|releas"
_CHANGES = r"version|errat|deprecat|polic|supersed|replac|withdraw"


def key_actors(found: Described) -> Grade:
    """1.d: who made the data, and whether they can be kept apart from namesakes."""
    people, with_orcid = _people(found)
    places, with_ror = _organizations(found)
    source = f"{found.graph}: authors of the root, Person, Organization; {found.place}: creator"
    return graded(
        "1.d",
        [
            Fact(people > 0, f"{people:,} people are named", source, "no author or creator is named"),
        ],
        [
            Fact(people == with_orcid, f"{with_orcid:,} of {people:,} people have an ORCID", source,
                 f"ORCID of {people - with_orcid:,} people"),
            Fact(0 < places == with_ror, f"{with_ror:,} of {places:,} organizations have a ROR identifier", source,
                 f"ROR identifiers of {places - with_ror:,} organizations" if places else "no organization is named"),
        ],
    )  # fmt: skip


def _people(found: Described) -> tuple[int, int]:
    """People who made the data, and those of them with an ORCID."""
    roots = found.entities.filter("is_root")
    tops = found.entities.filter(pl.col("is_crate"), ~pl.col("is_root"))["crate_file"].unique()  # they describe others
    top = roots.filter(pl.col("crate_file").is_in(tops.implode()))
    authors = (top if top.height else roots)["authors"].explode().drop_nulls().unique().to_list()
    if not authors:
        authors = found.fields(r"^creators?\[\d+\](?:\.name|\.principal_investigator\.name)?$")
        ids = len([one for one in found.fields(r"^creators?\[\d+\].*(?:@id|identifier|orcid)") if _is_orcid(one)])
        return max(len(authors), ids), ids
    described = dict(found.texts.filter(pl.col("entity_id").is_in(authors)).select("entity_id", "text").iter_rows())
    return len(authors), sum(_is_orcid(f"{one} {described.get(one, '')}") for one in authors)


def _is_orcid(text: str) -> bool:
    return known.ORCID.search(text) is not None


def _organizations(found: Described) -> tuple[int, int]:
    """Mentions of organizations, and those with a ROR identifier: entities, affiliations of people, of creators."""
    entities = found.of_type("Organization").height
    people = found.naming(re.compile('"affiliation"'), "Person")
    in_graph = found.naming(known.ROR, "Organization", "Person")
    names = found.fields(r"^creators?\[\d+\]\.affiliations?(?:\[\d+\])?\.name$")
    ids = [one for one in found.fields(r"^creators?\[\d+\]\.affiliations?.*(?:@id|\.id|identifier)$")
           if known.ROR.search(one)]  # fmt: skip
    if entities + people:
        return entities + people, min(in_graph, entities + people)
    return len(names), min(len(ids), len(names))


def semantics(found: Described) -> Grade:
    """2.a: what a search would find it by."""
    terms = found.naming(known.SUBJECT_VOCABULARY, "DefinedTerm") + len(
        [one for one in found.fields(r"^(?:about|subject|keywords).*(?:@id|termCode|inDefinedTermSet|url)")
         if known.SUBJECT_VOCABULARY.search(one)]
    )  # fmt: skip
    return graded(
        "2.a",
        [
            found.fact("abstract", "an abstract", sentences=True),
            found.fact("keywords", "keywords"),
        ],
        [
            Fact(terms > 0, f"{terms:,} subject terms of a recognized vocabulary",
                 f"{found.graph}: entity_type = DefinedTerm; {found.place}: about, subject",
                 "subject terms of MeSH or another subject vocabulary"),
        ],
    )  # fmt: skip


def bias(found: Described) -> Grade:
    """2.d: what could mislead who trains on it."""
    named = [one for one in found.substantive("bias") if _SUBJECT.search(one)]
    controls = [one for topic in ("abstract", "bias", "composition", "limitation", "processing")
                for one in found.substantive(topic) if re.search(_CONTROL, one, re.IGNORECASE)]  # fmt: skip
    return graded(
        "2.d",
        [found.fact("bias", "biases", sentences=True)],
        [
            Fact(bool(named), f"{len(named):,} of {len(found.said('bias')):,} statements on bias name cells, proteins "
                 "or methods of this data", f"{found.place}: statements on bias", "biases of this data by name"),
            found.fact("limitation", "limitations and assumptions", sentences=True),
            found.fact("missing", "reasons for what is missing", sentences=True),
            Fact(bool(controls), f"{len(controls):,} statements speak of treatment and control", found.place,
                 "the balance of treatment and control"),
        ],
    )  # fmt: skip


def fit_for_purpose(found: Described, *, carried: Sequence[Fact] = ()) -> Grade:
    """3.b: uses that are meant, uses that are not, and what was published on it."""
    links = [one for one in found.said("publication") if known.prefix_of(one)]
    return graded(
        "3.b",
        [found.fact("use", "uses that are meant")],
        [
            found.fact("structured_use", "uses in a structured field"),
            found.fact("prohibited", "uses that are prohibited", sentences=True),
            Fact(bool(links), f"{len(links):,} publications with a DOI", f"{found.place}: associatedPublication, "
                 "citation, existing_uses", "links to published analyses"),
            *carried,
        ],
    )  # fmt: skip


def acquired(found: Described) -> Grade:
    """4.a: how the data came to be, and by what right."""
    collected = found.fact("collection", "how the data was collected", sentences=True)
    subjects = found.fact("subjects", "human subjects")
    any_of_them = Fact(collected.holds or subjects.holds, f"{collected.text}; {subjects.text}", found.place,
                       "how the data was acquired, or that it is of no human subjects")  # fmt: skip
    return graded(
        "4.a",
        [any_of_them],
        [
            collected,
            subjects,
            found.fact("basis", "the basis of consent or exemption", sentences=True),
            found.fact("ethics", "an ethics review"),
            _somewhere(found, _LEGITIMATE, "the legitimacy of the source", "subjects", "basis", "bias", "collection"),
            _somewhere(found, _PLAN, "a data management plan", "governance", "maintenance", "ethics", "collection",
                       lacking="a link to the data management plan"),
        ],
    )  # fmt: skip


def managed(found: Described) -> Grade:
    """4.b: how sensitive it is, why, and what follows."""
    return graded(
        "4.b",
        [found.fact("subjects", "whether it is about human subjects")],
        [
            found.fact("security", "how sensitive it is"),
            _somewhere(found, _LEGITIMATE, "why it is that sensitive", "subjects", "basis", "security", "bias"),
            found.fact("governance", "who governs it"),
        ],
    )


def secure(found: Described) -> Grade:
    """4.d: whether it has to be protected, in words that machines know."""
    stated = [one for one in found.said("security") if one.strip().lower() in known.HL7]
    return graded(
        "4.d",
        [found.fact("security", "a security level")],
        [
            Fact(bool(stated), f"security level {', '.join(stated) or 'not in the vocabulary'}",
                 f"{found.place}: confidentialityLevel against HL7 v3 Confidentiality",
                 "a level of HL7 v3 Confidentiality, such as unrestricted"),
        ],
    )  # fmt: skip


def governed(found: Described) -> Grade:
    """5.c: who keeps it up, and how."""
    return graded(
        "5.c",
        [found.fact("maintenance", "a plan for maintenance", sentences=True)],
        [
            found.fact("maintenance", "stewardship", sentences=True, like=_STEWARDSHIP, lacking="who keeps the data"),
            found.fact("maintenance", "updates", sentences=True, like=_UPDATES, lacking="how it is kept up"),
            found.fact("maintenance", "versions and changes", sentences=True, like=_CHANGES,
                       lacking="how versions, errata and changes of policy are handled"),
        ],
    )  # fmt: skip


def _somewhere(found: Described, like: str, what: str, *topics: str, lacking: str = "") -> Fact:
    """A text with certain words, on any of some topics."""
    texts = dict.fromkeys(one for topic in topics for one in found.said(topic) if re.search(like, one, re.IGNORECASE))
    shown = f" (“{next(iter(texts))[:80]}”)" if texts else ""
    source = f"{found.place}: {', '.join(topics)} ~ {like}"
    return Fact(bool(texts), f"{what}: {len(texts):,} statements{shown}", source, lacking or f"no statement: {what}")
