"""What a release says of itself, as it was published: people, keywords, dates, and what its crate states about its use.

Belongs here: one reading of `release_datasheet` for every description of the derived release. Does not belong here:
title, citation and licence (`exports.provenance`, which this takes along), and how a description writes them.

Nothing is made up: a person without a published ORCID has none, and a name is never taken apart here. Dataverse states
"Clark T" with the given name Clark, which it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.errors import NotMaterializedError
from cm4ai_assets.exports.provenance import Origin, origin_of
from cm4ai_assets.identifiers import ORCID
from cm4ai_assets.lineage.delivered import Delivered
from cm4ai_assets.tables.crates import RELEASE_DATASHEET

_ROR = re.compile(r"https://ror\.org/0[a-z0-9]{6}[0-9]{2}")
_LISTED = re.compile(r"^(?P<key>[^\[]+)\[(?P<index>\d+)\](?:\.(?P<rest>.+))?$")


@dataclass(frozen=True)
class Party:
    """A person or an organization.

    Attributes:
        name: As published.
        orcid: Without its address: 0000-0003-4060-7360.
        affiliation: Name of the organization; None where the archive states an identifier alone.
        ror: Address of the organization in the registry of research organizations.
        is_organization: It is published as an organization.
    """

    name: str
    orcid: str | None = None
    affiliation: str | None = None
    ror: str | None = None
    is_organization: bool = False


@dataclass(frozen=True)
class Stated:
    """What a release says of itself.

    Attributes:
        origin: Title, DOI, version, citation, licence, and the terms that are carried over.
        released: The day on which this version came out; None where the release is not registered.
        creators: As the landing page lists them; where there is none, as the release's crate does.
        publisher: Who published it.
        description: Of the dataset.
        keywords: In the published order.
        funders: Names.
        crate: What the root of the release's crate says: key to values, both verbatim.
    """

    origin: Origin
    released: date | None = None
    creators: tuple[Party, ...] = ()
    publisher: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    funders: tuple[str, ...] = ()
    crate: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """Address of the published dataset."""
        return f"https://doi.org/{self.origin.doi.removeprefix('doi:')}"

    def of_crate(self, *keys: str) -> tuple[str, ...]:
        """What the release's crate states under some keys, each value once."""
        return tuple(dict.fromkeys(value for key in keys for value in self.crate.get(key, ())))


def stated_by(release: Release, delivery: Sequence[Delivered]) -> Stated:
    """What a release says of itself.

    Args:
        release: The release.
        delivery: What it delivers (`lineage.delivered`); the licences of that count.
    """
    try:
        datasheet = release.table(RELEASE_DATASHEET.name).collect()
    except NotMaterializedError:
        datasheet = RELEASE_DATASHEET.empty()
    origin = origin_of(release, [one.credit for one in delivery if one.credit])
    return stated_in(datasheet, origin, origin.released)


def stated_in(datasheet: pl.DataFrame, origin: Origin, released: date | None = None) -> Stated:
    """What the rows of `release_datasheet` say.

    Args:
        datasheet: Rows of `release_datasheet`.
        origin: Title, DOI, version, citation and licence of the release.
        released: When the version came out.
    """
    page, crate = _values(datasheet, "landing_page"), _release_crate(datasheet)
    return Stated(
        origin=origin,
        released=released,
        creators=_creators(page) or _authors(crate),
        publisher=page.get("publisher.name"),
        description=page.get("description")
        or page.get("description[0]")
        or next(iter(crate.get("description", ())), None),
        keywords=_list(page, "keywords") or crate.get("keywords", ()),
        funders=tuple(one["name"] for one in _objects(page, "funder") if "name" in one),
        crate=crate,
    )


def _values(datasheet: pl.DataFrame, kind: str) -> dict[str, str]:
    """Path to value of the first document of a kind; what it says nothing of is left out."""
    rows = datasheet.filter(pl.col("source_kind") == kind, pl.col("value").str.strip_chars() != "")
    rows = rows.filter(pl.col("source") == rows["source"].first()) if rows.height else rows
    return dict(rows.select("field", "value").iter_rows())


def _release_crate(datasheet: pl.DataFrame) -> dict[str, tuple[str, ...]]:
    """What the root of the release's own crate says: it is the one that knows other crates, or the only one."""
    roots = datasheet.filter(pl.col("source_kind") == "crate_root", pl.col("value").is_not_null())
    knowing = roots.filter(pl.col("field").str.starts_with("crates"))["source"].unique()
    sources = knowing if knowing.len() else roots["source"].unique()
    if sources.len() != 1:
        return {}
    rows = roots.filter(pl.col("source") == sources[0], ~pl.col("field").str.starts_with("crates"))
    said: dict[str, tuple[str, ...]] = {}
    for path, value in rows.select("field", "value").iter_rows():
        listed = _LISTED.match(path)
        key = listed["key"] if listed else path
        said[key] = (*said.get(key, ()), value)
    return said


def _creators(page: Mapping[str, str]) -> tuple[Party, ...]:
    listed = list(_objects(page, "creator")) or list(_objects(page, "author"))
    return tuple(_party(one) for one in listed if "name" in one)


def _authors(crate: Mapping[str, tuple[str, ...]]) -> tuple[Party, ...]:
    """The authors of a crate: names, lists of names with semicolons between, and ids alone."""
    names = [name.strip() for one in crate.get("author", ()) for name in one.split(";") if name.strip()]
    return tuple(_party({"name": name, "@id": name}) for name in names)


def _party(stated: Mapping[str, str]) -> Party:
    ids = (stated.get(key, "") for key in ("@id", "identifier", "sameAs"))
    bare = (one.removeprefix("https://orcid.org/").removeprefix("http://orcid.org/") for one in ids)
    place = stated.get("affiliation.name")
    ror = place if place and _ROR.fullmatch(place) else None
    return Party(
        name=stated["name"],
        orcid=next((one for one in bare if ORCID.fits(one)), None),
        affiliation=None if ror else place,
        ror=ror,
        is_organization=stated.get("@type") == "Organization",
    )


def _objects(page: Mapping[str, str], key: str) -> Iterator[dict[str, str]]:
    """The objects of a list on the page, in its order."""
    found: dict[int, dict[str, str]] = {}
    for path, value in page.items():
        listed = _LISTED.match(path)
        if listed is not None and listed["key"] == key and listed["rest"]:
            found.setdefault(int(listed["index"]), {})[listed["rest"]] = value
    yield from (found[index] for index in sorted(found))


def _list(page: Mapping[str, str], key: str) -> tuple[str, ...]:
    """The values of a list on the page in its order, or the value that stands there alone."""
    listed = [
        (int(m["index"]), value) for path, value in page.items() if (m := _LISTED.match(path)) and m["key"] == key
    ]
    return tuple(value for _, value in sorted(listed))
