"""Licences and advisories: what is accepted, what is refused, and that an unanswered question is no good news."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import tomllib
from datetime import date
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from types import ModuleType

import pytest

from cm4ai_assets.settings import PROJECT


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", PROJECT / "requirements/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_licence_of_everything_that_is_installed_with_the_package_is_accepted(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.check_licences() == 0, capsys.readouterr().out
    (count,) = re.findall(r"^Licences of (\d+) distributions", capsys.readouterr().out, re.MULTILINE)
    asked = (PROJECT / "setup.cfg").read_text().partition("install_requires =")[2].partition("\n\n")[0].split()
    names = {one.name.lower() for one in audit.installed(audit.passed_on())}
    assert {re.split(r"[<>=!\[]", one)[0] for one in asked} <= names
    assert int(count) == len(names) > len(asked)


def test_extras_are_followed_and_those_of_development_are_not(audit: ModuleType) -> None:
    names = {one.name.lower() for one in audit.installed(audit.passed_on())}
    assert audit.passed_on() >= {"s3", "celery", "torch"}
    assert not audit.passed_on() & audit.NOT_PASSED_ON
    assert {"psycopg2-binary", "redis", "s3fs", "distributed"} <= names
    assert not names & {"pytest", "ruff", "mypy"}
    assert "redis" not in {one.name.lower() for one in audit.installed([])}


@pytest.mark.parametrize(
    "stated",
    ["MIT", "Apache-2.0", "BSD-3-Clause AND Zlib", "GPL-3.0-only OR MIT",
     "GNU Lesser General Public License v3 (LGPLv3)", "MPL-2.0",
     "Apache-2.0 WITH LLVM-exception AND BSL-1.0", "Python Software Foundation License"],
)  # fmt: skip
def test_what_is_accepted(audit: ModuleType, stated: str) -> None:
    assert audit.refusal(stated) is None


@pytest.mark.parametrize(
    "stated",
    ["GPL-3.0-or-later", "AGPL-3.0", "MIT AND GPL-2.0-only", "GNU General Public License v3 (GPLv3)", "Proprietary",
     "BUSL-1.1", "CC-BY-NC-4.0", "Miscellaneous", "GNU Affero General Public License v3"],
)  # fmt: skip
def test_what_is_refused_is_named(audit: ModuleType, stated: str) -> None:
    assert repr(stated) in audit.refusal(stated)


def distribution(folder: Path, name: str, version: str, *stated: str) -> Distribution:
    """An installed distribution with nothing but metadata."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *stated])
    )
    return PathDistribution(info)


def test_a_distribution_that_states_nothing_is_a_problem_until_somebody_has_looked_at_the_source_of_that_version(
    audit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = tmp_path / "licences.toml"
    read.write_text('[some]\nversion = "1.0"\nlicence = "MIT"\n[other]\nversion = "1.0"\nlicence = "GPL-3.0-only"\n')
    monkeypatch.setattr(audit, "READ_AT_THE_SOURCE", read)
    assert audit.problem(distribution(tmp_path, "Some", "1.0")) is None
    assert "has that of 1.0: look at the source again" in audit.problem(distribution(tmp_path, "some", "1.1"))
    assert audit.problem(distribution(tmp_path, "none", "1.0")).startswith("states no licence")
    assert "'GPL-3.0-only'" in audit.problem(distribution(tmp_path, "other", "1.0"))
    bad = distribution(tmp_path, "some", "1.0", "License-Expression: GPL-3.0-only")
    assert "'GPL-3.0-only'" in audit.problem(bad), "what it states itself counts first"


def test_what_was_read_at_a_source_names_it_and_is_of_the_version_that_is_tested(audit: ModuleType) -> None:
    read = tomllib.loads(audit.READ_AT_THE_SOURCE.read_text())
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", audit.CONSTRAINTS.read_text(), re.MULTILINE))
    assert read
    for name, one in read.items():
        assert one["version"] == pins[name], f"{name}: another version is installed; look at its source again"
        assert audit.licences(importlib.metadata.distribution(name)) == [], f"{name} says it itself now"
        for address in (one["source"], one["text"]):
            assert re.fullmatch(r"https://\S+/[0-9a-f]{40}/\S+", address), "a version that does not change"
        assert one["licence"].split("-")[0] in one["words"]
        assert isinstance(one["read"], date)


def dependency(name: str, *vulnerabilities: str) -> dict[str, object]:
    return {"name": name, "version": "1.0", "vulns": [{"id": one} for one in vulnerabilities]}


def test_a_known_vulnerability_is_counted_and_named(audit: ModuleType) -> None:
    skipped = {"name": "own", "skip_reason": "Dependency not found on PyPI"}
    answer = json.dumps({"dependencies": [dependency("bad", "PYSEC-1", "GHSA-2"), dependency("good"), skipped]})
    assert audit.answered(answer, "") == (
        ["bad 1.0: PYSEC-1, GHSA-2", "2 versions looked up, 1 vulnerable; 1 unknown to the service."], 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        ("", "Traceback\nrequests.exceptions.ConnectionError: Max retries exceeded"),
        (json.dumps({"dependencies": [{"name": "a", "skip_reason": "Dependency not found on PyPI"}]}), ""),
    ],
)
def test_a_service_that_does_not_answer_fails_nothing_and_is_no_good_news(
    audit: ModuleType, answer: str, errors: str
) -> None:
    lines, vulnerable = audit.answered(answer, errors)
    assert vulnerable == 0
    assert lines[-1].endswith("vulnerabilities were NOT looked up.")


def test_a_tool_that_fails_is_no_unreachable_service(audit: ModuleType) -> None:
    lines, failed = audit.answered("", "/usr/bin/python: No module named pip_audit")
    assert (lines, failed) == (["pip-audit failed: /usr/bin/python: No module named pip_audit"], 1)
