"""Which Figshare article the crates of a release name, and by what.

Belongs here: looking through the text of crates. Does not belong here: what the article holds (`archives.figshare`),
and the sequencing runs that crates list (`runs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# By DOI: Figshare's own prefix, and Figshare+. By a private link: a page, or a file with `private_link=`.
_DOI = re.compile(rb"10\.(?:6084/m9|25452)[./](?:figshare\.)?(?:plus\.)?[0-9]{4,12}(?:\.v[0-9]{1,4})?", re.IGNORECASE)
_VERSION = re.compile(r"\.v[0-9]+$")
_PRIVATE = re.compile(
    rb"figshare\.com/(?:s/(?P<page>[0-9a-f]{6,64})|[^\s\"'<>\\]*private_link=(?P<file>[0-9a-f]{6,64}))"
)


@dataclass(frozen=True)
class Named:
    """DOIs of articles, and keys of private links, each once, sorted."""

    dois: tuple[str, ...] = ()
    private: tuple[str, ...] = ()


def article_of(named: Named, known: str) -> tuple[str, bool]:
    """The DOI of the article to lock, and whether the crates name it: the known one if they do, else their first.

    >>> article_of(Named(("10.6084/m9.figshare.1434614", "10.25452/figshare.plus.27261219.v2")),
    ...            "10.25452/figshare.plus.27261219")
    ('10.25452/figshare.plus.27261219.v2', True)
    """
    theirs = [doi for doi in named.dois if _VERSION.sub("", doi) == known.lower()]
    return next(iter([*theirs, *named.dois]), known), bool(named.dois)


def named_in(texts: Iterable[bytes]) -> Named:
    """What texts name.

    >>> named_in([b'"url": "https://doi.org/10.25452/figshare.plus.27261219.v1"']).dois
    ('10.25452/figshare.plus.27261219.v1',)
    """
    dois: set[str] = set()
    private: set[str] = set()
    for text in texts:
        dois.update(match[0].decode().lower() for match in _DOI.finditer(text))
        private.update((match["page"] or match["file"]).decode() for match in _PRIVATE.finditer(text))
    return Named(tuple(sorted(dois)), tuple(sorted(private)))
