"""Loops as machine code, which numba compiles and keeps for the next process.

Belongs here: how a loop is compiled. Does not belong here: the loops, each of which stands with what it computes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def machine_code(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop, compiled when it is first called; it lets other threads run meanwhile.

    numba keeps the code beside the source file or, where nobody may write there, in the user's cache folder, by the
    source's date and the processor. It is pickled, as trustworthy as Python's own `.pyc` files in the same folder.
    """
    import numba  # noqa: PLC0415 - slow to import

    try:
        compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # no folder can be written: compiled in each process anew, which takes two seconds
        compiled = numba.njit(nogil=True)(loop)
    return compiled
