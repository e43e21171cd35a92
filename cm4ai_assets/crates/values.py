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

_EMBARGO_PROSE = re.compile(r"\b[Ee]mbargoed\b")


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
    """The word stands where an address should: `"contentUrl": "Embargoed"`."""
    return text.lstrip()[:7].lower() == "embargo"


def tells_embargo(description: str) -> bool:
    """A description says that what it describes is embargoed."""
    # The plain search first: it spares nearly every description the slow one.
    return "mbargoed" in description and _EMBARGO_PROSE.search(description) is not None
