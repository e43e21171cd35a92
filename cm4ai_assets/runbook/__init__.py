"""Where to read about a failure: the sections of docs/runbook.md, each a class of failures with one kind of remedy.

Belongs here: which classes there are, which checks are of which class, and the addresses of a section. Does not belong
here: the page's text (docs/runbook.md), how the UI serves it (`page`), and which error is of which class: an error's
type says it (`Cm4aiError.runbook`), a foreign error's words do (`causes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PATH: Final = "/runbook"
"""Where the UI serves the page."""

FILE: Final = "docs/runbook.md"
"""Where the page stands for a reader of the project."""


@dataclass(frozen=True)
class Section:
    """A class of failures. `anchor` is its name in addresses, and never changes; `title` is its heading."""

    anchor: str
    title: str


SECTIONS: Final = (
    Section("a-run-failed", "A run failed"),
    Section("run-killed", "A run was killed"),
    Section("run-waits", "A run waits"),
    Section("not-made", "An asset was not made, or a table is missing"),
    Section("blocking-check", "A blocking check failed"),
    Section("wrong-bytes", "A file has other bytes than published"),
    Section("archive-refused", "A ZIP is refused as a whole"),
    Section("unreadable-file", "A published file cannot be read"),
    Section("warning-check", "A check warns"),
    Section("unknown-to-rules", "A file, column or label is of no known kind"),
    Section("claims-contradict", "Metadata contradict the archive"),
    Section("document-outdated", "A document describes what is no longer so"),
    Section("withdrawn-upstream", "A release or file was withdrawn or altered in the archive"),
    Section("embargo", "A file is embargoed or restricted"),
    Section("new-release", "A new release came"),
    Section("release-overdue", "A release is overdue"),
    Section("daemon-not-running", "The daemon is not running"),
    Section("sensor-stopped", "A sensor or schedule has stopped"),
    Section("ticks-fail", "The ticks of a sensor or schedule fail"),
    Section("archive-not-seen", "The archive was not looked at"),
    Section("archive-away", "An archive does not answer"),
    Section("archive-refuses", "An archive, a proxy or a firewall refuses"),
    Section("disk-full", "A disk is full"),
    Section("not-writable", "A folder or bucket cannot be written"),
    Section("storage-away", "The server of the storage does not answer"),
    Section("stored-bytes-damaged", "Stored bytes are damaged"),
    Section("release-record", "A release record is damaged, stray or of another archive"),
    Section("wrong-storage", "Storage and instance do not fit together, or a setting is wrong"),
    Section("database-locked", "The database is locked"),
    Section("instance-lost", "The Dagster instance is lost or damaged"),
    Section("database-away", "The database of several machines does not answer"),
    Section("machines-away", "A worker, scheduler or broker is away"),
)

_OF_CHECKS: Final[Mapping[str, str]] = {
    check: anchor
    for anchor, checks in {
        "wrong-bytes": "digest_and_size",
        "archive-refused": "zip_safe",
        "unknown-to-rules": "files_recognised roles_recognised tables_recognised treatments_known samples_known "
        "channels_known columns_known metrics_known members_expected images_named",
        "claims-contradict": "crate_claims crate_digests crate_digests_distinct crate_dois crate_files "
        "crate_identifiers crate_inverses crate_parts crate_sizes crate_targets crate_version crates_readable "
        "entities_sound provenance_agrees antibodies_agree datasheet_doi datasheet_files datasheet_license "
        "datasheet_version datasheets_conform",
        "document-outdated": "grades_hold_now records_agree",
        "withdrawn-upstream": "still_published",
        "embargo": "files_accessible embargoes_current",
        "release-overdue": "release_due",
        "release-record": "records_readable",
    }.items()
    for check in checks.split()
}
"""Checks of a class of their own. Any other is a blocking check, or one that warns."""


def of_check(check: str, *, blocking: bool) -> str:
    """The anchor of the section about a check that did not pass.

    >>> of_check("zip_safe", blocking=True), of_check("in_focus", blocking=False)
    ('archive-refused', 'warning-check')
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


_BY_ANCHOR: Final = {one.anchor: one for one in SECTIONS}
