"""`python benchmarks/peers.py PYTHON`: the project and the peers that it is measured against, into that environment.

Belongs here: what is installed for the benchmarks, and which peer is missing. Does not belong here: any import of the
project, which is not installed yet; what a benchmark does without a peer (`ratios`).

The peers are the extra `bench` of setup.cfg, at the versions of requirements/constraints.txt. They have an environment
of their own, so that nothing measured against becomes available to the project by accident. All are tried at once; if
that fails, each on its own, and one that cannot be installed is named. The stamp is written if none is missing: until
then the next call tries again.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", "requirements/constraints.txt")


def main() -> int:
    """0 if the project itself is installed, with however many peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="the interpreter of the environment")
    parser.add_argument("--stamp", type=Path, help="a file that is written if every peer is there")
    options = parser.parse_args()
    print(f"the project and {len(peers())} peers, installed if they are not: some minutes the first time", flush=True)
    if reason := installed(options.python, "-e", "."):
        print(f"the project could not be installed: {reason}", file=sys.stderr)
        return 1
    absent = [] if not installed(options.python, *peers()) else _one_by_one(options.python)
    if not absent and options.stamp:
        options.stamp.touch()
    return 0


def peers() -> list[str]:
    """The requirements of the extra `bench`."""
    config = configparser.ConfigParser()
    config.read(PROJECT / "setup.cfg")
    return config["options.extras_require"]["bench"].split()


def installed(python: Path, *requirements: str) -> str:
    """Nothing if pip installed them; else the last line that pip said."""
    made = subprocess.run(
        [python.absolute(), *PIP, *requirements], cwd=PROJECT, capture_output=True, check=False, text=True
    )
    lines = made.stderr.strip().splitlines() or [f"pip ended with {made.returncode}"]
    return lines[-1] if made.returncode else ""


def _one_by_one(python: Path) -> list[str]:
    absent = []
    for peer in peers():
        if reason := installed(python, peer):
            absent.append(peer)
            print(f"peer absent: {peer} could not be installed: {reason}", flush=True)
    return absent


if __name__ == "__main__":
    sys.exit(main())
