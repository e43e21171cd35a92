"""JSON that is almost JSON: what is repaired so that a crate can be read at all, with a note of each repair.

Belongs here: byte order marks, other encodings, commas too many, numbers and characters JSON does not know. Does not
belong here: what the JSON says (`decoding`). What these repairs do not make readable is reported as unreadable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# A whole string, or one of the slips outside of strings.
_TOKEN = re.compile(
    r'"(?P<string>(?:[^"\\]|\\.)*)"|(?P<comma>,)(?=\s*[}\]])|(?P<number>-?\b(?:NaN|Infinity)\b)', re.DOTALL
)
_CONTROL = re.compile("[\x00-\x1f]")
_LONE_SURROGATE = re.compile(
    r"(?<!\\)(?P<even>(?:\\\\)*)"
    r"(?:(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def read_json(data: bytes) -> tuple[object, str | None]:
    """The value in a piece of JSON, mended where it has to be; null and the reason where that does not help."""
    try:
        return msgspec.json.decode(data), None
    except _UNREADABLE:
        try:
            return msgspec.json.decode(mend(data)[0]), None
        except _UNREADABLE as error:
            return None, f"not JSON: {error}"


def mend(data: bytes) -> tuple[bytes, list[str]]:
    """The JSON with its slips repaired, and what was repaired. Sound JSON comes back as it is, without a note."""
    notes: dict[str, int] = {}

    def note(what: str) -> None:
        notes[what] = notes.get(what, 0) + 1

    text = _text(data, note)
    text = _TOKEN.sub(lambda match: _repaired(match, note), text)
    return text.encode(), [f"{what} ({count} times)" if count > 1 else what for what, count in notes.items()]


def _text(data: bytes, note: Callable[[str], None]) -> str:
    encoding = json.detect_encoding(data)
    if encoding != "utf-8":
        note(f"encoded as {encoding}")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        note(f"bytes that are not {encoding}, shown as U+FFFD")
        return data.decode(encoding, errors="replace")


def _repaired(match: re.Match[str], note: Callable[[str], None]) -> str:
    if match["comma"]:
        note("comma before a closing bracket")
        return ""
    if match["number"]:
        note(f"{match['number']}, which JSON does not know, read as null")
        return "null"
    string = match["string"]
    repaired = _CONTROL.sub(lambda control: f"\\u{ord(control[0]):04x}", string)
    if repaired != string:
        note("control character in a string")
    whole = _LONE_SURROGATE.sub(lambda hit: hit[0] if hit["pair"] else f"{hit['even']}\\ufffd", repaired)
    if whole != repaired:
        note("half a character (lone surrogate), shown as U+FFFD")
    return f'"{whole}"'
