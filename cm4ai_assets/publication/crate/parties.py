"""People, organizations, licences and subject terms as entities, as far as the release publishes them.

Belongs here: those. Does not belong here: what a release says of them (`publication.stated`). A person without a
published ORCID gets an id that means something within one crate only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cm4ai_assets.publication.crate.facts import Facts
from cm4ai_assets.publication.crate.ids import licence_id
from cm4ai_assets.publication.crate.terms import Entity, ref
from cm4ai_assets.publication.stated import Party
from cm4ai_assets.updates.credit import NOT_STATED

_ORCID = "https://orcid.org/"
_PLAIN = re.compile(r"[^\w.-]+")


def licences_of(stated: str | None) -> list[str]:
    """The licences that a text names, as `updates.credit.licences` joins them.

    >>> licences_of("CC BY 4.0, CC0 1.0"), licences_of(None)
    (['CC BY 4.0', 'CC0 1.0'], ['not stated'])
    """
    return (stated or NOT_STATED).split(", ")


def licence_entities(names: Iterable[str]) -> Iterator[Entity]:
    """An entity for each licence, each once."""
    for name in dict.fromkeys(names):
        text = "No licence is stated." if name == NOT_STATED else f"The licence {name}, as the archive states it."
        yield {"@id": licence_id(name), "@type": ["CreativeWork", "WebPage"], "name": name, "description": text}


def party_id(party: Party) -> str:
    """The id of a person or organization: ORCID or ROR, if published."""
    if party.orcid:
        return f"{_ORCID}{party.orcid}"
    kind = "organization" if party.is_organization else "person"
    return f"#{kind}-{_PLAIN.sub('-', party.name)}"


def party_entities(facts: Facts) -> Iterator[Entity]:
    """An entity for each creator, and for the organizations that they are published with."""
    for party in facts.stated.creators:
        place = _organization(party)
        name = facts.people.get(party.orcid or "", party.name) if party.name.startswith(_ORCID) else party.name
        yield {
            "@id": party_id(party),
            "@type": "Organization" if party.is_organization else "Person",
            "name": name,
            **({"identifier": f"{_ORCID}{party.orcid}"} if party.orcid else {}),
            **({"affiliation": ref(place["@id"])} if place else {}),
        }
        if place:
            yield place


def subject_entities(facts: Facts) -> Iterator[Entity]:
    """An entity for each subject term that was published, and for the vocabularies that they are of."""
    for entity, said in facts.subjects.items():
        vocabulary = said.get("vocabulary")
        yield {
            "@id": entity, "@type": "DefinedTerm", "name": said.get("name", entity),
            **({"termCode": said["termCode"]} if "termCode" in said else {}),
            **({"inDefinedTermSet": ref(vocabulary)} if vocabulary else {}),
        }  # fmt: skip
        if vocabulary:
            yield {"@id": vocabulary, "@type": "DefinedTermSet", "name": said.get("vocabulary_name", vocabulary)}


def publisher_entity(facts: Facts) -> Entity | None:
    """Who published the dataset; None where nobody is stated."""
    name = facts.stated.publisher
    return None if name is None else _named(name)


def _organization(party: Party) -> Entity | None:
    if party.ror:
        name = party.affiliation or party.ror
        return {"@id": party.ror, "@type": "Organization", "name": name, "identifier": party.ror}
    return _named(party.affiliation) if party.affiliation else None


def _named(name: str) -> Entity:
    return {"@id": f"#organization-{_PLAIN.sub('-', name)}", "@type": "Organization", "name": name}
