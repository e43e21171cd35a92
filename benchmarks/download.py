"""A verified download against `curl | md5sum` and pooch, on loopback: `python -m benchmarks.download`.

Every side fetches the same file from the same server, round after round, each in a fresh process. The platform's side
does all that it always does: MD5 and SHA-256, a journal, the file stored and synced under its digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BLOCK = 1 << 20


def main() -> None:
    args = _arguments()
    if args.side:
        _run_side(args)
        return
    with tempfile.TemporaryDirectory(prefix="download-", dir=args.folder) as folder:
        source = Path(folder) / "source.zip"
        md5 = _make(source, args.megabytes)
        port = _serve(source)
        rounds: dict[str, list[float]] = {side: [] for side in ("platform", "curl | md5sum", "curl, stored", "pooch")}
        peak = 0
        for number in range(args.rounds):
            for side, times in rounds.items():
                seconds, memory = _time(side, port, md5, args.megabytes, Path(folder))
                if number or args.rounds == 1:  # the first round warms the cache
                    times.append(seconds)
                if side == "platform":
                    peak = max(peak, memory)
        ours = rounds["platform"]
        for side, times in rounds.items():
            ratios = [theirs / mine for theirs, mine in zip(times, ours, strict=True)]
            rate = f"{side:<14} {args.megabytes / statistics.median(times):5.0f} MB/s (median of {len(times)})"
            shares = f"{statistics.median(ratios):.2f} of its rate (best to best {min(times) / min(ours):.2f})"
            print(f"{rate}; the platform has {shares}")
        print(f"peak memory of the platform's process: {peak / 1024:.0f} MB for a file of {args.megabytes:,} MB")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", default=None, help="where files are made; a real disk")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--md5", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


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


def _time(side: str, port: int, md5: str, megabytes: int, folder: Path) -> tuple[float, int]:
    """Seconds of one download, and the peak memory of the process in KB."""
    with tempfile.TemporaryDirectory(dir=folder) as target:
        url = f"http://127.0.0.1:{port}/api/access/datafile/1"
        if side.startswith("curl"):
            stored = f"tee {target}/file |" if side == "curl, stored" else ""
            sync = f"; sync {target}/file" if stored else ""
            started = time.monotonic()
            told = subprocess.run(
                ["bash", "-c", f"curl -sS {url} | {stored} md5sum{sync}"], capture_output=True, check=True
            )
            assert told.stdout.split()[0].decode() == md5
            return time.monotonic() - started, 0
        words = [sys.executable, "-m", "benchmarks.download", "--side", side, "--port", str(port), "--md5", md5]
        words += ["--target", target, "--megabytes", str(megabytes)]
        told = subprocess.run(words, capture_output=True, check=True, text=True)
        answer = json.loads(told.stdout)
        return answer["seconds"], answer["peak"]


def _run_side(args: argparse.Namespace) -> None:
    url = f"http://127.0.0.1:{args.port}"
    if args.side == "pooch":
        import pooch

        started = time.monotonic()
        pooch.retrieve(f"{url}/api/access/datafile/1", f"md5:{args.md5}", path=args.target, progressbar=False)
        seconds = time.monotonic() - started
    else:
        import fsspec

        from cm4ai_assets.archives.dataverse.acquire import acquire
        from cm4ai_assets.archives.dataverse.client import DataverseClient
        from cm4ai_assets.archives.dataverse.locked_file import LockedFile
        from cm4ai_assets.storage.blobs import BlobStore

        file = LockedFile(
            doi="doi:10.5072/FK2/BENCH1", version="1.0", directory="", label="source.zip", file_id=1,
            size=args.megabytes * 1_000_000 // BLOCK * BLOCK, digest_type="MD5", digest=args.md5,
            content_type="application/zip", is_ingested=False, access="public", available_on=None,
            unavailable_from=None, license=None,
        )  # fmt: skip
        blobs = BlobStore(fsspec.filesystem("file"), str(args.target / "storage"))
        started = time.monotonic()
        with DataverseClient(url) as client:
            acquire(file, client, blobs, args.target / "scratch")
        seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
