"""A download that loses nothing, repeats nothing and trusts nothing: resumed, verified, one file at a time.

Belongs here: getting the bytes of one wanted file into the scratch folder, whatever the source does. Does not belong
here: the protocol of a source (`dataverse`), where the bytes go then (`blobs`), which file is wanted (`acquire`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cm4ai_assets.errors import ArchiveError, DigestMismatchError, SizeMismatchError
from cm4ai_assets.storage.blocks import BlockDigests
from cm4ai_assets.storage.digests import Digests
from cm4ai_assets.storage.disk import RESERVE, require_space
from cm4ai_assets.transfer.errors import NetworkError, RangeError
from cm4ai_assets.transfer.parts import Part, State, state
from cm4ai_assets.transfer.quarantine import Evidence
from cm4ai_assets.transfer.retries import Patience, RetryPolicy, StallFloor
from cm4ai_assets.transfer.wanted import Wanted

if TYPE_CHECKING:
    from cm4ai_assets.transfer.connections import Chunk, Room

_log = logging.getLogger(__name__)
_REPORT_EVERY = 0.5


class Stream(Protocol):
    """One answer of a source: `start` is the position of its first byte, `total` the size of the whole if stated."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def total(self) -> int | None: ...  # noqa: D102
    @property
    def url(self) -> str: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102

    def chunks(self, room: Room | None = None) -> Iterator[Chunk]:
        """The bytes as they arrive, each chunk valid until the next is asked for; in `room`, where the source can.

        It ends early, or raises an `ArchiveError`, where the connection breaks.
        """
        ...


class RemoteFile(Protocol):
    """Where the bytes of one file come from: an archive's file by whatever protocol it speaks."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def open(self, offset: int, *, counted: bool) -> AbstractContextManager[Stream]:
        """The bytes from `offset` on, or from 0 if the source cannot do that.

        Args:
            offset: Where to begin.
            counted: Whether the archive's statistics should count this request.

        Raises:
            ArchiveError: There are none; `retryable` says whether waiting helps.
        """
        ...


@dataclass(frozen=True)
class Progress:
    """How far a download is. `rate` in bytes per second, over this session."""

    done: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float | None:
        """Time left at this rate; None while nothing moves."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass(frozen=True)
class Fetched:
    """Bytes that are whole and verified, in the scratch folder. `forget` removes them once they are stored."""

    path: Path
    size: int
    digests: Mapping[str, str]
    fetched_bytes: int
    requests: int
    _part: Part
    _blocks: BlockDigests
    _synced: State

    @property
    def sha256(self) -> str:
        """Our own digest, whatever was published."""
        return self.digests["SHA-256"]

    def blocks(self) -> BlockDigests | None:
        """The digests of its blocks, from the pass that verified it; None if the file was touched since."""
        return self._blocks if state(self.path) == self._synced else None

    def forget(self) -> None:
        """Remove the part and its journal."""
        self._part.remove()


def fetch(
    source: RemoteFile,
    wanted: Wanted,
    scratch: Path,
    *,
    counted: bool = True,
    progress: Callable[[Progress], None] | None = None,
    retries: RetryPolicy | None = None,
    reserve: int = RESERVE,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Fetched:
    """The whole file, of the published size and digest, going on with what an earlier run left.

    The caller sees to it that nobody else fetches the same key into the same folder (`acquire` holds a lock).

    Args:
        source: Where from.
        wanted: What.
        scratch: Folder of partial downloads.
        counted: Whether the archive should count this download, once.
        progress: Called with how far it is, twice a second at most.
        retries: The retry policy.
        reserve: Bytes to leave free on the disk.
        sleep: Waits between tries.
        clock: Measures rates.

    Raises:
        SizeMismatchError: What the source has is of another size, twice.
        DigestMismatchError: What arrived does not have the published digest, twice; both are in quarantine.
        NoSpaceError: The disk is full or would be; what has arrived is kept.
        ArchiveError: The source refused, or failed more often than patience allows; what has arrived is kept.
    """
    part = Part(scratch, wanted)
    try:
        require_space({scratch: wanted.size - part.length}, reserve=reserve)
        with Digests([wanted.digest_type]) as digests:
            transfer = _Transfer(source, wanted, part, digests, retries or RetryPolicy(), clock, counted, progress)
            if part.length:
                _log.info(
                    "%s: %s of %s bytes are kept from before.", source.name, f"{part.length:,}", f"{wanted.size:,}"
                )
                digests.read(part.path)
            found = transfer.run(sleep)
            blocks = digests.blocks()
        synced = part.sync()
    finally:
        part.close()
    return Fetched(part.path, wanted.size, found, transfer.fetched, transfer.requests, part, blocks, synced)


@dataclass
class _Transfer:
    """The state of one download while it runs."""

    source: RemoteFile
    wanted: Wanted
    part: Part
    digests: Digests
    retries: RetryPolicy
    clock: Callable[[], float]
    counted: bool
    report: Callable[[Progress], None] | None
    fetched: int = 0
    requests: int = 0
    mismatches: int = 0

    def __post_init__(self) -> None:
        self.patience = Patience(self.retries)
        self.furthest = self.part.length
        self.evidence = Evidence(self.source.name, "", {}, "")
        self.started, self.reported = self.clock(), 0.0

    def run(self, sleep: Callable[[float], None]) -> Mapping[str, str]:
        """Fetch until the bytes are the published ones; their digests."""
        while True:
            try:
                if self.part.length < self.wanted.size:
                    self.piece()
                if self.part.length < self.wanted.size:
                    raise NetworkError(
                        f"{self.source.name} ended after {self.part.length:,} of {self.wanted.size:,} bytes."
                    )
                return self.verified()
            except (SizeMismatchError, DigestMismatchError):
                # One fresh try: the way may have altered what the archive still has.
                self.mismatches += 1
                if self.mismatches > 1:
                    raise
                wait = self.retries.first
            except ArchiveError as error:
                if isinstance(error, RangeError):
                    self.restart()
                wait = self.patience.wait_after(error)
                _log.info("%s %s bytes are kept; going on in %.1f s.", error.message, f"{self.part.length:,}", wait)
            sleep(wait)

    def piece(self) -> None:
        """One request, and all that comes of it."""
        offset = self.part.length
        counted = self.counted and not self.part.is_counted
        if counted:
            self.part.count()
        self.requests += 1
        with self.source.open(offset, counted=counted) as stream:
            self.evidence = Evidence(self.source.name, stream.url, dict(stream.headers), "")
            if stream.total is not None and stream.total != self.wanted.size:
                self.refuse_size(stream, offset)
            if stream.start != offset:
                if stream.start:
                    raise RangeError(f"{self.source.name} was asked for byte {offset:,} and began at {stream.start:,}.")
                _log.info("%s cannot resume; beginning again.", self.source.name)
                self.restart()
            self.take(stream)

    def refuse_size(self, stream: Stream, offset: int) -> None:
        """Refuse an answer that announces another size than the published one, before its bytes are taken."""
        problem = f"{self.source.name} is {stream.total:,} bytes long, not {self.wanted.size:,} as published."
        if offset and stream.start == offset:
            raise RangeError(problem)
        beginning = b""
        with suppress(ArchiveError):
            beginning = bytes(next(iter(stream.chunks()), b""))
        path = self.part.quarantine(self.with_problem(problem), None, beginning=beginning)
        raise SizeMismatchError(problem, remedy=f"Evidence: {path}. {self.suspicion()}")

    def suspicion(self) -> str:
        """Why the bytes may be others. A label alone is no reason: size and digest decide, whatever it says."""
        encoding = {name.lower(): value for name, value in self.evidence.headers.items()}.get("content-encoding")
        if encoding and encoding.strip().lower() != "identity":
            return f"They came with Content-Encoding {encoding}, not asked for: a proxy on the way may change them."
        return "The archive may have replaced the file."

    def take(self, stream: Stream) -> None:
        """Write and digest each chunk as it arrives: however this ends, none is lost."""
        floor = StallFloor(self.retries, self.clock)
        try:
            for chunk in stream.chunks(self.digests.room):
                self.write(chunk)
                floor.arrived(len(chunk))
        except ArchiveError:
            if self.part.length == self.wanted.size and self.wanted.digest is None:
                # All the bytes, and the sender says that it failed: nothing else vouches for them.
                self.restart()
            raise

    def write(self, chunk: Chunk) -> None:
        """Take a chunk, unless it would make the file longer than published."""
        if self.part.length + len(chunk) > self.wanted.size:
            problem = f"{self.source.name} sends more than the {self.wanted.size:,} bytes published."
            room = self.wanted.size - self.part.length
            self.part.append(chunk[: room + 1])
            path = self.part.quarantine(self.with_problem(problem), {})
            self.restart()
            raise SizeMismatchError(problem, remedy=f"Evidence: {path}. {self.suspicion()}")
        self.part.append(chunk)
        self.digests.update(chunk)
        self.fetched += len(chunk)
        # Only new ground is progress: a source that can only begin again must not keep us for ever.
        self.patience.gained(max(0, self.part.length - self.furthest))
        self.furthest = max(self.furthest, self.part.length)
        now = self.clock()
        if self.report and (now - self.reported >= _REPORT_EVERY or self.part.length == self.wanted.size):
            self.reported = now
            self.report(Progress(self.part.length, self.wanted.size, self.fetched / max(now - self.started, 1e-6)))

    def verified(self) -> Mapping[str, str]:
        """The digests of the whole, if the published one is among them."""
        found = self.digests.digests()
        if self.wanted.digest_type is None or found[self.wanted.digest_type] == self.wanted.digest:
            return found
        problem = (
            f"{self.source.name} has the {self.wanted.digest_type} {found[self.wanted.digest_type]}, not"
            f" {self.wanted.digest} {self.wanted.as_known}."
        )
        path = self.part.quarantine(self.with_problem(problem), found)
        self.restart()
        raise DigestMismatchError(
            problem, remedy=f"Nothing was stored. Evidence: {path}. {self.suspicion()} Report it to the archive."
        )

    def with_problem(self, problem: str) -> Evidence:
        """The last answer, and what is wrong with it."""
        return Evidence(self.evidence.source, self.evidence.url, self.evidence.headers, problem)

    def restart(self) -> None:
        """Begin again from the first byte."""
        self.part.restart()
        self.digests.restart()
