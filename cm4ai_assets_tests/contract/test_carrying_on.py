"""Workflow, hooks, forms and citation: valid, and the same commands as `.ci/run` and the Makefile."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cm4ai_assets import cli
from cm4ai_assets.settings import PROJECT
from cm4ai_assets_tests.validators.node import workflow_faults
from cm4ai_assets_tests.validators.python import cff_problems

GITHUB = PROJECT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
MAKEFILE = (PROJECT / "Makefile").read_text()


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GITHUB / "workflows/ci.yml").read_text())
    return found


def made(script: str) -> set[str]:
    """The targets of make that a script calls."""
    lines = re.findall(r"^\s*make ([\w./ -]+)$", script, re.MULTILINE)
    return {target for line in lines for target in line.split()}


def test_the_workflow_calls_what_ci_calls(workflow: dict[str, Any]) -> None:
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    of_workflow = set().union(*(made(step["run"]) for step in steps if "run" in step))
    of_ci = made((PROJECT / ".ci/run").read_text())
    assert {"lint", "audit", "demo", "bench-small", "test"} <= of_ci
    assert of_workflow - {"dist"} == of_ci  # which is built by a test, too
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) | {".venv/.dev"}
    assert of_workflow <= targets


# Packages of Debian that GitHub's machines have by themselves, or something in their place.
ON_THE_RUNNER = {"chromium": "google-chrome", "nodejs": "node", "npm": "npm", "systemd": "systemd"}


def test_the_workflow_installs_the_programs_and_packages_that_ci_installs(workflow: dict[str, Any]) -> None:
    """A program that is missing there would only skip the tests that need it."""
    script = (PROJECT / ".ci/run").read_text()
    of_ci = {name for names in re.findall(r"missing\+=\(([^)]*)\)", script) for name in names.split()}
    said = "\n".join(step.get("run", "") for step in workflow["jobs"]["tests"]["steps"])
    (installed,) = re.findall(r"apt-get install -y -qq --no-install-recommends ([^\n]*)", said)
    assert set(ON_THE_RUNNER) <= of_ci
    assert set(installed.split()) == of_ci - set(ON_THE_RUNNER)
    loaders = r"'(torch==\S+)' '(scDataset==\S+)'"
    assert re.findall(loaders, said) == re.findall(loaders, script) != []


def test_actionlint_finds_no_fault_in_the_workflow_and_would_see_one() -> None:
    text = (GITHUB / "workflows/ci.yml").read_text()
    assert workflow_faults(text) == []
    for right, wrong in (
        ("matrix.python }}", "matrix.pyton }}"),
        ("runs-on:", "run-on:"),
        ("needs: quick", "needs: slow"),
    ):
        assert workflow_faults(text.replace(right, wrong)), wrong


def test_the_matrix_has_every_python_that_the_package_asks_for(workflow: dict[str, Any]) -> None:
    low, high = re.findall(r"python_requires = >=3\.(\d+),<3\.(\d+)", (PROJECT / "setup.cfg").read_text())[0]
    supported = [f"3.{minor}" for minor in range(int(low), int(high))]
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == supported
    chosen = [step["with"]["python-version"] for job in workflow["jobs"].values() for step in job["steps"]
              if "setup-python" in step.get("uses", "")]  # fmt: skip
    assert set(chosen) <= {*supported, "${{ matrix.python }}"}
    assert f"3.{low} to 3.{int(high) - 1}" in (PROJECT / "CONTRIBUTING.md").read_text()


def test_the_workflow_may_read_and_no_more_and_every_action_has_a_version(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step.get("uses", "actions/none@v1"))
            assert "${{" not in step.get("run", "")  # nothing of a pull request is put into a script
            if "checkout" in step.get("uses", ""):
                assert step["with"]["fetch-depth"] == 0, "the version is read from tags"


HOOKS = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"]


def test_the_hooks_are_those_of_make_lint_and_fetch_nothing() -> None:
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    recipe = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    entries = [hook["entry"].replace(".venv/bin/", "$(BIN)/") for repo in HOOKS for hook in repo["hooks"]]
    assert entries == [line.strip().removesuffix(" .") for line in recipe.splitlines()[1:]]
    assert {hook["language"] for repo in HOOKS for hook in repo["hooks"]} == {"system"}


def test_pre_commit_runs_them_and_sees_a_fault(tmp_path: Path) -> None:
    """In a small repository; mypy, which takes the whole package, is left to `make lint`."""
    pytest.importorskip("pre_commit", reason="pre-commit is not installed (extra: dev)")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy2(PROJECT / name, tmp_path / name)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PRE_COMMIT_HOME": str(tmp_path / ".home"), "SKIP": "mypy"}

    def verdict(text: str) -> tuple[int, str]:
        (tmp_path / "one.py").write_text(text)
        subprocess.run([*git, "add", "one.py", ".pre-commit-config.yaml", "pyproject.toml"], check=True)
        words = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    status, said = verdict('"""A module."""\n')
    assert status == 0, said
    status, said = verdict('"""A module."""\nimport os\n')
    assert status == 1
    assert "F401" in said


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one(path: Path) -> None:
    """The rules of GitHub's form schema that its parser checks, without GitHub."""
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= set(form) <= {"name", "description", "body", "labels", "title"}
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 0
    for part in form["body"]:
        assert part["type"] in {"markdown", "textarea", "input", "dropdown", "checkboxes"}
        attributes = part["attributes"]
        assert attributes["value" if part["type"] == "markdown" else "label"]
        if part["type"] == "dropdown":
            assert all(isinstance(option, str) for option in attributes["options"])
    commands = re.findall(r"`cm4ai (.+?)`", path.read_text())
    known = cli._parser().format_help()
    assert [words for words in commands if words.split()[0] not in known] == []


def test_there_are_forms_for_a_bug_a_defect_of_data_and_a_feature() -> None:
    assert [path.stem for path in FORMS] == ["bug", "data-defect", "feature"]
    assert (GITHUB / "pull_request_template.md").read_text().count("- [ ] ") >= 4


def test_the_citation_of_the_software_is_valid_and_repeats_no_version() -> None:
    path = PROJECT / "CITATION.cff"
    assert cff_problems(path) == []
    cited = yaml.safe_load(path.read_text())
    assert cited["license"] == re.findall(r"^license = (\S+)$", (PROJECT / "setup.cfg").read_text(), re.MULTILINE)[0]
    assert "version" not in cited
    assert not re.search(r"^version", (PROJECT / "setup.cfg").read_text(), re.MULTILINE)


def test_the_changelog_keeps_its_form() -> None:
    text = (PROJECT / "CHANGELOG.md").read_text()
    first, *versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", one) for one in versions)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"])
def test_links_lead_somewhere_and_nobodys_address_is_made_up(name: str) -> None:
    text = (PROJECT / name).read_text()
    for path in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (PROJECT / path).exists(), path
    assert re.findall(r"[\w.]+@[\w.]+\.\w+|INSERT|TODO|example\.(?:com|org)", text) == []
