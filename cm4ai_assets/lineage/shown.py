"""A chain of origins as text, for a terminal or a notebook.

Belongs here: which words and how far indented. Does not belong here: what is in a chain (`steps`). Names come from
archives and are hostile: each is shown, and none is obeyed (`plain.for_terminal`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from cm4ai_assets.lineage.published import PublishedFile
from cm4ai_assets.lineage.steps import Held, Member, State, Step, Stored, Used
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.storage.makings import Making

LISTED = 8
"""Members and lines that are listed by name; `--json` has all of them."""

_BAR, _TEE, _END, _GAP = "│ ", "├ ", "└ ", "  "


def shown(subject: Step, made: Sequence[Step] = (), held: Sequence[Held] | None = None) -> str:
    """A chain as lines of text without control characters; see `traces.Trace` for the arguments."""
    seen: dict[int, str] = {}
    lines = [*_tree(subject, "", "", seen)]
    if made:
        lines += ["", f"Made of it ({len(made)}):"]
        for step in made:
            lines += _tree(step, "", "", seen)
    if held is not None:
        lines += ["", *_held(held)]
    return "\n".join(lines)


def _tree(step: Step, first: str, rest: str, seen: dict[int, str]) -> Iterator[str]:
    """The lines of a link: `first` stands before its name, `rest` before every other line."""
    name = for_terminal(step.name)
    if id(step) in seen:
        yield f"{first}{name} (see above)"
        return
    seen[id(step)] = name
    yield first + name
    bar = _BAR if step.origins else _GAP
    for detail in _details(step):
        yield f"{rest}{bar}{for_terminal(detail)}"
    for number, origin in enumerate(step.origins, 1):
        last = number == len(step.origins)
        yield from _tree(origin, rest + (_END if last else _TEE), rest + (_GAP if last else _BAR), seen)


def _details(step: Step) -> Iterator[str]:
    if step.lines:
        yield f"{'line' if len(step.lines) == 1 else 'lines'} {numbers_in_words(step.lines)}"
    yield from _members(step.members)
    if step.file is not None:
        yield from _file(step.file)
    if step.stored is not None:
        yield from _stored(step.stored)
    yield from (f"note: {note}" for note in step.notes)


def _members(members: Sequence[Member]) -> Iterator[str]:
    for member in members[:LISTED]:
        known = [] if member.crc32 is None else [f"CRC-32 {member.crc32:08x}"]
        known += [] if member.size is None else [f"{member.size:,} bytes"]
        known += [] if member.header_offset is None else [f"at byte {member.header_offset:,}"]
        yield f"{member.name} ({', '.join(known) or 'CRC-32 and size are not known here'})"
    if len(members) > LISTED:
        yield f"and {len(members) - LISTED:,} more"


def _file(file: PublishedFile) -> Iterator[str]:
    number = f"file {file.file_id} of " if file.file_id else ""
    version = f", version {file.version}" if file.version else ""
    yield f"{number}{file.dataset}{version} ({file.archive}), access: {file.access}"
    digest = f"{file.digest_type} {file.digest}" if file.digest else "no digest is published"
    size = "size not stated" if file.size is None else f"{file.size:,} bytes"
    yield f"{digest}, {size}, licence: {file.license or 'not stated'}"
    if file.url:
        yield file.url


def _stored(stored: Stored) -> Iterator[str]:
    yield stored.path + (f", part {stored.part}" if stored.part else "")
    size = "" if stored.size is None else f", {stored.size:,} bytes"
    yield f"SHA-256 {stored.digest or 'not recorded'}{size}"
    if stored.making is not None:
        yield _run(stored.making)
    yield from _inputs(stored.inputs)


def _run(making: Making) -> str:
    software = making.software
    changes = ", with changes" if software.modified else ""
    commit = f" at {software.commit[:12]}{changes}" if software.commit else ""
    code = f", code version {making.code_version}" if making.code_version else ""
    return (
        f"made by run {making.run_id} of {making.asset}, {making.ended:%Y-%m-%d %H:%M:%S} UTC{code}, "
        f"cm4ai_assets {software.version}{commit}, Python {software.python}, {software.machine}"
    )


def _inputs(inputs: Sequence[Used]) -> Iterator[str]:
    if inputs and all(one.state is State.SAME for one in inputs):
        yield f"made of {len(inputs)} stored things, all of which have the same bytes now"
    for one in inputs:
        if one.state is not State.SAME:
            now = f", now {one.now}" if one.now else ""
            yield f"STALE: made of {one.path} with SHA-256 {one.digest}{now}: {one.state}"


def _held(held: Sequence[Held]) -> Iterator[str]:
    for one in held:
        yield for_terminal(f"{'DAMAGED' if one.problems else 'ok     '} {one.path} ({one.detail})")
        yield from (for_terminal(f"        {problem}") for problem in one.problems)
    yield f"{len(held)} things read again, {sum(len(one.problems) for one in held)} problems."


def numbers_in_words(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges, of which the first ones are named.

    >>> numbers_in_words([0, 1, 2, 7, 9, 10])
    '0 to 2, 7, 9 to 10'
    """
    starts = [0, *(at + 1 for at, (one, other) in enumerate(pairwise(numbers)) if other != one + 1), len(numbers)]
    ranges = [(numbers[begin], numbers[end - 1]) for begin, end in pairwise(starts) if end > begin]
    named = [str(low) if low == high else f"{low} to {high}" for low, high in ranges[:LISTED]]
    more = len(ranges) - LISTED
    return ", ".join(named) + (f" and {more:,} more stretches" if more > 0 else "")
