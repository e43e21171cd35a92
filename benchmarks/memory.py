"""`python -m benchmarks.memory`: peak memory of the pass over the pixels, for a small and a large archive.

Each pass runs in a fresh process, and the peak is the kernel's own (VmHWM). The ZIPs repeat the same JPEGs under other
names: what memory could follow is the number of members and fields, not what they show. The list of members has to grow
with the archive (some 4 MB for a thousand fields, which `if_images` needs too); what the pass takes beyond it must not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.archives import fields_in, fields_of, opened, painted, repeated
from cm4ai_assets.images.pixels import run_pass

LIMIT_MB = 450
GROWTH_MB = 10  # between any two archives: the allocator is not the same every time


def main() -> int:
    options = _options()
    if options.child:
        return _child(options)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch, sample = Path(folder), Path(folder) / "sample.zip"
        if not options.jpegs:
            painted(sample, 8)
        fields = fields_in(options.jpegs) if options.jpegs else fields_of(opened(sample))
        peaks, taken = [], []
        for count in options.fields:
            path = scratch / f"{count}.zip"
            repeated(path, fields, count)
            command = [sys.executable, "-m", "benchmarks.memory", "--child", str(path), "--edge", str(options.edge)]
            command += ["--scratch", str(scratch)]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            run = json.loads(told.splitlines()[-1])
            peaks.append(run["peak_mb"])
            taken.append(run["peak_mb"] - run["before_mb"])
            print(f"{count:6d} fields: peak {peaks[-1]} MB, of which the pass {taken[-1]} MB; {run['rate']:.0f} img/s")
            path.unlink()
    within = max(peaks) <= LIMIT_MB
    flat = max(taken) - min(taken) <= GROWTH_MB
    print(f"at most {LIMIT_MB} MB: {'met' if within else 'MISSED'}")
    print(f"does not follow the archive: {'met' if flat else 'MISSED'}")
    return 0 if within and flat else 1


def _child(options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        archive = opened(options.child)
        before = _memory("VmRSS")
        made = run_pass(
            archive.source,
            archive.members,
            archive.plans,
            Path(folder) / "pass",
            edge=options.edge,
            source_sha256="ab" * 32,
            workers=2,
        )
    print(json.dumps({"before_mb": before, "peak_mb": _memory("VmHWM"), "rate": made.images_per_second}))
    return 0


def _memory(kind: str) -> int:
    """Megabytes of this process, as the kernel counts them."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) // 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--fields", type=int, nargs="+", default=[400, 4000], help="sizes of the archives")
    parser.add_argument("--edge", type=int, default=1024)
    parser.add_argument("--jpegs", type=Path, help="JPEGs in red/, green/, blue/, yellow/ of a folder")
    parser.add_argument(
        "--scratch", type=Path, help="where to write: 1 GB for each thousand fields, with real images 2"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
