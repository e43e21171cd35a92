"""Releases: how a dataset version of the archive gets its one key, for ever.

Belongs here: the key's grammar, how it is derived, the order of releases. Does not belong here: asking the archive
(`archives.dataverse.client`) and remembering what was registered (`storage.registry`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from cm4ai_assets.errors import Cm4aiError, ReleaseKeyError, UnknownReleaseError

LATEST = "latest"
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_TITLE_MONTH = re.compile(rf"\b({'|'.join(_MONTHS)})\s+(20\d\d)\b", re.IGNORECASE)
_KEY = re.compile(r"^(?P<month>20\d\d-(?:0[1-9]|1[0-2]))-(?:(?P<suffix>[A-Z0-9]+)-)?v(?P<major>\d+)\.(?P<minor>\d+)$")


@dataclass(frozen=True, order=True)
class ReleaseKey:
    """A partition key of the `release` dimension, taken apart. Ordered oldest first."""

    month: str
    suffix: str
    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> ReleaseKey:
        """Read `2025-06-v2.1` or `2025-06-F3TD5R-v2.1`.

        Raises:
            ReleaseKeyError: The text is not a release key.
        """
        match = _KEY.match(text)
        if match is None:
            raise ReleaseKeyError(
                f"{text!r} is not a release key.",
                remedy="A key looks like 2025-06-v2.1; `cm4ai releases` lists those that exist.",
            )
        return cls(match["month"], match["suffix"] or "", int(match["major"]), int(match["minor"]))

    @staticmethod
    def is_valid(text: str) -> bool:
        """The text has the form of a release key."""
        return _KEY.match(text) is not None

    def __str__(self) -> str:
        middle = f"{self.suffix}-" if self.suffix else ""
        return f"{self.month}-{middle}v{self.major}.{self.minor}"


@dataclass(frozen=True)
class ReleaseRecord:
    """What one release key means: one DOI, one version. Never changed once registered.

    `doi` is the persistent id with its scheme ("doi:10.18130/V3/F3TD5R"); `archive` the base URL it was seen at;
    `published` the dataset's first publication; `released` when this version came out (UTC), null where not stated.
    """

    key: str
    doi: str
    major: int
    minor: int
    title: str
    published: date
    released: datetime | None
    archive: str

    @property
    def version(self) -> str:
        """The version as the archive writes it: "2.1"."""
        return f"{self.major}.{self.minor}"

    @property
    def came_out(self) -> datetime:
        """When this version came out, as far as it is stated."""
        return self.released or datetime.combine(self.published, time(), UTC)


def release_month(title: str, published: date) -> str:
    """The month a release is named after: the one in its title, else the one it was published in.

    >>> release_month("Cell Maps for Artificial Intelligence - June 2025 Data Release (Beta)", date(2025, 7, 1))
    '2025-06'
    """
    match = _TITLE_MONTH.search(title)
    if match is None:
        return f"{published:%Y-%m}"
    return f"{match[2]}-{_MONTHS.index(match[1].lower()) + 1:02d}"


def assign_key(
    record_doi: str, title: str, published: date, *, major: int, minor: int, taken: Mapping[str, str]
) -> str:
    """The key of a dataset version, given the keys already taken (key to DOI).

    Where the plain key belongs to another dataset, the last part of the DOI is added. A key once given is never
    given to another dataset, so the answer does not depend on what is published later.

    Raises:
        ReleaseKeyError: Even the longer key belongs to another dataset.
    """
    month = release_month(title, published)
    plain = str(ReleaseKey(month, "", major, minor))
    if taken.get(plain, record_doi) == record_doi:
        return plain
    suffix = re.sub(r"[^A-Z0-9]", "", record_doi.rsplit("/", 1)[-1].upper())
    longer = str(ReleaseKey(month, suffix, major, minor))
    if taken.get(longer, record_doi) != record_doi:
        raise ReleaseKeyError(
            f"Release key {longer} already means {taken[longer]}, it cannot also mean {record_doi}.",
            remedy="Two datasets with one identifier were listed; report this.",
        )
    return longer


def releases_before(record: ReleaseRecord, known: Iterable[ReleaseRecord]) -> list[ReleaseRecord]:
    """The releases that one may be compared with, the best first: earlier versions of its dataset, then what was there.

    A new version is compared with the version before it. The first version of a dataset is compared with the newest
    release, by key, that was out when it came out. What is published later changes neither.
    """
    others = [other for other in known if other.key != record.key]
    own = [o for o in others if o.doi == record.doi and (o.major, o.minor) < (record.major, record.minor)]
    there = [o for o in others if o.doi != record.doi and o.came_out <= record.came_out]
    return [
        *sorted(own, key=lambda o: (o.major, o.minor), reverse=True),
        *sorted(there, key=lambda o: ReleaseKey.parse(o.key), reverse=True),
    ]


def choose(key: str, known: Iterable[str], *, none: Cm4aiError) -> str:
    """The release that a person names: one of the known ones by its key, or the newest of them as `latest`.

    Which releases are known is the caller's: see `storage.choice`.

    Args:
        key: A release key, or `latest`.
        known: Keys to choose from.
        none: What to raise if none is known and `latest` is asked for.

    Raises:
        UnknownReleaseError: The key is not among the known ones, or is no release key; the message names those.
    """
    keys = sorted(known, key=ReleaseKey.parse)
    if key == LATEST:
        if not keys:
            raise none
        return keys[-1]
    if key not in keys:
        listed = f"Known: {', '.join([*keys, LATEST])}." if keys else "None is known yet."
        what = "is not known" if ReleaseKey.is_valid(key) else "is not a release key (such as 2025-06-v2.1)"
        raise UnknownReleaseError(
            f"Release {key!r} {what}.", remedy=f"{listed} `cm4ai releases --register` asks the archive for new ones."
        )
    return key


def newest(keys: Iterable[str]) -> str:
    """The newest of some release keys: by month, then version.

    Raises:
        ReleaseKeyError: There is none.
    """
    known = sorted(ReleaseKey.parse(key) for key in keys)
    if not known:
        raise ReleaseKeyError(
            "No release is known.", remedy="`cm4ai releases --register` asks the archive and registers them."
        )
    return str(known[-1])
