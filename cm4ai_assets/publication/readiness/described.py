"""What metadata say of a release, in one form for both: what was published, and the documents made here.

Both are read by the same readers (`crates`) into the same columns, so that one rule grades both.

Belongs here: statements by topic, entities and references, with where they stand. Does not belong here: grades.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from cm4ai_assets.publication.readiness import known
from cm4ai_assets.publication.readiness.grading import Fact

TOPICS: Mapping[str, str] = {
    "abstract": r"^description$",
    "keywords": r"^keywords",
    "bias": r"^(?:rai:dataBiases|known_biases|.*Potential Sources of Bias)",
    "limitation": r"^(?:rai:dataLimitations|known_limitations|.*Limitations)",
    "missing": r"^(?:rai:dataCollectionMissingData|completeness|missing_data_documentation"
    r"|instances.*missing_information|.*Completeness)",
    "use": r"^(?:rai:dataUseCases|intended_uses|existing_uses|other_tasks|tasks|purposes|.*Intended Use)",
    "structured_use": r"^(?:rai:dataUseCases|intended_uses)",
    "prohibited": r"^(?:prohibitedUses|prohibited_uses|discouraged_uses|usageInfo|.*Prohibited Uses)",
    "publication": r"^(?:associatedPublication|relatedPublication|existing_uses|use_repository|citation)",
    "composition": r"^(?:description$|instances|rai:dataCollectionType|hasPart|subpopulations|variables)",
    "collection": r"^(?:rai:dataCollection(?:Type)?$|rai:dataCollection\[|acquisition_methods|collection_mechanisms"
    r"|data_collectors|raw_sources)",
    "processing": r"^(?:rai:dataPreprocessingProtocol|rai:dataManipulationProtocol|preprocessing_strategies"
    r"|cleaning_strategies|labeling_strategies|imputation_protocols)",
    "quality": r"^(?:rai:dataQuality|anomalies|cleaning_strategies|.*Quality)",
    "subjects": r"^(?:humanSubject\w*|human_subject_research|.*Human Subject|is_deidentified|.*De-identified)",
    "basis": r"^(?:humanSubjectExemption|d4d:informedConsent|informed_consent|collection_consents|irb)",
    "ethics": r"^(?:ethicalReview|ethical_reviews)",
    "governance": r"^(?:dataGovernanceCommittee|data_governance|.*Data Governance Committee)",
    "security": r"^(?:confidentialityLevel|confidential_elements|participant_privacy)",
    "access": r"^(?:conditionsOfAccess|license_and_use_terms|usageInfo)",
    "contact": r"^(?:contactEmail|.*contact|maintainers|creator.*email)",
    "maintenance": r"^(?:rai:dataReleaseMaintenancePlan|.*Maintenance Plan|updates|maintainers|retention_limit"
    r"|version_access|errata)",
    "license": r"^license",
    "people": r"^(?:author|creator|principalInvestigator|creators)",
    "environment": r"^(?:softwareRequirements|runtimePlatform|memoryRequirements|processorRequirements)",
}  # fmt: skip
"""Topic to the fields that speak of it: in crates of 2025 and 2026, in D4D, in JSON-LD of landing pages."""

_STUB = r"^crates\[[^\]]*\]\."
_NOTHING = re.compile(
    r"^\W*(?:none|n/?a|not applicable|unknown|not stated|tb[ad]|todo|no known bias\w*)\W*$", re.IGNORECASE
)
_SENTENCE = 40
"""Characters below which a text engages nothing."""


@dataclass(frozen=True)
class Described:
    """Statements, entities and references.

    Attributes:
        statements: Rows of `release_datasheet`.
        entities: Rows of `crate_entities`.
        edges: Rows of `crate_edges`.
        place: Where a person finds the statements: the table, or the documents.
        graph: Where a person finds entities and references.
    """

    statements: pl.DataFrame
    entities: pl.DataFrame
    edges: pl.DataFrame
    place: str
    graph: str

    @cached_property
    def _said(self) -> pl.DataFrame:
        own = pl.col("field").str.replace(_STUB, "")
        return self.statements.filter(pl.col("value").is_not_null()).select("source_kind", "value", field=own)

    def fields(self, pattern: str) -> list[str]:
        """The distinct values of fields of this pattern, in their order; placeholders are left out."""
        values = self._said.filter(pl.col("field").str.contains(f"(?i){pattern}"))["value"].unique(maintain_order=True)
        return [value for value in values if value.strip() and not _NOTHING.match(value)]

    def said(self, topic: str) -> list[str]:
        """What is said on a topic."""
        return self.fields(TOPICS[topic])

    def substantive(self, topic: str) -> list[str]:
        """What is said on a topic in sentences."""
        return [value for value in self.said(topic) if len(value) >= _SENTENCE]

    def fact(self, topic: str, what: str, *, sentences: bool = False, like: str = "", lacking: str = "") -> Fact:
        """Something is said on a topic: in sentences, and with certain words, where that is asked for."""
        values = self.substantive(topic) if sentences else self.said(topic)
        found = [value for value in values if re.search(like, value, re.IGNORECASE)]
        shown = f" (“{_short(found[0])}”)" if found else ""
        text = f"{what}: {len(found):,} statements{shown}"
        return Fact(bool(found), text, f"{self.place}: field ~ {TOPICS[topic]}", lacking or f"no statement: {what}")

    def of_type(self, *kinds: str) -> pl.DataFrame:
        """Entities whose specific type is one of these."""
        return self.entities.filter(pl.col("entity_type").is_in(kinds))

    def sources_of(self, *relations: str) -> pl.Series:
        """Ids of the entities that state one of these relations."""
        found = self.edges.filter(pl.col("relation").is_in(relations))
        return found["source_id"].drop_nulls().unique()

    def related(self, entities: pl.DataFrame, *relations: str) -> int:
        """How many of these entities state one of these relations."""
        return entities.filter(pl.col("entity_id").is_in(self.sources_of(*relations).implode())).height

    @cached_property
    def texts(self) -> pl.DataFrame:
        """One text per entity with all ids, addresses and further keys that it states."""
        return self.entities.select(
            "entity_id",
            "entity_type",
            text=pl.concat_str(
                pl.col("entity_id", "stated_id", "extra").fill_null(""),
                pl.col("content_urls", "urls").list.join(" "),
                pl.col("identifiers").list.eval(pl.element().struct.field("value").fill_null("")).list.join(" "),
                separator=" ",
            ),
        )

    def programs(self) -> tuple[int, int, int]:
        """Programs: how many are described, how many have an address, and how many an archived version."""
        software = self.of_type("Software", "SoftwareApplication", "SoftwareSourceCode")
        own = pl.col("entity_id").is_in(software["entity_id"].drop_nulls().implode())
        texts = self.texts.filter(own)["text"].str.replace_all(f"(?i){known.NOWHERE.pattern}", "")
        available, archived = (
            int(texts.str.contains(f"(?i){one.pattern}").sum()) for one in (known.ADDRESS, known.CODE_ARCHIVE)
        )
        return software.height, available, archived

    def naming(self, pattern: re.Pattern[str], *kinds: str) -> int:
        """How many entities, of some types where these are given, state something of this pattern."""
        rows = self.texts.filter(pl.col("entity_type").is_in(kinds)) if kinds else self.texts
        return int(rows["text"].str.contains(f"(?i){pattern.pattern}").sum())


def _short(text: str, width: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"
