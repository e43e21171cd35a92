"""What every command says things with: two consoles, exit statuses, and how an error is told."""

from __future__ import annotations

from rich.console import Console

from cm4ai_assets.errors import Cm4aiError

DONE, FAILED, WRONG_USE = 0, 1, 2
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def complain(error: Cm4aiError, status: int, *, debug: bool) -> int:
    """Tell an error in one readable line on standard error, with the traceback only if asked for; the status."""
    if debug:
        err.print_exception()
    err.print(f"cm4ai: {error}", markup=False)
    return status
