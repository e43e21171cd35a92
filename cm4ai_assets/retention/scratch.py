"""What stands in CM4AI_SCRATCH and is old: partial downloads, checkpoints, evidence.

Belongs here: which of it nobody goes on with any more. Does not belong here: the storage.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cm4ai_assets.retention.words import Removable, What
from cm4ai_assets.transfer.quarantine import QUARANTINE

SCRATCH_AGE: Final = timedelta(days=14)
"""After this nobody goes on with a partial download or a pass that was cut short."""
QUARANTINE_AGE: Final = timedelta(days=30)
"""After this evidence of wrong bytes could go. By itself it is removed later (`transfer.quarantine.AGE_LIMIT`)."""


def old_scratch(scratch: Path, now: datetime) -> Iterator[Removable]:
    """What of a scratch folder could go. Locks, and what is known of hosts, are small and stay."""
    if not scratch.is_dir():
        return
    yield from _old(
        scratch, scratch.glob("*.part"), now - SCRATCH_AGE, What.SCRATCH, "a download that nobody went on with"
    )
    alone = (path for path in scratch.glob("*.json") if not path.with_suffix(".part").exists())
    yield from _old(scratch, alone, now - SCRATCH_AGE, What.SCRATCH, "the journal of a download that is gone")
    passes = (scratch / "counts").glob("*")
    yield from _old(scratch, passes, now - SCRATCH_AGE, What.SCRATCH, "a pass that nobody went on with")
    evidence = (scratch / QUARANTINE).glob("*")
    yield from _old(scratch, evidence, now - QUARANTINE_AGE, What.QUARANTINE, "evidence of bytes that were not taken")


def _old(scratch: Path, paths: Iterator[Path], before: datetime, what: What, reason: str) -> Iterator[Removable]:
    for path in sorted(paths):
        files = [one for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file()]
        states = [one.stat() for one in files]
        written = datetime.fromtimestamp(max((one.st_mtime for one in states), default=path.stat().st_mtime), UTC)
        if written < before:
            size = sum(one.st_size for one in states)
            yield Removable(what, path.relative_to(scratch).as_posix(), size, reason, written)
