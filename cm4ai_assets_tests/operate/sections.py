"""The sections of docs/runbook.md as a reader finds them: their text, and what they tell the reader to do.

Belongs here: finding it, and holding a test to it. Does not belong here: doing it (`runbook`), and what is asked of the
page as a whole (`contract.test_runbook`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cm4ai_assets import runbook
from cm4ai_assets.settings import PROJECT

PAGE = PROJECT / "docs" / "runbook.md"
_PARTS = re.split(r"^### (.*)$", re.sub(r"^## .*\n", "", PAGE.read_text(), flags=re.MULTILINE), flags=re.MULTILINE)
SECTIONS = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))
"""Heading to text, in the order of the page."""

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_PROGRAM = re.compile(r"(cm4ai|make|python|chown|ulimit) \S")
_SETTING = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_CLICK = re.compile(r"(?<!\*)\*([^*\n]+)\*(?!\*)")


def part(anchor: str, name: str) -> str:
    """One part of a section, as `Do`: what stands from its name to the next."""
    text = SECTIONS[runbook.section(anchor).title]
    found = re.search(rf"^\*\*{name}:\*\*(.*?)(?=^\*\*[A-Z][a-z ]+:\*\*|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{anchor} has no part {name}"
    return found[1]


def commands(anchor: str) -> list[str]:
    """The commands of a section, as the page has them."""
    return [line for block in _FENCED.findall(part(anchor, "Do")) for line in block.splitlines()]


def acts(anchor: str) -> list[str]:
    """All that a section has the reader do: commands, those in a sentence, settings, and clicks in the UI."""
    typed, text = commands(anchor), _FENCED.sub("", part(anchor, "Do"))
    inline = [code for code in _CODE.findall(text) if _PROGRAM.match(code)]
    inline = [code for code in inline if not any(line.startswith(code) for line in typed)]  # a name in a sentence
    words = _CODE.sub("", text)
    return list(dict.fromkeys([*typed, *inline, *_SETTING.findall(words), *_CLICK.findall(words)]))


@dataclass
class Followed:
    """What a test did of what a section says: nothing else, and in the end all of it."""

    anchor: str
    done: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    @property
    def commands(self) -> list[str]:
        """The commands to be typed, in the order of the page."""
        return commands(self.anchor)

    def does(self, act: str) -> str:
        """Note that something was done, which the section says."""
        assert act in acts(self.anchor), f"{self.anchor} does not say {act!r}: {acts(self.anchor)}"
        self.done.append(act)
        return act

    def leaves(self, act: str, reason: str) -> None:
        """Note that something cannot be done here: where else it is done, or by whom."""
        assert reason
        self.does(act)

    def sees(self, shown: str, *phrases: str) -> None:
        """Hold what was shown against what the section says one sees; `…` in a phrase stands for anything."""
        page = " ".join(part(self.anchor, "You see").split())
        for phrase in phrases:
            assert phrase in page, f"{self.anchor} does not say that one sees {phrase!r}"
            pattern = ".*".join(re.escape(piece) for piece in phrase.split("…"))
            assert re.search(pattern, " ".join(shown.split())), f"{phrase!r} is not seen in {shown}"
        self.seen += phrases

    def require_whole(self) -> None:
        """Nothing of the section was left out."""
        assert self.seen, f"{self.anchor}: nothing was held against what one sees"
        left = [act for act in acts(self.anchor) if act not in self.done]
        assert not left, f"{self.anchor} says {left}, and this test does not do it"
