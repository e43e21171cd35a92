"""`python -m benchmarks.memory`: peak memory of the pass over the pixels, for a small and a large archive.

Each pass runs in a fresh process, and the peak is the kernel's own (VmHWM), without the pages of files at its end: how
much of a library is resident depends on how it lies in the page cache, up to 120 MB for the same work. The ZIPs repeat
the same JPEGs under other names: what memory could follow is the number of members and fields, not what they show. The
directory and the plans have to grow with the archive (0.8 MB for a thousand fields); what the pass takes beyond them
must not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.archives import Pictures, opened
from benchmarks.ratios import Findings, arguments, at_most, parsed
from benchmarks.turns import child, memory_mb
from cm4ai_assets.images.pixels import run_pass

LIMIT = at_most(250)
GROWTH = at_most(10)  # between any two archives: the allocator is not the same every time


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    findings, peaks, taken = Findings(), [], []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        pictures = Pictures(options, scratch)
        for count in options.fields:
            archive = pictures.archive(scratch / f"{count}.zip", count)
            run = child("memory", "--child", archive.path, "--edge", options.edge, "--scratch", scratch)
            peaks.append(run["peak_mb"])
            taken.append(run["peak_mb"] - run["before_mb"])
            said = f"peak {peaks[-1]:.0f} MB, of which the pass {taken[-1]:.0f} MB; {run['rate']:.0f} images/s"
            print(f"{count:6d} fields: {said}", flush=True)
            archive.path.unlink()
    findings.inputs = f"{pictures.inputs} to {' and '.join(f'{count:,}' for count in options.fields)} fields"
    findings.number("peak memory", max(peaks), LIMIT, "MB")
    findings.number("growth between these archives", max(taken) - min(taken), GROWTH, "MB")
    return findings.finish(options)


def _child(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        archive = opened(Path(options.child))
        before = memory_mb("RssAnon")
        made = run_pass(
            archive.source,
            archive.members,
            archive.plans,
            Path(folder) / "pass",
            edge=options.edge,
            source_sha256="ab" * 32,
            workers=2,
        )
    print(
        json.dumps({"before_mb": before, "peak_mb": memory_mb() - memory_mb("RssFile"), "rate": made.images_per_second})
    )
    return 0


def _options() -> argparse.Namespace:
    parser = arguments("memory", __doc__, rounds=1, jpegs=True)  # scratch: 2 GB for each thousand fields
    parser.add_argument("--fields", type=int, nargs="+", default=[400, 4000], help="sizes of the archives")
    parser.add_argument("--edge", type=int, default=1024)
    return parsed(parser, fields=[16, 64])


if __name__ == "__main__":
    sys.exit(main())
