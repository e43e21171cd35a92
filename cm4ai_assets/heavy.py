"""Libraries that are slow to import, each imported when it is first used: `from cm4ai_assets.heavy import np`.

Belongs here: libraries that a step needs and neither the loading of the code location nor the command's help does. The
whole package takes arrays and images from here, which ruff sees to (`banned-module-level-imports`). What the code
location loads asks nothing of them meanwhile: a constant made with one is a cached function, and a name for a type is
quoted, `Plane: TypeAlias = "npt.NDArray[np.uint8]"`. Does not belong here: a library whose classes are subclassed.
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
    "np",
    "npt",
    "pa",
    "pq",
    "responses",
    "rich_bars",
    "simplejpeg",
    "sparse",
    "special",
    "stats",
    "threadpool",
]


def at_first_use(name: str) -> ModuleType:
    """Stands for a module, imports it at the first question, and remembers each answer.

    A plain module with a `__getattr__` of its own, so that what it remembers is read as fast as from the library.
    Import locks make it safe from many threads (`importlib.util.LazyLoader` is not, before Python 3.11.8).
    """
    module = ModuleType(name)

    def answer(attribute: str) -> Any:  # noqa: ANN401 - whatever the library has
        value = getattr(importlib.import_module(name), attribute)
        vars(module)[attribute] = value
        return value

    vars(module)["__getattr__"] = answer
    return module


if TYPE_CHECKING:
    import cv2
    import h5py
    import imagecodecs
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.parquet as pq
    import simplejpeg
    from PIL import Image, ImageDraw, ImageFont
    from rich import progress as rich_bars
    from scipy import ndimage, sparse, special, stats
    from starlette import concurrency as threadpool
    from starlette import responses
else:
    cv2 = at_first_use("cv2")
    h5py = at_first_use("h5py")
    imagecodecs = at_first_use("imagecodecs")
    np = at_first_use("numpy")
    npt = at_first_use("numpy.typing")
    pa = at_first_use("pyarrow")
    pq = at_first_use("pyarrow.parquet")
    simplejpeg = at_first_use("simplejpeg")
    Image = at_first_use("PIL.Image")
    ImageDraw = at_first_use("PIL.ImageDraw")
    ImageFont = at_first_use("PIL.ImageFont")
    rich_bars = at_first_use("rich.progress")
    ndimage = at_first_use("scipy.ndimage")
    sparse = at_first_use("scipy.sparse")
    special = at_first_use("scipy.special")
    stats = at_first_use("scipy.stats")
    threadpool = at_first_use("starlette.concurrency")
    responses = at_first_use("starlette.responses")
