"""How the derived release is cited: CITATION.cff, BibTeX, and one sentence for people.

Belongs here: those three forms. Does not belong here: who is cited (`stated`). What is cited is the published dataset,
by its DOI and its authors as published; the derived form is said to be one, and has no DOI. Every text of the archive
is data: PyYAML quotes it, and for BibTeX and TeX each character that means something is escaped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import yaml

from cm4ai_assets.identifiers import DOI
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.publication.stated import Party, Stated
from cm4ai_assets.updates.credit import NOT_STATED, licence_address, licence_spdx

SOFTWARE: Final = "cm4ai_assets"
CFF_NAME: Final = "CITATION.cff"
BIBTEX_NAME: Final = "citation.bib"

# "Clark T", "Chen JY", "Al Manir S": the family name, then initials. Other forms are not taken apart.
_INITIALS = re.compile(r"(?P<family>\S.*?),? (?P<given>[^\W\d_a-zß-ÿ]{1,4})")
_INVERTED = re.compile(r"(?P<family>[^,]+), ?(?P<given>[^,]+)")
_CFF_DOI = re.compile(r"[A-Za-z0-9:/_;\-.()\[\]\\]+")  # the characters that a DOI may have there
_KEY = re.compile(r"[^A-Za-z0-9]+")
_BOOLEAN = re.compile(r"[yn]|yes|no|on|off|true|false", re.IGNORECASE)  # of YAML 1.1; PyYAML reads some of them only
_TEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", '"': "''", "@": r"\symbol{64}",
}  # fmt: skip


def citation_cff(stated: Stated) -> bytes:
    """CITATION.cff (CFF 1.2.0) of the derived release: it asks to cite the published dataset."""
    origin = stated.origin
    dataset = {"type": "data", **_of_dataset(stated)}
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": for_terminal(message(stated)),
        "type": "dataset",
        "title": f"{_title(stated)}, as delivered by {SOFTWARE}",
        "authors": dataset["authors"],
        "version": origin.release,
        **_if_any(
            license=licence_spdx(origin.license),
            abstract=for_terminal(stated.description or ""),
            keywords=list(dict.fromkeys(map(for_terminal, stated.keywords))),
        ),
        "preferred-citation": dataset,
    }
    return plain_yaml(content)


class _Plain(yaml.SafeDumper):
    """Texts that some parser of YAML takes for something else stand in quotes, and nothing is an alias."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if _BOOLEAN.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _quoted)


def plain_yaml(content: Mapping[str, Any]) -> bytes:
    """YAML that parsers of 1.1 and 1.2 read alike, keys in the given order."""
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120).encode()


def bibtex(stated: Stated) -> bytes:
    """BibTeX of the published dataset, with a note that what is at hand was derived from it."""
    origin = stated.origin
    fields = {
        "author": " and ".join(_bibtex_name(one) for one in stated.creators),
        "title": f"{{{_tex(_title(stated))}}}",
        "year": str(stated.released.year) if stated.released else "",
        "publisher": f"{{{_tex(stated.publisher)}}}" if stated.publisher else "",
        "version": _tex(origin.version) if origin.version != NOT_STATED else "",
        "doi": _tex(_bare_doi(stated)),
        "url": f"https://doi.org/{_address(_bare_doi(stated))}",
        "note": _tex(f"Release {origin.release}, in the form derived by {SOFTWARE}. Licence: {origin.license}"),
    }
    lines = [f"  {name:<9} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@dataset{{{_key(stated)},", *lines, "}", ""]).encode()


def sentence(stated: Stated) -> str:
    """The citation for people: as published where a citation is published, else made of what is; plain text."""
    return for_terminal(stated.origin.citation)


def message(stated: Stated) -> str:
    """What whoever cites has to know, in two sentences."""
    return (
        f"If you use these data, cite the published dataset ({_bare_doi(stated)}, version {stated.origin.version}). "
        f"This is a form derived from it by {SOFTWARE}; the authors are those of the published dataset. "
        f"Licence: {stated.origin.license}."
    )


def _of_dataset(stated: Stated) -> dict[str, Any]:
    doi, version, licence = _bare_doi(stated), stated.origin.version, stated.origin.license
    return {
        "title": _title(stated),
        "authors": _authors(stated),
        **_if_any(doi=doi if DOI.fits(doi) and _CFF_DOI.fullmatch(doi) else None),
        "url": f"https://doi.org/{_address(doi)}",
        **_if_any(
            version=None if version == NOT_STATED else version,
            date_released=stated.released.isoformat() if stated.released else None,
            license=licence_spdx(licence),
            license_url=licence_address(licence),
            publisher={"name": for_terminal(stated.publisher)} if stated.publisher else None,
        ),
    }


def _if_any(**values: object) -> dict[str, Any]:
    """What is known, under the names of CFF."""
    return {name.replace("_", "-"): value for name, value in values.items() if value}


def _authors(stated: Stated) -> list[dict[str, str]]:
    """CFF asks for one at least; two that are the same in its words are one."""
    found = [_cff_party(one) for one in stated.creators]
    distinct = [one for number, one in enumerate(found) if one not in found[:number]]
    return distinct or [{"name": f"The authors of {_bare_doi(stated)}"}]


def _cff_party(party: Party) -> dict[str, str]:
    orcid = {"orcid": f"https://orcid.org/{party.orcid}"} if party.orcid else {}
    split = name_parts(party)
    if split is None:
        return {"name": for_terminal(party.name), **orcid}
    place = {"affiliation": for_terminal(party.affiliation)} if party.affiliation else {}
    return {"family-names": split[0], "given-names": split[1], **orcid, **place}


def name_parts(party: Party) -> tuple[str, str] | None:
    """Family and given names, where the published form says which is which; else None.

    >>> name_parts(Party("Al Manir S")), name_parts(Party("Axelsson, Ulrika")), name_parts(Party("Sandbox Painter"))
    (('Al Manir', 'S'), ('Axelsson', 'Ulrika'), None)
    """
    name = for_terminal(party.name).strip()
    found = None if party.is_organization else _INITIALS.fullmatch(name) or _INVERTED.fullmatch(name)
    return None if found is None else (found["family"].strip(), found["given"].strip())


def _bibtex_name(party: Party) -> str:
    split = name_parts(party)
    if split is None:
        return f"{{{_tex(for_terminal(party.name))}}}"
    # Within braces no word of a name ("and", "von") means anything.
    return f"{{{_tex(split[0])}}}, {{{_tex(split[1])}}}"


def _tex(text: str) -> str:
    return "".join(_TEX.get(one, one) for one in for_terminal(text))


def _address(doi: str) -> str:
    """A DOI as part of an address: what has no place in one is percent-encoded."""
    return quote(doi, safe="/:;().-_")


def _bare_doi(stated: Stated) -> str:
    return for_terminal(stated.origin.doi).removeprefix("doi:").removeprefix("https://doi.org/")


def _title(stated: Stated) -> str:
    return for_terminal(stated.origin.title) or f"Release {stated.origin.release}"


def _key(stated: Stated) -> str:
    first = stated.creators[0] if stated.creators else Party("")
    named = (name_parts(first) or (first.name,))[0]
    plain = _KEY.sub("", unicodedata.normalize("NFKD", named)).lower()
    year = stated.released.year if stated.released else ""
    return f"{plain or 'cm4ai'}{year}_{_KEY.sub('_', stated.origin.release)}"
