"""Memory of batches, used again once nobody looks at it any more.

Belongs here: who owns a batch's memory, and when. Does not belong here: what is written into it.

**The rule: a batch belongs to the consumer for as long as it, or any view of it, is referred to.** Only then is its
memory filled again. A consumer that keeps batches keeps their memory, and new memory is taken for the next ones. Fresh
pages cost about as much as decoding, which is why memory is used again at all.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from typing import Any, Final

from cm4ai_assets.heavy import np, npt

KEPT: Final = 4
"""Buffers that wait to be used again, at most."""


class BatchMemory:
    """Lends arrays, and takes their memory back when the last reference to them is gone.

    Views of an array refer to it, whether numpy or torch (`torch.from_numpy`) made them. An address does not: nobody
    may go on with a bare pointer.
    """

    def __init__(self) -> None:
        self._free: deque[npt.NDArray[np.uint8]] = deque(maxlen=KEPT)

    def lend(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of that form with arbitrary content."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._taken(size)
        # Of views of views numpy keeps the first array that looks at something other than an array: this one, which
        # looks at a memoryview. Every array that shares the memory therefore refers to it.
        owner = np.frombuffer(memory.data[:size], np.uint8)
        # A bound method of the deque, and not of this object: memory may come back after the loader is gone.
        weakref.finalize(owner, self._free.append, memory).atexit = False
        return owner.view(dtype).reshape(shape)

    def _taken(self, size: int) -> npt.NDArray[np.uint8]:
        for _ in range(len(self._free)):
            try:
                memory = self._free.popleft()
            except IndexError:  # another thread was faster
                break
            if memory.nbytes >= size:
                return memory
        return np.empty(size, np.uint8)
