"""Values as crates write them: sizes in prose, dates in four orders, access markers instead of addresses.

Belongs here: reading one value. Does not belong here: which key holds it (`decoding`). Nothing is guessed: a value that
has no certain meaning is null, and its text stays beside it.
"""

from __future__ import annotations

import re
from datetime import date

from cm4ai_assets.identifiers import stated_size

_ISO = re.compile(r"^(\d{4})-(\d\d)-(\d\d)(?:[T ].*)?$", re.ASCII)
_MONTH_FIRST = re.compile(r"^(\d{1,2})([/-])(\d{1,2})\2(\d{4}|\d\d)$", re.ASCII)
_TWO_DIGIT_YEARS = 100
_CENTURY = 2000

_EMBARGOED = re.compile(r"\bembargoed\b", re.IGNORECASE)
_EMBARGO_MARKER = re.compile(r"\s*embargo(?:ed)?\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
# What stands right before the word and takes it back; other words between leave it: "not public and embargoed".
_TAKEN_BACK = re.compile(
    r"(?:(?:\b(?:no longer|no more|not|never|nor|cannot|formerly|previously|originally|once)|n['\u2019]t)"
    r"(?:\s+(?:a|any|anymore|be|been|being|currently|fully|is|are|longer|now|more|yet))*\s+|\b(?:non|un)-)$",
    re.IGNORECASE,
)
# What stands behind it and says that it is over.
_OVER = re.compile(
    r"^(?:\s*(?:period|is|was|were|has|have|been|now|already|and|then))*\s*"
    r"(?:over\b|lifted|ended|expired|released|removed|no longer)",
    re.IGNORECASE,
)


def size_in_bytes(text: str) -> int | None:
    """What a size means in bytes, units being powers of 1024; None if the text is no size.

    The crates' own totals count so: the June 2026 release calls 21,880,281,392,742 bytes "19.9 TB", and March 2025's
    2,777,891,100-byte ZIP "2.6 GB".

    >>> size_in_bytes("16.7TB"), size_in_bytes("2354"), size_in_bytes("large")
    (18361844183859, 2354, None)
    """
    size = stated_size(text)
    return None if size is None else size.in_bytes()


def date_of(text: str) -> date | None:
    """The day a text names: ISO, or the American order with slashes or hyphens (`6/23/2025`, `08-31-2023`, `10/13/25`).

    None where it is no day in that order: `31/08/2023` is not turned round.
    """
    text = text.strip()
    iso = _ISO.match(text)
    if iso is not None:
        return _date(int(iso[1]), int(iso[2]), int(iso[3]))
    american = _MONTH_FIRST.match(text)
    if american is None:
        return None
    year = int(american[4])
    return _date(year + _CENTURY if year < _TWO_DIGIT_YEARS else year, int(american[1]), int(american[3]))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def is_embargo_marker(text: str) -> bool:
    """The word stands where an address should, and is not taken back: `"contentUrl": "Embargoed"`."""
    marker = _EMBARGO_MARKER.match(text)
    return marker is not None and _OVER.match(marker["rest"]) is None


def says_embargoed(description: str) -> bool:
    """A description says that what it describes is embargoed, at one place at least that it does not take back.

    >>> says_embargoed("Reads, embargoed until publication."), says_embargoed("These data are no longer embargoed.")
    (True, False)
    """
    if "mbargoe" not in description and "MBARGOE" not in description:  # spares nearly every description the slow search
        return False
    return any(
        _TAKEN_BACK.search(description[: hit.start()]) is None and _OVER.match(description[hit.end() :]) is None
        for hit in _EMBARGOED.finditer(description)
    )
