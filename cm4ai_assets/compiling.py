"""Loops as machine code, which numba compiles and keeps for the next process.

Belongs here: how a loop is compiled. Does not belong here: the loops, each of which stands with what it computes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from cm4ai_assets.settings import cache_folder, is_checkout


def machine_code(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop, compiled when it is first called; it lets other threads run meanwhile.

    numba keeps the code by the source's date and the processor: in NUMBA_CACHE_DIR where that is set; else beside the
    source file of a checkout, and in the user's cache folder for an installed package, into which nothing is written.
    It is pickled, as trustworthy as Python's own `.pyc` files.
    """
    import numba  # noqa: PLC0415 - slow to import

    config: Any = numba.config
    asked_for = config.CACHE_DIR
    config.CACHE_DIR = asked_for or ("" if is_checkout() else str(cache_folder(os.environ) / "numba"))
    try:
        compiled: Callable[..., Any] = numba.njit(nogil=True, cache=True)(loop)
    except RuntimeError:  # no folder can be written: compiled in each process anew, which takes two seconds
        compiled = numba.njit(nogil=True)(loop)
    finally:
        config.CACHE_DIR = asked_for  # that of whoever else compiles in this process
    return compiled
