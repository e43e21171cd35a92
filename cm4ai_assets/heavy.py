"""Libraries that are slow to import, each imported when it is first used: `from cm4ai_assets.heavy import cv2`.

Belongs here: libraries that a step needs and neither the loading of the code location nor the command's help does. Does
not belong here: one whose classes are subclassed or whose constants are read while a module is imported.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = [
    "Image",
    "ImageDraw",
    "ImageFont",
    "cv2",
    "h5py",
    "imagecodecs",
    "ndimage",
    "responses",
    "rich_bars",
    "simplejpeg",
    "sparse",
    "stats",
    "threadpool",
]


class LazyModule(ModuleType):
    """Stands for a module, imports it at the first question, and remembers each answer.

    Import locks make it safe from many threads (`importlib.util.LazyLoader` is not, before Python 3.11.8).
    """

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the library has
        value = getattr(importlib.import_module(self.__name__), name)
        self.__dict__[name] = value
        return value


if TYPE_CHECKING:
    import cv2
    import h5py
    import imagecodecs
    import simplejpeg
    from PIL import Image, ImageDraw, ImageFont
    from rich import progress as rich_bars
    from scipy import ndimage, sparse, stats
    from starlette import concurrency as threadpool
    from starlette import responses
else:
    cv2 = LazyModule("cv2")
    h5py = LazyModule("h5py")
    imagecodecs = LazyModule("imagecodecs")
    simplejpeg = LazyModule("simplejpeg")
    Image = LazyModule("PIL.Image")
    ImageDraw = LazyModule("PIL.ImageDraw")
    ImageFont = LazyModule("PIL.ImageFont")
    rich_bars = LazyModule("rich.progress")
    ndimage = LazyModule("scipy.ndimage")
    sparse = LazyModule("scipy.sparse")
    stats = LazyModule("scipy.stats")
    threadpool = LazyModule("starlette.concurrency")
    responses = LazyModule("starlette.responses")
