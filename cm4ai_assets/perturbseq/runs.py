"""The sequencing runs behind the cells: what crates list, put together with what the sequence archives hold.

Belongs here: samples and runs in crates and in their previews, and rows of `sra_runs` from both sides. Does not belong
here: asking anybody (`archives.ena`), and reading crate files as such (`crates.reader`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from typing import Any

import polars as pl

from cm4ai_assets.archives.ena.reports import RunFile, RunReport, day_in
from cm4ai_assets.archives.ena.run_file import run_files
from cm4ai_assets.crates.identifiers import normalize_type
from cm4ai_assets.identifiers import SRA_RUN
from cm4ai_assets.tables.perturbseq import RUN_LISTS, SRA_RUNS

# KOLF2-ALPHA-GEX-Chip-1-Channel-1 of a sample; ALPHA-Chip-1-Channel-1 of what both its libraries are counted into.
_SAMPLE = re.compile(
    r"(?P<sample>[A-Za-z0-9.]+-(?P<batch>[A-Z]+)-(?P<library>GEX|CRISPR)-Chip-(?P<chip>[0-9]{1,3})-Channel-"
    r"(?P<channel>[0-9]{1,3}))(?![0-9])"
)
_COUNTED = re.compile(r"Molecule Data[- ](?P<channel>[A-Z]+-Chip-[0-9]{1,3}-Channel-[0-9]{1,3})$")
_EMBARGOED = re.compile(r"embargo", re.IGNORECASE)


@dataclass
class Sample:
    """A sample as crates name it: its runs, the day of release that they state, and whether they say "embargoed"."""

    name: str
    runs: set[str] = field(default_factory=set)
    day: date | None = None
    is_embargoed: bool = False
    listed_by: set[str] = field(default_factory=set)


@dataclass
class Listed:
    """What the crates of a release list: samples by name, and the channels that have a molecule file."""

    samples: dict[str, Sample] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)

    def add(self, name: str, *, urls: Iterable[str], day: str, listed_by: str) -> None:
        """Take a data set of a crate, or a row of its preview, if it is a sample or a molecule file."""
        if match := _COUNTED.search(name):
            self.counted.add(match["channel"])
        if (named := _SAMPLE.search(name)) is None:
            return
        sample = self.samples.setdefault(named["sample"], Sample(named["sample"]))
        addresses = list(urls)
        sample.runs.update(run for url in addresses for run in SRA_RUN.found_in(url))
        sample.is_embargoed |= any(_EMBARGOED.search(url) for url in addresses)
        # Of two crates, the one that was written later says the later day, or says that there is no embargo any more.
        if (stated := day_in(day)) is not None:
            sample.day = max(stated, sample.day or stated)
        sample.listed_by.add(listed_by)


def listed_in(objects: Iterable[Mapping[str, Any]], previews: Iterable[str] = ()) -> Listed:
    """What crates list, and their previews where the crate itself is not at hand.

    Args:
        objects: The entities of crates, as plain JSON objects.
        previews: Pages that fairscape-cli made of crates: a table of data sets with name, access and day of release.
    """
    found = Listed()
    for entity in objects:
        if "Dataset" in _types(entity):
            urls = entity.get("contentUrl")
            found.add(
                str(entity.get("name") or ""),
                urls=[str(url) for url in urls] if isinstance(urls, list) else [str(urls or "")],
                day=str(entity.get("datePublished") or ""),
                listed_by="crate",
            )
    crated = set(found.samples)
    for page in previews:
        for name, access, day in _rows_of(page):
            match = _SAMPLE.search(name)
            if match is None or match["sample"] not in crated:
                found.add(name, urls=[access], day=day, listed_by="preview")
    return found


def _types(entity: Mapping[str, Any]) -> set[str | None]:
    types = entity.get("@type")
    return {normalize_type(one) for one in (types if isinstance(types, list) else [types]) if isinstance(one, str)}


def _rows_of(page: str) -> Iterator[tuple[str, str, str]]:
    """Name, access and day of the rows of a preview's tables that have four cells."""
    reader = _Cells()
    reader.feed(page)
    for cells in reader.rows:
        if len(cells) == 4:  # noqa: PLR2004 - name, description, access, day
            yield cells[0], cells[2], cells[3]


class _Cells(HTMLParser):
    """The cells of every table row of a page, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        if tag == "td" and self.rows:
            self.rows[-1].append("")
        self._inside = tag == "td" if tag in {"td", "tr", "th"} else self._inside

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "tr"}:
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()


def runs_table(
    listed: Listed,
    reports: Mapping[str, Sequence[RunReport] | None],
    *,
    release: str,
    project: str,
    day: date,
    stored: Callable[[RunFile], str | None] = lambda _: None,
) -> pl.DataFrame:
    """The rows of `sra_runs` of a release, sorted by sample and run.

    Args:
        listed: What its crates list.
        reports: What each archive ("ena", "ncbi") lists under the project; None for one that could not be asked.
        release: The release.
        project: The BioProject that was asked for.
        day: The day that embargoes are held against.
        stored: The SHA-256 of a file's stored bytes; None where they are not stored.
    """
    by_run: dict[str, list[RunReport]] = {}
    for own in reports.values():
        for report in own or ():
            by_run.setdefault(report.run, []).append(report)
    rows = [
        _row(sample, run, by_run.get(run or "", []), listed_by, counted=listed.counted, day=day,
             asked=any(own is not None for own in reports.values()), project=project)
        for sample, run, listed_by in _places(listed, by_run)
    ]  # fmt: skip
    for row in rows:
        row["file_sha256s"] = [stored(file) for file in run_files(row)]
    return SRA_RUNS.from_rows(rows, release=release).sort("sample", "run", nulls_last=True)


Place = tuple[Sample | None, str | None, set[str]]


def _places(listed: Listed, by_run: Mapping[str, Sequence[RunReport]]) -> Iterator[Place]:
    """Sample, run, and which crates list them: runs of crates, runs of archives alone, and samples without a run."""
    crated = {run for sample in listed.samples.values() for run in sample.runs}
    answered = set()
    for sample in listed.samples.values():
        yield from ((sample, run, sample.listed_by) for run in sample.runs)
    for run in by_run.keys() - crated:
        name = _sample_of(by_run[run])
        answered.add(name)
        yield (listed.samples.get(name) or Sample(name) if name else None), run, set()
    for sample in listed.samples.values():
        if not sample.runs and sample.name not in answered:
            yield sample, None, sample.listed_by


def _sample_of(reports: Sequence[RunReport]) -> str | None:
    """The sample that archives name for a run."""
    found = [match["sample"] for report in reports for name in report.names if (match := _SAMPLE.search(name))]
    return found[0] if found else None


def _row(
    sample: Sample | None,
    run: str | None,
    reports: Sequence[RunReport],
    listed_by: set[str],
    *,
    counted: set[str],
    day: date,
    asked: bool,
    project: str,
) -> dict[str, Any]:
    match = _SAMPLE.fullmatch(sample.name) if sample else None
    gem = f"{match['batch']}-Chip-{match['chip']}-Channel-{match['channel']}" if match else None
    files = next((report.chosen for report in reports if report.chosen), ())
    access, until = _access(sample, reports, files, day=day, asked=asked)
    sizes = [file.size for file in files]
    listers = listed_by | {report.archive for report in reports}
    return {
        "sample": sample.name if sample else None,
        "run": run,
        "batch": match["batch"] if match else None,
        "library": match["library"] if match else None,
        "chip": int(match["chip"]) if match else None,
        "channel": int(match["channel"]) if match else None,
        "gem_channel": gem,
        "is_counted": gem in counted if counted and gem else None,
        "bioproject": project if reports else None,
        "experiment": _first(reports, "experiment"),
        "biosample": _first(reports, "sample"),
        "strategy": _first(reports, "strategy"),
        "layout": _first(reports, "layout"),
        "spots": _first(reports, "spots"),
        "bases": _first(reports, "bases"),
        "access": access,
        "embargo_until": until,
        "public_since": _first(reports, "public_since"),
        "files_kind": files[0].kind if files else None,
        "file_names": [file.name for file in files],
        "file_urls": [file.url for file in files],
        "file_sizes": sizes,
        "file_md5s": [file.md5 for file in files],
        "size": sum(size or 0 for size in sizes) if sizes and None not in sizes else None,
        "listed_by": [one for one in RUN_LISTS if one in listers],
        "defects": list(dict.fromkeys(_defects(sample, run, reports, files))),
    }


def _first(reports: Sequence[RunReport], name: str) -> Any:  # noqa: ANN401 - a field of a report
    """What the first archive that states it says; None where none does."""
    return next((value for report in reports if (value := getattr(report, name)) not in {None, ""}), None)


def _access(
    sample: Sample | None, reports: Sequence[RunReport], files: Sequence[RunFile], *, day: date, asked: bool
) -> tuple[str, date | None]:
    if files:
        return "public", None
    if reports:
        return "no_files", None
    if sample is not None and (sample.is_embargoed or (sample.day is not None and sample.day > day)):
        return "embargoed", sample.day
    return ("not_listed" if asked else "unknown"), None


def _defects(
    sample: Sample | None, run: str | None, reports: Sequence[RunReport], files: Sequence[RunFile]
) -> Iterator[str]:
    if run is None or (sample is not None and "crate" in sample.listed_by and not sample.runs):
        yield "run_not_named"
    if sample is None:
        yield "sample_not_named"
    elif (other := _sample_of(reports)) is not None and other != sample.name:
        yield "samples_differ"
    for report in reports:
        yield from report.defects
    if any(file.md5 is None for file in files):
        yield "no_digest"
    of_sra = {file.md5 for report in reports for file in report.files if file.kind == "sra" and file.md5}
    if len(of_sra) > 1:
        yield "digests_differ"
