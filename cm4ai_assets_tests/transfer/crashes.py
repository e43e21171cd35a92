"""Processes that acquire a file and die: at a chosen step, at a chosen moment, or not at all."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from cm4ai_assets.archives.dataverse.acquire import acquire
from cm4ai_assets.archives.dataverse.client import DataverseClient
from cm4ai_assets.archives.dataverse.locked_file import LockedFile
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets_tests.transfer.bench import FAST

# Everything that changes what is on the disk.
STEPS = ("open", "pwrite", "write", "fsync", "link", "replace", "rename", "unlink", "mkdir", "chmod", "ftruncate")


@dataclass(frozen=True)
class Job:
    """What a process is to acquire, and the step before which it dies (0: never)."""

    url: str
    file: LockedFile
    root: Path
    dies_before: int = 0
    no_links: bool = False


def run(job: Job) -> None:
    """Acquire, in a process of its own."""
    if job.no_links:
        os.link = _no_link  # type: ignore[assignment]
    if job.dies_before:
        _die_before(job.dies_before)
    with DataverseClient(job.url, retries=FAST) as client:
        acquire(job.file, client, BlobStore(LocalFileSystem(), str(job.root / "storage")), job.root / "scratch")


def _no_link(*_: object, **__: object) -> None:
    raise PermissionError("no hard links here")


def _die_before(step: int) -> None:
    left = [step]

    def deadly(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **keywords)

        return call

    for name in STEPS:
        setattr(os, name, deadly(getattr(os, name)))


def processes() -> ForkServerContext:
    """A context whose processes start in milliseconds: what they need is imported once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def started(context: ForkServerContext, job: Job) -> BaseProcess:
    process = context.Process(target=run, args=(job,), daemon=True)
    process.start()
    return process
