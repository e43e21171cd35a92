"""Figshare's answers as types: article and file.

Every field is optional and unknown ones are kept: what the API sends has grown over the years. Does not belong here:
asking (`client`), and what follows from an answer (`lock`). Source: the OpenAPI description behind docs.figshare.com
(ArticleComplete, PublicFile).
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_MD5 = re.compile("[0-9a-f]{32}")


def _lenient_day(value: object) -> date | None:
    """A day, or None where the text is not one: a malformed date must not hide that there is an embargo."""
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None


def _digest(value: object) -> str | None:
    """A digest in lower case; None for an empty text, which is how Figshare says that it has none."""
    text = str(value or "").strip().lower()
    return text or None


Flag = Annotated[bool, BeforeValidator(bool)]
Day = Annotated[date | None, BeforeValidator(_lenient_day)]
Digest = Annotated[str | None, BeforeValidator(_digest)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True, defer_build=True)


class License(_Answer):
    """What the article is published under."""

    name: str | None = None
    url: str | None = None


class ArticleFile(_Answer):
    """A file of an article. `supplied_md5` is what the depositor stated, `computed_md5` what Figshare measured."""

    id: Count
    name: str
    size: Count | None = None
    is_link_only: Flag = False
    download_url: str | None = None
    supplied_md5: Digest = None
    computed_md5: Digest = None

    @property
    def md5(self) -> str | None:
        """The digest of the bytes that Figshare has, else the one it was given; None where neither is a digest."""
        stated = (self.computed_md5, self.supplied_md5)
        return next((digest for digest in stated if digest and _MD5.fullmatch(digest)), None)

    @property
    def is_altered(self) -> bool:
        """Whether Figshare has other bytes than the depositor said that it sent."""
        return None not in {self.supplied_md5, self.computed_md5} and self.supplied_md5 != self.computed_md5


class Article(_Answer):
    """A version of an article. `files` holds the first ten only; the client lists them all."""

    id: Count
    version: Count
    doi: str | None = None
    title: str | None = None
    license: License | None = None
    published_date: Day = None
    modified_date: Day = None
    is_public: bool | None = None
    is_embargoed: Flag = False
    embargo_date: Day = None
    embargo_type: str | None = None
    embargo_title: str | None = None
    embargo_reason: str | None = None
    is_confidential: Flag = False
    confidential_reason: str | None = None
    is_metadata_record: Flag = False
    download_disabled: Flag = False
    files: tuple[ArticleFile, ...] = ()
