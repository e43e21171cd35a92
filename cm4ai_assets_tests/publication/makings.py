"""Records of runs over a release that was laid out without one: what a step would have noted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cm4ai_assets.access import Release
from cm4ai_assets.lineage.delivered import Delivered, delivered
from cm4ai_assets.references import Kind
from cm4ai_assets.software import Software
from cm4ai_assets.storage.makings import Input, Making, Makings

LOCK = "numpy==2.4.0\npolars==2.1.0\n"
SOURCE = b"PK, and the files of the package"
RUN = "31322884-57c9-4b2c-b157-e9dfb93b8701"
COMMIT = "76ec0d7640899555015885417a85cd03ff1b9f4f"
SOFTWARE = Software(
    version="0.1.0", commit=COMMIT, modified=False, python="3.11.9", machine="x86_64", system="Linux",
    environment=hashlib.sha256(LOCK.encode()).hexdigest(), source=hashlib.sha256(SOURCE).hexdigest(),
)  # fmt: skip
STARTED = datetime(2026, 7, 20, 1, 2, 3, 456789, tzinfo=UTC)
GONE = "f" * 64


def note_runs(release: Release, *, without: Iterable[str] = ()) -> None:
    """A run for everything that is delivered but some assets: each made of the lock, the store of the fields, too.

    `proteins` is made of fields that do not stand there any more.
    """
    every = {(one.kind, one.name, one.partition.condition): one for one in delivered(release.store, release.key)}
    lock = every[Kind.TABLE, "release_files", None]
    for one in every.values():
        if one.name not in without:
            fields = every.get((Kind.TABLE, "if_fields", "untreated")) if one.kind is Kind.TENSOR else None
            inputs = [] if one is lock else [_input(lock)]
            inputs += [_input(fields)] if fields else []
            if one.name == "proteins":
                inputs = [Input(every[Kind.TABLE, "if_fields", "untreated"].path, GONE)]
            Makings(release.store).note(_making(one, tuple(inputs)), LOCK, SOURCE)


def _input(one: Delivered) -> Input:
    return Input(one.path, one.digest)


def _making(one: Delivered, inputs: tuple[Input, ...]) -> Making:
    path = one.path.rsplit("/", 1)[0] if one.kind is Kind.DOCUMENT else one.path
    return Making(
        path=path, digest=one.digest, asset=one.name, release=one.partition.release, condition=one.partition.condition,
        run_id=RUN, code_version="2", started=STARTED, ended=STARTED + timedelta(seconds=5), software=SOFTWARE,
        inputs=inputs,
    )  # fmt: skip
