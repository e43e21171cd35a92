"""OpenCV beside our own threads.

Belongs here: how many threads it starts. Does not belong here: what it computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cm4ai_assets.heavy import cv2


@contextmanager
def opencv_on_one_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own inside ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def keep_opencv_on_one_thread() -> None:
    """The same for as long as the process lives: for one that does nothing else, a worker's."""
    cv2.setNumThreads(1)
