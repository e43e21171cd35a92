"""Why an h5ad is not read.

Belongs here: the errors of the file as a whole and of one column. Does not belong here: what is wrong with single cells
or guides; those are flags in tables.
"""

from __future__ import annotations

from cm4ai_assets.errors import Cm4aiError


class H5adError(Cm4aiError):
    """An h5ad that cannot be used."""

    runbook = "unreadable-file"


class NotH5adError(H5adError):
    """A file that is no HDF5, or HDF5 that is no h5ad."""


class H5adDamagedError(H5adError):
    """A file that is truncated, damaged, or contradicts itself."""


class H5adEncodingError(H5adError):
    """A column or table in a form that is not read."""
