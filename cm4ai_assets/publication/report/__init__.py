"""The report of a release: one page that can be sent to a colleague.

Belongs here: which sections it has, in which order. Each module says some of them from a `Subject`. Does not belong
here: how pages become HTML (`publication.html`), evaluating the checks and publishing (`defs.publication.report`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cm4ai_assets.publication.blocks import Page
from cm4ai_assets.publication.citation import BIBTEX_NAME, CFF_NAME, bibtex, citation_cff
from cm4ai_assets.publication.d4d import D4D_NAME, datasheet_yaml
from cm4ai_assets.publication.html import render
from cm4ai_assets.publication.report import changes, images, loading, molecules, opening, origin, plates, terms
from cm4ai_assets.publication.report.subject import Checked, Subject
from cm4ai_assets.publication.stated import stated_by
from cm4ai_assets.tables.publication import DATASHEET_REPORT


def files_of(subject: Subject) -> tuple[Page, dict[str, bytes]]:
    """The page, and all files of the document: the page, the datasheet (D4D), and the citation in two forms."""
    stated = stated_by(subject.release, subject.delivery)
    found = [(one.asset, one.condition, one.finding) for one in subject.checked if one.finding is not None]
    beside = {
        D4D_NAME: datasheet_yaml(subject.release, subject.delivery, found),
        CFF_NAME: citation_cff(stated),
        BIBTEX_NAME: bibtex(stated),
    }
    page = page_of(subject, beside)
    return page, {DATASHEET_REPORT.entry: render(page), **beside}


def page_of(subject: Subject, beside: Mapping[str, bytes] | None = None) -> Page:
    """The report. The same page for the same release: it knows no "now".

    Args:
        subject: The release.
        beside: The files beside the page, by name.
    """
    origin_ = subject.origin
    sections = (
        opening.at_a_glance(subject, list(beside or ())),
        opening.delivery(subject),
        images.contact_sheets(subject),
        images.quality(subject),
        images.nuclei(subject),
        plates.plates(subject),
        plates.effects(subject),
        plates.splits(subject),
        molecules.coverage(subject),
        molecules.secms(subject),
        molecules.apms(subject),
        molecules.perturbseq(subject),
        changes.changes(subject),
        changes.anomalies(subject),
        terms.embargoes(subject),
        terms.licences(subject),
        terms.terms(subject),
        terms.citation(subject, beside or {}),
        origin.provenance(subject),
        loading.loading(subject),
        loading.glossary(subject),
    )
    summary = f"Cell Maps for AI, release {subject.key} ({origin_.doi}, version {origin_.version})."
    return Page(
        title=origin_.title or f"Release {subject.key}",
        sections=sections,
        summary=f"{summary} What is in it, how good it is, under which terms, and how to use it.",
        footer=f"Made from the published tables of release {subject.key}. Licence of the data: {origin_.license}.",
    )


__all__ = ["Checked", "Subject", "files_of", "page_of"]
