"""The Python tools that judge what is published, in an environment of their own: crates, citations, bags.

Belongs here: making that environment once from `requirements.txt`, and asking what runs in it (`judge`). Does not
belong here: which files are judged, and the tools of pages (`node`).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import filelock
import pytest

_HERE = Path(__file__).resolve().parent
_PINNED = "requirements.txt"
_FILES_ONLY = "requirements-files.txt"
_MINUTES = 10

RO_CRATE = "ro-crate-1.2"
PROCESS_RUN = "process-run-crate-0.5"


def python_tools() -> Path:
    """The interpreter of the validators' environment, made if it is not there or is of other requirements.

    Skips where it cannot be made.
    """
    folder = _HERE.parents[1] / ".venv" / "validators"
    folder.parent.mkdir(exist_ok=True)
    wanted = sha256(b"".join((_HERE / name).read_bytes() for name in (_PINNED, _FILES_ONLY))).hexdigest()
    made, of = folder / "made-of", f"{sys.version} {wanted}"
    with filelock.FileLock(f"{folder}.lock"):
        if not made.is_file() or made.read_text() != of:
            _make(folder)
            made.write_text(of)
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-compile"]  # a judge compiles what it imports, which is a small part, and keeps it
    for words in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, "-r", str(_HERE / _PINNED)],
        [*pip, "--no-deps", "-r", str(_HERE / _FILES_ONLY)],
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=_MINUTES * 60, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            said = (done.stderr or done.stdout).strip().splitlines()[-1:]
            pytest.skip(f"the validators' environment cannot be made (it needs PyPI): {''.join(said)[:200]}")


def _asked(question: str, **about: object) -> Any:
    text = json.dumps({"ask": question, **about})
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        words = [str(python_tools()), str(_HERE / "judge.py"), str(answer)]
        done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=_MINUTES * 60, check=False)
        if done.returncode:
            pytest.fail(f"the judge of {question} broke down: {done.stderr.strip()[-2000:]}")
        return json.loads(answer.read_text())


def run_roc_validator(crates: Path | Sequence[Path], *profiles: str, severity: str = "REQUIRED") -> list[str]:
    """What roc-validator says against crates (folders with ro-crate-metadata.json); empty if nothing.

    Several crates in one call are much faster than one by one: the profiles are read once.
    """
    folders = [crates] if isinstance(crates, Path) else list(crates)
    wanted = list(profiles or (RO_CRATE, PROCESS_RUN))
    found = _asked("roc", crates=[str(one) for one in folders], profiles=wanted, severity=severity)
    return [f"{Path(crate).name}: {problem}" for crate, problems in found.items() for problem in problems]


def ro_crate_py_problems(crates: Path | Sequence[Path]) -> list[str]:
    """What keeps ro-crate-py from opening crates (folders); empty if nothing."""
    folders = [crates] if isinstance(crates, Path) else list(crates)
    found = _asked("ro_crate_py", crates=[str(one) for one in folders])
    return [f"{Path(crate).name}: {problem}" for crate, problems in found.items() for problem in problems]


def fairscape_problems(files: Path | Sequence[Path]) -> list[str]:
    """What FAIRSCAPE's pydantic models say against crate files; empty if they take them."""
    wanted = [files] if isinstance(files, Path) else list(files)
    found = _asked("fairscape", crates=[str(one) for one in wanted])
    return [f"{Path(crate).parent.name}: {problem}" for crate, problems in found.items() for problem in problems]


def fairscape_accepts(file: Path) -> bool:
    """FAIRSCAPE's pydantic models take a crate file."""
    return not fairscape_problems(file)


def fairscape_classes(file: Path) -> dict[str, int]:
    """How many entities of a crate file FAIRSCAPE takes for what: Dataset, Computation, Software, Schema, …"""
    return dict(_asked("fairscape_classes", crate=str(file)))


def cff_problems(path: Path) -> list[str]:
    """What the JSON Schema of CITATION.cff 1.2.0 says against a file; empty if it is valid."""
    return list(_asked("cff", path=str(path)))


def bagit_problems(folder: Path) -> list[str]:
    """What bagit says against a folder; empty if it is a bag and every file in it is what its manifests say."""
    return list(_asked("bag", folder=str(folder)))


def ro_crate_context() -> dict[str, str]:
    """The context of RO-Crate 1.2 that the validators are given, term to address."""
    return dict(_asked("context")["@context"])
