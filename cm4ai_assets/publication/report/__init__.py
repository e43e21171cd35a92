"""The report of a release: one page that can be sent to a colleague.

Belongs here: which sections it has, in which order. Each module says some of them from a `Subject`. Does not belong
here: how pages become HTML (`publication.html`), evaluating the checks and publishing (`defs.publication.report`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cm4ai_assets.publication.blocks import Page
from cm4ai_assets.publication.report import changes, images, loading, molecules, opening, origin, plates, terms
from cm4ai_assets.publication.report.subject import Checked, Subject


def page_of(subject: Subject, beside: Mapping[str, bytes] | None = None) -> Page:
    """The report. The same page for the same release: it knows no "now".

    Args:
        subject: The release.
        beside: The files beside the page, by name.
    """
    origin_ = subject.origin
    sections = (
        opening.at_a_glance(subject),
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


__all__ = ["Checked", "Subject", "page_of"]
