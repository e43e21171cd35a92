"""README, docs and `--help` are run: each command, each example in Python and SQL, on one storage of the sandbox.

A name that only the published data has is replaced by one of the sandbox. What cannot run here is listed with its
reason. A line that is neither run nor listed fails.
"""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest

from cm4ai_assets import cli, science
from cm4ai_assets.access import open_release
from cm4ai_assets.sandbox import SandboxServer
from cm4ai_assets.settings import service_variables
from cm4ai_assets.storage.layout import Partition
from cm4ai_assets_tests.operate.documented import PAGES, PROJECT, blocks, commands, languages, selections

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RELEASE = "2026-06-v2.0"
NOTEBOOK = PROJECT / "docs" / "tutorial.ipynb"
REGISTER, MATERIALIZE = "cm4ai releases --register", "cm4ai materialize --release latest"
DESCRIBE = f"{MATERIALIZE} --select group:publication"
PACLITAXEL = f"cm4ai materialize --release {RELEASE} --condition paclitaxel"

# What no test runs here, and why. The named test or script does instead.
NOT_RUN = {
    "make demo": ".ci/run runs it",
    "make test": ".ci/run runs it",
    "make test-quick": "a part of what make test runs; test_pace holds what it leaves out",
    "make lint": ".ci/run runs it",
    ".ci/run": "it runs this test",
    "make ui": "test_ui.test_the_terminal_stays_readable_while_runs_go_through starts what it starts",
    ".venv/bin/python -m cm4ai_assets.ui --port 3001 --read-only": "test_ui.test_who_only_looks_starts_no_daemon",
    "make docs": "writes into the checkout; below its texts are compared, and test_site builds",
    "make docs-serve": "serves what test_site builds and opens",
    "python -m cm4ai_assets_tests.contract.snapshot": "writes into the checkout; contract.test_snapshot compares",
    "make pictures": "writes into the checkout; test_ui takes the same pictures elsewhere",
    "make audit": ".ci/run runs it",
    "make dist": "test_wheel.test_the_wheel_has_every_file_of_the_package_and_nothing_else builds both from a tag",
    "git tag --annotate v0.3.0 --message 0.3.0": "changes the repository; test_wheel tags a clone",
    "make bench": "takes minutes, on a quiet machine",
    "make bench-small": ".ci/run runs it",
    "python examples/treatment.py --storage storage": "takes a larger sandbox; the tests of loading run it on one",
    "dg dev": "its daemon would fetch every release; webserver and daemon are started apart, here and in test_ui",
    "cm4ai alerts test": "asks a mail server or a webhook; alerts.test_delivery has both on loopback",
    "cm4ai materialize --release KEY": "operate.runbook types it",
    "cm4ai materialize --release KEY --select release_files": "operate.runbook types it",
    "cm4ai materialize --release KEY --select release_datasheet": "operate.runbook types it",
    "pip install 'cm4ai_assets[alerts]'": "changes the environment; the extra is looked up",
    "pip install 'cm4ai_assets[s3]'": "changes the environment; the extra is looked up",
    "pip install 'cm4ai_assets[postgres]'": "changes the environment; the extra is looked up",
    "cm4ai migrate .dagster_home": "test_migration.test_all_that_was_known_is_known_and_nothing_is_asked_for_again",
    "cm4ai migrate": "a name in a sentence, without arguments",
    "pip install 'cm4ai_assets[dask]'": "changes the environment; the extra is looked up",
    "pip install 'cm4ai_assets[celery]'": "changes the environment; the extra is looked up",
    "python -m cm4ai_assets.worker": "test_workers.test_two_workers_make_what_one_process_makes starts it",
    "docker compose -f deploy/compose.yaml up --build --detach": "no Docker here; test_deploy reads the file",
    "docker compose -f deploy/compose.yaml build": "no Docker here; test_image reads the file",
    "docker compose -f deploy/compose.yaml up --detach": "no Docker here; test_deploy reads the file",
    "git pull": "a program of others",
    "pip check": "a program of others",
    "dagster-daemon run": "a program of others; test_ui and updates.test_daemon start it",
    "python -m cm4ai_assets.daemon": "works until it is ended; test_services and test_database hold it",
    "python -m cm4ai_assets.ui": "test_ui.test_the_terminal_stays_readable_while_runs_go_through starts it",
    "make lock": "fetches and writes into the checkout; test_image compares what it wrote",
    "cm4ai backup": "a name in a sentence, without arguments",
    "caddy hash-password": "a program of others",
    "cm4ai publish": "a name in a sentence, without arguments",
    "cm4ai pull": "a name in a sentence, without arguments",
    "cm4ai materialize": "a name in a sentence, without arguments",
    "cm4ai withdraw": "a name in a sentence, without arguments",
    "cm4ai trace": "a name in a sentence, without arguments",
    "unset DATAVERSE_API_TOKEN": "operate.runbook types it",
    'mv "$DAGSTER_HOME" "$DAGSTER_HOME.damaged"': "operate.runbook types it",
    'mv "$CM4AI_STORAGE/registry/releases/KEY.json" KEY.json.damaged': "operate.runbook types it",
}
_BENCHMARK = re.compile(r"python -m (benchmarks(?:\.\w+)?)\b")  # takes minutes, on a quiet machine
OPTIONAL = ("torch", "scdataset")
PULLED = "27261219/KOLF_Pan_Genome_QC_Filtered.h5ad"  # an example reads it under its name
# What the sandbox has in place of what a line shows. Each DIR is a folder of its own; see `_words`.
SUBSTITUTES = {
    "KEY": RELEASE,
    "…": "releases",
    "MSV000101915/raw/*exLewis007986.raw": "MSV000101915/metadata/*",
    "KOLF_Strong_Perturbations.h5ad": "KOLF_Pan_Genome_QC_Filtered.h5ad",
    "SRR31012081": "SRR91012083",
    "doi:10.18130/V3/HIGT4C": "doi:10.5072/FK2/H1SBXC",
    "r.store_level(512)": "r.store_level(128)",
    "B2AI_5_Paclitaxel_H12_R8_z01_green": "B2AI_1_untreated_H10_R1_z01_green",
}
# Words that keep a command short. What they leave out comes with other commands, and all at once with `make demo`.
NARROWED = {
    MATERIALIZE: "--condition untreated",
    f"{MATERIALIZE} --select sra_runs": "--condition untreated",
    f"{MATERIALIZE} --select perturb_targets": "--condition untreated",
    f"{MATERIALIZE} --select perturb_cells": "--condition untreated",
    PACLITAXEL: "--select 'group:images or key:release_files or key:splits'",
    f"{MATERIALIZE} --select if_fields,if_quality": "--condition paclitaxel",
    "cm4ai materialize --release KEY --select 'key:massive_files or key:secms_*'": "--condition untreated",
    "cm4ai sandbox build DIR": "--fields 8",
}
# What the pages open beside the newest release.
OTHER_RELEASES = (
    "cm4ai materialize --release 2025-06-v2.1 --condition untreated --select cellranger_metrics",
    (
        "cm4ai materialize --release 2025-10-v1.1 --condition untreated --condition vorinostat "
        "--select secms_profiles,secms_proteins,proteins"
    ),
    "cm4ai materialize --release 2024-05-v1.0 --condition untreated --select apms_interactions,proteins",
)
OF_ANOTHER = "cm4ai export --release 2025-10-v1.1"
# What compares conditions, once there are two.
COMPARED = f"cm4ai materialize --release {RELEASE} --select if_plates,if_effects"
SERVED = {"dagster-webserver -w workspace.yaml"}
DAMAGED_FIRST = {"cm4ai withdraw DIGEST", "cm4ai withdraw PATH"}  # the last test; nothing may read the storage after it
SHOWN = commands()
# The selections that only `--help` shows.
EXTRA = [
    f"{PACLITAXEL} --select {shlex.quote(selection)}"
    for selection in selections()
    if selection not in " ".join([*SHOWN, *NARROWED.values()])
]


@dataclass
class Reader:
    """Someone who types what they read, in a folder of their own. A command that was typed once is not typed again."""

    folder: Path
    sandbox: Path
    typed: dict[str, int] = field(default_factory=dict)
    is_described: bool = False

    def types(self, command: str) -> int:
        if command not in self.typed:
            try:
                self.typed[command] = cli.main(self.words(command))
            except SystemExit as refused:
                self.typed[command] = int(refused.code or 0)
            if command.startswith("cm4ai materialize "):
                self.is_described = command in {MATERIALIZE, DESCRIBE}
        return self.typed[command]

    def describes(self) -> int:
        """Have the documents of the release made of its tables as they are, and leave no folder of older ones.

        Documents of other tables are refused by the command that follows, so that nothing is taken for granted here.
        """
        shutil.rmtree(self.folder / "deposit", ignore_errors=True)
        if not self.is_described:
            self.typed.pop(DESCRIBE, None)
            return self.types(DESCRIBE)
        return cli.DONE

    def words(self, command: str) -> list[str]:
        own = re.sub(r"\W+", "-", command)
        folder = self.sandbox if "sandbox build" in command else self.folder / own
        line = substituted(f"{command} {NARROWED.get(command, '')}", DIR=str(folder))
        return shlex.split(line)[1:]


def substituted(text: str, **more: str) -> str:
    for shown, here in {**SUBSTITUTES, **more}.items():
        text = re.sub(rf"(?<!\w){re.escape(shown)}(?!\w)", lambda _, here=here: here, text)
    return text


@pytest.fixture(scope="module")
def reader(sandbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("reader")
    with SandboxServer(sandbox) as archive, pytest.MonkeyPatch.context() as patch:
        for name, url in service_variables(archive.url).items():
            patch.setenv(name, url)
        patch.setenv("CM4AI_STORAGE", str(folder / "storage"))
        patch.setenv("CM4AI_SCRATCH", str(folder / "scratch"))
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        patch.setenv("CM4AI_TENSOR_SIZE", "256")
        patch.chdir(folder)
        yield Reader(folder, sandbox)


@dataclass
class Webserver:
    process: subprocess.Popen[bytes]
    url: str

    def answers(self) -> bool:
        for _ in range(480):
            try:
                return httpx2.get(f"{self.url}/server_info").status_code == 200
            except httpx2.TransportError:
                time.sleep(0.25)
            if self.process.poll() is not None:
                break
        return False


@pytest.fixture(scope="module")
def webserver(reader: Reader) -> Iterator[Webserver]:
    """Dagster's own, which comes up while the commands run."""
    assert reader.types(REGISTER) == cli.DONE  # before it, there is no instance to be opened without our lock
    (program, *words) = next(iter(SERVED)).split()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with (reader.folder / "webserver.txt").open("w") as log:
        command = [str(Path(sys.executable).with_name(program)), *words, "-p", port]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=PROJECT)
    yield Webserver(process, f"http://127.0.0.1:{port}")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def stocked(reader: Reader, webserver: Webserver) -> Reader:
    """With README's first steps done."""
    assert reader.types(MATERIALIZE) == cli.DONE
    return reader


@pytest.mark.parametrize("command", [*SHOWN, *EXTRA], ids=str)
def test_a_command_that_is_shown_runs(command: str, request: pytest.FixtureRequest) -> None:
    if command in NOT_RUN:
        pytest.skip(f"a documented command is not run: {command} ({NOT_RUN[command]})")
    if benchmark := _BENCHMARK.match(command):
        assert importlib.util.find_spec(benchmark[1]), "no such benchmark"
        pytest.skip(f"a documented command is not run: {command} (takes minutes, on a quiet machine)")
    if command in SERVED | DAMAGED_FIRST:
        return  # below
    if command.startswith("export "):
        name = command.removeprefix("export ").split("=")[0]
        assert re.search(rf"^#{name}=", (PROJECT / ".env.example").read_text(), re.MULTILINE), "a setting"
        return
    assert command.startswith("cm4ai "), "neither run nor listed"
    older = any(
        f"export --release {key} " in command for key in re.findall(r"--release (\S+)", " ".join(OTHER_RELEASES))
    )
    reader: Reader = request.getfixturevalue("complete" if older else "stocked")
    if command.startswith("cm4ai publish "):
        assert reader.describes() == cli.DONE
    assert reader.types(command) == cli.DONE


def test_what_is_not_run_is_shown_and_what_runs_it_exists() -> None:
    assert set(NOT_RUN) | SERVED | DAMAGED_FIRST <= set(SHOWN)
    assert set(NARROWED) | {REGISTER, MATERIALIZE, DESCRIBE} <= set(SHOWN)
    assert languages() == {"sh", "sql", "python", "diff", ""}  # site.test_guides applies each diff
    plain = [line for page in PAGES for block in blocks(page, "") for line in block.splitlines()]
    assert not [line for line in plain if line.startswith(("cm4ai ", "make ", "export ", "import "))]
    for module, test in re.findall(r"(test_\w+)\.(test_\w+)", " ".join(NOT_RUN.values())):
        assert hasattr(importlib.import_module(f"cm4ai_assets_tests.operate.{module}"), test)
    script = (PROJECT / ".ci" / "run").read_text().splitlines()
    assert {line for line, why in NOT_RUN.items() if why == ".ci/run runs it"} <= set(script)


def test_what_is_made_and_installed_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert {command.split()[1] for command in SHOWN if command.startswith("make ")} <= targets
    text = "".join(page.read_text() for page in PAGES)
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    assert set(re.findall(r"cm4ai_assets\[(\w+)\]", text)) <= set(setup["options.extras_require"])


def test_what_make_docs_writes_is_there(tmp_path: Path) -> None:
    asked = ["make", "-n", "--no-print-directory", "docs"]  # which `make test` would print to a make within it
    shown = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=PROJECT).stdout
    written = re.findall(r"-m (cm4ai_assets\.\S+) (docs/\S+)$", shown, re.MULTILINE)
    assert [Path(page).name for _, page in written] == ["data-dictionary.md", "way-of-data.svg"]
    for module, page in written:
        subprocess.run([sys.executable, "-m", module, tmp_path / "page"], check=True, cwd=PROJECT)
        assert (tmp_path / "page").read_text() == (PROJECT / page).read_text(), "run `make docs`"


def test_each_format_that_readme_names_is_exported(stocked: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.search(r"--format sha256sums` \(or ([\w, ]+)\)", (PROJECT / "README.md").read_text())
    assert shown is not None
    for name in shown[1].split(", "):
        assert stocked.types(f"cm4ai export --release latest --format {name}") == cli.DONE
        assert capsys.readouterr().out.strip()


def test_the_sandbox_is_served_as_its_building_says(sandbox: Path, reader: Reader) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "cm4ai_assets.cli", *reader.words("cm4ai sandbox build DIR")],
        capture_output=True, text=True, check=True, cwd=reader.folder, env={**os.environ, "COLUMNS": "500"},
    ).stdout  # fmt: skip
    command = said.strip().rpartition("Serve it with: cm4ai ")[2].split()
    assert command == ["sandbox", "serve", str(sandbox)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cm4ai_assets.cli", *command, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rpartition(" ")[2]
        assert httpx2.get(f"{url}/api/info/version").status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == cli.INTERRUPTED


def test_dagsters_own_webserver_serves_the_workspace(stocked: Reader, webserver: Webserver) -> None:
    assert webserver.answers(), (stocked.folder / "webserver.txt").read_text()


@pytest.fixture(scope="module")
def complete(stocked: Reader) -> Reader:
    """With every condition and release that the examples open."""
    needed = (PACLITAXEL, COMPARED, *OTHER_RELEASES)
    needed = (*needed, f"cm4ai pull {PULLED} --budget 1GB --to pulled")
    assert [stocked.types(command) for command in needed] == [cli.DONE] * len(needed)
    (stocked.folder / PULLED.split("/")[1]).symlink_to(stocked.folder / "pulled" / PULLED)
    return stocked


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_examples_of_a_page_run(complete: Reader, page: Path) -> None:
    """In order and in one namespace, as a reader types them."""
    store = next((complete.folder / "storage" / "tensors" / "if_tensors").glob("*.zarr")).name
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        text = _without_absent(substituted(block.replace("0123456789abcdef-1024-v1.zarr", store)))
        exec(compile(text, f"{page.name}: {block[:60]}", "exec"), names)


def test_the_releases_that_an_example_joins_answer_together(complete: Reader) -> None:
    """Neither has both modalities; and a condition of which one has nothing here is not said to have no genes."""
    page = PROJECT / "docs" / "loading.md"
    opened, *_ = blocks(page, "python")
    (joined,) = (block for block in blocks(page, "python") if "secms_groups_" in block)
    *steps, answer = ast.parse(opened + joined).body
    assert isinstance(answer, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(ast.Module(steps, []), page.name, "exec"), names)
    found = eval(compile(ast.Expression(answer.value), page.name, "eval"), names)
    assert set(open_release(RELEASE).conditions) == {"untreated", "paclitaxel"}
    assert set(found) == {"untreated"}
    assert {"EIF5A", "TP53"} <= set(found["untreated"])


def _without_absent(text: str) -> str:
    """The example; where a library that is optional is absent, without what needs it."""
    absent = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    if any(re.search(rf"^from {name}\b", text, re.MULTILINE) for name in absent):
        return ""
    return "\n".join(line for line in text.splitlines() if not any(f".{name}(" in line for name in absent))


def test_the_query_runs(complete: Reader) -> None:
    found = [query for page in PAGES for query in blocks(page, "sql")]
    assert len(found) == 1
    made = open_release("latest", storage=str(complete.folder / "storage")).table("if_fields").collect()
    assert sorted(duckdb.sql(found[0]).fetchall()) == sorted(made.group_by("condition").len().rows())


def test_what_the_demo_says_is_counted_in_the_tables(complete: Reader) -> None:
    store = open_release("latest").store
    found = {
        name: list(science.sentences(store, partition, [name]))
        for name in science._SAYINGS
        for partition in store.partitions(name)
    }
    assert {name for name, said in found.items() if len(said) == 1} == set(science._SAYINGS)
    fields = open_release("latest").table("if_fields").filter(condition="paclitaxel").collect()
    (said,) = science.sentences(store, Partition(RELEASE, "paclitaxel"), ["if_fields"])
    assert said.startswith(f"{fields['tensor_index'].count()} of {fields.height} fields of view decoded exactly")


def test_the_notebook_runs_and_shows_what_it_was_committed_with(complete: Reader) -> None:
    for needed in ("nbclient", "ipykernel", "matplotlib", "torch"):
        pytest.importorskip(needed, reason=f"{needed} is not installed (extras: notebook, torch)")
    nbformat, nbclient = importlib.import_module("nbformat"), importlib.import_module("nbclient")
    committed = nbformat.read(NOTEBOOK, 4)
    run = nbformat.from_dict(json.loads(json.dumps(committed)))
    client = nbclient.NotebookClient(run, timeout=600, kernel_name="python3")
    client.execute(cwd=str(complete.folder))
    kinds = [[_kind(output) for output in cell.get("outputs", ())] for cell in run.cells]
    assert kinds == [[_kind(output) for output in cell.get("outputs", ())] for cell in committed.cells], "run it anew"
    assert sum(kind == "image/png" for cell in kinds for kind in cell) == 4
    assert NOTEBOOK.stat().st_size < 300_000


def _kind(output: dict[str, Any]) -> str:
    """A picture, a value or printed text."""
    return "image/png" if "image/png" in output.get("data", {}) else str(output["output_type"])


def test_what_is_damaged_is_withdrawn(complete: Reader) -> None:
    storage = complete.folder / "storage"
    digest = open_release("latest").table("if_archive").collect()["sha256"][0]
    blob = storage / "blobs" / "sha256" / digest[:2] / digest
    (table,) = (storage / "tables" / "usage_metrics").rglob("*.parquet")
    for damaged, command, thing in (
        (blob, "cm4ai withdraw DIGEST", digest),
        (table, "cm4ai withdraw PATH", str(table.relative_to(storage))),
    ):
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.chmod(0o600)
        damaged.write_bytes(content)
        assert command in DAMAGED_FIRST
        assert complete.types(f"{command.rsplit(' ', 1)[0]} {thing}") == cli.DONE
        assert not damaged.exists()
