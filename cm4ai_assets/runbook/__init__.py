"""Where to read about a failure: the sections of docs/runbook.md, each a class of failures with one kind of remedy.

Belongs here: which classes there are, which checks are of which class, and the addresses of a section. Does not belong
here: the page's text (docs/runbook.md), how the UI serves it (`handbook`), and which error is of which class: its type
says it (`Cm4aiError.runbook`), or a foreign error's words do (`causes`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cm4ai_assets.errors import as_sentence

PATH: Final = "/runbook"
"""Where the UI serves the page."""

FILE: Final = "docs/runbook.md"
"""Where the page stands for a reader of the project."""


@dataclass(frozen=True)
class Section:
    """A class of failures. `anchor` is its name in addresses and never changes: the slug of its heading, `title`."""

    anchor: str
    title: str


SECTIONS: Final = (
    Section("a-run-failed", "A run failed"),
    Section("run-killed", "Run killed"),
    Section("run-waits", "Run waits"),
    Section("not-made", "Not made"),
    Section("blocking-check", "Blocking check"),
    Section("wrong-bytes", "Wrong bytes"),
    Section("zip-refused", "ZIP refused"),
    Section("unreadable-file", "Unreadable file"),
    Section("warning-check", "Warning check"),
    Section("unknown-kind", "Unknown kind"),
    Section("claims-contradict", "Claims contradict"),
    Section("document-outdated", "Document outdated"),
    Section("withdrawn-upstream", "Withdrawn upstream"),
    Section("embargo", "Embargo"),
    Section("new-release", "New release"),
    Section("release-overdue", "Release overdue"),
    Section("daemon-not-running", "Daemon not running"),
    Section("sensor-stopped", "Sensor stopped"),
    Section("ticks-fail", "Ticks fail"),
    Section("messages-do-not-arrive", "Messages do not arrive"),
    Section("archive-not-seen", "Archive not seen"),
    Section("archive-away", "Archive away"),
    Section("archive-refuses", "Archive refuses"),
    Section("disk-full", "Disk full"),
    Section("not-writable", "Not writable"),
    Section("storage-away", "Storage away"),
    Section("stored-bytes-damaged", "Stored bytes damaged"),
    Section("release-record", "Release record"),
    Section("wrong-storage", "Wrong storage"),
    Section("settings", "Settings"),
    Section("database-locked", "Database locked"),
    Section("instance-lost", "Instance lost"),
    Section("database-away", "Database away"),
    Section("machines-away", "Machines away"),
)

_OF_CHECKS: Final[Mapping[str, str]] = {
    check: anchor
    for anchor, checks in {
        "wrong-bytes": "digest_and_size",
        "zip-refused": "zip_safe",
        "unknown-kind": "files_recognised roles_recognised tables_recognised treatments_known samples_known "
        "channels_known columns_known metrics_known members_expected images_named",
        "claims-contradict": "crate_claims crate_digests crate_digests_distinct crate_dois crate_files "
        "crate_identifiers crate_inverses crate_parts crate_sizes crate_targets crate_version crates_readable "
        "entities_sound provenance_agrees antibodies_agree datasheet_doi datasheet_files datasheet_license "
        "datasheet_version datasheets_conform",
        "document-outdated": "grades_hold_now records_agree",
        "withdrawn-upstream": "still_published",
        "embargo": "files_accessible embargoes_current",
        "release-overdue": "release_due",
        "release-record": "records_readable everything_read",
    }.items()
    for check in checks.split()
}
"""Checks of a class of their own. Any other is a blocking check, or one that warns."""


def slug(title: str) -> str:
    """The anchor of a heading, as GitHub, the site and the UI make it.

    >>> slug("ZIP refused")
    'zip-refused'
    """
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def of_check(check: str, *, blocking: bool) -> str:
    """The anchor of the section about a check that did not pass.

    >>> of_check("zip_safe", blocking=True), of_check("in_focus", blocking=False)
    ('zip-refused', 'warning-check')
    """
    return _OF_CHECKS.get(check, "blocking-check" if blocking else "warning-check")


def section(anchor: str) -> Section:
    """A section by its anchor.

    Raises:
        KeyError: There is none.
    """
    return _BY_ANCHOR[anchor]


def address(anchor: str) -> str:
    """Where the UI shows a section: a path on the UI's own address.

    Raises:
        KeyError: There is no such section.

    >>> address("disk-full")
    '/runbook#disk-full'
    """
    return f"{PATH}#{section(anchor).anchor}"


def in_file(anchor: str) -> str:
    """Where a section stands for whoever reads in a terminal.

    Raises:
        KeyError: There is no such section.

    >>> in_file("disk-full")
    'docs/runbook.md#disk-full'
    """
    return f"{FILE}#{section(anchor).anchor}"


def anchor_in(text: str) -> str:
    """The anchor of the first section that a text links; empty where it links none.

    >>> anchor_in("[Disk full](/runbook#disk-full)")
    'disk-full'
    """
    found = _LINK.search(text)
    return found[1] if found else ""


def with_section(line: str, anchor: str) -> str:
    """An error's line for a terminal, and where to read on; the line alone where it is of no class.

    >>> with_section("It is full.", "disk-full"), with_section("It is full", "")
    ('It is full. See docs/runbook.md#disk-full', 'It is full')
    """
    if not anchor:
        return line
    return f"{as_sentence(line)} See {in_file(anchor)}"


_LINK: Final = re.compile(rf"{PATH}#([a-z-]+)")
_BY_ANCHOR: Final = {one.anchor: one for one in SECTIONS}
