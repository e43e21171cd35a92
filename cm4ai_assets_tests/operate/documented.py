"""What a reader may type: every command and every example that README, docs, `.env.example` and `--help` show.

Belongs here: finding them. Does not belong here: running them (`test_documents_run`).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from cm4ai_assets import cli, daemon, ui, worker

PROJECT = Path(__file__).resolve().parents[2]
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md")))
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_PROGRAM = re.compile(
    r"(cm4ai|make|pip|dg|dagster-daemon|dagster-webserver|caddy|git|docker|(\S*/)?python3?|\.ci/run)\b(?![-:])"
)
_NAME_ALONE = re.compile(r"[\w-]+")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in that language, in order."""
    return [text for found, text in _FENCED.findall(page.read_text()) if found == language]


def languages() -> set[str]:
    """Every language that a fenced block of any page names."""
    return {found for page in PAGES for found, _ in _FENCED.findall(page.read_text())}


def commands() -> dict[str, str]:
    """Each command that is shown, in the order of the pages, with the first place that shows it."""
    found: dict[str, str] = {}
    for where, text in _shown():
        found.setdefault(text, where)
    return found


def _shown() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        where = str(page.relative_to(PROJECT))
        yield from ((where, line) for block in blocks(page, "sh") for line in _lines(block))
        yield from ((where, code) for code in _inline(_FENCED.sub("", page.read_text())))
    settings = (PROJECT / ".env.example").read_text()
    yield from ((".env.example", code) for code in _inline(settings.replace("\n# ", " ")))
    for name, text in helps().items():
        yield from ((f"{name} --help", code) for code in _inline(text))


def _lines(block: str) -> Iterator[str]:
    yield from (line.split(" #")[0].strip() for line in block.splitlines() if line.split("#")[0].strip())


def _inline(text: str) -> Iterator[str]:
    """Code in a sentence that begins with a program. A program's name alone is a noun."""
    for code in _CODE.findall(text):
        line = " ".join(code.split())
        if _PROGRAM.match(line) and not _NAME_ALONE.fullmatch(line):
            yield line


def helps() -> dict[str, str]:
    """The `--help` of every command, in one line each."""
    found = {f"cm4ai {name}".strip(): parser for name, parser in _parsers("", cli._parser())}
    found |= {"cm4ai_assets.ui": ui._parser(), "cm4ai_assets.worker": worker._parser()}
    found |= {"cm4ai_assets.daemon": daemon._parser()}
    return {name: " ".join(parser.format_help().split()) for name, parser in found.items()}


def _parsers(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from _parsers(f"{name} {word}".strip(), below)


def selections() -> list[str]:
    """The examples that the help of `--select` shows."""
    shown = re.search(r"syntax: (.*?) \(default: all\)", helps()["cm4ai materialize"])
    return [] if shown is None else [text.strip("'") for text in re.findall(r"'[^']+'|[^\s']+?(?=, |$)", shown[1])]
