"""`make audit`: licences of what this package installs, and vulnerabilities that are known of the tested versions.

Belongs here: the licences that we accept, and how an unreachable advisory service differs from a finding. A licence
that is not accepted fails, and so does a known vulnerability; a service that cannot be reached is named, and fails
nothing.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

CONSTRAINTS = Path(__file__).with_name("constraints.txt")

# Extras of those who work on the platform, or show it. What stands in the others is passed on with it.
NOT_PASSED_ON = frozenset({"bench", "dev", "docs", "notebook"})

# Licences that go together with Apache-2.0, as words of an SPDX expression, a classifier, or the field Licence. Weak
# copyleft (LGPL, MPL) is accepted for libraries that are used unchanged; GPL and AGPL are not.
ACCEPTED = re.compile(
    r"(?<![a-z])(apache|mit(?![a-z])|bsd|isc(?![a-z])|psf|python software foundation|mpl|mozilla|lgpl|gnu lesser"
    r"|zlib|unlicense|0bsd|cc0|bsl-1\.0|hpnd|mit-cmu|zpl|zope|public domain|blueoak|cnri)",
    re.IGNORECASE,
)
REFUSED = re.compile(r"(?<!l)(?:a?gpl|(?<!lesser )general public)|proprietary|non-?commercial|sspl|busl", re.IGNORECASE)

# What pip-audit says when nobody answers.
NOT_REACHED = re.compile(r"connect|max retries|timed? ?out|proxy|ssl|service", re.IGNORECASE)

# What was read at the source where metadata state nothing: each with its version, its address and the words there.
READ_AT_THE_SOURCE = CONSTRAINTS.with_name("licences.toml")


def licences(one: Distribution) -> list[str]:
    """What a distribution states of its licence, most exact first; a text of a whole licence by its first line."""
    meta = one.metadata
    classified = [line.rpartition("::")[2].strip() for line in meta.get_all("Classifier") or () if "License ::" in line]
    stated = [meta.get("License-Expression") or "", *classified, (meta.get("License") or "").strip().split("\n")[0]]
    return [text for text in stated if text and text != "OSI Approved"]


def problem(one: Distribution) -> str | None:
    """Why the licence of a distribution is not accepted; None where it is."""
    stated = licences(one)
    if stated:
        return refusal(stated[0])
    read = tomllib.loads(READ_AT_THE_SOURCE.read_text()).get(one.name.lower())
    if read is None:
        return f"states no licence, and {READ_AT_THE_SOURCE.name} has none of it"
    if read["version"] != one.version:
        return (
            f"states no licence, and {READ_AT_THE_SOURCE.name} has that of {read['version']}: look at the source again"
        )
    return refusal(read["licence"])


def refusal(first: str) -> str | None:
    """Why a statement is not accepted; None where it is. Of `A OR B` one is enough."""
    for choice in re.split(r"\bOR\b", first):
        parts = re.split(r"\bAND\b", choice)
        if all(ACCEPTED.search(part) and not REFUSED.search(part) for part in parts):
            return None
    return f"is under {first!r}, which is not on the list"


def passed_on() -> set[str]:
    """The extras with which the platform is installed to be run."""
    return set(_setup()["options.extras_require"]) - NOT_PASSED_ON


def asked_for(extras: Iterable[str]) -> Iterator[Requirement]:
    """What setup.cfg asks for: what an installed package says of itself may be of an earlier day."""
    setup = _setup()
    texts = [setup["options"]["install_requires"], *(setup["options.extras_require"][extra] for extra in extras)]
    yield from (Requirement(line) for text in texts for line in text.splitlines() if line)


def _setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser()
    setup.read(CONSTRAINTS.parents[1] / "setup.cfg")
    return setup


def installed(extras: Iterable[str]) -> Iterator[Distribution]:
    """What this package brings with it, each once, as far as it is installed here."""
    todo = [(one.name, frozenset(one.extras)) for one in asked_for(extras)]
    seen, shown = set[tuple[str, frozenset[str]]](), set[str]()
    while todo:
        wanted = todo.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found = distribution(wanted[0])
        except PackageNotFoundError:
            continue
        if found.name not in shown:
            shown.add(found.name)
            yield found
        todo += [(one.name, frozenset(one.extras)) for one in _required(found, wanted[1])]


def _required(one: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in one.requires or ():
        asked = Requirement(text)
        if asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield asked


def check_licences() -> int:
    """Print every distribution whose licence is not accepted; how many there are."""
    found = sorted(installed(passed_on()), key=lambda one: one.name.lower())
    bad = [f"{one.name} {one.version} {why}" for one in found if (why := problem(one))]
    print(*bad, sep="\n", end="\n" if bad else "")
    print(f"Licences of {len(found)} distributions looked at, {len(bad)} not accepted.")
    return len(bad)


def check_vulnerabilities() -> int:
    """Ask PyPI's advisories for every pinned version; how many are known to be vulnerable."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(re.sub(r"^#.*\n", "", CONSTRAINTS.read_text(), flags=re.MULTILINE))
        file.flush()
        words = [
            "--requirement",
            file.name,
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
        ]
        done = subprocess.run([sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, check=False)
    lines, vulnerable = answered(done.stdout, done.stderr)
    print(*lines, sep="\n")
    return vulnerable


def answered(answer: str, errors: str) -> tuple[list[str], int]:
    """What pip-audit says, in lines, and how many versions are vulnerable; 1 where it failed.

    What was not looked up is no good news, and the last line says so.
    """
    try:
        every = json.loads(answer)["dependencies"]
    except ValueError:
        reason = (errors.strip().splitlines() or ["no answer"])[-1]
        if not NOT_REACHED.search(errors):
            return [f"pip-audit failed: {reason}"], 1
        return [f"The advisory service was not reached ({reason}): vulnerabilities were NOT looked up."], 0
    asked = [one for one in every if "skip_reason" not in one]
    bad = [one for one in asked if one["vulns"]]
    lines = [f"{one['name']} {one['version']}: {', '.join(v['id'] for v in one['vulns'])}" for one in bad]
    unknown = len(every) - len(asked)
    lines.append(f"{len(asked)} versions looked up, {len(bad)} vulnerable; {unknown} unknown to the service.")
    if not asked:
        lines.append("The service knows none of them: vulnerabilities were NOT looked up.")
    return lines, len(bad)


def main() -> int:
    """Both checks; the exit status."""
    return int(bool(check_licences()) | bool(check_vulnerabilities()))


if __name__ == "__main__":
    sys.exit(main())
