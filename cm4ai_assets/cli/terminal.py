"""What every command prints with: two consoles, exit statuses, and the line that an error becomes.

Texts are printed as they are: no markup, no control characters (`plain.for_terminal`). Titles and messages of archives
stand in nearly every line, so colour is asked for with `style=` or `rich.text.Text`, never by words in brackets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from cm4ai_assets.errors import Cm4aiError
from cm4ai_assets.plain import for_terminal
from cm4ai_assets.runbook import with_section

Progress = Callable[[int, int, str], None]
"""Called with what is done, what there is to do, and what is counted."""

_EVERY_SECONDS = 10.0
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
    err.print(f"cm4ai: {with_section(for_terminal(str(error)), error.runbook)}")
    return status


@contextmanager
def shown_progress(task_name: str = "export") -> Iterator[Progress]:
    """Progress on standard error: a bar on a terminal, else a line now and then."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Bars(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        task, shown = bars.add_task(task_name, total=None), [time.monotonic()]

        def progress(done: int, total: int, unit: str) -> None:
            bars.update(task, description=unit, completed=done, total=total)
            now = time.monotonic()
            if not err.is_terminal and (done == total or now - shown[0] >= _EVERY_SECONDS):
                shown[0] = now
                err.print(f"{done:,} of {total:,} {unit}")

        yield progress
