"""The rubric: 28 criteria in 7 domains, what each level asks for, gates, caps, and what only a person can judge.

Source: "Rubric for Review of AI-readiness Evaluation Criteria" v1.8 (2026-09-10) of the Bridge2AI Standards Working
Group, as `fairscape/AIreadiness-grader` transcribes it (`src/aireadiness_evidence/rubric_defs.yaml`); the criteria come
from the group's preprint (doi:10.1101/2024.10.23.619844). The levels stand here in our words, shortened.

Belongs here: the rubric. Does not belong here: what a release has of it (`published_*`, `delivered_*`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "1.8 (2026-09-10)"
SOURCE = "Rubric for Review of AI-readiness Evaluation Criteria, Bridge2AI Standards Working Group"
PREPRINT = "https://doi.org/10.1101/2024.10.23.619844"
MOST = 2
"""Points that a criterion can have."""

DOMAINS: Mapping[str, str] = {
    "0": "FAIRness",
    "1": "Provenance",
    "2": "Characterization",
    "3": "Pre-model explainability",
    "4": "Ethics",
    "5": "Sustainability",
    "6": "Computability",
}


@dataclass(frozen=True)
class Criterion:
    """One criterion.

    Attributes:
        id: Number of the domain and a letter: `3.c`.
        name: The rubric's name.
        one: What level 1 asks for.
        two: What level 2 asks for.
        gate: Points below which the gate is closed; 0: no gate.
        cap: The criterion that this one cannot exceed.
        judge: The question that a domain expert has to answer; empty where facts alone decide.
    """

    id: str
    name: str
    one: str
    two: str
    gate: int = 0
    cap: str = ""
    judge: str = ""

    @property
    def domain(self) -> str:
        """Name of the domain."""
        return DOMAINS[self.id[0]]


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "0.a", "Findable",
        "a persistent identifier, or a registered repository without one",
        "a persistent identifier that leads to one version in a sustainable repository",
        gate=2,
    ),
    Criterion(
        "0.b", "Accessible",
        "metadata that stay available without the data",
        "such metadata in a standard vocabulary (schema.org, DataCite, DCAT)",
        gate=1,
    ),
    Criterion(
        "0.c", "Interoperable",
        "metadata with a machine-readable schema",
        "metadata in a formal specification such as JSON-LD that refers to a standard vocabulary",
        gate=1,
    ),
    Criterion(
        "0.d", "Reusable",
        "a licence that does not prohibit AI, not machine-readable",
        "a machine-readable licence that does not prohibit AI",
        gate=1,
    ),
    Criterion(
        "1.a", "Transparent",
        "a source that is named",
        "a source in a structured field that leads to the exact data it was taken from",
        gate=1,
    ),
    Criterion(
        "1.b", "Traceable",
        "steps that can be followed, with links to software or gaps missing",
        "machine-readable steps with software, complete or with every gap stated",
        gate=1, cap="1.a",
    ),
    Criterion(
        "1.c", "Interpretable",
        "software that is available, without a persistent identifier",
        "software archived under a persistent identifier; of commercial software the vendor's address",
        gate=1,
    ),
    Criterion(
        "1.d", "Key actors identified",
        "people and organizations named",
        "every person with an ORCID and every organization with a ROR identifier",
        gate=1,
    ),
    Criterion(
        "2.a", "Semantics",
        "an abstract and keywords",
        "an abstract, keywords and subject terms of a recognized vocabulary",
    ),
    Criterion(
        "2.b", "Statistics",
        "one way in which missing values are written",
        "one way in which missing values are written, and descriptive statistics of the variables",
    ),
    Criterion(
        "2.c", "Standards",
        "a formal schema for every class of formats",
        "such schemas, with terms of a standard vocabulary bound to data elements",
        gate=1,
        judge="Are these schemas and vocabularies the ones that the field uses for such data?",
    ),
    Criterion(
        "2.d", "Potential sources of bias",
        "biases and assumptions in general terms",
        "specific biases and assumptions, reasons for what is missing, and the balance of treatment and control",
        judge="Are the biases and assumptions that matter for this data named, and is what is said of them right?",
    ),
    Criterion(
        "2.e", "Data quality",
        "quality control, documented",
        "quality control of every kind of data, documented, with the protocol or software linked",
        judge="Is the quality control the one that the field expects of such data?",
    ),
    Criterion(
        "3.a", "Data documentation template",
        "a datasheet, for machines or for people",
        "a datasheet for both that covers composition, collection, processing, and limits and uses",
        judge="Is the datasheet substantive in each of its parts?",
    ),
    Criterion(
        "3.b", "Fit for purpose",
        "some use cases",
        "appropriate and prohibited uses in structured form, and links to published analyses",
    ),
    Criterion(
        "3.c", "Verifiable",
        "digests of some data",
        "digests of all data, in the metadata that describe it",
    ),
    Criterion(
        "4.a", "Ethically acquired",
        "acquisition described in general",
        "acquisition, its legitimacy, the basis for consent or exemption, and a linked data management plan",
        gate=1,
        judge="Do acquisition and its basis meet accepted principles for the intended use?",
    ),
    Criterion(
        "4.b", "Ethically managed",
        "some statement on how sensitivity is managed",
        "sensitivity stated and justified, with management that fits it",
        gate=1,
    ),
    Criterion(
        "4.c", "Ethically disseminated",
        "terms of access that are vague or stricter than needed",
        "open access under a licence with permitted and prohibited uses; else terms and a contact of who grants access",
        gate=1,
        judge="Are the terms as open as possible and as closed as necessary?",
    ),
    Criterion(
        "4.d", "Secure",
        "a security level in prose",
        "a security level in a standard vocabulary (HL7 v3 Confidentiality)",
        gate=1,
    ),
    Criterion(
        "5.a", "Persistent",
        "raw data that are kept somewhere",
        "raw data in a sustainable repository with persistent identifiers and a commitment to keep them",
    ),
    Criterion(
        "5.b", "Domain-appropriate",
        "a generalist repository although specialists accept the data",
        "specialist repositories for the kinds of data that have them, and a recognized generalist one for the rest",
    ),
    Criterion(
        "5.c", "Well-governed",
        "a governance or maintenance plan",
        "a plan with stewardship, maintenance, and how changes are handled",
        judge="Does the plan really provide for stewardship, maintenance and changes of policy?",
    ),
    Criterion(
        "5.d", "Associated",
        "all components accessible, associated in prose",
        "all components accessible and associated in a machine-readable record that is archived with them",
    ),
    Criterion(
        "6.a", "Standardized",
        "a schema against which the structure can be validated",
        "validators for the declared standards, which succeed",
        cap="2.c",
    ),
    Criterion(
        "6.b", "Computationally accessible",
        "programmatic access, with friction",
        "programmatic access by a documented interface or a standard protocol",
    ),
    Criterion(
        "6.c", "Portable",
        "requirements in prose",
        "no special environment, or one that machines can set up from its description",
    ),
    Criterion(
        "6.d", "Contextualized",
        "some of: splits, what is withheld, examples",
        "splits with their method, everything that is withheld, and machine-readable examples",
    ),
)  # fmt: skip
BY_ID: Mapping[str, Criterion] = {one.id: one for one in CRITERIA}
