"""What an export says of its origin: dataset, version, licence, citation, and the published bytes behind it.

Belongs here: README.md and the record in the folder. Does not belong here: what a licence is (`updates.credit`), or
what a format says of its own files (`Plan.how_to_read`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from cm4ai_assets.access import Release
from cm4ai_assets.crates.datasheet import carried_over
from cm4ai_assets.errors import NotMaterializedError, ReleaseKeyError
from cm4ai_assets.exports.parts import ALL, Covered, Plan
from cm4ai_assets.lineage.published import PublishedFile, files_read, published_inputs
from cm4ai_assets.lineage.sources import sources_of
from cm4ai_assets.plain import for_markdown
from cm4ai_assets.software import package_version
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets.storage.registry import ReleaseRegistry
from cm4ai_assets.updates.credit import NOT_STATED, credit, licences

_NO_COMMERCE = "NC"
_FILE = "published file"
_SHA256 = "sha256 "


@dataclass(frozen=True)
class Origin:
    """The release behind an export. Texts are as the archive states them; `released` is when this version came out.

    `articles` are the DOIs of what else the exported data are published in.
    """

    release: str
    doi: str
    version: str
    title: str
    citation: str
    license: str
    carried: Mapping[str, Sequence[str]] = field(default_factory=dict)
    released: date | None = None
    articles: Sequence[str] = ()

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """The record of an export."""
        return {
            "made_by": f"cm4ai_assets {package_version()}",
            "release": self.release,
            "doi": self.doi,
            "version": self.version,
            "title": self.title,
            "citation": self.citation,
            "articles": list(self.articles),
            "license": self.license,
            "terms": {topic: list(stated) for topic, stated in self.carried.items() if stated},
            "contents": [
                {"kind": one.kind, "conditions": list(one.conditions), "not_in_it": dict(one.absent)}
                for one in plan.coverage
            ],
            "counts": dict(plan.counts),
            "notes": list(plan.notes),
            "sources": [dict(source) for source in plan.sources],
        }


def credits_of(release: Release, table: str, conditions: Iterable[str]) -> list[dict[str, str]]:
    """Dataset, version and licence behind the partitions of a table that is made from the release's own files."""
    return [credit(release.store, table, Partition(release.key, condition)) for condition in conditions]


def origin_of(release: Release, stated: Sequence[Mapping[str, str]]) -> Origin:
    """What a release says of itself.

    Args:
        release: The release.
        stated: The credits of what is exported; their licences count.
    """
    try:
        record = ReleaseRegistry(release.store).get(release.key)
    except ReleaseKeyError:
        doi = next((one["doi"] for one in stated if "doi" in one), NOT_STATED)
        carried, articles = _carried(release), _articles(stated)
        return Origin(release.key, doi, NOT_STATED, "", doi, _licence(stated), carried, articles=articles)
    carried = _carried(release)
    made = f"{record.title}, version {record.version} ({record.published.year}). {_address(record.doi)}"
    citation = next(iter(carried.get("citation", ())), made)
    licence, released = _licence(stated), record.came_out.date()
    return Origin(
        record.key, record.doi, record.version, record.title, citation, licence, carried, released, _articles(stated)
    )


def _address(doi: str) -> str:
    return f"https://doi.org/{doi.removeprefix('doi:')}"


def _licence(stated: Sequence[Mapping[str, str]]) -> str:
    return licences([part for one in stated for part in one.get("license", NOT_STATED).split(", ")])


def _articles(stated: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(doi for one in stated if "article" in one for doi in one["article"].split(", ")))


def _carried(release: Release) -> dict[str, list[str]]:
    try:
        stated = carried_over(release.table("release_datasheet").collect())
    except NotMaterializedError:
        return {}
    return {topic: stated[topic] for topic in ("citation", "terms", "prohibited_use", "contact")}


def published_files(release: Release, table: str, condition: str | None) -> list[dict[str, Any]]:
    """The files of a release from which a partition of a table is made, each as an object of its own."""
    files = published_inputs(release.store, release.key, table, condition)
    return [{"kind": _FILE, "condition": condition, **_stated(file)} for file in files]


def files_behind(release: Release, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The published files that rows name (`lineage.sources`), each once, with the tables in them.

    Args:
        release: The release.
        rows: Rows with `source_file_id`, `source_sha256` and `source_file`.
    """
    found = []
    for source in sources_of(release.store, release.key, rows):
        named = {"kind": _FILE, "file_id": source.file_id, "sha256": source.sha256, "tables": list(source.tables)}
        found.append({**({} if source.file is None else _stated(source.file)), **named})
    return found


def screen_behind(release: Release, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The files that rows of `perturb_targets` were counted from, each once, as `trace` finds them.

    `identity` is what stands for the bytes that were read. A file that the release's article does not list has no more
    than that, its name and its licence.
    """
    found = list[dict[str, Any]]()
    for read in files_read(release.store, release.key, "perturb_targets", rows):
        named = {"identity": read.identity, **({"note": read.note} if read.note else {})}
        if read.identity.startswith(_SHA256):
            named["sha256"] = read.identity.removeprefix(_SHA256)
        found += [{"kind": _FILE, **_stated(file), "sha256": file.sha256, **named} for file in read.files]
        if not read.files:
            licences_ = rows.filter(source=read.name)["license"].unique().sort().to_list()
            found.append({"kind": "file", "label": read.name, "license": licences(licences_), **named})
    return found


def digests_of(sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """What stands for the bytes of some sources, sorted: for the identity of an export."""
    return sorted(str(one.get("identity") or one.get("sha256") or one.get("digest")) for one in sources)


def _stated(file: PublishedFile) -> dict[str, Any]:
    """A published file as its archive states it."""
    directory, _, label = file.path.rpartition("/")
    return {
        "archive": file.archive,
        "dataset": file.dataset,
        "dataset_version": file.version,
        "file_id": int(file.file_id) if file.file_id else None,
        "directory": directory,
        "label": label,
        "size": file.size,
        "digest_type": file.digest_type,
        "digest": file.digest,
        "license": file.license,
    }


def readme(plan: Plan, origin: Origin) -> str:
    """README.md of an export: what it is, under which licence, how it is cited and read, and where it comes from."""
    shown = for_markdown
    lines = [
        f"# {shown(origin.title or origin.release)}",
        "",
        f"- Release {origin.release}: {shown(origin.doi)}, version {shown(origin.version)}",
        f"- Licence of the data: **{shown(origin.license)}**{_restriction(origin.license)}",
        f"- Cite: {shown(origin.citation)}",
        *(f"- Cite as well: {shown(_address(doi))}" for doi in origin.articles),
        *(f"- {label}: {shown(text)}" for label, text in _terms(origin)),
        "",
        plan.how_to_read.strip(),
        "",
        *_contents(plan.coverage),
        "## What to know",
        *(f"- {note}" for note in plan.notes),
        *(f"- {name.replace('_', ' ')}: {_shown(value)}" for name, value in plan.counts.items()),
        "",
        "## Made from",
        "Digests, and everything else about the origin, stand in `cm4ai-export.json`.",
        *(f"- {_source(source)}" for source in plan.sources),
        "",
    ]
    return plan.front_matter(origin.license) + "\n".join(lines)


def _contents(coverage: Sequence[Covered]) -> list[str]:
    """The section on what is in an export and what is not; nothing where that is not stated."""
    held = [f"- {one.kind}{_of(', '.join(one.conditions))}" for one in coverage if one.conditions]
    absent = [
        f"- Not in it: {one.kind}{_of(condition)}. {for_markdown(why)}"
        for one in coverage
        for condition, why in one.absent.items()
    ]
    return ["## What is in it", *held, *absent, ""] if coverage else []


def _of(conditions: str) -> str:
    return "" if conditions == ALL else f" of {conditions}"


def _restriction(license_name: str) -> str:
    return " (not for commercial use)" if _NO_COMMERCE in license_name.replace("-", " ").split() else ""


def _terms(origin: Origin) -> list[tuple[str, str]]:
    labels = {"terms": "Terms", "prohibited_use": "Prohibited", "contact": "Contact"}
    return [(label, text) for topic, label in labels.items() for text in origin.carried.get(topic, ())]


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{for_markdown(str(key))} {_shown(inner)}" for key, inner in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int) else for_markdown(str(value))


def _source(source: Mapping[str, Any]) -> str:
    name = source.get("label") or source.get("path") or ", ".join(source.get("tables", ()))
    digest = source.get("sha256") or source.get("digest") or source.get("identity") or ""
    return f"{source['kind']}: {for_markdown(str(name))} {f'({str(digest)[:16]}…)' if digest else ''}".strip()
