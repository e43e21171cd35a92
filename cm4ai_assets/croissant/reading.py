"""Records as mlcroissant gives them, as the values of a table: what is read back, what is lost on the way.

Belongs here: loading a description, and turning mlcroissant's values into ours. Does not belong here: what they are
compared with (`publication.croissant_check`). Nothing here touches a network: every file is named with its place on the
disk, and a file that has none there is refused.

What mlcroissant (1.1.1) does to values on the way, through pandas: text becomes bytes; a null and NaN both become None;
an integer column with a null goes through 64-bit floats, and is exact up to 2^53 only; dates become timestamps.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from cm4ai_assets.errors import Cm4aiError

_LOUD = logging.ERROR


class CroissantError(Cm4aiError):
    """mlcroissant does not load a description, or does not read a record set."""

    runbook = "document-outdated"


@dataclass(frozen=True)
class Loaded:
    """A description that mlcroissant has loaded.

    Attributes:
        dataset: mlcroissant's own object.
        record_sets: Names of its record sets, in the description's order.
        warnings: What mlcroissant would rather see otherwise.
    """

    dataset: Any
    record_sets: tuple[str, ...]
    warnings: tuple[str, ...]

    def records(self, record_set: str) -> Iterator[dict[str, Any]]:
        """The records of a record set, by the last part of each field's name.

        Raises:
            CroissantError: A file is not the one that is described, or mlcroissant cannot read it.
        """
        try:
            with _quiet():
                for record in self.dataset.records(record_set):
                    yield {_column(name): _value(value) for name, value in record.items()}
        except Exception as error:
            raise CroissantError(f"{record_set} cannot be read: {_cause(error)}") from error


_loaded: dict[str, Any] = {}
"""What was loaded last and nobody has read from yet, by the digest of the description: loading takes some seconds."""


def load(
    document: Mapping[str, Any],
    files: Mapping[str, Path] | None = None,
    digests: Mapping[str, str] | None = None,
) -> Loaded:
    """Load a description with mlcroissant, which checks it.

    A description that this process has loaded just before, to check it, is not loaded again to be read.

    Args:
        document: The description.
        files: Id of a file to its place on the disk; every one is a file of the description.
        digests: Id of a file to the SHA-256 that its place is held against, where it is not the described one.

    Raises:
        CroissantError: It has errors; the message names them.
    """
    identity = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    dataset = _loaded.pop(identity, None)
    if dataset is None:
        dataset = _load(document)
    names = tuple(one.id for one in dataset.metadata.record_sets)
    loaded = Loaded(dataset, names, tuple(sorted(dataset.metadata.ctx.issues.warnings)))
    if files is None:
        _loaded.clear()
        _loaded[identity] = dataset
    else:
        _place(dataset, files, digests or {})
    return loaded


def _place(dataset: Any, files: Mapping[str, Path], digests: Mapping[str, str]) -> None:  # noqa: ANN401
    """Say where files are, and what they are held against. mlcroissant asks for either when it reads records."""
    from etils import epath  # noqa: PLC0415 - comes with mlcroissant

    known = {one.id: one for one in dataset.metadata.distribution}
    if unknown := sorted(set(files) - set(known)):
        raise CroissantError(f"No file of the description: {', '.join(unknown)}.")
    dataset.metadata.ctx.mapping = {name: epath.Path(path) for name, path in files.items()}
    for name, digest in digests.items():
        known[name].sha256 = digest


def _load(document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - mlcroissant's own object
    import mlcroissant  # noqa: PLC0415 - pandas and rdflib take two seconds, and few processes need them
    from absl import logging as absl_logging  # noqa: PLC0415 - comes with it

    # Its handler closes the stream that it was made with when logging is configured anew, be it a notebook's.
    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

    try:
        with _quiet():
            # mlcroissant writes into what it is given.
            metadata = mlcroissant.Metadata.from_json(ctx=_context(), json_=copy.deepcopy(dict(document)))
            return mlcroissant.Dataset.from_metadata(metadata)
    except Exception as error:
        raise CroissantError(f"mlcroissant does not load it: {_cause(error)}") from error


def _context() -> Any:  # noqa: ANN401 - mlcroissant's own object
    """The state that mlcroissant keeps of a description; it answers at once what is asked two million times of it."""
    from mlcroissant import Context  # noqa: PLC0415 - see `_load`

    oldest = Context(conforms_to="http://mlcommons.org/croissant/0.8").conforms_to

    class Quick(Context):  # type: ignore[misc]
        def is_v0(self) -> bool:
            return self.conforms_to is oldest

    return Quick()


def comparable(value: object) -> object:
    """A value of a table as it can come back: NaN counts as null, and a date is a moment.

    >>> comparable(float("nan")), comparable([{"name": "x"}]), comparable(date(2026, 6, 17))
    (None, [{'name': 'x'}], datetime.datetime(2026, 6, 17, 0, 0))
    """
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is what differs from itself
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - dates have no zone
    if isinstance(value, (list, pl.Series)):
        return [comparable(one) for one in value]
    if isinstance(value, dict):
        return {key: comparable(one) for key, one in value.items()}
    return value


def _value(value: Any) -> object:  # noqa: ANN401 - whatever numpy and pandas have
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {_column(name): _value(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(one) for one in value]
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    return comparable(value.item() if hasattr(value, "item") else value)


def _column(name: str) -> str:
    return name.rpartition("/")[2]


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Warnings of mlcroissant are returned, not logged; and it gives the process no handler of logs.

    It logs through `logging.info`, which sets up the root logger where nothing has: every line of a run would then
    stand on the console twice.
    """
    logger, root, own = logging.getLogger("absl"), logging.getLogger(), logging.NullHandler()
    level = logger.level
    logger.setLevel(_LOUD)
    root.addHandler(own)
    try:
        yield
    finally:
        root.removeHandler(own)
        logger.setLevel(level)
