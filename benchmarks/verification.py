"""`python -m benchmarks.verification`: what it costs that bytes are held against their digests wherever they are read.

CPU time, because it is what a busy machine changes least. Every ratio is between sides that took turns in one process.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec

from benchmarks.archives import Archive, Pictures
from benchmarks.ratios import Findings, arguments, at_most, parsed
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE
from cm4ai_assets.images.pixels import ImageWork
from cm4ai_assets.storage import blocks
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.digests import digest_blocks
from cm4ai_assets.storage.members import Member
from cm4ai_assets.storage.zips import read_directory, read_member

SIZES = (16, 32, 64, 128, 256)
SHARE = at_most(0.02)
FIELDS, SMALL_FIELDS = 24, 2


def main() -> int:
    options = parsed(arguments("verification", __doc__, rounds=5, jpegs=True), rounds=2)
    findings = Findings()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        pictures = Pictures(options, Path(folder))
        archive = pictures.archive(Path(folder) / "if.zip", SMALL_FIELDS if options.small else FIELDS)
        findings.inputs = f"{pictures.inputs} to {len(archive.plans)} fields"
        print(findings.inputs, flush=True)
        _by_blocks(archive, options.rounds, findings)
        _by_store(archive, Path(folder), options.rounds, findings)
    return findings.finish(options)


def _by_blocks(archive: Archive, rounds: int, findings: Findings) -> None:
    """What blocks of each size add to reading, as a share of the whole work on the images."""
    members = [archive.members[place] for plan in archive.plans for place in plan.members]
    work = ImageWork(archive.source, 1024, SOURCE_EDGE)
    calls = list(zip(members, list(PLANES) * len(archive.plans), strict=True))
    work(*calls[0])  # what numba compiles is compiled
    whole = _best(2, lambda: [work(*call) for call in calls])
    times = _in_turn(archive, members, rounds)
    findings.fact("an image, decoded, averaged, compressed", f"{1000 * whole / len(members):.2f} ms of CPU")
    findings.fact("an image read, inflated, with its CRC", f"{1000 * times[0] / len(members):.3f} ms of CPU")
    for kib in SIZES:
        share = max(0.0, times[kib] - times[0]) / whole
        target = SHARE if kib * 1024 == blocks.BLOCK_SIZE else None
        findings.number(f"blocks of {kib} KiB: share of an image's work", share, target)


def _by_store(archive: Archive, folder: Path, rounds: int, findings: Findings) -> None:
    """What acquisition, and reading all of it again, cost."""
    size = archive.path.stat().st_size
    with archive.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    store = BlobStore(fsspec.filesystem("file"), str(folder / "storage"))
    added = _best(1, lambda: store.add(archive.path, sha256, {}))
    again = _best(rounds, lambda: store.verify(sha256))
    findings.fact("at acquisition, once", f"{1e9 * added / size:.2f} s of CPU for each GB")
    findings.fact("all of it read again", f"{1e9 * again / size:.2f} s of CPU for each GB")
    with store.open(sha256) as source:
        verified = _best(rounds, lambda: read_directory(source))
    plain = _best(rounds, lambda: read_directory(archive.source))
    findings.fact("the central directory alone", f"{1000 * verified:.1f} ms, unverified {1000 * plain:.1f} ms")


def _in_turn(archive: Archive, members: list[Member], rounds: int) -> dict[int, float]:
    """CPU seconds of reading all members: unverified (0), and by blocks of so many KiB; the best of rounds in turn."""
    best: dict[int, float] = {}
    size = blocks.BLOCK_SIZE
    for _ in range(rounds):
        for kib in (0, *SIZES):
            source: ByteSource = archive.source
            if kib:
                blocks.BLOCK_SIZE = kib * 1024  # type: ignore[misc]
                source = blocks.VerifiedBytes(archive.source, _digests(archive))
            started = time.process_time()
            _read(source, members)
            best[kib] = min(best.get(kib, 1e9), time.process_time() - started)
            blocks.BLOCK_SIZE = size  # type: ignore[misc]
    return best


def _digests(archive: Archive) -> blocks.BlockDigests:
    with archive.path.open("rb") as file:
        return digest_blocks(file.read)


def _read(source: ByteSource, members: list[Member]) -> None:
    for member in members:
        read_member(source, member)


def _best(rounds: int, work: Callable[[], object]) -> float:
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    raise SystemExit(main())
