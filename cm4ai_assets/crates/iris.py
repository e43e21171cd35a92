"""Ids of entities as the IRIs they are: one form for each, whatever spelling a crate chose.

Belongs here: resolution against a crate's base, and the normal form of ARKs, DOIs, web addresses and paths. Does not
belong here: identifiers of other databases (`cm4ai_assets.identifiers`), and which entity is the root (`frame`).

Normal forms follow RFC 3986, section 6 (case, escapes, dot segments), RFC 3987 (letters outside of ASCII stand as they
are), the ARK specification (what is no structure at an end is dropped) and ISO 26324 (DOIs know no case).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from cm4ai_assets.identifiers import doi_in

ROOT = "./"  # the normal form of a root that has no address of its own: `./`, `.`, an empty id

_SURROUNDING = " \t\r\n,"  # a comma ends every `isPartOf` of 2026
# One entity is `ark:59853/x`, `https://fairscape.net/ark:59853/x`, `https://fairscape.net/api/ark:59853/x` or `ARK:/…`.
# NAANs 59852 (2024, 2025) and 59853 (2026) are two namespaces.
_ARK = re.compile(r"ark:/?(\d{5}/.+)$", re.IGNORECASE | re.DOTALL)
_DOI = re.compile(r"^(?:https?://(?:www\.|dx\.)?doi\.org/|(?:dx\.)?doi\.org/|doi:|10\.\d{4,9}/)", re.IGNORECASE)
_ABSOLUTE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:|^_:")
_WEB = re.compile(r"^(?:https?|ftps?|file):", re.IGNORECASE)
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ILLEGAL = re.compile(r'[\x00-\x20"<>\\^`{|}\x7f]')
_UNRESERVED = frozenset("-._~")
_PORTS = {"http": ":80", "https": ":443", "ftp": ":21"}


@lru_cache(maxsize=1 << 17)  # an id stands at its entity and at every edge to it
def normalize_id(text: str, base: str | None = None) -> str:
    """The one form of an entity's id: a bare ARK, a lower-case DOI at doi.org, else the normal form of its IRI.

    A slash at the end carries no meaning and is dropped: it joins the 2025 ids that end in one with those of 2026 that
    do not, and a folder with references that leave its slash out.

    Args:
        text: The id as stated.
        base: The IRI that the crate resolves its ids against (`@base`); without one, relative ids stay relative.

    >>> normalize_id("https://fairscape.net/api/ark:59853/treatment-paclitaxel,")
    'ark:59853/treatment-paclitaxel'
    >>> normalize_id("https://doi.org/doi:10.25345/C5348GV4S")
    'https://doi.org/10.25345/c5348gv4s'
    >>> normalize_id("./data/a%20file.csv"), normalize_id("data/a file.csv", "https://example.org/crate/")
    ('data/a%20file.csv', 'https://example.org/crate/data/a%20file.csv')
    """
    normal = _resolved(_bare(text), base)
    while (bare := _bare(normal)) != normal:  # a slash or an empty query stood before more of it
        normal = _resolved(bare, base)
    return normal


def _resolved(text: str, base: str | None) -> str:
    """One pass of `normalize_id`."""
    begin = text.lower().find("ark:")
    if begin >= 0 and (ark := _ARK.match(text, begin)) is not None:
        return "ark:" + _escaped(ark[1]).rstrip(_SURROUNDING + "/")
    if _DOI.match(text) and (doi := doi_in(_escaped(text, keep=""))) is not None:
        return f"https://doi.org/{doi.lower().rstrip('/')}"
    text = _escaped(text)
    if not _ABSOLUTE.match(text):
        if base is None:
            return _relative(text)
        try:
            text = urljoin(base, text)
        except ValueError:  # no valid host: it leads nowhere from there
            return _relative(text)
    if _WEB.match(text):
        return _web(text)
    return text if _ABSOLUTE.match(text) else _relative(text)


def _bare(text: str) -> str:
    """An id without what stands around it in prose, and without an empty query or fragment."""
    while (bare := text.strip(_SURROUNDING).rstrip("?#")) != text:
        text = bare
    return text


def without_query(iri: str) -> str:
    """An IRI without query and fragment: what is served there, not how it was asked for."""
    return iri.split("#", 1)[0].split("?", 1)[0]


def last_segment(iri: str) -> str:
    """The last part of an IRI's path, without query and fragment: the name of a file."""
    return without_query(iri).rsplit("/", 1)[-1]


def _relative(text: str) -> str:
    """A path within the crate: no dot segments, no slash at its end; the crate itself is `./`."""
    path, mark, rest = _cut(text)
    absolute = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part not in ("", ".") and not (part == ".." and absolute):
            kept.append(part)
    tidy = "/" * absolute + "/".join(kept)
    return f"{tidy}{mark}{rest}" or ROOT


def _cut(text: str) -> tuple[str, str, str]:
    """A path, and its query or fragment; an empty one says nothing."""
    found = re.search("[?#]", text)
    if found is None:
        return text, "", ""
    rest = text[found.end() :].rstrip("?#")
    return text[: found.start()], found[0] if rest else "", rest


def _web(text: str) -> str:
    """An address: scheme and host in lower case, no port that goes without saying, no dot segments, no last slash."""
    try:
        parts = urlsplit(text)
    except ValueError:  # no valid host: not an address, whatever it looks like
        return text
    scheme, host = parts.scheme.lower(), parts.netloc.lower()
    host = host.removesuffix(_PORTS.get(scheme, ":"))
    path = _relative(parts.path).removeprefix(ROOT) if parts.path else ""
    return urlunsplit((scheme, host, path.rstrip("/"), parts.query, parts.fragment))


def _escaped(text: str, keep: str = "%") -> str:
    """A text with the escapes that it needs and no others; with `keep` empty, escapes of any character are undone."""
    if "%" in text:
        text = _ESCAPES.sub(lambda run: "".join(_unescaped(run[0], keep)), text)
    return _ILLEGAL.sub(lambda hit: quote(hit[0]), text) if _ILLEGAL.search(text) else text


def _unescaped(run: str, keep: str) -> Iterator[str]:
    for char in bytes.fromhex(run.replace("%", "")).decode("utf-8", "surrogateescape"):
        if "\udc80" <= char <= "\udcff":  # bytes that are no UTF-8
            yield f"%{ord(char) - 0xDC00:02X}"
        elif not keep or char.isalnum() or char in _UNRESERVED or (char > "\x7f" and char.isprintable()):
            yield char
        else:
            yield from (f"%{byte:02X}" for byte in char.encode())
