"""The lock of an article: what each of its files is, and whether it may be asked for.

Belongs here: all that follows from Figshare's answer alone. Does not belong here: asking (`client`), fetching
(`acquire`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl

from cm4ai_assets.archives.figshare.locked_file import FigshareFile
from cm4ai_assets.archives.figshare.model import Article, ArticleFile
from cm4ai_assets.tables.perturbseq import FIGSHARE_FILES

_VERSION = re.compile(r"\.v[0-9]+$", re.IGNORECASE)
# By the end of the name, in this order. The feature reference of Cell Ranger is how the programme publishes its guides.
_ROLES = (
    ("cells", re.compile(r"\.h5ad$", re.IGNORECASE)),
    ("guides", re.compile(r"(?:feature[-_ ]?ref|guide[-_ ]?library|sgrna[-_ ]?library)[^/]*\.csv$", re.IGNORECASE)),
    ("controls", re.compile(r"(?:ntc|non[-_ ]?targeting)[^/]*whitelist[^/]*\.txt$", re.IGNORECASE)),
)


def lock_frame(
    article: Article,
    *,
    release: str,
    day: date,
    named_by: str,
    note: str = "",
    stored: Callable[[FigshareFile], str | None] = lambda _: None,
) -> pl.DataFrame:
    """The rows of `figshare_files` of an article, sorted by file id.

    Args:
        article: The article with all its files.
        release: The release that they are locked for.
        day: The day that embargoes are held against.
        named_by: Who names the article (`tables.perturbseq.NAMED_BY`).
        note: What is to be known of all its files.
        stored: The SHA-256 of a file's stored bytes; None where they are not stored.
    """
    rows = [_row(article, file, day=day, named_by=named_by, note=note) for file in article.files]
    for row in rows:
        row["sha256"] = stored(FigshareFile.from_row(row))
    return FIGSHARE_FILES.from_rows(rows, release=release)


def _row(article: Article, file: ArticleFile, *, day: date, named_by: str, note: str) -> dict[str, Any]:
    access, until, why = access_of(article, file, day)
    role = role_of(file.name)
    notes = [note, why, "" if role != "other" else "No reader for files of this name."]
    if file.is_altered:
        notes.append(f"Figshare has other bytes ({file.computed_md5}) than the depositor sent ({file.supplied_md5}).")
    return {
        "doi": _VERSION.sub("", article.doi or ""),
        "article_id": article.id,
        "article_version": article.version,
        "file_id": file.id,
        "label": file.name,
        "size": file.size,
        "md5": file.md5,
        "supplied_md5": file.supplied_md5,
        "url": file.download_url,
        "license": article.license.name if article.license else None,
        "access": access,
        "embargo_until": until,
        "role": role,
        "named_by": named_by,
        "notes": " ".join(text for text in notes if text),
    }


def role_of(name: str) -> str:
    """What a file is for this platform, by its name.

    >>> role_of("KOLF_Pan_Genome_QC_Filtered.h5ad"), role_of("pan_genome_feature_reference.csv"), role_of("README.md")
    ('cells', 'guides', 'other')
    """
    return next((role for role, pattern in _ROLES if pattern.search(name)), "other")


def access_of(article: Article, file: ArticleFile | None, day: date) -> tuple[str, date | None, str]:
    """The access state on a day, the day an embargo ends, and what is to be said of it.

    An embargo without a legible end has not ended: Figshare calls that a permanent one. `is_confidential` is its old
    name.
    """
    until = article.embargo_date
    if article.is_embargoed and (until is None or day < until):
        kind = f" ({article.embargo_type})" if article.embargo_type else ""
        reason = f": {article.embargo_reason}" if article.embargo_reason else ""
        return "embargoed", until, f"Embargoed{kind} {f'until {until}' if until else 'without a stated end'}{reason}."
    if article.is_confidential:
        return "restricted", None, f"Confidential: {article.confidential_reason or 'no reason stated'}."
    if article.is_public is False:
        return "restricted", None, "The article is not public."
    if article.download_disabled:
        return "blocked", None, "The article's downloads are switched off."
    if file is not None and file.is_link_only:
        return "linked", None, "A link to somewhere else; Figshare holds no bytes of it."
    return "public", None, ""
