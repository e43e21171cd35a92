"""What every command prints with: two consoles, exit statuses, and the line that an error becomes.

Texts are printed as they are: no markup, no control characters (`plain.for_terminal`). Titles and messages of archives
stand in nearly every line, so colour is asked for with `style=` or `rich.text.Text`, never by words in brackets.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.plain import for_terminal

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


class PlainConsole(Console):
    """A console that shows every text, be it printed or in a table, and obeys none."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - those of rich
        """The text as rich takes it in, line by line without what a terminal would act on."""
        return super().render_str("\n".join(map(for_terminal, text.split("\n"))), **options)


out = PlainConsole()
err = PlainConsole(stderr=True)


def complain(error: Cm4aiError, status: int, *, debug: bool) -> int:
    """Print an error in one readable line on standard error, with the traceback only if asked for; the status."""
    if debug:
        err.print_exception()
    err.print(f"cm4ai: {for_terminal(str(error))}")
    return status
