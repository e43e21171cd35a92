"""The sections of docs/runbook.md as a reader finds them: their text, and the commands in it.

Belongs here: finding them. Does not belong here: what is asked of them (`contract.test_runbook`), and doing what they
say (`test_runbook`).
"""

from __future__ import annotations

import re

from cm4ai_assets import runbook
from cm4ai_assets.settings import PROJECT

PAGE = PROJECT / "docs" / "runbook.md"
_PARTS = re.split(r"^### (.*)$", re.sub(r"^## .*\n", "", PAGE.read_text(), flags=re.MULTILINE), flags=re.MULTILINE)
SECTIONS = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
"""Heading to text, in the order of the page."""


def commands(anchor: str) -> list[str]:
    """The commands of a section, as the page has them."""
    blocks = re.findall(r"^```sh\n(.*?)^```", SECTIONS[runbook.section(anchor).title], re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]
