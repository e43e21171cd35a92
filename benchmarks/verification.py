"""`python -m benchmarks.verification`: what it costs that bytes are held against their digests wherever they are read.

CPU time, because it is what a busy machine changes least. Every ratio is between sides that took turns in one process.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec

from benchmarks.archives import Archive, fields_in, opened, painted, repeated
from cm4ai_assets.images.decode import PLANES, SOURCE_EDGE
from cm4ai_assets.images.pixels import ImageWork
from cm4ai_assets.storage import blocks
from cm4ai_assets.storage.blobs import BlobStore
from cm4ai_assets.storage.bytes import ByteSource
from cm4ai_assets.storage.digests import digest_blocks
from cm4ai_assets.storage.zips import Member, read_directory, read_member

SIZES = (16, 32, 64, 128, 256)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=24)
    parser.add_argument("--jpegs", type=Path, help="repeat the JPEGs of this folder (red/, green/, blue/, yellow/)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "if.zip"
        if options.jpegs:
            repeated(path, fields_in(options.jpegs), options.fields)
        else:
            painted(path, options.fields)
        _measure(opened(path), Path(folder), options.rounds)
    return 0


def _measure(archive: Archive, folder: Path, rounds: int) -> None:
    members = [archive.members[place] for plan in archive.plans for place in plan.members]
    size, images = archive.path.stat().st_size, len(members)
    print(f"{images} images, {size / 1e6:.0f} MB, members of {size / images / 1000:.0f} kB")
    with archive.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    work = ImageWork(archive.source, 1024, SOURCE_EDGE)
    calls = list(zip(members, list(PLANES) * len(archive.plans), strict=True))
    whole = _best(2, lambda: [work(*call) for call in calls])
    print(f"an image, decoded and averaged and compressed: {1000 * whole / images:.2f} ms of CPU")
    times = _in_turn(archive, members, rounds)
    plain = times[0]
    print(f"reading, inflating and CRC of it: {1000 * plain / images:.3f} ms")
    for kib in SIZES:
        cost = times[kib] - plain
        print(f"blocks of {kib:3d} KiB: {1000 * cost / images:+.3f} ms an image, {100 * cost / whole:+.1f} % of it")
    blocks.BLOCK_SIZE = 64 * 1024  # type: ignore[misc]
    store = BlobStore(fsspec.filesystem("file"), str(folder / "storage"))
    added = _best(1, lambda: store.add(archive.path, sha256, {}))
    print(f"at acquisition, once: {1e9 * added / size:.2f} s of CPU for each GB")
    print(f"all of it read again: {1e9 * _best(rounds, lambda: store.verify(sha256)) / size:.2f} s of CPU for each GB")
    with store.open(sha256) as source:
        verified = _best(rounds, lambda: read_directory(source))
    plain = _best(rounds, lambda: read_directory(archive.source))
    print(f"the central directory alone: {1000 * verified:.1f} ms, unverified {1000 * plain:.1f} ms")


def _in_turn(archive: Archive, members: list[Member], rounds: int) -> dict[int, float]:
    """CPU seconds of reading all members: unverified (0), and by blocks of so many KiB; the best of rounds in turn."""
    best: dict[int, float] = {}
    for _ in range(rounds):
        for kib in (0, *SIZES):
            source: ByteSource = archive.source
            if kib:
                blocks.BLOCK_SIZE = kib * 1024  # type: ignore[misc]
                source = blocks.VerifiedBytes(archive.source, _digests(archive))
            started = time.process_time()
            _read(source, members)
            best[kib] = min(best.get(kib, 1e9), time.process_time() - started)
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
