"""`python -m benchmarks.download`: a verified download against `curl | md5sum` and pooch, on loopback.

Every side fetches the same file from the same server, round after round, each in a fresh process. The platform's side
does all that it always does: MD5 and SHA-256, a journal, the file stored and synced under its digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from benchmarks.ratios import Findings, arguments, at_least, at_most, parsed
from benchmarks.turns import SideFailedError, child, cpu_seconds, in_turn, memory_mb

BLOCK = 1 << 20
CURL = ("bash", "curl", "md5sum")
NEEDS = {"curl | md5sum": CURL, "curl, stored": CURL, "pooch": ("pooch",)}
OURS = "platform"
TARGETS = {"curl | md5sum": at_least(0.95)}
PEAK = at_most(100)
Timed = dict[str, float]


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    findings = Findings(f"a generated file of {options.megabytes:,} MB, served on loopback")
    with tempfile.TemporaryDirectory(prefix="download-", dir=options.scratch) as folder:
        source = Path(folder) / "source.zip"
        md5 = _make(source, options.megabytes)
        source.read_bytes()  # every side finds it in the page cache
        words = ["--port", _serve(source), "--md5", md5, "--megabytes", options.megabytes]
        sides = {side: partial(_run, side, words, Path(folder)) for side in (OURS, *options.peers)}
        turns = in_turn(sides, options.rounds, lambda run: f"{options.megabytes / run['seconds']:5.0f} MB/s", NEEDS)
    for side in options.peers:
        turns.compare(findings, f"{OURS} / {side}", (OURS, side), lambda run: 1 / run["seconds"], TARGETS.get(side))
        turns.compare(findings, f"{OURS} / {side}, CPU time", (OURS, side), lambda run: 1 / run["cpu"])
    if runs := turns.runs.get(OURS):
        findings.number("peak memory", max(run["peak"] for run in runs), PEAK, "MB")
        findings.fact(OURS, f"{options.megabytes / min(run['seconds'] for run in runs):.0f} MB/s")
    return findings.finish(options)


def _options() -> argparse.Namespace:
    parser = arguments("download", __doc__, rounds=4)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--peers", nargs="+", choices=list(NEEDS), default=list(NEEDS))
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--md5", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    return parsed(parser, megabytes=200, rounds=2, peers=["curl | md5sum"])


def _make(path: Path, megabytes: int) -> str:
    """A file of noise; its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    block = bytearray(os.urandom(BLOCK))
    with path.open("wb") as file:
        for number in range(megabytes * 1_000_000 // BLOCK):
            block[:8] = number.to_bytes(8, "little")
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def _serve(path: Path) -> int:
    """A server that costs next to nothing: headers, then sendfile."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        size = path.stat().st_size
        with connection, path.open("rb") as file:
            while request := connection.recv(65536):
                start = int(found[1]) if (found := re.search(rb"(?i)range: bytes=(\d+)-", request)) else 0
                status = b"206 Partial Content" if start else b"200 OK"
                span = f"Content-Range: bytes {start}-{size - 1}/{size}\r\n" if start else ""
                head = f"Content-Type: application/zip\r\n{span}Content-Length: {size - start}\r\n\r\n"
                connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + head.encode())
                file.seek(start)
                connection.sendfile(file, start)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def _run(side: str, words: list[object], folder: Path) -> Timed:
    """One download, in a process of its own and into a folder of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as target:
        return child("download", "--child", side, "--target", target, *words)


def _child(options: argparse.Namespace) -> int:
    fetch = {OURS: _platform, "pooch": _pooch}.get(options.child, _curl)
    print(json.dumps(fetch(options, f"http://127.0.0.1:{options.port}")))
    return 0


def _curl(options: argparse.Namespace, url: str) -> Timed:
    stored = f"tee {options.target}/file |" if options.child == "curl, stored" else ""
    sync = f"; sync {options.target}/file" if stored else ""
    started, spent = time.monotonic(), cpu_seconds()
    pipe = f"curl -sS {url}/api/access/datafile/1 | {stored} md5sum{sync}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, check=True, text=True)
    if done.stdout.split()[0] != options.md5:
        raise SideFailedError(f"curl fetched something else: {done.stderr}")
    return _timed(started, spent)


def _pooch(options: argparse.Namespace, url: str) -> Timed:
    import pooch

    started, spent = time.monotonic(), cpu_seconds()
    pooch.retrieve(f"{url}/api/access/datafile/1", f"md5:{options.md5}", path=options.target, progressbar=False)
    return _timed(started, spent)


def _platform(options: argparse.Namespace, url: str) -> Timed:
    import fsspec

    from cm4ai_assets.archives.dataverse.acquire import acquire
    from cm4ai_assets.archives.dataverse.client import DataverseClient
    from cm4ai_assets.archives.dataverse.locked_file import LockedFile
    from cm4ai_assets.storage.blobs import BlobStore

    file = LockedFile(
        doi="doi:10.5072/FK2/BENCH1", version="1.0", directory="", label="source.zip", file_id=1,
        size=options.megabytes * 1_000_000 // BLOCK * BLOCK, digest_type="MD5", digest=options.md5,
        content_type="application/zip", is_ingested=False, access="public", available_on=None,
        unavailable_from=None, license=None,
    )  # fmt: skip
    blobs = BlobStore(fsspec.filesystem("file"), str(options.target / "storage"))
    started, spent = time.monotonic(), cpu_seconds()
    with DataverseClient(url) as client:
        acquire(file, client, blobs, options.target / "scratch")
    return _timed(started, spent)


def _timed(started: float, spent: float) -> Timed:
    return {"seconds": time.monotonic() - started, "cpu": cpu_seconds() - spent, "peak": memory_mb()}


if __name__ == "__main__":
    sys.exit(main())
