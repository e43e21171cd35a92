"""Remote texts at the border: what an archive calls things, as text that a terminal or a page shows and never obeys.

Belongs here: one form of a text for a terminal and one for Markdown. Does not belong here: tables and pages
(`defs.pages`), consoles (`cli.terminal`). Data keeps its texts as published; only what is shown passes through here.

Titles, file names and messages of servers are hostile text: control characters move the cursor, bidirectional marks
turn a name round, zero-width characters make two names look alike, and markup becomes links, colours or a traceback.
"""

from __future__ import annotations

import re

_SHOWN = "\N{REPLACEMENT CHARACTER}"
_BLANKS = str.maketrans(dict.fromkeys("\t\r\n\v\f\x85\u2028\u2029", " "))
# Printable for Python and invisible for people: Unicode's Default_Ignorable_Code_Point outside of category Cf, and the
# empty Braille pattern. https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
# What CommonMark and GitHub's tables give a meaning inside a line. An underscore within a word has none, and is part of
# nearly every file name.
_MARKUP = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])")
_ESCAPED = re.compile(r"\\([\\`*\[\]<>|~&$_])")

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def for_terminal(text: str) -> str:
    r"""A text on one line without any character that acts on a terminal or cannot be seen; U+FFFD stands for each.

    Brackets stay: a console has to be asked to take them literally (`cli.terminal` does).

    >>> for_terminal("a\x1b[31mb")
    'a�[31mb'
    """
    text = text.translate(_BLANKS)
    if not text.isprintable():
        # Blanks other than the common one are not printable for Python.
        text = "".join(char if char.isprintable() else " " if char.isspace() else _SHOWN for char in text)
    return _INVISIBLE.sub(_SHOWN, text)


def for_markdown(text: str) -> str:
    r"""A text on one line that Markdown shows as it is, also within a table: every mark is escaped.

    >>> for_markdown("[x](y) | a_b")
    '\\[x\\](y) \\| a_b'
    """
    return _MARKUP.sub(r"\\\g<0>", for_terminal(text))


def from_markdown(text: str) -> str:
    r"""The text of which `for_markdown` made that, on one line.

    >>> from_markdown(for_markdown("[x](y) | a_b"))
    '[x](y) | a_b'
    """
    return _ESCAPED.sub(r"\1", text)


def size_in_words(number: int) -> str:
    """A number of bytes in words, in powers of 1000: `13.54 GB`.

    >>> size_in_words(999), size_in_words(1_000), size_in_words(13_539_902_273)
    ('999 bytes', '1.00 kB', '13.54 GB')
    """
    power = min(max(0, (len(str(abs(number))) - 1) // 3), len(_UNITS) - 1)
    return f"{number / 1000**power:.2f} {_UNITS[power]}" if power else f"{number:,} bytes"
