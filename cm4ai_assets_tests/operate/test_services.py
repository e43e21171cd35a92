"""The systemd units and what bounds what they write, held against systemd's own programs, without a running systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest

from cm4ai_assets import daemon, ui
from cm4ai_assets.settings import PACKAGE, PROJECT, Settings

UNITS = PROJECT / "deploy" / "systemd"
NAMES = ("cm4ai-ui", "cm4ai-daemon")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="systemd-tmpfiles reads the folders of others as root only")
MOST_EXPOSED = 3.0  # of 10, by systemd's own reckoning


def service(name: str) -> dict[str, list[str]]:
    """The keys of [Service], each with its values in order."""
    found: dict[str, list[str]] = {}
    text = (UNITS / f"{name}.service").read_text().split("[Service]")[1].split("[Install]")[0]
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def placed(name: str, folder: Path) -> Path:
    """The unit, with an executable that this machine has in place of /opt/cm4ai."""
    text = (UNITS / f"{name}.service").read_text().replace("/opt/cm4ai/bin/python", "/bin/true")
    path = folder / f"{name}.service"
    path.write_text(text)
    return path


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_finds_no_fault_in_a_unit_and_would_see_one(name: str, tmp_path: Path) -> None:
    def complaints(path: Path) -> str:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
        )
        return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if path.name in line)

    unit = placed(name, tmp_path)
    assert complaints(unit) == ""
    unit.write_text(unit.read_text().replace("Restart=on-failure", "Restart=on-falure"))
    assert "on-falure" in complaints(unit)


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_may_do_little(name: str, tmp_path: Path) -> None:
    path = placed(name, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert float(exposure) <= MOST_EXPOSED, done.stdout


def test_the_pair_is_one_platform_and_the_guard_stands_in_front_of_its_ui() -> None:
    of_ui, of_daemon = (service(name) for name in NAMES)
    assert {key: value for key, value in of_ui.items() if key != "ExecStart"} == {
        key: value for key, value in of_daemon.items() if key != "ExecStart"
    }
    (started,), (beside,) = of_ui["ExecStart"], of_daemon["ExecStart"]
    words = started.split()
    assert words[1:3] == ["-m", "cm4ai_assets.ui"]
    args = ui._parser().parse_args(words[3:])
    assert (args.listen, args.with_daemon, args.read_only) == ("127.0.0.1", False, False)
    assert beside.split()[1:] == ["-m", "cm4ai_assets.daemon"]
    assert daemon._parser().parse_args([]).workspace == PACKAGE / "workspace.yaml"


def test_what_a_unit_sets_are_settings_and_stand_where_it_may_write() -> None:
    one = service("cm4ai-ui")
    environ = dict(word.split("=", 1) for line in one["Environment"] for word in line.split())
    settings = Settings.from_env(environ)
    assert settings.storage == "/var/lib/cm4ai/storage"
    assert settings.scratch == Path("/var/cache/cm4ai/scratch")
    written = {
        environ["DAGSTER_HOME"],
        settings.storage,
        environ["HOME"],
        environ["XDG_CACHE_HOME"],
        str(settings.scratch),
    }
    allowed = (f"/var/lib/{one['StateDirectory'][0]}", f"/var/cache/{one['CacheDirectory'][0]}")
    assert [path for path in written if not path.startswith(allowed)] == []
    assert one["User"] == one["Group"] == ["cm4ai"]
    assert one["EnvironmentFile"] == ["/etc/cm4ai/cm4ai.env"]
    assert one["RestartPreventExitStatus"] == [str(ui.WRONG_USE)]


@pytest.mark.parametrize("name", NAMES)
def test_a_service_ends_in_order_begins_again_and_keeps_its_restrictions(name: str) -> None:
    one = service(name)
    stated = {key: values[-1] for key, values in one.items()}
    assert stated["KillMode"] == "mixed", "the main process ends what it has started; what is left is killed"
    assert int(stated["TimeoutStopSec"]) >= 30, "the daemon alone gives its process 20 s"
    assert (stated["Restart"], stated["UMask"], stated["ProtectSystem"]) == ("on-failure", "0027", "strict")
    assert (stated["CapabilityBoundingSet"], stated["SystemCallFilter"]) == ("", "@system-service")
    assert "ReadWritePaths" not in stated
    asked = [key for key in one if key.startswith(("Private", "Protect", "Restrict", "NoNew", "LockP", "RemoveIPC"))]
    others = {
        "ProtectSystem": "strict",
        "ProtectProc": "invisible",
        "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    }
    answered = [key for key in asked if key not in {"Restart", "RestartSec", "RestartPreventExitStatus"}]
    assert [key for key in answered if stated[key] != others.get(key, "yes")] == []
    assert {"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"} <= set(answered)


def test_the_documentation_says_how_long_what_steps_printed_is_kept() -> None:
    (days,) = re.findall(r"^e \S+/compute_logs - - - m:(\d+)d$", (UNITS / "cm4ai.tmpfiles").read_text(), re.MULTILINE)
    assert f"`deploy/systemd/cm4ai.tmpfiles`: {days} days" in (PROJECT / "docs/deployment.md").read_text()


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is not installed")
@needs_root
def test_what_steps_printed_half_a_year_ago_is_taken_away_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(PACKAGE / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        manager = instance.compute_log_manager
        printed = [manager.get_captured_local_path([run, "compute_logs", "step"], "err") for run in ("old", "new")]
        instance.get_runs_count()
    for path in map(Path, printed):
        path.parent.mkdir(parents=True)
        path.write_text("what a step printed")
    kept = [path for path in home.rglob("*") if path.is_file() and str(path) != printed[0]]
    for path in (path for path in home.rglob("*") if str(path) != printed[1]):
        os.utime(path, (time.time() - 200 * 86_400,) * 2)
    rule = (UNITS / "cm4ai.tmpfiles").read_text().replace("/var/lib/cm4ai/home", str(home))
    (tmp_path / "rule.conf").write_text(rule)
    subprocess.run(["systemd-tmpfiles", "--clean", str(tmp_path / "rule.conf")], check=True, capture_output=True)
    assert not Path(printed[0]).exists()
    assert [path for path in kept if not path.exists()] == []
    assert any(path.suffix == ".db" for path in kept)


def test_dagster_drops_what_its_ticks_leave_behind() -> None:
    text = (PACKAGE / "dagster.yaml").read_text()
    assert re.search(r"^telemetry:\n  enabled: false$", text, re.MULTILINE), "no log of telemetry"
    assert "purge_after_days" in text
